//! `blocked` and `email_domains` that cannot be meant: names that match nobody, and entries of people who are not let in.

use std::collections::HashMap;

use super::{exact_name, plain_name, user_key};
use crate::policy::admission::{Admission, BELOW};
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::merge::Merged;
use crate::policy::written::{Names, Section, Spotted};
use crate::report::{Fault, quoted};

/// Longest name of a domain, in bytes, and of each part of it (RFC 1035 2.3.4).
const LONGEST: (usize, usize) = (253, 63);

pub(super) fn admission(merged: &Merged, faults: &mut Faults<'_>) {
    let before = faults.count();
    for (list, what) in
        [(&merged.blocked_users, "user"), (&merged.blocked_groups, "group"), (&merged.email_domains, "domain")]
    {
        let Some(list) = list else { continue };
        filled(list, what, faults);
        once(list, what, faults);
        for name in &list.value {
            match what {
                "user" if plain_name(name, "a blocked user", faults) && exact_name(name, "user", faults) => {
                    user_key(name, faults);
                }
                "group" if plain_name(name, "the name of a group", faults) => {
                    exact_name(name, "group", faults);
                }
                "domain" => domain(name, faults),
                _ => {}
            }
        }
    }
    merged.email_domains.iter().for_each(|domains| redundant(domains, faults));
    if faults.count() == before {
        entries_of_nobody(merged, faults);
    }
}

/// An empty list blocks nobody, or lets nobody in.
fn filled(list: &Names, what: &str, faults: &mut Faults<'_>) {
    if !list.value.is_empty() {
        return;
    }
    let (message, help) = match what {
        "domain" => (
            "\"email_domains\" names no domain, and would let nobody in".to_owned(),
            "write a list: [example.edu, \"*.example.edu\"], or remove the key to let everybody in",
        ),
        _ => (format!("the list of blocked {what}s is empty"), "name somebody, or remove the key"),
    };
    faults.push(list.spot, Fault::error(codes::SAYS_NOTHING, message).help(help));
}

fn once(list: &Names, what: &str, faults: &mut Faults<'_>) {
    let mut seen = HashMap::new();
    for name in &list.value {
        // Groups have exact names; addresses and domains do not.
        let spelling = if what == "group" { name.value.clone() } else { name.value.to_lowercase() };
        if seen.insert(spelling, name.spot).is_some() {
            let message = format!("the {what} {} stands twice in this list", quoted(&name.value));
            faults.push(name.spot, Fault::error(codes::DUPLICATE_MODEL, message).help("remove one of the two"));
        }
    }
}

fn domain(name: &Spotted<String>, faults: &mut Faults<'_>) {
    let domain = name.value.strip_prefix(BELOW).unwrap_or(&name.value);
    let (longest, longest_part) = LONGEST;
    let is_part = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !part.is_empty()
            && part.len() <= longest_part
            && part.bytes().all(fits)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if domain.len() <= longest && domain.split('.').all(is_part) {
        return;
    }
    let help = match () {
        () if domain.contains('@') => "write what stands behind the \"@\": example.edu",
        () if domain == "*" => "remove \"email_domains\" to let everybody in",
        () if !domain.is_ascii() => "write it as it stands in the domain name system: xn--...",
        () => "write example.edu, or \"*.example.edu\" for all domains below it",
    };
    let message = format!("{} is no domain of e-mail addresses", quoted(&name.value));
    faults.push(name.spot, Fault::error(codes::BAD_DOMAIN, message).help(help));
}

/// A domain beside one that has it already.
fn redundant(domains: &Names, faults: &mut Faults<'_>) {
    let names: Vec<String> = domains.value.iter().map(|name| name.value.to_lowercase()).collect();
    for (name, written) in names.iter().zip(&domains.value) {
        let bare = name.strip_prefix(BELOW).unwrap_or(name);
        let mut parents = bare.match_indices('.').filter_map(|(at, _)| bare.get(at + 1..));
        let covering = parents.find(|parent| names.iter().any(|other| other.strip_prefix(BELOW) == Some(parent)));
        if let Some(parent) = covering {
            let message =
                format!("{} is let in by {} already", quoted(&written.value), quoted(&format!("{BELOW}{parent}")));
            faults.push(written.spot, Fault::error(codes::REDUNDANT_MODEL, message).help("remove it"));
        }
    }
}

/// Entries that can hold for nobody.
fn entries_of_nobody(merged: &Merged, faults: &mut Faults<'_>) {
    let Some(admission) = Admission::new(merged) else { return };
    for ((section, name), entry) in &merged.entries {
        let against = match section {
            Section::Users => admission.against_key(name),
            Section::Groups => admission.against_group(name),
            Section::Roles => None,
        };
        if let Some(rule) = against {
            let message = format!(
                "{} {} is turned away by \"{rule}\", and has no use for an entry",
                section.noun(),
                quoted(name)
            );
            let fault = Fault::warning(codes::SHUT_OUT, message).help("remove the entry, or let them in");
            faults.push(entry.name.spot, fault);
        }
    }
}
