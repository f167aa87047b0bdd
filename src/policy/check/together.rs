//! More limits than can be counted together: all limits that apply to a request are taken in one step of the counters, which has
//! an end ([`MOST_TOGETHER`]).
//!
//! An error is what nobody whom it concerns could ever use: limits about every model, of a role, a user and the top level. What
//! only some requests would meet is a warning: limits about some models, and those of groups, of which a caller may have any. Such
//! a request is refused when it comes.

use std::collections::BTreeSet;

use crate::policy::charges::MOST_TOGETHER;
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::limits::Per;
use crate::policy::merge::Merged;
use crate::policy::snapshot::Mode;
use crate::policy::written::{Entry, Names, Section, Spotted, WrittenLimit, WrittenLimits};
use crate::report::{Fault, quoted};

const HELP: &str = "remove limits, or lift those written farther away with \"limits: none\"";

/// What is written for a caller at one distance.
#[derive(Clone, Copy)]
struct Level<'a> {
    limits: &'a [WrittenLimit],
    lifts: bool,
    /// Whether a limit of 0 is a denial here, which nothing lifts and nothing stands in for.
    denies: bool,
}

/// Limits that refuse are taken in one step, those in shadow mode in another.
pub(super) fn too_many(merged: &Merged, faults: &mut Faults<'_>) {
    for mode in [Mode::Enforce, Mode::Shadow] {
        let most = at_most(merged, mode);
        if most <= MOST_TOGETHER {
            continue;
        }
        let found = faults.count();
        certain(merged, mode, faults);
        if faults.count() == found && !faults.incomplete {
            let message =
                format!("up to {most} limits can apply to one request, and {MOST_TOGETHER} can be counted together");
            let fault = Fault::warning(codes::MANY_LIMITS, message)
                .help("a request to which more apply is refused; write fewer limits for models and groups");
            match longest(merged) {
                Some(spot) => faults.push(spot, fault),
                None => faults.push_anywhere(fault),
            }
        }
    }
}

/// As many as can ever apply to one request: those of everybody, of one role, of a user named by address and by id, and of all
/// groups. Which of them stand in for each other is left out.
fn at_most(merged: &Merged, mode: Mode) -> usize {
    let count = |limits: &[WrittenLimit]| limits.iter().filter(|limit| mode_of(merged, limit) == mode).count();
    let of = |section| entries(merged, section).map(move |entry| count(entry.limits()));
    let everybody = merged.limits.as_ref().map_or(0, |limits| count(&limits.value)) + count(&merged.defaults);
    let role = of(Section::Roles).max().unwrap_or(0);
    let mut users: Vec<usize> = of(Section::Users).collect();
    users.sort_unstable();
    let users: usize = users.iter().rev().take(2).sum();
    everybody + role + users + of(Section::Groups).sum::<usize>()
}

/// The faults of entries whose limits alone, with what is written farther away, can never be counted. Told once for each entry, and
/// not for a user and a role where one of them has told it.
fn certain(merged: &Merged, mode: Mode, faults: &mut Faults<'_>) {
    let everybody = [
        Level { limits: merged.limits.as_ref().map_or(&[], |limits| &limits.value), lifts: false, denies: true },
        Level { limits: &merged.defaults, lifts: false, denies: false },
    ];
    let apply = |near: &[&Entry]| {
        let levels: Vec<Level<'_>> = near.iter().map(|entry| Level::of(entry)).chain(everybody).collect();
        Some(counted(&levels, merged, mode)).filter(|count| *count > MOST_TOGETHER)
    };
    if let (Some(count), Some(limits)) = (apply(&[]), &merged.limits) {
        faults.push(limits.spot, fault(count, "everybody"));
        return;
    }
    let mut tell = |entry: &Entry, count: usize, whom: &str| {
        let spot = entry.limits.as_ref().map_or(entry.name.spot, |limits| limits.spot);
        faults.push(spot, fault(count, whom));
    };
    let mut countable = Vec::new();
    for role in entries(merged, Section::Roles) {
        match apply(&[role]) {
            Some(count) => tell(role, count, &format!("the role {}", quoted(&role.name.value))),
            None => countable.push(role),
        }
    }
    for user in entries(merged, Section::Users) {
        let named = quoted(&user.name.value);
        if let Some(count) = apply(&[user]) {
            tell(user, count, &format!("the user {named}"));
            continue;
        }
        let with = countable.iter().find_map(|role| Some((role, apply(&[user, role])?)));
        if let Some((role, count)) = with {
            tell(user, count, &format!("the user {named} in the role {}", quoted(&role.name.value)));
        }
    }
}

fn fault(count: usize, whom: &str) -> Fault {
    let message =
        format!("{count} limits apply to every request of {whom}, and {MOST_TOGETHER} can be counted together");
    Fault::error(codes::TOO_MANY_LIMITS, message).help(HELP)
}

/// How many limits about every model count, as `view/limits.rs` says it; the nearest level comes first.
fn counted(levels: &[Level<'_>], merged: &Merged, mode: Mode) -> usize {
    let mut counts: Vec<&WrittenLimit> = Vec::new();
    let mut lifted = false;
    for level in levels {
        let nearer = counts.clone();
        for limit in level.limits.iter().filter(|limit| limit.models.is_none() && limit.endpoints.is_none()) {
            let denies = level.denies && limit.ceiling == 0;
            if denies || !(lifted || nearer.iter().any(|near| stands_in(near, limit))) {
                counts.push(limit);
            }
        }
        lifted |= level.lifts;
    }
    counts.into_iter().filter(|limit| mode_of(merged, limit) == mode).count()
}

/// Whether a nearer limit stands in for another one.
fn stands_in(near: &WrittenLimit, limit: &WrittenLimit) -> bool {
    let window = |limit: &WrittenLimit| limit.window.as_ref().map(|window| window.value);
    let names = |names: &Option<Names>| -> Option<BTreeSet<String>> {
        names.as_ref().map(|names| names.value.iter().map(|name| name.value.clone()).collect())
    };
    near.per.value == Per::User
        && limit.per.value == Per::User
        && (near.mode == Mode::Enforce || limit.mode == Mode::Shadow)
        && near.measure.value == limit.measure.value
        && window(near) == window(limit)
        && names(&near.models) == names(&limit.models)
        && names(&near.endpoints) == names(&limit.endpoints)
}

/// In a policy in shadow mode no limit refuses.
fn mode_of(merged: &Merged, limit: &WrittenLimit) -> Mode {
    if merged.mode == Mode::Shadow { Mode::Shadow } else { limit.mode }
}

/// Where most limits are written.
fn longest(merged: &Merged) -> Option<Spot> {
    let in_entries =
        merged.entries.values().filter_map(|entry| Some((entry.limits().len(), entry.limits.as_ref()?.spot)));
    let top = merged.limits.as_ref().map(|limits| (limits.value.len(), limits.spot));
    // The first one of several.
    in_entries.chain(top).rev().max_by_key(|(count, _)| *count).map(|(_, spot)| spot)
}

fn entries(merged: &Merged, section: Section) -> impl Iterator<Item = &Entry> {
    merged.entries.values().filter(move |entry| entry.section == section)
}

// === impl Level ===

impl<'a> Level<'a> {
    fn of(entry: &'a Entry) -> Self {
        let lifts = matches!(&entry.limits, Some(Spotted { value: WrittenLimits::None, .. }));
        Self { limits: entry.limits(), lifts, denies: true }
    }
}
