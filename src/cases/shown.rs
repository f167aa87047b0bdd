//! A failing case for people: what was asked, what was expected and what came out, and how to look further.

use std::fmt::Write as _;
use std::path::Path;

use super::differs::moment;
use super::{Row, Tried};
use crate::policy::cases::Case;
use crate::policy::{Caller, Feature, Part, Surface, Target};
use crate::report::is_invisible;

/// A failing case in some lines, ending in an empty one. `policies` is where the policy is, for the command that looks further.
pub fn failure(tried: &Tried, policies: &Path) -> String {
    let case = &tried.case;
    let mut text = format!("FAILED  {}\n  {}\n", plain(&case.name), plain(&case.place.to_string()));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  asked      {}", plain(&asked(case)));
    let head = Row { what: String::new(), expected: "expected".into(), got: "got".into(), differs: false };
    let cells = |row: &Row| [&row.what, &row.expected, &row.got].map(|cell| plain(cell));
    let width = |column: usize, least: usize| {
        let widths =
            tried.rows.iter().chain([&head]).filter_map(|row| cells(row).get(column).map(|of| of.chars().count()));
        widths.max().unwrap_or(0).max(least)
    };
    let (names, wanted) = (width(0, 9), width(1, 0));
    for row in std::iter::once(&head).chain(&tried.rows) {
        let [what, expected, got] = cells(row);
        let mark = if row.differs { "!" } else { " " };
        let line = format!("{mark} {what:names$}  {expected:wanted$}  {got}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "  see        {}\n", plain(&explain_line(tried, policies)));
    text
}

/// What was asked, by whom and when, in a line.
pub fn asked(case: &Case) -> String {
    let things: Vec<String> = case.asks.iter().map(target).collect();
    let mut text = format!("{} by {}", things.join(", "), caller(case));
    if let Some(now) = case.now {
        let _ = write!(text, ", at {}", moment(now, None));
    }
    text
}

/// Who asks, as the case has it.
fn caller(case: &Case) -> String {
    let Caller { user, email, role, groups } = &case.caller.caller;
    let mut words = vec![format!("role {role}")];
    if !groups.is_empty() {
        words.push(format!("groups {}", groups.join(" and ")));
    }
    words.extend(email.as_ref().map(|email| email.to_string()));
    words.extend((!user.is_empty()).then(|| user.to_string()));
    if case.caller.claims.is_some() {
        words.push("claims".to_owned());
    }
    let who = words.join(", ");
    match &case.caller.name {
        Some(name) => format!("{name} ({who})"),
        None => who,
    }
}

/// The command that shows more: the caller as the policy sees it, and the model that was refused. Where nothing was, or nobody
/// can say, it is the first that was asked for; where something else than a model was, the whole of the caller's standing shows it.
pub fn explain_line(tried: &Tried, policies: &Path) -> String {
    let caller = tried.got.as_ref().map_or(&tried.case.caller.caller, |got| &got.caller);
    let mut line = format!("tollgate explain --policies {}", shell_word(&policies.to_string_lossy()));
    let mut flag = |name: &str, value: &str| {
        // A value that begins with "-" would be read as a flag.
        let between = if value.starts_with('-') { '=' } else { ' ' };
        let _ = write!(line, " --{name}{between}{}", shell_word(value));
    };
    flag("role", &caller.role);
    for group in caller.groups.iter() {
        flag("group", group);
    }
    if let Some(user) = caller.email.as_deref().or((!caller.user.is_empty()).then_some(&*caller.user)) {
        flag("user", user);
    }
    let refused = tried.got.as_ref().ok().and_then(|got| got.refused).and_then(|place| tried.case.asks.get(place));
    let model = match refused {
        Some(target) => model(target),
        None => tried.case.asks.iter().find_map(model),
    };
    if let Some((endpoint, model)) = model {
        flag("endpoint", endpoint);
        flag("model", model);
    }
    line
}

/// The model that is asked for.
fn model(target: &Target) -> Option<(&str, &str)> {
    match target {
        Target::Model { endpoint, model }
        | Target::Assistant { endpoint, model }
        | Target::Agent { part: Part::Model { endpoint, model }, .. } => Some((endpoint, model)),
        _ => None,
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Model { endpoint, model } | Target::Assistant { endpoint, model } => format!("{endpoint}|{model}"),
        Target::Agent { agent, part: Part::Itself } => format!("agent {agent}"),
        Target::Agent { part, .. } => format!("its {part}"),
        Target::Tool(tool) => format!("tool {tool}"),
        Target::Endpoint(endpoint) => format!("endpoint {endpoint}"),
        Target::Feature(Feature::UserKeys) => "feature user_keys".to_owned(),
        Target::Feature(Feature::Speech) => "feature speech".to_owned(),
        Target::Surface(Surface::Agents) => "surface agents".to_owned(),
        Target::Surface(Surface::RemoteApi) => "surface remote_api".to_owned(),
        Target::Surface(Surface::Assistants) => "surface assistants".to_owned(),
    }
}

/// A word of a command line, as a shell reads it.
pub fn shell_word(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_./@:=,+-".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What goes to terminals has nothing in it that moves the cursor there.
fn plain(text: &str) -> String {
    text.chars().map(|c| if is_invisible(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}
