//! A day as a document, and back: those of some days, and all there are, whatever they are.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use jiff::civil::Date;
use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Decimal128, Document, deserialize_from_document, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;
use serde::Deserialize;

use super::DAILY;
use crate::record::entry::Usd;
use crate::store::daily;
use crate::store::ledger::{DayModel, DayTokens, ResponseTime};
use crate::store::mongo::{SEARCH, inspect, lines, search};
use crate::store::{Daily, DayRow, Days, InspectedDays, Mark, Span, Unread};

/// See [`crate::store::Ledger::days`].
pub(in crate::store::mongo) async fn days(
    own: &Database,
    span: &Span,
    after: Option<&str>,
    most: usize,
) -> Result<Days, Error> {
    let beyond = span.to.tomorrow().unwrap_or(Date::MAX);
    let from = span.from.to_string();
    let from = match after {
        Some(after) if *after >= *from => doc! {"$gt": after},
        _ => doc! {"$gte": from},
    };
    let mut of = doc! {"$and": [{"key": from}, {"key": {"$lt": beyond.to_string()}}]};
    for (name, value) in [("userId", &span.user), ("role", &span.role)] {
        if let Some(value) = value {
            of.insert(name, doc! {"$eq": &**value});
        }
    }
    let kept = own.collection::<Document>(DAILY);
    let asked = kept.find(of).sort(doc! {"key": 1}).limit(search::limit(most));
    let mut found = asked.read_concern(ReadConcern::majority()).max_time(SEARCH).await?;
    let (mut days, mut last, mut count) = (Days::default(), None, 0_usize);
    while count < most
        && let Some(document) = found.try_next().await?
    {
        count += 1;
        last = document.get_str("key").ok().map(Into::into).or(last);
        match read(document) {
            Ok((daily, _)) => days.days.push(daily),
            Err(unread) => days.unread.push(unread),
        }
    }
    days.next = last.filter(|_| count >= most);
    Ok(days)
}

/// See [`crate::store::Ledger::inspect_days`].
pub(in crate::store::mongo) async fn inspect(own: &Database, after: Option<&Mark>) -> Result<InspectedDays, Error> {
    let (documents, next) = inspect::page(&own.collection(DAILY), after).await?;
    let row = |document| match read(document) {
        Ok((daily, day)) => {
            let mut differs = Vec::new();
            if !daily::fits(&daily) {
                differs.push("key");
            }
            if day.timestamp_millis() != daily::midnight(daily.day).as_millisecond() {
                differs.push("day");
            }
            DayRow::Day { daily, differs }
        }
        Err(unread) => DayRow::Unread(unread),
    };
    Ok(InspectedDays { rows: documents.into_iter().map(row).collect(), next })
}

/// The day of a document, and the date that it has for it.
fn read(document: Document) -> Result<(Daily, DateTime), Unread> {
    let named = |key: &Bson| Bson::as_str(key).map_or_else(|| key.to_string(), str::to_owned);
    let key = document.get("key").or(document.get("_id")).map(named).unwrap_or_default();
    let kept = deserialize_from_document::<Kept>(document);
    let kept = kept.map_err(|error| Unread {
        name: format!("document {key} of {DAILY}").into(),
        why: format!("it has no sums that can be read: {}", error.kind).into(),
    })?;
    let day = kept.day;
    Ok((kept.into(), day))
}

/// A day as it is kept.
pub(super) fn document(daily: &Daily) -> Document {
    let tokens = |tokens: &DayTokens| {
        let DayTokens { input, cached, output, total } = *tokens;
        doc! {"input": long(input), "cached": long(cached), "output": long(output), "total": long(total)}
    };
    let cost = |cost: Option<Usd>| cost.and_then(|cost| cost.to_string().parse::<Decimal128>().ok());
    let models = daily.model_usage.iter().map(|used| {
        let DayModel { endpoint, model, count, tokens: of, cost: costs } = used;
        let mut told = doc! {"endpoint": &**endpoint, "model": &**model, "count": long(*count), "tokens": tokens(of)};
        told.extend(cost(*costs).map(|cost| ("cost".to_owned(), cost.into())));
        told
    });
    let ResponseTime { avg, min, max } = daily.response_time;
    let mut told = doc! {
        "key": &*daily.key,
        "userId": &*daily.user_id,
        "day": DateTime::from_millis(daily::midnight(daily.day).as_millisecond()),
        "role": &*daily.role,
        "messageCount": long(daily.message_count),
        "tokenUsage": tokens(&daily.token_usage),
        "modelUsage": models.collect::<Vec<_>>(),
        "apiCalls": long(daily.api_calls),
        "errors": long(daily.errors),
        "responseTime": {"avg": avg, "min": min, "max": max},
    };
    told.extend(cost(daily.cost).map(|cost| ("cost".to_owned(), cost.into())));
    told
}

/// A day as it was kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    key: Box<str>,
    user_id: Box<str>,
    day: DateTime,
    role: Box<str>,
    message_count: u64,
    token_usage: DayTokens,
    model_usage: Vec<KeptModel>,
    cost: Option<Decimal128>,
    api_calls: u64,
    errors: u64,
    response_time: ResponseTime,
}

#[derive(Deserialize)]
struct KeptModel {
    endpoint: Box<str>,
    model: Box<str>,
    count: u64,
    tokens: DayTokens,
    cost: Option<Decimal128>,
}

impl From<Kept> for Daily {
    fn from(kept: Kept) -> Self {
        let cost = |cost: Option<Decimal128>| cost.and_then(|cost| money(&cost.into())).map(Usd);
        let models = kept.model_usage.into_iter().map(|used| {
            let KeptModel { endpoint, model, count, tokens, cost: costs } = used;
            DayModel { endpoint, model, count, tokens, cost: cost(costs) }
        });
        let at = Timestamp::from_millisecond(kept.day.timestamp_millis()).unwrap_or_default();
        Self {
            key: kept.key,
            user_id: kept.user_id,
            day: daily::day(at),
            role: kept.role,
            message_count: kept.message_count,
            token_usage: kept.token_usage,
            model_usage: models.collect(),
            cost: cost(kept.cost),
            api_calls: kept.api_calls,
            errors: kept.errors,
            response_time: kept.response_time,
        }
    }
}

// === helpers ===

/// An amount of money that was added up.
pub(super) fn money(sum: &Bson) -> Option<u64> {
    match sum {
        Bson::Decimal128(sum) => lines::digits(&sum.to_string())?.parse::<Usd>().ok().map(|usd| usd.0),
        _ => None,
    }
}

pub(super) fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Names of members, with those inside.
    fn names(value: &Value, path: &str, into: &mut BTreeSet<String>) {
        for (name, member) in value.as_object().into_iter().flatten() {
            // Decimals and dates are objects with one odd name in BSON.
            if !name.starts_with('$') {
                into.insert(format!("{path}/{name}"));
                names(member, &format!("{path}/{name}"), into);
            }
        }
        for item in value.as_array().into_iter().flatten() {
            names(item, path, into);
        }
    }

    /// The page lists the members of [`Daily`], and says that there is a key beside them.
    #[test]
    fn a_day_is_kept_with_the_members_that_it_is_told_with() {
        let tokens = DayTokens { input: 1, cached: 2, output: 3, total: 4 };
        let (endpoint, model, cost) = ("openAI".into(), "gpt-4o".into(), Some(Usd(5)));
        let daily = Daily {
            key: "k".into(),
            user_id: "u".into(),
            day: jiff::civil::date(2026, 11, 21),
            role: "USER".into(),
            message_count: 1,
            token_usage: tokens,
            model_usage: vec![DayModel { endpoint, model, count: 1, tokens, cost }],
            cost,
            api_calls: 1,
            errors: 0,
            response_time: ResponseTime { avg: 1.0, min: 1.0, max: 1.0 },
        };
        let (mut kept, mut told) = (BTreeSet::new(), BTreeSet::from(["/key".to_owned()]));
        names(&serde_json::to_value(document(&daily)).unwrap(), "", &mut kept);
        names(&serde_json::to_value(&daily).unwrap(), "", &mut told);
        assert_eq!(kept, told);
    }
}
