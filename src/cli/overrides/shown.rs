//! Overrides as they are printed.

use std::io;

use serde_json::{Map, Value, json};

use super::Format;
use crate::cli::record::Desk;
use crate::cli::record::moments::shown;
use crate::cli::record::table::{Side, Table};
use crate::overrides::Kept;
use crate::report::Report;
use crate::store::overrides::Override;

/// Most characters of a note in a table.
const NOTE: usize = 40;

/// All overrides.
pub(super) fn list(kept: &Kept, format: Format, desk: &mut Desk<'_>) -> io::Result<()> {
    match format {
        Format::Json => writeln!(desk.out, "{:#}", Value::from_iter(kept.documents.iter().map(as_json)))?,
        Format::Human if kept.documents.is_empty() && kept.unreadable.is_empty() => {
            writeln!(desk.out, "No overrides. `tollgate overrides set --help` shows how to make one.")?;
        }
        Format::Human => {
            let now = desk.clock.now();
            let heads = ["TYPE", "NAME", "PRIORITY", "STATE", "VERSION", "CHANGED", "SAYS", "NOTE"];
            let side = |head: &str| if ["PRIORITY", "VERSION"].contains(&head) { Side::Right } else { Side::Left };
            let mut table = Table::new(heads.map(|head| (head, side(head))));
            for document in &kept.documents {
                let state = match (document.is_active, document.expires_at) {
                    (false, _) => "off".to_owned(),
                    (true, Some(end)) if end <= now => "expired".to_owned(),
                    (true, Some(end)) => format!("until {}", shown(end, &desk.zone)),
                    (true, None) => "on".to_owned(),
                };
                table.row(vec![
                    document.principal.kind.to_string(),
                    document.principal.id.to_string(),
                    document.priority.to_string(),
                    state,
                    document.config_version.to_string(),
                    shown(document.updated_at, &desk.zone),
                    document.overrides.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
                    document.note.as_deref().map_or_else(|| "-".to_owned(), short),
                ]);
            }
            table.write(desk.out)?;
        }
    }
    for fault in &kept.unreadable {
        writeln!(desk.err, "warning: {fault}")?;
    }
    Ok(())
}

/// One override with all that it says.
pub(super) fn one(document: &Override, format: Format, desk: &mut Desk<'_>) -> io::Result<()> {
    if format == Format::Json {
        return writeln!(desk.out, "{:#}", as_json(document));
    }
    let now = desk.clock.now();
    let state = match (document.is_active, document.expires_at) {
        (false, _) => "off: it does not count",
        (true, Some(end)) if end <= now => "expired: it does not count any more",
        (true, _) => "on",
    };
    let Override { principal, priority, config_version, .. } = document;
    writeln!(desk.out, "override of the {principal}")?;
    writeln!(desk.out, "priority  {priority}\nversion   {config_version}\nstate     {state}")?;
    if let Some(end) = document.expires_at {
        writeln!(desk.out, "until     {}", shown(end, &desk.zone))?;
    }
    let by = document.updated_by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    writeln!(desk.out, "changed   {}{by}", shown(document.updated_at, &desk.zone))?;
    if let Some(note) = &document.note {
        writeln!(desk.out, "note      {note}")?;
    }
    writeln!(desk.out, "\n{:#}", Value::Object(document.overrides.clone()))
}

/// What a check has found.
pub(super) fn checked(report: &Report, format: Format, desk: &mut Desk<'_>) -> io::Result<()> {
    match format {
        Format::Human if report.has_errors() => desk.err.write_all(report.render_human(desk.terminal.err).as_bytes()),
        Format::Human => writeln!(desk.out, "ok"),
        Format::Json => {
            let faults: Value = serde_json::from_str(&report.render_json())?;
            writeln!(desk.out, "{:#}", json!({ "faults": faults }))
        }
    }
}

/// The members that documents have in the store.
fn as_json(document: &Override) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("principalType", document.principal.kind.as_str().into());
    put("principalId", (&*document.principal.id).into());
    put("priority", document.priority.into());
    put("overrides", Value::Object(document.overrides.clone()));
    put("isActive", document.is_active.into());
    put("configVersion", document.config_version.into());
    put("updatedAt", document.updated_at.to_string().into());
    put("updatedBy", document.updated_by.as_deref().into());
    put("note", document.note.as_deref().into());
    put("expiresAt", document.expires_at.map(|end| end.to_string()).into());
    Value::Object(object)
}

fn short(note: &str) -> String {
    match note.char_indices().nth(NOTE) {
        Some((end, _)) => format!("{}…", note.get(..end).unwrap_or_default()),
        None => note.to_owned(),
    }
}
