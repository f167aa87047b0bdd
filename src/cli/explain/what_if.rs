//! What another policy would change: for everybody in the directory, and for requests that were recorded.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Args;
use super::laid_over::UnderTwo;
use crate::cli::exit::Exit;
use crate::cli::record::filters::{AuditFilters, Filters, Query};
use crate::cli::record::place::Place;
use crate::cli::record::{Desk, Failure};
use crate::policy::{Snapshot, explain::difference::Universe};
use crate::record::Kind;

mod asked;
mod page;
mod people;
mod requests;

use page::Page;
use people::People;
use requests::Requests;

/// Two policies, the second in place of the first.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    before: &'a Snapshot,
    after: &'a Snapshot,
}

/// Compares. What cannot be looked through is told with its reason, and the rest is shown.
pub(super) async fn run(
    args: &Args,
    before: &Snapshot,
    after: &Snapshot,
    overrides: UnderTwo,
    desk: &mut Desk<'_>,
) -> Result<Exit, Failure> {
    let pair = Pair { before, after };
    let mut place = Place::read(&args.place, desk)?;
    let query = period(args, &mut place, desk).await?;
    let universe = Universe::of(&[before, after]);
    let most = if args.all { usize::MAX } else { people::EXAMPLES };
    let people = seldom(People::compare(pair, &universe, most, &mut place, desk).await)?;
    let requests = seldom(Requests::compare(pair, args, &query, &mut place, desk).await)?;
    let whole = overrides.unknown.is_none() && people.is_ok() && requests.is_ok();
    let (since, until) = (query.filter.since, query.filter.until);
    let page = Page { pair, overrides, people, requests, since, until, all: args.all };
    page.write(args.format, desk.out)?;
    Ok(if whole { Exit::Ok } else { Exit::Failed })
}

/// What is not to be had is one thing; a question that makes no sense, or an output that nobody takes, ends the command.
fn seldom<T>(result: Result<T, Failure>) -> Result<Result<T, String>, Failure> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(failure @ (Failure::Asked(_) | Failure::Store(_) | Failure::Failed(_))) => Ok(Err(failure.to_string())),
        Err(failure) => Err(failure),
    }
}

/// The audit entries of the stretch that is asked for: yesterday's, where nothing is said.
async fn period(args: &Args, place: &mut Place, desk: &Desk<'_>) -> Result<Query, Failure> {
    let (yesterday, today) = yesterday(desk.clock.now(), &desk.zone)?;
    let until = if args.since.is_none() { Some(today.to_string()) } else { None };
    let filters = Filters {
        since: args.since.clone().or_else(|| Some(yesterday.to_string())),
        until: args.until.clone().or(until),
        ..Filters::default()
    };
    let audit = AuditFilters { kinds: vec![Kind::Audit], ..AuditFilters::default() };
    filters.query(&audit, place, &desk.zone, desk).await
}

/// The first moments of yesterday and of today.
fn yesterday(now: Timestamp, zone: &TimeZone) -> Result<(Timestamp, Timestamp), Failure> {
    let fault = |error: jiff::Error| Failure::Failed(format!("yesterday is on no calendar: {error}"));
    let today = now.to_zoned(zone.clone()).start_of_day().map_err(fault)?;
    let yesterday = today.yesterday().and_then(|day| day.start_of_day()).map_err(fault)?;
    Ok((yesterday.timestamp(), today.timestamp()))
}

#[cfg(test)]
mod tests;
