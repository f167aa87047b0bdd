//! What the files of a policy look like from outside: cheap to see, and different whenever one of them may say something else.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files;

/// How long the times of changed files are too coarse to tell a second change from the first.
const COARSE: Duration = Duration::from_secs(2);

/// A look at a directory, or at a single file. Two that are equal saw the same policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    files: Vec<Seen>,
    /// Whether all of them are older than [`COARSE`]. A look at files that have just been changed is never like a later one.
    settled: bool,
}

/// One file, behind all links.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    /// A file that took another one's place is another file. A mounted ConfigMap is swapped so, with the times of its files unchanged.
    inode: u64,
}

// === impl Look ===

impl Look {
    /// Looks at all files in whose names a policy or its cases may be. What cannot be seen is left out: that it has gone, or come back, is
    /// a change like any other. `now` is the time by the clock of the file system.
    pub(super) fn at(policies: &Path, now: SystemTime) -> Self {
        let mut files: Vec<_> = paths(policies).into_iter().filter_map(Seen::at).collect();
        files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let old = |seen: &Seen| {
            // What was changed in the future is as old as it gets.
            seen.modified.is_none_or(|modified| now.duration_since(modified).map_or(true, |age| age >= COARSE))
        };
        let settled = files.iter().all(old);
        Self { files, settled }
    }
}

// === impl Seen ===

impl Seen {
    fn at(path: PathBuf) -> Option<Self> {
        let metadata = fs::metadata(&path).ok().filter(Metadata::is_file)?;
        Some(Self { path, length: metadata.len(), modified: metadata.modified().ok(), inode: inode(&metadata) })
    }
}

// === helpers ===

fn paths(policies: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(policies) else {
        let mut paths = files::beside(policies);
        paths.push(policies.to_owned());
        return paths;
    };
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    entries.flatten().map(|entry| entry.path()).filter(|path| is_yaml(path) && !files::is_hidden(path)).collect()
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use super::*;
    use crate::clock::Clock;

    fn now() -> SystemTime {
        Clock::system().now().into()
    }

    /// Sets back the time at which a file was changed.
    fn age(path: &Path, by: Duration) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(now() - by)).unwrap();
    }

    #[test]
    fn whatever_changes_a_policy_looks_different() {
        let directory = tempfile::tempdir().unwrap();
        let (path, policy) = (directory.path(), directory.path().join("policy.yaml"));
        let hour = Duration::from_secs(3600);
        let write = |name: &str, text: &str| {
            fs::write(path.join(name), text).unwrap();
            age(&path.join(name), hour);
        };
        write("policy.yaml", "version: 1\n");
        let mut last = Look::at(path, now());
        assert_eq!(Look::at(path, now()), last);
        let mut differs = |what: &str, expected: bool| {
            let look = Look::at(path, now());
            assert_eq!(look != last, expected, "{what}");
            last = look;
        };
        write("other.txt", "");
        write(".hidden.yaml", "");
        differs("what is no policy", false);
        write("more.yml", "");
        differs("one more file", true);
        write("policy.test.yaml", "");
        differs("cases", true);
        write("policy.yaml", "version: 1\nx");
        differs("a longer text", true);
        age(&policy, 2 * hour);
        differs("another time", true);
        let times = FileTimes::new().set_modified(fs::metadata(&policy).unwrap().modified().unwrap());
        fs::write(path.join("new"), "version: 2\nx").unwrap();
        File::options().write(true).open(path.join("new")).unwrap().set_times(times).unwrap();
        fs::rename(path.join("new"), &policy).unwrap();
        differs("another file with the same time and length", true);
        fs::remove_file(&policy).unwrap();
        differs("one file less", true);
        fs::remove_dir_all(path).unwrap();
        differs("nothing at all", true);
    }

    #[test]
    fn cases_beside_a_single_file_are_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let policy = directory.path().join("policy.yaml");
        fs::write(&policy, "version: 1\n").unwrap();
        let before = Look::at(&policy, now());
        fs::write(directory.path().join("other.test.yaml"), "").unwrap();
        assert_eq!(Look::at(&policy, now()), before);
        fs::write(directory.path().join("policy.test.yml"), "").unwrap();
        assert_ne!(Look::at(&policy, now()), before);
    }

    #[test]
    fn what_has_just_been_written_is_looked_at_again() {
        let directory = tempfile::tempdir().unwrap();
        let policy = directory.path().join("policy.yaml");
        fs::write(&policy, "version: 1\n").unwrap();
        let fresh = Look::at(&policy, now());
        assert!(!fresh.settled);
        let modified = fs::metadata(&policy).unwrap().modified().unwrap();
        assert_eq!(Look::at(&policy, now()), fresh);
        age(&policy, 2 * COARSE);
        let later = Look::at(&policy, now());
        assert!(later.settled);
        // The same time once more, as if it had become old: alone that it has settled makes the difference.
        File::options().write(true).open(&policy).unwrap().set_times(FileTimes::new().set_modified(modified)).unwrap();
        assert_ne!(Look { settled: true, ..Look::at(&policy, now()) }, fresh);
    }
}
