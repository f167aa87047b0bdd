//! Files in the data directory that are one process's own: made for their owner alone, locked against other processes, and
//! replaced whole. And what the operating system says about them, in words an operator can act on.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use uuid::Uuid;

use super::StoreError;

/// How often a lock that somebody has is looked at before it counts as taken, and the pause between two looks: half a second.
const LOOKS: u32 = 25;
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// What is wrong with a file or a directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DiskFault {
    /// Where and what, and what to do about it.
    pub message: String,
    /// Whether trying again later may succeed.
    pub transient: bool,
}

// === impl DiskFault ===

impl DiskFault {
    /// What the operating system says about this path.
    pub fn new(path: &Path, error: &io::Error) -> Self {
        let (advice, transient) = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                ("; the directory and its files must be writable by the user that runs tollgate", false)
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ("; make room on the disk", true),
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => ("; name another directory with --data", false),
            _ => ("", true),
        };
        Self::because(path, &format_args!("{error}{advice}"), transient)
    }

    /// The same in our own words.
    pub fn because(path: &Path, why: &dyn Display, transient: bool) -> Self {
        Self { message: format!("{}: {why}", path.display()), transient }
    }

    /// As the fault of a store of this name.
    pub fn of(self, store: &'static str) -> StoreError {
        StoreError { store, message: self.message, transient: self.transient }
    }
}

/// Makes the directory, and those above it. Who uses what is nobody else's business, so a new one is for its owner alone.
///
/// # Errors
/// What the operating system says.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Opens the file for reading and writing. Where it is not there it is made, for its owner alone.
///
/// # Errors
/// What the operating system says.
pub fn create(path: &Path, truncate: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Puts a file of these bytes in the place of the one there is, and gives it, open behind its last byte. It gets its name when its
/// bytes are on the disk; its name is there after [`sync_parent`]. That is left to the caller, who has the new file whether or not
/// it succeeds. Beside it, while it is written, its name has `.new` at its end.
///
/// # Errors
/// [`DiskFault`] where that fails. The old file is in its place then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<File, DiskFault> {
    let next = beside(path);
    let written = create(&next, true).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(file)
    });
    let file = written.map_err(|error| DiskFault::new(&next, &error))?;
    fs::rename(&next, path).map_err(|error| DiskFault::new(path, &error))?;
    Ok(file)
}

/// Puts a file of these bytes where none is; one that is there stays as it is, also where another process puts it there at the same
/// moment. It gets its name when its bytes are on the disk; its name is there after [`sync_parent`].
///
/// # Errors
/// [`DiskFault`] where that fails.
pub fn place(path: &Path, bytes: &[u8]) -> Result<(), DiskFault> {
    // A name of its own: who does the same at the same moment writes another file.
    let next = path.with_extension(format!("{}.new", Uuid::now_v7().simple()));
    let written = create(&next, true).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| match fs::hard_link(&next, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let removed = if next.exists() { fs::remove_file(&next) } else { Ok(()) };
    placed.and(removed).map_err(|error| DiskFault::new(path, &error))
}

/// Brings the name of a file that was made, renamed or removed to the disk.
///
/// # Errors
/// What the operating system says.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Keeps other processes away, until the file that is given is closed. Blocks for half a second where somebody has the lock, for
/// that may be a process that is just ending, or a child of its that has not yet closed what it inherited.
///
/// # Errors
/// [`DiskFault`] that says `taken` where another process has it.
pub fn claim(path: &Path, taken: &str) -> Result<File, DiskFault> {
    let file = create(path, false).map_err(|error| DiskFault::new(path, &error))?;
    match lock(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DiskFault::because(path, &taken, true)),
        Err(TryLockError::Error(error)) => Err(DiskFault::new(path, &error)),
    }
}

// === helpers ===

fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => sleep(LOOK),
            done => return done,
        }
    }
    file.try_lock()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
    }

    #[cfg(unix)]
    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("one/two");
        make_directory(&directory).unwrap();
        make_directory(&directory).unwrap();
        assert_eq!((mode(&above.path().join("one")), mode(&directory)), (0o700, 0o700));
        create(&directory.join("made"), false).unwrap();
        replace(&directory.join("replaced"), b"x").unwrap();
        place(&directory.join("placed"), b"x").unwrap();
        claim(&directory.join("lock"), "taken").unwrap();
        for name in ["made", "replaced", "placed", "lock"] {
            assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn a_replaced_file_is_whole_and_can_be_written_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        // Left behind by a process that ended while it wrote.
        fs::write(beside(&path), "a longer text that was never whole").unwrap();
        for text in ["first", "second one", "3"] {
            let mut file = replace(&path, text.as_bytes()).unwrap();
            file.write_all(b"!").unwrap();
            let mut all = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut all).unwrap();
            assert_eq!((&all, &fs::read_to_string(&path).unwrap()), (&format!("{text}!"), &all));
        }
        assert!(!beside(&path).exists());
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_the_fault_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::create_dir_all(path.join("in the way")).unwrap();
        let fault = replace(&path, b"x").unwrap_err();
        assert!(fault.message.starts_with(&format!("{}: ", path.display())), "{fault}");
        assert!(path.join("in the way").exists());
    }

    #[test]
    fn what_is_there_is_not_replaced_by_what_is_placed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for text in ["first", "second"] {
            place(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let fault = place(&directory.path().join("nowhere/file"), b"x").unwrap_err();
        assert!(fault.message.contains("nowhere/file: "), "{fault}");
    }

    #[test]
    fn a_lock_is_one_process_s_and_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = claim(&path, "somebody has it").unwrap();
        let second = claim(&path, "somebody has it").unwrap_err();
        assert!(second.message.ends_with("lock: somebody has it") && second.transient, "{second}");
        let ending = std::thread::spawn(move || {
            sleep(LOOK * 5);
            drop(first);
        });
        claim(&path, "somebody has it").unwrap();
        ending.join().unwrap();
    }

    #[test]
    fn faults_say_what_to_do_and_whether_waiting_helps() {
        for (kind, advice, transient) in [
            (ErrorKind::PermissionDenied, "must be writable by the user that runs tollgate", false),
            (ErrorKind::ReadOnlyFilesystem, "must be writable by the user that runs tollgate", false),
            (ErrorKind::StorageFull, "make room on the disk", true),
            (ErrorKind::NotADirectory, "name another directory with --data", false),
            (ErrorKind::Interrupted, "", true),
        ] {
            let fault = DiskFault::new(Path::new("/data/file"), &kind.into());
            assert!(fault.message.starts_with("/data/file: ") && fault.message.ends_with(advice), "{fault}");
            assert_eq!(fault.transient, transient, "{fault}");
            let error = fault.clone().of("memory");
            assert_eq!((error.store, error.message, error.transient), ("memory", fault.message, transient));
        }
    }
}
