//! LibreChat's rows of assistants' runs: they say in which conversation they were written, and not of which run.
//!
//! LibreChat writes the two rows of a run when it has told its end, some seconds later where the provider has not said yet what was used;
//! before that, those of a call beside it (a picture). One that fails may have its rows twice. The first rows of a conversation
//! are those of the run that has ended first: a run that is begun before they are there must not be charged by them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{APART, Row, RowsOf, spent};
use crate::flow::turns::{Turn, Turns};
use crate::librechat::transactions::{Call, Ledger, is_complete};

impl Turns {
    /// The rows of an assistant's run among these, as [`Turns::found`] looks for those of others.
    pub(super) fn found_assisted(&self, turn: &Turn, rows: &[Row<'_>], whole: bool) -> bool {
        let Some(stream) = turn.stream() else { return false };
        let from = turn.begun.at.saturating_sub(APART).unwrap_or(Timestamp::MIN);
        let used = self.inner.used.lock();
        let own = |row: &&Row<'_>| {
            let message = row.fields.get("context").and_then(Value::as_str) == Some("message");
            row.message.is_none() && message && row.conversation == &*stream && row.at >= from && !used.contains(row.id)
        };
        let ledger = Ledger::read(rows.iter().filter(own).map(|row| row.fields), &turn.caller.user);
        drop(used);
        if let [unreadable, ..] = ledger.unreadable.as_slice() {
            tracing::error!(%unreadable, "a run of an assistant is charged by what was seen of it");
            return false;
        }
        let due = turn.calls_due();
        // What comes after that may be a later run's.
        let calls = match self.any_beside(turn, |other| other.begun.at > turn.begun.at) {
            true => ledger.nameless.get(..due).unwrap_or(&ledger.nameless),
            false => &ledger.nameless,
        };
        let end = turn.rows(RowsOf {
            spent: calls.iter().map(|call| spent(turn, call)).collect(),
            ids: calls.iter().flat_map(|call| call.rows.iter().cloned()).collect(),
            titles: Vec::new(),
            titled: true,
            all: true,
            complete: whole && is_complete(calls) && calls.len() >= due && self.are_of_its_end(turn, calls, rows),
        });
        if let Some(end) = end {
            self.charge(turn, end);
        }
        end.is_some()
    }

    /// Whether an earlier run of the same conversation waits for its rows: the next ones are those.
    pub(super) fn is_behind(&self, turn: &Turn) -> bool {
        let now = self.parts().clock.tick();
        self.any_beside(turn, |other| other.begun.at < turn.begun.at && other.awaits_rows(now).is_some())
    }

    /// Whether this holds for another run in the conversation of this one.
    fn any_beside(&self, turn: &Turn, holds: impl Fn(&Turn) -> bool) -> bool {
        let Some(stream) = turn.stream().filter(|_| turn.begun.assistant) else { return false };
        let book = self.inner.book.lock();
        let mut same = book.of_stream(&turn.caller.user, &stream).iter();
        same.any(|other| other.begun.assistant && other.id != turn.id && holds(other))
    }

    /// Whether one of these was written when the run had ended: its own are. What came before may be somebody else's, come late.
    fn are_of_its_end(&self, turn: &Turn, calls: &[Call], rows: &[Row<'_>]) -> bool {
        let parts = self.parts();
        let Some(Some(ago)) = turn.awaits_rows(parts.clock.tick()) else { return true };
        let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX).saturating_add(APART);
        let ended = parts.clock.now().saturating_sub(ago).unwrap_or(Timestamp::MIN);
        let is_own = |row: &Row<'_>| calls.iter().any(|call| call.rows.iter().any(|id| **id == *row.id));
        rows.iter().any(|row| row.at >= ended && is_own(row))
    }
}
