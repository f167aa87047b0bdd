//! Collecting faults while a policy is read.

use std::sync::Arc;

use super::compile::Source;
use crate::report::{Fault, Place, Report, Severity};

/// Where something is written: a place without its file's name, so that every word of a policy can carry one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// Which of the sources.
    pub(super) source: usize,
    /// Line, counted from 1.
    pub(super) line: u32,
    /// Column in characters, counted from 1.
    pub(super) column: u32,
    /// First byte.
    pub(super) start: usize,
    /// The byte after the last one.
    pub(super) end: usize,
}

/// The faults so far, and the sources to place them in.
pub(super) struct Faults<'a> {
    sources: &'a [Source],
    report: Report,
    /// How many faults are no warnings.
    errors: usize,
    /// Whether a file could not be read at all, so that what is missing may stand in it.
    pub(super) incomplete: bool,
}

// === impl Faults ===

impl<'a> Faults<'a> {
    pub(super) fn new(sources: &'a [Source]) -> Self {
        let mut report = Report::new();
        for source in sources {
            report.add_source(source.path.clone(), Arc::clone(&source.text));
        }
        Self { sources, report, errors: 0, incomplete: false }
    }

    /// Adds a fault at a place.
    pub(super) fn push(&mut self, spot: Spot, fault: Fault) {
        let fault = match self.place(spot) {
            Some(place) => fault.at(place),
            None => fault,
        };
        self.push_anywhere(fault);
    }

    /// Adds a fault of something that is written in no file.
    pub(super) fn push_anywhere(&mut self, fault: Fault) {
        self.errors += usize::from(fault.severity == Severity::Error);
        self.report.push(fault);
    }

    /// Adds a fault that concerns a file as a whole.
    pub(super) fn push_file(&mut self, source: usize, fault: Fault) {
        self.push(Spot { source, ..Spot::default() }, fault);
    }

    /// Adds the fault that something is defined a second time.
    pub(super) fn push_twice(&mut self, code: &'static str, what: &str, first: Spot, second: Spot) {
        let Some(place) = self.place(first) else { return };
        let fault = Fault::error(code, format!("{what} is defined twice, first at {place}"))
            .help("remove one of the two, or write both as one")
            .related(place, "first defined here");
        self.push(second, fault);
    }

    /// How many faults there are, warnings among them.
    pub(super) fn count(&self) -> usize {
        self.report.count()
    }

    /// How many faults there are that are no warnings.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    pub(super) fn has_errors(&self) -> bool {
        self.report.has_errors()
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    /// The place in its file; none where it is written in no file.
    pub(super) fn place(&self, spot: Spot) -> Option<Place> {
        let source = self.sources.get(spot.source)?;
        let span = (spot.start..spot.end).into();
        Some(Place { file: source.path.clone(), line: spot.line, column: spot.column, span })
    }
}
