//! Erasing a user: what is left says nothing of them, and everything else is as it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use tollgate::record::{Kind, Line};
use tollgate::store::{ERASED, Filter, Tomb};
use uuid::Uuid;

use crate::bench::entries::{settled, spent, time};
use crate::bench::{Bench, USER, VIEWER};
use crate::days::{days, span};
use crate::kept::{line, link};

for_each_store![
    a_users_entries_become_tombstones,
    what_others_did_is_counted_and_stays,
    many_entries_are_erased_in_steps,
    what_broke_off_is_begun_again,
    an_entry_that_may_not_be_erased_stays,
    the_name_goes_out_of_the_sums,
];

/// A tombstone as stores see one: the same kind, id, time and place, and what erased it.
fn tombstone(line: &Line, erasure: Uuid) -> Option<Line> {
    let (_, link) = line.text.split_once(r#","instance":"#)?;
    let Line { kind, id, at, .. } = line;
    let text = format!(
        r#"{{"kind":"{kind}","_id":"{id}","timestamp":"{at}","erased":"{erasure}","digest":"00","instance":{link}"#
    );
    Some(Line { text: text.into(), ..line.clone() })
}

fn tomb(erasure: Uuid) -> Tomb {
    Arc::new(move |line| Ok(tombstone(line, erasure)))
}

fn erasure() -> Uuid {
    Uuid::from_u128(0xe)
}

async fn found(bench: &dyn Bench, filter: Filter) -> Vec<Line> {
    bench.ledger().find(&filter, None, 10_000).await.unwrap().lines
}

/// The n-th entry of a user, chained.
fn of(kind: Kind, n: u64, user: &str) -> Line {
    line(kind, n.into(), &format!(r#","userId":"{user}","role":"R","model":"m"{}"#, link(7, n)))
}

async fn a_users_entries_become_tombstones(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let unchained = line(Kind::Audit, 6, &format!(r#","userId":"{USER}""#));
    let others =
        [of(Kind::Audit, 3, VIEWER), of(Kind::Usage, 4, VIEWER), line(Kind::Audit, 5, r#","action":"request""#)];
    let own = [of(Kind::Audit, 1, USER), of(Kind::Usage, 2, USER)];
    ledger.append(&[own.as_slice(), &others, std::slice::from_ref(&unchained)].concat()).await.unwrap();
    let erased = ledger.erase(USER, tomb(erasure())).await.unwrap();
    assert_eq!((erased.tombstones, erased.removed, erased.kept, erased.named, erased.why), (2, 1, 0, 0, None));
    let tombstones: Vec<Line> = own.iter().map(|line| tombstone(line, erasure()).unwrap()).collect();
    assert_eq!(found(bench, Filter { erased: Some(erasure()), ..Filter::default() }).await, tombstones);
    assert_eq!(found(bench, Filter::default()).await, [tombstones.as_slice(), &others].concat());
    assert_eq!(found(bench, Filter { user: Some(USER.into()), ..Filter::default() }).await, []);
    assert_eq!(found(bench, Filter { model: Some("m".into()), ..Filter::default() }).await, others[1..2]);
    assert_eq!(
        ledger.chain(Uuid::from_u128(7), Kind::Usage, 1, 9).await.unwrap().lines,
        [tombstones[1].clone(), others[1].clone()]
    );
    assert_eq!(ledger.erasures().await.unwrap(), [erasure()]);
    // What comes once more changes nothing: it is there.
    ledger.append(&own).await.unwrap();
    assert_eq!(found(bench, Filter::default()).await.len(), 5);
    let raw = bench.raw().await;
    assert!(raw.contains(VIEWER) && !raw.contains(USER), "{raw}");
}

/// Entries that name the user and are not the user's.
async fn what_others_did_is_counted_and_stays(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let path = format!(r#","userId":"{VIEWER}","details":{{"path":"/api/admin/users/{USER}"}}{}"#, link(7, 2));
    let changed = format!(r#","about":{{"changed":[{{"principal":{{"type":"user","id":"{USER}"}}}}]}}{}"#, link(7, 3));
    let others = [line(Kind::Audit, 2, &path), line(Kind::Audit, 3, &changed), of(Kind::Audit, 4, VIEWER)];
    ledger.append(&[&[of(Kind::Audit, 1, USER)], others.as_slice()].concat()).await.unwrap();
    let erased = ledger.erase(USER, tomb(erasure())).await.unwrap();
    assert_eq!((erased.tombstones, erased.named), (1, 2));
    let stays: Vec<Line> = found(bench, Filter::default()).await.into_iter().skip(1).collect();
    assert_eq!(stays, others);
    assert_eq!(ledger.erase(VIEWER, tomb(Uuid::from_u128(0xf))).await.unwrap().named, 0);
}

async fn many_entries_are_erased_in_steps(bench: &dyn Bench) {
    let ledger = bench.ledger();
    // All at the same moment, so that pages end within it.
    let appended: Vec<Line> = (1..=1_000_u64)
        .map(|n| {
            let (id, at) = (Uuid::from_u128(n.into()), time(1));
            let user = if n % 5 == 0 { VIEWER } else { USER };
            let text = format!(r#"{{"kind":"usage","_id":"{id}","timestamp":"{at}","userId":"{user}"{}}}"#, link(7, n));
            Line::read(&text).unwrap()
        })
        .collect();
    ledger.append(&appended).await.unwrap();
    assert_eq!(ledger.erase(USER, tomb(erasure())).await.unwrap().tombstones, 800);
    let chain = ledger.chain(Uuid::from_u128(7), Kind::Usage, 1, 2_000).await.unwrap().lines;
    assert_eq!(chain.iter().filter(|line| line.text.contains(VIEWER)).count(), 200);
    assert_eq!(chain.iter().filter(|line| line.text.contains("erased")).count(), 800);
    assert_eq!(ledger.erase(USER, tomb(Uuid::from_u128(0xf))).await.unwrap().tombstones, 0, "nothing is left");
    assert_eq!(ledger.erasures().await.unwrap(), [erasure()]);
}

async fn what_broke_off_is_begun_again(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let appended: Vec<Line> = (1..=500).map(|n| of(Kind::Audit, n, USER)).collect();
    ledger.append(&appended).await.unwrap();
    // The maker of tombstones gives up in the middle of the second step, as a crash would.
    let breaks: Tomb = Arc::new(|line| match line.id.as_u128() {
        300.. => panic!("broke off"),
        _ => Ok(tombstone(line, erasure())),
    });
    let broken = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(ledger.erase(USER, breaks))).await;
    assert!(!matches!(broken, Ok(Ok(_))), "it broke off");
    let half = found(bench, Filter { erased: Some(erasure()), ..Filter::default() }).await.len();
    assert!(half > 0 && half < 300, "{half}");
    let rest = ledger.erase(USER, tomb(erasure())).await.unwrap();
    assert_eq!(rest.tombstones + half as u64, 500);
    let expected: Vec<Line> = appended.iter().map(|line| tombstone(line, erasure()).unwrap()).collect();
    assert_eq!(found(bench, Filter { erased: Some(erasure()), ..Filter::default() }).await, expected);
}

async fn an_entry_that_may_not_be_erased_stays(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let appended: Vec<Line> = (1..=450).map(|n| of(Kind::Usage, n, USER)).collect();
    ledger.append(&appended).await.unwrap();
    let changed: BTreeSet<u128> = [3, 200, 201].into();
    let careful: Tomb = Arc::new(move |line| match changed.contains(&line.id.as_u128()) {
        true => Err(format!("entry {} was changed", line.id)),
        false => Ok(tombstone(line, erasure())),
    });
    let erased = ledger.erase(USER, careful).await.unwrap();
    assert_eq!((erased.tombstones, erased.kept), (447, 3));
    assert_eq!(erased.why, Some(format!("entry {} was changed", Uuid::from_u128(3))));
    let left = found(bench, Filter { user: Some(USER.into()), ..Filter::default() }).await;
    assert_eq!(left, [2, 199, 200].map(|n| appended[n].clone()));
}

async fn the_name_goes_out_of_the_sums(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let charges = |user: &str| {
        ["tpm:tokens:user", "balance:user"].map(|of| spent(&format!("{of}:{user}@day.1"), 5, time(0), time(9))).to_vec()
    };
    let mut own =
        settled(1, time(1), [charges(USER), vec![spent("all:tokens:global@day.1", 5, time(0), time(9))]].concat());
    let mut other = settled(2, time(1), charges(VIEWER));
    for (entry, user) in [(&mut own, USER), (&mut other, VIEWER)] {
        let tollgate::record::Entry::Usage(usage) = entry else { panic!("a turn") };
        usage.user_id = user.into();
    }
    ledger.append(&crate::bench::entries::lines(&[own, other])).await.unwrap();
    let days_of = span("2027-01-15", "2027-01-15");
    assert_eq!(days(ledger, &days_of).await.len(), 2);
    let erased = ledger.erase(USER, tomb(erasure())).await.unwrap();
    assert_eq!((erased.removed, erased.days), (1, 1));
    let told = days(ledger, &days_of).await;
    let users: BTreeSet<&str> = told.iter().map(|day| &*day.user_id).collect();
    assert_eq!((told.len(), users), (2, [ERASED, VIEWER].into()));
    let calls: Vec<u64> = told.iter().map(|day| day.api_calls).collect();
    assert_eq!(calls, [1, 1], "what was used is still told");
    let counters: Vec<Box<str>> = ledger.charged(time(2)).await.unwrap().into_iter().map(|draw| draw.counter).collect();
    assert!(counters.iter().any(|counter| counter.contains(VIEWER)), "{counters:?}");
    assert!(!counters.iter().any(|counter| counter.contains(USER)), "{counters:?}");
    // Erasing another one of the same day keeps both apart, and both nameless.
    ledger.erase(VIEWER, tomb(erasure())).await.unwrap();
    let told = days(ledger, &days_of).await;
    assert_eq!(told.iter().map(|day| &*day.user_id).collect::<Vec<_>>(), [ERASED, ERASED]);
    let raw = bench.raw().await;
    assert!(!raw.contains(USER) && !raw.contains(VIEWER), "{raw}");
}
