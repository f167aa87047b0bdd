//! The sums by day: each row is looked at by itself, and each day whose entries are all still there is added up again.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::record::Failure;
use crate::cli::record::filters::Query;
use crate::cli::record::progress::Progress;
use crate::cli::record::reading::Reading;
use crate::record::Kind;
use crate::record::verify::Verifier;
use crate::store::{
    Daily, DayCheck, DayChecked, DayRow, ERASED, Filter, InspectedDays, Keep, Ledger, Order, Span, Unread,
};

/// Sums of a page.
const PAGE: usize = 1_000;

/// So long after a day has ended entries may still be added to it: a turn may take a day, and then some hours.
const GROWING: SignedDuration = SignedDuration::from_hours(30);

/// What the rows tell by themselves.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The days that there are.
    days: BTreeSet<Date>,
}

/// Looks at all rows, whatever they are. Before chains are read: an erasure that takes a name out of a row afterwards is not missed among events.
pub(super) async fn inspect(
    ledger: &Arc<dyn Ledger>,
    keep: Keep,
    now: Timestamp,
    verifier: &mut Verifier,
    progress: &mut Progress<'_>,
) -> Result<Rows, Failure> {
    // Of a day that has begun to expire, entries are missing; and so may be the event of an erasure, or the head that vouches for it.
    let events = [keep.audit, keep.heads].into_iter().flatten().min();
    let (whole, told) = (first_kept(keep.usage, now), first_kept(events, now));
    let (mut all, mut alone, mut erased) = (Rows::default(), 0_u64, 0_u64);
    let mut after = None;
    loop {
        let InspectedDays { rows, next } = ledger.inspect_days(after.as_ref()).await?;
        for row in rows {
            progress.step();
            let (daily, differs) = match row {
                DayRow::Day { daily, differs } => (daily, differs),
                DayRow::Unread(Unread { name, why }) => {
                    verifier.unreadable(None, &format!("{name}: {why}"));
                    continue;
                }
            };
            let Daily { key, day, user_id, .. } = &daily;
            if !differs.is_empty() {
                let why = format!("the row {key} does not fit itself: {}", differs.join(", "));
                verifier.sums(&day.to_string(), (0, 0, 0), &[(user_id.clone(), why)]);
            }
            if &**user_id == ERASED && told.is_none_or(|told| *day >= told) {
                erased = erased.saturating_add(1);
            }
            match whole {
                Some(whole) if *day < whole => alone = alone.saturating_add(1),
                _ => drop(all.days.insert(*day)),
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    verifier.sums("", (0, 0, alone), &[]);
    verifier.sums_erased(erased);
    Ok(all)
}

/// Holds the sums of all days against the entries: days that have sums, and days that have entries.
pub(super) async fn verify(
    ledger: &Arc<dyn Ledger>,
    rows: &Rows,
    keep: Keep,
    now: Timestamp,
    verifier: &mut Verifier,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let mut from = first_kept(keep.usage, now).unwrap_or(Date::MIN);
    while let Some(day) = next(ledger, rows, from).await? {
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
        let Ok(tomorrow) = day.tomorrow() else { break };
        from = tomorrow;
    }
    Ok(())
}

/// The first day that nothing has expired of; none where nothing expires.
fn first_kept(keep: Option<std::time::Duration>, now: Timestamp) -> Option<Date> {
    let at = keep.and_then(|keep| now.checked_sub(keep).ok())?;
    Some(at.to_zoned(TimeZone::UTC).date().tomorrow().unwrap_or(Date::MAX))
}

/// The next day, from this one on, of which there are sums or entries.
async fn next(ledger: &Arc<dyn Ledger>, rows: &Rows, from: Date) -> Result<Option<Date>, Failure> {
    let (since, _) = DayCheck::new(from).span();
    let filter = Filter { kinds: vec![Kind::Usage], since: Some(since), ..Filter::default() };
    let entries = ledger.find(&filter, None, 1).await?.lines;
    let entry = entries.first().map(|line| line.at.to_zoned(TimeZone::UTC).date());
    Ok(entry.into_iter().chain(rows.days.range(from..).next().copied()).min())
}

/// The sums of a day. What cannot be read is known by now.
async fn sums(ledger: &Arc<dyn Ledger>, day: Date) -> Result<Vec<Daily>, Failure> {
    let span = Span { from: day, to: day, user: None, role: None };
    let (mut all, mut after) = (Vec::new(), None::<Box<str>>);
    loop {
        let page = ledger.days(&span, after.as_deref(), PAGE).await?;
        all.extend(page.days);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}
