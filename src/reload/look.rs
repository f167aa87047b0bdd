//! What the files of a policy look like from outside: cheap to see, and different whenever one of them may say something else.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files;

/// How long the times of changed files are too coarse to tell a second change from the first.
const COARSE: Duration = Duration::from_secs(2);

/// A look at a directory, or at a single file. Two that are equal saw the same policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    files: Files,
    /// Whether all of them are older than [`COARSE`]. A look at files that have just been changed is never like a later one.
    settled: bool,
}

/// The files of a policy and its cases, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files(Vec<Seen>);

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    /// What is behind all links; or why that cannot be seen, for a name that leads nowhere is a fault of the policy.
    found: Result<Found, ErrorKind>,
}

/// What is told of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    length: u64,
    modified: Option<SystemTime>,
    identity: Identity,
}

/// What differs between two files, and between two states of one, where length and time of the text are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Identity {
    /// A file that took another one's place is another file. A mounted ConfigMap is swapped so, with the times of its files unchanged.
    device: u64,
    inode: u64,
    /// When owner, permissions or text were changed last: seconds since 1970, and nanoseconds.
    changed: (i64, i64),
}

// === impl Look ===

impl Look {
    /// Looks at all files in whose names a policy or its cases may be. `now` is the time by the clock of the file system.
    pub(super) fn at(policies: &Path, now: SystemTime) -> Self {
        let files = Files::at(policies);
        let old = |found: &Found| {
            // What was changed in the future is as old as it gets.
            found.modified.is_none_or(|modified| now.duration_since(modified).map_or(true, |age| age >= COARSE))
        };
        let settled = files.0.iter().filter_map(|seen| seen.found.as_ref().ok()).all(old);
        Self { files, settled }
    }

    /// Whether both saw the same, however old it was.
    pub(super) fn saw_the_files_of(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

// === impl Files ===

impl Files {
    /// What can be seen now, of whatever age.
    pub(super) fn at(policies: &Path) -> Self {
        let mut files: Vec<_> = paths(policies).into_iter().filter_map(Seen::at).collect();
        files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Self(files)
    }
}

// === impl Seen ===

impl Seen {
    /// None for a directory, which is not read.
    fn at(path: PathBuf) -> Option<Self> {
        let found = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return None,
            Ok(metadata) => Ok(Found::of(&metadata)),
            Err(error) => Err(error.kind()),
        };
        Some(Self { path, found })
    }
}

// === impl Found ===

impl Found {
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok(), identity: Identity::of(metadata) }
    }
}

// === impl Identity ===

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: metadata.dev(), inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }

    #[cfg(not(unix))]
    fn of(_metadata: &Metadata) -> Self {
        Self::default()
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
        fs::create_dir(path.join("sub.yaml")).unwrap();
        differs("a directory", false);
        fs::remove_dir_all(path).unwrap();
        differs("nothing at all", true);
    }

    /// Whoever may read it now could not before, and the other way round: neither length nor time of the text tells.
    #[cfg(unix)]
    #[test]
    fn another_permission_looks_different() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let policy = directory.path().join("policy.yaml");
        fs::write(&policy, "version: 1\n").unwrap();
        // Whether it has settled plays no part.
        age(&policy, Duration::from_secs(3600));
        let before = Look::at(directory.path(), now());
        let until = Clock::system().tick() + Duration::from_secs(60);
        // The clock of a file system may stand still for some milliseconds.
        while Look::at(directory.path(), now()) == before {
            assert!(Clock::system().tick() < until, "another permission looks as before");
            fs::set_permissions(&policy, fs::Permissions::from_mode(0o000)).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_leads_nowhere_is_seen() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("policy.yaml"), "version: 1\n").unwrap();
        let link = path.join("z.yaml");
        let mut last = Look::at(path, now());
        let mut differs = |what: &str| {
            let look = Look::at(path, now());
            assert_ne!(look, last, "{what}");
            last = look;
        };
        symlink("nowhere", &link).unwrap();
        differs("a link to nothing");
        fs::write(path.join("nowhere"), "version: 1\n").unwrap();
        differs("there is something");
        fs::remove_file(path.join("nowhere")).unwrap();
        symlink("z.yaml", path.join("nowhere")).unwrap();
        differs("a loop");
        fs::remove_file(&link).unwrap();
        differs("no link");
        symlink("policy.yaml", &link).unwrap();
        differs("a link to a file");
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
