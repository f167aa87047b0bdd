//! What was appended is found again: the same text, by what is asked for, in the order of time.

use jiff::Timestamp;
use tollgate::record::{Category, Decision, Kind, Line, Severity};
use tollgate::store::{Filter, Order, Place};
use uuid::Uuid;

use crate::bench::entries::{lines, poured, refusal, settled, spent, time, turn};
use crate::bench::{ADMIN, Bench, USER, VIEWER};

for_each_store![
    the_same_text_comes_back,
    a_line_of_another_version_comes_back,
    each_member_is_a_filter,
    what_is_asked_for_is_a_value_and_no_command,
    times_bound_what_is_found,
    pages_go_on_where_the_last_one_ended,
    chains_come_in_the_order_of_their_numbers,
    instances_are_those_of_all_kinds,
    a_line_that_is_no_entry_is_refused,
];

/// Every line that is there.
async fn all(bench: &dyn Bench, filter: &Filter) -> Vec<Line> {
    bench.ledger().find(filter, None, 10_000).await.unwrap().lines
}

/// A line of this kind with these members.
pub(crate) fn line(kind: Kind, n: u128, members: &str) -> Line {
    let (id, at) = (Uuid::from_u128(n), time(n));
    Line::read(&format!(r#"{{"kind":"{kind}","_id":"{id}","timestamp":"{at}"{members}}}"#)).unwrap()
}

/// The link at the end of a kept line.
pub(crate) fn link(instance: u128, seq: u64) -> String {
    let instance = Uuid::from_u128(instance);
    format!(
        r#","salt":"00ff","instance":"{instance}","seq":{seq},"prevHash":"{0:064x}","hash":"{1:064x}""#,
        seq - 1,
        seq
    )
}

async fn the_same_text_comes_back(bench: &dyn Bench) {
    let until = "2027-01-16T00:00:00.0000001Z".parse().unwrap();
    let charges = vec![spent("day", u64::MAX, Timestamp::MIN, until), poured("minute", 5, time(1), 60)];
    let mut appended = lines(&[refusal(1), turn(2), settled(3, time(9), charges)]);
    appended.push(line(
        Kind::Audit,
        4,
        &format!(r#","about":{{"n":1.50,"a.b":[1E300,{{"$set":null}}]}}{}"#, link(7, 1)),
    ));
    appended.push(line(
        Kind::Usage,
        5,
        &format!(r#","userId":"é\u0000\"","cost":"0.00000015","time":1E5{}"#, link(7, 1)),
    ));
    appended.push(line(Kind::Head, 6, r#","number":1,"audit":{"seq":1,"hash":"00"},"signature":"ab+/==","key":1"#));
    bench.ledger().append(&appended).await.unwrap();
    let kinds = vec![Kind::Head, Kind::Usage, Kind::Audit, Kind::Head];
    assert_eq!(all(bench, &Filter { kinds, ..Filter::default() }).await, appended);
}

async fn a_line_of_another_version_comes_back(bench: &dyn Bench) {
    // A usage entry that says less and more than ours, and an event, which has no decision.
    let appended = [
        line(Kind::Usage, 1, r#","userId":"ann","outcome":"thought","later":{"x":[]}"#),
        line(Kind::Audit, 2, r#","action":"tollgate.started","category":"SYSTEM","severity":"INFO","about":{}"#),
    ];
    bench.ledger().append(&appended).await.unwrap();
    assert_eq!(all(bench, &Filter::default()).await, appended);
}

/// Entries that differ in one member each, and what each is about.
fn various() -> Vec<Line> {
    let audit = |n, user: &str, role: &str, rest: &str| {
        line(Kind::Audit, n, &format!(r#","userId":"{user}","role":"{role}"{rest}"#))
    };
    vec![
        audit(
            1,
            USER,
            "USER",
            r#","groups":["a","b"],"action":"chat.turn","category":"SECURITY","severity":"WARNING","decision":"deny","metadata":{"endpoint":"openAI","model":"gpt-4o"}"#,
        ),
        audit(
            2,
            ADMIN,
            "ADMIN",
            r#","groups":["ab"],"action":"admin","category":"ADMIN","severity":"INFO","decision":"allow","metadata":{}"#,
        ),
        audit(
            3,
            USER,
            "PRO",
            r#","action":"chat.turn.more","category":"API","severity":"ERROR","decision":"shadow","metadata":{"endpoint":"azure","model":"gpt-4o"}"#,
        ),
        line(
            Kind::Usage,
            4,
            &format!(r#","userId":"{USER}","role":"USER","groups":["a"],"endpoint":"openAI","model":"gpt-4o""#),
        ),
        line(Kind::Usage, 5, &format!(r#","userId":"{VIEWER}","role":"USER","endpoint":"openAI","model":"o1""#)),
        line(Kind::Usage, 6, &format!(r#","erased":"{}","digest":"00""#, Uuid::from_u128(99))),
        line(Kind::Head, 7, r#","number":1"#),
    ]
}

async fn each_member_is_a_filter(bench: &dyn Bench) {
    bench.ledger().append(&various()).await.unwrap();
    let none = Filter::default;
    for (filter, expected) in [
        (none(), vec![1, 2, 3, 4, 5, 6]),
        (Filter { kinds: vec![Kind::Usage], ..none() }, vec![4, 5, 6]),
        (Filter { kinds: vec![Kind::Head], ..none() }, vec![7]),
        (Filter { kinds: vec![Kind::Head], user: Some(USER.into()), ..none() }, vec![]),
        (Filter { user: Some(USER.into()), ..none() }, vec![1, 3, 4]),
        (Filter { user: Some(USER.to_uppercase().into()), ..none() }, vec![]),
        (Filter { role: Some("USER".into()), ..none() }, vec![1, 4, 5]),
        (Filter { group: Some("a".into()), ..none() }, vec![1, 4]),
        (Filter { group: Some("ab".into()), ..none() }, vec![2]),
        (Filter { category: Some(Category::Security), ..none() }, vec![1]),
        (Filter { severity: Some(Severity::Error), ..none() }, vec![3]),
        (Filter { action: Some("chat.turn".into()), ..none() }, vec![1]),
        (Filter { decision: Some(Decision::Shadow), ..none() }, vec![3]),
        (Filter { endpoint: Some("openAI".into()), ..none() }, vec![1, 4, 5]),
        (Filter { model: Some("gpt-4o".into()), ..none() }, vec![1, 3, 4]),
        (Filter { model: Some("gpt-4o".into()), endpoint: Some("azure".into()), ..none() }, vec![3]),
        (Filter { erased: Some(Uuid::from_u128(99)), ..none() }, vec![6]),
        (Filter { erased: Some(Uuid::from_u128(98)), ..none() }, vec![]),
        (Filter { user: Some(USER.into()), order: Order::Newest, ..none() }, vec![4, 3, 1]),
    ] {
        let found: Vec<u128> = all(bench, &filter).await.iter().map(|line| line.id.as_u128()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

async fn what_is_asked_for_is_a_value_and_no_command(bench: &dyn Bench) {
    bench.ledger().append(&various()).await.unwrap();
    for odd in ["", "%", "*", "$ne", r#"{"$ne":""}"#, "' OR 1=1 --", "null", "/./", "_"] {
        let odd = || Some(Box::from(odd));
        let none = Filter::default;
        for filter in [
            Filter { user: odd(), ..none() },
            Filter { role: odd(), ..none() },
            Filter { group: odd(), ..none() },
            Filter { action: odd(), ..none() },
            Filter { endpoint: odd(), ..none() },
            Filter { model: odd(), ..none() },
        ] {
            assert_eq!(all(bench, &filter).await, [], "{filter:?}");
        }
    }
}

async fn times_bound_what_is_found(bench: &dyn Bench) {
    bench.ledger().append(&lines(&(1..6).map(turn).collect::<Vec<_>>())).await.unwrap();
    // Entries are 250 microseconds after the whole second: bounds are to the millisecond.
    let second = |n: i64, nanosecond| Some(Timestamp::new(1_800_000_000 + n, nanosecond).unwrap());
    for (since, until, expected) in [
        (second(2, 0), second(4, 0), vec![2, 3]),
        (second(2, 999_999), second(4, 999_999), vec![2, 3]),
        (second(2, 1_000_000), second(4, 1_000_000), vec![3, 4]),
        (None, second(2, 0), vec![1]),
        (second(5, 0), None, vec![5]),
        (second(4, 0), second(2, 0), vec![]),
    ] {
        let filter = Filter { since, until, ..Filter::default() };
        let found: Vec<u128> = all(bench, &filter).await.iter().map(|line| line.id.as_u128()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

async fn pages_go_on_where_the_last_one_ended(bench: &dyn Bench) {
    // Of both kinds, and many in the same millisecond.
    let appended: Vec<Line> = (0..60_u128)
        .map(|n| {
            let kind = if n % 3 == 0 { Kind::Audit } else { Kind::Usage };
            let (id, at) = (Uuid::from_u128((n * 37) % 61), time(n / 20));
            Line::read(&format!(r#"{{"kind":"{kind}","_id":"{id}","timestamp":"{at}","userId":"{USER}"}}"#)).unwrap()
        })
        .collect();
    bench.ledger().append(&appended).await.unwrap();
    for order in [Order::Oldest, Order::Newest] {
        let filter = Filter { user: Some(USER.into()), order, ..Filter::default() };
        let whole = all(bench, &filter).await;
        let mut expected = appended.clone();
        expected.sort_by_key(|line| (line.at, line.id));
        if order == Order::Newest {
            expected.reverse();
        }
        assert_eq!(whole, expected);
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = bench.ledger().find(&filter, after.as_ref(), 7).await.unwrap().lines;
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 7);
            after = Some(Place::of(last));
            paged.extend(page);
        }
        assert_eq!(paged, whole);
        assert_eq!(bench.ledger().find(&filter, None, 0).await.unwrap().lines, []);
    }
}

async fn chains_come_in_the_order_of_their_numbers(bench: &dyn Bench) {
    let [one, other] = [7, 8];
    let of = |kind, n: u128, instance, seq| line(kind, n, &link(instance, seq));
    let head =
        |n: u128, number| line(Kind::Head, n, &format!(r#","instance":"{}","number":{number}"#, Uuid::from_u128(one)));
    let appended = [
        of(Kind::Audit, 9, one, 2),
        of(Kind::Audit, 8, one, 10),
        of(Kind::Audit, 7, one, 1),
        of(Kind::Audit, 6, other, 1),
        of(Kind::Usage, 5, one, 1),
        of(Kind::Audit, 4, one, 2),
        head(3, 11),
        head(2, 2),
    ];
    bench.ledger().append(&appended).await.unwrap();
    bench.ledger().append(&lines(&[refusal(1)])).await.unwrap();
    let chain = async |kind, from, most| {
        let lines = bench.ledger().chain(Uuid::from_u128(one), kind, from, most).await.unwrap().lines;
        lines.iter().map(|line| line.id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(chain(Kind::Audit, 1, 9).await, [7, 9, 4, 8], "a number that is there twice comes twice");
    assert_eq!(chain(Kind::Audit, 2, 2).await, [9, 4]);
    assert_eq!(chain(Kind::Audit, 3, 9).await, [8]);
    assert_eq!(chain(Kind::Audit, u64::MAX, 9).await, [] as [u128; 0]);
    assert_eq!(chain(Kind::Usage, 0, 9).await, [5]);
    assert_eq!(chain(Kind::Head, 0, 9).await, [2, 3]);
    assert_eq!(bench.ledger().chain(Uuid::from_u128(1), Kind::Audit, 0, 9).await.unwrap().lines, []);
}

async fn instances_are_those_of_all_kinds(bench: &dyn Bench) {
    assert_eq!(bench.ledger().instances().await.unwrap(), [] as [Uuid; 0]);
    let mut appended: Vec<Line> = (1..5).map(|n| line(Kind::Audit, n.into(), &link(3, n))).collect();
    appended.push(line(Kind::Audit, 6, &link(9, 1)));
    appended.push(line(Kind::Usage, 7, &link(2, 1)));
    appended.push(line(Kind::Head, 8, &format!(r#","instance":"{}","number":1"#, Uuid::from_u128(5))));
    bench.ledger().append(&appended).await.unwrap();
    bench.ledger().append(&lines(&[refusal(20), turn(21)])).await.unwrap();
    assert_eq!(bench.ledger().instances().await.unwrap(), [2, 3, 5, 9].map(Uuid::from_u128));
}

async fn a_line_that_is_no_entry_is_refused(bench: &dyn Bench) {
    let good = line(Kind::Usage, 1, "");
    for text in ["", "{", "[]", "null", "{}x"] {
        let bad = Line { id: Uuid::from_u128(2), text: text.into(), ..good.clone() };
        let error = bench.ledger().append(&[bad, good.clone()]).await.unwrap_err();
        assert!(!error.transient, "{text}: {error}");
    }
    assert_eq!(all(bench, &Filter::default()).await, [], "and keeps out what came with it");
}
