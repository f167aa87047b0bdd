//! The file of what a sink will not have: JSON lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::store::own;

/// What one sink has refused.
pub(super) struct Aside {
    path: PathBuf,
}

// === impl Aside ===

impl Aside {
    /// Kept in this file, which need not be there.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line. On the disk when it returns.
    ///
    /// # Errors
    /// Where the disk does not take it; then no part of it is there.
    pub(super) fn add(&self, text: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        let length = file.metadata()?.len();
        let kept = file.write_all(&[text, b"\n"].concat()).and_then(|()| file.sync_data());
        if kept.is_err() {
            file.set_len(length)?;
        }
        kept
    }

    /// The lines that are there.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(super) fn read(&self) -> io::Result<Vec<String>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Puts these lines in the place of those that are there.
    ///
    /// # Errors
    /// Where that cannot be done: the file is as it was.
    pub(super) fn replace(&self, lines: &[String]) -> io::Result<()> {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        own::replace(&self.path, text.as_bytes()).map_err(io::Error::other)?;
        own::sync_parent(&self.path)
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }
}
