use std::os::unix::fs::symlink;

use super::*;

/// A directory as a mounted ConfigMap has it, in which all files of a version say which one it is.
struct Mounted(tempfile::TempDir);

const NAMES: [&str; 3] = ["a.yaml", "b.yaml", "b.test.yaml"];

impl Mounted {
    fn new() -> Self {
        let mounted = Self(tempfile::tempdir().unwrap());
        mounted.swap(1);
        for name in NAMES {
            symlink(Path::new("..data").join(name), mounted.0.path().join(name)).unwrap();
        }
        mounted
    }

    /// Puts another version into the place of the one before, which is then removed. All have the same length.
    fn swap(&self, version: u8) {
        let path = self.0.path();
        let (directory, before) = (path.join(format!("..{version}")), path.join(format!("..{}", version - 1)));
        fs::create_dir(&directory).unwrap();
        for name in NAMES {
            fs::write(directory.join(name), format!("# {version}")).unwrap();
        }
        symlink(format!("..{version}"), path.join("..new")).unwrap();
        fs::rename(path.join("..new"), path.join("..data")).unwrap();
        if before.exists() {
            fs::remove_dir_all(before).unwrap();
        }
    }

    /// Reads all files at one moment. Before each file after the first one of a try, for so many times, there is another version.
    fn read_during(&self, swaps: u8) -> (Vec<String>, Report) {
        let (mut version, mut first) = (1, None);
        let mut text = |path: &Path| {
            let name = name(path);
            let later = first.get_or_insert_with(|| name.clone()) != &name;
            if later && version <= swaps {
                version += 1;
                self.swap(version);
            }
            text::read(path)
        };
        let (sources, report) = at_one_moment(self.0.path(), || {
            let (mut sources, mut report) = policy(self.0.path(), &mut text);
            let (cases, unread) = cases(self.0.path(), &mut text);
            sources.extend(cases);
            report.merge(unread);
            (sources, report)
        });
        (sources.iter().map(|source| source.text.to_string()).collect(), report)
    }
}

#[test]
fn files_that_change_while_they_are_read_are_read_again_as_a_whole() {
    for swaps in 0..=9 {
        let (texts, report) = Mounted::new().read_during(swaps);
        assert!(report.is_empty(), "{swaps}: {report}");
        let expected = format!("# {}", swaps + 1);
        assert_eq!(texts, [expected.as_str(); 3], "{swaps}: all of one version, and of the last one");
    }
}

#[test]
fn files_that_never_stand_still_are_a_fault() {
    let (_, report) = Mounted::new().read_during(u8::MAX - 1);
    let faults = report.faults();
    let fault = faults.last().unwrap();
    assert_eq!(fault.code, codes::UNREADABLE);
    assert_eq!(fault.message, "the files were changed while they were read, 20 times in a row");
}
