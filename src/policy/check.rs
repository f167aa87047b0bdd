//! What a policy says although it cannot be meant: names that match nothing, lists that contradict themselves.
//!
//! Every finding is a fault with a code of [`codes`], not a guess at what was meant: a rule that cannot do what
//! its author wanted must not be in force.

mod admission;
mod limits;
mod lists;
mod mapping;
mod overrides;
mod prices;
mod reach;
mod together;

use std::collections::HashMap;

use super::codes;
use super::faults::{Faults, Spot};
use super::merge::Merged;
use super::message::{About, Message, Messages};
use super::rules::AGENTS;
use super::snapshot::{Fallback, Mode};
use super::written::{Endpoint, Entry, Section, Spotted};
use crate::report::{Fault, is_invisible, nearest, quoted};

pub(super) use overrides::{Changed, Priced, changed_limit, document, named_endpoint};

/// LibreChat's built-in endpoints by their exact names (CONTRACT.md B.9). All others are custom endpoints.
pub const BUILT_IN: [&str; 8] =
    ["openAI", "azureOpenAI", "google", "anthropic", "bedrock", "assistants", "azureAssistants", "agents"];

/// Checks the policy and makes its messages.
pub(super) fn check(merged: &Merged, faults: &mut Faults<'_>) -> Messages {
    for entry in merged.entries.values() {
        entry_name(entry, faults);
        modes(merged, entry, faults);
        emptiness(merged, entry, faults);
        lists_of(merged, entry, faults);
    }
    if let Some(deny) = &merged.tools_deny {
        lists::of_denied_tools(deny, faults);
    }
    if let Some(allow) = &merged.agent_parameters {
        lists::of_parameters(allow, faults);
    }
    admission::admission(merged, faults);
    limits::limits(merged, faults);
    together::too_many(merged, faults);
    prices::prices(merged, faults);
    mapping::mappings(merged, faults);
    Messages {
        denial: message(About::Denial, merged.model_denied.as_ref(), faults).unwrap_or_default(),
        limit: message(About::Limit, merged.limit_reached.as_ref(), faults),
    }
}

/// What an entry lists.
fn lists_of(merged: &Merged, entry: &Entry, faults: &mut Faults<'_>) {
    unrestricted(entry, faults);
    let mut seen: HashMap<&str, Spot> = HashMap::new();
    for endpoint in entry.endpoints() {
        endpoint_name(endpoint, faults);
        if let Some(first) = seen.insert(endpoint.key(), endpoint.name.spot) {
            let what = format!("endpoint {}", quoted(&endpoint.name.value));
            faults.push_twice(codes::DEFINED_TWICE, &what, first, endpoint.name.spot);
        }
        lists::of_endpoint(merged, entry, endpoint, faults);
    }
    if let Some(written) = &entry.tools {
        lists::of_tools(entry, &written.value, faults);
    }
}

fn message(about: About, text: Option<&Spotted<String>>, faults: &mut Faults<'_>) -> Option<Message> {
    let text = text?;
    let wrong = match Message::new(about, &text.value) {
        Ok(message) => return Some(message),
        Err(wrong) => wrong,
    };
    faults.push(text.spot, Fault::error(codes::BAD_PLACEHOLDER, wrong.message).help(wrong.help));
    None
}

/// Nothing is enforced within what is in shadow mode.
fn modes(merged: &Merged, entry: &Entry, faults: &mut Faults<'_>) {
    let lists = entry.endpoints().iter().map(|endpoint| endpoint.mode.as_ref());
    let lists = lists.chain([entry.tools.as_ref().and_then(|tools| tools.value.mode.as_ref())]);
    let within = |outer: &str| format!("{outer} is in shadow mode, so that nothing in it is enforced");
    let faulty = |outer: Mode, what: &str, mode: Option<&Spotted<Mode>>, faults: &mut Faults<'_>| {
        if let (Mode::Shadow, Some(Spotted { value: Mode::Enforce, spot })) = (outer, mode) {
            let fault = Fault::error(codes::BAD_VALUE, within(what));
            faults.push(*spot, fault.help("remove it, and write \"mode: shadow\" only where nothing is to be refused"));
        }
    };
    let entry_mode = entry.mode.as_ref();
    faulty(merged.mode, "the whole policy", entry_mode, faults);
    let (outer, what) = match entry.is_shadow() {
        true => (Mode::Shadow, format!("the entry of {} {}", entry.section.noun(), quoted(&entry.name.value))),
        false => (merged.mode, "the whole policy".to_owned()),
    };
    lists.for_each(|mode| faulty(outer, &what, mode, faults));
}

fn entry_name(entry: &Entry, faults: &mut Faults<'_>) {
    let name = &entry.name;
    let noun = format!("the name of a {}", entry.section.noun());
    if plain_name(name, &noun, faults)
        && exact_name(name, entry.section.noun(), faults)
        && entry.section == Section::Users
    {
        user_key(name, faults);
    }
}

/// Whether the name can match anything: not empty, no white space around it, nothing in it that cannot be seen.
pub(super) fn plain_name(name: &Spotted<String>, what: &str, faults: &mut Faults<'_>) -> bool {
    let fault = match name.value.as_str() {
        "" => Fault::error(codes::EMPTY_NAME, format!("{what} is empty")).help("write a name, or remove it"),
        value if value.contains(is_invisible) => {
            let message = format!("{what} has characters that cannot be seen: {}", quoted(value));
            Fault::error(codes::BAD_NAME, message).help("remove them; names match exactly")
        }
        value if value.trim() != value => {
            let message = format!("{what} has white space around it: {}", quoted(value));
            Fault::error(codes::BAD_NAME, message).help("remove it; names match exactly")
        }
        _ => return true,
    };
    faults.push(name.spot, fault);
    false
}

fn exact_name(name: &Spotted<String>, noun: &str, faults: &mut Faults<'_>) -> bool {
    if !name.value.contains('*') {
        return true;
    }
    let message = format!("\"*\" has no meaning in the name of a {noun}: {}", quoted(&name.value));
    let help = match noun {
        "endpoint" => "name each endpoint; for all of them use \"unrestricted: true\" or \"unlisted.endpoint\"",
        "role" => "name each role; \"unlisted.role\" says what holds for the others",
        _ => "name each one; only models may have \"*\"",
    };
    faults.push(name.spot, Fault::error(codes::WILDCARD_IN_NAME, message).help(help));
    false
}

fn user_key(name: &Spotted<String>, faults: &mut Faults<'_>) {
    let is_id = name.value.len() == 24 && name.value.chars().all(|c| c.is_ascii_hexdigit());
    if !is_id && !is_address(&name.value) {
        let message = format!("{} is neither an e-mail address nor a user id", quoted(&name.value));
        let help = "users are named by their e-mail address or by LibreChat's user id (24 hexadecimal digits)";
        faults.push(name.spot, Fault::error(codes::USER_KEY, message).help(help));
    }
}

/// Whether this is an address alone: not one with a name before it, as mail programs write it, and not several.
fn is_address(text: &str) -> bool {
    let holds = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "@<>".contains(c));
    text.split_once('@').is_some_and(|(mailbox, domain)| holds(mailbox) && holds(domain))
}

fn endpoint_name(endpoint: &Endpoint, faults: &mut Faults<'_>) {
    let name = &endpoint.name;
    if !plain_name(name, "the name of an endpoint", faults) || !exact_name(name, "endpoint", faults) {
        return;
    }
    let built_in = BUILT_IN.contains(&name.value.as_str());
    let quoted_name = quoted(&name.value);
    if endpoint.custom && built_in {
        let fault = Fault::error(
            codes::BUILTIN_UNDER_CUSTOM,
            format!("{quoted_name} is a built-in endpoint, not a custom one"),
        );
        faults.push(name.spot, fault.help(format!("move {quoted_name} out of \"custom:\"")));
    }
    if !endpoint.custom && !built_in {
        let fault = Fault::error(codes::UNKNOWN_ENDPOINT, format!("there is no built-in endpoint {quoted_name}"));
        let help = match nearest(&name.value, BUILT_IN) {
            Some(known) => format!("did you mean {}?", quoted(known)),
            None => {
                format!("if it is a custom endpoint, put it under \"custom:\"; built in are {}", BUILT_IN.join(", "))
            }
        };
        faults.push(name.spot, fault.help(help));
    }
}

fn unrestricted(entry: &Entry, faults: &mut Faults<'_>) {
    if !entry.is_unrestricted() {
        return;
    }
    let tools = entry.tools.as_ref().and_then(|tools| tools.value.allow.as_ref());
    for list in entry.endpoints().iter().filter_map(|endpoint| endpoint.models.as_ref()).chain(tools) {
        let fault =
            Fault::error(codes::UNRESTRICTED_WITH_MODELS, "this list has no effect beside \"unrestricted: true\"");
        faults.push(list.spot, fault.help("remove one of the two; \"deny\" may stand beside \"unrestricted: true\""));
    }
}

/// Entries that say nothing, or allow nothing. What an unsound entry or an unread file lacks is not known.
fn emptiness(merged: &Merged, entry: &Entry, faults: &mut Faults<'_>) {
    if !entry.sound {
        return;
    }
    for endpoint in entry.endpoints().iter().filter(|endpoint| endpoint.models.is_none() && endpoint.deny.is_none()) {
        let message = format!("endpoint {} has neither \"models\" nor \"deny\"", quoted(&endpoint.name.value));
        let help = "write \"models: [...]\", or \"models: []\" to hide the endpoint";
        faults.push(endpoint.name.spot, Fault::error(codes::ENDPOINT_SAYS_NOTHING, message).help(help));
    }
    if faults.incomplete || merged.unlisted_endpoint == Fallback::Allow || entry.is_unrestricted() {
        return;
    }
    if let Some(endpoints) = entry.endpoints.as_ref().filter(|endpoints| endpoints.value.is_empty()) {
        let fault = Fault::error(
            codes::EMPTY_ENDPOINTS,
            "no endpoint is named here, and endpoints that are not named are denied",
        );
        let help = "name the endpoints, or write \"unrestricted: true\"; \
                    an empty mapping means no restriction only with \"unlisted: { endpoint: allow }\"";
        faults.push(endpoints.spot, fault.help(help));
        return;
    }
    // What is listed for agents narrows, and gives no model.
    let models = entry.endpoints().iter().filter(|endpoint| endpoint.key() != AGENTS);
    let grants = models.filter_map(|endpoint| endpoint.models.as_ref()).any(|list| !list.value.is_empty());
    let narrows = |endpoint: &Endpoint| endpoint.deny.is_some() || endpoint.key() == AGENTS;
    let takes = entry.tools.is_some() || entry.limits.is_some() || entry.endpoints().iter().any(narrows);
    // A group or a user may be there to take something away; a role is there to give some.
    if !grants && (entry.section == Section::Roles || !takes) {
        let message = format!("{} {} allows nothing at all", entry.section.noun(), quoted(&entry.name.value));
        let help = "name endpoints and models, or write \"unrestricted: true\"";
        faults.push(entry.name.spot, Fault::warning(codes::ALLOWS_NOTHING, message).help(help));
    }
}
