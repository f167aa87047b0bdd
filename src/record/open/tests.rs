//! What is lost before a start is told in the record for certain: by this process, or by one after it.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::metrics::Metrics;
use crate::record::heads::Public;
use crate::record::samples::{refusal, turn};
use crate::record::sinks::{FileLines, FileOptions};
use crate::record::verify::{Expiry, Keep, Report, Trust, Verifier};
use crate::record::{Entry, Kind};

/// A data directory and the file that is the only sink.
struct Place(TempDir);

/// A recorder and what has not run yet of it.
struct Begun {
    recorder: Recorder,
    worker: RecorderWorker,
}

// === impl Place ===

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn start(&self, spool: u64) -> Begun {
        let options = RecorderOptions {
            spool,
            queue: 64,
            linger: Duration::from_millis(1),
            retry_first: Duration::from_millis(1),
            retry_spool: Duration::from_millis(1),
            ..RecorderOptions::default()
        };
        let file = FileOptions { path: self.sink(), size: u64::MAX, keep: 1 };
        let sink = Sink::File(FileLines::open(file, &Clock::system()).unwrap());
        let meters = Metrics::new().unwrap().recorder();
        let (recorder, worker) =
            Recorder::start(self.0.path(), vec![sink], &Clock::system(), &meters, options).unwrap();
        Begun { recorder, worker }
    }

    fn sink(&self) -> PathBuf {
        self.0.path().join("sink.jsonl")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.0.path().join("records/spool")).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The frames of the spool: number, and what it holds.
    fn frames(&self) -> Vec<(u64, Value)> {
        let mut frames = Vec::new();
        for file in self.segments() {
            let bytes = fs::read(file).unwrap();
            places(&bytes).for_each(|(number, from, to)| {
                frames.push((number, serde_json::from_slice(&bytes[from..to]).unwrap_or_default()));
            });
        }
        frames
    }

    /// Damages these frames.
    fn damage(&self, numbers: impl Fn(u64) -> bool) -> u64 {
        let mut damaged = 0;
        for file in self.segments() {
            let mut bytes = fs::read(&file).unwrap();
            for (_, from, to) in places(&bytes.clone()).filter(|(number, ..)| numbers(*number)) {
                bytes[(from + to) / 2] ^= 1;
                damaged += 1;
            }
            fs::write(&file, bytes).unwrap();
        }
        damaged
    }

    fn kept(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.sink()).unwrap_or_default();
        text.lines().map(|line| Line::read(line).unwrap()).collect()
    }

    /// What the events tell of what is missing.
    fn gaps(&self) -> Vec<Value> {
        let entries = self.kept().into_iter().map(|line| serde_json::from_str::<Value>(&line.text).unwrap());
        entries.filter(|entry| entry["action"] == "records.gap").map(|entry| entry["about"].clone()).collect()
    }

    fn verify(&self) -> Report {
        let pem = fs::read_to_string(self.0.path().join("records").join(PUBLIC)).unwrap();
        let trust = Trust { keys: vec![Public::read(&pem).unwrap()], seen: vec![] };
        let keep = Keep { audit: Expiry::Never, usage: Expiry::Never, heads: Expiry::Never };
        let mut verifier = Verifier::new(trust, keep, Clock::system().now());
        let lines = self.kept();
        verifier.instance(lines.iter().find_map(instance_of).unwrap());
        for kind in [Kind::Head, Kind::Audit, Kind::Usage] {
            lines.iter().filter(|line| line.kind == kind).for_each(|line| verifier.take(line));
        }
        verifier.finish()
    }
}

// === impl Begun ===

impl Begun {
    /// Runs the writer and no sink, as where that is away: all waits on the disk when it ends.
    async fn without_sinks(self, entries: impl IntoIterator<Item = Entry>) {
        let RecorderWorker { writer, lanes, beat, .. } = self.worker;
        let writing = spawn_blocking(|| writer.run());
        for entry in entries {
            self.recorder.record(entry);
            self.recorder.kept().await;
        }
        drop((lanes, beat, self.recorder));
        writing.await.unwrap();
    }

    /// Runs all of it until the sink has everything.
    async fn whole(self, entries: impl IntoIterator<Item = Entry>) {
        let Self { recorder, worker } = self;
        let work = async {
            for entry in entries {
                recorder.record(entry);
                recorder.kept().await;
            }
            recorder.flush().await;
            recorder.stop(Duration::from_secs(20)).await;
        };
        tokio::join!(worker.run(), work);
    }
}

const ROOM: u64 = 1 << 20;

/// Where the frames of a segment are: number, and the bytes of what they hold. Damaged ones are found as well.
fn places(bytes: &[u8]) -> impl Iterator<Item = (u64, usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = bytes.get(at..at + 18).filter(|header| header[..2] == [0xF5, 0xC3])?;
        let length = u32::from_le_bytes(header[2..6].try_into().unwrap()) as usize;
        let number = u64::from_le_bytes(header[6..14].try_into().unwrap());
        let from = at + 18;
        at = from + length;
        Some((number, from, at))
    })
}

#[tokio::test]
async fn a_loss_is_told_by_the_next_process_where_one_ends_before_it_has_told() {
    let place = Place::new();
    place.start(ROOM).without_sinks((0..6).map(refusal)).await;
    assert_eq!(place.damage(|number| number == 3 || number == 4), 2);
    // Each of these has found the loss, and ends before its writer has written a byte.
    for _ in 0..3 {
        drop(place.start(ROOM));
    }
    place.start(ROOM).whole([refusal(9)]).await;
    let gaps = place.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((&gaps[0]["kind"], &gaps[0]["from"], &gaps[0]["to"]), (&"audit".into(), &3.into(), &4.into()));
    let report = place.verify();
    assert_eq!((report.findings.as_slice(), report.lost()), (&[][..], 2));
    place.start(ROOM).whole([]).await;
    assert_eq!(place.gaps().len(), 1, "it is told once");
}

/// A sink that passed the loss would take the evidence of it away.
#[tokio::test]
async fn no_sink_passes_a_loss_that_is_not_told() {
    let place = Place::new();
    place.start(ROOM).without_sinks((0..6).map(refusal)).await;
    place.damage(|number| number == 4);
    let Begun { recorder, worker } = place.start(ROOM);
    let RecorderWorker { writer, lanes, beat, .. } = worker;
    // The writer ends without a word, and the sinks have all the time that they need.
    drop(writer);
    future::join_all(lanes.into_iter().map(Lane::run)).await;
    assert_eq!(place.kept().len(), 3, "what is before the loss");
    drop((beat, recorder));
    place.start(ROOM).whole([]).await;
    assert_eq!(place.gaps().len(), 1);
    assert_eq!(place.verify().findings, []);
}

/// The readers wait for the gap to be told, and there is room only when they have passed.
#[tokio::test]
async fn a_loss_in_a_full_spool_is_told_all_the_same() {
    let place = Place::new();
    let size = 64 << 10;
    place.start(4 * size).without_sinks((0..200).map(refusal)).await;
    place.damage(|number| number == 1 || number == 100);
    place.start(size).whole([turn(500)]).await;
    let told: Vec<_> = place.gaps().iter().map(|gap| (gap["from"].clone(), gap["to"].clone())).collect();
    assert_eq!(told, [(1.into(), 1.into()), (100.into(), 100.into())]);
    let report = place.verify();
    assert_eq!((report.findings.as_slice(), report.lost(), report.entries()), (&[][..], 2, 198 + 2 + 1));
}

/// The sink has what was in the first segments, which are gone. The oldest frames that are left are damaged, and with them the first
/// turns of those that the sink has not got: no number before them is left.
#[tokio::test]
async fn what_is_lost_at_the_beginning_of_a_pruned_spool_is_told_by_what_comes_after_it() {
    let place = Place::new();
    let size = 64 << 10;
    let mixed = |from: u128, to: u128| (from..to).map(|n| if n % 3 == 0 { turn(n) } else { refusal(n) });
    place.start(size).whole(mixed(0, 200)).await;
    let begun = place.frames().first().unwrap().0;
    assert!(begun > 1, "something was pruned");
    let shipped = place.frames().last().unwrap().0;
    place.start(size).without_sinks(mixed(200, 212)).await;
    // All that the sink has and that is still in the spool, and seven frames more.
    let all = place.frames();
    let damaged = place.damage(|number| number <= shipped + 7);
    assert!(damaged > 7);
    let first = |kind: &str| {
        let (_, entry) = all.iter().find(|(number, entry)| *number > shipped + 7 && entry["kind"] == kind).unwrap();
        entry.get("seq").or(entry.get("number")).unwrap().clone()
    };
    place.start(size).whole([]).await;
    let gaps = place.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let frames = serde_json::json!({"from": shipped + 1, "to": shipped + 7, "lost": 7});
    assert_eq!(gaps[0]["frames"], frames);
    let before = serde_json::json!({"audit": first("audit"), "usage": first("usage"), "head": first("head")});
    assert_eq!(gaps[0]["before"], before);
    let report = place.verify();
    assert_eq!((report.findings.as_slice(), report.lost()), (&[][..], 7));
}

/// The only segment is gone, and the end of the chains is known.
#[tokio::test]
async fn so_is_what_is_lost_with_all_that_is_there() {
    let place = Place::new();
    place.start(ROOM).whole([refusal(1), turn(2)]).await;
    place.start(ROOM).without_sinks([refusal(3), refusal(4)]).await;
    place.segments().into_iter().for_each(|file| fs::remove_file(file).unwrap());
    place.start(ROOM).whole([refusal(5)]).await;
    let gaps = place.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    // One head after the first two, one after the others.
    assert_eq!(gaps[0]["frames"], serde_json::json!({"from": 4, "to": 6, "lost": 3}));
    assert_eq!(gaps[0]["before"], serde_json::json!({"audit": 4, "usage": 2, "head": 3}));
    let report = place.verify();
    assert_eq!(report.findings, []);
    assert_eq!(report.lost(), 2, "audit entries 2 and 3; heads are not counted");
}
