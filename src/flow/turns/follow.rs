//! The one task that follows open turns: asks LibreChat about those that nobody reads, looks for its rows, and settles.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use uuid::Uuid;

use super::open::Next;
use super::progress::Progress;
use super::rule::End;
use super::{Turn, Turns};
use crate::flow::passage::{Outgoing, Passage, Upstream};
use crate::flow::reply::hold;
use crate::identity::{Bearer, Identity};
use crate::librechat::running::{messages_of, status_of};
use crate::librechat::status::{Status, message_text};
use crate::record::Entry;

/// How often open turns are looked at while nothing is heard of them.
const ROUND: Duration = Duration::from_millis(100);

/// How many questions to LibreChat, and how many to the counters, go on at a time.
const AT_ONCE: usize = 32;

/// How long LibreChat may take to say how far a turn is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer about a turn that is read, in bytes: it holds all that was written so far.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Follows the open turns until it is stopped, and until all that it has settled is written down.
pub struct Follower<U> {
    following: Following<U>,
    striker: Striker,
}

/// Follows the open turns.
struct Following<U> {
    turns: Turns,
    upstream: U,
    identity: Arc<Identity>,
    stop: watch::Receiver<bool>,
    /// Turns whose entry is on its way to the ledger.
    written: mpsc::UnboundedSender<Uuid>,
}

/// Strikes turns out of the diary once their entries are written.
struct Striker {
    turns: Turns,
    written: mpsc::UnboundedReceiver<Uuid>,
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

// === impl Follower ===

impl<U: Upstream> Follower<U> {
    /// Follows `turns` with questions to `upstream`. `stop` turns true when no more answers go out.
    pub fn new(turns: Turns, upstream: U, identity: Arc<Identity>, stop: watch::Receiver<bool>) -> Self {
        let (written, receiver) = mpsc::unbounded_channel();
        let striker = Striker { turns: turns.clone(), written: receiver };
        Self { following: Following { turns, upstream, identity, stop, written }, striker }
    }

    /// Follows turns until it is stopped. The recorder must run until then.
    pub async fn run(self) {
        tokio::join!(self.following.follow(), self.striker.run());
    }
}

// === impl Following ===

impl<U: Upstream> Following<U> {
    async fn follow(mut self) {
        while !*self.stop.borrow() {
            self.round(false).await;
            let busy = self.turns.count() > 0;
            let nap = async { if busy { sleep(ROUND).await } else { std::future::pending().await } };
            tokio::select! {
                () = nap => {}
                () = self.turns.inner.wake.notified() => {}
                // Whoever holds the other end is gone: that is the same wish.
                _ = self.stop.changed() => {}
            }
        }
        self.leave().await;
    }

    /// Looks at every open turn once. `last`: nothing more is waited for.
    async fn round(&self, last: bool) {
        let parts = self.turns.parts();
        let (now, books) = (parts.clock.tick(), parts.accounts.is_some());
        let (mut asked, mut rows, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for turn in self.turns.all() {
            match turn.next(now, &parts.pace, books, last) {
                Next::Wait => {}
                Next::Ask => asked.push(turn),
                Next::Rows => rows.push(turn),
                Next::Bill(end) => {
                    self.turns.charge(&turn, end);
                    settled.push(turn);
                }
                Next::Settle(_) => settled.push(turn),
            }
        }
        let settle = async {
            settled.extend(self.turns.look_for_rows(rows).await);
            for turns in settled.chunks(AT_ONCE) {
                join_all(turns.iter().map(|turn| self.settle(turn))).await;
            }
        };
        let ask = async {
            for turns in asked.chunks(AT_ONCE) {
                join_all(turns.iter().map(|turn| self.ask(turn))).await;
            }
        };
        tokio::join!(settle, ask);
    }

    async fn settle(&self, turn: &Arc<Turn>) {
        let now = self.turns.parts().clock.tick();
        let Next::Settle(billed) = turn.next(now, &self.turns.parts().pace, false, true) else { return };
        if self.turns.settle(turn, &billed).await {
            self.turns.remove(turn);
            turn.close();
            // Fails only where nobody strikes any more; the turn is found again then, and counted once all the same.
            let _ = self.written.send(turn.id);
        }
    }

    /// Asks LibreChat how far a turn is that nobody reads. This changes nothing there (CONTRACT.md G.1); opening its stream would
    /// take from the caller what LibreChat keeps for the first reader.
    async fn ask(&self, turn: &Turn) {
        let told = self.told(turn).await;
        let parts = self.turns.parts();
        let now = parts.clock.tick();
        match told {
            Told::Runs(progress) => turn.is_at(progress, now, &parts.pace),
            Told::Over(kept) => {
                if let Some(progress) = kept {
                    turn.is_at(progress, now, &parts.pace);
                }
                turn.ended(End::Gone, now);
                self.turns.wake();
            }
            Told::Nothing => turn.unasked(false, now, &parts.pace),
            Told::Refuses => turn.unasked(true, now, &parts.pace),
        }
    }

    async fn told(&self, turn: &Turn) -> Told {
        let (Some(bearer), Some(stream)) = (&turn.bearer, turn.stream()) else { return Told::Refuses };
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

    /// What a turn has written that is over, as LibreChat keeps it; none where it is not known which message that is. Where there are
    /// rows, they say more.
    async fn kept(&self, turn: &Turn, stream: &str, bearer: &Bearer) -> Option<Progress> {
        let response = turn.response().filter(|_| self.turns.parts().accounts.is_none())?;
        let body = self.get(messages_of(stream)?, bearer).await.ok()?;
        let said = message_text(&body, &response).ok()??;
        Some(Progress::of(&said, turn.runs()))
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

    /// Tollgate stops. What has ended is settled by what is known. What still runs at LibreChat stays taken: it is written down, and
    /// settled by the next Tollgate that starts here. A turn for which nothing was taken gets its entry as it stands.
    async fn leave(&self) {
        for turn in self.turns.all() {
            if turn.is_over() {
                continue;
            }
            self.turns.remove(&turn);
            turn.close();
            if turn.begun.holds() {
                turn.receipts().leave_open();
            } else {
                let entry = self.turns.entry(&turn);
                self.turns.parts().recorder.record(Entry::Usage(Box::new(entry)));
            }
        }
        self.round(true).await;
    }
}

// === impl Striker ===

impl Striker {
    async fn run(mut self) {
        let mut ids = Vec::new();
        while self.written.recv_many(&mut ids, 1024).await > 0 {
            let parts = self.turns.parts();
            let Some(file) = &parts.diary else {
                ids.clear();
                continue;
            };
            parts.recorder.flush().await;
            for id in ids.drain(..) {
                if let Err(error) = file.strike(id) {
                    tracing::warn!(%error, "a settled turn stays written down: after a restart that is found out");
                }
            }
        }
    }
}
