//! How far a turn is, as one reader of its stream has seen it: what models wrote, counted while it passes.

use std::borrow::Cow;
use std::sync::Arc;

use super::claim::Spent;
use super::rule::Seen;
use crate::librechat::said::{Kind, Said, model_of};
use crate::librechat::stream::Event;
use crate::meter::tokens::{Tally, Tokenizer};
use crate::policy::Snapshot;
use crate::policy::charges::Tokens;

/// Most agents of one turn that are told apart; the text of more counts for the last one.
const MOST_WRITERS: usize = 32;

/// What one reader has seen.
#[derive(Debug, Default)]
pub(super) struct Progress {
    writers: Vec<Writer>,
    /// Whether it says how much there was.
    pub(super) anything: bool,
    /// Whether it was there from the first event on.
    pub(super) from_start: bool,
    /// LibreChat's own count of what the first model was given.
    pub(super) input: Option<u64>,
    /// Whether it was read when the turn was over, and nothing was seen of it while it ran: whose turn it is may have changed that meanwhile.
    kept: bool,
    /// The id of the response.
    pub(super) response: Option<Box<str>>,
    /// How often a model was called again with the result of a tool, and so with all that it was given before.
    again: u64,
    /// Tokens that came to those calls: what was written and what tools gave back until then.
    grown: u64,
    /// A tool gave something back, and no model has written since.
    answered: bool,
    first: First,
}

/// The first text of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum First {
    /// Has not come.
    #[default]
    Awaited,
    /// Has just passed.
    Passed,
    /// Was written before this reader came.
    Missed,
    /// Whoever follows the turn knows of it.
    Told,
}

/// What one agent wrote.
#[derive(Debug)]
struct Writer {
    agent: Option<Box<str>>,
    written: Tally,
    /// What its tools gave back.
    given: Tally,
}

// === impl Progress ===

impl Progress {
    /// What LibreChat says was written so far. `runs` are the models that the turn was thought to run.
    pub(super) fn of(said: &Said, runs: &[Spent]) -> Self {
        let mut progress = Self { anything: true, ..Self::default() };
        for piece in &said.pieces {
            progress.push(piece.agent.as_deref(), piece.kind, &piece.text, runs);
        }
        if progress.first == First::Passed {
            progress.first = First::Missed;
        }
        progress
    }

    /// Follows one event of the stream; its end is for the caller.
    pub(super) fn follow(&mut self, event: &Event<'_>, runs: &[Spent]) {
        match event {
            Event::Created { .. } => self.from_start = true,
            Event::Text { agent, text } => self.push(*agent, Kind::Text, text, runs),
            Event::Reasoning { agent, text } => self.push(*agent, Kind::Reasoning, text, runs),
            Event::Call { agent, text } => self.push(*agent, Kind::Call, text, runs),
            Event::Result { agent, text } => self.push(*agent, Kind::Result, text, runs),
            Event::Sync(so_far) => {
                *self = Self { from_start: true, response: so_far.response.clone(), ..Self::of(&so_far.said, runs) };
            }
            // A model was called, whatever it will say.
            Event::Step { .. } | Event::TooLong(_) => self.anything = true,
            Event::Final(_) | Event::Error(_) => {}
        }
    }

    /// Whether the first text of a model has just passed (true), or had been written before this reader came. Says so once.
    pub(super) fn first_text(&mut self) -> Option<bool> {
        let passed = match self.first {
            First::Awaited | First::Told => return None,
            First::Passed => true,
            First::Missed => false,
        };
        self.first = First::Told;
        Some(passed)
    }

    /// All tokens that were written, for telling which reader is the furthest.
    pub(super) fn written(&self) -> u64 {
        self.writers.iter().map(|writer| writer.written.total()).sum()
    }

    /// The further one of both. What one of them knows of the response counts, whoever is further.
    pub(super) fn or_further(&mut self, other: Self) {
        let (input, response) = (self.input.or(other.input), self.response.take().or_else(|| other.response.clone()));
        if other.written() > self.written() || !self.anything {
            *self = other;
        }
        (self.input, self.response) = (input, response);
    }

    /// The further one of both, where the other is what LibreChat keeps.
    pub(super) fn or_kept(&mut self, mut other: Self) {
        other.kept = self.kept || !self.anything;
        self.or_further(other);
    }

    /// What was seen, by model. `policy` knows which model is the dearest.
    pub(super) fn seen(&self, runs: &[Spent], policy: &Snapshot) -> Seen {
        let mut output = Vec::with_capacity(self.writers.len());
        for writer in &self.writers {
            let (endpoint, model) = writer.model(runs, policy);
            let tokens = Tokens { output: writer.written.total(), ..Tokens::default() };
            output.push(Spent { endpoint, model, tokens });
        }
        let Self { anything, kept, input, again, grown, .. } = *self;
        Seen { anything, kept, input, output, again, grown }
    }

    /// How many calls of models these are, at least: each agent that has written was called, and one is called again with what its tools gave
    /// back, unless that is for another agent.
    pub(super) fn calls(&self) -> usize {
        let writers = self.writers.iter().filter(|writer| writer.written.total() > 0).count();
        writers.max(usize::try_from(self.again).unwrap_or(usize::MAX).saturating_add(1))
    }

    /// A piece of what `agent` wrote, or of what its tools gave back.
    pub(super) fn push(&mut self, agent: Option<&str>, kind: Kind, text: &str, runs: &[Spent]) {
        if text.is_empty() {
            return;
        }
        self.anything = true;
        if kind == Kind::Result {
            self.answered = true;
            return self.writer(agent, runs).given.push(text);
        }
        if std::mem::take(&mut self.answered) {
            self.again += 1;
            let so_far = self.writers.iter().map(|writer| writer.written.total() + writer.given.total());
            self.grown = self.grown.saturating_add(so_far.sum());
        }
        if self.first == First::Awaited {
            self.first = First::Passed;
        }
        self.writer(agent, runs).written.push(text);
    }

    fn writer(&mut self, agent: Option<&str>, runs: &[Spent]) -> &mut Writer {
        let at = self.writers.iter().position(|writer| writer.agent.as_deref() == agent);
        let at = at.unwrap_or_else(|| {
            if self.writers.len() < MOST_WRITERS {
                self.writers.push(Writer::new(agent, runs));
            }
            self.writers.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.writers[at]
    }
}

// === impl Writer ===

impl Writer {
    fn new(agent: Option<&str>, runs: &[Spent]) -> Self {
        let named = agent.and_then(model_of).map(|(_, model)| model);
        let first = || runs.first().map_or(Cow::Borrowed(""), |run| Cow::Borrowed(&*run.model));
        let tokenizer = Tokenizer::of(&named.unwrap_or_else(first));
        Self { agent: agent.map(Box::from), written: Tally::new(tokenizer), given: Tally::new(tokenizer) }
    }

    /// Whose tokens these are: the model that the agent's id names, among those that the turn was thought to run; the first one
    /// where one model alone runs; and where it cannot be told, the dearest.
    fn model(&self, runs: &[Spent], policy: &Snapshot) -> (Arc<str>, Arc<str>) {
        let price = |run: &Spent| {
            let one = Tokens { output: 1, ..Tokens::default() };
            policy.price(&run.endpoint, &run.model).map_or(u64::MAX, |price| price.of(&one))
        };
        let run = match self.agent.as_deref() {
            None => runs.first(),
            Some(agent) => {
                let named = model_of(agent);
                let named = named.and_then(|(endpoint, model)| {
                    runs.iter().find(|run| &*run.endpoint == endpoint && run.model.replace("__", ":") == model)
                });
                // Of several that are as dear the first.
                named.or_else(|| runs.iter().rev().max_by_key(|run| price(run)))
            }
        };
        run.map_or_else(|| ("".into(), "".into()), |run| (Arc::clone(&run.endpoint), Arc::clone(&run.model)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Agent, kind of text: how many calls that takes.
    #[test]
    fn calls_are_counted_by_those_who_write_and_by_what_tools_give_back() {
        use Kind::{Call, Reasoning, Result, Text};
        let (a, b) = (Some("agent_a"), Some("agent_b"));
        for (said, calls) in [
            (vec![], 1),
            (vec![(None, Reasoning), (None, Text)], 1),
            (vec![(None, Call), (None, Result)], 1),
            (vec![(None, Call), (None, Result), (None, Result), (None, Text)], 2),
            (vec![(None, Call), (None, Result), (None, Call), (None, Result), (None, Text)], 3),
            (vec![(a, Text), (b, Text)], 2),
            // What a tool gave back may have been for the other one.
            (vec![(a, Call), (a, Result), (b, Text)], 2),
        ] {
            let mut progress = Progress::default();
            said.iter().for_each(|(agent, kind)| progress.push(*agent, *kind, "some words", &[]));
            assert_eq!(progress.calls(), calls, "{said:?}");
        }
    }
}
