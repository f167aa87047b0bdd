//! Opening the spool: what an earlier process left behind is looked through, and the new one goes on from there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::gaps::Gaps;
use super::mend::Health;
use super::reader::Replay;
use super::shared::{self, Cursor, Segment, Segments, Shared};
use super::slots::{Held, Slots};
use super::survey::{Survey, survey};
use super::{Loss, Lost, Spool, SpoolFault, SpoolOptions, Synced};
use crate::store::own::{self, DiskFault};

/// Locked by the process that keeps its records here.
const LOCK: &str = "lock";
/// The state, and the number of the first frame that it does not cover.
const HEAD: &str = "head";
/// How far each reader is, in a file of its name.
const CURSORS: &str = "cursors";
/// The losses that are in the record.
const GAPS: &str = "gaps";

/// What was found when the spool was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The number of the oldest frame there is; that of the next one where there is none.
    pub first: u64,
    /// The number that the next frame gets.
    pub next: u64,
    /// Frames that are lost to at least one reader, and are not yet in the record ([`Spool::recorded`]).
    pub damaged: Vec<Lost>,
    /// Readers of whom nobody knows any more how far they were: they begin at the oldest frame there is.
    pub begin_anew: Vec<Box<str>>,
    /// Bytes at the end that were being written when the process ended, and were cut off.
    pub torn: u64,
    /// The state as it was given with the last frame before those of `since_head`. None where there is none: the spool is new
    /// (then `next` is 1), or the file is damaged.
    pub state: Option<Vec<u8>>,
    /// The frames that the state does not cover; all, where there is no state.
    pub since_head: Replay,
}

// === impl Spool ===

impl Spool {
    /// Opens the spool in this directory (`<data>/records`), which is made where it is not there. Blocks while all segments are
    /// read: a second for the usual 256 MiB, at the most.
    ///
    /// Readers that have no cursor begin at the oldest frame there is. Cursors of readers that are not named in the options are
    /// forgotten: they hold nothing any more.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`] where the directory cannot be used, is another process's, or was written by another Tollgate. Damage is
    /// no error.
    pub fn open(records: &Path, options: SpoolOptions) -> Result<(Self, Recovered), SpoolFault> {
        let (segments, cursors) = (shared::directory(records), records.join(CURSORS));
        for directory in [records, &segments, &cursors] {
            own::make_directory(directory).map_err(|error| SpoolFault::io(directory, &error))?;
        }
        let lock = own::claim(&records.join(LOCK), "another process keeps its records here; give each its own --data")?;
        let (head, held) = Slots::open(&records.join(HEAD))?;
        head.sync()?;
        let (covered, state) = match held {
            Held::Whole { number, blob } => (number, Some(blob)),
            Held::Nothing | Held::Damaged => (0, None),
        };
        let (mut cursors, begin_anew) = open_cursors(&cursors, &options.readers)?;
        let known = cursors.values().map(|cursor| cursor.next).chain([covered, 1]).max().unwrap_or(1);
        let list = shared::list(&segments)?;
        let survey = survey(&segments, &list, known)?;
        for cursor in cursors.values_mut().filter(|cursor| cursor.next == 0) {
            cursor.next = survey.first;
        }

        let gaps = Gaps::open(&records.join(GAPS))?;
        let needed = cursors.values().map(|cursor| cursor.next).min().unwrap_or(u64::MAX);
        let damaged = unrecorded(&survey, needed, &segments, &gaps);
        let mut list = Segments { list, committed: survey.next, settled: covered, held: u64::MAX };
        let (file, current) = last_segment(&segments, &mut list, &survey)?;
        let shared = Arc::new(Shared::new(records, list, cursors, options.spare, lock));
        shared.prune()?;

        let first = shared.segments(|segments| segments.oldest());
        let since_head = Replay::new(shared.clone(), covered.max(first)..survey.next);
        let recovered =
            Recovered { first, next: survey.next, damaged, begin_anew, torn: survey.torn, state, since_head };
        let spool = Self {
            shared,
            file,
            first: current.first,
            length: current.bytes,
            synced: Synced { length: current.bytes, next: survey.next },
            health: Health::Well,
            next: survey.next,
            head,
            state: recovered.state.clone().unwrap_or_default(),
            is_head_old: false,
            covered,
            gaps,
            buffer: Vec::new(),
            size: options.size,
            segment: options.segment.min(options.size / 4),
        };
        Ok((spool, recovered))
    }
}

// === helpers ===

type Cursors = BTreeMap<Box<str>, Cursor>;

/// The cursors of these readers, and which of them are damaged; those of others are removed. A reader whose cursor was never written, or is
/// damaged, is at 0.
fn open_cursors(directory: &Path, readers: &[Box<str>]) -> Result<(Cursors, Vec<Box<str>>), SpoolFault> {
    let fault = |error: std::io::Error| SpoolFault::io(directory, &error);
    for entry in fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if !readers.iter().any(|name| path.file_name().is_some_and(|file| file == name.as_ref())) {
            fs::remove_file(&path).map_err(|error| SpoolFault::io(&path, &error))?;
        }
    }
    let (mut cursors, mut damaged) = (BTreeMap::new(), Vec::new());
    for name in readers {
        let path = directory.join(name.as_ref());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(DiskFault::because(&path, &"a reader's name has letters, digits, - and _ alone", false).into());
        }
        let (file, held) = Slots::open(&path)?;
        if held == Held::Damaged {
            damaged.push(name.clone());
        }
        let next = if let Held::Whole { number, .. } = held { number } else { 0 };
        cursors.insert(name.clone(), Cursor { file, next, synced: 0 });
    }
    Ok((cursors, damaged))
}

/// The losses that matter to a reader and are not in the record yet.
fn unrecorded(survey: &Survey, needed: u64, directory: &Path, gaps: &Gaps) -> Vec<Lost> {
    let before = Lost { frames: needed..survey.first, file: directory.to_owned(), reason: Loss::Missing };
    let mut damaged = Vec::new();
    for lost in [&before].into_iter().chain(&survey.lost) {
        let frames = lost.frames.start.max(needed)..lost.frames.end;
        damaged.extend(gaps.unknown(&frames).into_iter().map(|frames| Lost { frames, ..lost.clone() }));
    }
    damaged
}

/// The segment that is written next, with all that earlier processes wrote on the disk.
fn last_segment(directory: &Path, segments: &mut Segments, survey: &Survey) -> Result<(File, Segment), SpoolFault> {
    let opened = segments.list.back().map(|last| {
        let path = shared::file(directory, last.first);
        let opened = own::create(&path, false).and_then(|mut file| {
            if let Some(length) = survey.goes_on {
                file.set_len(length)?;
                file.seek(SeekFrom::Start(length))?;
            }
            file.sync_all()?;
            Ok(file)
        });
        opened.map_err(|error| SpoolFault::io(&path, &error))
    });
    let opened = opened.transpose()?;
    match (opened, segments.list.back_mut(), survey.goes_on) {
        (Some(file), Some(last), Some(bytes)) => {
            last.bytes = bytes;
            Ok((file, *last))
        }
        _ => {
            let segment = Segment { first: survey.next, bytes: 0 };
            let file = shared::begin(directory, segment.first)?;
            segments.list.push_back(segment);
            Ok((file, segment))
        }
    }
}
