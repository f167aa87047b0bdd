//! The sums by user and day, computed anew from the entries for those that an append touched.
//!
//! Several replicas do this at once, for entries of each other. Nothing is ever added to what is there: a replica counts the
//! entries of a user and day, and its sums are taken only if they count at least as many as what is there. Who appended last
//! counts last, and counts all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures_util::TryStreamExt;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;
use serde::Deserialize;

use super::SUMS;
use super::charged::number_of_64_bits;
use super::ledger::{USAGE, many};
use crate::store::daily::{self, ERRORS, Models, STARTED, Sums, Used};

mod kept;

pub(super) use kept::{days, inspect};
use kept::{document, long, money};

pub(super) const DAILY: &str = "usage_daily";

/// Days of users that are added up in one step.
const STEP: usize = 200;

/// Days that are looked back over at the start, for entries whose sums a crash may have prevented.
pub(super) const LOOK_BACK: i32 = 8;

/// What is to be added up.
#[derive(Default)]
pub(super) struct Pending(Mutex<State>);

#[derive(Default)]
struct State {
    touched: BTreeSet<(Date, Box<str>)>,
    /// How many days have been looked back over, once somebody has begun to.
    looked: i32,
}

/// What the turns of a user with one model add up to. Those of all models together have each turn once.
#[derive(Deserialize)]
struct Row {
    #[serde(rename = "_id")]
    of: Of,
    count: Bson,
    input: Bson,
    cached: Bson,
    output: Bson,
    cost: Bson,
    priced: Bson,
    calls: Bson,
    messages: Bson,
    errors: Bson,
    all_input: Bson,
    all_cached: Bson,
    all_output: Bson,
    all_cost: Bson,
    all_priced: Bson,
    time: f64,
    shortest: f64,
    longest: f64,
    last: Last,
}

#[derive(Deserialize)]
struct Of {
    user: Box<str>,
    #[serde(default)]
    endpoint: Option<Box<str>>,
    #[serde(default)]
    model: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Last {
    at: DateTime,
    #[serde(default)]
    role: Option<Box<str>>,
}

// === impl Pending ===

impl Pending {
    /// Entries of these days and users were appended, or may have been.
    pub(super) fn touch(&self, days: &BTreeSet<(Date, Box<str>)>) {
        self.state().touched.extend(days.iter().cloned());
    }

    /// The next days to add up: a step of them, or all where the rest would be less than a step, for which nobody comes back at once.
    fn take(&self) -> BTreeSet<(Date, Box<str>)> {
        let mut state = self.state();
        let more = state.touched.len() >= 2 * STEP;
        let rest = state.touched.iter().nth(STEP).filter(|_| more).cloned();
        let rest = rest.map(|rest| state.touched.split_off(&rest)).unwrap_or_default();
        std::mem::replace(&mut state.touched, rest)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`crate::store::Ledger::add_up`]: the days that appends have touched, and at the start one day after the other that a
/// crash may have left.
pub(super) async fn add_up(own: &Database, pending: &Pending, at: Timestamp) -> Result<bool, Error> {
    let looked = pending.state().looked;
    if looked < LOOK_BACK {
        let day = daily::day(at).checked_sub(looked.days()).unwrap_or(Date::MIN);
        let missed = missed(own, day).await?;
        pending.touch(&missed);
        pending.state().looked = looked + 1;
    }
    let days = pending.take();
    if let Err(error) = compute(own, &days).await {
        pending.state().touched.extend(days);
        return Err(error);
    }
    let state = pending.state();
    Ok(state.looked < LOOK_BACK || state.touched.len() >= STEP)
}

// === helpers ===

/// The users whose sums of a day count fewer entries than there are.
async fn missed(own: &Database, day: Date) -> Result<BTreeSet<(Date, Box<str>)>, Error> {
    #[derive(Deserialize)]
    struct Counted {
        #[serde(rename = "_id")]
        user: Box<str>,
    }
    let pipeline = vec![
        doc! {"$match": {"timestamp": of_day(day), "userId": {"$type": "string"}}},
        doc! {"$group": {"_id": "$userId", "count": {"$sum": 1}}},
        // What is added up may have no entries any more, and is asked for by its key.
        doc! {"$set": {"key": {"$concat": [daily::key(day, ""), "$_id"]}}},
        doc! {"$lookup": {"from": DAILY, "localField": "key", "foreignField": "key", "as": "kept"}},
        doc! {"$match": {"$expr": {"$gt": ["$count", {"$ifNull": [{"$first": "$kept.apiCalls"}, 0]}]}}},
        doc! {"$project": {"_id": 1}},
    ];
    let entries = own.collection::<Document>(USAGE);
    let counted = entries.aggregate(pipeline).allow_disk_use(true).max_time(SUMS);
    let counted = counted.read_concern(ReadConcern::majority()).await?.with_type::<Counted>();
    counted.map_ok(|counted| (day, counted.user)).try_collect().await
}

/// Adds up these days of users and puts the sums where they belong.
async fn compute(own: &Database, days: &BTreeSet<(Date, Box<str>)>) -> Result<(), Error> {
    let mut by_day: BTreeMap<Date, Vec<&str>> = BTreeMap::new();
    for (day, user) in days {
        by_day.entry(*day).or_default().push(user);
    }
    let entries = own.collection::<Document>(USAGE);
    for (day, users) in by_day {
        let pipeline = pipeline(day, &users);
        let asked = entries.aggregate(pipeline).allow_disk_use(true).max_time(SUMS);
        let mut rows = asked.read_concern(ReadConcern::majority()).await?.with_type::<Row>();
        let mut sums: BTreeMap<Box<str>, Sums> = BTreeMap::new();
        while let Some(row) = rows.try_next().await? {
            sums.entry(row.of.user.clone()).or_default().join(row.into());
        }
        let update = |(user, sums): (Box<str>, Sums)| {
            let key = daily::key(day, &user);
            let calls = long(sums.calls);
            let told = document(&sums.told(key.as_str().into(), user, day));
            // Not what counts more; what somebody has made no number does not.
            doc! {"q": {"key": key, "apiCalls": {"$not": {"$gt": calls}}}, "u": told, "upsert": true}
        };
        many(own, DAILY, sums.into_iter().map(update).collect()).await?;
    }
    Ok(())
}

/// The turns of these users on a day, by model.
fn pipeline(day: Date, users: &[&str]) -> Vec<Document> {
    // Whole numbers, also those that are texts because they take more than 63 bits.
    let whole = |name: &str| doc! {"$convert": {"input": name, "to": "decimal", "onError": 0, "onNull": 0}};
    let given = |of: &str| {
        let names = ["input", "cachedInput", "cacheWrite"].map(|name| whole(&format!("{of}.{name}")));
        doc! {"$add": names.to_vec()}
    };
    let priced = |name: &str| doc! {"$cond": [{"$isNumber": name}, 1, 0]};
    let time = doc! {"$convert": {"input": "$time", "to": "double", "onError": 0.0, "onNull": 0.0}};
    let once = |value: Bson| doc! {"$sum": {"$cond": ["$first", value, 0]}};
    let outcome = |is: &[&str]| Bson::from(doc! {"$cond": [{"$in": ["$outcome", is]}, 1, 0]});
    let models = doc! {"$cond": [{"$isArray": "$runs"}, "$runs", []]};
    let itself = doc! {"endpoint": "$endpoint", "model": "$model", "tokens": "$tokens", "cost": "$cost"};
    vec![
        doc! {"$match": {"userId": {"$in": users}, "timestamp": of_day(day)}},
        doc! {"$set": {"runs": {"$cond": [{"$eq": [models, []]}, [itself], "$runs"]}}},
        doc! {"$unwind": {"path": "$runs", "includeArrayIndex": "nth"}},
        doc! {"$set": {"first": {"$eq": ["$nth", 0]}}},
        doc! {"$group": {
            "_id": {"user": "$userId", "endpoint": "$runs.endpoint", "model": "$runs.model"},
            "count": {"$sum": 1},
            "input": {"$sum": given("$runs.tokens")},
            "cached": {"$sum": whole("$runs.tokens.cachedInput")},
            "output": {"$sum": whole("$runs.tokens.output")},
            "cost": {"$sum": "$runs.cost"},
            "priced": {"$sum": priced("$runs.cost")},
            "calls": once(1.into()),
            "messages": once(outcome(&[STARTED])),
            "errors": once(outcome(&ERRORS)),
            "all_input": once(given("$tokens").into()),
            "all_cached": once(whole("$tokens.cachedInput").into()),
            "all_output": once(whole("$tokens.output").into()),
            "all_cost": once("$cost".into()),
            "all_priced": once(priced("$cost").into()),
            "time": {"$sum": {"$cond": ["$first", time.clone(), 0.0]}},
            "shortest": {"$min": time.clone()},
            "longest": {"$max": time},
            "last": {"$max": {"at": "$timestamp", "role": "$role"}},
        }},
    ]
}

impl From<Row> for Sums {
    fn from(row: Row) -> Self {
        let used = |[input, cached, output]: [&Bson; 3], cost, priced| {
            let cost = (whole(priced) > 0).then(|| money(cost)).flatten();
            Used { input: whole(input), cached: whole(cached), output: whole(output), cost }
        };
        let of = (row.of.endpoint.unwrap_or_default(), row.of.model.unwrap_or_default());
        let model = (whole(&row.count), used([&row.input, &row.cached, &row.output], &row.cost, &row.priced));
        let last = Timestamp::from_millisecond(row.last.at.timestamp_millis()).unwrap_or_default();
        Self {
            last: Some((last, row.last.role.unwrap_or_default())),
            calls: whole(&row.calls),
            messages: whole(&row.messages),
            errors: whole(&row.errors),
            used: used([&row.all_input, &row.all_cached, &row.all_output], &row.all_cost, &row.all_priced),
            time: row.time,
            shortest: row.shortest,
            longest: row.longest,
            models: Models::from([(of, model)]),
        }
    }
}

fn of_day(day: Date) -> Document {
    let beyond = day.tomorrow().unwrap_or(Date::MAX);
    let [from, until] = [day, beyond].map(|day| DateTime::from_millis(daily::midnight(day).as_millisecond()));
    doc! {"$gte": from, "$lt": until}
}

/// A whole number that was added up; more than 64 bits hold counts as so much.
fn whole(sum: &Bson) -> u64 {
    number_of_64_bits(sum).unwrap_or(u64::MAX)
}
