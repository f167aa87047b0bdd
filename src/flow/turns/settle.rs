//! From what is known of a turn to what is put on its counters and into its usage entry.

use jiff::Timestamp;

use super::claim::{Estimate, Spent};
use super::diary::{self, Billed};
use super::open::Receipts;
use super::rows::RowsOf;
use super::rule::{Bill, End, Known, bill, joined};
use super::{Turn, Turns};
use crate::librechat::balance::{self, CREDIT};
use crate::meter::{Receipt, plan};
use crate::metrics::IntCounterVec;
use crate::policy::charge::Charge;
use crate::policy::charges::{Amounts, Run, Tokens, Used};
use crate::policy::{Ask, Snapshot, rates};
use crate::record::entry::{Charged, RunUsed, Source, TokensUsed, Usd};
use crate::record::{Entry, Spent as Recorded, Usage};
use crate::store::StoreError;
use crate::store::counters::{Hold, Settled};

impl Turns {
    /// Says what a turn is charged for, by the end that it took and all that is known.
    pub(super) fn charge(&self, turn: &Turn, end: End) {
        let RowsOf { spent, titles, ids, complete, .. } = turn.take_rows();
        // A title alone says nothing of the answer.
        let rows = (!spent.is_empty()).then_some(spent);
        self.used_up(ids);
        let told = turn.told();
        let (exact, whole) = match (&rows, &told) {
            (Some(rows), _) => (Some((rows.as_slice(), Source::Transactions)), complete),
            (None, Some(told)) => (Some((told.as_slice(), Source::Provider)), true),
            (None, None) => (None, false),
        };
        let seen = turn.seen();
        let mut charged = bill(&Known { end, exact, whole, seen: &seen, estimate: turn.runs() });
        charged.add(&titles);
        // Of what was stopped LibreChat takes no more from the balance than it has rows for. What is gone without a word, and without
        // rows in the time that they take, was stopped, too: who stops a turn need not read that; unless LibreChat keeps its answer as
        // one that was finished. Of all else LibreChat may take it, sooner or later, whether or not its rows came in time.
        let stopped = end == End::Aborted || (end == End::Gone && rows.is_none() && !turn.is_kept_whole());
        let taken: Vec<Spent> = rows.iter().flatten().chain(&titles).cloned().collect();
        // For assistants' runs it writes rows and takes nothing (`recordUsage` tells `createTransaction` of no balance).
        let debited = match turn.begun.assistant {
            true => Some(&[][..]),
            false => stopped.then_some(taken.as_slice()),
        };
        self.billed(turn, end, charged, debited);
    }

    fn billed(&self, turn: &Turn, end: End, charged: Bill, debited: Option<&[Spent]>) {
        let mut billed = Billed::of(charged);
        billed.ended = end.told();
        (billed.first_byte, billed.duration) = turn.times(end);
        if billed.source != Source::None {
            let (hold, shadow) = (turn.begun.hold.as_ref(), turn.begun.shadow.as_ref());
            billed.used = hold.map(|hold| used(turn, hold, &billed, debited, Snapshot::settled_charges));
            billed.shadow = shadow.map(|hold| used(turn, hold, &billed, debited, Snapshot::settled_shadow_charges));
        }
        let parts = self.parts();
        if let (true, Some(file)) = (turn.begun.holds(), &parts.diary)
            && let Err(error) = diary::bill(file, turn.id, &billed)
        {
            tracing::warn!(%error, "what a turn is charged for cannot be written down: after a crash it is found out anew");
        }
        turn.bill(billed, parts.clock.tick());
    }

    /// Puts a charge on the counters, once, and writes the usage entry when they have said so. Whether that is done.
    pub(super) async fn settle(&self, turn: &Turn, billed: &Billed) -> bool {
        let Receipts { main, shadow } = turn.receipts();
        let (main, shadow) = tokio::join!(
            self.put(main, turn.begun.hold.as_ref(), billed.used.as_deref()),
            self.put(shadow, turn.begun.shadow.as_ref(), billed.shadow.as_deref()),
        );
        match (main, shadow) {
            (Ok(main), Ok(shadow)) => {
                self.write(turn, billed, main, shadow);
                true
            }
            (main, shadow) => {
                for error in [main.err(), shadow.err()].into_iter().flatten() {
                    tracing::debug!(%error, "a turn is settled later");
                }
                false
            }
        }
    }

    /// Settles one hold. A receipt that could not be settled is in the meter's queue with the same amounts, and counters count a hold
    /// once: so it may be tried again from the hold alone. When it was settled, where that is known.
    async fn put(
        &self,
        receipt: Option<Receipt>,
        hold: Option<&Hold>,
        used: Option<&[u64]>,
    ) -> Result<Settled, StoreError> {
        let Some(hold) = hold else { return Ok(Settled::Now(self.parts().clock.now())) };
        let receipt = match receipt {
            Some(receipt) => receipt,
            None => self.parts().meter.reopen(hold.clone()).map_err(|error| unsettled(&error))?,
        };
        let settled = match used {
            Some(used) => receipt.settle(used).await?,
            None => receipt.release().await?,
        };
        match settled {
            // By this turn's own receipt in the meter's queue, or by the process that was here before: at the same amounts.
            Settled::Already => Ok(Settled::Now(self.parts().clock.now())),
            Settled::TooLate => {
                tracing::error!(hold = %hold.id, "a turn was settled a day after its hold had expired, and does not count");
                Ok(settled)
            }
            Settled::Lost => Err(unsettled(&"the counters are lost and not rebuilt yet")),
            Settled::Now(_) | Settled::Late(_) => Ok(settled),
        }
    }

    fn write(&self, turn: &Turn, billed: &Billed, main: Settled, shadow: Settled) {
        let parts = self.parts();
        let mut charged = Vec::new();
        let both = [(&turn.begun.hold, &billed.used, main), (&turn.begun.shadow, &billed.shadow, shadow)];
        for (hold, used, settled) in both {
            if let (Some(hold), Some(used)) = (hold, used) {
                charged.extend(Charged::of(hold, used, settled));
            }
        }
        let at = match main {
            Settled::Now(at) | Settled::Late(at) => at,
            Settled::Already | Settled::TooLate | Settled::Lost => parts.clock.now(),
        };
        let source = billed.source;
        let mut entry = self.entry(turn);
        entry.spent = Some(Box::new(spent(turn, &entry, billed, at, charged)));
        parts.recorder.record(Entry::Usage(Box::new(entry)));
        parts.settled.with_label_values(&[label(source)]).inc();
    }

    /// The usage entry without figures.
    pub(super) fn entry(&self, turn: &Turn) -> Usage {
        let mut entry = turn.begun.entry.clone();
        if let Some(started) = turn.started() {
            (entry.outcome, entry.status, entry.time) = (started.outcome, started.status, started.time);
            entry.conversation_id = started.stream.or(entry.conversation_id);
        }
        entry
    }
}

/// What is put on each counter of a hold: what the policy that decided makes of these amounts. A counter that it has no charge for (after a
/// restart the policy may be another one) gets what was taken.
fn used(
    turn: &Turn,
    hold: &Hold,
    billed: &Billed,
    debited: Option<&[Spent]>,
    due: fn(&Snapshot, &Ask<'_>, &Used<'_>) -> Vec<Charge>,
) -> Vec<u64> {
    let ask = Ask { caller: &turn.caller, targets: &turn.targets };
    let runs: Vec<Run<'_>> = billed.runs.iter().map(Spent::run).collect();
    let taken_for: Vec<Run<'_>> = turn.runs().iter().map(Spent::run).collect();
    let Estimate { requests, messages, .. } = turn.begun.estimate;
    let amounts = Amounts { requests, messages, runs: &runs };
    let used = Used { amounts, taken_for: &taken_for, shared: turn.shares(billed.source) };
    let drawn = plan(&due(&turn.policy, &ask, &used), hold.at).unwrap_or_default();
    let amount = |draw: &crate::store::counters::Draw| {
        if draw.counter.starts_with(balance::KEY) {
            return debited.map_or(0, |debited| undebited(&billed.runs, debited));
        }
        let now = drawn.iter().find(|other| other.counter == draw.counter);
        now.map_or(draw.amount, |now| now.amount)
    };
    hold.draws.iter().map(amount).collect()
}

/// What LibreChat will never take from the balance, in its credits: what was used beyond what it has rows for.
fn undebited(runs: &[Spent], debited: &[Spent]) -> u64 {
    let credits = |runs: &[Spent]| {
        let cost = |run: &Spent| rates::rate(&run.model, run.tokens.given()).of(&run.tokens);
        runs.iter().fold(0_u64, |sum, run| sum.saturating_add(cost(run))).div_ceil(CREDIT)
    };
    credits(runs).saturating_sub(credits(debited))
}

/// The figures of the usage entry. Each call costs what it costs on the counters, and each model stands there once.
fn spent(turn: &Turn, entry: &Usage, billed: &Billed, settled: Timestamp, charged: Vec<Charged>) -> Recorded {
    let taken_for: Vec<Run<'_>> = turn.runs().iter().map(Spent::run).collect();
    let cost = |run: &Spent| turn.policy.cost_used(&run.run(), &taken_for);
    let total = |runs: &mut dyn Iterator<Item = &Spent>| {
        runs.map(cost).try_fold(0_u64, |sum, cost| Some(sum.saturating_add(cost?))).map(Usd)
    };
    let runs = joined(&billed.runs);
    let sum = |of: fn(&Tokens) -> u64| runs.iter().fold(0_u64, |sum, run| sum.saturating_add(of(&run.tokens)));
    let tokens = Tokens {
        input: sum(|tokens| tokens.input),
        cached_input: sum(|tokens| tokens.cached_input),
        cache_write: sum(|tokens| tokens.cache_write),
        output: sum(|tokens| tokens.output),
    };
    let own = matches!(runs.as_slice(), [run] if run.endpoint == entry.endpoint && run.model == entry.model);
    let run = |run: &Spent| RunUsed {
        endpoint: (*run.endpoint).into(),
        model: (*run.model).into(),
        tokens: TokensUsed::from(run.tokens),
        cost: total(&mut billed.runs.iter().filter(|call| call.is_of(run))),
    };
    Recorded {
        tokens: TokensUsed::from(tokens),
        cost: total(&mut billed.runs.iter()),
        source: billed.source,
        settled,
        ended: billed.ended,
        first_byte: billed.first_byte,
        duration: billed.duration,
        runs: if own { Vec::new() } else { runs.iter().map(run).collect() },
        charged,
    }
}

/// Makes the series of all sources, so that they are there before any turn has ended.
pub(super) fn declare(settled: &IntCounterVec) {
    for source in [Source::Transactions, Source::Provider, Source::Stream, Source::Estimate, Source::None] {
        settled.with_label_values(&[label(source)]);
    }
}

fn label(source: Source) -> &'static str {
    match source {
        Source::Transactions => "transactions",
        Source::Provider => "provider",
        Source::Stream => "stream",
        Source::Estimate => "estimate",
        Source::None => "none",
    }
}

fn unsettled(why: &dyn std::fmt::Display) -> StoreError {
    StoreError { store: "limits", message: why.to_string(), transient: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gemini's rate rises above 200,000 tokens of a call, not of a turn.
    #[test]
    fn what_librechat_has_debited_call_by_call_is_owed_by_nobody() {
        let call = |input| Spent {
            endpoint: "google".into(),
            model: "gemini-3.1-pro".into(),
            tokens: Tokens { input, output: 1_000, ..Tokens::default() },
        };
        let calls = [call(150_000), call(150_000), call(150_000)];
        assert_eq!(undebited(&calls, &calls), 0);
        assert_eq!(undebited(&calls, &calls[1..]), 150_000 * 2 + 1_000 * 12);
        assert_eq!(undebited(&calls[1..], &calls), 0, "LibreChat has taken more than was used");
        assert_eq!(undebited(&[call(450_000)], &[]), 450_000 * 4 + 1_000 * 18);
    }
}
