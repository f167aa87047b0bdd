//! Limits that cannot be meant: two with one id, a subject that is not there, a window that says nothing, a limit that is
//! never reached.

use std::collections::{HashMap, HashSet};

use super::reach::{self, Placed};
use super::{BUILT_IN, lists};
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::limits::{Measure, Per};
use crate::policy::merge::Merged;
use crate::policy::pattern::may_meet;
use crate::policy::snapshot::Mode;
use crate::policy::written::{Names, Section, Spotted, WrittenLimit};
use crate::report::{Fault, quoted};

/// Longest id of a limit, in characters.
const LONGEST_ID: usize = 64;

pub(super) fn limits(merged: &Merged, faults: &mut Faults<'_>) {
    let mut seen = HashMap::new();
    let entries = merged.entries.values().map(|entry| (Some(entry.section), entry.limits()));
    let top = merged.limits.as_ref().map(|limits| (None, limits.value.as_slice()));
    for (section, limits) in entries.chain(top) {
        for limit in limits {
            id(&limit.id, &mut seen, faults);
            subject(section, &limit.per, faults);
            window(limit, faults);
            scope(limit, faults);
            strict(limit, faults);
        }
        unreachable(limits, faults);
    }
    // What a file that cannot be read may list is not known.
    if !faults.incomplete {
        reach::limits(merged).for_each(|placed| without_reach(merged, &placed, faults));
    }
}

/// A limit about models or endpoints that nobody may use whom it concerns: most often a slip of the pen.
fn without_reach(merged: &Merged, placed: &Placed<'_>, faults: &mut Faults<'_>) {
    let uses = placed.uses(merged);
    if uses.is_empty() || placed.is_open(merged) {
        return;
    }
    let help = "names match exactly; correct it, or remove it";
    for name in placed.limit.models.iter().flat_map(|names| &names.value) {
        if !uses.iter().any(|used| may_meet(&name.value, used.model)) {
            let message = format!("nobody whom the limit concerns may use the model {}", quoted(&name.value));
            faults.push(name.spot, Fault::error(codes::UNREACHABLE_LIMIT, message).help(help));
        }
    }
    for name in placed.limit.endpoints.iter().flat_map(|names| &names.value) {
        if !uses.iter().any(|used| name.value.eq_ignore_ascii_case(used.endpoint)) {
            let message = format!("nobody whom the limit concerns may use the endpoint {}", quoted(&name.value));
            faults.push(name.spot, Fault::error(codes::UNREACHABLE_LIMIT, message).help(help));
        }
    }
}

/// An id names a counter: in keys, headers, refusals and records.
pub(super) fn id<'a>(id: &'a Spotted<String>, seen: &mut HashMap<&'a str, Spot>, faults: &mut Faults<'_>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.value.is_empty() || id.value.len() > LONGEST_ID || !id.value.chars().all(plain) {
        let message = format!("{} cannot be the id of a limit", quoted(&id.value));
        let help = format!("write up to {LONGEST_ID} letters, digits, \"-\" and \"_\"");
        faults.push(id.spot, Fault::error(codes::LIMIT_ID, message).help(help));
    } else if let Some(first) = seen.insert(&id.value, id.spot) {
        faults.push_twice(codes::DEFINED_TWICE, &format!("the limit {}", quoted(&id.value)), first, id.spot);
    }
}

pub(super) fn subject(section: Option<Section>, per: &Spotted<Per>, faults: &mut Faults<'_>) {
    let (place, known): (_, &[Per]) = match section {
        None => ("at the top level", &[Per::User, Per::Global]),
        Some(Section::Roles) => ("under a role", &[Per::User, Per::Role]),
        Some(Section::Groups) => ("under a group", &[Per::User, Per::Group]),
        Some(Section::Users) => ("under a user", &[Per::User]),
    };
    if !known.contains(&per.value) {
        let known: Vec<_> = known.iter().map(|per| format!("\"per: {}\"", per.as_str())).collect();
        let message = format!("\"per: {}\" has no meaning {place}", per.value.as_str());
        let help = format!("write {}, or move the limit", known.join(" or "));
        faults.push(per.spot, Fault::error(codes::LIMIT_PER, message).help(help));
    }
}

pub(super) fn window(limit: &WrittenLimit, faults: &mut Faults<'_>) {
    use crate::policy::amount::Period;
    let concurrent = limit.measure.value == Measure::Concurrent;
    if let Some(window) = limit.window.as_ref().filter(|_| concurrent) {
        let fault = Fault::error(codes::LIMIT_WINDOW, "what runs at the same time has no window");
        faults.push(window.spot, fault.help("remove it: a run counts from its start to its end"));
    }
    let calendar = limit.window.as_ref().is_some_and(|window| matches!(window.value, Period::Calendar(_)));
    if let Some(zone) = limit.timezone.as_ref().filter(|_| !calendar) {
        let fault = Fault::error(codes::LIMIT_WINDOW, "a time zone matters only to hours, days, weeks and months");
        faults.push(zone.spot, fault.help("remove it, or write a window of the calendar: day"));
    }
}

pub(super) fn scope(limit: &WrittenLimit, faults: &mut Faults<'_>) {
    for (list, noun) in [(&limit.models, "model"), (&limit.endpoints, "endpoint")] {
        let Some(list) = list else { continue };
        lists::names(list, noun, faults);
        if list.value.is_empty() {
            let message = format!("a limit that is about no {noun} limits nothing");
            let help = format!("name a {noun}, or remove the key: without it the limit is about all of them");
            faults.push(list.spot, Fault::error(codes::EMPTY_SCOPE, message).help(help));
        }
    }
    for name in limit.endpoints.iter().flat_map(|names: &Names| &names.value) {
        if !super::exact_name(name, "endpoint", faults) || BUILT_IN.contains(&name.value.as_str()) {
            continue;
        }
        let meant = BUILT_IN.iter().find(|known| known.eq_ignore_ascii_case(&name.value));
        if let Some(meant) = meant.copied().or((name.value == "custom").then_some("MindRoom")) {
            let message = format!("there is no endpoint {}", quoted(&name.value));
            let help = match meant {
                "MindRoom" => "name the custom endpoints one by one: [openAI, MindRoom]".to_owned(),
                meant => format!("did you mean {}?", quoted(meant)),
            };
            faults.push(name.spot, Fault::error(codes::UNKNOWN_ENDPOINT, message).help(help));
        }
    }
}

pub(super) fn strict(limit: &WrittenLimit, faults: &mut Faults<'_>) {
    let measure = limit.measure.value;
    if let Some(strict) = limit.strict.as_ref().filter(|strict| strict.value && !measure.can_be_strict()) {
        let message = format!("{:?} is counted before a run begins, and always exact", measure.as_str());
        let help = "remove \"strict\": it bounds answers, for tokens, output_tokens and cost";
        faults.push(strict.spot, Fault::error(codes::LIMIT_STRICT, message).help(help));
    }
}

/// A limit that another one of the same entry reaches first, whatever happens.
pub(super) fn unreachable(limits: &[WrittenLimit], faults: &mut Faults<'_>) {
    for (index, limit) in limits.iter().enumerate() {
        let others = limits.iter().enumerate().filter(|(other, _)| *other != index);
        let tighter = others.into_iter().find(|(other, tighter)| {
            let stricter = is_reached_first(tighter, limit);
            // Of two that are alike, the second one is told to be too many.
            stricter && (*other < index || !is_reached_first(limit, tighter))
        });
        if let Some((_, tighter)) = tighter {
            let (id, tighter) = (quoted(&limit.id.value), quoted(&tighter.id.value));
            let message = format!("the limit {id} is never reached: {tighter} is reached before it");
            let fault = Fault::error(codes::UNREACHABLE_LIMIT, message);
            faults
                .push(limit.id.spot, fault.help("remove one of the two, or give the longer window the larger amount"));
        }
    }
}

fn is_reached_first(tighter: &WrittenLimit, limit: &WrittenLimit) -> bool {
    let names = |list: &Option<Names>| -> Option<HashSet<String>> {
        list.as_ref().map(|names| names.value.iter().map(|name| name.value.clone()).collect())
    };
    let lies_in = match (&limit.window, &tighter.window) {
        (Some(inner), Some(outer)) => inner.value.lies_in(outer.value),
        (None, None) => true,
        _ => false,
    };
    let zone = |limit: &WrittenLimit| limit.timezone.as_ref().map(|zone| zone.value.clone());
    lies_in
        && tighter.mode == Mode::Enforce
        && tighter.ceiling <= limit.ceiling
        && tighter.measure.value == limit.measure.value
        && tighter.per.value == limit.per.value
        && zone(tighter) == zone(limit)
        && names(&tighter.models) == names(&limit.models)
        && names(&tighter.endpoints) == names(&limit.endpoints)
}
