//! What the documents of a caller come to, once they are merged: one more entry, limits that are changed, and limits that are new.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;

use super::known::known;
use super::piece::Piece;
use super::read::{Leaf, Tree};
use super::{Author, Kind};
use crate::policy::amount;
use crate::policy::limits::{Limit, Limits, Measure, OnFailure, Per, Terms};
use crate::policy::merge::Merged;
use crate::policy::pattern::Models;
use crate::policy::rules::{List, Lists, Rules};
use crate::policy::snapshot::Mode;
use crate::policy::words::RuleId;
use crate::policy::written::{Names, Spotted, WrittenLimit};

/// One word of a document.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// `unrestricted:`
    Truth(bool),
    /// A list of models, agents or tools.
    Names(Box<[Box<str>]>),
    /// `limits: none`
    NoLimits,
    /// A limit that the files do not have.
    Limit(Box<WrittenLimit>),
    /// What follows changes a limit of the files.
    Amount(Measure, u64),
    Mode(Mode),
    Strict(Spotted<bool>),
    WarnAt(u8),
    OnFailure(OnFailure),
    Models(Names),
    Endpoints(Names),
}

/// What documents come to for the callers to whom all of them apply.
#[derive(Debug)]
pub(in crate::policy) struct Overlay {
    /// One more entry of the user's, without limits.
    pub(in crate::policy) rules: Rules,
    /// Limits of the files, as they are changed, by their ids.
    changed: HashMap<Box<str>, Limit>,
    /// Limits that the files do not have: of the role's documents, of the groups', of the user's.
    new: [Limits; 3],
    terms: Vec<(RuleId, Terms)>,
}

// === impl Overlay ===

impl Overlay {
    /// Merges documents, which come in their order.
    pub(super) fn of<'a>(trees: impl Iterator<Item = &'a Tree>, files: &Merged) -> Self {
        let (mut merged, mut shared, mut lifts) = (Tree::map(), Tree::map(), None);
        for tree in trees {
            let mut tree = tree.clone();
            // What people share is its own document's alone: no other one replaces it, or takes it away.
            shared = shared.under(tree.take("limits", |id, piece| is_shared(id, piece, files)));
            lifts = lifting(lifts, &tree);
            merged = merged.under(tree);
        }
        let mut overlay =
            Self { rules: rules(&merged), changed: HashMap::new(), new: Default::default(), terms: Vec::new() };
        overlay.limits(merged.get("limits").into_iter().chain(shared.get("limits")), files);
        if let Some(kind) = lifts {
            overlay.new_of(kind).none = true;
        }
        let in_force = |mode: Mode| if files.mode == Mode::Shadow { Mode::Shadow } else { mode };
        let asks = |limit: &Limit| (limit.rule.clone(), Terms { mode: in_force(limit.terms.mode), ..limit.terms });
        overlay.terms = overlay.limits_of_all().map(asks).collect();
        overlay
    }

    /// A limit of the files, as it is for these callers.
    pub(in crate::policy) fn changed<'a>(&'a self, limit: &'a Limit) -> &'a Limit {
        if self.changed.is_empty() { limit } else { self.changed.get(&limit.id).unwrap_or(limit) }
    }

    /// The limits that the files do not have, of documents of this kind.
    pub(in crate::policy) fn new_limits(&self, kind: Kind) -> &Limits {
        let [role, group, user] = &self.new;
        match kind {
            Kind::Role => role,
            Kind::Group => group,
            Kind::User => user,
        }
    }

    /// All its limits, those of the files that it changes and those that it adds.
    pub(in crate::policy) fn limits_of_all(&self) -> impl Iterator<Item = &Limit> {
        self.new.iter().flat_map(|limits| &limits.list).chain(self.changed.values())
    }

    /// What its limits ask of those who count.
    pub(super) fn terms(&self) -> &[(RuleId, Terms)] {
        &self.terms
    }

    fn new_of(&mut self, kind: Kind) -> &mut Limits {
        let [role, group, user] = &mut self.new;
        match kind {
            Kind::Role => role,
            Kind::Group => group,
            Kind::User => user,
        }
    }

    fn limits<'a>(&mut self, limits: impl Iterator<Item = &'a Tree>, files: &Merged) {
        let mut new: [Vec<Limit>; 3] = Default::default();
        for (id, piece) in limits.flat_map(Piece::entries) {
            match piece {
                Piece::Leaf(Leaf { said: Said::Limit(written), author }) => {
                    let rule = RuleId::new(format!("overrides.{}.limits.{id}", author.rule()));
                    let [role, group, user] = &mut new;
                    let list = match author.principal.kind {
                        Kind::Role => role,
                        Kind::Group => group,
                        Kind::User => user,
                    };
                    list.push(Limit::named(&author.principal.id, written, rule));
                }
                Piece::Map { .. } => {
                    if let Some(limit) = changed(id, piece, files) {
                        self.changed.insert(id.into(), limit);
                    }
                }
                Piece::Leaf(_) | Piece::Gone => {}
            }
        }
        for (limits, list) in self.new.iter_mut().zip(new) {
            limits.list = list.into();
        }
    }
}

/// Whether what a document says of a limit is about one that several people share: one that it adds, or one of the files.
pub(super) fn is_shared(id: &str, piece: &Tree, files: &Merged) -> bool {
    match piece {
        Piece::Leaf(leaf) => matches!(&leaf.said, Said::Limit(limit) if limit.per.value != Per::User),
        Piece::Map { .. } => known(files, id).is_some_and(|known| known.limit.per.value != Per::User),
        Piece::Gone => false,
    }
}

/// From whom on limits are lifted, after one more document: of several that say `limits: none` in a row, the nearest to the user.
fn lifting(before: Option<Kind>, later: &Tree) -> Option<Kind> {
    match later.get("limits") {
        Some(Piece::Leaf(leaf)) => before.max(Some(leaf.author.principal.kind)),
        Some(Piece::Gone | Piece::Map { .. }) => None,
        None => before,
    }
}

/// A limit of the files with what documents change of it. Its rule names all of them, so that one rule is one limit.
fn changed(id: &str, piece: &Tree, files: &Merged) -> Option<Limit> {
    let known = known(files, id)?;
    let mut written = known.limit.clone();
    let mut authors: BTreeSet<&Arc<Author>> = BTreeSet::new();
    for (_, leaf) in piece.ends() {
        if let Some(leaf) = leaf {
            leaf.said.change(&mut written);
            authors.insert(&leaf.author);
        }
    }
    if authors.is_empty() {
        return None;
    }
    if known.shadow {
        written.mode = Mode::Shadow;
    }
    let names: Vec<_> = authors.into_iter().map(|author| author.rule()).collect();
    let rule = RuleId::new(format!("overrides.{}.limits.{id}", names.join("+")));
    Some(Limit::named(known.of.map_or("", |(_, name)| name), &written, rule))
}

fn rules(merged: &Tree) -> Rules {
    let mut endpoints: IndexMap<Box<str>, Lists> = IndexMap::new();
    for (name, piece) in merged.get("endpoints").into_iter().flat_map(Piece::entries) {
        if name == "custom" {
            for (name, piece) in piece.entries() {
                endpoints.insert(name.into(), lists(piece, "models", &format!("endpoints.custom.{name}")));
            }
        } else {
            endpoints.insert(name.into(), lists(piece, "models", &format!("endpoints.{name}")));
        }
    }
    endpoints.retain(|_, lists| lists.allow.is_some() || lists.deny.is_some());
    let unrestricted = merged.get("unrestricted").and_then(Piece::leaf);
    let unrestricted = unrestricted.filter(|leaf| matches!(leaf.said, Said::Truth(true)));
    Rules {
        unrestricted: unrestricted.map(|leaf| leaf.rule("unrestricted")),
        endpoints,
        tools: merged.get("tools").map(|tools| lists(tools, "allow", "tools")).unwrap_or_default(),
        limits: Limits::default(),
        replaces_role: false,
        in_force: None,
    }
}

fn lists(piece: &Tree, allow: &str, path: &str) -> Lists {
    let list = |key: &str| {
        let leaf = piece.get(key)?.leaf()?;
        let Said::Names(names) = &leaf.said else { return None };
        let models = Models::new(names.iter().map(|name| &**name));
        Some(List { rule: leaf.rule(&format!("{path}.{key}")), models })
    };
    Lists { allow: list(allow), deny: list("deny"), shadow: false }
}

// === impl Leaf ===

impl Leaf {
    /// The rule that it is: `overrides.user.6b012e4109cc968f8a928bce.unrestricted`.
    fn rule(&self, path: &str) -> RuleId {
        RuleId::new(format!("overrides.{}.{path}", self.author.rule()))
    }
}

// === impl Said ===

impl Said {
    /// Changes a limit, where this is about one of the files.
    pub(super) fn change(&self, limit: &mut WrittenLimit) {
        match self {
            Self::Amount(_, amount) => limit.ceiling = *amount,
            Self::Mode(mode) => limit.mode = *mode,
            Self::Strict(strict) => limit.strict = Some(strict.clone()),
            Self::WarnAt(percent) => limit.warn_at = Some(*percent),
            Self::OnFailure(on_failure) => limit.on_failure = *on_failure,
            Self::Models(names) => limit.models = Some(names.clone()),
            Self::Endpoints(names) => limit.endpoints = Some(names.clone()),
            Self::Truth(_) | Self::Names(_) | Self::NoLimits | Self::Limit(_) => {}
        }
    }

    /// For people, as it may be written in a policy.
    pub(super) fn shown(&self) -> String {
        let written = |names: &Names| names.value.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(", ");
        let amount = |measure: Measure, amount: u64| match measure {
            Measure::Cost => amount::dollars(amount),
            _ => amount.to_string(),
        };
        match self {
            Self::Truth(truth) | Self::Strict(Spotted { value: truth, .. }) => truth.to_string(),
            Self::Names(names) => format!("[{}]", names.join(", ")),
            Self::Models(names) | Self::Endpoints(names) => format!("[{}]", written(names)),
            Self::NoLimits => "none".to_owned(),
            Self::Limit(limit) => {
                let measure = limit.measure.value;
                let window =
                    limit.window.as_ref().map(|window| format!(", window {}", window.value)).unwrap_or_default();
                format!("{} {}{window}", measure.as_str(), amount(measure, limit.ceiling))
            }
            Self::Amount(measure, value) => amount(*measure, *value),
            Self::Mode(mode) => mode.as_str().to_owned(),
            Self::WarnAt(percent) => percent.to_string(),
            Self::OnFailure(OnFailure::Deny) => "deny".to_owned(),
            Self::OnFailure(OnFailure::LocalShare(share)) => format!("local_share {share}"),
        }
    }
}
