//! Lists of models, agents, tools and parameters: names that match nothing, and lists that contradict themselves.

use std::collections::HashMap;

use super::super::codes;
use super::super::faults::{Faults, Spot};
use super::super::merge::Merged;
use super::super::pattern::covers;
use super::super::rules::AGENTS;
use super::super::written::{Endpoint, Entry, Names, Section, Tools};
use super::plain_name;
use crate::report::{Fault, quoted};

/// Endpoints whose models Tollgate does not judge one by one: only callers without any restriction get there.
const SURFACES: [&str; 2] = ["assistants", "azureAssistants"];

/// What the ids of LibreChat's stored agents begin with (CONTRACT.md B.4).
const AGENT_ID: &str = "agent_";

/// Parameters of agents that choose a model, a key or an address (CONTRACT.md B.5). No operator can know them to be harmless.
const HARMFUL: [&str; 9] = [
    "model",
    "modelName",
    "modelKwargs",
    "fallbacks",
    "configuration",
    "clientOptions",
    "apiKey",
    "baseURL",
    "additionalModelRequestFields",
];

pub(super) fn of_endpoint(merged: &Merged, entry: &Entry, endpoint: &Endpoint, faults: &mut Faults<'_>) {
    for list in [&endpoint.models, &endpoint.deny].into_iter().flatten() {
        names(list, if endpoint.key() == AGENTS { "agent" } else { "model" }, faults);
    }
    if let Some(deny) = endpoint.deny.as_ref().filter(|_| entry.sound) {
        empty_deny(deny, faults);
    }
    if endpoint.key() == AGENTS {
        [&endpoint.models, &endpoint.deny].into_iter().flatten().for_each(|list| agent_ids(list, faults));
    }
    let Some(allowed) = &endpoint.models else { return };
    unreachable(allowed, endpoint.deny.as_ref(), faults);
    let is_user = entry.section == Section::Users && endpoint.key() != AGENTS;
    if is_user && allowed.value.is_empty() && entry.sound {
        let fault = Fault::error(
            codes::HIDES_NOTHING,
            "an empty list takes nothing away from a user: a user's models are added to the role's or groups'",
        );
        faults.push(allowed.spot, fault.help("write \"deny: ['*']\" to hide the endpoint from this user"));
    }
    if SURFACES.contains(&endpoint.key()) && !merged.assistants && !allowed.value.is_empty() {
        let message = format!(
            "{} stays closed to callers with any restriction, whatever models are listed",
            quoted(endpoint.key())
        );
        let help = "write \"assistants: { enabled: true }\" to have its models judged one by one";
        faults.push(endpoint.name.spot, Fault::warning(codes::STAYS_CLOSED, message).help(help));
    }
}

pub(super) fn of_tools(entry: &Entry, tools: &Tools, faults: &mut Faults<'_>) {
    for list in [&tools.allow, &tools.deny].into_iter().flatten() {
        names(list, "tool", faults);
    }
    if let Some(deny) = tools.deny.as_ref().filter(|_| entry.sound) {
        empty_deny(deny, faults);
    }
    if let Some(allow) = &tools.allow {
        unreachable(allow, tools.deny.as_ref(), faults);
    }
}

pub(super) fn of_denied_tools(deny: &Names, faults: &mut Faults<'_>) {
    names(deny, "tool", faults);
    empty_deny(deny, faults);
}

pub(super) fn of_parameters(list: &Names, faults: &mut Faults<'_>) {
    names(list, "parameter", faults);
    if list.value.is_empty() {
        let fault = Fault::error(codes::SAYS_NOTHING, "this list allows nothing");
        faults.push(list.spot, fault.help("remove it, or name what to allow"));
    }
    for name in &list.value {
        if name.value.contains('*') {
            let message = format!("\"*\" has no meaning in the name of a parameter: {}", quoted(&name.value));
            let help = "name each parameter; what it does must be known";
            faults.push(name.spot, Fault::error(codes::WILDCARD_IN_NAME, message).help(help));
        }
        if HARMFUL.iter().any(|harmful| harmful.eq_ignore_ascii_case(&name.value)) {
            let message = format!("{} chooses what is called, and is never allowed", quoted(&name.value));
            let help = "remove it; an agent's model and address belong in its own fields";
            faults.push(name.spot, Fault::error(codes::HARMFUL_PARAMETER, message).help(help));
        }
    }
}

/// Whoever writes a model for the endpoint `agents` means something else than is done.
fn agent_ids(list: &Names, faults: &mut Faults<'_>) {
    for name in list.value.iter().filter(|name| !name.value.starts_with(AGENT_ID) && !name.value.contains('*')) {
        let message = format!("{} is not the id of an agent", quoted(&name.value));
        let help = "agents are listed by their ids (agent_...); the models they run are judged by the other endpoints";
        faults.push(name.spot, Fault::warning(codes::NOT_AN_AGENT, message).help(help));
    }
}

fn empty_deny(deny: &Names, faults: &mut Faults<'_>) {
    if deny.value.is_empty() {
        let fault = Fault::error(codes::EMPTY_DENY, "this list denies nothing").help("remove it, or name what to deny");
        faults.push(deny.spot, fault);
    }
}

fn unreachable(allowed: &Names, deny: Option<&Names>, faults: &mut Faults<'_>) {
    for name in &allowed.value {
        let denied = deny.into_iter().flat_map(|deny| &deny.value).find(|deny| covers(&deny.value, &name.value));
        if let Some(deny) = denied {
            let message = format!("{} is never allowed: {} denies all of it", quoted(&name.value), quoted(&deny.value));
            let fault = Fault::error(codes::UNREACHABLE, message).help("remove one of the two; a denial always wins");
            faults.push(name.spot, fault);
        }
    }
}

pub(super) fn names(list: &Names, noun: &str, faults: &mut Faults<'_>) {
    let everything = list.value.iter().any(|model| model.value == "*");
    let mut seen: HashMap<&str, Spot> = HashMap::new();
    let what = format!("the name of a {noun}");
    for model in &list.value {
        if !plain_name(model, &what, faults) {
            continue;
        }
        if let Some(first) = seen.insert(&model.value, model.spot) {
            faults.push_twice(codes::DUPLICATE_MODEL, &format!("{noun} {}", quoted(&model.value)), first, model.spot);
        } else if model.value.contains("**") {
            let fault =
                Fault::error(codes::REDUNDANT_MODEL, format!("{} has several stars in a row", quoted(&model.value)));
            faults.push(model.spot, fault.help("one star means the same"));
        } else if everything && model.value != "*" {
            let fault = Fault::error(
                codes::REDUNDANT_MODEL,
                format!("{} stands beside \"*\", which matches it", quoted(&model.value)),
            );
            faults.push(model.spot, fault.help("remove one of the two"));
        }
    }
}
