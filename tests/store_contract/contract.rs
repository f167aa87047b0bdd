//! The checks, and one test for each check and store.

use tollgate::record::Entry;
use tollgate::store::{Holder, Person, Subject};

use crate::bench::entries::{lines, refusal, turn};
use crate::bench::{ADMIN, Bench, USER, VIEWER};

for_each_store![
    people_are_known_by_their_id,
    nobody_has_an_unknown_id,
    nobody_has_an_id_of_another_form,
    a_change_of_role_is_seen_by_the_next_look_up,
    a_person_may_have_no_role_and_no_address,
    a_person_who_left_is_nobody,
    groups_come_and_go,
    accounts_are_found_by_issuer_and_subject,
    accounts_are_found_by_nothing_less,
    whose_account_it_is_can_change,
    a_ping_is_answered,
    appending_nothing_is_fine,
    entries_are_kept_in_order,
    appending_again_changes_nothing,
    a_large_batch_is_kept_whole,
];

async fn people_are_known_by_their_id(bench: &dyn Bench) {
    let person = |id: &str, email: &str, role: &str, groups: &[&str]| Person {
        id: id.into(),
        email: Some(email.into()),
        role: Some(role.into()),
        groups: groups.iter().map(|group| Box::from(*group)).collect(),
    };
    let directory = bench.directory();
    let expected = [
        person(USER, "user@lab.test", "USER", &["lab-group"]),
        person(ADMIN, "admin@lab.test", "ADMIN", &[]),
        person(VIEWER, "viewer@lab.test", "USER", &[]),
    ];
    for person in expected {
        assert_eq!(directory.person(&person.id).await.unwrap(), Some(person));
    }
}

async fn nobody_has_an_unknown_id(bench: &dyn Bench) {
    for id in ["000000000000000000000000", "ffffffffffffffffffffffff", "6b012e4109cc968f8a928bcf"] {
        assert_eq!(bench.directory().person(id).await.unwrap(), None, "{id}");
    }
}

async fn nobody_has_an_id_of_another_form(bench: &dyn Bench) {
    let longer = format!("{USER}0");
    let spaced = format!(" {USER}");
    let ids = [
        "",
        USER.split_at(1).1,
        &longer,
        &spaced,
        "6b012e4109cc968f8a928bcg",
        "twelve bytes",
        "$ne",
        "%",
        "user@lab.test",
    ];
    for id in ids {
        assert_eq!(bench.directory().person(id).await.unwrap(), None, "{id:?}");
    }
    // The same id in capitals is the same id: 12 bytes either way.
    let capitals = bench.directory().person(&USER.to_uppercase()).await.unwrap().unwrap();
    assert_eq!(&*capitals.id, USER);
}

async fn a_change_of_role_is_seen_by_the_next_look_up(bench: &dyn Bench) {
    for role in ["premium", "ADMIN", "USER"] {
        bench.change(USER, Some(role), Some("user@lab.test")).await;
        let person = bench.directory().person(USER).await.unwrap().unwrap();
        assert_eq!(person.role.as_deref(), Some(role));
    }
}

async fn a_person_may_have_no_role_and_no_address(bench: &dyn Bench) {
    bench.change(USER, None, None).await;
    let person = bench.directory().person(USER).await.unwrap().unwrap();
    assert_eq!((person.role, person.email), (None, None));
}

async fn a_person_who_left_is_nobody(bench: &dyn Bench) {
    bench.remove(USER).await;
    assert_eq!(bench.directory().person(USER).await.unwrap(), None);
}

async fn groups_come_and_go(bench: &dyn Bench) {
    bench.join(USER, "premium-openai").await;
    let person = bench.directory().person(USER).await.unwrap().unwrap();
    assert_eq!(person.groups, [Box::from("lab-group"), Box::from("premium-openai")]);
    bench.leave(USER, "lab-group").await;
    let person = bench.directory().person(USER).await.unwrap().unwrap();
    assert_eq!(person.groups, [Box::from("premium-openai")]);
}

const ISSUER: &str = "https://idp.lab.test/realms/lab";

fn subject(issuer: &str, id: &str) -> Subject {
    Subject { issuer: issuer.into(), id: id.into(), oid: None, email: None, home: true }
}

async fn accounts_are_found_by_issuer_and_subject(bench: &dyn Bench) {
    bench.link(USER, Some((ISSUER, "sub-1"))).await;
    bench.link(ADMIN, Some((ISSUER, "sub-2"))).await;
    bench.link(VIEWER, Some(("https://other.test", "sub-1"))).await;
    for (id, issuer, sub) in
        [(USER, ISSUER, "sub-1"), (ADMIN, ISSUER, "sub-2"), (VIEWER, "https://other.test", "sub-1")]
    {
        let person = bench.directory().person(id).await.unwrap().unwrap();
        assert_eq!(bench.directory().holder(&subject(issuer, sub)).await.unwrap(), Holder::Known(person), "{id}");
    }
}

async fn accounts_are_found_by_nothing_less(bench: &dyn Bench) {
    bench.link(USER, Some((ISSUER, "sub-1"))).await;
    let long = "s".repeat(255);
    for (issuer, sub) in [
        (ISSUER, "sub-2"),
        (ISSUER, "SUB-1"),
        (ISSUER, "sub-1 "),
        (ISSUER, ""),
        (ISSUER, "null"),
        (ISSUER, "$ne"),
        (ISSUER, r#"{"$ne": ""}"#),
        (ISSUER, "' OR 1=1 --"),
        (ISSUER, "user@lab.test"),
        (ISSUER, USER),
        (ISSUER, &long),
        ("https://other.test", "sub-1"),
        ("", "sub-1"),
    ] {
        let holder = bench.directory().holder(&subject(issuer, sub)).await.unwrap();
        assert_eq!(holder, Holder::Nobody, "{sub:?} of {issuer:?}");
    }
}

async fn whose_account_it_is_can_change(bench: &dyn Bench) {
    bench.link(USER, Some((ISSUER, "sub-1"))).await;
    bench.link(USER, None).await;
    assert_eq!(bench.directory().holder(&subject(ISSUER, "sub-1")).await.unwrap(), Holder::Nobody);
    bench.link(ADMIN, Some((ISSUER, "sub-1"))).await;
    bench.change(ADMIN, Some("premium"), Some("ann@lab.test")).await;
    bench.join(ADMIN, "lab-group").await;
    match bench.directory().holder(&subject(ISSUER, "sub-1")).await.unwrap() {
        Holder::Known(person) => {
            assert_eq!((&*person.id, person.role.as_deref()), (ADMIN, Some("premium")), "a change keeps the account");
            assert_eq!(person.groups, [Box::from("lab-group")]);
        }
        other => panic!("{other:?}"),
    }
    bench.remove(ADMIN).await;
    assert_eq!(bench.directory().holder(&subject(ISSUER, "sub-1")).await.unwrap(), Holder::Nobody);
}

async fn a_ping_is_answered(bench: &dyn Bench) {
    bench.directory().ping().await.unwrap();
}

async fn appending_nothing_is_fine(bench: &dyn Bench) {
    bench.ledger().append(&[]).await.unwrap();
    assert_eq!(bench.stored().await, (vec![], vec![]));
}

async fn entries_are_kept_in_order(bench: &dyn Bench) {
    let mixed: Vec<Entry> = (0..20).map(|n| if n % 2 == 0 { refusal(n) } else { turn(n) }).collect();
    let (first, second) = mixed.split_at(7);
    bench.ledger().append(&lines(first)).await.unwrap();
    bench.ledger().append(&lines(second)).await.unwrap();
    let (even, odd) = (0..20).partition(|n| n % 2 == 0);
    assert_eq!(bench.stored().await, (even, odd));
}

async fn appending_again_changes_nothing(bench: &dyn Bench) {
    let ledger = bench.ledger();
    ledger.append(&lines(&[refusal(1), turn(2), refusal(3)])).await.unwrap();
    ledger.append(&lines(&[refusal(1), turn(2), refusal(3)])).await.unwrap();
    // Repeats among new ones, and within one batch.
    ledger.append(&lines(&[refusal(0), refusal(1), turn(2), turn(4), turn(4), refusal(5)])).await.unwrap();
    assert_eq!(bench.stored().await, (vec![1, 3, 0, 5], vec![2, 4]));
}

async fn a_large_batch_is_kept_whole(bench: &dyn Bench) {
    let entries: Vec<Entry> = (0..3000).map(refusal).collect();
    bench.ledger().append(&lines(&entries)).await.unwrap();
    assert_eq!(bench.stored().await.0, (0..3000).collect::<Vec<_>>());
}
