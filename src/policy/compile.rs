//! From sources to a snapshot, or to all faults at once.

use std::path::PathBuf;
use std::sync::Arc;

use super::check::check;
use super::faults::Faults;
use super::merge::merge;
use super::snapshot::Snapshot;
use super::{tree, written};
use crate::report::Report;

/// One policy file.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's name, for faults. It need not exist.
    pub path: PathBuf,
    /// What it says.
    pub text: Arc<str>,
}

/// Reads the sources as one policy.
///
/// # Errors
///
/// All faults of all files; a file that is not even YAML does not hide the faults of the others. Where there is a
/// snapshot, the report beside it has warnings only.
pub fn compile(sources: &[Source]) -> Result<(Snapshot, Report), Report> {
    let mut faults = Faults::new(sources);
    let mut files = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        match tree::parse(index, &source.text, &mut faults) {
            Some(root) => files.push(written::read(index, &root, &mut faults)),
            None => faults.incomplete = true,
        }
    }
    let merged = merge(files, &mut faults);
    let message = check(&merged, &mut faults);
    if faults.has_errors() {
        return Err(faults.into_report());
    }
    Ok((Snapshot::new(&merged, message, sources), faults.into_report()))
}
