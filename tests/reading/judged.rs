//! Whether what Tollgate judged is what Express sees.

use serde_json::Value;
use tollgate::librechat::agents;
use tollgate::librechat::selection::TurnRequest;
use tollgate::policy::{Surface, Target};

use crate::express::Answer;

/// Every difference between a turn that Tollgate understood and what LibreChat would make of the request, as Express read it
/// (CONTRACT.md B.1, B.3, B.13).
pub(crate) fn difference(judged: &TurnRequest, seen: &Answer) -> Option<String> {
    let turn = &seen.said["turn"];
    if seen.status != 200 || !turn.is_object() {
        return Some(format!("Express did not read it: {seen:?}"));
    }
    let (endpoint, model) = (text(&turn["endpoint"]), text(&turn["model"]));
    let added = &turn["addedConvo"];
    let agent = text(&turn["agent_id"]);
    let targets: Vec<Target> =
        primary(endpoint.as_deref(), model.as_deref(), agent).into_iter().chain(second(added)).collect();
    let told = |what: &str, judged: &dyn std::fmt::Debug, seen: &dyn std::fmt::Debug| {
        Some(format!("{what}: judged {judged:?}, LibreChat sees {seen:?}"))
    };
    let judged_model = judged.model.as_deref();
    if judged.targets != targets {
        return told("targets", &judged.targets, &targets);
    }
    if Some(&*judged.endpoint) != endpoint.as_deref() {
        return told("endpoint", &judged.endpoint, &endpoint);
    }
    if judged_model.is_some() && judged_model != model.as_deref() {
        return told("model", &judged.model, &model);
    }
    for (what, judged, seen) in [
        ("spec", &judged.spec, text(&turn["spec"])),
        ("addedConvo.spec", &judged.added_spec, text(&added["spec"])),
        ("conversationId", &judged.conversation, text(&turn["conversationId"])),
    ] {
        if judged.as_deref() != seen.as_deref() {
            return told(what, judged, &seen);
        }
    }
    None
}

fn primary(endpoint: Option<&str>, model: Option<&str>, agent: Option<String>) -> Option<Target> {
    match (endpoint?, model) {
        ("agents", _) => Some(agents::named(&agent?)),
        (endpoint, model) => pair(endpoint, model?),
    }
}

fn second(added: &Value) -> Option<Target> {
    match text(&added["agent_id"]) {
        Some(agent) if agent.starts_with("agent_") && agent != "agent_" => Some(agents::named(&agent)),
        _ => pair(&text(&added["endpoint"])?, &text(&added["model"])?),
    }
}

fn pair(endpoint: &str, model: &str) -> Option<Target> {
    Some(match endpoint {
        "agents" => Target::Surface(Surface::Agents),
        "assistants" | "azureAssistants" => Target::Surface(Surface::Assistants),
        _ => Target::Model { endpoint: endpoint.into(), model: model.into() },
    })
}

/// A member as Express spells it out; absent and null are none, and so is what is no text (nothing of the kind may be judged).
fn text(spelt: &Value) -> Option<String> {
    match serde_json::from_str(spelt.as_str()?) {
        Ok(Value::String(text)) => Some(text),
        Ok(Value::Null) => None,
        _ => Some(format!("not a text: {spelt}")),
    }
}
