//! The policy that means what the fork's sections mean.

use std::fmt::Write as _;

use crate::policy::fork::{Entry, Fork, Listed};

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

/// A text as YAML has it: JSON's form is one of YAML's.
pub(super) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let is_word = text.bytes().all(plain) && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let means_something = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "none", "all"];
    if is_word && !means_something.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    serde_json::to_string(text).unwrap_or_default()
}
