//! The files: a policy that means what the fork's sections mean, and cases that pin it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::policy::fork::{Entry, Fork, Listed};

/// Most cells of the table that pins what is allowed.
const MOST_CELLS: usize = 20_000;

/// A model that no list names, an endpoint that none does.
const UNLISTED: &str = "a-model-that-no-list-names";

/// Endpoints of which one may be listed nowhere.
const PROBES: [&str; 5] = ["openAI", "anthropic", "google", "bedrock", "azureOpenAI"];

/// Somebody who asks.
struct Asker<'a> {
    name: String,
    role: String,
    groups: Vec<&'a str>,
}

/// The policy.
pub(super) fn policy(fork: &Fork) -> String {
    let mut text = "# yaml-language-server: $schema=policy.schema.json\n\
                    # Made by tollgate migrate. It means what the fork's sections mean: an endpoint that is not named is open, and so is everything\n\
                    # to a role without an entry. Write \"deny\" in their place to have only what is named.\n\
                    version: 1\n\
                    unlisted: { endpoint: allow, role: allow }\n\
                    # Assistants are open to everybody there; here they are judged by their models.\n\
                    assistants: { enabled: true }\n"
        .to_owned();
    for (section, entries) in [("roles", &fork.roles), ("groups", &fork.groups)] {
        if entries.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{section}:");
        entries.iter().for_each(|entry| push_entry(&mut text, entry));
    }
    text
}

// Writing to a string cannot fail.
fn push_entry(text: &mut String, entry: &Entry) {
    let name = quoted(&entry.name);
    let Some(endpoints) = &entry.endpoints else {
        let _ = writeln!(text, "  {name}: {{}}");
        return;
    };
    if endpoints.is_empty() {
        let _ = writeln!(text, "  {name}:\n    endpoints: {{}}");
        return;
    }
    let _ = writeln!(text, "  {name}:\n    endpoints:");
    let (custom, built_in): (Vec<_>, Vec<_>) = endpoints.iter().partition(|listed| listed.custom);
    for listed in built_in {
        push_list(text, "      ", listed);
    }
    if !custom.is_empty() {
        text.push_str("      custom:\n");
    }
    for listed in custom {
        push_list(text, "        ", listed);
    }
}

fn push_list(text: &mut String, indent: &str, listed: &Listed) {
    let models: Vec<String> = listed.models.iter().map(|name| quoted(name)).collect();
    let _ = writeln!(text, "{indent}{}: {{ models: [{}] }}", quoted(&listed.endpoint), models.join(", "));
}

/// The cases, and how many cells they have.
pub(super) fn cases(fork: &Fork) -> (String, usize) {
    let models = models(fork);
    let mut askers = askers(fork);
    askers.truncate((MOST_CELLS / models.len().max(1)).max(1));
    let mut text = "# yaml-language-server: $schema=cases.schema.json\n\
                    # Made by tollgate migrate: what the fork allows to whom. Change it together with the policy.\n\
                    version: 1\n\
                    callers:\n"
        .to_owned();
    for asker in &askers {
        let groups: Vec<String> = asker.groups.iter().map(|group| quoted(group)).collect();
        let (name, role) = (quoted(&asker.name), quoted(&asker.role));
        let _ = writeln!(text, "  {name}: {{ role: {role}, groups: [{}] }}", groups.join(", "));
    }
    let list = |items: Vec<String>| items.join(", ");
    let pair = |(endpoint, model): &(String, String)| quoted(&format!("{endpoint}|{model}"));
    text.push_str("matrix:\n  - name: What the fork allows\n");
    let _ = writeln!(text, "    callers: [{}]", list(askers.iter().map(|asker| quoted(&asker.name)).collect()));
    let _ = writeln!(text, "    models: [{}]\n    allow:", list(models.iter().map(pair).collect()));
    for asker in &askers {
        let may = |(endpoint, model): &&(String, String)| fork.allows(&asker.role, &asker.groups, endpoint, model);
        let allowed: Vec<String> = models.iter().filter(may).map(pair).collect();
        let _ = match allowed.len() == models.len() {
            true => writeln!(text, "      {}: all", quoted(&asker.name)),
            false => writeln!(text, "      {}: [{}]", quoted(&asker.name), list(allowed)),
        };
    }
    (text, askers.len() * models.len())
}

/// Every model that is listed, of each listed endpoint one that is not, and one of an endpoint that is not.
fn models(fork: &Fork) -> Vec<(String, String)> {
    let lists = || fork.roles.iter().chain(&fork.groups).flat_map(|entry| entry.endpoints.iter().flatten());
    // What is listed for agents is no model.
    let lists = || lists().filter(|listed| &*listed.endpoint != "agents");
    let mut models = BTreeSet::new();
    for listed in lists() {
        models.extend(listed.models.iter().map(|model| (listed.endpoint.to_string(), model.to_string())));
        models.insert((listed.endpoint.to_string(), UNLISTED.to_owned()));
    }
    let open = PROBES.into_iter().find(|probe| lists().all(|listed| &*listed.endpoint != *probe));
    models.insert((open.unwrap_or("Some other endpoint").to_owned(), UNLISTED.to_owned()));
    models.into_iter().collect()
}

/// Each role, one that has no entry, each group, and each two groups.
fn askers(fork: &Fork) -> Vec<Asker<'_>> {
    let role = |name: &str| Asker { name: format!("role {name}"), role: name.to_owned(), groups: Vec::new() };
    let mut askers: Vec<_> = fork.roles.iter().map(|entry| role(&entry.name)).collect();
    let mut other = "A role without an entry".to_owned();
    while fork.roles.iter().any(|entry| *entry.name == *other) {
        other.push('!');
    }
    askers.push(role(&other));
    let first = fork.roles.first().map_or(other.clone(), |entry| entry.name.to_string());
    let with = |groups: Vec<&'_ str>| groups.join(" and ");
    let groups: Vec<&str> = fork.groups.iter().map(|entry| &*entry.name).collect();
    for (index, group) in groups.iter().enumerate() {
        askers.push(Asker { name: format!("group {group}"), role: first.clone(), groups: vec![group] });
        for second in groups.iter().skip(index + 1) {
            let name = format!("groups {}", with(vec![group, second]));
            askers.push(Asker { name, role: first.clone(), groups: vec![group, second] });
        }
    }
    let mut seen = BTreeSet::new();
    askers.retain(|asker| seen.insert(asker.name.clone()));
    askers
}

/// A text as YAML has it: JSON's form is one of YAML's.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let is_word = text.bytes().all(plain) && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let means_something = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "none", "all"];
    if is_word && !means_something.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    serde_json::to_string(text).unwrap_or_default()
}
