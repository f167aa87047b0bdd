//! The one who writes: takes entries out of the queue, binds them into the chain, and brings them to the disk in groups.
//!
//! It runs on a thread of its own, for it waits for the disk. Each round takes what has gathered (for a few milliseconds, or not at
//! all where somebody waits), makes lines of it, appends them in one write and brings that to the disk: a loss of power loses a
//! round of entries that nobody waited for, `kill -9` loses what was still in the queue.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::chain::Chain;
use super::entry::{Event, id_at};
use super::heads::Signer;
use super::meters::{Loss, RecorderMeters};
use super::recorder::{Ends, Message, OnFull, Standing, Unkept};
use super::spool::{Spool, SpoolFault};
use super::{About, Entry, Happened, Line, Severity};
use crate::clock::Clock;

mod losses;

pub(super) use losses::Losses;

/// Entries of one round, at most.
const MOST: usize = 1024;

/// So many entries get a signed head, without waiting for its time.
const HEAD_EVERY: u64 = 1_000;

/// What the writer is made of.
pub(super) struct WriterParts {
    pub(super) ends: Ends,
    pub(super) spool: Spool,
    pub(super) chain: Chain,
    pub(super) signer: Signer,
    pub(super) clock: Clock,
    pub(super) meters: RecorderMeters,
    /// Told the number of the last frame that is on the disk.
    pub(super) appended: watch::Sender<u64>,
    /// Ids of entries that an earlier process has written, and that may be recorded again.
    pub(super) already: HashSet<Uuid>,
    /// What is lost of what an earlier process has written.
    pub(super) losses: Losses,
    pub(super) on_full: OnFull,
    /// How long an entry waits for company.
    pub(super) linger: Duration,
    /// The pause before the spool is asked again that took nothing.
    pub(super) pause: Duration,
    /// Entries that may be held while the spool takes nothing.
    pub(super) capacity: usize,
}

/// The writer.
pub(super) struct Writer {
    parts: WriterParts,
    /// When the first entry was lost that no gap tells of yet.
    losing: Option<Timestamp>,
    /// Whether the last round failed: a change is logged, a lasting state is not.
    failing: bool,
}

/// What one round writes.
#[derive(Default)]
struct Round {
    entries: Vec<Waiting>,
    marks: Vec<oneshot::Sender<u64>>,
    /// It is time for a head.
    head: bool,
}

/// An entry, and who waits for it to be on the disk.
struct Waiting {
    entry: Entry,
    done: Option<oneshot::Sender<Result<(), Unkept>>>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(parts: WriterParts) -> Self {
        Self { parts, losing: None, failing: false }
    }

    /// Writes until the recorder is stopped or its last handle is gone, and everything is written. Blocks.
    pub(super) fn run(mut self) {
        let mut messages = Vec::new();
        if !self.parts.losses.is_empty() {
            self.write(Round::default());
        }
        while self.parts.ends.queue.blocking_recv_many(&mut messages, MOST) > 0 {
            if self.deadline().is_none() && !messages.iter().any(Message::is_awaited) {
                self.parts.ends.standing.linger(self.parts.linger);
            }
            let mut round = Round::default();
            messages.drain(..).for_each(|message| round.add(message));
            round.fill(&mut self.parts.ends.queue, MOST);
            self.write(round);
            // Whoever stops the recorder sends a message after saying so: one round later at the most this sees it.
            if self.deadline().is_some() {
                // No more from now on; what is in the queue still comes out of it.
                self.parts.ends.queue.close();
            }
        }
        if let Err(fault) = self.append(&mut Round { head: true, ..Round::default() }) {
            tracing::error!(%fault, "the record ends without a signed head: it gets one at the next start");
        }
    }

    /// Writes a round, again and again while the spool takes nothing and entries are not to be dropped.
    fn write(&mut self, mut round: Round) {
        loop {
            match self.append(&mut round) {
                Ok(()) => break,
                Err(fault) => self.failed(&fault, &mut round),
            }
            let over = self.deadline().is_some_and(|deadline| deadline <= tokio::time::Instant::now());
            if over || self.parts.on_full == OnFull::Drop {
                round.entries.drain(..).for_each(|waiting| self.lose(waiting, Loss::SpoolFull));
            }
            if over {
                break;
            }
            std::thread::sleep(self.parts.pause);
            // Who waits in the queue behind this is told, too.
            round.fill(&mut self.parts.ends.queue, self.parts.capacity);
        }
        let last = self.parts.spool.next().saturating_sub(1);
        for mark in round.marks {
            // Whoever asked has left.
            let _left = mark.send(last);
        }
    }

    /// Appends a round and brings it to the disk; then those who wait are told, and the round is empty. It is empty, too, where it was
    /// appended and could not be brought to the disk.
    fn append(&mut self, round: &mut Round) -> Result<(), SpoolFault> {
        self.tell_losses()?;
        let (before, [audit, usage]) = (self.parts.chain.clone(), self.parts.ends.standing.take_lost());
        let now = self.parts.clock.now();
        let mut lines = Vec::with_capacity(round.entries.len() + 2);
        if audit + usage > 0 {
            let since = *self.losing.get_or_insert(now);
            self.link(&gap(audit, usage, since, now), &mut lines);
        }
        for waiting in &round.entries {
            self.link(&waiting.entry, &mut lines);
        }
        let unsigned = self.parts.chain.unsigned();
        if unsigned >= HEAD_EVERY || (round.head && unsigned > 0) {
            self.sign(now, &mut lines);
        }
        let state = self.parts.chain.ends().to_bytes();
        if let Err(fault) = self.parts.spool.append(lines.iter().map(|line| line.text.as_bytes()), &state) {
            self.parts.chain = before;
            self.parts.ends.standing.lost("audit", audit);
            self.parts.ends.standing.lost("usage", usage);
            return Err(fault);
        }
        self.losing = None;
        let committed = self.parts.spool.commit();
        let kept = if committed.is_ok() { Ok(()) } else { Err(Unkept(Loss::SpoolFull)) };
        for waiting in round.entries.drain(..) {
            if let Some(done) = waiting.done {
                // Whoever asked may have left.
                let _left = done.send(kept);
            }
        }
        committed?;
        self.note(None);
        self.parts.appended.send_replace(self.parts.spool.next().saturating_sub(1));
        self.parts.meters.spool.set(i64::try_from(self.parts.spool.used()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Makes a line of an entry. What an earlier process has written already is passed over.
    fn link(&mut self, entry: &Entry, lines: &mut Vec<Line>) {
        if !self.parts.already.is_empty() && self.parts.already.remove(&entry.id()) {
            return;
        }
        let line = entry.line().map_err(|error| error.to_string());
        match line.and_then(|line| self.parts.chain.link(&line).map_err(|error| error.to_string())) {
            Ok(line) => lines.push(line),
            Err(error) => {
                tracing::error!(entry = %entry.id(), %error, "an entry cannot be written");
                self.count(entry.kind(), Loss::Refused);
            }
        }
    }

    fn sign(&mut self, now: Timestamp, lines: &mut Vec<Line>) {
        match self.parts.chain.head(&self.parts.signer, id_at(now), now) {
            Ok(line) => {
                let ends = self.parts.chain.ends();
                // Whoever keeps this line elsewhere can tell later that no part of the record before it was taken back.
                tracing::info!(instance = %ends.instance, number = ends.head.number, hash = %ends.head.hash, "the record is signed up to here");
                lines.push(line);
            }
            Err(error) => tracing::error!(%error, "the record gets no signed head"),
        }
    }

    /// The spool took nothing: those who wait for the disk are told so, and their entries are lost. One that can never be taken is, too.
    fn failed(&mut self, fault: &SpoolFault, round: &mut Round) {
        self.note(Some(fault));
        let lasting = matches!(fault, SpoolFault::Long { .. });
        let (lost, kept) = std::mem::take(&mut round.entries)
            .into_iter()
            .partition(|waiting| waiting.done.is_some() || (lasting && is_long(&waiting.entry)));
        round.entries = kept;
        let lost: Vec<Waiting> = lost;
        lost.into_iter().for_each(|waiting| self.lose(waiting, Loss::SpoolFull));
    }

    fn lose(&mut self, waiting: Waiting, loss: Loss) {
        self.count(waiting.entry.kind(), loss);
        if let Some(done) = waiting.done {
            let _left = done.send(Err(Unkept(loss)));
        }
    }

    fn count(&mut self, kind: &'static str, loss: Loss) {
        self.losing.get_or_insert_with(|| self.parts.clock.now());
        self.parts.meters.lost_everywhere(kind, loss);
        self.parts.ends.standing.lost(kind, 1);
    }

    /// Whether the spool takes entries; a change is logged.
    fn note(&mut self, fault: Option<&SpoolFault>) {
        let failing = fault.is_some();
        let standing: &Arc<Standing> = &self.parts.ends.standing;
        standing.full.store(failing, Ordering::Release);
        self.parts.meters.full.set(failing.into());
        match (fault, std::mem::replace(&mut self.failing, failing)) {
            (Some(fault), false) => tracing::error!(%fault, "the record takes no entries"),
            (None, true) => tracing::info!("the record takes entries again"),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<tokio::time::Instant> {
        *self.parts.ends.stop.borrow()
    }
}

// === impl Round ===

impl Round {
    fn add(&mut self, message: Message) {
        match message {
            Message::Entry(entry, done) => self.entries.push(Waiting { entry, done }),
            Message::Mark(done) => self.marks.push(done),
            Message::Head => self.head = true,
        }
    }

    /// Adds what is in the queue, until there are so many entries.
    fn fill(&mut self, queue: &mut mpsc::Receiver<Message>, most: usize) {
        while self.entries.len() < most {
            let Ok(message) = queue.try_recv() else { return };
            self.add(message);
        }
    }
}

// === impl Message ===

impl Message {
    /// Whether somebody waits for it.
    fn is_awaited(&self) -> bool {
        matches!(self, Self::Entry(_, Some(_)) | Self::Mark(_))
    }
}

// === helpers ===

/// Longer than an entry can be, in bytes of its text.
const LONG: usize = 1 << 20;

fn is_long(entry: &Entry) -> bool {
    entry.line().is_ok_and(|line| line.text.len() > LONG)
}

/// What says that entries are missing because they were never taken.
fn gap(audit: u64, usage: u64, since: Timestamp, until: Timestamp) -> Entry {
    gap_about(until, About::Untaken { audit, usage, since, until, reason: "the record took no entries" })
}

/// What says that a part of the record is missing.
pub(super) fn gap_about(at: Timestamp, about: About) -> Entry {
    let event = Event::of_tollgate(at, Happened::Gap, None, about);
    Entry::Event(Box::new(Event { severity: Severity::Critical, ..event }))
}
