//! One sink's lane: reads the spool from where the sink has come to, ships in batches, and tries again for as long as the sink is away.
//!
//! Nothing is given up: what waits, waits on the disk. Only what a sink refuses for good is set aside in a file of its own, so that it
//! does not keep back what comes after it.

use std::fmt::Display;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use super::aside::Aside;
use super::meters::RecorderMeters;
use super::spool::{Batch, Reader};
use super::{Line, Sink};
use crate::store::StoreError;

/// Entries shipped in one go, at most.
const MOST: usize = 512;

/// Bytes shipped in one go, about.
const LONGEST: usize = 1 << 20;

/// How long a sink may take for one batch before it counts as away.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a lane waits between two attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    /// Before the first repetition; it doubles each time.
    pub(super) first: Duration,
    /// The longest.
    pub(super) most: Duration,
}

/// What a lane is made of.
pub(super) struct LaneParts {
    pub(super) sink: Sink,
    pub(super) reader: Reader,
    /// The number of the last frame that the sink has.
    pub(super) come: u64,
    /// The number of the last frame in the spool.
    pub(super) appended: watch::Receiver<u64>,
    /// When a stop must be over.
    pub(super) stop: watch::Receiver<Option<Instant>>,
    /// Where what the sink refuses is set aside.
    pub(super) aside: PathBuf,
    pub(super) pauses: Pauses,
}

/// The lane.
pub(super) struct Lane {
    sink: Sink,
    /// None while it is lent to a thread that may wait for the disk.
    reader: Option<Reader>,
    appended: watch::Receiver<u64>,
    stop: watch::Receiver<Option<Instant>>,
    aside: Aside,
    pauses: Pauses,
    /// How far the sink has come.
    shipped: watch::Sender<u64>,
    books: Books,
    /// Whether the last write failed: a change is logged, a lasting state is not.
    failing: bool,
}

/// A lane cannot go on: Tollgate stops, or the disk cannot be read.
struct Left;

/// Whether lanes end.
pub(super) struct Over {
    appended: watch::Receiver<u64>,
    stop: watch::Receiver<Option<Instant>>,
}

/// The sink's counters.
struct Books {
    sink: &'static str,
    written: IntCounter,
    failures: IntCounter,
    aside: IntCounter,
    waiting: IntGauge,
}

// === impl Lane ===

impl Lane {
    /// A lane for this sink, and how far it has come.
    pub(super) fn new(parts: LaneParts, meters: &RecorderMeters) -> (Self, watch::Receiver<u64>) {
        let LaneParts { sink, reader, come, appended, stop, aside, pauses } = parts;
        let books = Books::new(sink.name(), meters);
        let (shipped, heard) = watch::channel(come);
        let aside = Aside::at(aside);
        let lane = Self { sink, reader: Some(reader), appended, stop, aside, pauses, shipped, books, failing: false };
        (lane, heard)
    }

    /// The name of its sink.
    pub(super) fn sink(&self) -> &'static str {
        self.books.sink
    }

    /// Tells whether it is time for the lane to end.
    pub(super) fn over(&self) -> Over {
        Over { appended: self.appended.clone(), stop: self.stop.clone() }
    }

    /// Ships until the writer has ended and everything is shipped, or until a stop has waited as long as it may.
    pub(super) async fn run(mut self) {
        if self.try_aside().await.is_err() {
            return;
        }
        loop {
            let appended = *self.appended.borrow_and_update();
            let come = *self.shipped.borrow();
            self.books.waiting.set(i64::try_from(appended.saturating_sub(come)).unwrap_or(i64::MAX));
            if come >= appended {
                if self.appended.changed().await.is_err() && *self.shipped.borrow() >= *self.appended.borrow() {
                    return;
                }
                continue;
            }
            let Ok(last) = self.ship().await else { break };
            self.shipped.send_replace(last);
            self.settle().await;
        }
    }

    /// Ships the next batch. The number of its last frame.
    async fn ship(&mut self) -> Result<u64, Left> {
        let batch = match self.with_reader(|reader| reader.next(MOST, LONGEST)).await? {
            Ok(batch) => batch,
            Err(error) => return self.wait_for_disk(&error).await,
        };
        if batch == Batch::default() {
            return self.wait_for_more().await;
        }
        let come = *self.shipped.borrow();
        let lost = batch.lost.iter().map(|lost| lost.frames.end.saturating_sub(1));
        let last = batch.frames.iter().map(|(number, _)| *number).chain(lost).max().unwrap_or(come);
        let mut lines = Vec::with_capacity(batch.frames.len());
        for (_, payload) in batch.frames {
            match std::str::from_utf8(&payload).ok().and_then(|text| Line::read(text).ok()) {
                Some(line) => lines.push(line),
                None => self.set_aside_for_good(&payload).await?,
            }
        }
        self.write(&lines).await?;
        Ok(last)
    }

    /// Where the sink has come to is written down, so that the spool can let go of what is before it. A crash just before this ships a
    /// batch again, which changes nothing in a store and in a file; standard output gets it twice.
    async fn settle(&mut self) {
        let come = *self.shipped.borrow();
        if let Ok(Err(error)) = self.with_reader(move |reader| reader.done(come)).await {
            note_failure(self.books.sink, &mut self.failing, &error);
        }
    }

    /// Does something with the reader on a thread that may wait for the disk.
    async fn with_reader<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Reader) -> T + Send + 'static,
    ) -> Result<T, Left> {
        let mut reader = self.reader.take().ok_or(Left)?;
        let done = spawn_blocking(move || (work(&mut reader), reader)).await;
        let (done, reader) = done.map_err(|_| Left)?;
        self.reader = Some(reader);
        Ok(done)
    }

    /// Frames are held back until a loss before them is told. The writer says when that is.
    async fn wait_for_more(&mut self) -> Result<u64, Left> {
        let over = pin!(out_of_time(self.stop.clone()));
        tokio::select! {
            () = over => Err(Left),
            changed = self.appended.changed() => changed.map(|()| *self.shipped.borrow()).map_err(|_| Left),
        }
    }

    async fn wait_for_disk(&mut self, error: &(dyn Display + Sync)) -> Result<u64, Left> {
        note_failure(self.books.sink, &mut self.failing, error);
        let over = pin!(out_of_time(self.stop.clone()));
        tokio::select! {
            () = over => Err(Left),
            () = sleep(self.pauses.most) => Ok(*self.shipped.borrow()),
        }
    }

    /// Writes, again and again while that may help. One line that the sink will not have does not take the others with it.
    async fn write(&mut self, lines: &[Line]) -> Result<(), Left> {
        match self.try_for_long(lines).await? {
            Ok(()) => Ok(()),
            Err(_) if lines.len() > 1 => {
                for line in lines.chunks(1) {
                    if let Err(error) = self.try_for_long(line).await? {
                        self.refused(line, &error).await?;
                    }
                }
                Ok(())
            }
            Err(error) => self.refused(lines, &error).await,
        }
    }

    /// The error is one that lasts.
    async fn try_for_long(&mut self, lines: &[Line]) -> Result<Result<(), StoreError>, Left> {
        if lines.is_empty() {
            return Ok(Ok(()));
        }
        let mut over = pin!(out_of_time(self.stop.clone()));
        let mut pause = self.pauses.first;
        loop {
            let written = tokio::select! {
                biased;
                written = self.sink.write(lines) => written,
                () = sleep(PATIENCE) => Err(StoreError { store: self.books.sink, message: "no answer in time".into(), transient: true }),
                () = &mut over => return Err(Left),
            };
            let Err(error) = written else {
                self.books.written.inc_by(u64::try_from(lines.len()).unwrap_or(u64::MAX));
                if std::mem::take(&mut self.failing) {
                    tracing::info!(sink = self.books.sink, "records are written again");
                }
                return Ok(Ok(()));
            };
            self.books.failures.inc();
            if !error.transient {
                return Ok(Err(error));
            }
            note_failure(self.books.sink, &mut self.failing, &error);
            tokio::select! {
                biased;
                () = &mut over => return Err(Left),
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(self.pauses.most);
        }
    }

    async fn refused(&mut self, lines: &[Line], error: &StoreError) -> Result<(), Left> {
        for line in lines {
            tracing::error!(
                sink = self.books.sink, entry = %line.id, %error, file = %self.aside.path().display(),
                "an entry of the record is refused, and set aside"
            );
            self.set_aside_for_good(line.text.as_bytes()).await?;
        }
        Ok(())
    }

    /// Keeps what this sink does not get. As long as the disk does not take it, nothing behind it is shipped: else it would be gone.
    async fn set_aside_for_good(&mut self, text: &[u8]) -> Result<(), Left> {
        while let Err(error) = self.aside.add(text) {
            self.wait_for_disk(&error).await?;
        }
        self.books.aside.inc();
        Ok(())
    }

    /// What an earlier process had to set aside is tried once more: a rule that was in its way may be gone. It is left out of the file when
    /// the sink has it.
    async fn try_aside(&mut self) -> Result<(), Left> {
        let lines = match self.aside.read() {
            Ok(lines) => lines,
            Err(error) => {
                tracing::warn!(sink = self.books.sink, %error, "what was set aside cannot be read");
                return Ok(());
            }
        };
        let (mut left, mut taken) = (Vec::new(), 0_u64);
        for text in lines {
            let written = match Line::read(&text) {
                Ok(line) => self.try_for_long(&[line]).await?.is_ok(),
                Err(_) => false,
            };
            if written {
                taken += 1;
            } else {
                left.push(text);
            }
        }
        if taken > 0 {
            tracing::info!(sink = self.books.sink, taken, left = left.len(), "entries that were set aside are written");
            if let Err(error) = self.aside.replace(&left) {
                tracing::warn!(sink = self.books.sink, %error, "what was set aside is written, and tried again at the next start");
            }
        }
        Ok(())
    }
}

// === impl Over ===

impl Over {
    /// The writer has ended, or somebody stops the recorder.
    pub(super) fn holds(&self) -> bool {
        self.appended.has_changed().is_err() || self.stop.borrow().is_some()
    }
}

// === impl Books ===

impl Books {
    fn new(sink: &'static str, meters: &RecorderMeters) -> Self {
        Self {
            sink,
            written: meters.written.with_label_values(&[sink]),
            failures: meters.failures.with_label_values(&[sink]),
            aside: meters.aside.with_label_values(&[sink]),
            waiting: meters.queue.with_label_values(&[sink]),
        }
    }
}

// === helpers ===

/// Ends when a stop has waited as long as it may.
async fn out_of_time(mut stop: watch::Receiver<Option<Instant>>) {
    let asked = stop.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
    match asked {
        Some(deadline) => sleep_until(deadline).await,
        // Every handle is gone without a stop: then the sinks have all the time that they need.
        None => std::future::pending().await,
    }
}

fn note_failure(sink: &'static str, failing: &mut bool, error: &dyn Display) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(sink, %error, "records cannot be written; they wait on the disk");
    }
}
