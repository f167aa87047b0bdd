//! The one who writes: takes entries out of the queue, binds them into the chain, and brings them to the disk in groups.
//!
//! It runs on a thread of its own, for it waits for the disk. Each round takes what has gathered (for a few milliseconds, or not at
//! all where somebody waits), makes lines of it, appends them in one write and brings that to the disk: a loss of power loses a
//! round of entries that nobody waited for, `kill -9` loses what was still in the queue.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::chain::Chain;
use super::entry::{Event, id_at};
use super::heads::Signer;
use super::meters::{Loss, RecorderMeters};
use super::recorder::{Ends, Message, OnFull, Unkept};
use super::spool::{Spool, SpoolFault};
use super::standing::{Counted, Trouble};
use super::waiter::Waiter;
use super::{About, Category, Entry, Happened, Line, Severity};
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
    /// Who waits for the disk, by the entries that are appended and may not be there yet.
    unsynced: Vec<(Uuid, Waiter)>,
    /// Entries that came to the disk too late: their requests were refused.
    late: Vec<Uuid>,
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
    done: Option<Waiter>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(parts: WriterParts) -> Self {
        Self { parts, unsynced: Vec::new(), late: Vec::new() }
    }

    /// Writes until the recorder is stopped or its last handle is gone, and everything is written. Blocks.
    pub(super) fn run(mut self) {
        let mut messages = Vec::new();
        // What an earlier process left without a head is vouched for at once, and not a minute after the start.
        let left = self.parts.chain.unsigned() > 0;
        if left || !self.parts.losses.is_empty() {
            self.write(Round { head: left, ..Round::default() });
        }
        while self.parts.ends.queue.blocking_recv_many(&mut messages, MOST) > 0 {
            if self.deadline().is_none() && !messages.iter().any(Message::is_awaited) {
                self.parts.ends.standing.linger(self.parts.linger);
            }
            let mut round = Round::default();
            messages.drain(..).for_each(|message| round.add(message));
            round.fill(&mut self.parts.ends.queue, MOST);
            self.write(round);
            if self.parts.ends.queue.len() <= self.parts.capacity / 2 {
                self.parts.ends.standing.has_room();
            }
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
                Ok(()) if self.late.is_empty() => break,
                // What is to be said of the round is said at once.
                Ok(()) => continue,
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

    /// Appends a round and brings it to the disk; then those who wait are told. The round is empty where it was appended, on the disk or
    /// not: those who wait are told then when it is.
    fn append(&mut self, round: &mut Round) -> Result<(), SpoolFault> {
        self.parts.ends.standing.busy(Some(self.parts.clock.tick()));
        let appended = self.bring(round);
        self.parts.ends.standing.busy(None);
        appended
    }

    fn bring(&mut self, round: &mut Round) -> Result<(), SpoolFault> {
        self.tell_losses()?;
        self.pass_over_given_up(round);
        let before = self.parts.chain.clone();
        let lost = self.parts.ends.standing.take_lost();
        let noise = if round.head { self.parts.ends.standing.take_noise() } else { Counted::default() };
        let now = self.parts.clock.now();
        let mut lines = Vec::with_capacity(round.entries.len() + 2);
        let [audit, usage] = lost;
        if audit.entries + usage.entries > 0 {
            let since = audit.earlier(usage).unwrap_or(now);
            self.link(&gap(audit.entries, usage.entries, since, now), &mut lines);
        }
        if noise.entries > 0 {
            self.link(&counted(noise.entries, noise.since.unwrap_or(now), now), &mut lines);
        }
        for entry in self.late.clone() {
            self.link(&late(entry, now), &mut lines);
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
            self.parts.ends.standing.put_back(lost);
            self.parts.ends.standing.put_noise_back(noise);
            return Err(fault);
        }
        self.late.clear();
        round.head = false;
        for Waiting { entry, done } in round.entries.drain(..) {
            self.unsynced.extend(done.map(|done| (entry.id(), done)));
        }
        self.parts.spool.commit()?;
        // Before those who wait are told: who hears that an entry is written down may go on at once.
        self.note(None);
        for (entry, done) in self.unsynced.drain(..) {
            if !done.tell(Ok(())) {
                self.late.push(entry);
            }
        }
        self.parts.appended.send_replace(self.parts.spool.next().saturating_sub(1));
        self.parts.meters.spool.set(i64::try_from(self.parts.spool.used()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Takes the entries out of whom nobody waits for any more: their requests were refused, and not for what the entries say.
    fn pass_over_given_up(&mut self, round: &mut Round) {
        let given_up = |waiting: &mut Waiting| waiting.done.as_ref().is_some_and(Waiter::has_given_up);
        let passed: Vec<Waiting> = round.entries.extract_if(.., given_up).collect();
        passed.into_iter().for_each(|waiting| self.lose(waiting, Loss::SpoolFull));
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
            done.tell(Err(Unkept(loss)));
        }
    }

    fn count(&mut self, kind: &'static str, loss: Loss) {
        self.parts.meters.lost_everywhere(kind, loss);
        self.parts.ends.standing.lost(kind, self.parts.clock.now());
    }

    /// Whether the spool takes entries.
    fn note(&self, fault: Option<&SpoolFault>) {
        self.parts.ends.standing.note(Trouble::Spool, fault.map(|fault| fault as _));
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
            #[cfg(test)]
            Message::Panic => panic!("as the test wants it"),
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

/// What says that entries about nobody were counted and not recorded.
fn counted(requests: u64, since: Timestamp, until: Timestamp) -> Entry {
    let event = Event::of_tollgate(until, Happened::Noise, None, About::Noise { requests, since, until });
    Entry::Event(Box::new(Event { category: Category::Security, severity: Severity::Warning, ..event }))
}

/// What says that a request was refused because its entry came to the disk too late.
fn late(entry: Uuid, at: Timestamp) -> Entry {
    let event = Event::of_tollgate(at, Happened::Late, None, About::Late { entry, status: 503 });
    Entry::Event(Box::new(Event { severity: Severity::Error, ..event }))
}

/// What says that a part of the record is missing.
pub(super) fn gap_about(at: Timestamp, about: About) -> Entry {
    let event = Event::of_tollgate(at, Happened::Gap, None, about);
    Entry::Event(Box::new(Event { severity: Severity::Critical, ..event }))
}
