//! The limits of the files, by their ids: what documents can change.

use super::super::limits::Per;
use super::super::merge::Merged;
use super::super::written::{Section, WrittenLimit};
use super::{Kind, Principal};

/// A limit of the files.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The entry that it stands in; none at the top level and for the defaults.
    pub(super) of: Option<&'a (Section, String)>,
    /// What is written.
    pub(super) limit: &'a WrittenLimit,
    /// Whether it is one of `defaults: { user: }`.
    pub(super) default: bool,
    /// Whether its entry is in shadow mode, so that it refuses nothing whatever is written of it.
    pub(super) shadow: bool,
}

/// The limit of the files that has this id.
pub(super) fn known<'a>(files: &'a Merged, id: &str) -> Option<Known<'a>> {
    let is = |limit: &&WrittenLimit| limit.id.value == id;
    let in_entries = files.entries.iter().find_map(|(of, entry)| {
        let limit = entry.limits().iter().find(is)?;
        Some(Known { of: Some(of), limit, default: false, shadow: entry.is_shadow() })
    });
    let top = || {
        let limit = files.limits.iter().flat_map(|limits| &limits.value).find(is)?;
        Some(Known { of: None, limit, default: false, shadow: false })
    };
    let default = || {
        let limit = files.defaults.iter().find(is)?;
        Some(Known { of: None, limit, default: true, shadow: false })
    };
    in_entries.or_else(top).or_else(default)
}

// === impl Known ===

impl Known<'_> {
    /// Why nobody's document may change it, or not this one's; none where it may.
    pub(super) fn is_fixed_for(&self, principal: &Principal) -> Option<String> {
        let id = &self.limit.id.value;
        if self.limit.ceiling == 0 && !self.default {
            return Some(format!("the limit \"{id}\" is 0 in the files: a denial, which no document lifts"));
        }
        let own =
            self.of.is_some_and(|(section, name)| *section == principal.kind.section() && **name == *principal.id);
        match (self.limit.per.value, self.of) {
            (Per::Global, _) => {
                Some(format!("the limit \"{id}\" is one for everybody: no document changes it for some"))
            }
            (Per::Role | Per::Group, Some((section, name))) if !own => {
                let noun = section.noun();
                Some(format!(
                    "all of the {noun} {name} share the limit \"{id}\": only that {noun}'s document can change it"
                ))
            }
            (Per::User, Some((Section::Roles, name))) if principal.kind == Kind::Role && !own => Some(format!(
                "the limit \"{id}\" is one of the role {name}, which nobody of the role {} has",
                principal.id
            )),
            (Per::User, Some((Section::Users, name)))
                if principal.kind == Kind::User && !own && !name.contains('@') =>
            {
                Some(format!("the limit \"{id}\" is one of another user"))
            }
            _ => None,
        }
    }
}
