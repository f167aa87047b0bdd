//! The checks, and one test for each check and store.

use jiff::ToSpan;
use tollgate::meter::plan;
use tollgate::policy::RuleId;
use tollgate::policy::charge::{Charge, Window};
use tollgate::store::counters::{LATE, LONGEST_HOLD, LONGEST_WINDOW, MOST_DRAWS, Settled, Vacated};

use super::*;

contract![
    nothing_is_counted_before_it_is_rebuilt,
    rebuilding_sets_and_never_adds,
    what_was_used_counts_and_not_what_was_held,
    a_hold_is_settled_once,
    a_release_gives_back_everything,
    an_expired_hold_gives_its_room_back_and_settles_late,
    a_step_is_all_or_nothing,
    a_step_repeated_takes_once,
    a_window_that_is_not_now_takes_nothing,
    an_edited_ceiling_keeps_its_use,
    open_turns_are_counted,
    a_rate_comes_back_steadily,
    a_rate_is_corrected_by_what_was_used,
    numbers_are_exact_to_the_last_bit,
    nothing_fits_under_a_ceiling_of_nothing,
    a_draw_of_nothing_fits_until_too_much_was_used,
    draws_that_make_no_sense_are_errors,
    names_are_names,
    any_number_of_holds_expires_at_once,
    what_counts_for_ever_is_spend_without_an_end,
    places_are_given_back_before_a_hold_is_settled,
    places_are_given_back_once,
    what_has_expired_or_was_never_taken_has_no_places,
];

fn is_now(settled: Settled) -> bool {
    matches!(settled, Settled::Now(_))
}

async fn nothing_is_counted_before_it_is_rebuilt(bench: &dyn Bench) {
    let (counters, draws) = (bench.counters(), [spend("a", 1, 10)]);
    assert_eq!(bench.answer(&draws).await, Answer::Lost);
    assert_eq!(counters.read(&draws).await.unwrap(), None);
    let at = "2026-11-21T15:47:04Z".parse().unwrap();
    let hold = Hold { id: Uuid::new_v4(), draws: draws.to_vec(), at, expires: "2099-01-01T00:00:00Z".parse().unwrap() };
    assert_eq!(counters.settle(&hold, &[3]).await.unwrap(), Settled::Lost);
    assert_eq!(counters.release(&hold).await.unwrap(), Settled::Lost);
    assert_eq!(counters.rebuild(&[]).await.unwrap(), Rebuilt::Now);
    assert_eq!(bench.used(&draws[0]).await, 0, "what was settled meanwhile has left no counter behind");
    assert!(is_now(counters.settle(&hold, &[3]).await.unwrap()));
    assert_eq!(bench.used(&draws[0]).await, 3);
}

async fn rebuilding_sets_and_never_adds(bench: &dyn Bench) {
    let day = LONGEST_WINDOW / 366;
    let known = [spend("a", 7, 0), rate("b", 5, 10, day), open("c", 3, 0), spend("d", u64::MAX, 0)];
    assert_eq!(bench.counters().rebuild(&known).await.unwrap(), Rebuilt::Now);
    let draws = [spend("a", 1, 10), rate("b", 1, 10, day), open("c", 1, 10), spend("d", 1, 10)];
    let used = |uses: Vec<Use>| uses.iter().map(|tally| tally.used).collect::<Vec<_>>();
    assert_eq!(used(bench.uses(&draws).await), [7, 5, 0, u64::MAX]);
    for _ in 0..2 {
        assert_eq!(bench.counters().rebuild(&known).await.unwrap(), Rebuilt::NotNeeded);
        assert_eq!(used(bench.uses(&draws).await), [7, 5, 0, u64::MAX]);
    }
    bench.taken(&draws[..3]).await;
    assert_eq!(used(bench.uses(&draws).await), [8, 6, 1, u64::MAX]);
}

async fn what_was_used_counts_and_not_what_was_held(bench: &dyn Bench) {
    bench.begin().await;
    let draw = spend("a", 60, 100);
    let hold = bench.taken(std::slice::from_ref(&draw)).await;
    assert_eq!(bench.used(&draw).await, 60);
    let lacks = bench.lacks(&[spend("a", 41, 100)]).await;
    assert_eq!((lacks[0].draw, lacks[0].left), (0, 40));
    assert_eq!(lacks[0].resets.unwrap().to_string(), "2100-01-01T00:00:00Z");
    assert!(is_now(bench.counters().settle(&hold, &[10]).await.unwrap()));
    assert_eq!(bench.used(&draw).await, 10);
    // More than was held, and more than the ceiling.
    let hold = bench.taken(std::slice::from_ref(&draw)).await;
    assert!(is_now(bench.counters().settle(&hold, &[500]).await.unwrap()));
    assert_eq!(bench.used(&draw).await, 510);
    assert_eq!(bench.lacks(&[draw]).await[0].left, 0);
}

async fn what_counts_for_ever_is_spend_without_an_end(bench: &dyn Bench) {
    bench.begin().await;
    let charge = Charge {
        key: "balance:user:1".into(),
        rule: RuleId::new("b"),
        window: Window::Always,
        amount: 60,
        ceiling: 100,
    };
    let draws = |at: &str| plan(std::slice::from_ref(&charge), at.parse().unwrap()).unwrap();
    let draw = draws("2026-11-21T15:47:04Z");
    assert_eq!(&*draw[0].counter, "balance:user:1@always");
    assert_eq!(draws("1999-01-01T00:00:00Z"), draw, "one counter, whenever it is");
    let hold = bench.taken(&draw).await;
    assert_eq!(bench.lacks(&draw).await[0].left, 40);
    assert!(is_now(bench.counters().settle(&hold, &[7]).await.unwrap()));
    assert_eq!(bench.used(&draw[0]).await, 7);
    let Use { used, resets } = bench.uses(&draw).await[0];
    assert_eq!((used, resets.unwrap().to_string()), (7, "2255-06-05T23:47:34Z".to_owned()));
}

async fn a_hold_is_settled_once(bench: &dyn Bench) {
    bench.begin().await;
    let draws = [spend("a", 60, 100), rate("b", 60, 100, LONGEST_WINDOW), open("c", 1, 1)];
    let settled = bench.taken(&draws).await;
    assert!(is_now(bench.counters().settle(&settled, &[10, 10, 1]).await.unwrap()));
    let released = bench.taken(&draws).await;
    assert!(is_now(bench.counters().release(&released).await.unwrap()));
    for hold in [&settled, &released] {
        for used in [0, 10, 60, 90] {
            assert_eq!(bench.counters().settle(hold, &[used, used, 1]).await.unwrap(), Settled::Already);
        }
        assert_eq!(bench.counters().release(hold).await.unwrap(), Settled::Already);
    }
    assert_eq!(bench.used(&draws[0]).await, 10);
    assert_eq!(bench.used(&draws[1]).await, 10);
    assert_eq!(bench.used(&draws[2]).await, 0);
    // Another number of amounts is no settling at all.
    let hold = bench.taken(&draws).await;
    assert!(!bench.counters().settle(&hold, &[1, 1]).await.unwrap_err().transient);
    assert!(is_now(bench.counters().settle(&hold, &[1, 1, 1]).await.unwrap()));
}

async fn a_release_gives_back_everything(bench: &dyn Bench) {
    bench.begin().await;
    let draws = [spend("a", 60, 100), rate("b", 60, 100, LONGEST_WINDOW), open("c", 1, 1)];
    for _ in 0..5 {
        let hold = bench.taken(&draws).await;
        bench.lacks(&draws).await;
        assert!(is_now(bench.counters().release(&hold).await.unwrap()));
        assert!(bench.uses(&draws).await.iter().all(|tally| tally.used == 0));
    }
    // A step that is released before it arrives is not taken when it does.
    let mut never = bench.taken(&draws).await;
    bench.counters().release(&never).await.unwrap();
    never.id = Uuid::new_v4();
    assert!(is_now(bench.counters().release(&never).await.unwrap()));
    assert_eq!(bench.counters().take(&draws, never.id, MINUTE).await.unwrap(), Answer::Ended);
    assert!(bench.uses(&draws).await.iter().all(|tally| tally.used == 0));
}

async fn an_expired_hold_gives_its_room_back_and_settles_late(bench: &dyn Bench) {
    bench.begin().await;
    let draws = [spend("a", 60, 100), rate("b", 60, 100, LONGEST_WINDOW), open("c", 1, 1)];
    let life = Duration::from_millis(30);
    let taken = async || match bench.counters().take(&draws, Uuid::new_v4(), life).await.unwrap() {
        Answer::Taken { hold, .. } => hold,
        other => panic!("{other:?}"),
    };
    let first = taken().await;
    assert_eq!(first.expires.as_microsecond() - first.at.as_microsecond(), 30_000);
    bench.pass(life).await;
    assert!(bench.uses(&draws).await.iter().all(|tally| tally.used == 0), "nothing is held any more");
    let second = taken().await;
    bench.pass(life).await;
    for hold in [&first, &second] {
        let late = bench.counters().settle(hold, &[7, 7, 1]).await.unwrap();
        assert!(matches!(late, Settled::Late(at) if at >= hold.expires), "{late:?}");
        assert_eq!(bench.counters().settle(hold, &[7, 7, 1]).await.unwrap(), Settled::Already);
        assert_eq!(bench.counters().release(hold).await.unwrap(), Settled::Already);
    }
    assert_eq!(bench.used(&draws[0]).await, 14);
    assert_eq!(bench.used(&draws[1]).await, 14);
    assert_eq!(bench.used(&draws[2]).await, 0);
    // So late that nobody remembers whether it was settled.
    let mut forgotten = second.clone();
    forgotten.expires = bench.now().await - LATE;
    assert_eq!(bench.counters().settle(&forgotten, &[7, 7, 1]).await.unwrap(), Settled::TooLate);
    assert_eq!(bench.used(&draws[0]).await, 14);
}

async fn a_step_is_all_or_nothing(bench: &dyn Bench) {
    bench.begin().await;
    bench.taken(&[spend("b", 95, 100)]).await;
    bench.taken(&[open("d", 2, 2)]).await;
    let draws = [spend("a", 10, 100), spend("b", 6, 100), rate("c", 10, 100, LONGEST_WINDOW), open("d", 1, 2)];
    let lacks = bench.lacks(&draws).await;
    assert_eq!(lacks.iter().map(|lack| (lack.draw, lack.left)).collect::<Vec<_>>(), [(1, 5), (3, 0)]);
    assert_eq!(lacks[1].resets, None, "that is when turns end");
    let used: Vec<u64> = bench.uses(&draws).await.iter().map(|tally| tally.used).collect();
    assert_eq!(used, [0, 95, 0, 2]);
    // Uses are told as they are after the step.
    let Answer::Taken { uses, .. } = bench.answer(&[spend("a", 10, 100), spend("b", 5, 100)]).await else { panic!() };
    assert_eq!(uses.iter().map(|tally| tally.used).collect::<Vec<_>>(), [10, 100]);
    assert!(matches!(bench.answer(&[]).await, Answer::Taken { .. }), "nothing always fits");
}

async fn a_step_repeated_takes_once(bench: &dyn Bench) {
    bench.begin().await;
    let (draws, id) = ([spend("a", 60, 100), open("b", 1, 1)], Uuid::new_v4());
    let Answer::Taken { hold, uses } = bench.counters().take(&draws, id, MINUTE).await.unwrap() else { panic!() };
    assert_eq!((hold.id, &hold.draws[..]), (id, &draws[..]));
    for _ in 0..3 {
        // Whoever repeats it may have planned it anew.
        let again = bench.counters().take(&[spend("z", 1, 1)], id, MINUTE).await.unwrap();
        assert_eq!(again, Answer::Taken { hold: hold.clone(), uses: uses.clone() });
    }
    assert_eq!(bench.used(&draws[0]).await, 60);
    bench.counters().settle(&hold, &[60, 1]).await.unwrap();
    assert_eq!(bench.counters().take(&draws, id, MINUTE).await.unwrap(), Answer::Ended);
    assert_eq!(bench.used(&draws[0]).await, 60);
}

async fn a_window_that_is_not_now_takes_nothing(bench: &dyn Bench) {
    bench.begin().await;
    let now = bench.now().await;
    let (before, after) = (now - 1.hour(), now + 1.hour());
    let window = |from, until| Draw { measure: Measure::Spend { from, until }, ..spend("b", 1, 100) };
    for moved in [window(before, now), window(after, after + 1.hour())] {
        let Answer::Moved { at } = bench.answer(&[spend("a", 1, 100), moved]).await else { panic!("taken") };
        assert!(at >= now && at < after, "{at}");
    }
    assert_eq!(bench.used(&spend("a", 1, 100)).await, 0);
    let draws = [spend("a", 1, 100), window(before, after)];
    let Answer::Taken { hold, uses } = bench.answer(&draws).await else { panic!("not taken") };
    assert_eq!(uses[1], Use { used: 1, resets: Some(after) });
    // A hold is settled in the window in which it was taken.
    let mut past = hold;
    past.draws[1] = window(before - 1.hour(), before);
    past.draws[1].counter = "b before".into();
    assert!(is_now(bench.counters().settle(&past, &[5, 5]).await.unwrap()));
    assert_eq!(bench.used(&past.draws[1]).await, 5);
}

async fn an_edited_ceiling_keeps_its_use(bench: &dyn Bench) {
    bench.begin().await;
    // A year of which a microsecond leaks nothing that shows.
    let draws = |amount, ceiling| {
        [spend("a", amount, ceiling), rate("b", amount, ceiling, LONGEST_WINDOW), open("c", amount, ceiling)]
    };
    let hold = bench.taken(&draws(90, 100)).await;
    let left: Vec<u64> = bench.lacks(&draws(11, 100)).await.iter().map(|lack| lack.left).collect();
    assert!(left.iter().all(|left| (10..=11).contains(left)), "{left:?}");
    assert_eq!(bench.lacks(&draws(1, 50)).await.iter().map(|lack| lack.left).collect::<Vec<_>>(), [0, 0, 0]);
    let more = bench.taken(&draws(110, 200)).await;
    assert_eq!(bench.uses(&draws(0, 200)).await.iter().map(|tally| tally.used).collect::<Vec<_>>(), [200, 200, 200]);
    // What was taken under another ceiling is settled as it was taken.
    bench.counters().settle(&hold, &[90, 90, 90]).await.unwrap();
    bench.counters().release(&more).await.unwrap();
    assert_eq!(bench.uses(&draws(0, 50)).await.iter().map(|tally| tally.used).collect::<Vec<_>>(), [90, 90, 0]);
}

async fn open_turns_are_counted(bench: &dyn Bench) {
    bench.begin().await;
    let draws = [open("a", 1, 2)];
    let (first, second) = (bench.taken(&draws).await, bench.taken(&draws).await);
    for (ended, used) in [(first, 1), (second, 0)] {
        assert_eq!(bench.lacks(&draws).await, [Lack { draw: 0, left: 0, resets: None }]);
        bench.counters().settle(&ended, &[used]).await.unwrap();
        assert_eq!(bench.uses(&draws).await, [Use { used: 1, resets: None }]);
        bench.taken(&draws).await;
    }
}

async fn a_rate_comes_back_steadily(bench: &dyn Bench) {
    bench.begin().await;
    let window = Duration::from_secs(6);
    let draw = |amount| [rate("a", amount, 60, window)];
    let hold = bench.taken(&draw(60)).await;
    let lack = bench.lacks(&draw(5)).await[0];
    // 60 in 6 s: 5 come back in half a second, to the microsecond.
    assert_eq!(lack.resets.unwrap().as_microsecond() - hold.at.as_microsecond(), 500_000);
    let tally = bench.uses(&draw(0)).await[0];
    assert_eq!(tally.resets.unwrap().as_microsecond() - hold.at.as_microsecond(), 6_000_000);
    assert_eq!(bench.lacks(&draw(61)).await[0].resets, None, "more than a ceiling never fits");
    bench.pass(Duration::from_millis(500)).await;
    let next = bench.taken(&draw(5)).await;
    assert!(next.at >= lack.resets.unwrap());
    // What was settled as it was taken changes nothing.
    let before = bench.uses(&draw(0)).await[0].resets;
    bench.counters().settle(&hold, &[60]).await.unwrap();
    bench.counters().settle(&next, &[5]).await.unwrap();
    assert_eq!(bench.uses(&draw(0)).await[0].resets, before);
}

async fn a_rate_is_corrected_by_what_was_used(bench: &dyn Bench) {
    bench.begin().await;
    let draw = |amount| [rate("a", amount, 100, LONGEST_WINDOW)];
    let hold = bench.taken(&draw(80)).await;
    bench.counters().settle(&hold, &[20]).await.unwrap();
    assert_eq!(bench.used(&draw(0)[0]).await, 20);
    let hold = bench.taken(&draw(10)).await;
    bench.counters().settle(&hold, &[150]).await.unwrap();
    assert_eq!(bench.used(&draw(0)[0]).await, 170);
    // 71 too many of 100 a year: 0.71 years.
    let lack = bench.lacks(&draw(1)).await[0];
    let wait = lack.resets.unwrap().as_second() - bench.now().await.as_second();
    let expected = 71 * i64::try_from(LONGEST_WINDOW.as_secs()).unwrap() / 100;
    assert!((expected - 60..=expected).contains(&wait), "{wait} and not {expected}");
}

async fn numbers_are_exact_to_the_last_bit(bench: &dyn Bench) {
    bench.begin().await;
    // Beyond 2^53 neighbours look the same to a double.
    for (name, ceiling) in
        [("a", (1 << 53) + 1), ("b", (1 << 60) + 1), ("c", u64::MAX), ("d", 9_999_999), ("e", 100_000_000_000_000)]
    {
        let draws = |amount| [spend(name, amount, ceiling)];
        bench.taken(&draws(ceiling - 3)).await;
        assert_eq!(bench.lacks(&draws(4)).await[0].left, 3, "{ceiling}");
        bench.taken(&draws(2)).await;
        assert_eq!(bench.lacks(&draws(2)).await[0].left, 1, "{ceiling}");
        let last = bench.taken(&draws(1)).await;
        assert_eq!(bench.lacks(&draws(1)).await[0].left, 0, "{ceiling}");
        assert_eq!(bench.used(&draws(0)[0]).await, ceiling);
        bench.counters().settle(&last, &[0]).await.unwrap();
        assert_eq!(bench.used(&draws(0)[0]).await, ceiling - 1);
    }
    let draws = |amount| [rate("r", amount, u64::MAX, LONGEST_WINDOW)];
    let hold = bench.taken(&draws(u64::MAX)).await;
    let full = bench.uses(&draws(0)).await[0];
    assert_eq!(full.resets.unwrap().as_microsecond() - hold.at.as_microsecond(), 366 * 24 * 60 * 60 * 1_000_000);
    bench.counters().settle(&hold, &[0]).await.unwrap();
    assert_eq!(bench.used(&draws(0)[0]).await, 0);
    bench.counters().settle(&bench.taken(&[spend("s", 1, 1)]).await, &[u64::MAX]).await.unwrap();
    assert_eq!(bench.used(&spend("s", 0, 1)).await, u64::MAX);
}

async fn nothing_fits_under_a_ceiling_of_nothing(bench: &dyn Bench) {
    bench.begin().await;
    let lacks = bench.lacks(&[spend("a", 1, 0), rate("b", 1, 0, MINUTE), open("c", 1, 0)]).await;
    assert_eq!(lacks.iter().map(|lack| (lack.draw, lack.left)).collect::<Vec<_>>(), [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(lacks[1].resets, None);
}

async fn a_draw_of_nothing_fits_until_too_much_was_used(bench: &dyn Bench) {
    bench.begin().await;
    let draws = |amount| [spend("a", amount, 10)];
    let hold = bench.taken(&draws(10)).await;
    bench.taken(&draws(0)).await;
    bench.counters().settle(&hold, &[11]).await.unwrap();
    assert_eq!(bench.lacks(&draws(0)).await[0].left, 0);
}

async fn draws_that_make_no_sense_are_errors(bench: &dyn Bench) {
    bench.begin().await;
    let many: Vec<Draw> = (0..=MOST_DRAWS).map(|n| spend(&n.to_string(), 1, 10)).collect();
    let at = bench.now().await;
    let backwards = Draw { measure: Measure::Spend { from: at, until: at }, ..spend("a", 1, 10) };
    let nanosecond = Duration::from_nanos(1);
    let rows = [
        (vec![spend("a", 1, 10), open("b", 1, 10), rate("a", 1, 10, MINUTE)], MINUTE, "draws twice from the counter a"),
        (many.clone(), MINUTE, "257 limits apply to one request; at most 256"),
        (vec![rate("a", 1, 10, Duration::ZERO)], MINUTE, "the counter a has a window of 0ns"),
        (vec![rate("a", 1, 10, nanosecond)], MINUTE, "whole microseconds"),
        (vec![rate("a", 1, 10, MINUTE + nanosecond)], MINUTE, "whole microseconds"),
        (vec![rate("a", 1, 10, LONGEST_WINDOW + MINUTE)], MINUTE, "up to 366 days"),
        (vec![backwards], MINUTE, "ends before it begins"),
        (vec![spend("a", 1, 10)], Duration::ZERO, "a hold cannot live for 0ns"),
        (vec![spend("a", 1, 10)], LONGEST_HOLD + nanosecond, "at most 24 hours"),
    ];
    for (draws, lives, part) in rows {
        let error = bench.counters().take(&draws, Uuid::new_v4(), lives).await.unwrap_err();
        assert!(error.message.contains(part) && !error.transient, "{part}: {error}");
    }
    bench.taken(&many[..MOST_DRAWS]).await;
    assert_eq!(bench.used(&many[0]).await, 1);
}

async fn names_are_names(bench: &dyn Bench) {
    bench.begin().await;
    let names =
        ["", " ", "a b", "a:b", "a\0b", "{x}", "a\r\nDEL a", "größe", "*", "'", "\"", "]]", "%d", &"l".repeat(4_000)];
    let draws: Vec<Draw> = names.iter().map(|name| spend(name, 1, 1)).collect();
    let hold = bench.taken(&draws).await;
    assert_eq!(bench.lacks(&draws).await.len(), names.len());
    bench.counters().settle(&hold, &vec![1; names.len()]).await.unwrap();
    assert!(bench.uses(&draws).await.iter().all(|tally| tally.used == 1));
}

async fn any_number_of_holds_expires_at_once(bench: &dyn Bench) {
    bench.begin().await;
    let draws = |amount| [spend("a", amount, 2_000), open("b", amount, 2_000)];
    let life = Duration::from_secs(5);
    for n in 0..2_000_u128 {
        let taken = bench.counters().take(&draws(1), Uuid::from_u128(n), life).await.unwrap();
        assert!(matches!(taken, Answer::Taken { .. }), "{n}: {taken:?}");
    }
    bench.pass(life).await;
    assert!(bench.uses(&draws(0)).await.iter().all(|tally| tally.used == 0));
    bench.taken(&draws(2_000)).await;
    assert_eq!(bench.lacks(&draws(1)).await.len(), 2);
}

async fn places_are_given_back_before_a_hold_is_settled(bench: &dyn Bench) {
    bench.begin().await;
    let draws =
        [spend("a", 60, 100), open("b", 1, 1), rate("c", 60, 100, LONGEST_WINDOW), open("d", 2, 3), open("e", 1, 9)];
    let used = async || bench.uses(&draws).await.iter().map(|tally| tally.used).collect::<Vec<_>>();
    let other = bench.taken(&[open("e", 5, 9)]).await;
    let hold = bench.taken(&draws).await;
    assert_eq!(used().await, [60, 1, 60, 2, 6]);
    let Vacated::Now(at) = bench.counters().vacate(&hold).await.unwrap() else { panic!("nothing was given back") };
    assert!(at >= hold.at && at < hold.expires, "{at}");
    assert_eq!(used().await, [60, 0, 60, 0, 5], "the rest stays held, and so does what others hold");
    // There is room for the next one among what runs at a time, and for no more.
    let next = bench.taken(&[open("b", 1, 1), open("d", 3, 3)]).await;
    let lacks = bench.lacks(&draws).await;
    assert_eq!(lacks.iter().map(|lack| lack.draw).collect::<Vec<_>>(), [0, 1, 2, 3]);
    // The step that is repeated does not take the places again.
    assert!(matches!(bench.counters().take(&draws, hold.id, MINUTE).await.unwrap(), Answer::Taken { .. }));
    assert_eq!(used().await, [60, 1, 60, 3, 5]);
    assert!(is_now(bench.counters().settle(&hold, &[7, 1, 7, 2, 1]).await.unwrap()));
    assert_eq!(used().await, [7, 1, 7, 3, 5], "settled as usual, and nothing of others is given back");
    assert!(matches!(bench.counters().vacate(&other).await.unwrap(), Vacated::Now(_)));
    assert!(is_now(bench.counters().release(&next).await.unwrap()));
    assert!(is_now(bench.counters().release(&other).await.unwrap()));
    assert_eq!(used().await, [7, 0, 7, 0, 0]);
}

async fn places_are_given_back_once(bench: &dyn Bench) {
    bench.begin().await;
    let draws = [spend("a", 10, 100), open("b", 1, 2)];
    let nothing = async |hold: &Hold| {
        for _ in 0..2 {
            assert_eq!(bench.counters().vacate(hold).await.unwrap(), Vacated::Nothing);
        }
    };
    let (settled, released, vacated) =
        (bench.taken(&draws).await, bench.taken(&draws[..1]).await, bench.taken(&draws).await);
    assert!(is_now(bench.counters().settle(&settled, &[3, 1]).await.unwrap()));
    assert!(matches!(bench.counters().vacate(&vacated).await.unwrap(), Vacated::Now(_)));
    let (one, two) = (bench.taken(&draws).await, bench.taken(&draws).await);
    // It has none.
    nothing(&released).await;
    assert!(is_now(bench.counters().release(&released).await.unwrap()));
    for hold in [&settled, &released, &vacated] {
        nothing(hold).await;
    }
    assert!(is_now(bench.counters().settle(&vacated, &[4, 1]).await.unwrap()));
    nothing(&vacated).await;
    assert_eq!(bench.lacks(&draws[1..]).await, [Lack { draw: 0, left: 0, resets: None }]);
    for hold in [&one, &two] {
        assert!(is_now(bench.counters().release(hold).await.unwrap()));
    }
    assert_eq!(bench.uses(&draws).await.iter().map(|tally| tally.used).collect::<Vec<_>>(), [7, 0]);
}

async fn what_has_expired_or_was_never_taken_has_no_places(bench: &dyn Bench) {
    let draws = [spend("a", 10, 100), open("b", 1, 2)];
    let at = "2026-11-21T15:47:04Z".parse().unwrap();
    let never =
        Hold { id: Uuid::new_v4(), draws: draws.to_vec(), at, expires: "2099-01-01T00:00:00Z".parse().unwrap() };
    assert_eq!(bench.counters().vacate(&never).await.unwrap(), Vacated::Lost);
    bench.begin().await;
    assert_eq!(bench.counters().vacate(&never).await.unwrap(), Vacated::Nothing);
    let life = Duration::from_millis(30);
    let taken = async || match bench.counters().take(&draws, Uuid::new_v4(), life).await.unwrap() {
        Answer::Taken { hold, .. } => hold,
        other => panic!("{other:?}"),
    };
    let (early, late) = (taken().await, taken().await);
    // A machine that is busy may be too late for it: then it is as the other.
    let vacated = bench.counters().vacate(&early).await.unwrap();
    assert!(matches!(vacated, Vacated::Now(at) if at < early.expires) || bench.now().await >= early.expires);
    bench.pass(life).await;
    for hold in [&early, &late] {
        assert_eq!(bench.counters().vacate(hold).await.unwrap(), Vacated::Nothing);
    }
    assert!(bench.uses(&draws).await.iter().all(|tally| tally.used == 0));
    // They are settled late, as if nobody had asked.
    for (nth, hold) in [(1, &early), (2, &late)] {
        assert!(matches!(bench.counters().settle(hold, &[3, 1]).await.unwrap(), Settled::Late(_)));
        bench.taken(&draws[1..]).await;
        assert_eq!(bench.uses(&draws).await.iter().map(|tally| tally.used).collect::<Vec<_>>(), [3 * nth, nth]);
    }
}
