//! What is not there, and why that may be right: it has expired, or an event tells that it was lost.

use jiff::Timestamp;
use uuid::Uuid;

use super::super::line::Kind;
use super::beginnings::{Beginning, Beginnings};
use super::finding::{Finding, Findings, What};
use super::{Expiry, Facts};

/// So many stretches are kept until the events of their instance are known.
const MOST: usize = 100_000;

/// Stretches of lines that are not there, of one instance.
#[derive(Debug, Default)]
pub(super) struct Missing {
    stretches: Vec<Stretch>,
    /// Stretches that events tell of which a head covers.
    lost: Vec<(Kind, u64, u64)>,
    /// The same, but no head covers the event yet.
    claimed: Vec<(Kind, u64, u64)>,
    /// Losses of which only the end is known, and a head covers the event.
    beginnings: Beginnings,
    /// The same, but no head covers the event yet.
    claimed_beginnings: Vec<Beginning>,
}

/// Lines that are not there.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) kind: Kind,
    pub(super) from: u64,
    pub(super) to: u64,
    /// From here on nothing vouches for what is before it.
    pub(super) since: u64,
    pub(super) order: Timestamp,
}

/// How many of a kind are not there for a good reason.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Excused {
    pub(super) lost: u64,
    pub(super) expired: u64,
}

// === impl Missing ===

impl Missing {
    /// Notes a stretch; where there are too many, it is a finding at once.
    pub(super) fn note(&mut self, instance: Uuid, stretch: Stretch, out: &mut Findings) {
        let (from, to) = (stretch.from, stretch.to);
        if self.stretches.len() < MOST {
            self.stretches.push(stretch)
        } else {
            out.push(stretch.finding(instance, (from, to), false))
        }
    }

    /// Believes an event that a head covers.
    pub(super) fn believe(&mut self, lost: (Kind, u64, u64)) {
        self.lost.push(lost);
    }

    /// Hears an event that no head covers.
    pub(super) fn hear(&mut self, lost: (Kind, u64, u64)) {
        self.claimed.push(lost);
    }

    /// Believes an event of lines of which nobody can tell how many were lost. A head covers it.
    pub(super) fn believe_beginning(&mut self, beginning: Beginning) {
        self.beginnings.add(beginning);
    }

    /// Hears one that no head covers.
    pub(super) fn hear_beginning(&mut self, beginning: Beginning) {
        self.claimed_beginnings.push(beginning);
    }

    /// Says which of what is missing should be there. `horizon`: all lines up to this number may have expired.
    pub(super) fn settle(
        &mut self,
        kind: Kind,
        instance: Uuid,
        facts: &Facts,
        horizon: u64,
        out: &mut Findings,
    ) -> Excused {
        let mut excused = Excused::default();
        let (stretches, others) =
            std::mem::take(&mut self.stretches).into_iter().partition(|stretch| stretch.kind == kind);
        self.stretches = others;
        let stretches: Vec<Stretch> = stretches;
        for stretch in &stretches {
            let whole_beginning = facts.expiry(kind) == Expiry::Unknown && stretch.from == 1;
            let expired_to = if whole_beginning { stretch.to } else { stretch.to.min(horizon) };
            let expired = (expired_to + 1).saturating_sub(stretch.from);
            excused.expired = excused.expired.saturating_add(expired);
            let rest = stretch.from.max(expired_to.saturating_add(1));
            let mut known: Vec<_> =
                self.lost.iter().filter(|lost| lost.0 == kind).map(|lost| (lost.1, lost.2)).collect();
            known.sort_unstable();
            for (from, to) in without(rest, stretch.to, &known, &mut excused.lost) {
                for (from, to) in self.beginnings.without(kind, from, to, &mut excused.lost) {
                    out.push(stretch.finding(instance, (from, to), self.is_claimed(kind, from, to)));
                }
            }
        }
        excused
    }

    /// Whether an event tells that these were lost which no head covers yet.
    fn is_claimed(&self, kind: Kind, from: u64, to: u64) -> bool {
        self.claimed.iter().any(|claim| claim.0 == kind && claim.1 <= from && to <= claim.2)
            || self.claimed_beginnings.iter().any(|claim| claim.before(kind) == Some(to.saturating_add(1)))
    }
}

impl Stretch {
    fn finding(&self, instance: Uuid, seq: (u64, u64), claimed: bool) -> Finding {
        let what = if self.kind == Kind::Head { What::HeadsMissing } else { What::Removed };
        let is = if seq.0 == seq.1 { "it is" } else { "they are" };
        let why = if claimed {
            format!(
                "{is} gone; an event tells that {is} lost, but no head covers that event: verify again when there is one"
            )
        } else {
            format!("{is} gone, and the record does not tell why")
        };
        let since = (self.since < seq.0).then_some(self.since);
        Finding { since, ..Finding::about(what, self.kind, instance, seq, self.order, why) }
    }
}

/// What is left of a stretch without these ones, which are sorted; how much they take is added up.
fn without(mut from: u64, to: u64, known: &[(u64, u64)], taken: &mut u64) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    for &(start, end) in known {
        let (start, end) = (start.max(from), end.min(to));
        if from > to || start > end {
            continue;
        }
        if start > from {
            left.push((from, start - 1));
        }
        *taken = taken.saturating_add(end - start + 1);
        from = end.saturating_add(1);
    }
    if from <= to {
        left.push((from, to));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_taken_out_of_a_stretch() {
        for (known, left, takes) in [
            (vec![], vec![(5, 9)], 0),
            (vec![(1, 20)], vec![], 5),
            (vec![(5, 9)], vec![], 5),
            (vec![(6, 7)], vec![(5, 5), (8, 9)], 2),
            (vec![(1, 5), (9, 12)], vec![(6, 8)], 2),
            (vec![(1, 6), (2, 7), (7, 7)], vec![(8, 9)], 3),
            (vec![(1, 4), (10, 12)], vec![(5, 9)], 0),
            (vec![(9, 4)], vec![(5, 9)], 0),
            (vec![(0, u64::MAX)], vec![], 5),
        ] {
            let mut taken = 0;
            assert_eq!(without(5, 9, &known, &mut taken), left, "{known:?}");
            assert_eq!(taken, takes, "{known:?}");
        }
    }
}
