//! The report, for people and for programs.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{Advice, Row, Shadow};
use crate::cli::check::Format;
use crate::cli::record::Failure;
use crate::cli::record::moments::last_day;
use crate::cli::record::names::Names;
use crate::cli::record::plain::plain;
use crate::cli::record::progress::grouped;
use crate::cli::record::table::{Side, Table};
use crate::cli::shadow::tally::{Tally, Told, is_limit};
use crate::policy::Mode;

/// People and models that are named of a rule.
const NAMED: usize = 5;

/// Days of the trend.
const DAYS: i32 = 7;

/// What limits in shadow mode do not see.
const UNCOUNTED: &str = "Of limits this is the least: while the counters could not be asked, as may be just after a start, limits in shadow mode \
                         counted nothing, refused nothing and recorded nothing.";

/// The report.
pub(super) struct Page {
    pub(super) shadow: Option<Shadow>,
    pub(super) tally: Tally,
    pub(super) rows: Vec<Row>,
    pub(super) quiet: u16,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Timestamp,
}

// === impl Page ===

impl Page {
    pub(super) async fn write(
        &self,
        format: Format,
        mut names: Option<Names>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let mut people = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            people.push(top(&row.told, &mut names).await?);
        }
        match format {
            Format::Human => self.human(&people, out)?,
            Format::Json => writeln!(out, "{:#}", self.json(&people))?,
        }
        Ok(())
    }

    fn human(&self, people: &[Vec<(String, u64)>], out: &mut dyn Write) -> io::Result<()> {
        let Tally { decided, would_refuse, unclear, erased, .. } = &self.tally;
        let since = self.since.map_or_else(|| "the beginning".to_owned(), |at| at.to_string());
        let share = share(*would_refuse, *decided);
        writeln!(
            out,
            "Of {} decisions from {since} until {}, {} would have been refusals ({share}).",
            grouped(*decided),
            self.until,
            grouped(*would_refuse)
        )?;
        match &self.shadow {
            None => writeln!(
                out,
                "No policy is named (--policies, --config), so that rules in shadow mode which refused nothing are not known."
            )?,
            Some(shadow) if shadow.policy.mode() == Mode::Shadow => {
                writeln!(
                    out,
                    "The whole policy is in shadow mode (mode: shadow), revision {}.",
                    shadow.policy.revision()
                )?;
            }
            Some(shadow) => writeln!(
                out,
                "{} in shadow mode, policy revision {}.",
                rules(shadow.rules.len()),
                shadow.policy.revision()
            )?,
        }
        if !self.rows.is_empty() {
            writeln!(out)?;
            self.table().write(out)?;
        }
        for (row, people) in self.rows.iter().zip(people).filter(|(row, _)| row.told.would_refuse > 0) {
            let rest = row.told.people.len().saturating_sub(people.len());
            let more = if rest > 0 { format!(" and {} more", grouped(rest as u64)) } else { String::new() };
            writeln!(out, "\n{}", plain(&row.rule))?;
            if !people.is_empty() {
                writeln!(out, "  people  {}{more}", listed(people))?;
            }
            writeln!(out, "  models  {}", listed(&most(&row.told.models)))?;
            if let Some((at, id)) = &row.told.last {
                writeln!(out, "  last    {} ({at})", plain(id))?;
            }
        }
        self.advise(out)?;
        if self.counts_limits() {
            writeln!(out, "{UNCOUNTED}")?;
        }
        for (count, what) in [
            (
                unclear,
                "entries of an earlier version do not tell which of their lists would have refused; only limits count of them",
            ),
            (erased, "entries were erased, and say nothing"),
        ] {
            if *count > 0 {
                writeln!(out, "{} {what}.", grouped(*count))?;
            }
        }
        Ok(())
    }

    /// Whether any of it is about a limit.
    fn counts_limits(&self) -> bool {
        self.rows.iter().any(|row| is_limit(&row.rule))
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            ("RULE", Side::Left),
            ("WOULD REFUSE", Side::Right),
            ("OF", Side::Right),
            ("SHARE", Side::Right),
            ("PEOPLE", Side::Right),
            ("LAST", Side::Left),
            ("LAST 7 DAYS", Side::Left),
            ("", Side::Left),
        ]);
        for Row { rule, told, advice } in &self.rows {
            let last = told.last.as_ref().map_or_else(|| "never".to_owned(), |(at, _)| last_day_of(*at).to_string());
            let trend: Vec<String> = self.trend(told).into_iter().map(|(_, count)| count.to_string()).collect();
            table.row(vec![
                plain(rule),
                grouped(told.would_refuse),
                grouped(told.of),
                share(told.would_refuse, told.of),
                grouped(told.people.len() as u64),
                last,
                trend.join(" "),
                match advice {
                    Advice::Enforce => "can be enforced".to_owned(),
                    Advice::Refuses => String::new(),
                    Advice::Young(days) => format!("watched for {days} of {} days", self.quiet),
                    Advice::Gone if self.shadow.is_some() => "not in shadow mode now".to_owned(),
                    Advice::Gone => String::new(),
                },
            ]);
        }
        table
    }

    /// What follows for the policy.
    fn advise(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(shadow) = &self.shadow else { return Ok(()) };
        let whole = shadow.policy.mode() == Mode::Shadow;
        let can = self.rows.iter().filter(|row| row.advice == Advice::Enforce).count();
        let known = self.rows.iter().filter(|row| row.advice != Advice::Gone).count();
        writeln!(out)?;
        match (whole, known) {
            (true, 0) => writeln!(out, "The policy has nothing that could refuse."),
            (true, known) if can == known => {
                writeln!(out, "Nothing would have been refused for {} days: mode: enforce can be written.", self.quiet)
            }
            (true, known) => {
                writeln!(out, "{} of {} rules could be enforced; mode: enforce is for all of them at once.", can, known)
            }
            (false, 0) => writeln!(out, "Nothing is in shadow mode."),
            (false, known) => {
                writeln!(out, "{can} of {} can be enforced: take mode: shadow out of them.", rules(known))
            }
        }
    }

    /// The last days with their counts, the newest last.
    fn trend(&self, told: &Told) -> Vec<(Date, u64)> {
        let end = last_day(self.until);
        let days = (0..DAYS).rev().filter_map(|ago| end.checked_sub(jiff::Span::new().try_days(ago).ok()?).ok());
        days.map(|day| (day, told.days.get(&day).copied().unwrap_or(0))).collect()
    }

    fn json(&self, people: &[Vec<(String, u64)>]) -> Value {
        let counts = |list: &[(String, u64)], what: &str| -> Vec<Value> {
            list.iter().map(|(name, count)| json!({what: name, "requests": count})).collect()
        };
        let rules: Vec<Value> = self
            .rows
            .iter()
            .zip(people)
            .map(|(Row { rule, told, advice }, people)| {
                let days: serde_json::Map<String, Value> =
                    told.days.iter().map(|(day, count)| (day.to_string(), json!(count))).collect();
                json!({
                    "rule": rule, "would_refuse": told.would_refuse, "of": told.of, "people": told.people.len(),
                    "top_people": counts(people, "user"), "models": counts(&most(&told.models), "model"), "days": days,
                    "last": told.last.as_ref().map(|(at, id)| json!({"at": at, "request_id": id})),
                    "in_shadow_mode": *advice != Advice::Gone,
                    "can_be_enforced": *advice == Advice::Enforce,
                })
            })
            .collect();
        json!({
            "since": self.since, "until": self.until, "quiet_days": self.quiet,
            "policy": self.shadow.as_ref().map(|shadow| json!({
                "revision": shadow.policy.revision(), "mode": shadow.policy.mode().as_str(), "shadow_rules": shadow.rules,
            })),
            "decided": self.tally.decided, "would_refuse": self.tally.would_refuse, "turns": self.tally.turns,
            "unclear": self.tally.unclear, "erased": self.tally.erased, "rules": rules,
            "blind": self.counts_limits().then_some(UNCOUNTED),
        })
    }
}

/// The people of a rule who have most, under the names that are wanted.
async fn top(told: &Told, names: &mut Option<Names>) -> Result<Vec<(String, u64)>, Failure> {
    let mut people = most(&told.people);
    for (user, _) in &mut people {
        if let Some(names) = names
            && let Some(email) = names.email(user).await?
        {
            *user = email.into();
        }
    }
    Ok(people)
}

/// Those with most, the most first.
fn most(counts: &std::collections::HashMap<Box<str>, u64>) -> Vec<(String, u64)> {
    let mut list: Vec<_> = counts.iter().map(|(name, count)| (name.to_string(), *count)).collect();
    list.sort_by(|(a, most), (b, more)| (more, a).cmp(&(most, b)));
    list.truncate(NAMED);
    list
}

fn listed(counts: &[(String, u64)]) -> String {
    counts.iter().map(|(name, count)| format!("{} {}", plain(name), grouped(*count))).collect::<Vec<_>>().join(", ")
}

fn last_day_of(at: Timestamp) -> Date {
    crate::cli::record::moments::day(at)
}

fn rules(count: usize) -> String {
    crate::report::counted(count, "rule")
}

/// A share in percent, to a tenth, rounded down: what is not nothing is never told as nothing.
fn share(part: u64, whole: u64) -> String {
    match (u128::from(part) * 1_000).checked_div(whole.into()) {
        None => "-".to_owned(),
        Some(0) if part > 0 => "<0.1 %".to_owned(),
        Some(share) => format!("{}.{} %", share / 10, share % 10),
    }
}
