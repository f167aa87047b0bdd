//! Opening the record: what an earlier process left behind is taken up, and writer and lanes are made.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::chain::{Chain, Ends};
use super::heads::{KeyFault, Signer};
use super::lane::{Lane, LaneParts, Pauses};
use super::line::Line;
use super::link::Link;
use super::mask::{Mask, Masks};
use super::meters::RecorderMeters;
use super::recorder::{Beat, Durable, Manner, OnFull, Recorder};
use super::sinks::Sink;
use super::spool::{Recovered, Spool, SpoolFault, SpoolOptions};
use super::watch::Watch;
use super::writer::{Writer, WriterParts};
use crate::clock::Clock;
use crate::store::own::DiskFault;

mod forked;
mod past;

pub use forked::Stored;
use past::Past;

/// The directory of the record in the data directory.
pub const DIRECTORY: &str = "records";
/// The key that signs, where the settings name no other.
pub const KEY: &str = "signing.key";
/// Its public half.
pub const PUBLIC: &str = "signing.pub";
/// The key of the names that stand in the record for addresses, where those are hashed.
const MASK: &str = "mask.key";
/// Where entries are kept that a sink refused.
const ASIDE: &str = "aside";

/// Bytes of a segment of the spool.
const SEGMENT: u64 = 8 << 20;

/// How often a signed head is made where anything was added.
const HEAD_PACE: Duration = Duration::from_secs(60);

/// How entries are written down.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// Entries that may wait in front of the writer.
    pub queue: usize,
    /// Bytes that may wait on the disk for sinks.
    pub spool: u64,
    /// Which entries are on the disk before the request goes on.
    pub durable: Durable,
    /// What happens while nothing can be written.
    pub on_full: OnFull,
    /// The key that signs; one of the record's own where none is named.
    pub signing_key: Option<PathBuf>,
    /// What entries do not say of who asked.
    pub mask: Mask,
    /// How long an entry waits for others before both are brought to the disk.
    pub linger: Duration,
    /// The pause before the first repetition where a sink is away; it doubles each time.
    pub retry_first: Duration,
    /// The longest pause between repetitions.
    pub retry_most: Duration,
    /// The pause before the spool is asked again that took nothing.
    pub retry_spool: Duration,
    /// How long somebody waits for an entry to be on the disk, and how long the disk may take before nothing is taken any more.
    pub patience: Duration,
}

/// Why the record cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The spool's directory cannot be used.
    #[error("records: {0}")]
    Spool(#[from] SpoolFault),
    /// The signing key cannot be used.
    #[error("records: {0}")]
    Key(#[from] KeyFault),
    /// The key for addresses cannot be used.
    #[error("records: {0}")]
    Mask(#[from] DiskFault),
}

/// The other end of a [`Recorder`]: whoever keeps the process's tasks runs it.
pub struct RecorderWorker {
    writer: Writer,
    lanes: Vec<Lane>,
    beat: Beat,
    instance: Uuid,
    watch: Watch,
}

// === impl Recorder ===

impl Recorder {
    /// The same as [`Self::start_beside`], where no store can tell.
    ///
    /// # Errors
    /// The same.
    pub fn start(
        data: &Path,
        sinks: Vec<Sink>,
        clock: &Clock,
        meters: &RecorderMeters,
        options: RecorderOptions,
    ) -> Result<(Self, RecorderWorker), OpenFault> {
        Self::start_beside(data, sinks, clock, meters, options, |_| Vec::new())
    }

    /// Opens the record in this data directory, with these sinks. `stored` tells the last lines that stores have of an instance: where they
    /// have more of it than the data directory knows, this is a copy, and goes on as a new instance. Nothing is written until the worker runs; entries wait in the
    /// queue until then. Blocks while the spool of an earlier process is read.
    ///
    /// # Errors
    /// [`OpenFault`] where the directory or the key cannot be used, or the directory is another process's.
    pub fn start_beside(
        data: &Path,
        sinks: Vec<Sink>,
        clock: &Clock,
        meters: &RecorderMeters,
        options: RecorderOptions,
        stored: impl FnOnce(Uuid) -> Vec<Stored>,
    ) -> Result<(Self, RecorderWorker), OpenFault> {
        let directory = data.join(DIRECTORY);
        let readers = sinks.iter().map(|sink| sink.name().into()).collect();
        let (spool, recovered) =
            Spool::open(&directory, SpoolOptions { size: options.spool, segment: SEGMENT, spare: 1, readers })?;
        let signer = signer(&directory, options.signing_key.as_deref())?;
        let masks = Masks::open(options.mask, &directory.join(MASK))?;
        let torn = recovered.torn;
        if torn > 0 {
            tracing::info!(bytes = torn, "an entry was being written when tollgate ended, and is not in the record");
        }
        for sink in &recovered.begin_anew {
            tracing::warn!(%sink, "how far a sink has come cannot be read: it gets all again that is still on the disk");
        }
        let damaged = recovered.damaged.clone();
        let first = recovered.first;
        let mut chain = chain(recovered)?;
        let past = Past::read(&spool, first, &damaged, chain.ends())?;
        let losses = past.losses(clock, &damaged);
        let forked = if *chain.ends() == Ends::new(chain.ends().instance) {
            None
        } else {
            forked::forked(chain.ends(), &stored(chain.ends().instance))
        };
        if forked.is_some() {
            chain = Chain::new(Uuid::now_v7());
        }
        let instance = chain.ends().instance;
        if let Some(first) = damaged.iter().map(|loss| loss.frames.start).min() {
            spool.hold(first);
        }
        let appended = spool.next().saturating_sub(1);
        let (appended, heard) = watch::channel(appended);
        let mut lanes = Vec::new();
        let mut shipped = Vec::new();
        let (stop, stopping) = watch::channel(None);
        let aside = directory.join(ASIDE);
        if let Err(error) = fs::create_dir_all(&aside) {
            tracing::warn!(%error, directory = %aside.display(), "what a sink refuses cannot be set aside");
        }
        for sink in sinks {
            let name = sink.name();
            let Some(reader) = spool.reader(name) else { continue };
            let parts = LaneParts {
                sink,
                come: reader.next_frame().saturating_sub(1),
                reader,
                appended: heard.clone(),
                stop: stopping.clone(),
                aside: aside.join(format!("{name}.jsonl")),
                pauses: Pauses { first: options.retry_first, most: options.retry_most },
            };
            let (lane, come) = Lane::new(parts, meters);
            lanes.push(lane);
            shipped.push(come);
        }
        let manner = Manner { durable: options.durable, on_full: options.on_full, masks, patience: options.patience };
        let (recorder, ends) = Self::new(options.queue, shipped, (stop, stopping), meters, manner, clock);
        let watch = Watch::new(&ends.standing, clock, options.patience);
        if let Some(about) = forked {
            recorder.record(forked::event(clock.now(), about));
        }
        for loss in &damaged {
            tracing::error!(%loss, "a part of the record is lost");
        }
        let writer = Writer::new(WriterParts {
            ends,
            spool,
            chain,
            signer,
            clock: clock.clone(),
            meters: meters.clone(),
            appended,
            already: past.ids,
            losses,
            on_full: options.on_full,
            linger: options.linger,
            pause: options.retry_spool,
            capacity: options.queue.max(1),
        });
        let worker = RecorderWorker { writer, lanes, beat: recorder.beat(), instance, watch };
        Ok((recorder, worker))
    }
}

// === impl RecorderWorker ===

impl RecorderWorker {
    /// Whose chains are written.
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// Works until [`Recorder::stop`].
    pub async fn run(self) {
        let Self { writer, lanes, beat, watch, .. } = self;
        let writing = watch.writer(spawn_blocking(|| writer.run()));
        let lanes = future::join_all(lanes.into_iter().map(|lane| watch.lane(lane)));
        let work = async { tokio::join!(writing, lanes) };
        let beating = async {
            beat.run(HEAD_PACE).await;
            // The recorder is gone, and there is still work.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = work => {}
            () = beating => {}
            () = watch.disk() => {}
        }
    }
}

// === impl RecorderOptions ===

impl Default for RecorderOptions {
    fn default() -> Self {
        Self {
            queue: 8192,
            spool: 256 << 20,
            durable: Durable { refusals: true, admin: true, turns: false },
            on_full: OnFull::Refuse,
            signing_key: None,
            mask: Mask::default(),
            linger: Duration::from_millis(5),
            retry_first: Duration::from_millis(100),
            retry_most: Duration::from_secs(5),
            retry_spool: Duration::from_millis(200),
            patience: Duration::from_secs(2),
        }
    }
}

// === helpers ===

fn signer(directory: &Path, named: Option<&Path>) -> Result<Signer, KeyFault> {
    match named {
        Some(file) => Signer::open(file),
        None => {
            let signer = Signer::open_or_make(&directory.join(KEY))?;
            signer.publish(&directory.join(PUBLIC))?;
            Ok(signer)
        }
    }
}

/// The chains as they stood, or those of a new instance.
fn chain(recovered: Recovered) -> Result<Chain, SpoolFault> {
    let known = recovered.state.as_deref().and_then(Ends::from_bytes);
    let mut chain = known.map(Chain::at);
    for frame in recovered.since_head {
        let (_, payload) = frame?;
        let Some(line) = line(&payload) else { continue };
        // Without its end the chain begins where the first line of it stands.
        let chain = chain.get_or_insert_with(|| Chain::new(instance_of(&line).unwrap_or_else(Uuid::now_v7)));
        if chain.follow(&line).is_err()
            && let Err(fault) = chain.resume(&line)
        {
            tracing::warn!(%fault, "an entry on the disk does not fit the chain");
        }
    }
    Ok(chain.unwrap_or_else(|| Chain::new(Uuid::now_v7())))
}

fn line(payload: &[u8]) -> Option<Line> {
    Line::read(std::str::from_utf8(payload).ok()?).ok()
}

fn instance_of(line: &Line) -> Option<Uuid> {
    Link::read(&line.text).ok().map(|link| link.instance)
}

#[cfg(test)]
mod tests;
