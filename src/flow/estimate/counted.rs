//! The tokens of a turn's texts, counted once for all models that share a vocabulary, and never for long.

use super::{ARTIFACTS, FILE, Given, IMAGE, TOOL};
use crate::librechat::prompt::history::Said;
use crate::librechat::prompt::{Brief, Files};
use crate::meter::tokens::{PER_MESSAGE, Tokenizer};

/// Most bytes of text that are counted for one turn. What goes beyond it, whoever wrote it, takes no time, and is taken for a token
/// for every [`BYTES_OF_A_TOKEN`] bytes: twice what prose has.
pub const MOST_COUNTED: usize = 512 * 1024;

/// See [`MOST_COUNTED`].
const BYTES_OF_A_TOKEN: usize = 2;

/// The counts that runs with the same vocabulary share, without the factors of their models.
pub(super) struct Counted {
    text: u64,
    instructions: u64,
    /// As `Given::briefs`.
    briefs: Vec<u64>,
    /// As `Given::history`: what is counted here, and what is known already.
    history: Vec<(u64, u64)>,
}

/// A count that does not go on for ever.
struct Counter {
    vocabulary: Tokenizer,
    /// Bytes that are still counted.
    left: usize,
}

pub(super) fn tokens_of(files: Files) -> u64 {
    files.images.saturating_mul(IMAGE).saturating_add(files.others.saturating_mul(FILE))
}

// === impl Counted ===

impl Counted {
    pub(super) fn new(given: &Given<'_>, vocabulary: Tokenizer) -> Self {
        let prompt = given.prompt;
        let mut counter = Counter { vocabulary, left: MOST_COUNTED };
        let text = if prompt.edits && !given.history.is_empty() { "" } else { &*prompt.text };
        let added = prompt.added.as_ref().map_or("", |added| &added.instructions);
        Self {
            text: counter.count(text).saturating_add(counter.count(&prompt.edited)),
            instructions: counter.count(&prompt.instructions).saturating_add(counter.count(added)),
            briefs: given.briefs.iter().map(|brief| counter.count(&brief.instructions)).collect(),
            history: given.history.iter().map(|said| counter.said(said)).collect(),
        }
    }

    /// What a run is given: everything new, and as many messages before it, from the newest, as fit into `most` tokens.
    pub(super) fn input(
        &self,
        given: &Given<'_>,
        tokenizer: Tokenizer,
        brief: Option<(usize, &Brief)>,
        most: u64,
    ) -> u64 {
        let (mut tools, mut artifacts) = (given.prompt.tools, given.prompt.artifacts);
        let mut instructions = self.instructions;
        if let Some((place, brief)) = brief {
            instructions = instructions.saturating_add(self.briefs.get(place).copied().unwrap_or(u64::MAX));
            tools = tools.saturating_add(brief.tools);
            artifacts |= brief.artifacts;
        }
        let message = |tokens: u64| tokenizer.scaled(tokens).saturating_add(PER_MESSAGE);
        let parts = [
            message(self.text),
            if instructions == 0 { 0 } else { message(instructions) },
            tools.saturating_mul(TOOL),
            if artifacts { ARTIFACTS } else { 0 },
            tokens_of(given.prompt.files),
        ];
        let mut total = parts.into_iter().fold(0, u64::saturating_add);
        for (counted, known) in &self.history {
            let with = total.saturating_add(message(*counted)).saturating_add(*known);
            if with > most {
                break;
            }
            total = with;
        }
        total
    }
}

// === impl Counter ===

impl Counter {
    fn count(&mut self, text: &str) -> u64 {
        match self.left.checked_sub(text.len()) {
            Some(left) => {
                self.left = left;
                self.vocabulary.count(text)
            }
            None => {
                self.left = 0;
                u64::try_from(text.len() / BYTES_OF_A_TOKEN).unwrap_or(u64::MAX)
            }
        }
    }

    /// What is counted of a message, and what is known.
    fn said(&mut self, said: &Said) -> (u64, u64) {
        let files = tokens_of(said.files);
        match said.tokens {
            Some(tokens) => (0, tokens.saturating_add(files)),
            None => (self.count(&said.text), files),
        }
    }
}
