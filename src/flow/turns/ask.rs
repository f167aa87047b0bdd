//! Asks LibreChat how far a turn is, with the caller's own token.
//!
//! This changes nothing there (CONTRACT.md G.1); opening its stream would take from the caller what LibreChat keeps for the first
//! reader.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};

use super::progress::Progress;
use super::rows::kept::kept;
use super::{Turn, Turns};
use crate::flow::passage::{Outgoing, Passage, Upstream};
use crate::flow::reply::hold;
use crate::identity::{Bearer, Identity};
use crate::librechat::running::{messages_of, status_of};
use crate::librechat::status::{ACTIVE, Status, active};

/// How long LibreChat may take to say how far a turn is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer about a turn that is read, in bytes: it holds all that was written so far.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Asks LibreChat.
pub(super) struct Asker<'a, U> {
    pub(super) turns: &'a Turns,
    pub(super) upstream: &'a U,
    pub(super) identity: &'a Identity,
}

/// What LibreChat says about a turn.
enum Told {
    /// It runs, and this was written so far.
    Runs(Progress),
    /// It does not run (any more); what it has written, where that is known.
    Over(Option<Progress>),
    /// Nothing that can be used now.
    Nothing,
    /// Nothing, and it will not with this token.
    Refuses,
}

// === impl Asker ===

impl<U: Upstream> Asker<'_, U> {
    /// Asks how far a turn is, and writes that down. Whether LibreChat says that nothing runs there.
    pub(super) async fn ask(&self, turn: &Turn) -> bool {
        let parts = self.turns.parts();
        let bearer = self.turns.bearer_of(turn);
        let told = match &bearer {
            Some(bearer) => self.told(turn, bearer).await,
            None => Told::Refuses,
        };
        let now = parts.clock.tick();
        match told {
            Told::Runs(progress) => turn.is_at(progress, now, &parts.pace),
            Told::Over(kept) => {
                self.turns.over_at_librechat(turn, kept);
                return true;
            }
            Told::Nothing => turn.unasked(false, now, &parts.pace),
            Told::Refuses => {
                // Meanwhile there may be another token.
                let newest = self.turns.bearer_of(turn);
                let same = newest.as_ref().map(Arc::as_ptr) == bearer.as_ref().map(Arc::as_ptr);
                turn.unasked(same, now, &parts.pace);
            }
        }
        false
    }

    async fn told(&self, turn: &Turn, bearer: &Bearer) -> Told {
        let Some(stream) = turn.stream() else { return self.told_of_nameless(turn, bearer).await };
        let Some(target) = status_of(&stream) else { return Told::Refuses };
        let body = match self.get(target, bearer).await {
            Ok(body) => body,
            Err(told) => return told,
        };
        match Status::read(&body) {
            Ok(status) if status.active => {
                let mut progress = Progress::of(&status.so_far.said, turn.runs());
                progress.response = status.so_far.response;
                Told::Runs(progress)
            }
            Ok(_) => Told::Over(self.kept(turn, &stream, bearer).await),
            Err(unclear) => {
                tracing::debug!(%unclear, "LibreChat does not say how far a turn is");
                Told::Nothing
            }
        }
    }

    /// A turn in a new conversation, whose name nobody heard: it is over when LibreChat runs none of this user's that is not
    /// another open one.
    async fn told_of_nameless(&self, turn: &Turn, bearer: &Bearer) -> Told {
        let body = match self.get(Uri::from_static(ACTIVE), bearer).await {
            Ok(body) => body,
            Err(told) => return told,
        };
        match active(&body) {
            Ok(ids) if ids.iter().all(|id| self.turns.knows(&turn.caller.user, id)) => Told::Over(None),
            Ok(_) => Told::Runs(Progress::default()),
            Err(unclear) => {
                tracing::debug!(%unclear, "LibreChat does not say which turns run");
                Told::Nothing
            }
        }
    }

    /// What a turn has written that is over, as LibreChat keeps it; none where it cannot be told which message that is. Where LibreChat's
    /// database is configured, that is asked.
    async fn kept(&self, turn: &Turn, stream: &str, bearer: &Bearer) -> Option<Progress> {
        if self.turns.parts().accounts.is_some() {
            return None;
        }
        let body = self.get(messages_of(stream)?, bearer).await.ok()?;
        kept(turn, &self.turns.answers_among(turn, &body))
    }

    async fn get(&self, target: Uri, bearer: &Bearer) -> Result<Bytes, Told> {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = Method::GET;
        head.uri = target;
        head.headers = self.headers(bearer);
        let passage = Passage::new(head, Outgoing::Whole(None), bearer.user.as_bytes(), PATIENCE);
        let answer = self.upstream.send(passage).await.map_err(|_| Told::Nothing)?;
        match answer.status() {
            StatusCode::OK => hold(answer.into_body(), LONGEST_ANSWER, PATIENCE).await.map_err(|_| Told::Nothing),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Told::Refuses),
            _ => Err(Told::Nothing),
        }
    }

    fn headers(&self, bearer: &Bearer) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::AUTHORIZATION, bearer.authorization.clone());
        self.identity.settle_cookies(&mut headers, bearer);
        headers
    }
}
