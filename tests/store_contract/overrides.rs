//! Overrides: what was put is there, nobody overwrites what they have not seen, and every change is seen from outside.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tollgate::policy::overrides::{Kind, Principal};
use tollgate::store::overrides::{Expected, Mark, Override, Unchanged};

use crate::bench::{ADMIN, Bench, USER};

for_each_store![
    what_was_put_comes_back_whole,
    versions_only_grow_and_none_is_given_twice,
    only_what_is_expected_is_replaced_or_removed,
    of_two_at_once_one_makes_it,
    every_change_looks_different,
    what_somebody_nests_too_deep_or_makes_too_large_is_not_read_and_can_be_removed,
];

fn members(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// A document that has not been put yet.
fn document(kind: Kind, id: &str) -> Override {
    Override {
        principal: Principal { kind, id: id.into() },
        priority: kind.priority(),
        overrides: members(json!({"limits": {"user-day": {"tokens": "1M"}}})),
        is_active: true,
        config_version: 0,
        updated_at: "2026-11-22T09:00:00.123Z".parse().unwrap(),
        updated_by: None,
        note: None,
        expires_at: None,
    }
}

async fn put(bench: &dyn Bench, document: &Override, expected: Expected) -> Result<Override, Unchanged> {
    let version = bench.overrides().draw().await?;
    let document = Override { config_version: version, ..document.clone() };
    bench.overrides().put(&document, expected).await.map(|()| document)
}

async fn all(bench: &dyn Bench) -> Vec<Override> {
    bench.overrides().all().await.unwrap().into_iter().map(Result::unwrap).collect()
}

async fn mark(bench: &dyn Bench) -> Mark {
    bench.overrides().mark().await.unwrap()
}

async fn what_was_put_comes_back_whole(bench: &dyn Bench) {
    assert_eq!((all(bench).await, mark(bench).await), (vec![], Mark::default()));
    let full = Override {
        priority: -7,
        overrides: members(json!({
            "unrestricted": false,
            "endpoints": {"openAI": {"models": ["o1*", "gpt-4o"], "deny": null}, "custom": {"My.Room $1": null}},
            "limits": [{"id": "x", "requests": 9_000_000_000_i64, "per": "user", "window": "1m", "warn_at": 50}],
        })),
        is_active: false,
        updated_by: Some("cli".into()),
        note: Some("why \u{1F600}".into()),
        expires_at: Some("2026-12-31T23:00:00Z".parse().unwrap()),
        ..document(Kind::User, USER)
    };
    let full = put(bench, &full, Expected::None).await.unwrap();
    let plain = put(bench, &document(Kind::Role, "USER"), Expected::None).await.unwrap();
    let group = put(bench, &document(Kind::Group, "lab group"), Expected::None).await.unwrap();
    let found = all(bench).await;
    assert_eq!(found.iter().map(Override::text).collect::<Vec<_>>(), [plain.text(), group.text(), full.text()]);
    let bare = |of: &Override| Override { overrides: Map::new(), ..of.clone() };
    assert_eq!(
        found.iter().map(bare).collect::<Vec<_>>(),
        [bare(&plain), bare(&group), bare(&full)],
        "kinds in their order"
    );
    let moment: Timestamp = "2026-11-22T09:00:00.123Z".parse().unwrap();
    assert!(found.iter().all(|document| document.updated_at == moment));
}

async fn versions_only_grow_and_none_is_given_twice(bench: &dyn Bench) {
    let store = bench.overrides();
    let drawn = futures_util::future::join_all((0..20).map(|_| store.draw())).await;
    let drawn: BTreeSet<u64> = drawn.into_iter().map(Result::unwrap).collect();
    assert_eq!(drawn.len(), 20);
    let next = store.draw().await.unwrap();
    assert!(drawn.iter().all(|earlier| *earlier < next), "{drawn:?} {next}");
}

async fn only_what_is_expected_is_replaced_or_removed(bench: &dyn Bench) {
    let first = put(bench, &document(Kind::Group, "staff"), Expected::None).await.unwrap();
    let other = Override { priority: 9, ..first.clone() };
    for wrong in [Expected::None, Expected::Version(first.config_version + 1)] {
        assert!(matches!(put(bench, &other, wrong).await, Err(Unchanged::Overtaken)), "{wrong:?}");
    }
    let absent = put(bench, &document(Kind::User, ADMIN), Expected::Version(first.config_version)).await;
    assert!(matches!(absent, Err(Unchanged::Overtaken)), "what is not there is not changed");
    assert_eq!(all(bench).await, std::slice::from_ref(&first));
    let second = put(bench, &other, Expected::Version(first.config_version)).await.unwrap();
    assert_eq!(all(bench).await, std::slice::from_ref(&second));
    let of = &second.principal;
    let removed = bench.overrides().remove(of, first.config_version).await;
    assert!(matches!(removed, Err(Unchanged::Overtaken)));
    bench.overrides().remove(of, second.config_version).await.unwrap();
    assert!(matches!(bench.overrides().remove(of, second.config_version).await, Err(Unchanged::Overtaken)));
    assert_eq!(all(bench).await, []);
}

async fn of_two_at_once_one_makes_it(bench: &dyn Bench) {
    for round in 0..10 {
        let document = document(Kind::Group, &format!("group-{round}"));
        let at_once = (0..4).map(|_| put(bench, &document, Expected::None));
        let done = futures_util::future::join_all(at_once).await;
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "round {round}: {done:?}");
        let version = done.into_iter().find_map(Result::ok).unwrap().config_version;
        let at_once = (0..4).map(|_| put(bench, &document, Expected::Version(version)));
        let done = futures_util::future::join_all(at_once).await;
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "round {round}: {done:?}");
    }
}

async fn every_change_looks_different(bench: &dyn Bench) {
    let mut seen = vec![mark(bench).await];
    let mut differs = |what: &str, mark: Mark| {
        assert_ne!(seen.last(), Some(&mark), "{what}");
        seen.push(mark);
    };
    let first = put(bench, &document(Kind::Group, "staff"), Expected::None).await.unwrap();
    differs("one more", mark(bench).await);
    let off = Override { is_active: false, ..first.clone() };
    let off = put(bench, &off, Expected::Version(first.config_version)).await.unwrap();
    differs("switched off", mark(bench).await);
    // A writer who was slow: what was drawn earlier is written later.
    let slow = bench.overrides().draw().await.unwrap();
    let quick = put(bench, &document(Kind::Role, "USER"), Expected::None).await.unwrap();
    differs("the quick one", mark(bench).await);
    let late = Override { config_version: slow, ..off.clone() };
    bench.overrides().put(&late, Expected::Version(off.config_version)).await.unwrap();
    differs("the slow one", mark(bench).await);
    bench.overrides().remove(&quick.principal, quick.config_version).await.unwrap();
    differs("one less", mark(bench).await);
    put(bench, &quick, Expected::None).await.unwrap();
    differs("another in its place", mark(bench).await);
}

async fn what_somebody_nests_too_deep_or_makes_too_large_is_not_read_and_can_be_removed(bench: &dyn Bench) {
    let good = put(bench, &document(Kind::Group, "staff"), Expected::None).await.unwrap();
    let ids = ["6b012e4109cc968f8a928b01", "6b012e4109cc968f8a928b02", "6b012e4109cc968f8a928b03", USER, ADMIN];
    // As deep as MongoDB stores them; as deep as can be written; one deeper; of one text that is too long, and much too long.
    for (id, (depth, bytes)) in ids.into_iter().zip([(95, 1), (32, 1), (33, 1), (1, 70_000), (1, 9_000_000)]) {
        bench.write_override(id, depth, bytes).await;
    }
    let (read, unread): (Vec<_>, Vec<_>) = bench.overrides().all().await.unwrap().into_iter().partition(Result::is_ok);
    let read: Vec<_> = read.into_iter().map(|document| document.unwrap().principal.to_string()).collect();
    assert_eq!(read, [good.principal.to_string(), format!("user {}", ids[1])]);
    let mut unread: Vec<_> = unread.into_iter().map(Result::unwrap_err).collect();
    unread.sort_by(|one, other| one.of.cmp(&other.of));
    let told: Vec<_> = unread.iter().map(|of| (of.of.clone().unwrap().to_string(), of.is_active)).collect();
    let expected = [ids[0], ids[2], ids[4], ids[3]].map(|id| (format!("user {id}"), false));
    assert_eq!(told, expected);
    for (of, why) in unread.iter().zip(["more than 32 mappings", "more than 32 mappings", " bytes", " bytes"]) {
        assert!(of.why.contains(why) && of.why.len() < 100, "{of}");
    }
    for of in unread {
        assert_eq!(bench.overrides().clear(&of.of.unwrap()).await.unwrap(), 1);
    }
    // Somebody's id in capitals is theirs all the same.
    bench.write_override("6B012E4109CC968F8A928B04", 33, 1).await;
    let of = Principal { kind: Kind::User, id: "6b012e4109cc968f8a928b04".into() };
    assert_eq!(bench.overrides().clear(&of).await.unwrap(), 1);
    assert!(bench.overrides().all().await.unwrap().iter().all(Result::is_ok));
}
