//! The documents that are in force beside the files: read once each, merged once for each set of them that applies to somebody.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use super::overlay::{Overlay, Said};
use super::piece::Piece;
use super::read::{self, Read, Tree};
use super::{Author, Document, Faulty, Kind, Principal};
use crate::policy::check::Priced;
use crate::policy::codes;
use crate::policy::limits::{Per, Terms};
use crate::policy::merge::Merged;
use crate::policy::words::{Caller, RuleId};
use crate::report::{Fault, Place, Report, quoted};

/// Most sets of documents whose merged form is kept. Where there are more, all are merged anew when they are needed.
const MOST_KEPT: usize = 4_096;

/// The documents in force.
#[derive(Debug, Default)]
pub(in crate::policy) struct Overrides {
    // In the order of `Kind::ALL`.
    documents: [HashMap<Box<str>, Arc<Compiled>>; 3],
    /// Whom documents are about that cannot be in force, with the rules that refuse them.
    refused: [HashMap<Box<str>, RuleId>; 3],
    /// A hash of all of them; none where there is none.
    digest: Option<Arc<str>>,
    /// Whether any has limits, lists of tools, limits of tokens or money.
    pub(in crate::policy) limits: bool,
    pub(in crate::policy) tools: bool,
    pub(in crate::policy) tokens: bool,
    kept: RwLock<Kept>,
}

/// A document that was read for the files there are.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Tells it from all others that this process has ever read.
    serial: u64,
    pub(super) author: Arc<Author>,
    text: Arc<str>,
    pub(super) tree: Tree,
    priced: Priced,
}

/// What documents come to, by the serials of all that apply, in their order.
#[derive(Debug, Default)]
struct Kept {
    overlays: HashMap<Box<[u64]>, Arc<Overlay>>,
    terms: HashMap<RuleId, Terms>,
}

// === impl Overrides ===

impl Overrides {
    /// Reads documents for these files. What is the same as in `before`, which was read for the same files, is taken from there. Those that
    /// have faults are left out, whole, and given back; whom they are about is refused, as whom `unreadable` ones are about is: nobody
    /// knows any more what they deny.
    pub(in crate::policy) fn new(
        documents: &[Document],
        unreadable: &[Principal],
        files: &Merged,
        before: Option<&Self>,
    ) -> (Self, Vec<Faulty>) {
        let (mut found, mut faulty) = (BTreeMap::new(), Vec::new());
        let mut seen = HashSet::new();
        let twice: HashSet<&Principal> =
            documents.iter().map(|document| &document.principal).filter(|principal| !seen.insert(*principal)).collect();
        faulty.extend(
            documents
                .iter()
                .filter(|document| twice.contains(&document.principal))
                .map(|document| (&document.principal, document))
                .collect::<BTreeMap<_, _>>()
                .into_values()
                .map(|document| Faulty::of(document, several(&document.principal))),
        );
        for document in documents.iter().filter(|document| !twice.contains(&document.principal)) {
            let compiled = match before.and_then(|before| before.same(document)) {
                Some(compiled) => Ok(compiled),
                None => Compiled::new(document, files, Path::new(&document.principal.to_string())).map(Arc::new),
            };
            match compiled {
                Ok(compiled) => {
                    found.insert(document.principal.clone(), compiled);
                }
                Err(report) => faulty.push(Faulty::of(document, report)),
            }
        }
        for (principal, id, other) in clashing(&found) {
            if let Some(compiled) = found.remove(&principal) {
                faulty.push(compiled.clashes(&id, &other));
            }
        }
        for (principal, fault) in without_price(&found, files) {
            if let Some(compiled) = found.remove(&principal) {
                faulty.push(compiled.faulty(fault));
            }
        }
        let refused = faulty.iter().map(|faulty| &faulty.principal).chain(unreadable);
        (Self::of(found, refused.cloned().collect(), before), faulty)
    }

    fn of(found: BTreeMap<Principal, Arc<Compiled>>, refused: BTreeSet<Principal>, before: Option<&Self>) -> Self {
        let mut overrides = Self { digest: digest(&found, &refused), ..Self::default() };
        for principal in refused {
            let rule = RuleId::new(format!("overrides.{}.{}.faulty", principal.kind, principal.id));
            let [role, group, user] = &mut overrides.refused;
            match principal.kind {
                Kind::Role => role.insert(principal.id, rule),
                Kind::Group => group.insert(principal.id, rule),
                // In whatever case somebody has written the id.
                Kind::User => user.insert(principal.id.to_lowercase().into(), rule),
            };
        }
        for (principal, compiled) in found {
            let limits = compiled.tree.get("limits");
            overrides.limits |= limits.is_some();
            overrides.tools |= compiled.tree.get("tools").is_some();
            overrides.tokens |= limits.is_some_and(counts_tokens);
            overrides.of_kind_mut(principal.kind).insert(principal.id, compiled);
        }
        if let Some(before) = before {
            overrides.kept = RwLock::new(overrides.still_kept(&before.kept.read()));
        }
        overrides
    }

    /// Whether there is none: then nothing else here needs to be asked.
    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.digest.is_none()
    }

    /// Whether there is anybody whom a document is about that cannot be in force.
    pub(in crate::policy) fn refuse_anybody(&self) -> bool {
        self.refused.iter().any(|refused| !refused.is_empty())
    }

    /// The rule that refuses a caller, as a document about them cannot be in force.
    pub(in crate::policy) fn refuse(&self, caller: &Caller) -> Option<&RuleId> {
        if !self.refuse_anybody() {
            return None;
        }
        let [role, group, user] = &self.refused;
        let of_groups = || caller.groups.iter().find_map(|name| group.get(name));
        user.get(&*caller.user).or_else(of_groups).or_else(|| role.get(&*caller.role))
    }

    /// How many there are.
    pub(in crate::policy) fn len(&self) -> usize {
        self.documents.iter().map(HashMap::len).sum()
    }

    /// A hash of all of them, in whatever order they came; none where there is none.
    pub(in crate::policy) fn digest(&self) -> Option<&Arc<str>> {
        self.digest.as_ref()
    }

    /// The versions of all documents.
    pub(in crate::policy) fn versions(&self) -> BTreeMap<Principal, u64> {
        let all = self.documents.iter().flat_map(HashMap::values);
        all.map(|compiled| (compiled.author.principal.clone(), compiled.author.version)).collect()
    }

    /// What the documents of a caller come to; none where there is none that applies.
    pub(in crate::policy) fn overlay(&self, caller: &Caller, files: &Merged) -> Option<Arc<Overlay>> {
        let applying = self.applying(caller);
        if applying.is_empty() {
            return None;
        }
        let serials: Box<[u64]> = applying.iter().map(|compiled| compiled.serial).collect();
        if let Some(overlay) = self.kept.read().overlays.get(&serials) {
            return Some(Arc::clone(overlay));
        }
        let overlay = Arc::new(Overlay::of(applying.iter().map(|compiled| &compiled.tree), files));
        let mut kept = self.kept.write();
        if kept.overlays.len() >= MOST_KEPT {
            kept.overlays.clear();
        }
        kept.terms.extend(overlay.terms().iter().cloned());
        // Somebody may have been faster: all have the same.
        Some(Arc::clone(kept.overlays.entry(serials).or_insert(overlay)))
    }

    /// What a limit of an override asks of those who count. Known as soon as anybody to whom it applies was asked about.
    pub(in crate::policy) fn terms(&self, rule: &RuleId) -> Option<Terms> {
        self.kept.read().terms.get(rule).copied()
    }

    /// The documents that apply to a caller, in the order in which they are merged.
    pub(super) fn applying(&self, caller: &Caller) -> Vec<&Arc<Compiled>> {
        if self.is_empty() {
            return Vec::new();
        }
        let groups = caller.groups.iter().filter_map(|group| self.of_kind(Kind::Group).get(group));
        let role = self.of_kind(Kind::Role).get(&*caller.role);
        let user = self.of_kind(Kind::User).get(&*caller.user);
        let mut applying: Vec<_> = role.into_iter().chain(groups).chain(user).collect();
        applying.sort_by(|one, other| one.author.cmp(&other.author));
        // A group that somebody has twice has its document once.
        applying.dedup_by(|one, other| one.serial == other.serial);
        applying
    }

    /// What tells apart whom the same documents apply to: the same text, the same documents in the same versions.
    pub(in crate::policy) fn standing(&self, caller: &Caller) -> Vec<u64> {
        self.applying(caller).into_iter().map(|compiled| compiled.serial).collect()
    }

    /// What each document comes to by itself.
    pub(in crate::policy) fn each(&self, files: &Merged) -> Vec<Overlay> {
        let all = self.documents.iter().flat_map(HashMap::values);
        all.map(|compiled| Overlay::of(std::iter::once(&compiled.tree), files)).collect()
    }

    /// Whether any is about a group.
    pub(in crate::policy) fn names_groups(&self) -> bool {
        !self.of_kind(Kind::Group).is_empty()
    }

    fn of_kind(&self, kind: Kind) -> &HashMap<Box<str>, Arc<Compiled>> {
        let [role, group, user] = &self.documents;
        match kind {
            Kind::Role => role,
            Kind::Group => group,
            Kind::User => user,
        }
    }

    fn of_kind_mut(&mut self, kind: Kind) -> &mut HashMap<Box<str>, Arc<Compiled>> {
        let [role, group, user] = &mut self.documents;
        match kind {
            Kind::Role => role,
            Kind::Group => group,
            Kind::User => user,
        }
    }

    /// The same document, as it was read before.
    fn same(&self, document: &Document) -> Option<Arc<Compiled>> {
        let compiled = self.of_kind(document.principal.kind).get(&document.principal.id)?;
        compiled.is(document).then(|| Arc::clone(compiled))
    }

    /// What was merged before and has no document that is gone or changed.
    fn still_kept(&self, before: &Kept) -> Kept {
        let serials: BTreeSet<u64> =
            self.documents.iter().flat_map(HashMap::values).map(|compiled| compiled.serial).collect();
        let stays = |of: &[u64]| of.iter().all(|serial| serials.contains(serial));
        let overlays: HashMap<_, _> = before
            .overlays
            .iter()
            .filter(|(of, _)| stays(of))
            .map(|(of, overlay)| (of.clone(), Arc::clone(overlay)))
            .collect();
        let terms = overlays.values().flat_map(|overlay| overlay.terms().iter().cloned()).collect();
        Kept { overlays, terms }
    }
}

/// Checks one document against files, with the name under which its faults are told.
///
/// # Errors
/// All its faults.
pub(in crate::policy) fn check(document: &Document, files: &Merged, name: &Path) -> Result<(), Report> {
    Compiled::new(document, files, name).map(|_compiled| ())
}

// === impl Compiled ===

impl Compiled {
    fn new(document: &Document, files: &Merged, name: &Path) -> Result<Self, Report> {
        static SERIALS: AtomicU64 = AtomicU64::new(0);
        let Document { principal, priority, version, text } = document;
        let author = Arc::new(Author { priority: *priority, principal: principal.clone(), version: *version });
        let Read { tree, priced } = read::read(document, &author, files, name)?;
        let serial = SERIALS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { serial, author, text: Arc::clone(text), tree, priced })
    }

    fn is(&self, document: &Document) -> bool {
        self.author.version == document.version
            && self.author.priority == document.priority
            && self.text == document.text
    }

    fn clashes(&self, id: &str, other: &Principal) -> Faulty {
        let message = format!(
            "the limit {} is shared by those whom a document is about, and {other} has a limit of this id in a document, too",
            quoted(id)
        );
        self.faulty(Fault::error(codes::DEFINED_TWICE, message).help("give one of the two another id"))
    }

    /// A fault that it has beside another document.
    fn faulty(&self, fault: Fault) -> Faulty {
        let Author { principal, version, .. } = &*self.author;
        let mut report = Report::new();
        report.push(fault.at(Place::file(principal.to_string())));
        Faulty { principal: principal.clone(), version: *version, report }
    }
}

// === impl Faulty ===

impl Faulty {
    fn of(document: &Document, report: Report) -> Self {
        Self { principal: document.principal.clone(), version: document.version, report }
    }
}

// === helpers ===

/// What is wrong where there are several documents about one principal.
fn several(principal: &Principal) -> Report {
    let fault = Fault::error(codes::DEFINED_TWICE, format!("there are several overrides of the {principal}"));
    let help = format!("keep one: each `tollgate overrides remove {principal}` removes one of them");
    let mut report = Report::new();
    report.push(fault.help(help).at(Place::file(principal.to_string())));
    report
}

/// Documents that add a limit which another one adds, too, where one of the two is shared: merged by their ids, one of the two counters would
/// be passed over. The later one in the order of principals is told, so that all replicas agree; with the id and the other.
fn clashing(found: &BTreeMap<Principal, Arc<Compiled>>) -> Vec<(Principal, String, Principal)> {
    let mut first: HashMap<&str, (&Principal, bool)> = HashMap::new();
    let mut clashing = Vec::new();
    for (principal, compiled) in found {
        for limit in read::added(&compiled.tree) {
            let shared = limit.per.value != Per::User;
            match first.get(limit.id.value.as_str()) {
                Some((other, other_shared)) if shared || *other_shared => {
                    clashing.push((principal.clone(), limit.id.value.clone(), (*other).clone()));
                    break;
                }
                Some(_) => {}
                None => {
                    first.insert(&limit.id.value, (principal, shared));
                }
            }
        }
    }
    clashing
}

/// Documents that give a model without a price to somebody whom another one gives a limit of money, with what is wrong.
fn without_price(found: &BTreeMap<Principal, Arc<Compiled>>, files: &Merged) -> Vec<(Principal, Fault)> {
    let limiting: Vec<_> = found.iter().filter(|(_, compiled)| compiled.priced.limits_money()).collect();
    if limiting.is_empty() {
        return Vec::new();
    }
    let giving = found.iter().filter(|(_, compiled)| compiled.priced.gives_unpriced(files));
    giving
        .filter_map(|(principal, compiled)| {
            let others = limiting.iter().filter(|(other, _)| *other != principal);
            let (fault, other) = others
                .filter_map(|(other, limits)| Some((compiled.priced.beside(files, &limits.priced)?, other)))
                .next()?;
            let message = format!("{}, by the override of the {other}", fault.message);
            Some((principal.clone(), Fault { message, ..fault }))
        })
        .collect()
}

/// Whether any limit is about tokens or money.
fn counts_tokens(limits: &Tree) -> bool {
    limits.entries().any(|(_, piece)| match piece {
        Piece::Leaf(leaf) => matches!(&leaf.said, Said::Limit(limit) if limit.measure.value.is_of_tokens()),
        Piece::Map { .. } => {
            let amount = piece.get("amount").and_then(Piece::leaf);
            amount.is_some_and(|leaf| matches!(leaf.said, Said::Amount(measure, _) if measure.is_of_tokens()))
        }
        Piece::Gone => false,
    })
}

/// The first 12 hexadecimal digits of the SHA-256 of all documents in the order of their principals: whom each is about, its priority, and its
/// text; then of whom nothing is known but that they are refused. Not their versions, so that what says the same is the same.
fn digest(found: &BTreeMap<Principal, Arc<Compiled>>, refused: &BTreeSet<Principal>) -> Option<Arc<str>> {
    if found.is_empty() && refused.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for (principal, compiled) in found {
        let priority = compiled.author.priority.to_string();
        for text in [principal.kind.as_str(), &principal.id, &priority, &compiled.text] {
            // With the length before it, no text can pass for two.
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
    }
    for principal in refused {
        // No text of a document is empty, and no priority.
        for text in [principal.kind.as_str(), &principal.id, "", ""] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
    }
    let hex = hash.finalize().iter().take(6).fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Some(hex.into())
}
