//! Lines that were lost with no earlier one of their kind left beside them: nothing tells how many they were. What is known is how many
//! frames of the spool were lost, each with one line of any kind, and for each kind the first number that was still there.

use serde::Deserialize;

use super::super::line::Kind;

/// One such loss, as an event tells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Beginning {
    /// The frames that were lost.
    frames: Frames,
    /// The first numbers that were still there.
    before: Before,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Frames {
    /// How many.
    lost: u64,
}

/// None where no line of the kind was lost so.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    head: Option<u64>,
    audit: Option<u64>,
    usage: Option<u64>,
}

/// The losses of one instance that events tell of. Of each, `frames.lost` is what is not yet taken for a line that is missing.
#[derive(Debug, Default)]
pub(super) struct Beginnings(Vec<Beginning>);

// === impl Beginning ===

impl Beginning {
    /// The first number of this kind that was still there.
    pub(super) fn before(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::Head => self.before.head,
            Kind::Audit => self.before.audit,
            Kind::Usage => self.before.usage,
        }
    }
}

// === impl Beginnings ===

impl Beginnings {
    /// Adds one. The same loss may be told twice, where a process was killed after it had told, and excuses no more for that.
    pub(super) fn add(&mut self, beginning: Beginning) {
        if !self.0.contains(&beginning) {
            self.0.push(beginning);
        }
    }

    /// What is left of a missing stretch without what was lost so: only what is right before the first number that was still there, and of
    /// all kinds together no more than there were frames. How much that is is added up.
    pub(super) fn without(&mut self, kind: Kind, from: u64, mut to: u64, taken: &mut u64) -> Vec<(u64, u64)> {
        let mut left = Vec::new();
        while from <= to
            && let Some((place, before)) = self.last(kind, from, to)
        {
            // What was still there at an earlier loss is the first that can have been lost at this one.
            let earlier = self.0.iter().filter_map(|other| other.before(kind)).filter(|other| *other < before).max();
            let Some(told) = self.0.get_mut(place) else { break };
            let start = before.saturating_sub(told.frames.lost).max(earlier.unwrap_or(from)).max(from);
            told.frames.lost -= before - start;
            *taken = taken.saturating_add(before - start);
            if before <= to {
                left.push((before, to));
            }
            to = start - 1;
        }
        if from <= to {
            left.push((from, to));
        }
        left.reverse();
        left
    }

    /// The last loss that ends in this stretch and has frames left, and the first number after it.
    fn last(&self, kind: Kind, from: u64, to: u64) -> Option<(usize, u64)> {
        let open = self.0.iter().enumerate().filter(|(_, beginning)| beginning.frames.lost > 0);
        let within = open.filter_map(|(place, beginning)| {
            let before = beginning.before(kind)?;
            (from < before && before - 1 <= to).then_some((place, before))
        });
        within.max_by_key(|(_, before)| *before)
    }
}
