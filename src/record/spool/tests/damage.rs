//! Damage costs exactly the frames that it hits, and is told exactly.

use proptest::prelude::*;

use super::*;

/// How many records there are.
const RECORDS: u64 = 200;

/// A directory of a spool with known frames, whose files are damaged by turns.
struct Bench {
    directory: tempfile::TempDir,
    /// Its files as they were written.
    files: Vec<(PathBuf, Vec<u8>)>,
    frames: Frames,
}

/// Where each frame ends in the bytes of a segment.
fn ends(frames: &[(u64, Vec<u8>)]) -> Vec<usize> {
    let mut end = 0;
    let ends = frames.iter().map(|(_, payload)| {
        end += frame::HEADER + payload.len();
        end
    });
    ends.collect()
}

fn numbers(lost: &[Lost]) -> Vec<u64> {
    lost.iter().flat_map(|lost| lost.frames.clone()).collect()
}

// === impl Bench ===

impl Bench {
    /// Frames in segments of at most so many bytes.
    fn new(segment: u64) -> Self {
        // Files that are written thousands of times are kept in memory where that can be had.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (mut spool, _) = Spool::open(directory.path(), options(1 << 30, segment, &["one"])).unwrap();
        let frames: Frames =
            (1..=RECORDS).map(|n| (n, format!("{{\"n\":{n}}}{}", "é".repeat(n as usize % 5)).into_bytes())).collect();
        for batch in frames.chunks(7) {
            spool.append(batch.iter().map(|(_, payload)| payload.as_slice()), b"state").unwrap();
        }
        spool.commit().unwrap();
        drop(spool);
        let mut files: Vec<_> = segments(directory.path());
        files.push(directory.path().join("head"));
        let files = files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Self { directory, files, frames }
    }

    fn bytes(&self, file: usize) -> Vec<u8> {
        self.files[file].1.clone()
    }

    /// Puts all files back, this one with other bytes, or none.
    fn restore(&self, file: usize, bytes: Option<&[u8]>) {
        for path in segments(self.directory.path()) {
            fs::remove_file(path).unwrap();
        }
        for (at, (path, whole)) in self.files.iter().enumerate() {
            match bytes {
                Some(bytes) if at == file => fs::write(path, bytes).unwrap(),
                None if at == file => drop(fs::remove_file(path)),
                _ => fs::write(path, whole).unwrap(),
            }
        }
    }

    /// Opens it and says which frames are not there: they are those that are reported, by the opening and by the reader, and all
    /// others are given. Numbers go on behind all that were ever given out.
    fn lost(&self, next: u64) -> Vec<u64> {
        let (mut spool, recovered) = open(self.directory.path(), &["one"]);
        let first = recovered.first;
        let lost = numbers(&recovered.damaged);
        let mut reader = spool.reader("one").unwrap();
        let batch = drain(&mut reader);
        assert_eq!(numbers(&batch.lost), lost, "reader and recovery say the same");
        let left =
            self.frames.iter().filter(|(number, _)| *number < next && *number >= first && !lost.contains(number));
        assert!(batch.frames.iter().eq(left), "all but {lost:?} are there: {:?}", batch.frames);
        assert_eq!(recovered.next, next);
        assert_eq!(put(&mut spool, &["new"], ""), next..next + 1);
        spool.commit().unwrap();
        assert_eq!(drain(&mut reader), Batch { frames: frames(next, &["new"]), lost: vec![] });
        lost
    }
}

#[test]
fn every_damaged_byte_costs_its_own_frame() {
    let bench = Bench::new(1 << 20);
    let ends = ends(&bench.frames);
    let whole = bench.bytes(0);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        bench.restore(0, Some(&bytes));
        let hit = ends.partition_point(|end| *end <= at) as u64 + 1;
        assert_eq!(bench.lost(RECORDS + 1), [hit], "byte {at}");
    }
}

#[test]
fn every_cut_costs_what_is_behind_it() {
    let bench = Bench::new(1 << 20);
    let ends = ends(&bench.frames);
    let whole = bench.bytes(0);
    for length in 0..whole.len() {
        let left = ends.partition_point(|end| *end <= length) as u64;
        bench.restore(0, Some(&whole[..length]));
        // The head knows how many there were.
        assert_eq!(bench.lost(RECORDS + 1), (left + 1..=RECORDS).collect::<Vec<_>>(), "{length}");
        // Without it, it looks like what a killed process leaves behind: frames that nobody was told of.
        bench.restore(0, Some(&whole[..length]));
        fs::remove_file(bench.directory.path().join("head")).unwrap();
        let (spool, recovered) = open(bench.directory.path(), &["one"]);
        let torn = length - left.checked_sub(1).map_or(0, |last| ends[last as usize]);
        assert_eq!((recovered.next, recovered.torn), (left + 1, torn as u64), "{length}");
        assert_eq!((numbers(&recovered.damaged), recovered.state), (vec![], None), "{length}");
        let expected = Batch { frames: bench.frames[..left as usize].to_vec(), lost: vec![] };
        assert_eq!(drain(&mut spool.reader("one").unwrap()), expected, "{length}");
    }
}

#[test]
fn a_segment_that_is_gone_costs_its_frames() {
    let bench = Bench::new(1 << 10);
    let firsts: Vec<u64> = bench.files[..bench.files.len() - 1]
        .iter()
        .map(|(path, _)| path.file_stem().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    assert!(firsts.len() > 4);
    for (file, first) in firsts.iter().enumerate() {
        bench.restore(file, None);
        let end = firsts.get(file + 1).copied().unwrap_or(RECORDS + 1);
        // A reader that has never been here does not miss what was before the oldest frame.
        let expected: Vec<u64> = if file == 0 { vec![] } else { (*first..end).collect() };
        assert_eq!(bench.lost(RECORDS + 1), expected, "{file}");
    }
    // One that has been here does.
    bench.restore(0, None);
    {
        let (mut cursor, _) = Slots::open(&bench.directory.path().join("cursors/one")).unwrap();
        cursor.write(3, &[]).unwrap();
    }
    let expected: Vec<u64> = (3..firsts[1]).collect();
    assert_eq!(bench.lost(RECORDS + 1), expected);
}

#[test]
fn what_everybody_has_taken_is_not_lost() {
    let bench = Bench::new(1 << 20);
    let (mut bytes, ends) = (bench.bytes(0), ends(&bench.frames));
    bytes[ends[9] - 1] ^= 1;
    bytes[ends[49] - 1] ^= 1;
    bytes[ends[199] - 1] ^= 1;
    for (done, expected) in [(9, vec![10, 50, 200]), (10, vec![50, 200]), (60, vec![200]), (200, vec![])] {
        bench.restore(0, Some(&bytes));
        let (spool, _) = open(bench.directory.path(), &["one"]);
        spool.reader("one").unwrap().done(done).unwrap();
        drop(spool);
        bench.restore(0, Some(&bytes));
        let (_, recovered) = open(bench.directory.path(), &["one"]);
        assert_eq!(numbers(&recovered.damaged), expected, "{done}");
        assert_eq!(recovered.next, RECORDS + 1);
    }
}

#[test]
fn a_loss_that_is_recorded_is_not_told_again() {
    let bench = Bench::new(1 << 20);
    let (mut bytes, ends) = (bench.bytes(0), ends(&bench.frames));
    bytes[ends[9]..ends[12]].fill(0);
    bytes[ends[49]] ^= 1;
    bench.restore(0, Some(&bytes));
    let (mut spool, recovered) = open(bench.directory.path(), &["one"]);
    let text = recovered.damaged[0].to_string();
    assert!(
        text.ends_with("1.seg: entries 11 to 13 of the spool are lost: bytes in it are not what was written"),
        "{text}"
    );
    assert_eq!(recovered.damaged[0].reason.as_str(), "damaged");
    assert_eq!(numbers(&recovered.damaged), [11, 12, 13, 51]);
    spool.recorded(11..14).unwrap();
    assert_eq!(spool.unrecorded(&(10..16)), [10..11, 14..16]);
    drop((spool, recovered));
    let (mut spool, recovered) = open(bench.directory.path(), &["one"]);
    assert_eq!(numbers(&recovered.damaged), [51]);
    spool.recorded(51..52).unwrap();
    drop((spool, recovered));
    let (spool, recovered) = open(bench.directory.path(), &["one"]);
    assert!(recovered.damaged.is_empty(), "{:?}", recovered.damaged);
    // A reader passes them all the same.
    assert_eq!(numbers(&drain(&mut spool.reader("one").unwrap()).lost), [11, 12, 13, 51]);
}

#[test]
fn a_damaged_cursor_gives_again_and_loses_nothing() {
    let bench = Bench::new(1 << 10);
    let (spool, _) = open(bench.directory.path(), &["one"]);
    spool.reader("one").unwrap().done(100).unwrap();
    let first = spool.shared.segments(|segments| segments.oldest());
    drop(spool);
    assert!(first > 50);
    fs::write(bench.directory.path().join("cursors/one"), [3; 8192]).unwrap();
    let (spool, recovered) = open(bench.directory.path(), &["one"]);
    assert!(recovered.damaged.is_empty(), "{:?}", recovered.damaged);
    assert_eq!(recovered.begin_anew, [Box::<str>::from("one")]);
    assert_eq!(drain(&mut spool.reader("one").unwrap()).frames, bench.frames[first as usize - 1..]);
}

/// What happens to the bytes of a file.
#[derive(Clone, Debug)]
enum Harm {
    Overwrite(Vec<u8>),
    Remove(usize),
    Insert(Vec<u8>),
    /// A copy of bytes from elsewhere in the file.
    Copy(prop::sample::Index, usize),
    Cut,
}

fn harm() -> impl Strategy<Value = (prop::sample::Index, Harm)> {
    let junk = || prop::collection::vec(prop_oneof![Just(0xF5), Just(0xC3), Just(0), any::<u8>()], 1..60);
    let kinds = prop_oneof![
        4 => junk().prop_map(Harm::Overwrite),
        2 => (1..100_usize).prop_map(Harm::Remove),
        2 => junk().prop_map(Harm::Insert),
        2 => (any::<prop::sample::Index>(), 1..120_usize).prop_map(|(from, length)| Harm::Copy(from, length)),
        1 => Just(Harm::Cut),
    ];
    (any::<prop::sample::Index>(), kinds)
}

fn harmed(bytes: &mut Vec<u8>, at: usize, harm: &Harm) {
    match harm {
        Harm::Overwrite(junk) => {
            let end = bytes.len().min(at + junk.len());
            bytes[at..end].copy_from_slice(&junk[..end - at]);
        }
        Harm::Remove(length) => drop(bytes.drain(at..(at + length).min(bytes.len()))),
        Harm::Insert(junk) => drop(bytes.splice(at..at, junk.iter().copied())),
        Harm::Copy(from, length) => {
            let from = from.index(bytes.len());
            let copy = bytes[from..(from + length).min(bytes.len())].to_vec();
            bytes.splice(at..at, copy);
        }
        Harm::Cut => bytes.truncate(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_to_a_segment_is_told(
        segment in prop_oneof![Just(1_u64 << 10), Just(1 << 20)],
        file in any::<prop::sample::Index>(),
        harms in prop::collection::vec(harm(), 1..5),
    ) {
        let bench = Bench::new(segment);
        let file = file.index(bench.files.len() - 1);
        let mut bytes = bench.bytes(file);
        for (at, harm) in &harms {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                harmed(&mut bytes, at, harm);
            }
        }
        bench.restore(file, Some(&bytes));
        let lost = bench.lost(RECORDS + 1);
        for (number, payload) in &bench.frames {
            let mut framed = Vec::new();
            frame::put(&mut framed, *number, payload);
            let there = (0..bench.files.len() - 1).any(|other| {
                let bytes = if other == file { bytes.clone() } else { bench.bytes(other) };
                memchr::memmem::find(&bytes, &framed).is_some()
            });
            prop_assert!(there || lost.contains(number), "{number} is nowhere");
            // A copy of a younger frame may stand before an older one, which is then passed over with all between them.
            let copied = harms.iter().any(|(_, harm)| matches!(harm, Harm::Copy(..)));
            prop_assert!(copied || there != lost.contains(number), "{number} is there");
        }
    }
}
