//! The sums by user and day: what each store makes of the same entries, whoever appends them and however often.

use jiff::Timestamp;
use jiff::civil::Date;
use tollgate::record::entry::Usd;
use tollgate::record::{Kind, Line};
use tollgate::store::ledger::{DayModel, DayTokens, ResponseTime};
use tollgate::store::{Daily, DayRow, Days, ERASED, Ledger, Span, Unread};
use uuid::Uuid;

use crate::bench::Bench;
use crate::bench::entries::{lines, refusal};

for_each_store![
    a_day_adds_up_what_its_turns_say,
    days_are_those_of_utc_and_come_in_order,
    appending_again_adds_nothing,
    random_turns_add_up_to_what_they_say,
    sums_stay_when_their_entries_have_gone,
    sums_that_cannot_be_read_hide_no_others_and_keep_no_entry_out,
    all_sums_are_inspected_and_fit_themselves,
];

/// The n-th turn, at this time, with these members.
pub(crate) fn turn(n: u128, at: &str, members: &str) -> Line {
    let id = Uuid::from_u128(n);
    Line::read(&format!(r#"{{"kind":"usage","_id":"{id}","timestamp":"{at}",{members}}}"#)).unwrap()
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn span(from: &str, to: &str) -> Span {
    Span { from: date(from), to: date(to), user: None, role: None }
}

/// Adds up all there is, and tells the days.
pub(crate) async fn days(ledger: &dyn Ledger, span: &Span) -> Vec<Daily> {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    while ledger.add_up(now).await.unwrap() {}
    let Days { days, unread, next } = ledger.days(span, None, 10_000).await.unwrap();
    assert_eq!((unread, next), (vec![], None));
    days
}

const NOON: &str = "2026-11-21T12:00:00.000001Z";

async fn a_day_adds_up_what_its_turns_say(bench: &dyn Bench) {
    let runs = r#""runs":[{"endpoint":"b","model":"y","tokens":{"input":1,"cachedInput":0,"cacheWrite":0,"output":2}},
        {"endpoint":"a","model":"x","tokens":{"input":1,"cachedInput":2,"cacheWrite":3,"output":4},"cost":"0.5"}]"#
        .replace('\n', "");
    let tokens = r#""tokens":{"input":2,"cachedInput":10,"cacheWrite":100,"output":1000}"#;
    let of = r#""userId":"ann","endpoint":"a","model":"x""#;
    bench
        .ledger()
        .append(&[
            turn(
                1,
                NOON,
                &format!(r#"{of},"role":"ADMIN","outcome":"started","time":2.5,{tokens},"cost":"0.25",{runs}"#),
            ),
            turn(2, "2026-11-21T23:59:59.9Z", &format!(r#"{of},"role":"USER","outcome":"refused","time":0.5"#)),
            turn(
                3,
                "2026-11-21T00:00:00Z",
                &format!(r#"{of},"role":"PRO","outcome":"failed","time":9.0,"cost":"0.000000000001""#),
            ),
            turn(
                4,
                NOON,
                &format!(
                    r#"{of},"role":"PRO","outcome":"abandoned","time":0.0,"tokens":{{"input":"9223372036854775808"}}"#
                ),
            ),
        ])
        .await
        .unwrap();
    bench.ledger().append(&lines(&[refusal(5)])).await.unwrap();
    let told = days(bench.ledger(), &span("2026-11-20", "2026-11-22")).await;
    let model = |endpoint: &str, model: &str, count, (input, cached, output), cost: Option<u64>| DayModel {
        endpoint: endpoint.into(),
        model: model.into(),
        count,
        tokens: DayTokens { input, cached, output, total: input + output },
        cost: cost.map(Usd),
    };
    let large = 1 << 63;
    let expected = Daily {
        key: told[0].key.clone(),
        user_id: "ann".into(),
        day: date("2026-11-21"),
        role: "USER".into(),
        message_count: 1,
        token_usage: DayTokens { input: large + 112, cached: 10, output: 1000, total: large + 1112 },
        model_usage: vec![
            model("a", "x", 4, (large + 6, 2, 4), Some(500_000_000_001)),
            model("b", "y", 1, (1, 0, 2), None),
        ],
        cost: Some(Usd(250_000_000_001)),
        api_calls: 4,
        errors: 2,
        response_time: ResponseTime { avg: 3.0, min: 0.0, max: 9.0 },
    };
    // More than 63 bits is the most that a number of MongoDB's holds.
    let narrow = |mut daily: Daily| {
        let short = |tokens: &mut DayTokens| {
            for number in [&mut tokens.input, &mut tokens.output, &mut tokens.total] {
                *number = (*number).min(i64::MAX as u64);
            }
        };
        short(&mut daily.token_usage);
        daily.model_usage.iter_mut().for_each(|used| short(&mut used.tokens));
        daily
    };
    assert_eq!(told.into_iter().map(narrow).collect::<Vec<_>>(), [narrow(expected)]);
}

async fn days_are_those_of_utc_and_come_in_order(bench: &dyn Bench) {
    let of = |user: &str, role: &str| format!(r#""userId":"{user}","role":"{role}","outcome":"started","time":1.0"#);
    bench
        .ledger()
        .append(&[
            turn(1, "2026-11-20T23:59:59.999999999Z", &of("bob", "USER")),
            turn(2, "2026-11-21T00:00:00Z", &of("bob", "USER")),
            turn(3, "2026-11-21T01:00:00Z", &of("ann", "PRO")),
            turn(4, "2026-11-21T02:00:00Z", &of("$x|.y", "USER")),
            turn(5, "2026-12-01T00:00:00Z", &of("ann", "USER")),
        ])
        .await
        .unwrap();
    let ledger = bench.ledger();
    let all = days(ledger, &span("2026-01-01", "2026-12-31")).await;
    let told = |days: &[Daily]| days.iter().map(|day| format!("{} {}", day.day, day.user_id)).collect::<Vec<_>>();
    let expected = ["2026-11-20 bob", "2026-11-21 $x|.y", "2026-11-21 ann", "2026-11-21 bob", "2026-12-01 ann"];
    assert_eq!(told(&all), expected);
    assert_eq!(told(&days(ledger, &span("2026-11-21", "2026-11-21")).await), expected[1..4]);
    assert_eq!(told(&days(ledger, &span("2026-11-22", "2026-11-30")).await), [] as [&str; 0]);
    let of_ann = Span { user: Some("ann".into()), ..span("2026-01-01", "2026-12-31") };
    assert_eq!(told(&days(ledger, &of_ann).await), [expected[2], expected[4]]);
    let of_pro = Span { role: Some("PRO".into()), ..span("2026-01-01", "2026-12-31") };
    assert_eq!(told(&days(ledger, &of_pro).await), [expected[2]]);
    let (mut paged, mut after) = (Vec::new(), None::<Box<str>>);
    loop {
        let page = ledger.days(&span("2026-01-01", "2026-12-31"), after.as_deref(), 2).await.unwrap();
        paged.extend(page.days);
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(paged, all);
}

async fn appending_again_adds_nothing(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let of = r#""userId":"ann","role":"USER","outcome":"started","time":1.0,"tokens":{"input":5}"#;
    let appended: Vec<Line> = (0..5).map(|n| turn(n, NOON, of)).collect();
    ledger.append(&appended[..3]).await.unwrap();
    let first = days(ledger, &span("2026-11-21", "2026-11-21")).await;
    ledger.append(&appended[..3]).await.unwrap();
    assert_eq!(days(ledger, &span("2026-11-21", "2026-11-21")).await, first);
    ledger.append(&appended).await.unwrap();
    ledger.append(&[appended.clone(), appended].concat()).await.unwrap();
    let told = days(ledger, &span("2026-11-21", "2026-11-21")).await;
    assert_eq!((told.len(), told[0].api_calls, told[0].token_usage.input), (1, 5, 25));
}

async fn random_turns_add_up_to_what_they_say(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let mut chance = 1_u64;
    let mut below = |most: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % most
    };
    let mut expected = std::collections::BTreeMap::<(u64, u64), (u64, u64, u64, f64)>::new();
    let mut appended = Vec::new();
    for n in 0..2_000_u64 {
        let (day, user, input, cost, time) =
            (below(4), below(30), below(1_000), below(1_000_000_000_000), below(4_000));
        let sum = expected.entry((day, user)).or_default();
        *sum = (sum.0 + 1, sum.1 + input, sum.2 + cost, sum.3.max(time as f64 / 4.0));
        let time = time as f64 / 4.0;
        let members = format!(
            r#""userId":"u{user:02}","role":"USER","endpoint":"e","model":"m{}","outcome":"started","time":{time:?},"tokens":{{"input":{input}}},"cost":"{}""#,
            below(3),
            Usd(cost)
        );
        appended.push(turn(n.into(), &format!("2026-11-2{}T0{}:00:00Z", day + 1, below(10)), &members));
        if appended.len() > 300 || n == 1_999 {
            ledger.append(&appended).await.unwrap();
            // A part comes again with the next batch.
            let keep = below(20) as usize;
            appended.truncate(keep);
            if below(2) == 0 {
                days(ledger, &span("2026-11-21", "2026-11-24")).await;
            }
        }
    }
    let told = days(ledger, &span("2026-11-21", "2026-11-24")).await;
    assert_eq!(told.len(), expected.len());
    for ((day, user), (calls, input, cost, longest)) in expected {
        let of = |daily: &&Daily| {
            *daily.user_id == *format!("u{user:02}") && daily.day == date(&format!("2026-11-2{}", day + 1))
        };
        let daily = told.iter().find(of).unwrap();
        assert_eq!((daily.api_calls, daily.message_count, daily.token_usage.input), (calls, calls, input));
        assert_eq!((daily.cost, daily.response_time.max), (Some(Usd(cost)), longest));
        let of_models = daily.model_usage.iter().map(|used| (used.count, used.cost.unwrap().0));
        assert_eq!(of_models.fold((0, 0), |sum, used| (sum.0 + used.0, sum.1 + used.1)), (calls, cost));
    }
}

async fn sums_stay_when_their_entries_have_gone(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let of = r#""userId":"ann","role":"USER","outcome":"started","time":1.0"#;
    ledger.append(&(0..5).map(|n| turn(n, NOON, of)).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(days(ledger, &span("2026-11-21", "2026-11-21")).await[0].api_calls, 5);
    bench.lose_entries().await;
    // An entry that was held up: what is left counts fewer.
    ledger.append(&[turn(9, NOON, of)]).await.unwrap();
    let told = days(ledger, &span("2026-11-21", "2026-11-21")).await;
    assert!(told.len() == 1 && told[0].api_calls >= 5, "{told:?}");
    assert_ne!(&*told[0].user_id, ERASED);
    assert_eq!(
        ledger
            .find(&tollgate::store::Filter { kinds: vec![Kind::Usage], ..Default::default() }, None, 9)
            .await
            .unwrap()
            .lines
            .len(),
        1
    );
}

async fn sums_that_cannot_be_read_hide_no_others_and_keep_no_entry_out(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let of = |user: &str| {
        format!(r#""userId":"{user}","role":"USER","outcome":"started","time":1.0,"tokens":{{"input":5}}"#)
    };
    let day = span("2026-11-20", "2026-11-30");
    ledger
        .append(&(0..9).map(|n| turn(n, NOON, &of(["ann", "bob", "eve"][n as usize % 3]))).collect::<Vec<_>>())
        .await
        .unwrap();
    let before = days(ledger, &day).await;
    assert_eq!(before.len(), 3);
    bench.spoil_day("2026-11-21|bob").await;
    let Days { days: left, unread, .. } = ledger.days(&day, None, 10).await.unwrap();
    assert_eq!(left, [before[0].clone(), before[2].clone()]);
    assert!(matches!(&unread[..], [Unread { name, .. }] if name.contains("2026-11-21|bob")), "{unread:?}");
    // Pages go on behind it.
    let page = ledger.days(&day, Some("2026-11-21|ann"), 1).await.unwrap();
    assert_eq!((page.days.len(), page.unread.len(), page.next.as_deref()), (0, 1, Some("2026-11-21|bob")));
    let rows = ledger.inspect_days(None).await.unwrap().rows;
    assert_eq!(
        rows.iter()
            .filter(|row| matches!(row, DayRow::Unread(unread) if unread.name.contains("2026-11-21|bob")))
            .count(),
        1
    );
    // The next entry is taken, and the sums are made anew from all of them.
    ledger.append(&[turn(10, NOON, &of("bob"))]).await.unwrap();
    let mended = days(ledger, &day).await;
    assert_eq!((&mended[0], &mended[2]), (&before[0], &before[2]));
    assert_eq!((mended[1].api_calls, mended[1].token_usage.input, mended[1].day), (4, 20, before[1].day));
}

async fn all_sums_are_inspected_and_fit_themselves(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let of = |n: u32| format!(r#""userId":"u{n:04}","role":"USER","outcome":"started","time":1.0"#);
    // More than a page has.
    ledger.append(&(0..2_100).map(|n| turn(n.into(), NOON, &of(n))).collect::<Vec<_>>()).await.unwrap();
    let told = days(ledger, &span("2026-11-21", "2026-11-21")).await;
    ledger.erase("u0007", std::sync::Arc::new(|_| Ok(None))).await.unwrap();
    let (mut seen, mut erased, mut after) = (std::collections::BTreeSet::new(), 0, None);
    loop {
        let page = ledger.inspect_days(after.as_ref()).await.unwrap();
        for row in page.rows {
            let DayRow::Day { daily, differs } = row else { panic!("{row:?}") };
            assert_eq!(differs, [] as [&str; 0], "{daily:?}");
            erased += usize::from(&*daily.user_id == ERASED);
            assert!(seen.insert(daily.key));
        }
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!((told.len(), seen.len(), erased), (2_100, 2_100, 1));
}
