//! What is not a matter of roles and groups, and stays LibreChat's: told, so that nobody takes it for taken over.

use super::{Failure, balance};
use crate::lifecycle::House;
use crate::policy::fork::{Fork, Note};
use crate::store::mongo::{BrokenConfig, ConfigOverride, Mongo};

/// Sections of `librechat.yaml` that matter for who may use what, and what becomes of them.
const SECTIONS: [(&str, &str); 5] = [
    ("modelSpecs", "LibreChat goes on offering model specs; Tollgate hides those whose models a caller may not use"),
    ("interface", "LibreChat goes on showing and hiding parts of its pages, and giving permissions to roles"),
    (
        "endpoints",
        "LibreChat goes on having these endpoints; what is not listed there nobody can use, whatever a policy says",
    ),
    (
        "registration",
        "LibreChat goes on letting people register; registration.allowedDomains holds only then, email_domains of a policy always",
    ),
    (
        "rateLimits",
        "LibreChat goes on counting requests by itself, by address and user; limits of a policy stand beside that",
    ),
];

/// All other sections that LibreChat 0.8.6 has.
const QUIET: [&str; 20] = [
    "version",
    "cache",
    "ocr",
    "webSearch",
    "memory",
    "summarization",
    "secureImageLinks",
    "imageOutputType",
    "includedTools",
    "filteredTools",
    "mcpServers",
    "mcpSettings",
    "turnstile",
    "fileStrategy",
    "fileStrategies",
    "cloudfront",
    "actions",
    "transactions",
    "speech",
    "fileConfig",
];

/// What the fork lets pass and Tollgate does not.
pub(super) fn beyond() -> Vec<String> {
    [
        "stored agents, by all that they can run, in chats and on the remote-agent API",
        "model specs, second answers beside the first, and models that presets or parameters bring in",
        "assistants, by their models",
    ]
    .map(str::to_owned)
    .into()
}

/// What the file says beside roles and groups.
pub(super) fn in_file(fork: &Fork) -> Vec<Note> {
    let mut notes = Vec::new();
    for (name, place) in &fork.others {
        let known = SECTIONS.iter().find(|(section, _)| **section == **name).map(|(_, told)| (*told).to_owned());
        if let ("balance", Some(balance)) = (&**name, &fork.balance) {
            let lines = balance::told(balance);
            notes.extend(lines.iter().map(|told| Note { place: place.clone(), told: format!("{name}: {told}") }));
            continue;
        }
        let told = match known {
            Some(told) => format!("{name}: {told}"),
            None if QUIET.contains(&&**name) => continue,
            None => format!(
                "{name}: a section that LibreChat 0.8.6 does not have; a LibreChat that is not a fork may not start with it"
            ),
        };
        notes.push(Note { place: place.clone(), told });
    }
    let listed = fork.roles.iter().chain(&fork.groups).flat_map(|entry| entry.endpoints.iter().flatten());
    let mut absent: Vec<&str> = listed.filter(|listed| listed.custom).map(|listed| &*listed.endpoint).collect();
    absent.retain(|name| {
        !fork.custom.iter().any(|known| **known == **name || known.eq_ignore_ascii_case("ollama") && *name == "ollama")
    });
    absent.sort_unstable();
    absent.dedup();
    for name in absent {
        let told = format!("endpoints.custom has no {name:?}, which roles or groups list: look for a slip in the name");
        notes.push(Note { place: None, told });
    }
    notes
}

/// What the database says.
pub(super) fn in_mongo((house, mongo): &(House, Mongo)) -> Result<Vec<String>, Failure> {
    let found = house.wait_for(mongo.overrides())?;
    let mut lines: Vec<String> = found.configs.iter().map(config).collect();
    if lines.is_empty() {
        lines.push("configs: none".to_owned());
    }
    if found.more {
        lines.push("configs: there are more than are told here".to_owned());
    }
    lines.push(format!("balances: {} have one, which LibreChat goes on keeping", found.balances));
    Ok(lines)
}

/// An override of LibreChat's, or why nobody can say what it does.
fn config(config: &Result<ConfigOverride, BrokenConfig>) -> String {
    match config {
        Ok(ConfigOverride { kind, whom, sections, active }) => {
            let state = if *active { "" } else { " (not active)" };
            let sections = if sections.is_empty() { "nothing".to_owned() } else { sections.join(", ") };
            format!("configs: {kind} {whom} overrides {sections}{state}")
        }
        Err(BrokenConfig { id, faults }) => {
            format!("configs: the document with the _id {id} is broken: {}; mend or remove it", faults.join(", "))
        }
    }
}
