//! Which documents apply to a caller, and where one of them has the last word over another.

use std::fmt;

use indexmap::IndexMap;
use serde::Serialize;

use super::overlay::is_shared;
use super::{Kind, Principal};
use crate::policy::snapshot::Snapshot;
use crate::policy::words::Caller;

/// A document that applies to a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// `role`, `group` or `user`.
    pub kind: &'static str,
    /// The name of the role or the group, or the user's id.
    pub id: Box<str>,
    /// Its place in the order; what is higher comes later.
    pub priority: i32,
    /// Which version of it is in force.
    pub version: u64,
}

/// Two documents that say something different about the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// What both are about: `limits.user-day.amount`.
    pub path: String,
    /// What holds.
    pub holds: String,
    /// Whose word that is: `user 6b012e4109cc968f8a928bce (30)`.
    pub by: String,
    /// What does not hold.
    pub over: String,
    /// Whose word that was.
    pub of: String,
}

impl Snapshot {
    /// Whether the files name this role, group or user, in an entry or as what an identity provider's claims make of somebody.
    pub fn names(&self, principal: &Principal) -> bool {
        let written = self.written();
        let mut mapped = written.role_mapping.iter().flat_map(|rules| &rules.value);
        written.entries.contains_key(&(principal.kind.section(), principal.id.to_string()))
            || principal.kind == Kind::Role && mapped.any(|rule| *rule.role.value == *principal.id)
    }

    /// The documents that apply to a caller, in the order in which they are merged.
    pub fn overrides_of(&self, caller: &Caller) -> Vec<Applied> {
        let applying = self.overrides().applying(caller).into_iter();
        applying
            .map(|compiled| {
                let author = &compiled.author;
                let kind: Kind = author.principal.kind;
                Applied {
                    kind: kind.as_str(),
                    id: author.principal.id.clone(),
                    priority: author.priority,
                    version: author.version,
                }
            })
            .collect()
    }

    /// Where a document of a caller takes the place of what another one says, with what holds.
    pub fn conflicts_of(&self, caller: &Caller) -> Vec<Conflict> {
        // What stands at a path, and who has said so. Who only takes away what nobody has said disagrees with nobody.
        let mut said: IndexMap<String, (String, String)> = IndexMap::new();
        let mut conflicts = Vec::new();
        for compiled in self.overrides().applying(caller) {
            let by = compiled.author.to_string();
            let mut tree = compiled.tree.clone();
            tree.take("limits", |id, piece| is_shared(id, piece, self.written()));
            for (path, leaf) in tree.ends() {
                let holds = leaf.map_or_else(|| "null".to_owned(), |leaf| leaf.said.shown());
                let below = format!("{path}.");
                let touches = |other: &str| {
                    other == path
                        || other.starts_with(&below)
                        || path.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'))
                };
                let touched: Vec<String> = said.keys().filter(|other| touches(other)).cloned().collect();
                for other in touched {
                    if let Some((over, of)) = said.shift_remove(&other)
                        && (over != holds || other != path)
                    {
                        // The longer path is what both have spoken of.
                        let path = if other.len() > path.len() { other } else { path.clone() };
                        conflicts.push(Conflict { path, holds: holds.clone(), by: by.clone(), over, of });
                    }
                }
                if leaf.is_some() {
                    said.insert(path, (holds, by.clone()));
                }
            }
        }
        conflicts
    }
}

impl fmt::Display for Conflict {
    /// `limits.user-day.amount: 1000000 from user 6b012e4109cc968f8a928bce (30) over 500000 from group staff (20)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, holds, by, over, of } = self;
        write!(f, "{path}: {holds} from {by} over {over} from {of}")
    }
}
