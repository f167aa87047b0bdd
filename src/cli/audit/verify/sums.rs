//! The sums by day: each day whose entries are all still there is added up again.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::cli::record::Failure;
use crate::cli::record::filters::Query;
use crate::cli::record::progress::Progress;
use crate::cli::record::reading::Reading;
use crate::record::Kind;
use crate::record::verify::Verifier;
use crate::store::{Daily, DayCheck, DayChecked, Filter, Keep, Ledger, Order, Span};

/// Sums of a page.
const PAGE: usize = 1_000;

/// So long after a day has ended entries may still be added to it: a turn may take a day, and then some hours.
const GROWING: SignedDuration = SignedDuration::from_hours(30);

/// Days that are looked back over, at most.
const MOST: i32 = 3_660;

/// Holds the sums of all days against the entries.
pub(super) async fn verify(
    ledger: &Arc<dyn Ledger>,
    keep: Keep,
    now: Timestamp,
    verifier: &mut Verifier,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let oldest = today.saturating_sub(MOST.days());
    // Of a day that has begun to expire, entries are missing.
    let whole = keep.usage.and_then(|keep| now.checked_sub(keep).ok());
    let whole = whole.map_or(oldest, |at| at.to_zoned(TimeZone::UTC).date().tomorrow().unwrap_or(Date::MAX));
    let Some(first) = first(ledger).await? else { return Ok(()) };
    let alone = count(ledger, first, whole.yesterday().unwrap_or(Date::MIN)).await?;
    verifier.sums("", (0, 0, alone), &[]);
    let mut day = first.max(whole).max(oldest);
    while day <= today {
        // Sums first: they have no entry then that is not read after them.
        let kept = sums(ledger, day).await?;
        let mut check = DayCheck::new(day);
        let (since, until) = check.span();
        let filter = Filter { kinds: vec![Kind::Usage], since: Some(since), until: Some(until), ..Filter::default() };
        let mut entries = Reading::of(ledger, &Query { filter, at_least: None }, Order::Oldest);
        while let Some(line) = entries.next().await? {
            check.add(&line);
            progress.step();
        }
        let growing = until.saturating_add(GROWING).is_ok_and(|end| now < end);
        let DayChecked { good, behind, erased, wrong } = check.close(kept, growing);
        verifier.sums(&day.to_string(), (good, behind, erased), &wrong);
        let Ok(next) = day.tomorrow() else { break };
        day = next;
    }
    Ok(())
}

/// The first day of which there are sums or entries.
async fn first(ledger: &Arc<dyn Ledger>) -> Result<Option<Date>, Failure> {
    let all = Span { from: jiff::civil::date(1, 1, 1), to: Date::MAX, user: None, role: None };
    let sums = ledger.days(&all, None, 1).await?.first().map(|daily| daily.day);
    let filter = Filter { kinds: vec![Kind::Usage], ..Filter::default() };
    let entries = ledger.find(&filter, None, 1).await?.lines;
    let entry = entries.first().map(|line| line.at.to_zoned(TimeZone::UTC).date());
    Ok(sums.into_iter().chain(entry).min())
}

/// The sums of a day.
async fn sums(ledger: &Arc<dyn Ledger>, day: Date) -> Result<Vec<Daily>, Failure> {
    let span = Span { from: day, to: day, user: None, role: None };
    let mut all: Vec<Daily> = Vec::new();
    loop {
        let page = ledger.days(&span, all.last().map(|daily| &*daily.key), PAGE).await?;
        let full = page.len() == PAGE;
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}

/// How many sums there are of these days.
async fn count(ledger: &Arc<dyn Ledger>, from: Date, to: Date) -> Result<u64, Failure> {
    let (span, mut count, mut after) = (Span { from, to, user: None, role: None }, 0_u64, None);
    loop {
        let page = ledger.days(&span, after.as_deref(), PAGE).await?;
        count = count.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
        if page.len() < PAGE {
            return Ok(count);
        }
        after = page.last().map(|daily| daily.key.clone());
    }
}
