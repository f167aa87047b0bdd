//! Whom a limit concerns, and which models they may use.

use crate::policy::faults::Spot;
use crate::policy::merge::Merged;
use crate::policy::rules::AGENTS;
use crate::policy::snapshot::Fallback;
use crate::policy::written::{Entry, Section, Spotted, WrittenLimit, WrittenLimits};

/// A limit and the entry it stands in; none at the top level and for defaults.
pub(super) struct Placed<'a> {
    pub(super) of: Option<&'a (Section, String)>,
    pub(super) limit: &'a WrittenLimit,
}

/// Models that somebody may use whom a limit concerns.
pub(super) struct Use<'a> {
    pub(super) endpoint: &'a str,
    pub(super) model: &'a str,
    pub(super) spot: Spot,
}

/// All limits of a policy.
pub(super) fn limits(merged: &Merged) -> impl Iterator<Item = Placed<'_>> {
    let everybody = merged.limits.iter().flat_map(|limits| &limits.value).chain(&merged.defaults);
    let in_entries = merged
        .entries
        .iter()
        .flat_map(|(key, entry)| entry.limits().iter().map(move |limit| Placed { of: Some(key), limit }));
    in_entries.chain(everybody.map(|limit| Placed { of: None, limit }))
}

// === impl Placed ===

impl Placed<'_> {
    /// The entries that may hold for somebody whom the limit concerns: a caller has one role, and may have any groups.
    fn concerned<'a>(&self, merged: &'a Merged) -> impl Iterator<Item = &'a Entry> {
        merged.entries.iter().filter(move |(key, entry)| self.concerns(key, lifts(entry))).map(|(_, entry)| entry)
    }

    /// Whether an entry may hold for somebody whom the limit concerns; with `lifts` where it says `limits: none`.
    pub(super) fn concerns(&self, key: &(Section, String), lifts: bool) -> bool {
        let section = self.section();
        let other_role = section == Some(Section::Roles) && key.0 == Section::Roles && Some(key) != self.of;
        !(other_role || lifts && is_nearer(key.0, section))
    }

    /// Whether somebody whom the limit concerns may use models that nothing names.
    pub(super) fn is_open(&self, merged: &Merged) -> bool {
        merged.unlisted_endpoint == Fallback::Allow
            || (merged.unlisted_role == Fallback::Allow && self.section() != Some(Section::Roles))
            || self.concerned(merged).any(Entry::is_unrestricted)
    }

    /// The models that are listed for those whom the limit concerns.
    pub(super) fn uses<'a>(&self, merged: &'a Merged) -> Vec<Use<'a>> {
        self.concerned(merged).flat_map(listed).collect()
    }

    fn section(&self) -> Option<Section> {
        self.of.map(|(section, _)| *section)
    }
}

/// The models that an entry lists.
pub(super) fn listed(entry: &Entry) -> impl Iterator<Item = Use<'_>> {
    let endpoints = entry.endpoints().iter().filter(|endpoint| endpoint.key() != AGENTS);
    endpoints.flat_map(|endpoint| {
        let models = endpoint.models.iter().flat_map(|models| &models.value);
        models.map(|model| Use { endpoint: endpoint.key(), model: &model.value, spot: model.spot })
    })
}

/// Whether an entry says `limits: none`.
pub(super) fn lifts(entry: &Entry) -> bool {
    matches!(&entry.limits, Some(Spotted { value: WrittenLimits::None, .. }))
}

/// Whether a section is nearer to the caller than a limit, so that its `limits: none` lifts the limit.
fn is_nearer(section: Section, limit: Option<Section>) -> bool {
    match section {
        Section::Users => limit != Some(Section::Users),
        Section::Groups => matches!(limit, Some(Section::Roles) | None),
        Section::Roles => limit.is_none(),
    }
}
