use std::fs::OpenOptions;
use std::sync::mpsc;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::record::samples;

fn line(n: u128) -> Line {
    samples::refusal(n).line().unwrap()
}

fn numbers(path: &Path) -> Vec<u128> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| Line::read(line).unwrap().id.as_u128()).collect()
}

fn options(directory: &Path, size: u64, keep: usize) -> FileOptions {
    FileOptions { path: directory.join("deep/records.jsonl"), size, keep }
}

fn clock() -> Clock {
    Clock::manual("2026-11-21T08:15:00.25Z".parse().unwrap())
}

#[tokio::test]
async fn a_long_file_is_begun_anew_and_the_oldest_ones_go() {
    let directory = tempfile::tempdir().unwrap();
    let (options, clock) = (options(directory.path(), 1_000, 2), clock());
    let file = FileLines::open(options.clone(), &clock).unwrap();
    // What others have beside it stays.
    let beside = directory.path().join("deep/records.jsonl.gz");
    fs::write(&beside, "").unwrap();
    // A line has some 600 bytes: each file has one.
    for n in 0..6 {
        file.write(&[line(n)]).await.unwrap();
        clock.advance(std::time::Duration::from_secs(1));
    }
    let earlier = file.inner.lock().earlier().unwrap();
    let names: Vec<_> = earlier.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["records.jsonl.20261121T081504.250000Z", "records.jsonl.20261121T081505.250000Z"]);
    let all: Vec<_> = earlier.iter().chain([&options.path]).map(|path| numbers(path)).collect();
    assert_eq!(all, [[3], [4], [5]]);
    assert!(beside.exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&options.path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_line_that_a_crash_has_cut_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path(), 1 << 20, 2);
    FileLines::open(options.clone(), &clock()).unwrap().write(&[line(1), line(2)]).await.unwrap();
    OpenOptions::new().append(true).open(&options.path).unwrap().write_all(b"{\"kind\":\"au").unwrap();
    let file = FileLines::open(options.clone(), &clock()).unwrap();
    assert_eq!(numbers(&options.path), [1, 2]);
    file.write(&[line(3)]).await.unwrap();
    assert_eq!(numbers(&options.path), [1, 2, 3]);
    // One that never had a whole line is empty.
    fs::write(&options.path, "{\"kind\":").unwrap();
    let file = FileLines::open(options.clone(), &clock()).unwrap();
    file.write(&[line(4)]).await.unwrap();
    assert_eq!(numbers(&options.path), [4]);
}

/// A lane that was killed before it had written down how far it was ships its last batch again.
#[tokio::test]
async fn what_an_earlier_process_has_written_last_is_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path(), 1 << 20, 2);
    FileLines::open(options.clone(), &clock()).unwrap().write(&[1, 2, 3, 4].map(line)).await.unwrap();
    let file = FileLines::open(options.clone(), &clock()).unwrap();
    file.write(&[3].map(line)).await.unwrap();
    file.write(&[4, 5].map(line)).await.unwrap();
    file.write(&[6].map(line)).await.unwrap();
    assert_eq!(numbers(&options.path), [1, 2, 3, 4, 5, 6]);
}

/// A disk that takes longer than a lane waits has the lines all the same.
#[tokio::test]
async fn what_was_given_up_while_the_disk_was_slow_is_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path(), 1 << 20, 2);
    let file = FileLines::open(options.clone(), &clock()).unwrap();
    let ((begins, begun), (ends, end)) = (mpsc::channel(), mpsc::channel::<()>());
    let disk = Arc::clone(&file.inner);
    std::thread::spawn(move || {
        let _slow = disk.lock();
        begins.send(()).unwrap();
        end.recv().unwrap();
    });
    begun.recv().unwrap();
    let given_up = timeout(Duration::ZERO, file.write(&[1, 2].map(line))).await;
    assert!(given_up.is_err());
    ends.send(()).unwrap();
    file.write(&[1, 2].map(line)).await.unwrap();
    assert_eq!(numbers(&options.path), [1, 2]);
}

/// A part of a batch was written by an earlier process, and the rest does not get through at once.
#[tokio::test]
async fn what_was_written_before_a_failure_is_not_written_again_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path(), 1 << 20, 2);
    FileLines::open(options.clone(), &clock()).unwrap().write(&[1, 2].map(line)).await.unwrap();
    let file = FileLines::open(options.clone(), &clock()).unwrap();
    let aside = directory.path().join("aside");
    fs::rename(&options.path, &aside).unwrap();
    fs::create_dir(&options.path).unwrap();
    file.write(&[1, 2, 3].map(line)).await.unwrap_err();
    fs::remove_dir(&options.path).unwrap();
    fs::rename(&aside, &options.path).unwrap();
    file.write(&[1, 2, 3].map(line)).await.unwrap();
    assert_eq!(numbers(&options.path), [1, 2, 3]);
}

#[tokio::test]
async fn a_file_that_was_moved_or_removed_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path(), 1 << 20, 2);
    let file = FileLines::open(options.clone(), &clock()).unwrap();
    file.write(&[line(1)]).await.unwrap();
    let moved = directory.path().join("moved");
    fs::rename(&options.path, &moved).unwrap();
    file.write(&[line(2)]).await.unwrap();
    assert_eq!((numbers(&moved), numbers(&options.path)), (vec![1], vec![2]));
    fs::remove_file(&options.path).unwrap();
    fs::write(&options.path, "").unwrap();
    file.write(&[line(3)]).await.unwrap();
    assert_eq!(numbers(&options.path), [3]);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path(), 1 << 20, 2);
    let file = FileLines::open(options.clone(), &clock()).unwrap();
    file.write(&[line(1)]).await.unwrap();
    // In the way of a new one.
    fs::remove_file(&options.path).unwrap();
    fs::create_dir(&options.path).unwrap();
    let fault = file.write(&[line(2)]).await.unwrap_err();
    assert!(fault.store == NAME && fault.message.contains("records.jsonl"), "{fault}");
    fs::remove_dir(&options.path).unwrap();
    file.write(&[line(2)]).await.unwrap();
    assert_eq!(numbers(&options.path), [2]);
    let nowhere = FileOptions { path: "/proc/nothing/records.jsonl".into(), ..options };
    assert!(FileLines::open(nowhere, &clock()).is_err());
}
