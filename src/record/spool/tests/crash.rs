//! Killed at any point: nothing that was told is lost, and no number is given out twice.
//!
//! A child appends, commits, reads and removes in small segments, and says each time what it was told. It is killed at a random
//! moment, as often as `TOLLGATE_SPOOL_KILLS` says, always in the same directory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::*;

const CHILD: &str = "record::spool::tests::crash::in_a_process_that_is_killed";
const DIRECTORY: &str = "TOLLGATE_SPOOL_KILLED";
const KILLS: &str = "TOLLGATE_SPOOL_KILLS";
const SEED: &str = "TOLLGATE_SPOOL_SEED";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var_os(name).map_or(default, |text| text.to_str().unwrap().parse().unwrap())
}

/// Chance that can be had again (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn options_here() -> SpoolOptions {
    options(64 << 10, 4 << 10, &["one"])
}

/// What the parent knows of the frames.
#[derive(Default)]
struct Known {
    /// What was told, by its number.
    told: BTreeMap<u64, String>,
    /// What a reader was given.
    taken: BTreeMap<u64, String>,
}

// === impl Known ===

impl Known {
    /// A line of the child: `told` or `read`, number, payload.
    fn hear(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap();
        let (number, payload) = rest.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        if word == "told" {
            let twice = self.told.insert(number, payload.to_owned());
            assert_eq!(twice, None, "{number} was given out twice");
            if let Some(taken) = self.taken.get(&number) {
                assert_eq!(taken, payload, "{number}");
            }
        } else {
            self.take(number, payload);
        }
    }

    fn take(&mut self, number: u64, payload: &str) {
        let before = self.taken.entry(number).or_insert_with(|| payload.to_owned());
        assert_eq!(before, payload, "{number} was something else before");
        if let Some(told) = self.told.get(&number) {
            assert_eq!(told, payload, "{number}");
        }
    }
}

#[test]
fn kill_9_loses_nothing_that_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let (kills, seed) = (setting(KILLS, 8), setting(SEED, 1));
    let mut chance = Chance(seed);
    let mut known = Known::default();
    let (mut torn, mut replayed) = (0, 0);
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env(SEED, (seed * 1_000_003 + kill).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        // After so many lines, and some microseconds.
        let (mut lines, pause) = (chance.below(1500), Duration::from_micros(chance.below(3000)));
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            if lines == 0 {
                thread::sleep(pause);
                child.kill().unwrap();
            }
            lines = lines.wrapping_sub(1);
            // A line without its end was being said.
            if let Some(line) = line.strip_suffix('\n')
                && (line.starts_with("told ") || line.starts_with("read "))
            {
                known.hear(line);
            }
            line.clear();
        }
        assert!(!child.wait().unwrap().success(), "it was killed, and did not end");

        let (spool, recovered) = Spool::open(directory.path(), options_here()).unwrap();
        assert_eq!(recovered.damaged, [], "kill {kill}");
        torn += u64::from(recovered.torn > 0);
        replayed += u64::from(!super::replayed(recovered).is_empty());
        for (number, payload) in drain(&mut spool.reader("one").unwrap()).frames {
            known.take(number, std::str::from_utf8(&payload).unwrap());
        }
        let lost: Vec<_> = known.told.keys().filter(|number| !known.taken.contains_key(number)).collect();
        assert!(lost.is_empty(), "kill {kill}: told and lost: {lost:?}");
        // What was told is what is numbered, without a hole.
        let last = *known.taken.keys().next_back().unwrap_or(&0);
        assert!(known.taken.keys().copied().eq(1..=last), "kill {kill}");
        assert_eq!(spool.next(), last + 1);
    }
    let told = known.told.len();
    assert!(told as u64 > kills, "{told}");
    writeln!(std::io::stderr(), "{kills} kills: {told} told, {torn} times torn, {replayed} times replayed").unwrap();
}

/// Run by the test above.
#[test]
#[ignore = "part of another test"]
fn in_a_process_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let seed = setting(SEED, 1);
    let (mut spool, _) = Spool::open(&directory, options_here()).unwrap();
    let mut reader = spool.reader("one").unwrap();
    let say = |word: &str, number: u64, payload: &str| {
        let line = format!("{word} {number} {payload}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    };
    thread::spawn(move || {
        let mut chance = Chance(seed ^ 0xFFFF);
        loop {
            let batch = reader.next(1 + chance.below(50) as usize, 2000).unwrap();
            assert_eq!(batch.lost, []);
            for (number, payload) in &batch.frames {
                say("read", *number, std::str::from_utf8(payload).unwrap());
            }
            if let Some((number, _)) = batch.frames.last() {
                reader.done(*number).unwrap();
            }
            thread::yield_now();
        }
    });
    let mut chance = Chance(seed);
    for round in 0_u64.. {
        // A write of several pages can break off between them.
        let (most, longest) = if chance.below(3) == 0 { (30, 900) } else { (6, 90) };
        let payloads: Vec<String> = (0..1 + chance.below(most))
            .map(|part| format!("{seed}-{round}-{part}-{}", "x".repeat(chance.below(longest) as usize)))
            .collect();
        match spool.append(payloads.iter().map(String::as_bytes), format!("{seed}-{round}").as_bytes()) {
            Ok(numbers) => numbers.zip(&payloads).for_each(|(number, payload)| say("told", number, payload)),
            Err(fault) => assert!(matches!(fault, SpoolFault::Full { .. }), "{fault}"),
        }
        if chance.below(4) == 0 {
            spool.commit().unwrap();
        }
    }
}
