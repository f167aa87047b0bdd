//! The text of one file, for whoever reads a policy: bounded in size, and without waiting for anybody.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::policy::LARGEST_FILE;

/// Reads a file. Of one that is larger than a policy file may be, no more than the beginning, which is larger as well: the policy says that.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a pipe, a device or a socket, which could keep its reader waiting for good; [`ErrorKind::InvalidData`]
/// for what is no UTF-8; and whatever the system says.
pub(super) fn read(path: &Path) -> io::Result<String> {
    // Before it is opened, for to open a device can be to use it.
    regular(&fs::metadata(path)?)?;
    let file = open(path)?;
    // And of what was opened, for it may have taken the other one's place.
    regular(&file.metadata()?)?;
    let (mut bytes, most) = (Vec::new(), LARGEST_FILE + 1);
    file.take(most as u64).read_to_end(&mut bytes)?;
    if bytes.len() == most {
        // The cut may go through a character.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

fn regular(metadata: &fs::Metadata) -> io::Result<()> {
    match () {
        () if metadata.is_file() => Ok(()),
        () if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
        () => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Opens a file without waiting for somebody at the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_read_as_too_large_and_no_further() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        for (text, expected) in [
            (String::new(), 0),
            ("x".repeat(LARGEST_FILE), LARGEST_FILE),
            ("x".repeat(LARGEST_FILE + 1), LARGEST_FILE + 1),
            ("x".repeat(3 * LARGEST_FILE), LARGEST_FILE + 1),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(read(&path).unwrap().len(), expected);
        }
        // Cut within a character of two bytes.
        fs::write(&path, "é".repeat(LARGEST_FILE)).unwrap();
        assert!((LARGEST_FILE + 1..LARGEST_FILE + 4).contains(&read(&path).unwrap().len()));
    }

    #[test]
    fn only_text_of_regular_files_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        let kind = |path: &Path| read(path).unwrap_err().kind();
        assert_eq!(kind(&path), ErrorKind::NotFound);
        fs::write(&path, [b'a', 0xff]).unwrap();
        assert_eq!(kind(&path), ErrorKind::InvalidData);
        assert_eq!(kind(directory.path()), ErrorKind::IsADirectory);
        assert_eq!(kind(Path::new("/dev/zero")), ErrorKind::InvalidInput);
    }

    /// Nobody writes into it: whoever opens it as a file waits.
    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
        // Also where it took the place of a file at the last moment.
        assert!(regular(&open(&path).unwrap().metadata().unwrap()).is_err());
    }
}
