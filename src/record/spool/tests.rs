//! What a spool takes, keeps, gives and lets go of, and what it says of what it cannot.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

mod crash;
mod damage;
mod disk;
mod model;

type Frames = Vec<(u64, Vec<u8>)>;

fn options(size: u64, segment: u64, readers: &[&str]) -> SpoolOptions {
    SpoolOptions { size, segment, spare: 0, readers: readers.iter().map(|name| (*name).into()).collect() }
}

fn open(directory: &Path, readers: &[&str]) -> (Spool, Recovered) {
    Spool::open(directory, options(1 << 20, 1 << 10, readers)).unwrap()
}

fn put(spool: &mut Spool, payloads: &[&str], state: &str) -> Range<u64> {
    spool.append(payloads.iter().map(|payload| payload.as_bytes()), state.as_bytes()).unwrap()
}

/// All that a reader gives.
fn drain(reader: &mut Reader) -> Batch {
    let mut all = Batch::default();
    loop {
        let batch = reader.next(64, 1 << 16).unwrap();
        if batch == Batch::default() {
            return all;
        }
        all.frames.extend(batch.frames);
        all.lost.extend(batch.lost);
    }
}

fn frames(from: u64, payloads: &[&str]) -> Frames {
    (from..).zip(payloads.iter().map(|payload| payload.as_bytes().to_vec())).collect()
}

fn replayed(recovered: Recovered) -> Frames {
    recovered.since_head.map(Result::unwrap).collect()
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory.join("spool")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_was_committed_is_read_in_order_by_everybody() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, recovered) = open(directory.path(), &["one", "two"]);
    assert_eq!((recovered.first, recovered.next, recovered.torn), (1, 1, 0));
    assert_eq!((recovered.damaged.as_slice(), recovered.state.as_deref()), (&[][..], None));
    let (mut one, mut two) = (spool.reader("one").unwrap(), spool.reader("two").unwrap());
    assert!(spool.reader("three").is_none());

    assert_eq!(put(&mut spool, &["a", "", "c"], "s1"), 1..4);
    assert_eq!(one.next(9, 9).unwrap(), Batch::default(), "nothing is given before it is on the disk");
    spool.commit().unwrap();
    assert_eq!(one.behind(), 3);
    assert_eq!(put(&mut spool, &["d"], "s2"), 4..5);
    assert_eq!(one.next(9, 9).unwrap().frames, frames(1, &["a", "", "c"]));
    spool.commit().unwrap();
    assert_eq!(one.next(9, 9).unwrap().frames, frames(4, &["d"]));
    assert_eq!(one.next(9, 9).unwrap(), Batch::default());

    // At most so many, at least one.
    assert_eq!(two.next(2, 9).unwrap().frames, frames(1, &["a", ""]));
    assert_eq!(two.next(0, 0).unwrap().frames, frames(3, &["c"]));
    assert_eq!(two.next(9, 0).unwrap().frames, frames(4, &["d"]));
}

#[test]
fn a_reader_begins_behind_what_it_has_done_with() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (mut spool, _) = open(directory.path(), &["one", "two"]);
        put(&mut spool, &["a", "b", "c"], "");
        spool.commit().unwrap();
        let mut one = spool.reader("one").unwrap();
        assert_eq!(one.next(9, 9).unwrap().frames.len(), 3);
        one.done(2).unwrap();
        one.done(1).unwrap();
        assert_eq!(one.behind(), 1);
        assert_eq!(drain(&mut spool.reader("one").unwrap()).frames, frames(3, &["c"]));
    }
    let (spool, _) = open(directory.path(), &["one", "two"]);
    assert_eq!(drain(&mut spool.reader("one").unwrap()).frames, frames(3, &["c"]));
    assert_eq!(drain(&mut spool.reader("two").unwrap()).frames, frames(1, &["a", "b", "c"]));
    // What is not there yet cannot be done with.
    spool.reader("one").unwrap().done(u64::MAX).unwrap();
    drop(spool);
    let (mut spool, _) = open(directory.path(), &["one", "two"]);
    assert_eq!(put(&mut spool, &["d"], ""), 4..5);
    spool.commit().unwrap();
    assert_eq!(drain(&mut spool.reader("one").unwrap()).frames, frames(4, &["d"]));
}

#[test]
fn the_state_comes_back_with_the_frames_that_it_does_not_cover() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (mut spool, _) = open(directory.path(), &["one"]);
        put(&mut spool, &[], "instance");
        spool.commit().unwrap();
    }
    {
        let (mut spool, recovered) = open(directory.path(), &["one"]);
        assert_eq!((recovered.next, recovered.state.as_deref()), (1, Some(&b"instance"[..])));
        put(&mut spool, &["a", "b"], "after b");
        spool.commit().unwrap();
    }
    {
        let (mut spool, recovered) = open(directory.path(), &["one"]);
        assert_eq!(recovered.state.as_deref(), Some(&b"after b"[..]));
        assert_eq!(replayed(recovered), []);
        put(&mut spool, &["c"], "after c");
        put(&mut spool, &["d", "e"], "after e");
    }
    for _ in 0..2 {
        let (mut spool, recovered) = open(directory.path(), &["one"]);
        assert_eq!((recovered.first, recovered.next), (1, 6));
        assert_eq!(recovered.state.as_deref(), Some(&b"after b"[..]));
        assert_eq!(replayed(recovered), frames(3, &["c", "d", "e"]));
        // Committing what somebody else wrote makes no state of it.
        spool.commit().unwrap();
    }
    fs::write(directory.path().join("head"), [1; 8192]).unwrap();
    let (_, recovered) = open(directory.path(), &["one"]);
    assert_eq!((recovered.next, recovered.state.as_deref()), (6, None));
    assert_eq!(replayed(recovered), frames(1, &["a", "b", "c", "d", "e"]));
}

#[test]
fn segments_go_when_everybody_has_passed_them() {
    let directory = tempfile::tempdir().unwrap();
    let text = "x".repeat(300);
    let (mut spool, _) = open(directory.path(), &["one", "two"]);
    for number in 0..30 {
        put(&mut spool, &[&text], &number.to_string());
        spool.commit().unwrap();
    }
    let names = segments(directory.path());
    assert_eq!((names.len(), names[1].file_name().unwrap().to_str().unwrap()), (10, "00000000000000000004.seg"));
    let (one, two) = (spool.reader("one").unwrap(), spool.reader("two").unwrap());
    one.done(30).unwrap();
    assert_eq!(segments(directory.path()).len(), 10);
    two.done(5).unwrap();
    assert_eq!(segments(directory.path()).len(), 9);
    two.done(6).unwrap();
    assert_eq!(segments(directory.path()), names[2..]);
    drop((one, two, spool));

    // A reader that is new begins at the oldest frame; one that is gone holds nothing.
    let (spool, recovered) = open(directory.path(), &["two", "three"]);
    assert_eq!((recovered.first, recovered.damaged.as_slice()), (7, &[][..]));
    assert_eq!(drain(&mut spool.reader("two").unwrap()).frames[0].0, 7);
    assert_eq!(drain(&mut spool.reader("three").unwrap()).frames.len(), 24);
    spool.reader("three").unwrap().done(9).unwrap();
    drop((spool, recovered));
    let (spool, recovered) = open(directory.path(), &["one", "three"]);
    assert_eq!(recovered.first, 7, "`one` was gone, and is new again");
    assert_eq!(drain(&mut spool.reader("one").unwrap()).frames.len(), 24);
    drop((spool, recovered));
    assert_eq!(open(directory.path(), &["three"]).1.first, 10, "what was held for others alone goes when it is opened");
    assert_eq!(open(directory.path(), &[]).1.first, 28);
}

#[test]
fn what_was_taken_last_stays_as_long_as_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let spared = SpoolOptions { spare: 1, ..options(4096, 1024, &["one"]) };
    let (mut spool, _) = Spool::open(directory.path(), spared.clone()).unwrap();
    let (text, reader) = ("x".repeat(600), spool.reader("one").unwrap());
    for number in 1..=5 {
        put(&mut spool, &[&text], "");
        spool.commit().unwrap();
        reader.done(number).unwrap();
    }
    assert_eq!(segments(directory.path()).len(), 2, "the last one, and one that was taken");
    let numbers: Vec<u64> = spool.replay().map(|frame| frame.unwrap().0).collect();
    assert_eq!(numbers, [4, 5]);
    // Those that are not taken need its room.
    for _ in 0..6 {
        put(&mut spool, &[&text], "");
        spool.commit().unwrap();
    }
    let numbers: Vec<u64> = spool.replay().map(|frame| frame.unwrap().0).collect();
    assert_eq!(numbers[0], 6);
}

#[test]
fn segments_stay_until_a_state_covers_them() {
    let directory = tempfile::tempdir().unwrap();
    let text = "x".repeat(600);
    let (mut spool, _) = open(directory.path(), &["one"]);
    for _ in 0..5 {
        put(&mut spool, &[&text], "state");
        spool.commit().unwrap();
    }
    drop(spool);
    fs::write(directory.path().join("head"), [1; 8192]).unwrap();
    for _ in 0..2 {
        let (mut spool, recovered) = open(directory.path(), &["one"]);
        spool.reader("one").unwrap().done(5).unwrap();
        spool.commit().unwrap();
        assert_eq!(segments(directory.path()).len(), 5);
        assert_eq!(recovered.state, None);
        assert_eq!(replayed(recovered).len(), 5);
    }
    let (mut spool, _) = open(directory.path(), &["one"]);
    put(&mut spool, &[], "brought up to date");
    spool.commit().unwrap();
    assert_eq!(segments(directory.path()).len(), 1);
}

#[test]
fn a_full_spool_takes_nothing_until_somebody_reads() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(directory.path(), options(4096, 1024, &["slow", "quick"])).unwrap();
    let text = "x".repeat(182);
    let mut taken = 0;
    let fault = loop {
        match spool.append([text.as_bytes(); 3], b"") {
            Ok(numbers) => taken = numbers.end - 1,
            Err(fault) => break fault,
        }
        spool.commit().unwrap();
        spool.reader("quick").unwrap().done(taken).unwrap();
    };
    assert_eq!((taken, spool.used(), spool.next()), (18, 3600, 19));
    let expected = format!(
        "{}: 3600 bytes wait to be taken, and with 600 more it would be over the 4096 of records.spool.size (`slow` is the \
         furthest behind); see why they are not taken, or give it more",
        directory.path().join("spool").display()
    );
    assert_eq!((fault.to_string(), fault.is_transient()), (expected, true));
    // A smaller one still fits; what is refused leaves no trace.
    assert_eq!(put(&mut spool, &[&text, &text], ""), 19..21);
    spool.commit().unwrap();
    let mut slow = spool.reader("slow").unwrap();
    assert_eq!(drain(&mut slow).frames.len(), 20);
    slow.done(20).unwrap();
    assert_eq!(spool.append([text.as_bytes(); 3], b"").unwrap(), 21..24);
    // However large the batch, it fits when all is taken, or never.
    spool.commit().unwrap();
    for name in ["slow", "quick"] {
        spool.reader(name).unwrap().done(99).unwrap();
    }
    assert_eq!(spool.append([text.as_bytes(); 20], b"").unwrap(), 24..44);
    assert!(matches!(spool.append([text.as_bytes(); 21], b""), Err(SpoolFault::Full { wanted: 4200, .. })));
}

#[test]
fn what_is_too_long_is_refused_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path(), &["one"]);
    let long = vec![0; frame::LONGEST + 1];
    let fault = spool.append([&b"a"[..], &long], b"").unwrap_err();
    assert_eq!(fault, SpoolFault::Long { bytes: (16 << 20) + 1, most: 16 << 20 });
    assert!(!fault.is_transient());
    assert_eq!(spool.append([&b"a"[..]], &[0; 4069]).unwrap_err(), SpoolFault::Long { bytes: 4069, most: 4068 });
    assert_eq!(put(&mut spool, &["b"], "s"), 1..2);
    spool.commit().unwrap();
    assert_eq!(drain(&mut spool.reader("one").unwrap()).frames, frames(1, &["b"]));
}

#[test]
fn a_directory_is_one_process_s_until_its_last_reader_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _) = open(directory.path(), &["one"]);
    let reader = spool.reader("one").unwrap();
    drop(spool);
    let fault = Spool::open(directory.path(), SpoolOptions::default()).unwrap_err();
    let expected = "lock: another process keeps its records here; give each its own --data";
    assert!(fault.to_string().ends_with(expected) && fault.is_transient(), "{fault}");
    drop(reader);
    Spool::open(directory.path(), SpoolOptions::default()).unwrap();
}

/// How often this thread has called for a write.
#[cfg(target_os = "linux")]
fn writes() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("syscw: ")).unwrap().parse().unwrap()
}

#[test]
fn a_batch_is_one_write_however_many_frames_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(directory.path(), SpoolOptions::default()).unwrap();
    let payload = [b'x'; 800];
    #[cfg(target_os = "linux")]
    let written = writes();
    spool.append([&payload[..]; 64], b"state").unwrap();
    #[cfg(target_os = "linux")]
    assert_eq!(writes(), written + 1);
    let (buffer, room) = (spool.buffer.as_ptr(), spool.buffer.capacity());
    assert_eq!(spool.buffer.len(), 64 * (800 + frame::HEADER));
    // The bytes of the next batch take the same place.
    spool.append([&payload[..]; 64], b"state").unwrap();
    assert_eq!((spool.buffer.as_ptr(), spool.buffer.capacity()), (buffer, room));
    assert_eq!(fs::metadata(&segments(directory.path())[0]).unwrap().len(), 2 * 64 * 818);
}

#[test]
fn a_reader_s_name_is_a_name() {
    for name in ["", "../head", "a/b", ".", "é"] {
        let directory = tempfile::tempdir().unwrap();
        let fault = Spool::open(directory.path(), options(1 << 20, 1 << 10, &[name])).unwrap_err();
        assert!(fault.to_string().contains("letters, digits, - and _ alone"), "{name}: {fault}");
    }
}
