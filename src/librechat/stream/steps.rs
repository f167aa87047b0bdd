//! The events of a turn's steps: who writes, and what.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Event;
use crate::librechat::said::{Kind, call, each, parts, text};

/// Steps whose agent is remembered. What is written in later ones is told without its agent.
const MOST: usize = 1_024;

/// Longest id of a step or of an agent that is remembered, in bytes: an agent's may hold the names of an endpoint and of a model.
const LONGEST_ID: usize = 1_024;

/// The agents of steps that name one: what is written in a step names only the step.
#[derive(Debug, Default)]
pub(super) struct Steps {
    agents: HashMap<Box<str>, Box<str>>,
}

/// The data of an event about a step.
#[derive(Deserialize)]
struct Step<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "agentId")]
    agent: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, rename = "stepDetails")]
    details: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

/// What a delta, the details of a step or its result hold.
#[derive(Deserialize)]
struct Held<'a> {
    /// The step, in a result.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

/// What an agent does that another one started as a tool: an event within an event.
#[derive(Deserialize)]
struct Subagent<'a> {
    #[serde(borrow)]
    phase: Option<&'a RawValue>,
    #[serde(borrow, rename = "subagentAgentId")]
    agent: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Tells what an event about a step says; nothing where it is about something else.
pub(super) fn tell_step(event: &str, data: &RawValue, steps: &mut Steps, tell: &mut dyn FnMut(Event<'_>)) {
    if event != "on_subagent_update" {
        return tell_of(event, data, None, steps, tell);
    }
    let Ok(update) = serde_json::from_str::<Subagent<'_>>(data.get()) else { return };
    let event = match update.phase.and_then(text).as_deref() {
        Some("run_step") => "on_run_step",
        Some("run_step_delta") => "on_run_step_delta",
        Some("run_step_completed") => "on_run_step_completed",
        Some("message_delta") => "on_message_delta",
        Some("reasoning_delta") => "on_reasoning_delta",
        _ => return,
    };
    if let Some(data) = update.data {
        let agent = update.agent.and_then(text);
        tell_of(event, data, agent.as_deref(), steps, tell);
    }
}

/// The same, for an agent that is known.
fn tell_of(event: &str, data: &RawValue, known: Option<&str>, steps: &mut Steps, tell: &mut dyn FnMut(Event<'_>)) {
    let Ok(step) = serde_json::from_str::<Step<'_>>(data.get()) else { return };
    match event {
        "on_run_step" => {
            let own = step.agent.and_then(text);
            let agent = known.or(own.as_deref());
            if let (Some(agent), Some(id)) = (agent, step.id.and_then(text)) {
                steps.insert(&id, agent);
            }
            let Some(details) = step.details.and_then(Held::read) else { return };
            let calls = details.tool_calls.map(each);
            tell(Event::Step { agent, calls: calls.is_some() });
            for written in calls.into_iter().flatten() {
                call(written, true, false, &mut |_, text| tell(Event::Call { agent, text }));
            }
        }
        "on_message_delta" | "on_reasoning_delta" => {
            let agent = steps.of(step.id, known);
            if let Some(content) = step.delta.and_then(Held::read).and_then(|delta| delta.content) {
                tell_content(agent, content, tell);
            }
        }
        "on_run_step_delta" => {
            let agent = steps.of(step.id, known);
            let calls = step.delta.and_then(Held::read).and_then(|delta| delta.tool_calls);
            for written in calls.into_iter().flat_map(each) {
                call(written, true, false, &mut |_, text| tell(Event::Call { agent, text }));
            }
        }
        "on_run_step_completed" => {
            let Some(result) = step.result.and_then(Held::read) else { return };
            let agent = steps.of(result.id, known);
            if let Some(done) = result.tool_call {
                call(done, false, true, &mut |_, text| tell(Event::Result { agent, text }));
            }
        }
        "on_summarize_delta" => {
            let summary = step.delta.and_then(Held::read).and_then(|delta| delta.summary).and_then(Held::read);
            if let Some(content) = summary.and_then(|summary| summary.content) {
                parts(content, &mut |_, _, text| tell(Event::Reasoning { agent: None, text }));
            }
        }
        _ => {}
    }
}

fn tell_content(agent: Option<&str>, content: &RawValue, tell: &mut dyn FnMut(Event<'_>)) {
    let of_part = |own: Option<&str>, kind, text: &str, tell: &mut dyn FnMut(Event<'_>)| {
        let agent = own.or(agent);
        tell(match kind {
            Kind::Text => Event::Text { agent, text },
            Kind::Reasoning => Event::Reasoning { agent, text },
            Kind::Call => Event::Call { agent, text },
            Kind::Result => Event::Result { agent, text },
        });
    };
    parts(content, &mut |own, kind, text| of_part(own, kind, text, tell));
}

// === impl Steps ===

impl Steps {
    /// Remembers the agent of a step that was told to somebody who came late.
    pub(super) fn remember(&mut self, step: &RawValue) {
        let Ok(step) = serde_json::from_str::<Step<'_>>(step.get()) else { return };
        if let (Some(id), Some(agent)) = (step.id.and_then(text), step.agent.and_then(text)) {
            self.insert(&id, &agent);
        }
    }

    fn insert(&mut self, step: &str, agent: &str) {
        if self.agents.len() < MOST && step.len().max(agent.len()) <= LONGEST_ID {
            self.agents.insert(step.into(), agent.into());
        }
    }

    fn of<'a>(&'a self, step: Option<&RawValue>, known: Option<&'a str>) -> Option<&'a str> {
        // Most streams have one agent, and name none.
        if known.is_some() || self.agents.is_empty() {
            return known;
        }
        self.agents.get(text(step?)?.as_ref()).map(AsRef::as_ref)
    }
}

// === impl Held ===

impl<'a> Held<'a> {
    fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}
