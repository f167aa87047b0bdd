//! Faults found in files that people write: settings and policies.
//!
//! A [`Fault`] has a code, a sentence, a place and a piece of advice. A [`Report`] collects all of them, so that a
//! file is corrected once and not line by line, and prints them for people (with the source line underlined) or for
//! programs (JSON). This is a leaf room: it knows no policy and no setting.
//!
//! A report shows source lines only of files given to [`Report::add_source`]. Leave out files that may hold secrets:
//! their faults are then printed with file, line and column only.

mod render;
mod suggest;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use suggest::nearest;

/// How grave a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The files cannot be used.
    Error,
    /// The files can be used, but hardly mean what their author thinks.
    Warning,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named by whoever read it.
    pub file: PathBuf,
    /// Line, counted from 1. 0 means that the fault concerns the file as a whole.
    pub line: u32,
    /// Column in characters, counted from 1. 0 where `line` is 0.
    pub column: u32,
    /// The blamed text as a range of bytes from the start of the file. Empty where only the position is known.
    pub span: ByteSpan,
}

/// A range of bytes of a file. `std::ops::Range` has no order, and places are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSpan {
    /// First byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// A second place that belongs to a fault, such as an earlier definition of the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where it is.
    pub place: Place,
    /// What is there, as a few words.
    pub label: &'static str,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A short kebab-case name of the kind of fault, which stays the same between versions.
    pub code: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// What is wrong: one sentence, lower case, no full stop, no secret.
    pub message: String,
    /// What to do about it, where that can be said.
    pub help: Option<String>,
    /// Where it is, where that can be said.
    pub place: Option<Place>,
    /// Another place that explains this one. The message names it too, for readers of the JSON form.
    pub related: Option<Related>,
}

/// All faults of a set of files.
#[derive(Clone, Debug, Default)]
pub struct Report {
    faults: Vec<Fault>,
    sources: BTreeMap<PathBuf, Arc<str>>,
}

// === impl Place ===

impl Place {
    /// A place that is a whole file.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), line: 0, column: 0, span: ByteSpan::default() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = shown(&self.file);
        match self.line {
            0 => f.write_str(&file),
            line => write!(f, "{file}:{line}:{}", self.column),
        }
    }
}

// === impl ByteSpan ===

impl From<Range<usize>> for ByteSpan {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

// === impl Fault ===

impl Fault {
    /// A fault that makes the files unusable.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message.into())
    }

    /// A fault that the author should look at.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message.into())
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(without_controls(help.into()));
        self
    }

    /// Adds where it is.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds a second place and the words that say what is there.
    #[must_use]
    pub fn related(mut self, place: Place, label: &'static str) -> Self {
        self.related = Some(Related { place, label });
        self
    }

    fn new(code: &'static str, severity: Severity, message: String) -> Self {
        Self { code, severity, message: without_controls(message), help: None, place: None, related: None }
    }
}

// === impl Report ===

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the report show lines of this file. Not for files that may hold secrets.
    pub fn add_source(&mut self, file: impl Into<PathBuf>, text: Arc<str>) {
        self.sources.insert(file.into(), text);
    }

    /// Adds a fault.
    pub fn push(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Adds the faults and sources of another report.
    pub fn merge(&mut self, other: Self) {
        self.faults.extend(other.faults);
        self.sources.extend(other.sources);
    }

    /// The faults, sorted by file, line and column; those without a place come first.
    pub fn faults(&self) -> Vec<&Fault> {
        let mut faults: Vec<_> = self.faults.iter().collect();
        faults.sort_by(|a, b| {
            (&a.place, a.severity, a.code, &a.message).cmp(&(&b.place, b.severity, b.code, &b.message))
        });
        faults
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// How many faults and warnings there are.
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// Whether a fault makes the files unusable. Warnings alone do not.
    pub fn has_errors(&self) -> bool {
        self.faults.iter().any(|fault| fault.severity == Severity::Error)
    }

    /// One line with the counts: `3 faults in 2 files, 1 warning`.
    pub fn summary(&self) -> String {
        let errors = self.faults.iter().filter(|fault| fault.severity == Severity::Error).count();
        let warnings = self.faults.len() - errors;
        let files: BTreeSet<&Path> =
            self.faults.iter().filter_map(|fault| fault.place.as_ref()).map(|place| place.file.as_path()).collect();
        let place = if files.is_empty() { String::new() } else { format!(" in {}", counted(files.len(), "file")) };
        match (errors, warnings) {
            (0, 0) => "no faults".to_owned(),
            (0, warnings) => format!("{}{place}", counted(warnings, "warning")),
            (errors, 0) => format!("{}{place}", counted(errors, "fault")),
            (errors, warnings) => format!("{}{place}, {}", counted(errors, "fault"), counted(warnings, "warning")),
        }
    }

    /// The text for people: every fault with its source line, then the summary line. Empty for an empty report.
    pub fn render_human(&self, colour: bool) -> String {
        render::human(self, colour)
    }

    /// The text for programs: an array of objects with `code`, `severity`, `file`, `line`, `column`, `message`, `help`.
    /// What is not known is `null`.
    pub fn render_json(&self) -> String {
        render::json(self)
    }

    fn source(&self, file: &Path) -> Option<&str> {
        self.sources.get(file).map(AsRef::as_ref)
    }
}

impl From<Fault> for Report {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault], sources: BTreeMap::new() }
    }
}

impl fmt::Display for Fault {
    /// In one line, for a log: the place and what is wrong there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render_human(false))
    }
}

impl std::error::Error for Report {}

/// A name taken from a file, in quotes and with control characters escaped, for use in a message.
pub fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if is_invisible(c) => text.extend(c.escape_default()),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// Characters that change a line of text without being seen in it: controls, and the marks that hide or reorder text.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `1 file`, `2 files`.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count if noun.ends_with('y') => format!("{count} {}ies", noun.trim_end_matches('y')),
        count => format!("{count} {noun}s"),
    }
}

fn shown(file: &Path) -> String {
    without_controls(file.to_string_lossy().into_owned())
}

/// A report goes to terminals: nothing that a file says may move the cursor there.
fn without_controls(text: String) -> String {
    if !text.contains(is_invisible) {
        return text;
    }
    text.chars().map(|c| if is_invisible(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests;
