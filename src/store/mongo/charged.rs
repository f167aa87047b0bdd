//! What entries have put on counters, summed by the server.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;
use mongodb::{Collection, Cursor, Database};
use serde::Deserialize;

use super::SUMS;
use super::ledger::USAGE;
use crate::store::SLACK;
use crate::store::charged::{Poured, Sum, draws};
use crate::store::counters::Draw;

#[derive(Deserialize)]
struct Summed {
    #[serde(rename = "_id")]
    counter: Box<str>,
    from: Timestamp,
    until: DateTime,
    amount: Bson,
}

#[derive(Deserialize)]
struct Put {
    counter: Box<str>,
    amount: Bson,
    from: Timestamp,
    window: Bson,
    ceiling: Bson,
}

/// See [`crate::store::Ledger::charged`].
pub(super) async fn charged(own: &Database, at: Timestamp) -> Result<Vec<Draw>, Error> {
    let entries = own.collection::<Document>(USAGE);
    let since = DateTime::from_millis(at.checked_sub(SLACK).unwrap_or(Timestamp::MIN).as_millisecond());
    let mut spent = charges(since, false);
    // A sum of doubles would be rounded, and one of 64 bits might not hold it.
    spent.push(doc! {"$group": {
        "_id": "$charged.counter",
        "from": {"$first": "$charged.from"},
        "until": {"$max": "$charged.until"},
        "amount": {"$sum": {"$toDecimal": "$charged.amount"}},
    }});
    let sums = ask(&entries, spent).await?.with_type::<Summed>().map_err(Some).and_then(async |sum: Summed| {
        let Summed { counter, from, until, amount } = sum;
        let until = Timestamp::from_millisecond(until.timestamp_millis()).unwrap_or(Timestamp::MAX);
        Ok(Sum { counter, amount: number(&amount).ok_or(None)?, from, until })
    });
    let sums = sums.try_collect().await.map_err(told)?;
    let mut rolling = charges(since, true);
    rolling.push(doc! {"$replaceRoot": {"newRoot": "$charged"}});
    let poured = ask(&entries, rolling).await?.with_type::<Put>().map_err(Some).and_then(async |put: Put| {
        let Put { counter, amount, from, window, ceiling } = put;
        let narrow = |number: &Bson| number_of_64_bits(number).ok_or(None);
        Ok(Poured {
            counter,
            amount: narrow(&amount)?,
            at: from.as_microsecond(),
            window: narrow(&window)?,
            ceiling: narrow(&ceiling)?,
        })
    });
    let poured = poured.try_collect().await.map_err(told)?;
    Ok(draws(sums, poured, at))
}

// === helpers ===

/// The charges that count after this moment, of rolling windows or of the others.
fn charges(since: DateTime, rolling: bool) -> Vec<Document> {
    vec![
        // The index has this; it finds the entries.
        doc! {"$match": {"charged.until": {"$gt": since}}},
        doc! {"$project": {"_id": 0, "charged": 1}},
        doc! {"$unwind": "$charged"},
        doc! {"$match": {"charged.until": {"$gt": since}, "charged.window": {"$exists": rolling}}},
    ]
}

async fn ask(entries: &Collection<Document>, pipeline: Vec<Document>) -> Result<Cursor<Document>, Error> {
    // What a majority has: an acknowledged entry, and none that a fail-over can take back.
    entries.aggregate(pipeline).allow_disk_use(true).read_concern(ReadConcern::majority()).max_time(SUMS).await
}

/// The driver's error, or ours: an amount that is none.
fn told(error: Option<Error>) -> Error {
    error.unwrap_or_else(|| Error::custom("an entry of usage_events has a charge that is no whole number".to_owned()))
}

/// A whole number in any of the forms that it is kept in.
fn number(value: &Bson) -> Option<u128> {
    match value {
        Bson::Int32(number) => u128::try_from(*number).ok(),
        Bson::Int64(number) => u128::try_from(*number).ok(),
        Bson::Decimal128(number) => number.to_string().parse().ok(),
        Bson::String(number) => number.parse().ok(),
        _ => None,
    }
}

pub(super) fn number_of_64_bits(value: &Bson) -> Option<u64> {
    u64::try_from(number(value)?).ok()
}
