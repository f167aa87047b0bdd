//! What a turn is charged for, by what is known of it: one pure function.
//!
//! Unknown is not zero, and an explicit zero is zero.

use serde::{Deserialize, Serialize};

use super::claim::Spent;
use crate::policy::charges::Tokens;
use crate::record::entry::{Ended, Source};

/// How a turn ended, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    /// With its answer.
    Finished,
    /// Somebody stopped it. LibreChat writes down nothing for it (CONTRACT.md E.4).
    Aborted,
    /// With an error, after it had been begun.
    Failed,
    /// A run of an assistant that has not told its whole answer: it was stopped, it failed, or its reader left. More may have been
    /// written than it told, for LibreChat tells what the provider says piece by piece, with pauses.
    Cut,
    /// With LibreChat's own refusal, or somebody's stop, before any model was asked.
    Refused,
    /// It is over; how is not known.
    Gone,
    /// It has not ended in the time that its hold has, or nobody can say whether it has.
    Lost,
}

// === impl End ===

impl End {
    /// The word of the record for it; none where it is not known to have ended.
    pub(super) fn told(self) -> Option<Ended> {
        match self {
            Self::Finished => Some(Ended::Finished),
            Self::Aborted => Some(Ended::Aborted),
            Self::Failed => Some(Ended::Failed),
            Self::Cut => Some(Ended::Cut),
            Self::Refused => Some(Ended::Refused),
            Self::Gone => Some(Ended::Gone),
            Self::Lost => None,
        }
    }

    /// Whether somebody saw it end at the moment when it did. One that is gone was over some time before that was heard, and of a run
    /// that is cut LibreChat may go on for some seconds.
    pub(super) fn was_seen(self) -> bool {
        matches!(self, Self::Finished | Self::Aborted | Self::Failed | Self::Refused)
    }
}

/// What was seen of a turn's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether anything of it was seen that says how much there was: text, or the end of a stream without any.
    pub(super) anything: bool,
    /// Whether all of it was read when the turn was over, as LibreChat keeps it: its caller may have changed that.
    pub(super) kept: bool,
    /// What was given to the model, by LibreChat's own count, where it says so.
    pub(super) input: Option<u64>,
    /// What models wrote, by our count.
    pub(super) output: Vec<Spent>,
    /// How often a model was called again with what a tool gave back: each time it is given all anew.
    pub(super) again: u64,
    /// What came to the input of those calls, in tokens.
    pub(super) grown: u64,
}

/// What is known of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// How it ended.
    pub(super) end: End,
    /// Exact figures, where somebody has them: LibreChat's rows, or the provider's word.
    pub(super) exact: Option<(&'a [Spent], Source)>,
    /// Whether these are all: no row is missing.
    pub(super) whole: bool,
    /// What was seen.
    pub(super) seen: &'a Seen,
    /// What was taken. The first run is the model that answers first.
    pub(super) estimate: &'a [Spent],
}

/// What a turn is charged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bill {
    /// Nothing: all of it is given back, the request and its message, too.
    Nothing,
    /// These runs: calls of models, each by itself, for what a token costs may depend on the length of its prompt.
    Runs(Vec<Spent>, Source),
}

// === impl Bill ===

impl Bill {
    /// Charges these calls, too, which were made beside the answer.
    pub(super) fn add(&mut self, beside: &[Spent]) {
        if beside.is_empty() {
            return;
        }
        match self {
            Self::Nothing => *self = Self::Runs(beside.to_vec(), Source::Transactions),
            Self::Runs(runs, _) => runs.extend_from_slice(beside),
        }
    }
}

/// What is charged:
///
/// | it ended | exact figures | seen | charged |
/// |---|---|---|---|
/// | refused | none | nothing | nothing |
/// | finished, gone, failed, refused | yes | | the exact figures |
/// | finished | no | yes | LibreChat's count of the input, else the estimate's; the output seen |
/// | gone, aborted, failed, refused | no | yes | the estimate's input, at least what LibreChat counted; the output seen |
/// | aborted, cut | yes | | the exact figures, and at least the estimate's input and the output seen |
/// | cut | no | yes | the most of the estimate and the output seen |
/// | any of these | in part | | the exact figures, and at least what is charged without them |
/// | any of these | no | nothing | the estimate |
/// | any of these | no | only afterwards | the most of the estimate and the output seen |
/// | not | | | the most of all that is known, in every part |
///
/// Exact figures of no call at all are none.
pub(super) fn bill(known: &Known<'_>) -> Bill {
    let Known { end, seen, estimate, whole, .. } = *known;
    let exact = known.exact.filter(|(runs, _)| !runs.is_empty());
    let charged = |runs, origin| Bill::Runs(runs, origin);
    match (end, exact) {
        (End::Refused, None) if !seen.anything => Bill::Nothing,
        (End::Lost, exact) => {
            let runs = exact.map_or_else(Vec::new, |(runs, _)| runs.to_vec());
            let origin = exact.map_or(Source::Estimate, |(_, origin)| origin);
            charged(most(most(runs, watched(known, false)), estimate.to_vec()), origin)
        }
        (_, Some((runs, origin))) if !whole => charged(most(runs.to_vec(), inexact(known).0), origin),
        (End::Finished | End::Gone | End::Failed | End::Refused, Some((runs, origin))) => {
            charged(runs.to_vec(), origin)
        }
        (End::Aborted | End::Cut, Some((runs, origin))) => charged(most(runs.to_vec(), watched(known, false)), origin),
        (_, None) => {
            let (runs, origin) = inexact(known);
            charged(runs, origin)
        }
    }
}

/// What is charged without exact figures.
fn inexact(known: &Known<'_>) -> (Vec<Spent>, Source) {
    let estimate = known.estimate.to_vec();
    if !known.seen.anything {
        return (estimate, Source::Estimate);
    }
    if known.end == End::Cut {
        return (most(watched(known, false), estimate), Source::Stream);
    }
    if known.seen.kept {
        let runs = most(estimate, watched(known, false));
        let raised = joined(&runs) != joined(known.estimate);
        return (runs, if raised { Source::Stream } else { Source::Estimate });
    }
    (watched(known, known.end == End::Finished), Source::Stream)
}

/// Most calls of one model after the first that stand by themselves; what more there were is one call.
const MOST_AGAIN: u64 = 100;

/// What was seen: the output as counted, with the input that the estimate has. LibreChat counts the input of the first model
/// alone: its count replaces the estimate's where it may (`counted`), and else only ever raises it.
fn watched(known: &Known<'_>, counted: bool) -> Vec<Spent> {
    let mut runs = joined(known.estimate);
    for run in &mut runs {
        run.tokens.output = 0;
    }
    if let (Some(first), Some(input)) = (runs.first_mut(), known.seen.input) {
        let input = if counted { input } else { input.max(first.tokens.given()) };
        first.tokens = Tokens { input, ..Tokens::default() };
    }
    let again = runs.first().cloned();
    for seen in &known.seen.output {
        let output = &mut place(&mut runs, seen).tokens.output;
        *output = output.saturating_add(seen.tokens.output);
    }
    if let Some(first) = again {
        called_again(&mut runs, &first, known.seen);
    }
    runs
}

/// Each time the first model is called again it is given all anew; the last time also all that has come to it. That these calls were
/// given parts of it before is in what was counted.
fn called_again(runs: &mut Vec<Spent>, first: &Spent, seen: &Seen) {
    let alone = seen.again.min(MOST_AGAIN);
    let call = |input| Spent { tokens: Tokens { input, ..Tokens::default() }, ..first.clone() };
    let given = first.tokens.given();
    for _ in 1..alone {
        runs.push(call(given));
    }
    let last = given.saturating_mul(seen.again.saturating_sub(alone.saturating_sub(1))).saturating_add(seen.grown);
    if last > 0 && seen.again > 0 {
        runs.push(call(last));
    }
}

/// The runs, each model once.
pub(super) fn joined(runs: &[Spent]) -> Vec<Spent> {
    let mut joined = Vec::with_capacity(runs.len());
    for run in runs {
        let tokens = &mut place(&mut joined, run).tokens;
        tokens.input = tokens.input.saturating_add(run.tokens.input);
        tokens.cached_input = tokens.cached_input.saturating_add(run.tokens.cached_input);
        tokens.cache_write = tokens.cache_write.saturating_add(run.tokens.cache_write);
        tokens.output = tokens.output.saturating_add(run.tokens.output);
    }
    joined
}

/// For each model the more of both: what is missing of its input is added to what is in no cache, in its first call.
fn most(mut runs: Vec<Spent>, others: Vec<Spent>) -> Vec<Spent> {
    let all = joined(&runs);
    for other in joined(&others) {
        let has = all.iter().find(|run| run.is_of(&other)).map_or_else(Tokens::default, |run| run.tokens);
        let tokens = &mut place(&mut runs, &other).tokens;
        let missing = other.tokens.given().saturating_sub(has.given());
        tokens.input = tokens.input.saturating_add(missing);
        tokens.output = tokens.output.saturating_add(other.tokens.output.saturating_sub(has.output));
    }
    runs
}

/// The place of this run's model among the runs, made where it has none.
fn place<'a>(runs: &'a mut Vec<Spent>, of: &Spent) -> &'a mut Spent {
    let at = runs.iter().position(|run| run.is_of(of));
    let at = at.unwrap_or_else(|| {
        runs.push(Spent { tokens: Tokens::default(), ..of.clone() });
        runs.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
    &mut runs[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(model: &str, input: u64, cached_input: u64, output: u64) -> Spent {
        let tokens = Tokens { input, cached_input, cache_write: 0, output };
        Spent { endpoint: "openAI".into(), model: model.into(), tokens }
    }

    fn seen(input: Option<u64>, output: u64) -> Seen {
        Seen { anything: true, input, output: vec![spent("a", 0, 0, output)], ..Seen::default() }
    }

    /// End, exact, seen, what is charged. The estimate is 100 in and 50 out for model a, 10 and 5 for model b.
    #[test]
    fn what_is_known_decides_what_is_charged() {
        use End::{Aborted, Cut, Failed, Finished, Gone, Lost, Refused};
        use Source::{Estimate, Provider, Stream, Transactions};
        let estimate = [spent("a", 60, 0, 50), spent("a", 40, 0, 0), spent("b", 10, 0, 5)];
        let nothing = Seen::default;
        let a = |input, cached, output| vec![spent("a", input, cached, output)];
        let ab =
            |input, output, b_input, b_output| vec![spent("a", input, 0, output), spent("b", b_input, 0, b_output)];
        let rows = |runs| Some((runs, Transactions));
        for (end, exact, seen, charged, origin) in [
            (Finished, rows(a(7, 3, 9)), seen(Some(20), 30), a(7, 3, 9), Transactions),
            (Finished, rows(a(0, 0, 0)), seen(Some(20), 30), a(0, 0, 0), Transactions),
            // No call is no figure.
            (Finished, rows(vec![]), nothing(), ab(100, 50, 10, 5), Estimate),
            (Finished, rows(vec![]), seen(Some(20), 30), ab(20, 30, 10, 0), Stream),
            (Gone, rows(vec![]), nothing(), ab(100, 50, 10, 5), Estimate),
            (Gone, rows(vec![]), seen(Some(20), 30), ab(100, 30, 10, 0), Stream),
            (Aborted, rows(vec![]), seen(None, 30), ab(100, 30, 10, 0), Stream),
            (Aborted, rows(vec![]), nothing(), ab(100, 50, 10, 5), Estimate),
            (Finished, Some((a(7, 3, 9), Provider)), nothing(), a(7, 3, 9), Provider),
            (Finished, None, seen(Some(20), 30), ab(20, 30, 10, 0), Stream),
            (Finished, None, seen(Some(0), 0), ab(0, 0, 10, 0), Stream),
            (Finished, None, seen(None, 0), ab(100, 0, 10, 0), Stream),
            (Finished, None, seen(None, 900), ab(100, 900, 10, 0), Stream),
            (Finished, None, nothing(), ab(100, 50, 10, 5), Estimate),
            (Gone, rows(a(7, 3, 9)), nothing(), a(7, 3, 9), Transactions),
            (Gone, None, seen(Some(20), 30), ab(100, 30, 10, 0), Stream),
            (Gone, None, nothing(), ab(100, 50, 10, 5), Estimate),
            (Aborted, None, seen(Some(20), 3), ab(100, 3, 10, 0), Stream),
            (Aborted, None, seen(Some(200), 3), ab(200, 3, 10, 0), Stream),
            (Aborted, None, seen(None, 0), ab(100, 0, 10, 0), Stream),
            (Aborted, None, nothing(), ab(100, 50, 10, 5), Estimate),
            (
                Aborted,
                rows(a(7, 3, 9)),
                seen(None, 30),
                vec![spent("a", 97, 3, 30), spent("b", 10, 0, 0)],
                Transactions,
            ),
            (
                Aborted,
                rows(a(500, 0, 90)),
                seen(None, 30),
                vec![spent("a", 500, 0, 90), spent("b", 10, 0, 0)],
                Transactions,
            ),
            (Failed, None, seen(None, 30), ab(100, 30, 10, 0), Stream),
            (Failed, None, nothing(), ab(100, 50, 10, 5), Estimate),
            (Failed, rows(a(7, 3, 9)), nothing(), a(7, 3, 9), Transactions),
            (Cut, None, seen(None, 3), ab(100, 50, 10, 5), Stream),
            (Cut, None, seen(None, 300), ab(100, 300, 10, 5), Stream),
            (Cut, None, nothing(), ab(100, 50, 10, 5), Estimate),
            (Cut, rows(a(7, 3, 9)), seen(None, 30), vec![spent("a", 97, 3, 30), spent("b", 10, 0, 0)], Transactions),
            (Refused, rows(a(7, 3, 9)), nothing(), a(7, 3, 9), Transactions),
            (Refused, None, seen(None, 30), ab(100, 30, 10, 0), Stream),
            (Lost, None, nothing(), ab(100, 50, 10, 5), Estimate),
            (Lost, None, seen(Some(20), 30), ab(100, 50, 10, 5), Estimate),
            (Lost, None, seen(Some(20), 300), ab(100, 300, 10, 5), Estimate),
            (Lost, rows(a(7, 3, 900)), nothing(), vec![spent("a", 97, 3, 900), spent("b", 10, 0, 5)], Transactions),
        ] {
            let known = Known {
                end,
                exact: exact.as_ref().map(|(runs, origin)| (runs.as_slice(), *origin)),
                whole: true,
                seen: &seen,
                estimate: &estimate,
            };
            let Bill::Runs(runs, source) = bill(&known) else { panic!("{known:?}") };
            assert_eq!((joined(&runs), source), (charged, origin), "{known:?}");
        }
        let none = Seen::default();
        for exact in [None, Some((&[][..], Transactions))] {
            let known = Known { end: Refused, exact, whole: true, seen: &none, estimate: &estimate };
            assert_eq!(bill(&known), Bill::Nothing);
        }
    }

    /// What a row does not tell yet is not zero.
    #[test]
    fn rows_in_part_make_nothing_cheaper_than_it_is_without_them() {
        use End::{Aborted, Cut, Failed, Finished, Gone, Lost, Refused};
        let estimate = [spent("a", 100, 0, 50)];
        let heard = || seen(Some(20), 30);
        let kept = |output| Seen { kept: true, ..seen(None, output) };
        let prompt = || vec![spent("a", 90, 0, 0)];
        let completion = || vec![spent("a", 0, 0, 40)];
        for (end, rows, seen, charged) in [
            (Finished, prompt(), heard(), (90, 30)),
            (Finished, completion(), heard(), (20, 40)),
            (Finished, prompt(), Seen::default(), (100, 50)),
            (Gone, prompt(), heard(), (100, 30)),
            (Gone, prompt(), Seen::default(), (100, 50)),
            (Gone, prompt(), kept(900), (100, 900)),
            (Gone, prompt(), kept(3), (100, 50)),
            (Failed, completion(), Seen::default(), (100, 50)),
            (Refused, completion(), Seen::default(), (100, 50)),
            (Aborted, prompt(), heard(), (100, 30)),
            (Aborted, prompt(), Seen::default(), (100, 50)),
            (Cut, completion(), heard(), (100, 50)),
            (Lost, completion(), heard(), (100, 50)),
        ] {
            let exact = Some((rows.as_slice(), Source::Transactions));
            let known = Known { end, exact, whole: false, seen: &seen, estimate: &estimate };
            let Bill::Runs(runs, source) = bill(&known) else { panic!("{known:?}") };
            let expected = (vec![spent("a", charged.0, 0, charged.1)], Source::Transactions);
            assert_eq!((joined(&runs), source), expected, "{known:?}");
        }
    }

    /// What is read afterwards may have been made shorter; longer than it was it is not made.
    #[test]
    fn what_was_only_read_afterwards_makes_nothing_cheaper_than_the_estimate() {
        let estimate = [spent("a", 100, 0, 50)];
        for (output, charged, source) in
            [(3, 50, Source::Estimate), (50, 50, Source::Estimate), (51, 51, Source::Stream)]
        {
            let seen = Seen { kept: true, ..seen(None, output) };
            let known = Known { end: End::Gone, exact: None, whole: false, seen: &seen, estimate: &estimate };
            assert_eq!(bill(&known), Bill::Runs(vec![spent("a", 100, 0, charged)], source), "{output}");
        }
    }

    #[test]
    fn a_model_that_is_called_again_is_given_all_anew() {
        let seen = Seen { again: 2, grown: 13, ..seen(Some(20), 30) };
        let known =
            Known { end: End::Finished, exact: None, whole: true, seen: &seen, estimate: &[spent("a", 100, 0, 50)] };
        let calls = vec![spent("a", 20, 0, 30), spent("a", 20, 0, 0), spent("a", 20 + 13, 0, 0)];
        assert_eq!(bill(&known), Bill::Runs(calls, Source::Stream));
        // However often that is, there are not more calls than can be written down.
        let often = Seen { again: 1_000_000, ..seen.clone() };
        let Bill::Runs(calls, _) = bill(&Known { seen: &often, ..known }) else { panic!("{known:?}") };
        assert_eq!((calls.len(), joined(&calls)), (101, vec![spent("a", 20 * 1_000_001 + 13, 0, 30)]));
    }

    /// What a token costs may depend on the length of the call that it is in.
    #[test]
    fn calls_of_one_model_stay_apart() {
        let rows = [spent("a", 7, 0, 1), spent("a", 5, 0, 2), spent("b", 1, 0, 1)];
        let none = Seen::default();
        let estimate = [spent("a", 10, 0, 50), spent("a", 20, 0, 0)];
        let known = |end, exact| Known { end, exact, whole: true, seen: &none, estimate: &estimate };
        let exact = Some((&rows[..], Source::Transactions));
        for end in [End::Finished, End::Gone, End::Failed, End::Refused] {
            assert_eq!(bill(&known(end, exact)), Bill::Runs(rows.to_vec(), Source::Transactions), "{end:?}");
        }
        assert_eq!(bill(&known(End::Finished, None)), Bill::Runs(estimate.to_vec(), Source::Estimate));
        // What an end raises is raised once, in the first call.
        let raised = vec![spent("a", 25, 0, 1), spent("a", 5, 0, 2), spent("b", 1, 0, 1)];
        assert_eq!(bill(&known(End::Aborted, exact)), Bill::Runs(raised, Source::Transactions));
    }

    #[test]
    fn a_model_that_was_not_thought_of_is_charged_too() {
        let seen = Seen { anything: true, output: vec![spent("c", 0, 0, 9)], ..Seen::default() };
        let known =
            Known { end: End::Finished, exact: None, whole: true, seen: &seen, estimate: &[spent("a", 5, 0, 5)] };
        assert_eq!(bill(&known), Bill::Runs(vec![spent("a", 5, 0, 0), spent("c", 0, 0, 9)], Source::Stream));
        // Nothing was thought of at all.
        let known = Known { end: End::Lost, exact: None, whole: true, seen: &seen, estimate: &[] };
        assert_eq!(bill(&known), Bill::Runs(vec![spent("c", 0, 0, 9)], Source::Estimate));
    }
}
