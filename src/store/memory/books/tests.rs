//! What the contract suite of all stores does not see: that the books do not grow for ever.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn draw(counter: String, measure: Measure) -> Draw {
    Draw { counter: counter.into(), measure, amount: 1, ceiling: 10 }
}

#[test]
fn what_nobody_can_ask_about_is_forgotten() {
    let mut books = Books::default();
    books.apply(Change::Rebuild { at: at(0), known: vec![], fence: Duration::ZERO });
    let day = 24 * 60 * 60;
    let mut most = 0;
    for n in 0..60_000_i64 {
        let now = at(n * 60);
        let window = n * 60 / day;
        let spend = Measure::Spend { from: at(window * day), until: at((window + 1) * day) };
        let draws = [
            draw(format!("day {window} of {}", n % 20), spend),
            draw(format!("minute of {n}"), Measure::Rate { window: Duration::from_secs(60) }),
            draw(format!("open of {n}"), Measure::Open),
        ];
        let (Answer::Taken { hold, .. }, true) =
            books.weigh(&draws, Uuid::from_u128(n as u128), Duration::from_secs(600), now)
        else {
            // Twenty people have ten a day; the rest of the day is refused.
            continue;
        };
        books.apply(Change::Take(hold.clone()));
        if n % 3 > 0 {
            books.apply(Change::End { at: now, hold, used: (n % 3 == 1).then(|| vec![1, 1, 1]) });
        }
        most = most.max(books.counters.len() + books.holds.len());
    }
    assert!(most <= 2 * WORTH_SWEEPING + 4, "{most}");
    books.sweep(at(60_000 * 60 + 4 * day));
    assert_eq!((books.counters.len(), books.holds.len()), (0, 0));
    assert!(books.counts());
}

#[test]
fn a_bucket_is_kept_until_it_has_leaked() {
    let mut books = Books::default();
    books.apply(Change::Rebuild { at: at(0), known: vec![], fence: Duration::ZERO });
    let day = Duration::from_secs(24 * 60 * 60);
    let draws = [Draw { amount: 10, ..draw("month".into(), Measure::Rate { window: 30 * day }) }];
    let (Answer::Taken { hold, .. }, true) = books.weigh(&draws, Uuid::nil(), day, at(0)) else { panic!("not taken") };
    books.apply(Change::Take(hold.clone()));
    // More was used than the ceiling allows: 20 of 10, which take 60 days to leak.
    books.apply(Change::End { at: at(0), hold, used: Some(vec![20]) });
    let days = |days: i64| at(days * 24 * 60 * 60);
    books.sweep(days(59));
    assert_eq!(
        books.standing(&draws[0], days(59)).used(&draws[0]).used,
        1,
        "a third of a unit is left, and a begun one counts"
    );
    books.sweep(days(63));
    assert_eq!(books.counters.len(), 0);
}

#[test]
fn a_clock_that_goes_back_fences_nothing_off() {
    let mut books = Books::default();
    books.apply(Change::Rebuild { at: at(7_200), known: vec![], fence: 2 * LONGEST_FENCE });
    let open = |second| books.is_open(at(second));
    assert_eq!([7_200, 7_259, 7_260, 9_000].map(open), [false, false, true, true], "not longer than any fence");
    assert_eq!([0, 3_600, 7_199].map(open), [true; 3], "before it began");
}
