//! From sources to a snapshot, or to all faults at once.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::check::check;
use super::defaults::UserDefaults;
use super::faults::Faults;
use super::merge::{Merged, merge};
use super::snapshot::Snapshot;
use super::statements::{Statement, statements};
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
    compile_with(sources, &UserDefaults::default())
}

/// Reads the sources as one policy, with defaults for users that stand in for theirs.
///
/// # Errors
///
/// As [`compile`], and what is wrong with the defaults.
pub fn compile_with(sources: &[Source], defaults: &UserDefaults) -> Result<(Snapshot, Report), Report> {
    let (snapshot, _, warnings) = compiled(sources, defaults, |_, _| ())?;
    Ok((snapshot, warnings))
}

/// [`compile_with`], and with the policy its statements with their places.
///
/// # Errors
///
/// As [`compile_with`].
pub fn compile_listed(
    sources: &[Source],
    defaults: &UserDefaults,
) -> Result<(Snapshot, Vec<Statement>, Report), Report> {
    compiled(sources, defaults, statements)
}

fn compiled<T>(
    sources: &[Source],
    defaults: &UserDefaults,
    also: impl FnOnce(&Merged, &Faults<'_>) -> T,
) -> Result<(Snapshot, T, Report), Report> {
    let mut faults = Faults::new(sources);
    let mut files = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        match tree::parse(index, &source.text, &mut faults) {
            Some(root) => files.push(written::read(index, &root, &mut faults)),
            None => faults.incomplete = true,
        }
    }
    let mut merged = merge(files, &mut faults);
    defaults.replace(&mut merged.defaults, &mut faults);
    let messages = check(&merged, &mut faults);
    if faults.has_errors() {
        return Err(faults.into_report());
    }
    let also = also(&merged, &faults);
    let snapshot = Snapshot::new(merged, messages, revision(sources, defaults), sources.len());
    Ok((snapshot, also, faults.into_report()))
}

/// The revision: the same for the same texts, wherever the files are.
fn revision(sources: &[Source], defaults: &UserDefaults) -> Arc<str> {
    let mut hash = Sha256::new();
    for text in sources.iter().map(|source| &*source.text).chain(defaults.texts()) {
        // With the length before it, no text can pass for two.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(6)
        .fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
        .into()
}
