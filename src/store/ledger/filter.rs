//! Which lines are asked for, and in which order they come.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::record::{Category, Decision, Kind, Line, Severity};

/// Which lines are asked for. Everything that is given must hold; a line that lacks what is asked for is not found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Lines of these kinds; of `audit` and `usage` where none is named.
    pub kinds: Vec<Kind>,
    /// LibreChat's user id (`userId`).
    pub user: Option<Box<str>>,
    /// The role at that moment.
    pub role: Option<Box<str>>,
    /// One of the groups at that moment (`groups`).
    pub group: Option<Box<str>>,
    /// Kind of event.
    pub category: Option<Category>,
    /// How grave it is.
    pub severity: Option<Severity>,
    /// What was attempted or done, whole: `chat.turn`.
    pub action: Option<Box<str>>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// The endpoint: `endpoint` of usage entries, `metadata.endpoint` of audit entries.
    pub endpoint: Option<Box<str>>,
    /// The model, likewise.
    pub model: Option<Box<str>>,
    /// Not before this moment, to the millisecond.
    pub since: Option<Timestamp>,
    /// Before this moment, to the millisecond.
    pub until: Option<Timestamp>,
    /// Tombstones of this erasure.
    pub erased: Option<Uuid>,
    /// Which come first.
    pub order: Order,
}

/// The order of lines: by time, and those of one millisecond in an order that stays the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    #[default]
    Oldest,
    /// The newest first.
    Newest,
}

/// A place in the order of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The time of the line.
    pub at: Timestamp,
    /// Its id.
    pub id: Uuid,
}

// === impl Filter ===

impl Filter {
    /// The kinds that are asked for, each once.
    pub(in crate::store) fn kinds(&self) -> Vec<Kind> {
        let mut kinds = self.kinds.clone();
        if kinds.is_empty() {
            kinds = vec![Kind::Audit, Kind::Usage];
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds.retain(|kind| self.suits(*kind));
        kinds
    }

    /// The category as entries write it.
    pub(in crate::store) fn category_word(&self) -> Option<String> {
        word(self.category)
    }

    /// The severity as entries write it.
    pub(in crate::store) fn severity_word(&self) -> Option<String> {
        word(self.severity)
    }

    /// The decision as entries write it.
    pub(in crate::store) fn decision_word(&self) -> Option<String> {
        word(self.decision)
    }

    /// Whether lines of this kind have the members that are asked for.
    fn suits(&self, kind: Kind) -> bool {
        let Self { user, role, group, category, severity, action, decision, endpoint, model, .. } = self;
        let of_audits = category.is_some() || severity.is_some() || action.is_some() || decision.is_some();
        let of_both = user.is_some() || role.is_some() || group.is_some() || endpoint.is_some() || model.is_some();
        match kind {
            Kind::Audit => true,
            Kind::Usage => !of_audits,
            Kind::Head => !of_audits && !of_both && self.erased.is_none(),
        }
    }
}

// === impl Place ===

impl Place {
    /// Where this line stands.
    pub fn of(line: &Line) -> Self {
        Self { at: line.at, id: line.id }
    }
}

// === helpers ===

/// The word that a record has for this.
fn word(of: Option<impl Serialize>) -> Option<String> {
    match serde_json::to_value(of?) {
        Ok(Value::String(word)) => Some(word),
        _ => None,
    }
}
