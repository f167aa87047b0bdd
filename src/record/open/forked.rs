//! A data directory that was put back from a backup, or copied for another Tollgate: it does not know what was written since. Going on from
//! where it ends would give numbers a second time, and the record could never be verified again.

use jiff::Timestamp;

use super::super::chain::Ends;
use super::super::entry::ForkedAt;
use super::super::heads::Head;
use super::super::line::{Kind, Line};
use super::super::link::{Hash, Link};
use super::super::{About, Entry, Event, Happened, Severity};

/// The last lines that a store has of an instance.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The store's name.
    pub store: &'static str,
    /// The last of each kind, as far as there is one.
    pub lines: Vec<Line>,
}

/// What there is to say where a store has more of the instance than ends there, or something else.
pub(super) fn forked(ends: &Ends, stored: &[Stored]) -> Option<About> {
    stored.iter().find_map(|Stored { store, lines }| {
        let mut kept = ForkedAt::default();
        let mut is_forked = false;
        for line in lines {
            let (number, hash) = match line.kind {
                Kind::Head => (Head::read(&line.text).ok()?.number, Hash::of(line.text.as_bytes())),
                Kind::Audit | Kind::Usage => Link::read(&line.text).ok().map(|link| (link.seq, link.hash))?,
            };
            let (known, at) = match line.kind {
                Kind::Head => ((ends.head.number, ends.head.hash), &mut kept.head),
                Kind::Audit => ((ends.audit.seq, ends.audit.hash), &mut kept.audit),
                Kind::Usage => ((ends.usage.seq, ends.usage.hash), &mut kept.usage),
            };
            *at = number;
            is_forked |= number > known.0 || number == known.0 && hash != known.1;
        }
        let known = ForkedAt { audit: ends.audit.seq, usage: ends.usage.seq, head: ends.head.number };
        is_forked.then(|| About::Forked { retired: ends.instance, store: (*store).into(), known, kept })
    })
}

/// The event that says so, which is also logged.
pub(super) fn event(at: Timestamp, about: About) -> Entry {
    if let About::Forked { retired, store, .. } = &about {
        tracing::warn!(instance = %retired, store = &**store, "the data directory is older than the record, or a copy: the record goes on as a new instance");
    }
    let event = Event::of_tollgate(at, Happened::Forked, None, about);
    Entry::Event(Box::new(Event { severity: Severity::Warning, ..event }))
}
