//! What LibreChat keeps of the answers of turns whose end nobody has heard: which of its messages they are, so that their rows are found, and
//! what they say, where there are none.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::APART;
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
        let page = accounts.messages_since(&turn.caller.user, &stream, known.as_deref(), begun(turn)).await;
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
        let answers = self.answers_among(turn, &messages);
        if let Some(progress) = kept(turn, &answers) {
            // Which one of several is its own, rows may say.
            let whole = matches!(answers.as_slice(), [only] if only.whole);
            turn.is_kept(progress, answers.into_iter().map(|answer| answer.id).collect(), whole);
        }
    }

    /// What may be the answer of a turn among the messages of its conversation.
    pub(in crate::flow::turns) fn answers_among(&self, turn: &Turn, messages: &[u8]) -> Vec<Answer> {
        let Some(place) = &turn.begun.place else { return Vec::new() };
        let response = turn.response();
        let until = self.next_of(turn).into_iter().chain(self.ended_at(turn)).min();
        place.answers(messages, response.as_deref(), begun(turn), until).unwrap_or_else(|misshapen| {
            tracing::debug!(%misshapen, "what a turn has written cannot be read from LibreChat's messages");
            Vec::new()
        })
    }

    /// When a turn has ended at the latest, by any clock: it was heard before that. None while it runs.
    fn ended_at(&self, turn: &Turn) -> Option<Timestamp> {
        let parts = self.parts();
        let ago = turn.awaits_rows(parts.clock.tick())??;
        let heard = parts.clock.now().checked_sub(SignedDuration::try_from(ago).ok()?).ok()?;
        heard.checked_add(APART).ok()
    }
}

/// When a turn has begun at the earliest, by any clock.
fn begun(turn: &Turn) -> Timestamp {
    turn.begun.at.saturating_sub(APART).unwrap_or(Timestamp::MIN)
}

/// What the answer says as LibreChat keeps it: of several that may be it the longest, so that none that its caller has written makes it
/// shorter. None where there is none.
pub(in crate::flow::turns) fn kept(turn: &Turn, answers: &[Answer]) -> Option<Progress> {
    let read = answers.iter().map(|answer| Progress::of(&answer.said, turn.runs()));
    let mut longest = read.max_by_key(Progress::written)?;
    if let [only] = answers {
        longest.response = Some(only.id.clone());
    }
    Some(longest)
}
