//! What a stored document says although it cannot be meant: the same as in an entry of the files, and what it would change of a
//! limit that nobody's document can.
//!
//! What a document allows is added, as a user's own entry adds, whomever the document is about. So its lists are judged as a user's.

mod money;

use std::collections::HashMap;

use super::{endpoint_name, limits, lists_of, plain_name};
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::merge::Merged;
use crate::policy::written::{Entry, Section, Spotted, WrittenLimit};
use crate::report::{Fault, quoted};

pub(in crate::policy) use money::{Changed, Priced};

/// Checks a document that was read as an entry: lists, and limits that the files do not have. `said_elsewhere` tells of an endpoint
/// that the document only takes something away from.
pub(in crate::policy) fn document(
    files: &Merged,
    section: Section,
    entry: &Entry,
    said_elsewhere: impl Fn(&str) -> bool,
    faults: &mut Faults<'_>,
) {
    let plain = plain_name(&entry.name, &format!("the name of a {}", section.noun()), faults);
    // Anything else would be nobody's, also an address or an id in upper case.
    let is_id = |id: &str| id.len() == 24 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if plain && section == Section::Users && !is_id(&entry.name.value) {
        let message = format!("{} is no user id", quoted(&entry.name.value));
        let help = "an override of a user is kept by LibreChat's user id: 24 hexadecimal digits in lower case";
        faults.push(entry.name.spot, Fault::error(codes::USER_KEY, message).help(help));
    }
    lists_of(files, entry, faults);
    modes(entry, faults);
    if entry.sound {
        let says_nothing = |endpoint: &&crate::policy::written::Endpoint| {
            endpoint.models.is_none() && endpoint.deny.is_none() && !said_elsewhere(endpoint.key())
        };
        for endpoint in entry.endpoints().iter().filter(says_nothing) {
            let message = format!("endpoint {} has neither \"models\" nor \"deny\"", quoted(&endpoint.name.value));
            let fault = Fault::error(codes::ENDPOINT_SAYS_NOTHING, message);
            faults.push(endpoint.name.spot, fault.help("write \"models: [...]\" or \"deny: [...]\""));
        }
    }
    let mut seen: HashMap<&str, Spot> = HashMap::new();
    for limit in entry.limits() {
        limits::id(&limit.id, &mut seen, faults);
        limits::subject(Some(section), &limit.per, faults);
        alone(limit, faults);
    }
    limits::unreachable(entry.limits(), faults);
}

/// Checks a limit of the files as a document changes it. What is wrong with it is the document's fault, for the files have none.
pub(in crate::policy) fn changed_limit(limit: &WrittenLimit, faults: &mut Faults<'_>) {
    alone(limit, faults);
}

/// Checks the name of an endpoint that a document takes something away from.
pub(in crate::policy) fn named_endpoint(name: &Spotted<String>, custom: bool, faults: &mut Faults<'_>) {
    let endpoint =
        crate::policy::written::Endpoint { name: name.clone(), custom, models: None, deny: None, mode: None };
    endpoint_name(&endpoint, faults);
}

/// What an override says holds: there is none to be tried out.
fn modes(entry: &Entry, faults: &mut Faults<'_>) {
    let of_endpoints = entry.endpoints().iter().map(|endpoint| &endpoint.mode);
    let of_tools = entry.tools.iter().map(|tools| &tools.value.mode);
    for mode in [&entry.mode].into_iter().chain(of_endpoints).chain(of_tools).flatten() {
        let fault = Fault::error(codes::BAD_VALUE, "an override has no \"mode\", except for limits");
        faults.push(mode.spot, fault.help("remove it; what is to be tried out belongs into the files"));
    }
}

fn alone(limit: &WrittenLimit, faults: &mut Faults<'_>) {
    limits::window(limit, faults);
    limits::scope(limit, faults);
    limits::strict(limit, faults);
}
