//! The spool beside a model of it: a list. Then the same with threads.

use std::collections::VecDeque;
use std::thread;

use proptest::prelude::*;

use super::*;

const READERS: [&str; 3] = ["one", "two", "three"];
/// Bytes that the spool may hold.
const SIZE: u64 = 4 << 10;

#[derive(Clone, Debug)]
enum Step {
    /// Payloads of so many bytes.
    Append(Vec<usize>),
    Commit,
    Read {
        reader: usize,
        frames: usize,
        bytes: usize,
    },
    /// So many tenths of what it has read.
    Done {
        reader: usize,
        tenths: u64,
    },
    /// The process ends, and another one has segments of this size.
    Reopen(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let read = (0..3_usize, 1..20_usize, 1..600_usize);
    prop_oneof![
        6 => prop::collection::vec(0..90_usize, 1..12).prop_map(Step::Append),
        4 => Just(Step::Commit),
        6 => read.prop_map(|(reader, frames, bytes)| Step::Read { reader, frames, bytes }),
        4 => (0..3_usize, 0..=10_u64).prop_map(|(reader, tenths)| Step::Done { reader, tenths }),
        1 => prop_oneof![Just(64_u64), Just(300), Just(1 << 20)].prop_map(Step::Reopen),
    ]
}

/// What a payload of this number and length holds.
fn payload(number: u64, length: usize) -> Vec<u8> {
    (0..length).map(|at| (number as usize * 31 + at) as u8).collect()
}

/// The list, and everybody's place in it.
#[derive(Default)]
struct Model {
    frames: VecDeque<(u64, Vec<u8>)>,
    next: u64,
    committed: u64,
    read: [u64; 3],
    done: [u64; 3],
}

// === impl Model ===

impl Model {
    fn between(&self, from: u64, to: u64) -> Frames {
        self.frames.iter().filter(|(number, _)| (from..to).contains(number)).cloned().collect()
    }

    /// What one reader is given.
    fn batch(&self, from: u64, frames: usize, bytes: usize) -> Frames {
        let (mut sum, mut batch) = (0, self.between(from, self.committed));
        batch.truncate(frames);
        let before = |(_, payload): &&(u64, Vec<u8>)| {
            let wanted = sum < bytes;
            sum += payload.len();
            wanted
        };
        let wanted = batch.iter().take_while(before).count();
        batch.truncate(wanted);
        batch
    }
}

fn run(steps: &[Step]) {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let opened = |segment| Spool::open(directory.path(), options(SIZE, segment, &READERS)).unwrap();
    let mut spool = opened(300).0;
    let mut readers = READERS.map(|name| spool.reader(name).unwrap());
    let mut model = Model { next: 1, committed: 1, read: [1; 3], done: [1; 3], ..Model::default() };
    for step in steps.iter().chain([&Step::Reopen(64), &Step::Commit]) {
        match step {
            Step::Append(lengths) => {
                let payloads: Vec<_> =
                    (model.next..).zip(lengths).map(|(number, length)| payload(number, *length)).collect();
                let end = model.next + lengths.len() as u64;
                match spool.append(payloads.iter().map(Vec::as_slice), &end.to_le_bytes()) {
                    Ok(numbers) => {
                        assert_eq!(numbers, model.next..end);
                        model.frames.extend(numbers.zip(payloads));
                        model.next = end;
                    }
                    Err(SpoolFault::Full { used, wanted, .. }) => assert!(used + wanted > SIZE),
                    Err(fault) => panic!("{fault}"),
                }
                // Trying to make room may have brought what was there to the disk.
                model.committed = spool.shared.segments(|segments| segments.committed);
            }
            Step::Commit => {
                spool.commit().unwrap();
                model.committed = model.next;
            }
            Step::Read { reader, frames, bytes } => {
                let batch = readers[*reader].next(*frames, *bytes).unwrap();
                assert_eq!(batch, Batch { frames: model.batch(model.read[*reader], *frames, *bytes), lost: vec![] });
                model.read[*reader] += batch.frames.len() as u64;
            }
            Step::Done { reader, tenths } => {
                let (read, done) = (model.read[*reader], &mut model.done[*reader]);
                *done = (*done).max(read * tenths / 10);
                readers[*reader].done(*done - 1).unwrap();
                assert_eq!(readers[*reader].behind(), model.committed - *done);
                let oldest = model.done.into_iter().min().unwrap();
                model.frames.retain(|(number, _)| *number >= oldest);
            }
            Step::Reopen(segment) => {
                drop((spool, readers));
                let (again, recovered) = opened(*segment);
                assert_eq!((recovered.next, recovered.torn, recovered.damaged.as_slice()), (model.next, 0, &[][..]));
                assert!(recovered.first <= model.done.into_iter().min().unwrap());
                let covered =
                    recovered.state.as_ref().map_or(1, |state| u64::from_le_bytes(state[..].try_into().unwrap()));
                assert!(covered <= model.committed);
                let since = replayed(recovered);
                assert_eq!(since.last().map_or(covered, |(number, _)| number + 1), model.next);
                assert_eq!(since, model.between(covered, model.next));
                spool = again;
                readers = READERS.map(|name| spool.reader(name).unwrap());
                (model.committed, model.read) = (model.next, model.done);
            }
        }
        assert!(spool.used() <= SIZE);
    }
    for (reader, from) in readers.iter_mut().zip(model.read) {
        assert_eq!(drain(reader), Batch { frames: model.between(from, model.next), lost: vec![] });
    }
}

/// One appends as fast as it can, three take what there is, each in its own steps.
fn race(segment: u64, batches: &[usize], steps: [(usize, usize); 3]) {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (mut spool, _) = Spool::open(directory.path(), options(64 << 10, segment, &READERS)).unwrap();
    let readers = READERS.map(|name| spool.reader(name).unwrap());
    let last: u64 = batches.iter().sum::<usize>() as u64;
    thread::scope(|scope| {
        scope.spawn(|| {
            for batch in batches {
                let numbers = spool.next()..spool.next() + *batch as u64;
                let payloads: Vec<_> = numbers.map(|number| payload(number, number as usize % 120)).collect();
                while let Err(fault) = spool.append(payloads.iter().map(Vec::as_slice), b"") {
                    assert!(matches!(fault, SpoolFault::Full { .. }), "{fault}");
                    spool.commit().unwrap();
                    thread::yield_now();
                }
                if batch % 3 == 0 {
                    spool.commit().unwrap();
                }
            }
            spool.commit().unwrap();
        });
        for (mut reader, (frames, bytes)) in readers.into_iter().zip(steps) {
            scope.spawn(move || {
                let mut next = 1;
                while next <= last {
                    let batch = reader.next(frames, bytes).unwrap();
                    assert_eq!(batch.lost, []);
                    for (number, found) in &batch.frames {
                        assert_eq!((*number, found), (next, &payload(next, next as usize % 120)));
                        next += 1;
                    }
                    if batch.frames.is_empty() {
                        thread::yield_now();
                    } else {
                        reader.done(next - 1).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(segments(directory.path()).len(), 1, "what all have taken is gone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_spool_is_a_list_that_outlives_the_process(steps in prop::collection::vec(step(), 1..80)) {
        run(&steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn readers_keep_up_beside_the_appender(
        segment in 500_u64..20_000,
        batches in prop::collection::vec(1..40_usize, 100..400),
        steps in [(1..100_usize, 1..9000_usize), (1..100, 1..9000), (1..9, 1..300)],
    ) {
        race(segment, &batches, steps);
    }
}
