//! What another policy would change, for people and for programs.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::laid_over::UnderTwo;
use super::Pair;
use super::people::{Class, People};
use super::requests::{Group, Requests, Way};
use crate::cli::check::Format;
use crate::cli::record::plain::plain;
use crate::cli::record::progress::grouped;
use crate::cli::record::table::{Side, Table};
use crate::policy::explain::LimitStatement;
use crate::policy::explain::difference::LetIn;

/// Rows of a table, where not all are asked for.
const ROWS: usize = 20;

/// What is not looked at.
const NOT_REPLAYED: &str = "Limits are not counted anew: a request counts as decided otherwise by the lists of a policy and by limits of 0 alone.";

/// What was found.
pub(super) struct Page<'a> {
    pub(super) pair: Pair<'a>,
    /// What of the stored overrides is in neither policy.
    pub(super) overrides: UnderTwo,
    /// A reason where the directory cannot be looked through.
    pub(super) people: Result<People, String>,
    /// The same for the record.
    pub(super) requests: Result<Requests, String>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    /// Whether everything is shown.
    pub(super) all: bool,
}

// === impl Page ===

impl Page<'_> {
    pub(super) fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Human => self.human(out),
            Format::Json => writeln!(out, "{:#}", self.json()),
        }
    }

    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let Pair { before, after } = self.pair;
        let one = |policy: &crate::policy::Snapshot| format!("{} ({})", policy.revision(), policy.mode().as_str());
        writeln!(out, "What if {} took the place of {}?\n", one(after), one(before))?;
        self.overrides.human(out)?;
        match &self.people {
            Ok(people) => people_of(people, out)?,
            Err(why) => writeln!(out, "The directory cannot be looked through: {why}")?,
        }
        if before.maps_claims() || after.maps_claims() {
            writeln!(out, "Roles and groups that claims give are not in the directory, and not among this.")?;
        }
        writeln!(out)?;
        match &self.requests {
            Ok(requests) => self.requests_of(requests, out),
            Err(why) => writeln!(out, "The record cannot be looked through: {why}"),
        }
    }

    fn requests_of(&self, requests: &Requests, out: &mut dyn Write) -> io::Result<()> {
        let moment = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
        writeln!(
            out,
            "Of {} recorded requests from {} until {}, {} would be decided otherwise.",
            grouped(requests.judged),
            moment(self.since, "the beginning"),
            moment(self.until, "now"),
            grouped(requests.otherwise)
        )?;
        if !requests.groups.is_empty() {
            let mut table = Table::new([
                ("REQUESTS", Side::Right),
                ("PEOPLE", Side::Right),
                ("WAS", Side::Left),
                ("WOULD BE", Side::Left),
                ("ASKED FOR", Side::Left),
                ("BY", Side::Left),
                ("INSTEAD OF", Side::Left),
                ("LAST ONE", Side::Left),
            ]);
            let ways = most_first(requests);
            for (way, group) in ways.iter().take(self.most()) {
                table.row(vec![
                    grouped(group.requests),
                    grouped(group.people.len() as u64),
                    way.from.as_str().to_owned(),
                    way.to.as_str().to_owned(),
                    plain(&way.subject),
                    plain(&way.rule),
                    plain(&way.instead_of),
                    group.last.as_ref().map_or_else(String::new, |(at, id)| format!("{id} ({at})")),
                ]);
            }
            table.write(out)?;
            more(ways.len(), self.most(), "ways", out)?;
            let mut table = Table::new([("USER", Side::Left), ("REQUESTS", Side::Right)]);
            let people = users(requests);
            for (user, count) in people.iter().take(self.most()) {
                table.row(vec![plain(user), grouped(*count)]);
            }
            writeln!(out)?;
            table.write(out)?;
            more(people.len(), self.most(), "people", out)?;
        }
        let mut left = vec![("were refused by limits, and are not judged again", requests.by_limits)];
        left.push(("were refused for what no policy decides", requests.by_others));
        for (what, count) in left.into_iter().filter(|(_, count)| *count > 0) {
            writeln!(out, "{} {what}.", grouped(count))?;
        }
        for (why, count) in &requests.unknown {
            writeln!(out, "{} cannot be judged again: {}.", grouped(*count), why.as_str())?;
        }
        writeln!(out, "{NOT_REPLAYED}")
    }

    fn most(&self) -> usize {
        if self.all { usize::MAX } else { ROWS }
    }

    fn json(&self) -> Value {
        let Pair { before, after } = self.pair;
        let people = match &self.people {
            Ok(people) => json!({"count": people.count, "changed": people.changed(), "changes": people.classes}),
            Err(why) => json!({"unknown": why}),
        };
        let requests = match &self.requests {
            Ok(requests) => {
                let way = |(way, group): &(&Way, &Group)| {
                    let mut object = json!(way);
                    if let Some(object) = object.as_object_mut() {
                        object.insert("requests".into(), json!(group.requests));
                        object.insert("people".into(), json!(group.people.len()));
                        object.insert(
                            "last".into(),
                            json!(group.last.as_ref().map(|(at, id)| json!({"at": at, "request_id": id}))),
                        );
                    }
                    object
                };
                let unknown: serde_json::Map<String, Value> =
                    requests.unknown.iter().map(|(why, count)| (why.as_str().to_owned(), json!(count))).collect();
                let users =
                    users(requests).into_iter().map(|(user, requests)| json!({"user": user, "requests": requests}));
                json!({
                    "since": self.since, "until": self.until, "judged": requests.judged, "otherwise": requests.otherwise,
                    "ways": most_first(requests).iter().map(way).collect::<Vec<_>>(), "users": users.collect::<Vec<_>>(),
                    "refused_by_limits": requests.by_limits, "refused_otherwise": requests.by_others, "unknown": unknown,
                })
            }
            Err(why) => json!({"unknown": why}),
        };
        let side =
            |policy: &crate::policy::Snapshot| json!({"revision": policy.revision(), "mode": policy.mode().as_str()});
        json!({
            "before": side(before), "after": side(after), "overrides": self.overrides, "people": people,
            "requests": requests,
        })
    }
}

fn people_of(people: &People, out: &mut dyn Write) -> io::Result<()> {
    let changed = people.changed();
    writeln!(
        out,
        "Of {} people in the directory, {} gain or lose something.",
        grouped(people.count),
        grouped(changed)
    )?;
    for Class { people, names, changes } in &people.classes {
        let rest = people.saturating_sub(names.len() as u64);
        let more = if rest > 0 { format!(" and {} more", grouped(rest)) } else { String::new() };
        let noun = if *people == 1 { "person" } else { "people" };
        writeln!(out, "\n{} {noun}: {}{more}", grouped(*people), plain(&names.join(", ")))?;
        match &changes.let_in {
            Some(LetIn { after: Some(rule), .. }) => {
                writeln!(out, "  lose  everything  turned away by {}, until now let in", plain(rule.as_str()))?;
            }
            Some(LetIn { before: Some(rule), .. }) => {
                writeln!(out, "  gain  being let in, until now turned away by {}", plain(rule.as_str()))?;
            }
            Some(LetIn { before: None, after: None }) | None => {}
        }
        for (sign, list) in [("gain ", &changes.gains), ("lose ", &changes.loses)] {
            for change in list {
                writeln!(
                    out,
                    "  {sign} {}  by {}, until now {}",
                    plain(&change.what),
                    plain(change.after.as_str()),
                    plain(change.before.as_str())
                )?;
            }
        }
        for limit in &changes.limits {
            let side = |limit: &Option<LimitStatement>| limit.as_ref().map_or_else(|| "none".to_owned(), said);
            writeln!(out, "  limit  {}  {}, until now {}", limit.id, side(&limit.after), side(&limit.before))?;
        }
    }
    Ok(())
}

/// A limit in a few words.
fn said(limit: &LimitStatement) -> String {
    let LimitStatement { measure, amount, per, window, timezone, .. } = limit;
    let what = if *measure == "cost" { String::new() } else { format!(" {measure}") };
    let window = window.as_ref().map_or_else(String::new, |window| format!(" each {window}"));
    let zone = timezone.as_ref().map_or_else(String::new, |zone| format!(" ({zone})"));
    let mut said = format!("{amount}{what} per {per}{window}{zone}");
    let about = limit.models.iter().chain(&limit.endpoints).map(|name| &**name).collect::<Vec<_>>();
    if !about.is_empty() {
        said.push_str(&format!(" for {}", plain(&about.join(", "))));
    }
    if limit.strict {
        said.push_str(", strict");
    }
    if limit.effect == crate::policy::explain::LimitEffect::Records {
        said.push_str(", only recorded");
    }
    said
}

fn most_first(requests: &Requests) -> Vec<(&Way, &Group)> {
    let mut ways: Vec<_> = requests.groups.iter().collect();
    ways.sort_by_key(|(_, group)| std::cmp::Reverse(group.requests));
    ways
}

fn users(requests: &Requests) -> Vec<(&str, u64)> {
    let mut users: Vec<_> = requests.people.iter().map(|(user, count)| (&**user, *count)).collect();
    users.sort_by_key(|(user, count)| (std::cmp::Reverse(*count), *user));
    users
}

fn more(all: usize, shown: usize, what: &str, out: &mut dyn Write) -> io::Result<()> {
    match all.checked_sub(shown) {
        Some(rest @ 1..) => writeln!(out, "... and {} more {what}; --all shows them", grouped(rest as u64)),
        _ => Ok(()),
    }
}
