//! What LibreChat keeps of the answers of turns whose end nobody has heard: which of its messages they are, so that their rows are found, and
//! what they say, where there are none.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use crate::flow::turns::progress::Progress;
use crate::flow::turns::{Turn, Turns};
use crate::librechat::placed::Answer;

/// How many conversations are asked about at a time.
const AT_ONCE: usize = 16;

impl Turns {
    /// Looks in LibreChat's database for the answers of those among these turns whose end was not heard.
    pub(super) async fn look_for_kept(&self, turns: &[Arc<Turn>]) {
        let unheard = turns.iter().filter(|turn| turn.is_unheard());
        stream::iter(unheard).for_each_concurrent(AT_ONCE, |turn| self.look_at_kept(turn)).await;
    }

    async fn look_at_kept(&self, turn: &Turn) {
        let (Some(accounts), Some(stream)) = (&self.parts().accounts, turn.stream()) else { return };
        let Some(place) = &turn.begun.place else { return };
        let known = turn.response().or_else(|| place.answer.clone());
        let page = accounts.messages_since(&turn.caller.user, &stream, known.as_deref(), turn.begun.at).await;
        let page = match page {
            // Of several that may be the answer all have to be there.
            Ok(page) if page.cut && known.is_none() => return,
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "what a turn has written cannot be read from LibreChat's messages now");
                return;
            }
        };
        let Ok(messages) = serde_json::to_vec(&page.documents) else { return };
        if let Some(answer) = self.answer_among(turn, &messages) {
            turn.is_kept(kept(turn, &answer), answer.whole);
        }
    }

    /// The answer of a turn among the messages of its conversation; none where it cannot be told.
    pub(in crate::flow::turns) fn answer_among(&self, turn: &Turn, messages: &[u8]) -> Option<Answer> {
        let place = turn.begun.place.as_ref()?;
        let response = turn.response();
        let until = self.next_of(turn).into_iter().chain(self.ended_at(turn)).min();
        match place.answer(messages, response.as_deref(), turn.begun.at, until) {
            Ok(answer) => answer,
            Err(misshapen) => {
                tracing::debug!(%misshapen, "what a turn has written cannot be read from LibreChat's messages");
                None
            }
        }
    }

    /// When it was heard that a turn has ended; none while it runs.
    fn ended_at(&self, turn: &Turn) -> Option<Timestamp> {
        let parts = self.parts();
        let ago = turn.awaits_rows(parts.clock.tick())??;
        parts.clock.now().checked_sub(SignedDuration::try_from(ago).ok()?).ok()
    }
}

/// What an answer says as LibreChat keeps it.
pub(in crate::flow::turns) fn kept(turn: &Turn, answer: &Answer) -> Progress {
    let mut progress = Progress::of(&answer.said, turn.runs());
    progress.response = Some(answer.id.clone());
    progress
}
