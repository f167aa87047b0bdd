//! Disks that are full, slow to be well again, or in the way. Real ones, as far as a test can have them: `/dev/full` takes no
//! byte, cannot be cut and not be synced; a process of its own meets a limit on the size of files in the middle of a write.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::Command;

use super::*;

const CHILD: &str = "record::spool::tests::disk::in_a_process_whose_files_are_limited";
const DIRECTORY: &str = "TOLLGATE_SPOOL_LIMITED";

/// All that a new process would find.
fn found(directory: &Path) -> (Frames, Vec<Lost>) {
    let (spool, recovered) = open(directory, &["one"]);
    let batch = drain(&mut spool.reader("one").unwrap());
    assert_eq!(batch.lost, recovered.damaged);
    (batch.frames, batch.lost)
}

#[cfg(target_os = "linux")]
fn full() -> File {
    OpenOptions::new().read(true).write(true).open("/dev/full").unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_nor_cut_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path(), &["one"]);
    let mut reader = spool.reader("one").unwrap();
    put(&mut spool, &["a"], "a");
    spool.commit().unwrap();
    put(&mut spool, &["b"], "b");
    // What a write that broke off in its middle may leave: whole frames and a part of one, which nobody was told of.
    let mut junk = Vec::new();
    for (number, payload) in [(3, &b"never"[..]), (4, b"taken"), (5, b"at all")] {
        frame::put(&mut junk, number, payload);
    }
    let path = segments(directory.path())[0].clone();
    OpenOptions::new().append(true).open(path).unwrap().write_all(&junk[..junk.len() - 1]).unwrap();
    spool.file = full();
    let fault = spool.append([&b"c"[..]], b"c").unwrap_err();
    let text = fault.to_string();
    assert!(text.contains("00000000000000000001.seg: ") && text.ends_with("; make room on the disk"), "{text}");
    assert!(fault.is_transient());
    assert_eq!((spool.next(), spool.health), (3, Health::Torn));

    // The next one goes into a segment of its own, together with what was taken and is not on the disk.
    assert_eq!(put(&mut spool, &["c", "d"], "d"), 3..5);
    assert_eq!(segments(directory.path()).len(), 2);
    spool.commit().unwrap();
    assert_eq!(drain(&mut reader), Batch { frames: frames(1, &["a", "b", "c", "d"]), lost: vec![] });
    drop((spool, reader));
    assert_eq!(found(directory.path()), (frames(1, &["a", "b", "c", "d"]), vec![]));
    assert_eq!(open(directory.path(), &["one"]).1.state.as_deref(), Some(&b"d"[..]));
}

#[cfg(target_os = "linux")]
#[test]
fn what_could_not_be_synced_is_written_again() {
    for committed in [0, 1] {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(directory.path(), &["one"]);
        let mut reader = spool.reader("one").unwrap();
        let mut all = vec!["a"; committed];
        for payload in &all {
            put(&mut spool, &[payload], "a");
            spool.commit().unwrap();
        }
        put(&mut spool, &["b"], "b");
        put(&mut spool, &["c"], "c");
        spool.file = full();
        spool.commit().unwrap_err();
        assert_eq!((drain(&mut reader).frames.len(), spool.health), (committed, Health::Doubtful));
        // The way out is barred, too, for a while.
        let name = directory.path().join("spool").join(format!("{:020}.seg.new", committed + 1));
        fs::create_dir(&name).unwrap();
        for _ in 0..2 {
            assert!(spool.commit().unwrap_err().to_string().contains(".seg.new: "));
            assert!(spool.append([&b"no"[..]], b"").unwrap_err().to_string().contains(".seg.new: "));
        }
        fs::remove_dir(&name).unwrap();
        put(&mut spool, &["d"], "d");
        spool.commit().unwrap();
        all.extend(["b", "c", "d"]);
        assert_eq!(segments(directory.path()).len(), 1 + committed);
        assert_eq!(reader.done(0).map(|()| spool.health), Ok(Health::Well));
        assert_eq!(drain(&mut spool.reader("one").unwrap()), Batch { frames: frames(1, &all), lost: vec![] });
        put(&mut spool, &["e"], "e");
        spool.commit().unwrap();
        all.push("e");
        assert_eq!(drain(&mut reader).frames, frames(1 + committed as u64, &all[committed..]));
        drop((spool, reader));
        assert_eq!(found(directory.path()), (frames(1, &all), vec![]));
    }
}

#[test]
fn a_segment_that_cannot_be_begun_takes_nothing_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path(), &["one"]);
    let long = "x".repeat(900);
    put(&mut spool, &[&long], "1");
    // A directory stands where the next segment goes.
    let name = shared::file(&directory.path().join("spool"), 2);
    fs::create_dir_all(name.join("in the way")).unwrap();
    let fault = spool.append([long.as_bytes()], b"2").unwrap_err();
    assert!(fault.to_string().starts_with(&format!("{}: ", name.display())), "{fault}");
    // What would have fitted has no place either: behind it, a new process would look for it there.
    spool.append([&b"small"[..]], b"2").unwrap_err();
    spool.commit().unwrap_err();
    fs::remove_dir_all(&name).unwrap();
    put(&mut spool, &["small"], "2");
    spool.commit().unwrap();
    drop(spool);
    assert_eq!(found(directory.path()), (frames(1, &[&long, "small"]), vec![]));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_read_is_not_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(directory.path(), &["one"]);
    let long = "x".repeat(900);
    for _ in 0..3 {
        put(&mut spool, &[&long], "");
        spool.commit().unwrap();
    }
    // Reading the memory at 0 is an input/output error.
    let (path, aside) = (segments(directory.path())[1].clone(), directory.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", &path).unwrap();
    let mut reader = spool.reader("one").unwrap();
    assert_eq!(reader.next(9, 9999).unwrap().frames.len(), 1, "what was read before is given first");
    for _ in 0..2 {
        let text = reader.next(9, 9999).unwrap_err().to_string();
        assert!(text.contains("2.seg: Input/output error") && text.contains("put the file aside"), "{text}");
    }
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(drain(&mut reader).frames, frames(2, &[&long, &long]));
    // Put aside, it counts as lost.
    fs::remove_file(&path).unwrap();
    let mut again = spool.reader("one").unwrap();
    let batch = drain(&mut again);
    assert_eq!((batch.frames.len(), batch.lost.len(), &batch.lost[0].frames), (2, 1, &(2..3)));
    assert_eq!(batch.lost[0].reason, Loss::Missing);
    drop((spool, reader, again));
    fs::create_dir(&path).unwrap();
    let fault = Spool::open(directory.path(), options(1 << 20, 1 << 10, &["one"])).unwrap_err();
    assert!(fault.to_string().contains("2.seg: ") && fault.to_string().contains("put the file aside"), "{fault}");
}

#[test]
fn a_directory_that_cannot_be_used_says_so() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let fault = Spool::open(&directory.path().join("file/records"), SpoolOptions::default()).unwrap_err();
    assert!(fault.to_string().ends_with("; name another directory with --data"), "{fault}");
    assert!(!fault.is_transient());

    // Where the user may not write; an administrator may everywhere.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        drop(open(directory.path(), &["one"]));
        let spool = directory.path().join("spool");
        fs::set_permissions(&spool, fs::Permissions::from_mode(0o500)).unwrap();
        for path in segments(directory.path()) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
        }
        let probed = fs::write(spool.join("probe"), "");
        let opened = Spool::open(directory.path(), SpoolOptions::default());
        fs::set_permissions(&spool, fs::Permissions::from_mode(0o700)).unwrap();
        if probed.is_err() {
            let fault = opened.unwrap_err();
            assert!(fault.to_string().ends_with("must be writable by the user that runs tollgate"), "{fault}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_write_that_breaks_off_in_its_middle_is_cut_back() {
    let directory = tempfile::tempdir().unwrap();
    // A file may have 8 blocks of 1024 bytes; who writes beyond is told so where the signal is ignored.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\" --ignored --nocapture";
    let test = std::env::current_exe().unwrap();
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(test)
        .arg(CHILD)
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    let (frames, lost) = found(directory.path());
    assert_eq!((frames.len(), lost.as_slice()), (8, &[][..]));
}

/// Run by the test above.
#[test]
#[ignore = "part of another test"]
fn in_a_process_whose_files_are_limited() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let (mut spool, _) = Spool::open(&directory, options(1 << 20, 1 << 18, &["one"])).unwrap();
    let long = "x".repeat(1000);
    for _ in 0..6 {
        put(&mut spool, &[&long], "");
    }
    let length = || fs::metadata(&segments(&directory)[0]).unwrap().len();
    let before = length();
    for _ in 0..3 {
        // The first two would fit, and the third one's beginning.
        let fault = spool.append([long.as_bytes(); 3], b"").unwrap_err();
        assert!(fault.to_string().contains("1.seg: File too large"), "{fault}");
        assert_eq!((length(), spool.health, spool.next()), (before, Health::Well, 7));
    }
    assert_eq!(put(&mut spool, &[&long], ""), 7..8);
    put(&mut spool, &["last"], "");
    spool.commit().unwrap();
}
