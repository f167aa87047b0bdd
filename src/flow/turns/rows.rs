//! LibreChat's rows of what a turn used, looked for when it has ended: one question for all turns that wait.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::claim::Spent;
use super::{Turn, Turns};
use crate::librechat::transactions::{Call, Context, Ledger, is_complete};
use crate::store::Fields;
use crate::store::accounts::MOST_CONVERSATIONS;

mod answers;
mod assisted;
pub(super) mod kept;

/// By how much LibreChat's clock may differ from ours where only the time tells what belongs to a turn.
const APART: SignedDuration = SignedDuration::from_secs(2);

/// The same where an id tells it: rows older than that are not looked for.
const FAR: SignedDuration = SignedDuration::from_hours(2);

/// What LibreChat's rows say about a turn.
#[derive(Debug, Default)]
pub(super) struct RowsOf {
    /// What the answer used by them.
    pub(super) spent: Vec<Spent>,
    /// What the title of the conversation used by them.
    pub(super) titles: Vec<Spent>,
    /// Their ids.
    pub(super) ids: Vec<Box<str>>,
    /// Whether no call of the answer lacks one of its two rows, and there are any.
    pub(super) complete: bool,
    /// Whether these are as many calls as the turn was seen to make.
    pub(super) all: bool,
    /// Whether there is nothing of a title to wait for.
    pub(super) titled: bool,
}

/// A row, as far as it says whose it is.
struct Row<'a> {
    id: &'a str,
    conversation: &'a str,
    at: Timestamp,
    /// The message that it is of. Only rows of assistants' runs do not say it.
    message: Option<&'a str>,
    fields: &'a Fields,
}

impl Turns {
    /// Looks for the rows of these turns, and says what those are charged for that have all of theirs: these are returned.
    pub(super) async fn look_for_rows(&self, turns: Vec<Arc<Turn>>) -> Vec<Arc<Turn>> {
        let now = self.parts().clock.tick();
        let (behind, turns): (Vec<_>, Vec<_>) = turns.into_iter().partition(|turn| self.is_behind(turn));
        behind.iter().for_each(|turn| turn.look_soon(now));
        let (named, answers): (Vec<_>, Vec<_>) = turns.into_iter().partition(|turn| turn.stream().is_some());
        self.look_for_kept(&named).await;
        let mut charged = self.look_for_named(named).await;
        charged.extend(self.look_for_answers(answers).await);
        charged
    }

    /// The same for turns whose conversation is known.
    async fn look_for_named(&self, turns: Vec<Arc<Turn>>) -> Vec<Arc<Turn>> {
        let Some(accounts) = &self.parts().accounts else { return Vec::new() };
        let mut charged = Vec::new();
        let mut asked: Vec<&[Arc<Turn>]> = turns.chunks(MOST_CONVERSATIONS).collect();
        while let Some(turns) = asked.pop() {
            let streams: Vec<Arc<str>> = turns.iter().filter_map(|turn| turn.stream()).collect();
            let streams: Vec<&str> = streams.iter().map(|stream| &**stream).collect();
            let since = turns.iter().map(|turn| turn.begun.at).min().unwrap_or(Timestamp::MAX);
            let page = match accounts.transactions(&streams, since.saturating_sub(FAR).unwrap_or(since)).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(%error, "what turns used cannot be read from LibreChat's rows now");
                    continue;
                }
            };
            if page.cut && turns.len() > 1 {
                // The newest rows are missing, whosever they are.
                let (one, other) = turns.split_at(turns.len() / 2);
                asked.extend([one, other]);
                continue;
            }
            let rows: Vec<Row<'_>> = page.documents.iter().filter_map(Row::read).collect();
            charged.extend(turns.iter().filter(|turn| self.find(turn, &rows, !page.cut)).cloned());
        }
        charged
    }

    fn find(&self, turn: &Turn, rows: &[Row<'_>], whole: bool) -> bool {
        if turn.begun.assistant { self.found_assisted(turn, rows, whole) } else { self.found(turn, rows, whole) }
    }

    /// The rows of one turn among these, which are all that there are (`whole`) or the oldest of them: those of its answer. Where nobody knows
    /// which message that is, none is. Whether it is charged for now.
    fn found(&self, turn: &Turn, rows: &[Row<'_>], whole: bool) -> bool {
        let Some(stream) = turn.stream() else { return false };
        let Some(response) = turn.response().or_else(|| only_answered(turn, rows)) else { return false };
        let from = since(turn, &response);
        let used = self.inner.used.lock();
        let own = rows.iter().filter(|row| {
            row.message == Some(&*response) && row.conversation == &*stream && row.at >= from && !used.contains(row.id)
        });
        let ledger = Ledger::read(own.map(|row| row.fields), &turn.caller.user);
        drop(used);
        if let [unreadable, ..] = ledger.unreadable.as_slice() {
            tracing::error!(%unreadable, "a turn is charged by what was seen of it");
            return false;
        }
        let end = turn.rows(RowsOf::of(turn, ledger.of(&response).unwrap_or_default(), whole));
        if let Some(end) = end {
            self.charge(turn, end);
        }
        end.is_some()
    }

    /// When the next turn of the same conversation began.
    fn next_of(&self, turn: &Turn) -> Option<Timestamp> {
        let stream = turn.stream()?;
        let book = self.inner.book.lock();
        let same = book.of_stream(&turn.caller.user, &stream).iter();
        same.map(|other| other.begun.at).filter(|at| *at > turn.begun.at).min()
    }
}

// === impl RowsOf ===

impl RowsOf {
    /// The calls of a turn's answer. LibreChat writes a title only where the turn begins a conversation: that of another turn, whose answer
    /// this one goes on with, is not this one's.
    ///
    /// LibreChat writes them call by call: they are not all there while there are fewer than the turn was seen to make.
    fn of(turn: &Turn, calls: &[Call], whole: bool) -> Self {
        let begins = turn.begun.place.as_ref().is_some_and(|place| place.begins);
        let own = calls.iter().filter(|call| begins || call.context != Context::Title);
        let (titles, answer): (Vec<Call>, Vec<Call>) = own.cloned().partition(|call| call.context == Context::Title);
        let spent = |calls: &[Call]| calls.iter().map(|call| spent(turn, call)).collect();
        Self {
            spent: spent(&answer),
            titles: spent(&titles),
            ids: answer.iter().chain(&titles).flat_map(|call| call.rows.iter().cloned()).collect(),
            complete: whole && is_complete(&answer),
            all: answer.len() >= turn.calls_seen(),
            titled: !begins || is_whole(&titles),
        }
    }
}

// === impl Row ===

impl<'a> Row<'a> {
    /// None for what does not say when it was written, or in which conversation: that is nobody's.
    fn read(fields: &'a Fields) -> Option<Self> {
        let inside = |name: &str, tag: &str| fields.get(name).and_then(|value| value.get(tag));
        Some(Self {
            id: inside("_id", "$oid")?.as_str()?,
            conversation: fields.get("conversationId").and_then(Value::as_str)?,
            at: Timestamp::from_millisecond(inside("createdAt", "$date")?.as_i64()?).ok()?,
            message: fields.get("messageId").and_then(Value::as_str).filter(|id| !id.is_empty()),
            fields,
        })
    }
}

/// The one of those that may be a turn's answer that LibreChat has rows of: callers can write messages, and no rows. None where there are
/// several.
fn only_answered(turn: &Turn, rows: &[Row<'_>]) -> Option<Box<str>> {
    let answers = turn.answers();
    let mut answered = answers.into_iter().filter(|answer| rows.iter().any(|row| row.message == Some(&**answer)));
    answered.next().filter(|_| answered.next().is_none())
}

/// From when on rows of this answer are the turn's: from its beginning, where the answer may be older. Of one that LibreChat has made
/// for this turn all are.
fn since(turn: &Turn, response: &str) -> Timestamp {
    let made = turn.begun.place.as_ref().is_some_and(|place| place.answer.as_deref() != Some(response));
    if made { Timestamp::MIN } else { turn.begun.at }
}

/// Whether a title is there, with both its rows.
fn is_whole(titles: &[Call]) -> bool {
    !titles.is_empty() && titles.iter().all(|call| call.missing.is_none())
}

/// A call as a run of the turn.
fn spent(turn: &Turn, call: &Call) -> Spent {
    let targets = turn.runs().iter().map(|run| (&*run.endpoint, &*run.model));
    let endpoint = call.endpoint(targets).unwrap_or_default();
    Spent { endpoint: endpoint.into(), model: (*call.model).into(), tokens: call.tokens }
}
