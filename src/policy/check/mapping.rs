//! Mappings of claims that cannot be meant: names that match nothing, rules that never decide.

use std::collections::HashMap;

use super::{exact_name, plain_name};
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::mapping::Claim;
use crate::policy::merge::Merged;
use crate::policy::snapshot::Fallback;
use crate::policy::written::{Section, Spotted};
use crate::report::{Fault, quoted};

/// A claim and what is looked for in it.
type Seen<'a> = HashMap<(&'a Claim, &'a str), Spot>;

pub(super) fn mappings(merged: &Merged, faults: &mut Faults<'_>) {
    let lists = [
        merged.role_mapping.as_ref().map(|rules| (rules.spot, rules.value.is_empty(), "role_mapping")),
        merged.group_mapping.as_ref().map(|rules| (rules.spot, rules.value.is_empty(), "group_mapping")),
    ];
    for (spot, is_empty, name) in lists.into_iter().flatten() {
        if is_empty && !faults.has_errors() {
            let fault = Fault::error(codes::EMPTY_MAPPING, format!("{name:?} has no rule"));
            faults.push(spot, fault.help("remove it, or write a rule"));
        }
    }
    let mut seen = Seen::new();
    for rule in merged.role_mapping.iter().flat_map(|rules| &rules.value) {
        claim(&rule.claim, faults);
        if plain_name(&rule.has, "the value of a claim", faults) {
            exact_name(&rule.has, "value", faults);
        }
        let named = plain_name(&rule.role, "the name of a role", faults) && exact_name(&rule.role, "role", faults);
        if named {
            without_entry(merged, &rule.role, faults);
        }
        once(&mut seen, (&rule.claim.value, &rule.has.value), rule.claim.spot, faults);
    }
    let mut seen = Seen::new();
    for rule in merged.group_mapping.iter().flat_map(|rules| &rules.value) {
        claim(&rule.claim, faults);
        if let Some(strip) = &rule.strip {
            plain_name(strip, "the start of a name", faults);
        }
        let strip = rule.strip.as_ref().map_or("", |strip| strip.value.as_str());
        once(&mut seen, (&rule.claim.value, strip), rule.claim.spot, faults);
    }
}

/// Two rules that look for the same: the first one decides, whatever the second one gives.
fn once<'a>(seen: &mut Seen<'a>, rule: (&'a Claim, &'a str), spot: Spot, faults: &mut Faults<'_>) {
    let (Claim { token, path }, value) = rule;
    if let Some(first) = seen.insert(rule, spot) {
        let what = format!("a rule for {} in {} of the token {:?}", quoted(value), quoted(path), token.as_str());
        faults.push_twice(codes::DEFINED_TWICE, &what, first, spot);
    }
}

fn claim(written: &Spotted<Claim>, faults: &mut Faults<'_>) {
    let Claim { path, .. } = &written.value;
    let name = Spotted { value: path.to_string(), spot: written.spot };
    if !plain_name(&name, "the name of a claim", faults) {
        return;
    }
    if path.split('.').any(str::is_empty) {
        let message = format!("the way to a claim has an empty part: {}", quoted(path));
        let help = "write the names with one dot between them: realm_access.roles";
        faults.push(written.spot, Fault::error(codes::BAD_NAME, message).help(help));
    }
}

/// A role that nothing is written about: with `unlisted.role: deny` whoever gets it may do nothing.
fn without_entry(merged: &Merged, role: &Spotted<String>, faults: &mut Faults<'_>) {
    if faults.incomplete || merged.unlisted_role == Fallback::Allow {
        return;
    }
    if !merged.entries.contains_key(&(Section::Roles, role.value.clone())) {
        let message =
            format!("the role {} has no entry, and roles without an entry are denied everything", quoted(&role.value));
        let help = "write an entry for it under \"roles:\"; names match exactly";
        faults.push(role.spot, Fault::warning(codes::ROLE_WITHOUT_ENTRY, message).help(help));
    }
}
