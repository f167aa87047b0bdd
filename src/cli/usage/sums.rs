//! Adding up usage entries: counts, tokens and money, for each of the things that a report is by.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::record::moments;
use crate::record::Line;
use crate::record::entry::Usd;
use crate::store::Daily;

/// What a report has a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum By {
    /// LibreChat's user id
    User,
    /// The role at that moment
    Role,
    /// The groups at that moment: a turn counts for each of them
    Group,
    /// Endpoint and model: a turn of several models counts for each of them
    Model,
    /// The endpoint
    Endpoint,
    /// The day (UTC)
    Day,
}

/// What a row is about: a value for each [`By`].
pub(super) type Key = Vec<String>;

/// Stands where an entry says nothing.
pub(super) const NONE: &str = "-";

/// A sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Turns that the policy allowed, whatever LibreChat made of them.
    pub(super) requests: u64,
    /// Those that LibreChat took.
    pub(super) turns: u64,
    /// Those that it refused, or that did not reach it.
    pub(super) errors: u64,
    /// Tokens given to models, cached or not.
    pub(super) input: u64,
    /// Of these, read from a provider's cache.
    pub(super) cached: u64,
    /// Tokens written by models.
    pub(super) output: u64,
    /// Picodollars, as far as costs are known.
    pub(super) cost: Option<u128>,
    /// Turns that used tokens without a price.
    pub(super) unpriced: u64,
    /// Turns that LibreChat took, and of which nobody knows what they used.
    pub(super) unmeasured: u64,
}

/// All sums of a report.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) by: Vec<By>,
    pub(super) rows: BTreeMap<Key, Sum>,
    pub(super) total: Sum,
    /// Entries that were erased: they say nothing any more.
    pub(super) erased: u64,
}

/// What is added up of an entry. Entries of other Tollgates are read as far as they say it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Turn {
    user_id: Option<String>,
    role: Option<String>,
    groups: Vec<String>,
    endpoint: Option<String>,
    model: Option<String>,
    outcome: Option<String>,
    tokens: Option<Tokens>,
    cost: Option<String>,
    runs: Vec<Run>,
    erased: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Run {
    endpoint: Option<String>,
    model: Option<String>,
    tokens: Tokens,
    cost: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tokens {
    input: Value,
    cached_input: Value,
    cache_write: Value,
    output: Value,
}

// === impl Sums ===

impl Sums {
    pub(super) fn by(by: &[By]) -> Self {
        Self { by: by.to_vec(), ..Self::default() }
    }

    /// Adds a usage entry.
    ///
    /// # Errors
    /// Where it is no usage entry, or a cost is no amount.
    pub(super) fn add(&mut self, line: &Line) -> Result<(), String> {
        let turn: Turn = serde_json::from_str(&line.text).map_err(|error| format!("entry {}: {error}", line.id))?;
        if turn.erased.is_some() {
            self.erased = self.erased.saturating_add(1);
            return Ok(());
        }
        let fault = |why| format!("entry {}: {why}", line.id);
        let all = Sum::of(turn.tokens.as_ref(), turn.cost.as_deref()).map_err(fault)?;
        let counts = Sum {
            requests: 1,
            turns: u64::from(turn.outcome.as_deref() == Some("started")),
            errors: u64::from(matches!(turn.outcome.as_deref(), Some("refused" | "failed"))),
            unmeasured: u64::from(turn.outcome.as_deref() == Some("started") && turn.tokens.is_none()),
            ..Sum::default()
        };
        self.total.add(&counts);
        self.total.add(&all);
        let mut own: BTreeMap<Key, Sum> = BTreeMap::new();
        let by_model = self.by.contains(&By::Model) || self.by.contains(&By::Endpoint);
        if by_model && !turn.runs.is_empty() {
            for run in &turn.runs {
                let used = Sum::of(Some(&run.tokens), run.cost.as_deref()).map_err(fault)?;
                for key in self.keys(line, &turn, &run.endpoint, &run.model) {
                    own.entry(key).or_default().add(&used);
                }
            }
        } else {
            for key in self.keys(line, &turn, &turn.endpoint, &turn.model) {
                own.entry(key).or_default().add(&all);
            }
        }
        for (key, mut used) in own {
            // Several runs of one turn are one turn.
            used.unpriced = used.unpriced.min(1);
            used.add(&counts);
            self.rows.entry(key).or_default().add(&used);
        }
        Ok(())
    }

    /// Adds a user's day.
    pub(super) fn add_day(&mut self, day: &Daily) {
        let used = Sum {
            requests: day.api_calls,
            turns: day.message_count,
            errors: day.errors,
            input: day.token_usage.input,
            cached: day.token_usage.cached,
            output: day.token_usage.output,
            cost: day.cost.map(|cost| u128::from(cost.0)),
            ..Sum::default()
        };
        let value = |by: &By| match by {
            By::User => day.user_id.to_string(),
            By::Day => day.day.to_string(),
            By::Role | By::Group | By::Model | By::Endpoint => NONE.to_owned(),
        };
        let key = self.by.iter().map(value).collect();
        self.total.add(&used);
        self.rows.entry(key).or_default().add(&used);
    }

    /// The rows that a turn, or a run of it, counts for.
    fn keys(&self, line: &Line, turn: &Turn, endpoint: &Option<String>, model: &Option<String>) -> Vec<Key> {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| NONE.into());
        let mut groups = turn.groups.clone();
        if groups.is_empty() || !self.by.contains(&By::Group) {
            groups = vec![NONE.to_owned()];
        }
        groups.sort_unstable();
        groups.dedup();
        let of = |group: String| {
            let value = |by: &By| match by {
                By::User => text(&turn.user_id),
                By::Role => text(&turn.role),
                By::Group => group.clone(),
                // The endpoint is not said twice.
                By::Model if self.by.contains(&By::Endpoint) => text(model),
                By::Model => format!("{}|{}", text(endpoint), text(model)),
                By::Endpoint => text(endpoint),
                By::Day => moments::day(line.at).to_string(),
            };
            self.by.iter().map(value).collect()
        };
        groups.into_iter().map(of).collect()
    }
}

// === impl Sum ===

impl Sum {
    fn of(tokens: Option<&Tokens>, cost: Option<&str>) -> Result<Self, String> {
        let cost: Option<Usd> = cost.map(str::parse).transpose().map_err(|error| format!("its cost is {error}"))?;
        let Some(Tokens { input, cached_input, cache_write, output }) = tokens else {
            return Ok(Self { cost: cost.map(|cost| u128::from(cost.0)), ..Self::default() });
        };
        let cached = number(cached_input);
        let input = number(input).saturating_add(cached).saturating_add(number(cache_write));
        let output = number(output);
        let unpriced = u64::from(cost.is_none() && (input > 0 || output > 0));
        Ok(Self { input, cached, output, cost: cost.map(|cost| u128::from(cost.0)), unpriced, ..Self::default() })
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.turns, other.turns),
            (&mut self.errors, other.errors),
            (&mut self.input, other.input),
            (&mut self.cached, other.cached),
            (&mut self.output, other.output),
            (&mut self.unpriced, other.unpriced),
            (&mut self.unmeasured, other.unmeasured),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.cost = match (self.cost, other.cost) {
            (Some(cost), Some(more)) => Some(cost.saturating_add(more)),
            (cost, more) => cost.or(more),
        };
    }
}

/// A number, or the text that stands for one above 2^63.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

/// Picodollars as US dollars, exactly, with at least so many decimal places.
pub(super) fn dollars(pico: u128, places: usize) -> String {
    const DOLLAR: u128 = 1_000_000_000_000;
    let fraction = format!("{:012}", pico % DOLLAR);
    let needed = fraction.trim_end_matches('0').len().max(places);
    let mut text = (pico / DOLLAR).to_string();
    if needed > 0 {
        // Writing to a text does not fail.
        let _infallible = write!(text, ".{}", fraction.chars().take(needed).collect::<String>());
    }
    text
}

/// How many decimal places an amount needs.
pub(super) fn places(pico: u128) -> usize {
    dollars(pico, 0).split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn line(members: Value) -> Line {
        let mut entry = json!({
            "kind": "usage", "_id": "00000000-0000-0000-0000-000000000001", "timestamp": "2026-11-21T23:59:59.999Z",
            "userId": "u1", "role": "USER", "endpoint": "openAI", "model": "gpt-4o", "outcome": "started",
        });
        entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Line::read(&entry.to_string()).unwrap()
    }

    fn row<'a>(sums: &'a Sums, key: &[&str]) -> &'a Sum {
        sums.rows
            .get(&key.iter().map(|text| (*text).to_owned()).collect::<Key>())
            .unwrap_or_else(|| panic!("{key:?} in {:?}", sums.rows))
    }

    #[test]
    fn a_turn_of_several_models_counts_for_each_of_them_and_once_in_the_total() {
        let turn = line(json!({
            "tokens": {"input": 100, "cachedInput": 20, "cacheWrite": 5, "output": 30}, "cost": "0.3",
            "runs": [
                {"endpoint": "openAI", "model": "gpt-4o", "tokens": {"input": 60, "output": 10}, "cost": "0.1"},
                {"endpoint": "openAI", "model": "gpt-4o", "tokens": {"input": 1, "output": 1}, "cost": "0.05"},
                {"endpoint": "anthropic", "model": "claude", "tokens": {"input": 39, "cachedInput": 20, "cacheWrite": 5, "output": 19}},
            ],
        }));
        let mut sums = Sums::by(&[By::Model]);
        sums.add(&turn).unwrap();
        let gpt = row(&sums, &["openAI|gpt-4o"]);
        assert_eq!((gpt.requests, gpt.turns, gpt.input, gpt.output, gpt.cost), (1, 1, 61, 11, Some(150_000_000_000)));
        let claude = row(&sums, &["anthropic|claude"]);
        assert_eq!((claude.input, claude.cached, claude.cost, claude.unpriced), (64, 20, None, 1));
        let total = Sum {
            requests: 1,
            turns: 1,
            input: 125,
            cached: 20,
            output: 30,
            cost: Some(300_000_000_000),
            ..Sum::default()
        };
        assert_eq!(sums.total, total);
    }

    #[test]
    fn a_turn_counts_for_each_group_and_day_of_its_user() {
        let mut sums = Sums::by(&[By::Day, By::Group]);
        sums.add(&line(json!({"groups": ["b", "a", "a"]}))).unwrap();
        sums.add(&line(json!({"outcome": "failed"}))).unwrap();
        sums.add(&line(json!({"erased": "x"}))).unwrap();
        assert_eq!(sums.rows.len(), 3);
        assert_eq!(row(&sums, &["2026-11-21", "a"]).requests, 1);
        let failed = row(&sums, &["2026-11-21", "-"]);
        assert_eq!((failed.requests, failed.turns, failed.errors, failed.unmeasured), (1, 0, 1, 0));
        assert_eq!((sums.total.requests, sums.total.turns, sums.total.unmeasured, sums.erased), (2, 1, 1, 1));
    }

    #[test]
    fn what_is_no_amount_is_named() {
        let mut sums = Sums::by(&[]);
        let fault = sums.add(&line(json!({"cost": "1e3"}))).unwrap_err();
        assert!(fault.contains("00000001: its cost is not an amount"), "{fault}");
    }

    #[test]
    fn dollars_have_all_their_digits() {
        assert_eq!(dollars(0, 0), "0");
        assert_eq!(dollars(460_800_000, 0), "0.0004608");
        assert_eq!(dollars(460_800_000, 2), "0.0004608");
        assert_eq!(dollars(1_500_000_000_000, 2), "1.50");
        assert_eq!(dollars(1, 2), "0.000000000001");
        assert_eq!((places(0), places(1_500_000_000_000), places(1)), (0, 1, 12));
    }

    proptest! {
        #[test]
        fn sums_of_money_are_exact(costs in proptest::collection::vec(any::<u64>(), 1..40)) {
            let mut sums = Sums::by(&[By::User]);
            for cost in &costs {
                sums.add(&line(json!({"cost": Usd(*cost).to_string()}))).unwrap();
            }
            let all: u128 = costs.iter().map(|cost| u128::from(*cost)).sum();
            prop_assert_eq!(sums.total.cost, Some(all));
            prop_assert_eq!(row(&sums, &["u1"]).cost, Some(all));
        }
    }
}
