//! A report as it is printed.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::sums::{By, Key, Sum, Sums, dollars, places};
use crate::cli::record::Failure;
use crate::cli::record::names::Names;
use crate::cli::record::plain::plain;
use crate::cli::record::progress::grouped;
use crate::cli::record::sheet::{Sheet, defused};
use crate::cli::record::table::{Side, Table};
use crate::report::counted;
use crate::store::Filter;

/// A report: the rows in the order in which they are shown.
pub(super) struct Page {
    by: Vec<By>,
    rows: Vec<(Key, Sum)>,
    /// The rows that are not shown: how many, and their sum.
    others: Option<(usize, Sum)>,
    total: Sum,
    erased: u64,
    from_days: bool,
    span: (Option<Timestamp>, Option<Timestamp>),
}

// === impl Page ===

impl Page {
    /// Ranks the rows by cost, then tokens, and keeps the first ones. Days stay in their order.
    pub(super) async fn of(
        sums: Sums,
        filter: &Filter,
        from_days: bool,
        top: Option<u32>,
        names: Option<Names>,
    ) -> Result<Self, Failure> {
        let Sums { by, rows, total, erased } = sums;
        let mut rows: Vec<_> = rows.into_iter().collect();
        let rank = |sum: &Sum| (sum.cost.unwrap_or_default(), sum.input.saturating_add(sum.output), sum.requests);
        // Stable: what is equal stays in the order of its names.
        rows.sort_by_key(|(_, sum)| std::cmp::Reverse(rank(sum)));
        let keep = top.map_or(rows.len(), |top| usize::try_from(top).unwrap_or(usize::MAX).min(rows.len()));
        let rest = rows.split_off(keep);
        let others = (!rest.is_empty()).then(|| {
            let mut sum = Sum::default();
            rest.iter().for_each(|(_, other)| sum.add(other));
            (rest.len(), sum)
        });
        if by.first() == Some(&By::Day) {
            rows.sort_by(|(one, _), (other, _)| one.first().cmp(&other.first()));
        }
        if let Some(mut names) = names
            && let Some(place) = by.iter().position(|by| *by == By::User)
        {
            for (key, _) in &mut rows {
                if let Some(user) = key.get_mut(place)
                    && let Some(email) = names.email(user).await?
                {
                    *user = email.into();
                }
            }
        }
        Ok(Self { by, rows, others, total, erased, from_days, span: (filter.since, filter.until) })
    }

    /// A table, with what has to be said about it below.
    pub(super) fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "Nothing was used{}.", self.when());
        }
        writeln!(out, "Usage{}, from {}\n", self.when(), if self.from_days { "daily sums" } else { "entries" })?;
        let names = self.by.iter().map(|by| (name(*by).to_uppercase(), Side::Left));
        let numbers = ["REQUESTS", "TURNS", "ERRORS", "IN", "CACHED", "OUT", "COST USD"];
        let mut table = Table::new(names.chain(numbers.map(|head| (head.to_owned(), Side::Right))));
        let sums = self.rows.iter().map(|(_, sum)| sum).chain(self.others.iter().map(|(_, sum)| sum));
        let places = sums.chain([&self.total]).filter_map(|sum| sum.cost.map(places)).fold(2, usize::max);
        let labelled = |label: String| -> Key {
            std::iter::once(label).chain(std::iter::repeat_n(String::new(), self.by.len().saturating_sub(1))).collect()
        };
        for (key, sum) in &self.rows {
            table.row(self.cells(key.iter().map(|text| plain(text)).collect(), sum, places));
        }
        if let Some((count, sum)) = &self.others {
            table.row(self.cells(labelled(format!("({count} more)")), sum, places));
        }
        table.row(self.cells(labelled("total".into()), &self.total, places));
        table.write(out)?;
        self.notes(out)
    }

    fn cells(&self, mut key: Key, sum: &Sum, places: usize) -> Vec<String> {
        let mark = if sum.unpriced > 0 || sum.unmeasured > 0 { "*" } else { "" };
        key.extend([sum.requests, sum.turns, sum.errors, sum.input, sum.cached, sum.output].map(grouped));
        key.push(sum.cost.map_or_else(|| "-".to_owned(), |cost| dollars(cost, places)) + mark);
        // So that the digits stay below each other.
        if mark.is_empty() && (self.total.unpriced > 0 || self.total.unmeasured > 0) {
            key.iter_mut().last().into_iter().for_each(|cost| cost.push(' '));
        }
        key
    }

    fn notes(&self, out: &mut dyn Write) -> io::Result<()> {
        let Sum { unpriced, unmeasured, .. } = self.total;
        if unpriced > 0 || unmeasured > 0 {
            writeln!(out)?;
        }
        if unpriced > 0 {
            writeln!(out, "* without what {} used of models that have no price", counted_turns(unpriced))?;
        }
        if unmeasured > 0 {
            writeln!(out, "* without what {} used that nobody followed (no limit applied)", counted_turns(unmeasured))?;
        }
        if self.erased > 0 {
            let entries = counted(usize::try_from(self.erased).unwrap_or(usize::MAX), "entry");
            writeln!(out, "\nwithout {entries} that {} erased", if self.erased == 1 { "was" } else { "were" })?;
        }
        Ok(())
    }

    /// A JSON object.
    pub(super) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |(key, sum): &(Key, Sum)| {
            let mut row: Map<String, Value> =
                self.by.iter().zip(key).map(|(by, value)| (name(*by).to_owned(), value.as_str().into())).collect();
            row.extend(self.members(sum));
            Value::from(row)
        };
        let others = self.others.as_ref().map(|(count, sum)| {
            let mut others = Map::from_iter([("rows".to_owned(), Value::from(*count))]);
            others.extend(self.members(sum));
            others
        });
        let report = json!({
            "since": self.span.0.map(|at| at.to_string()),
            "until": self.span.1.map(|at| at.to_string()),
            "by": self.by.iter().map(|by| name(*by)).collect::<Vec<_>>(),
            "source": if self.from_days { "days" } else { "events" },
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "others": others,
            "total": self.members(&self.total),
            "erased": self.erased,
        });
        writeln!(out, "{report:#}")
    }

    fn members(&self, sum: &Sum) -> Map<String, Value> {
        // Daily sums do not say these.
        let told = |number: u64| if self.from_days { Value::Null } else { Value::from(number) };
        let members = [
            ("requests", Value::from(sum.requests)),
            ("turns", Value::from(sum.turns)),
            ("errors", Value::from(sum.errors)),
            ("tokens", json!({"input": sum.input, "cached": sum.cached, "output": sum.output})),
            ("cost", sum.cost.map(|cost| dollars(cost, 0)).into()),
            ("unpriced", told(sum.unpriced)),
            ("unmeasured", told(sum.unmeasured)),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// A table for a spreadsheet: the rows alone, which add up to the total.
    pub(super) fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let numbers = ["requests", "turns", "errors", "input", "cached", "output", "cost", "unpriced", "unmeasured"];
        let mut sheet = Sheet::begin(self.by.iter().map(|by| name(*by)).chain(numbers), out)?;
        let others = self
            .others
            .iter()
            .map(|(count, sum)| (self.by.iter().map(|_| format!("({count} more)")).collect::<Key>(), sum));
        for (key, sum) in self.rows.iter().map(|(key, sum)| (key.clone(), sum)).chain(others) {
            let told = |number: u64| if self.from_days { String::new() } else { number.to_string() };
            let cells = [
                sum.requests.to_string(),
                sum.turns.to_string(),
                sum.errors.to_string(),
                sum.input.to_string(),
                sum.cached.to_string(),
                sum.output.to_string(),
                sum.cost.map(|cost| dollars(cost, 0)).unwrap_or_default(),
                told(sum.unpriced),
                told(sum.unmeasured),
            ];
            let key = key.into_iter().map(defused);
            sheet.row(key.chain(cells))?;
        }
        sheet.end()
    }

    fn when(&self) -> String {
        match self.span {
            (Some(since), Some(until)) => format!(" from {since} until {until}"),
            (Some(since), None) => format!(" since {since}"),
            (None, Some(until)) => format!(" until {until}"),
            (None, None) => String::new(),
        }
    }
}

fn counted_turns(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "turn")
}

/// The name of a column.
fn name(by: By) -> &'static str {
    match by {
        By::User => "user",
        By::Role => "role",
        By::Group => "group",
        By::Model => "model",
        By::Endpoint => "endpoint",
        By::Day => "day",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Line;

    fn line(n: u32, members: Value) -> Line {
        let mut entry = json!({
            "kind": "usage", "_id": uuid::Uuid::from_u128(n.into()), "timestamp": format!("2026-11-{:02}T10:00:00Z", n % 28 + 1),
            "userId": "6b012e4109cc968f8a928bce", "role": "USER", "endpoint": "openAI", "model": "gpt-4o", "outcome": "started",
        });
        entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Line::read(&entry.to_string()).unwrap()
    }

    async fn page(by: &[By], top: Option<u32>) -> Page {
        let mut sums = Sums::by(by);
        for (n, members) in [
            json!({"tokens": {"input": 1_200, "cachedInput": 1_024, "output": 340}, "cost": "0.0004608"}),
            json!({"model": "o1", "tokens": {"input": 99_000, "output": 1_000}, "cost": "1.5"}),
            json!({"model": "=own", "endpoint": "+lab", "tokens": {"input": 5, "output": 5}}),
            json!({"model": "o1", "outcome": "refused"}),
            json!({"model": "o1", "erased": "x"}),
        ]
        .into_iter()
        .enumerate()
        {
            sums.add(&line(u32::try_from(n).unwrap(), members)).unwrap();
        }
        Page::of(sums, &Filter::default(), false, top, None).await.unwrap()
    }

    fn text(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn a_table_lines_up_and_says_what_is_not_in_it() {
        let page = page(&[By::Model], None).await;
        insta::assert_snapshot!(text(|out| page.human(out)), @"
        Usage, from entries

        MODEL          REQUESTS  TURNS  ERRORS       IN  CACHED    OUT    COST USD
        openAI|o1             2      1       1   99,000       0  1,000  1.5000000
        openAI|gpt-4o         1      1       0    2,224   1,024    340  0.0004608
        +lab|=own             1      1       0        5       0      5          -*
        total                 4      3       1  101,229   1,024  1,345  1.5004608*

        * without what 1 turn used of models that have no price

        without 1 entry that was erased
        ");
    }

    #[tokio::test]
    async fn the_dearest_are_shown_and_the_rest_is_one_row() {
        let page = page(&[By::Day, By::Model], Some(2)).await;
        insta::assert_snapshot!(text(|out| page.human(out)), @"
        Usage, from entries

        DAY         MODEL          REQUESTS  TURNS  ERRORS       IN  CACHED    OUT    COST USD
        2026-11-01  openAI|gpt-4o         1      1       0    2,224   1,024    340  0.0004608
        2026-11-02  openAI|o1             1      1       0   99,000       0  1,000  1.5000000
        (2 more)                          2      1       1        5       0      5          -*
        total                             4      3       1  101,229   1,024  1,345  1.5004608*

        * without what 1 turn used of models that have no price

        without 1 entry that was erased
        ");
    }

    #[tokio::test]
    async fn a_spreadsheet_gets_plain_numbers_and_no_formulas() {
        let page = page(&[By::Endpoint, By::Model], None).await;
        insta::assert_snapshot!(text(|out| page.csv(out)), @r#"
        "endpoint","model","requests","turns","errors","input","cached","output","cost","unpriced","unmeasured"
        "openAI","o1",2,1,1,99000,0,1000,1.5,0,0
        "openAI","gpt-4o",1,1,0,2224,1024,340,0.0004608,0,0
        "'+lab","'=own",1,1,0,5,0,5,"",1,0
        "#);
    }

    #[tokio::test]
    async fn programs_get_money_as_a_text_with_all_digits() {
        let page = page(&[By::Model], Some(1)).await;
        let report: Value = serde_json::from_str(&text(|out| page.json(out))).unwrap();
        assert_eq!(report["total"]["cost"], "1.5004608");
        assert_eq!(report["rows"][0]["model"], "openAI|o1");
        assert_eq!((&report["others"]["rows"], &report["erased"]), (&json!(2), &json!(1)));
    }
}
