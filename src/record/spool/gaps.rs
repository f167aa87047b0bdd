//! Which losses are in the record already, so that each is recorded once, however often the damaged segment is read again.
//!
//! A file of lines `FIRST LAST` that is written anew each time. A line that cannot be read is passed over: then a loss is recorded again.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::SpoolFault;
use crate::store::own;

/// The file and what is in it.
#[derive(Debug)]
pub(super) struct Gaps {
    path: PathBuf,
    /// In order, none touching another.
    known: Vec<Range<u64>>,
}

// === impl Gaps ===

impl Gaps {
    pub(super) fn open(path: &Path) -> Result<Self, SpoolFault> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(SpoolFault::io(path, &error)),
        };
        let mut gaps = Self { path: path.to_owned(), known: Vec::new() };
        for range in text.lines().filter_map(line) {
            gaps.known = with(&gaps.known, range);
        }
        Ok(gaps)
    }

    /// What of these is not known yet.
    pub(super) fn unknown(&self, frames: &Range<u64>) -> Vec<Range<u64>> {
        let mut rest = Vec::new();
        let mut from = frames.start;
        for known in &self.known {
            rest.push(from..known.start.min(frames.end));
            from = from.max(known.end);
        }
        rest.push(from..frames.end);
        rest.retain(|range| !range.is_empty());
        rest
    }

    /// Makes these known, and forgets what is before the oldest frame there is.
    pub(super) fn add(&mut self, frames: Range<u64>, oldest: u64) -> Result<(), SpoolFault> {
        let mut known = with(&self.known, frames);
        known.retain(|range| range.end > oldest);
        let lines: String = known.iter().map(|range| format!("{} {}\n", range.start, range.end - 1)).collect();
        own::replace(&self.path, lines.as_bytes())?;
        self.known = known;
        own::sync_parent(&self.path).map_err(|error| SpoolFault::io(&self.path, &error))
    }
}

// === helpers ===

fn line(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.split_once(' ')?;
    let range = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    (!range.is_empty()).then_some(range)
}

/// The ranges with this one, put together where they touch.
fn with(known: &[Range<u64>], mut new: Range<u64>) -> Vec<Range<u64>> {
    let mut all = Vec::with_capacity(known.len() + 1);
    for range in known {
        if range.end < new.start || new.end < range.start {
            all.push(range.clone());
        } else {
            new = new.start.min(range.start)..new.end.max(range.end);
        }
    }
    if !new.is_empty() {
        all.push(new);
    }
    all.sort_unstable_by_key(|range| range.start);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_is_known_is_what_was_added(added in prop::collection::vec((0..60_u64, 0..12_u64), 0..12), ask in (0..70_u64, 0..70_u64)) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("gaps");
            let mut model = BTreeSet::new();
            for (start, length) in added {
                Gaps::open(&path).unwrap().add(start..start + length, 0).unwrap();
                model.extend(start..start + length);
            }
            let unknown = Gaps::open(&path).unwrap().unknown(&(ask.0..ask.1));
            prop_assert!(unknown.iter().all(|range| !range.is_empty()));
            let unknown: Vec<u64> = unknown.into_iter().flatten().collect();
            let expected: Vec<u64> = (ask.0..ask.1).filter(|number| !model.contains(number)).collect();
            prop_assert_eq!(unknown, expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gaps");
        fs::write(&path, b"3 4\nx 9\n9\n\xFF 10\n8 7\n1 18446744073709551615\n6 6\n").unwrap();
        let mut gaps = Gaps::open(&path).unwrap();
        assert_eq!(gaps.unknown(&(0..10)), [0..3, 5..6, 7..10]);
        gaps.add(20..30, 6).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "6 6\n20 29\n");
    }
}
