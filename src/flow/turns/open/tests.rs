use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::policy::{Source, compile};

const PACE: Pace =
    Pace { look: Duration::from_secs(3), rows: Duration::from_secs(10), open: Duration::from_secs(28 * 60) };

const MINUTE: Duration = Duration::from_secs(60);

/// A turn that has taken something, opened at this moment. LibreChat cannot be asked about it.
fn silent(now: Instant) -> Turn {
    let id = "01a1ff8b-478e-76b5-951d-5fa00dd71e80";
    let at = "2026-11-21T17:00:00Z";
    let begun = json!({
        "at": at, "caller": {"user": "ann", "email": null, "role": "USER", "groups": []}, "models": [], "anything": false,
        "estimate": {"requests": 1, "messages": 1, "runs": []}, "conversation": null,
        "hold": {"id": id, "draws": [], "at": at, "expires": "2026-11-21T21:00:00Z"}, "shadow": null, "balance": false,
        "entry": {
            "_id": id, "requestId": id, "timestamp": at, "userId": "ann", "role": "USER", "endpoint": "openAI", "model": "o1",
            "outcome": "abandoned", "status": 499, "requestBytes": 9, "time": 0.0,
        },
    });
    let begun: Begun = serde_json::from_value(begun).unwrap();
    let text = "version: 1\nroles: { USER: { unrestricted: true } }\n";
    let policy = compile(&[Source { path: "policy.yaml".into(), text: text.into() }]).unwrap().0;
    let caller = Arc::new(begun.caller());
    let facts = Facts {
        id: begun.entry.id,
        begun,
        policy: Arc::new(policy),
        caller,
        targets: Vec::new(),
        bearer: None,
        arrived: Some(now),
    };
    Turn::new(facts, Receipts::default(), now)
}

/// The same, answered by LibreChat where `named`.
fn turn(now: Instant, named: bool) -> Turn {
    let turn = silent(now);
    // Its caller has shown a token.
    turn.may_be_asked();
    if named {
        let started = Started { stream: Some("c".into()), outcome: TurnOutcome::Started, status: 200, time: 1.0 };
        turn.start(started, now, &PACE);
    }
    turn
}

fn is_lost(turn: &Turn, now: Instant, books: bool) -> bool {
    match turn.next(now, &PACE, books, false) {
        Next::Bill(End::Lost) => true,
        Next::Wait | Next::Rows => false,
        next => panic!("{next:?}"),
    }
}

#[test]
fn a_turn_that_is_read_or_said_to_run_is_not_charged_for_however_long_it_takes() {
    let start = Clock::system().tick();
    for books in [false, true] {
        let read = turn(start, true);
        let reader = read.read();
        assert!(!is_lost(&read, start + 300 * MINUTE, books), "somebody reads it");
        let left = start + 301 * MINUTE;
        read.unread(&reader, None, left, &PACE);
        assert!(!is_lost(&read, left + 27 * MINUTE, books));
        assert!(is_lost(&read, left + 28 * MINUTE, books));

        let asked = turn(start, true);
        for minutes in (0..300).step_by(20) {
            let now = start + minutes * MINUTE;
            assert!(!is_lost(&asked, now, books), "LibreChat said that it runs");
            asked.is_at(Progress::default(), now, &PACE);
        }
        assert!(is_lost(&asked, start + 308 * MINUTE, books));

        // Its hold can be settled until then.
        let endless = turn(start, true);
        let _reader = endless.read();
        assert!(!is_lost(&endless, start + LONGEST - MINUTE, books));
        assert!(is_lost(&endless, start + LONGEST, books));
    }
}

#[test]
fn what_only_its_reader_could_tell_of_has_ended_as_they_say_and_is_never_lost_on_the_way() {
    let now = Clock::system().tick();
    for (end, expected) in [(Some(End::Finished), End::Finished), (Some(End::Aborted), End::Aborted), (None, End::Lost)]
    {
        let turn = silent(now);
        let reader = turn.read();
        assert_eq!(turn.unread(&reader, end, now, &PACE), end.is_some());
        match turn.next(now, &PACE, false, false) {
            Next::Bill(end) => assert_eq!(end, expected),
            next => panic!("{next:?}"),
        }
    }
}

/// What is over soon may be deleted before anybody has read it.
#[test]
fn a_turn_that_nobody_reads_is_asked_about_soon_and_then_less_often() {
    let start = Clock::system().tick();
    let asked = |turn: &Turn, mut now: Instant| {
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let from = now;
            while !turn.is_to_be_asked(now) {
                now += Duration::from_millis(10);
            }
            pauses.push((now - from).as_millis());
            turn.is_at(Progress::default(), now, &PACE);
        }
        (pauses, now)
    };
    let turn = turn(start, true);
    let (pauses, now) = asked(&turn, start);
    assert_eq!(pauses, [250, 500, 1000, 3000, 3000, 3000]);
    let reader = turn.read();
    assert!(!turn.is_to_be_asked(now + MINUTE), "somebody reads it");
    turn.unread(&reader, None, now, &PACE);
    assert_eq!(asked(&turn, now).0, pauses, "whoever read it has left");
}

#[test]
fn a_turn_whose_token_has_ended_keeps_what_it_took() {
    let start = Clock::system().tick();
    for named in [false, true] {
        let turn = turn(start, named);
        let soon = start + PACE.look;
        assert!(turn.is_to_be_asked(soon));
        turn.unasked(true, soon, &PACE);
        assert!(!turn.is_to_be_asked(soon + MINUTE));
        assert!(!is_lost(&turn, start + 27 * MINUTE, false));
        // Unless its caller comes back.
        turn.may_be_asked();
        assert!(turn.is_to_be_asked(soon + MINUTE));
        turn.unasked(true, soon + MINUTE, &PACE);
        assert!(is_lost(&turn, start + 28 * MINUTE, false));
    }
}

#[test]
fn what_librechat_says_of_a_name_is_not_believed_of_a_turn_that_has_lost_it() {
    let start = Clock::system().tick();
    let (older, newer) = (turn(start, true), turn(start, true));
    older.supersede();
    let soon = start + PACE.look;
    assert!(!older.is_to_be_asked(soon) && newer.is_to_be_asked(soon));
    for turn in [&older, &newer] {
        turn.is_over_at_librechat(None, End::Gone, soon);
    }
    assert!(!older.is_over() && newer.is_over());
    // It is found by its rows all the same, where they can be read.
    assert!(matches!(older.next(soon, &PACE, true, false), Next::Rows));
    assert!(!is_lost(&older, start + 27 * MINUTE, false));
    assert!(is_lost(&older, start + 28 * MINUTE, false));
}

/// Milliseconds after the beginning of a turn that arrived then: what is recorded when it ends so.
fn times(end: End, seen: impl FnOnce(&Turn, &dyn Fn(u64) -> Instant)) -> (Option<f64>, Option<f64>) {
    let start = Clock::system().tick();
    let turn = turn(start, true);
    seen(&turn, &|after| start + Duration::from_millis(after));
    turn.times(end)
}

#[test]
fn a_time_is_recorded_only_where_somebody_saw_that_moment() {
    use End::{Aborted, Cut, Failed, Finished, Gone, Lost, Refused};
    for (end, seen) in [
        (Finished, Some(700.0)),
        (Aborted, Some(700.0)),
        (Failed, Some(700.0)),
        (Refused, Some(700.0)),
        (Cut, None),
        (Gone, None),
        (Lost, None),
    ] {
        let told = times(end, |turn, at| {
            turn.writes(Some(at(250)));
            turn.writes(Some(at(300)));
            turn.ended(end, at(700));
        });
        assert_eq!(told, (Some(250.0), seen), "{end:?}");
    }
    let dropped = times(Lost, |turn, at| turn.hurry(at(700)));
    assert_eq!(dropped, (None, None), "nothing was written, and nobody saw the end");
}

#[test]
fn text_that_was_there_before_its_reader_has_no_first_moment() {
    let late = times(End::Finished, |turn, at| {
        turn.writes(None);
        turn.writes(Some(at(300)));
        turn.ended(End::Finished, at(700));
    });
    assert_eq!(late, (None, Some(700.0)), "LibreChat's summary of what was written came first");
    let asked = times(End::Finished, |turn, at| {
        let said = br#"{"active":true,"resumeState":{"aggregatedContent":[{"type":"text","text":"so far"}]}}"#;
        let status = crate::librechat::status::Status::read(said).unwrap();
        turn.is_at(Progress::of(&status.so_far.said, turn.runs()), at(200), &PACE);
        turn.writes(Some(at(300)));
        turn.ended(End::Finished, at(700));
    });
    assert_eq!(asked, (None, Some(700.0)), "it was written before LibreChat was asked");
    let silent = times(End::Finished, |turn, at| {
        turn.is_at(Progress::default(), at(200), &PACE);
        turn.writes(Some(at(300)));
        turn.ended(End::Finished, at(700));
    });
    assert_eq!(silent, (Some(300.0), Some(700.0)));
}

/// LibreChat writes them call by call.
#[test]
fn rows_are_not_all_there_while_there_are_fewer_calls_than_were_seen() {
    let start = Clock::system().tick();
    let turn = turn(start, true);
    turn.ended(End::Finished, start);
    let rows = |all| RowsOf { complete: true, titled: true, all, ..RowsOf::default() };
    assert_eq!(turn.rows(rows(false)), None);
    assert_eq!(turn.rows(rows(true)), Some(End::Finished));
}

/// LibreChat writes none for a turn that was stopped or has failed.
#[test]
fn rows_are_not_all_there_before_those_of_the_title() {
    use End::{Aborted, Cut, Failed, Finished, Gone, Refused};
    let start = Clock::system().tick();
    let rows = |titled| RowsOf { complete: true, all: true, titled, ..RowsOf::default() };
    for (end, waits) in
        [(Finished, true), (Gone, true), (Aborted, false), (Failed, false), (Cut, false), (Refused, false)]
    {
        let turn = turn(start, true);
        turn.ended(end, start);
        assert_eq!(turn.rows(rows(false)), (!waits).then_some(end), "{end:?}");
        assert_eq!(turn.rows(rows(true)), Some(end), "{end:?}");
        // After a while it is charged for without.
        assert!(matches!(turn.next(start + PACE.rows, &PACE, true, false), Next::Bill(billed) if billed == end));
    }
}
