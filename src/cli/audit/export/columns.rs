//! Entries as rows of a table. The columns are an interface (`docs/records.md`): new ones come at the end.

use std::io::{self, Write};

use serde_json::Value;

use crate::cli::record::sheet::{self, defused};
use crate::record::{Kind, Line};

/// A column: its name, and where its value is in an entry.
type Column = (&'static str, &'static str);

/// The columns of audit entries.
pub(super) const AUDIT: &[Column] = &[
    ("id", "/_id"),
    ("timestamp", "/timestamp"),
    ("requestId", "/requestId"),
    ("userId", "/userId"),
    ("role", "/role"),
    ("groups", "/groups"),
    ("keyId", "/keyId"),
    ("actor", "/actor"),
    ("action", "/action"),
    ("category", "/category"),
    ("severity", "/severity"),
    ("decision", "/decision"),
    ("rules", "/rules"),
    ("policyRevision", "/policyRevision"),
    ("ip", "/details/ip"),
    ("userAgent", "/details/userAgent"),
    ("method", "/details/method"),
    ("path", "/details/path"),
    ("query", "/details/query"),
    ("status", "/details/response/status"),
    ("message", "/details/response/message"),
    ("time", "/details/response/time"),
    ("error", "/details/error"),
    ("conversationId", "/metadata/conversationId"),
    ("endpoint", "/metadata/endpoint"),
    ("model", "/metadata/model"),
    ("agent", "/metadata/agent"),
    ("spec", "/metadata/spec"),
    ("also", "/metadata/also"),
    ("about", "/about"),
    ("erased", "/erased"),
    ("instance", "/instance"),
    ("seq", "/seq"),
    ("hash", "/hash"),
    ("wouldRefuse", "/wouldRefuse"),
];

/// The columns of usage entries.
pub(super) const USAGE: &[Column] = &[
    ("id", "/_id"),
    ("timestamp", "/timestamp"),
    ("requestId", "/requestId"),
    ("userId", "/userId"),
    ("role", "/role"),
    ("groups", "/groups"),
    ("endpoint", "/endpoint"),
    ("model", "/model"),
    ("agent", "/agent"),
    ("models", "/models"),
    ("spec", "/spec"),
    ("conversationId", "/conversationId"),
    ("outcome", "/outcome"),
    ("ended", "/ended"),
    ("status", "/status"),
    ("requestBytes", "/requestBytes"),
    ("time", "/time"),
    ("firstByte", "/firstByte"),
    ("duration", "/duration"),
    ("input", "/tokens/input"),
    ("cachedInput", "/tokens/cachedInput"),
    ("cacheWrite", "/tokens/cacheWrite"),
    ("output", "/tokens/output"),
    ("cost", "/cost"),
    ("source", "/source"),
    ("settled", "/settled"),
    ("erased", "/erased"),
    ("instance", "/instance"),
    ("seq", "/seq"),
    ("hash", "/hash"),
];

/// Stands between the items of a list.
const BETWEEN: &str = "; ";

/// A table that is being written.
pub(super) struct Sheet<W: Write> {
    columns: &'static [Column],
    out: sheet::Sheet<W>,
}

// === impl Sheet ===

impl<W: Write> Sheet<W> {
    /// Begins with the names of the columns.
    pub(super) fn begin(kind: Kind, out: W) -> io::Result<Self> {
        let columns = match kind {
            Kind::Usage => USAGE,
            Kind::Audit | Kind::Head => AUDIT,
        };
        let out = sheet::Sheet::begin(columns.iter().map(|(name, _)| *name), out)?;
        Ok(Self { columns, out })
    }

    /// Writes an entry.
    pub(super) fn row(&mut self, line: &Line) -> io::Result<()> {
        let entry: Value = serde_json::from_str(&line.text)?;
        let cells = self.columns.iter().map(|(_, place)| entry.pointer(place).map(cell).unwrap_or_default());
        self.out.row(cells)
    }

    /// Writes what is still held back.
    pub(super) fn end(self) -> io::Result<()> {
        self.out.end()
    }
}

/// A value as a cell. Texts are made harmless, numbers are what they are.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => defused(text.clone()),
        Value::Array(items) => {
            let items: Vec<_> =
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
            defused(items.join(BETWEEN))
        }
        Value::Object(_) => defused(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples;

    fn sheet(kind: Kind, lines: &[Line]) -> String {
        let mut out = Vec::new();
        let mut sheet = Sheet::begin(kind, &mut out).unwrap();
        lines.iter().for_each(|line| sheet.row(line).unwrap());
        sheet.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lists_and_numbers_are_cells() {
        assert_eq!(cell(&serde_json::json!(["=a", "b"])), "'=a; b");
        assert_eq!(cell(&serde_json::json!(-1.5)), "-1.5", "a number is no formula");
    }

    #[test]
    fn cells_are_quoted_as_rfc_4180_says() {
        let mut line = samples::refusal(1).line().unwrap();
        line.text = line.text.replace("gpt-4o", r#"=cmd|' /C calc'!A0, \"x\"\r\ny"#).into();
        let text = sheet(Kind::Audit, &[line]);
        assert!(text.contains("\"'=cmd|' /C calc'!A0, \"\"x\"\"\r\ny\""), "{text}");
        assert!(text.contains("\"test \"\"agent\"\"\n\""), "{text}");
        assert!(text.starts_with("\"id\",\"timestamp\",\"requestId\",") && text.ends_with("\r\n"), "{text}");
        let mut back = csv::Reader::from_reader(text.as_bytes());
        let row = back.records().next().unwrap().unwrap();
        let place = AUDIT.iter().position(|(name, _)| *name == "model").unwrap();
        assert_eq!(&row[place], "'=cmd|' /C calc'!A0, \"x\"\r\ny");
    }

    #[test]
    fn every_member_of_an_entry_has_a_column() {
        for (entry, kind, left_out) in
            [(samples::refusal(1), Kind::Audit, ["/kind"].as_slice()), (samples::turn(1), Kind::Usage, &["/kind"])]
        {
            let line = entry.line().unwrap();
            let value: Value = serde_json::from_str(&line.text).unwrap();
            let mut leaves = Vec::new();
            leaves_of(&value, String::new(), &mut leaves);
            let columns = if kind == Kind::Usage { USAGE } else { AUDIT };
            for leaf in leaves.iter().filter(|leaf| !left_out.contains(&leaf.as_str())) {
                assert!(columns.iter().any(|(_, place)| place == leaf), "{leaf} has no column");
            }
        }
    }

    fn leaves_of(value: &Value, place: String, out: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| leaves_of(value, format!("{place}/{name}"), out))
            }
            _ => out.push(place),
        }
    }
}
