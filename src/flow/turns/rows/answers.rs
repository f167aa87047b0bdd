//! LibreChat's rows of runs over the remote-agent API, which are told by the id of the answer alone: it does not say in which
//! conversation it has written them (CONTRACT.md B.6). They say by model what the answer itself tells as one sum.

use std::sync::Arc;

use jiff::Timestamp;

use super::{FAR, RowsOf, spent};
use crate::flow::turns::{Turn, Turns};
use crate::librechat::transactions::{Call, Ledger, is_complete};
use crate::store::accounts::MOST_CONVERSATIONS;
use crate::store::{Fields, Page};

impl Turns {
    /// Looks for the rows of turns whose answer was the run itself, as [`Turns::look_for_rows`] does. Those whose answer named no id
    /// have none.
    pub(super) async fn look_for_answers(&self, turns: Vec<Arc<Turn>>) -> Vec<Arc<Turn>> {
        let Some(accounts) = &self.parts().accounts else { return Vec::new() };
        let answer = |turn: Arc<Turn>| turn.response().map(|answer| (turn, answer));
        let turns: Vec<(Arc<Turn>, Box<str>)> = turns.into_iter().filter_map(answer).collect();
        let mut charged = Vec::new();
        for turns in turns.chunks(MOST_CONVERSATIONS) {
            let users: Vec<&str> = turns.iter().map(|(turn, _)| &*turn.caller.user).collect();
            let answers: Vec<&str> = turns.iter().map(|(_, answer)| &**answer).collect();
            let since = turns.iter().map(|(turn, _)| turn.begun.at).min().unwrap_or(Timestamp::MAX);
            let since = since.saturating_sub(FAR).unwrap_or(since);
            match accounts.transactions_of(&users, &answers, since).await {
                // Whose rows are missing is not known: all of them are charged by the sum then.
                Ok(page) if page.cut => {
                    tracing::warn!("LibreChat has written more rows of runs than can be read at once")
                }
                Ok(page) => {
                    let found = turns.iter().filter(|(turn, answer)| self.answered(turn, answer, &page));
                    charged.extend(found.map(|(turn, _)| Arc::clone(turn)));
                }
                Err(error) => tracing::debug!(%error, "what runs used cannot be read from LibreChat's rows now"),
            }
        }
        charged
    }

    /// The rows of one answer among these. Whether its turn is charged for now.
    fn answered(&self, turn: &Turn, answer: &str, page: &Page) -> bool {
        let used = self.inner.used.lock();
        let is_used =
            |fields: &Fields| fields.get("_id").and_then(|id| id.get("$oid")?.as_str().map(|id| used.contains(id)));
        // Each row counts for one turn, and one without an id for none.
        let own = page.documents.iter().filter(|fields| is_used(fields) == Some(false));
        let ledger = Ledger::read(own, &turn.caller.user);
        drop(used);
        if ledger.unreadable.iter().any(|row| row.message.as_deref() == Some(answer)) {
            tracing::error!(unreadable = %ledger.unreadable.len(), "a run is charged by what its answer told");
            return false;
        }
        let calls: &[Call] = ledger.of(answer).unwrap_or_default();
        let end = turn.rows(RowsOf {
            spent: calls.iter().map(|call| spent(turn, call)).collect(),
            ids: calls.iter().flat_map(|call| call.rows.iter().cloned()).collect(),
            titles: Vec::new(),
            complete: is_complete(calls),
            titled: true,
            all: true,
        });
        if let Some(end) = end {
            self.charge(turn, end);
        }
        end.is_some()
    }
}
