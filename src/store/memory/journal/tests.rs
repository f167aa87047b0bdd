//! What a journal keeps, and what it takes for damage.

use std::fs::{self, OpenOptions};
use std::thread::sleep;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::store::counters::{Answer, Draw, Hold, Measure};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn draws(amount: u64) -> Vec<Draw> {
    let draw = |counter: &str, measure, ceiling| Draw { counter: counter.into(), measure, amount, ceiling };
    vec![
        draw("month", Measure::Spend { from: at(-1_000), until: at(1_000) }, u64::MAX),
        draw("minute", Measure::Rate { window: Duration::from_secs(60) }, u64::MAX),
        draw("open", Measure::Open, u64::MAX),
    ]
}

fn taken(books: &Books, id: u128, amount: u64, now: Timestamp) -> Hold {
    match books.weigh(&draws(amount), Uuid::from_u128(id), Duration::from_secs(30), now) {
        (Answer::Taken { hold, .. }, true) => hold,
        other => panic!("{other:?}"),
    }
}

/// Makes the change in both and says what the books were told.
fn change(journal: &mut Journal, books: &mut Books, change: Change) {
    journal.append(&change).unwrap();
    books.apply(change);
}

/// A journal with a rebuild, 40 takes and 20 settles, and its books.
fn filled(directory: &Path) -> Books {
    let (mut journal, mut books) = Journal::open(directory, at(0)).unwrap();
    change(&mut journal, &mut books, Change::Rebuild { at: at(0), known: draws(u64::MAX >> 1), fence: Duration::ZERO });
    for n in 0..40 {
        let hold = taken(&books, u128::from(n), n, at(n as i64));
        change(&mut journal, &mut books, Change::Take(hold.clone()));
        if n % 2 == 0 {
            let used = (n % 4 == 0).then(|| vec![n / 2, n * 2, 0]);
            change(&mut journal, &mut books, Change::End { at: at(n as i64), hold, used });
        }
    }
    books
}

fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

#[test]
fn what_was_written_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut books = filled(directory.path());
    for _ in 0..3 {
        let (_, mut again) = Journal::open(directory.path(), at(40)).unwrap();
        // How many there were after a sweep is no part of what is counted.
        books.sweep(at(40));
        again.sweep(at(40));
        assert_eq!(again, books);
    }
}

#[test]
fn a_line_that_was_being_written_is_cut_off_wherever_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let whole = fs::read(file(directory.path())).unwrap();
    let before_last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let expected = {
        fs::write(file(directory.path()), &whole[..before_last]).unwrap();
        Journal::open(directory.path(), at(40)).unwrap().1
    };
    for end in before_last..whole.len() {
        fs::write(file(directory.path()), &whole[..end]).unwrap();
        assert_eq!(Journal::open(directory.path(), at(40)).unwrap().1, expected, "{end}");
    }
    fs::write(file(directory.path()), &whole).unwrap();
    assert_ne!(Journal::open(directory.path(), at(40)).unwrap().1, expected, "the last line counts when it is whole");
}

#[test]
fn damage_is_an_error_that_names_the_line() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let whole = fs::read_to_string(file(directory.path())).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    for broken in [0, 1, 7, lines.len() - 1] {
        let mut lines = lines.clone();
        lines[broken] = "{\"Take\":{\"id\":";
        fs::write(file(directory.path()), format!("{}\n", lines.join("\n"))).unwrap();
        let error = Journal::open(directory.path(), at(40)).err().unwrap();
        assert!(error.message.contains(&format!("line {} is damaged", broken + 1)), "{error}");
        assert!(!error.transient);
    }
    let newer = whole.replacen("{\"counters\":1", "{\"counters\":2", 1);
    fs::write(file(directory.path()), newer).unwrap();
    let error = Journal::open(directory.path(), at(40)).err().unwrap();
    assert!(error.message.contains("another Tollgate (form 2, this one knows 1)"), "{error}");
}

#[test]
fn only_one_process_counts_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = Journal::open(directory.path(), at(0)).unwrap();
    let error = Journal::open(directory.path(), at(0)).err().unwrap();
    assert!(error.message.contains("another process counts in this directory") && error.transient, "{error}");
    drop(first);
    Journal::open(directory.path(), at(0)).unwrap();
}

#[test]
fn a_journal_begun_anew_is_short_and_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let books = filled(directory.path());
    let long = fs::metadata(file(directory.path())).unwrap().len();
    let (mut journal, _) = Journal::open(directory.path(), at(40)).unwrap();
    journal.restart(&books).unwrap();
    assert!(fs::metadata(file(directory.path())).unwrap().len() < long);
    // What comes after goes into the new file.
    let rest = Change::End { at: at(41), hold: taken(&books, 99, 1, at(41)), used: Some(vec![5, 5, 5]) };
    journal.append(&rest).unwrap();
    drop(journal);
    let again = Journal::open(directory.path(), at(41)).unwrap().1;
    assert_ne!(again, books);
    assert_eq!(again.standing(&draws(0)[0], at(41)).counted, books.standing(&draws(0)[0], at(41)).counted + 5);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_refuses_and_forgets_nothing() {
    // /dev/full takes no byte and cannot be cut: the journal is broken from then on, and says so.
    let directory = tempfile::tempdir().unwrap();
    let books = filled(directory.path());
    let (mut journal, _) = Journal::open(directory.path(), at(40)).unwrap();
    journal.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let end = || Change::End { at: at(41), hold: taken(&books, 99, 1, at(41)), used: None };
    let error = journal.append(&end()).unwrap_err();
    assert!(error.message.contains("make room on the disk") && error.transient, "{error}");
    let error = journal.append(&end()).unwrap_err();
    assert!(error.message.contains("could not be written whole"), "{error}");
}

#[test]
fn a_process_that_is_just_ending_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let first = Journal::open(directory.path(), at(0)).unwrap();
    let ending = std::thread::spawn(move || {
        sleep(own::LOOK * 5);
        drop(first);
    });
    Journal::open(directory.path(), at(0)).unwrap();
    ending.join().unwrap();
}
