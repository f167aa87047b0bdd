//! A file that tells the next Tollgate with the same data directory in which windows limits were counted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::own::{self, DiskFault};

/// The file in the data directory.
const FILE: &str = "limits.windows";

/// The file. What it tells is a help to operators: nothing is decided by it.
pub struct KeptWindows(PathBuf);

// === impl KeptWindows ===

impl KeptWindows {
    /// The file in this data directory, which need not be there.
    pub fn at(directory: &Path) -> Self {
        Self(directory.join(FILE))
    }

    /// What was written last; none where nothing was.
    ///
    /// # Errors
    /// [`DiskFault`] where the file cannot be read.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, DiskFault> {
        let bytes = match fs::read(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|error| DiskFault::new(&self.0, &error))?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| DiskFault::because(&self.0, &error, false))
    }

    /// Writes this in place of what was written before. Blocks.
    ///
    /// # Errors
    /// [`DiskFault`] where it cannot be written; the old file is there then.
    pub fn write<T: Serialize>(&self, windows: &T) -> Result<(), DiskFault> {
        let bytes = serde_json::to_vec(windows).map_err(|error| DiskFault::because(&self.0, &error, false))?;
        own::replace(&self.0, &bytes)?;
        own::sync_parent(&self.0).map_err(|error| DiskFault::new(&self.0, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_is_broken_is_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        let kept = KeptWindows::at(directory.path());
        assert_eq!(kept.read::<Vec<u8>>().unwrap(), None);
        for written in [vec![1, 2, 3], vec![]] {
            kept.write(&written).unwrap();
            assert_eq!(KeptWindows::at(directory.path()).read::<Vec<u8>>().unwrap(), Some(written));
        }
        fs::write(directory.path().join(FILE), "[1, 2").unwrap();
        let fault = kept.read::<Vec<u8>>().unwrap_err();
        assert!(fault.message.contains("limits.windows: EOF"), "{fault}");
    }
}
