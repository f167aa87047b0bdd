//! What a policy says although it cannot be meant: names that match nothing, lists that contradict themselves.
//!
//! Every finding is a fault with a code of [`codes`], not a guess at what was meant: a rule that cannot do what
//! its author wanted must not be in force.

use std::collections::HashMap;

use super::codes;
use super::faults::{Faults, Spot};
use super::merge::Merged;
use super::message::Message;
use super::pattern::covers;
use super::snapshot::{AGENTS, Fallback};
use super::written::{Endpoint, Entry, Names, Section, Spotted, Tools};
use crate::report::{Fault, is_invisible, nearest, quoted};

/// LibreChat's built-in endpoints by their exact names (CONTRACT.md B.9). All others are custom endpoints.
pub const BUILT_IN: [&str; 8] =
    ["openAI", "azureOpenAI", "google", "anthropic", "bedrock", "assistants", "azureAssistants", "agents"];

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

/// Checks the policy and makes its message.
pub(super) fn check(merged: &Merged, faults: &mut Faults<'_>) -> Message {
    for entry in merged.entries.values() {
        entry_name(entry, faults);
        unrestricted(entry, faults);
        emptiness(merged, entry, faults);
        let mut seen: HashMap<&str, Spot> = HashMap::new();
        for endpoint in entry.endpoints() {
            endpoint_name(endpoint, faults);
            if let Some(first) = seen.insert(endpoint.key(), endpoint.name.spot) {
                let what = format!("endpoint {}", quoted(&endpoint.name.value));
                faults.push_twice(codes::DEFINED_TWICE, &what, first, endpoint.name.spot);
            }
            lists(entry, endpoint, faults);
        }
        if let Some(written) = &entry.tools {
            tools(entry, &written.value, faults);
        }
    }
    if let Some(deny) = &merged.tools_deny {
        names(deny, "tool", faults);
        empty_deny(deny, faults);
    }
    if let Some(allow) = &merged.agent_parameters {
        parameters(allow, faults);
    }
    message(merged, faults)
}

fn message(merged: &Merged, faults: &mut Faults<'_>) -> Message {
    let Some(text) = &merged.model_denied else { return Message::default() };
    Message::new(&text.value).unwrap_or_else(|wrong| {
        faults.push(text.spot, Fault::error(codes::BAD_PLACEHOLDER, wrong.message).help(wrong.help));
        Message::default()
    })
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
fn plain_name(name: &Spotted<String>, what: &str, faults: &mut Faults<'_>) -> bool {
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
    if !is_id && !name.value.contains('@') {
        let message = format!("{} is neither an e-mail address nor a user id", quoted(&name.value));
        let help = "users are named by their e-mail address or by LibreChat's user id (24 hexadecimal digits)";
        faults.push(name.spot, Fault::error(codes::USER_KEY, message).help(help));
    }
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
    let takes = entry.tools.is_some() || entry.endpoints().iter().any(narrows);
    // A group or a user may be there to take something away; a role is there to give some.
    if !grants && (entry.section == Section::Roles || !takes) {
        let message = format!("{} {} allows nothing at all", entry.section.noun(), quoted(&entry.name.value));
        let help = "name endpoints and models, or write \"unrestricted: true\"";
        faults.push(entry.name.spot, Fault::warning(codes::ALLOWS_NOTHING, message).help(help));
    }
}

fn lists(entry: &Entry, endpoint: &Endpoint, faults: &mut Faults<'_>) {
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
    if SURFACES.contains(&endpoint.key()) && !allowed.value.is_empty() {
        let message = format!(
            "{} stays closed to callers with any restriction, whatever models are listed",
            quoted(endpoint.key())
        );
        let help = "this version does not judge its models one by one; only callers without any restriction get there";
        faults.push(endpoint.name.spot, Fault::warning(codes::STAYS_CLOSED, message).help(help));
    }
}

fn tools(entry: &Entry, tools: &Tools, faults: &mut Faults<'_>) {
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

fn parameters(list: &Names, faults: &mut Faults<'_>) {
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

fn names(list: &Names, noun: &str, faults: &mut Faults<'_>) {
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
