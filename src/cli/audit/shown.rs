//! Entries as lines for people, whose columns line up.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::record::moments;
use crate::cli::record::plain::plain;
use crate::cli::record::progress::grouped;
use crate::record::{Kind, Line};

/// The columns.
const HEADS: [&str; 8] = ["TIME", "SEVERITY", "DECISION", "USER", "ACTION", "WHAT", "STATUS", "RULES"];

/// How wide a column gets at most: what is longer pushes the rest of its own line to the right.
const WIDEST: [usize; 8] = [23, 8, 9, 32, 18, 40, 6, 0];

/// What the columns say of an entry. Entries of other Tollgates are shown as far as they can be read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    user_id: Option<String>,
    actor: Option<Value>,
    severity: Option<String>,
    decision: Option<String>,
    action: Option<String>,
    rules: Vec<String>,
    about: Option<Value>,
    details: Details,
    metadata: Metadata,
    endpoint: Option<String>,
    model: Option<String>,
    agent: Option<String>,
    outcome: Option<String>,
    status: Option<Value>,
    tokens: Option<Tokens>,
    cost: Option<String>,
    erased: Option<String>,
    number: Option<Value>,
    instance: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    method: Option<String>,
    path: Option<String>,
    response: Response,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    status: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    endpoint: Option<String>,
    model: Option<String>,
    agent: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tokens {
    input: Value,
    cached_input: Value,
    cache_write: Value,
    output: Value,
}

/// An entry as cells.
pub(super) struct Row([String; 8]);

/// Writes rows under each other.
pub(super) struct Columns {
    widths: [usize; 8],
    colour: bool,
    headed: bool,
}

// === impl Row ===

impl Row {
    /// The row of an entry, with the user's name in place of the id where there is one.
    pub(super) fn of(line: &Line, name: Option<&str>, zone: &TimeZone) -> Self {
        let members: Members = serde_json::from_str(&line.text).unwrap_or_default();
        let user = name.map(str::to_owned).or_else(|| members.user_id.clone());
        let user = user.or_else(|| members.actor.as_ref().map(value));
        let [decision, action, what, status, rules] = members.told(line.kind);
        let cells =
            [moments::shown(line.at, zone), cell(members.severity), decision, cell(user), action, what, status, rules];
        Self(cells.map(|cell| plain(&cell)))
    }

    /// The user whom an entry is about.
    pub(super) fn user(line: &Line) -> Option<String> {
        serde_json::from_str::<Members>(&line.text).ok()?.user_id
    }
}

impl Members {
    /// Decision, action, what it was about, status, rules.
    fn told(&self, kind: Kind) -> [String; 5] {
        if let Some(by) = &self.erased {
            let what = format!("erased ({kind})");
            return [dash(), cell(self.action.clone()), what, dash(), format!("erasure {by}")];
        }
        match kind {
            Kind::Audit => {
                let Metadata { endpoint, model, agent } = &self.metadata;
                let rules = match &self.about {
                    Some(about) => about.to_string(),
                    None => cell((!self.rules.is_empty()).then(|| self.rules.join(", "))),
                };
                let status = self.details.response.status.as_ref();
                let what = what(endpoint, model, agent).or_else(|| self.request());
                [cell(self.decision.clone()), cell(self.action.clone()), cell(what), cell(status.map(value)), rules]
            }
            Kind::Usage => {
                let what = what(&self.endpoint, &self.model, &self.agent);
                [
                    cell(self.outcome.clone()),
                    "usage".into(),
                    cell(what),
                    cell(self.status.as_ref().map(value)),
                    self.used(),
                ]
            }
            Kind::Head => {
                let number = cell(self.number.as_ref().map(value));
                let of = format!("head {number} of {}", cell(self.instance.clone()));
                [dash(), "head".into(), of, dash(), dash()]
            }
        }
    }

    fn request(&self) -> Option<String> {
        let path = self.details.path.as_deref()?;
        Some(format!("{} {path}", self.details.method.as_deref().unwrap_or("-")))
    }

    /// Tokens in and out, and what they cost.
    fn used(&self) -> String {
        let Some(Tokens { input, cached_input, cache_write, output }) = &self.tokens else { return dash() };
        let all = [input, cached_input, cache_write].into_iter().map(number).fold(0, u64::saturating_add);
        let tokens = format!("{} in, {} out", grouped(all), grouped(number(output)));
        match &self.cost {
            Some(cost) => format!("{tokens}, ${cost}"),
            None => tokens,
        }
    }
}

/// Endpoint and model, or the agent.
fn what(endpoint: &Option<String>, model: &Option<String>, agent: &Option<String>) -> Option<String> {
    let model = model.as_deref().filter(|model| !model.is_empty());
    match (endpoint.as_deref(), model, agent.as_deref()) {
        (Some(endpoint), Some(model), Some(agent)) => Some(format!("{endpoint}/{model} ({agent})")),
        (Some(endpoint), Some(model), None) => Some(format!("{endpoint}/{model}")),
        (Some(endpoint), None, Some(agent)) => Some(format!("{endpoint} ({agent})")),
        (Some(endpoint), None, None) => Some(endpoint.to_owned()),
        (None, model, agent) => model.or(agent).map(str::to_owned),
    }
}

/// A number, or the text that stands for one above 2^63.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cell(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(dash)
}

fn dash() -> String {
    "-".to_owned()
}

// === impl Columns ===

impl Columns {
    pub(super) fn new(colour: bool) -> Self {
        Self { widths: HEADS.map(str::len), colour, headed: false }
    }

    /// Writes rows, the first ones under a head. The columns are as wide as the widest cell so far.
    pub(super) fn write(&mut self, rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
        for row in rows {
            for ((width, widest), cell) in self.widths.iter_mut().zip(WIDEST).zip(&row.0) {
                *width = (*width).max(cell.chars().count().min(widest));
            }
        }
        if !self.headed && !rows.is_empty() {
            self.headed = true;
            self.line(&HEADS.map(str::to_owned), false, out)?;
        }
        rows.iter().try_for_each(|row| self.line(&row.0, self.colour, out))
    }

    fn line(&self, cells: &[String; 8], colour: bool, out: &mut dyn Write) -> io::Result<()> {
        let cells = cells.iter().zip(self.widths).enumerate().map(|(n, (cell, width))| {
            // The last column has nothing behind it.
            let cell_shown = if n + 1 == HEADS.len() { cell.clone() } else { format!("{cell:<width$}") };
            match paint(n, cell) {
                Some(code) if colour => format!("\x1b[{code}m{cell_shown}\x1b[0m"),
                _ => cell_shown,
            }
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
    }
}

/// The colour of a cell, by its column and word.
fn paint(column: usize, cell: &str) -> Option<&'static str> {
    match (column, cell) {
        (0, _) => Some("2"),
        (1, "WARNING") | (2, "shadow") => Some("33"),
        (1, "ERROR") | (2, "deny" | "refused" | "failed") => Some("31"),
        (1, "CRITICAL") => Some("1;31"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples;

    fn shown(lines: &[Line], colour: bool) -> String {
        let rows: Vec<_> = lines.iter().map(|line| Row::of(line, None, &TimeZone::UTC)).collect();
        let mut out = Vec::new();
        Columns::new(colour).write(&rows, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn entries_line_up() {
        let tombstone = r#"{"kind":"audit","_id":"00000000-0000-0000-0000-000000000003","timestamp":"2027-01-15T08:00:01Z","erased":"00000000-0000-0000-0000-0000000000aa","digest":"00"}"#;
        let event = r#"{"kind":"audit","_id":"00000000-0000-0000-0000-000000000004","timestamp":"2027-01-15T08:00:02Z","actor":"cli","action":"records.erased","category":"ADMIN","severity":"WARNING","about":{"count":1}}"#;
        let turn = samples::turn(2).line().unwrap();
        let mut spent = turn.clone();
        spent.text = turn
            .text
            .replace(
                "\"time\":2.25",
                "\"time\":2.25,\"tokens\":{\"input\":1000,\"cachedInput\":200,\"output\":34},\"cost\":\"0.00046\"",
            )
            .into();
        let lines = [
            samples::refusal(1).line().unwrap(),
            turn,
            spent,
            Line::read(tombstone).unwrap(),
            Line::read(event).unwrap(),
        ];
        insta::assert_snapshot!(shown(&lines, false), @r#"
        TIME                     SEVERITY  DECISION  USER                      ACTION          WHAT                STATUS  RULES
        2027-01-15 08:00:00.000  WARNING   deny      6b012e4109cc968f8a928bce  chat.turn       openAI/gpt-4o       403     roles.USER.endpoints.openAI.models
        2027-01-15 08:00:00.000  -         started   6b012e4109cc968f8a928bce  usage           openAI/gpt-4o-mini  200     -
        2027-01-15 08:00:00.000  -         started   6b012e4109cc968f8a928bce  usage           openAI/gpt-4o-mini  200     1,200 in, 34 out, $0.00046
        2027-01-15 08:00:01.000  -         -         -                         -               erased (audit)      -       erasure 00000000-0000-0000-0000-0000000000aa
        2027-01-15 08:00:02.000  WARNING   -         cli                       records.erased  -                   -       {"count":1}
        "#);
    }

    #[test]
    fn colour_is_only_where_it_is_wanted_and_nothing_of_an_entry_reaches_the_terminal_raw() {
        let mut line = samples::refusal(1).line().unwrap();
        line.text = line.text.replace("gpt-4o", r"gpt\u001b[2J").into();
        let plain = shown(std::slice::from_ref(&line), false);
        assert!(!plain.contains('\x1b') && plain.contains(r"gpt\u{1b}[2J"), "{plain}");
        let coloured = shown(&[line], true);
        assert!(coloured.contains("\x1b[33mWARNING ") && coloured.contains("\x1b[31mdeny"), "{coloured}");
        assert!(!coloured.contains("\x1b[2J"), "{coloured}");
    }
}
