//! Recorded requests under two policies: which of them would be decided otherwise. What limits would make of them is not looked at, but for
//! limits of 0: how much was used at each moment is in no entry.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use super::super::Args;
use super::Pair;
use super::asked::{Entry, Unknown, is_limit};
use crate::cli::record::files::Sorted;
use crate::cli::record::filters::Query;
use crate::cli::record::names::Names;
use crate::cli::record::place::Place;
use crate::cli::record::progress::Progress;
use crate::cli::record::reading::Reading;
use crate::cli::record::{Desk, Failure};
use crate::policy::explain::difference::Fate;
use crate::policy::{Caller, RuleId, Snapshot, Target};
use crate::record::Line;
use crate::store::Order;

/// Most different groups; what comes after that is told together. Names of models may be anything that somebody sent.
const MOST_GROUPS: usize = 5_000;

/// Most people who are told apart.
const MOST_PEOPLE: usize = 100_000;

/// What is decided otherwise in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Way {
    pub(super) from: Fate,
    pub(super) to: Fate,
    /// The statement that decides in the other policy: the one that refuses, or the first of those that allow.
    pub(super) rule: String,
    /// The one that decided in this one.
    pub(super) instead_of: String,
    /// What was asked for.
    pub(super) subject: String,
}

/// Requests that are decided otherwise in the same way.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) requests: u64,
    pub(super) people: HashSet<Box<str>>,
    /// The last one: when, and which.
    pub(super) last: Option<(Timestamp, Box<str>)>,
}

/// What would be decided otherwise.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Requests that both policies were asked about.
    pub(super) judged: u64,
    /// Those that are decided otherwise.
    pub(super) otherwise: u64,
    /// How, with how many.
    pub(super) groups: BTreeMap<Way, Group>,
    /// Whose they are.
    pub(super) people: HashMap<Box<str>, u64>,
    /// Refused by a limit: whether it would be again is not known.
    pub(super) by_limits: u64,
    /// Refused for what no policy decides.
    pub(super) by_others: u64,
    /// What cannot be judged again, by the reason.
    pub(super) unknown: BTreeMap<Unknown, u64>,
}

/// The e-mail address of whoever asked, as the directory has it now.
pub(super) enum Address {
    /// No policy goes by it.
    Pointless,
    /// This one.
    Known(Box<str>),
    /// The directory knows somebody without one.
    None,
    /// The directory knows nobody with the id.
    Nobody,
}

// === impl Address ===

impl Address {
    async fn of(names: &mut Names, user: &str) -> Result<Self, Failure> {
        Ok(match names.address(user).await? {
            None => Self::Nobody,
            Some(None) => Self::None,
            Some(Some(address)) => Self::Known(address),
        })
    }
}

// === impl Requests ===

impl Requests {
    /// Goes through the record.
    pub(super) async fn compare(
        pair: Pair<'_>,
        args: &Args,
        query: &Query,
        place: &mut Place,
        desk: &mut Desk<'_>,
    ) -> Result<Self, Failure> {
        let addresses = pair.before.names_addresses() || pair.after.names_addresses();
        let mut names = if addresses { Some(Names::of(place.people().await?)) } else { None };
        let mut progress = Progress::begin(&mut *desk.err, desk.terminal.err, &desk.clock, "judged");
        let mut reading = match args.files.files.as_slice() {
            [] => Reading::of(&place.ledger().await?, query, Order::Oldest),
            files => Reading::Files(Sorted::look(files, query, &mut progress)?),
        };
        let mut found = Self::default();
        while let Some(line) = reading.next().await? {
            progress.step();
            let entry = read(&line)?;
            let address = match (&mut names, &entry.user_id) {
                (Some(names), Some(user)) if entry.is_question() => Address::of(names, user).await?,
                _ => Address::Pointless,
            };
            found.add(pair, line.at, &entry, address);
        }
        Ok(found)
    }

    /// Judges one more, of somebody who has this address now.
    pub(super) fn add(&mut self, pair: Pair<'_>, at: Timestamp, entry: &Entry, address: Address) {
        if entry.erased.is_some() {
            return count(&mut self.unknown, Unknown::Erased);
        }
        if entry.is_refused_by_limit() {
            self.by_limits = self.by_limits.saturating_add(1);
        } else if entry.is_refused_otherwise() {
            self.by_others = self.by_others.saturating_add(1);
        } else if entry.is_question() {
            match asked(pair, entry, address) {
                Ok((caller, targets)) => self.judge(pair, at, entry, &caller, &targets),
                Err(unknown) => count(&mut self.unknown, unknown),
            }
        }
    }

    fn judge(&mut self, pair: Pair<'_>, at: Timestamp, entry: &Entry, caller: &Caller, targets: &[Target]) {
        let runs = entry.starts_a_run();
        let fate = |policy: &Snapshot| fate(policy, caller, targets, runs);
        let ((from, instead_of), (to, rule)) = (fate(pair.before), fate(pair.after));
        self.judged = self.judged.saturating_add(1);
        if from == to {
            return;
        }
        self.otherwise = self.otherwise.saturating_add(1);
        let mut way = Way { from, to, rule, instead_of, subject: entry.subject() };
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&way) {
            way.subject = "(others)".to_owned();
        }
        let group = self.groups.entry(way).or_default();
        group.requests = group.requests.saturating_add(1);
        group.last = Some((at, entry.request_id.clone().unwrap_or_default()));
        if group.people.len() < MOST_PEOPLE {
            group.people.insert(caller.user.as_ref().into());
        }
        if self.people.len() < MOST_PEOPLE || self.people.contains_key(&*caller.user) {
            let count = self.people.entry(caller.user.as_ref().into()).or_default();
            *count = count.saturating_add(1);
        }
    }
}

/// Who asked for what, where the entry says it whole and the policy that is in force agrees.
fn asked(pair: Pair<'_>, entry: &Entry, address: Address) -> Result<(Caller, Vec<Target>), Unknown> {
    let (Some(user), Some(role)) = (&entry.user_id, &entry.role) else { return Err(Unknown::Caller) };
    let groups = match &entry.groups {
        Some(groups) => groups.clone(),
        None if !pair.before.names_groups() && !pair.after.names_groups() => Vec::new(),
        None => return Err(Unknown::Groups),
    };
    let email = match address {
        Address::Known(address) => Some(address),
        Address::None | Address::Pointless => None,
        Address::Nobody => return Err(Unknown::Address),
    };
    let caller = Caller { user: user.as_ref().into(), email, role: role.as_ref().into(), groups: groups.into() };
    let targets = match entry.stopped_at_the_door() {
        // Of whom both turn away nothing else is to be known.
        true if pair.before.keeps_out(&caller).is_some() && pair.after.keeps_out(&caller).is_some() => Vec::new(),
        true => return Err(Unknown::Door),
        false => entry.targets()?,
    };
    if *entry.policy_revision == *pair.before.revision() {
        let (fate, because) = foresee(pair.before, &caller, &targets, entry.starts_a_run());
        let same = match entry.denied_by() {
            Some(rule) => fate != Fate::Allow && because.iter().any(|because| because.as_str() == rule),
            // What a limit in shadow mode would have refused went on.
            None => fate == Fate::Allow || (fate == Fate::Shadow && because.iter().all(|rule| is_limit(rule.as_str()))),
        };
        if !same {
            return Err(Unknown::Otherwise);
        }
    }
    Ok((caller, targets))
}

/// What a policy makes of it, and the first statement that says so.
fn fate(policy: &Snapshot, caller: &Caller, targets: &[Target], runs: bool) -> (Fate, String) {
    let (fate, because) = foresee(policy, caller, targets, runs);
    (fate, because.first().map(ToString::to_string).unwrap_or_default())
}

fn foresee(policy: &Snapshot, caller: &Caller, targets: &[Target], runs: bool) -> (Fate, Vec<RuleId>) {
    if runs { policy.foresee_run(caller, targets) } else { policy.foresee(caller, targets) }
}

fn read(line: &Line) -> Result<Entry, Failure> {
    serde_json::from_str(&line.text).map_err(|error| Failure::Failed(format!("entry {}: {error}", line.id)))
}

fn count(counts: &mut BTreeMap<Unknown, u64>, what: Unknown) {
    let count = counts.entry(what).or_default();
    *count = count.saturating_add(1);
}
