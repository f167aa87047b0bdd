//! Losses of which only the end is known: what they excuse, and what they do not.

use super::*;

/// Two audit entries, two turns and a head of a record were in five frames that are lost, and nothing tells which.
fn begun(lost: &str) -> Writer {
    let mut writer = Writer::new();
    for _ in 0..3 {
        writer.many(Kind::Audit, 4);
        writer.many(Kind::Usage, 3);
        writer.head();
    }
    writer.lose(Kind::Audit, 4, 5);
    writer.lose(Kind::Usage, 3, 4);
    writer.lose(Kind::Head, 1, 1);
    let before = r#""before":{"audit":6,"usage":5,"head":2}"#;
    let about = format!(r#""about":{{"frames":{{"from":8,"to":12,"lost":{lost}}},{before},"reason":"damage"}}"#);
    writer.entry(Kind::Audit, &format!(r#","action":"records.gap",{about}"#));
    writer
}

#[test]
fn a_lost_beginning_excuses_what_is_right_before_what_is_left_and_no_more_than_was_lost() {
    let mut writer = begun("5");
    let report = writer.verify();
    assert_eq!(report.findings.len(), 3, "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.why.contains("no head covers that event")), "{report:?}");
    writer.head();
    let report = writer.verify();
    assert_eq!((report.findings.as_slice(), report.lost()), (&[][..], 4));
    // What else is removed is found: beside the lost ones, for then there are more than frames were lost, and anywhere else.
    for (kind, from, to, found) in [
        (Kind::Audit, 3, 3, (What::Removed, Some(Kind::Audit), Some((3, 3)))),
        (Kind::Audit, 2, 2, (What::Removed, Some(Kind::Audit), Some((2, 2)))),
        (Kind::Audit, 7, 7, (What::Removed, Some(Kind::Audit), Some((7, 7)))),
        (Kind::Usage, 1, 2, (What::Removed, Some(Kind::Usage), Some((1, 2)))),
        (Kind::Usage, 6, 6, (What::Removed, Some(Kind::Usage), Some((6, 6)))),
        (Kind::Head, 3, 3, (What::HeadsMissing, Some(Kind::Head), Some((3, 3)))),
    ] {
        let mut robbed = begun("5");
        robbed.head();
        robbed.lose(kind, from, to);
        let whats = whats(&robbed.verify());
        // Chains are read in the order of their kinds: what one takes too much another has not.
        let short = (What::Removed, Some(Kind::Usage), Some((3, 3)));
        let expected = if (kind, from) == (Kind::Audit, 3) { vec![short] } else { vec![found] };
        assert_eq!(whats, expected, "{kind} {from} to {to}");
    }
    // The first that was there is gone, too: nothing is right before it.
    let mut robbed = begun("5");
    robbed.head();
    robbed.lose(Kind::Audit, 6, 6);
    assert_eq!(whats(&robbed.verify()), [(What::Removed, Some(Kind::Audit), Some((6, 6)))]);
}

#[test]
fn the_same_lost_beginning_excuses_once_and_one_that_is_no_event_of_tollgate_not_at_all() {
    let mut writer = begun("4");
    let about =
        r#""about":{"frames":{"from":8,"to":12,"lost":4},"before":{"audit":6,"usage":5,"head":2},"reason":"damage"}"#;
    writer.entry(Kind::Audit, &format!(r#","action":"records.gap",{about}"#));
    writer.head();
    assert_eq!(whats(&writer.verify()), [(What::Removed, Some(Kind::Usage), Some((3, 3)))]);
    for about in [
        r#"{"frames":{"lost":5},"before":{}}"#,
        r#"{"frames":{"lost":5},"before":{"audit":100,"usage":100,"head":100}}"#,
        r#"{"frames":{"lost":-1},"before":{"audit":6,"usage":5,"head":2}}"#,
        r#"{"frames":{"lost":5},"before":{"audit":6,"usage":5,"head":2,"more":1}}"#,
        r#"{"before":{"audit":6,"usage":5,"head":2}}"#,
    ] {
        let mut writer = begun("0");
        writer.entry(Kind::Audit, &format!(r#","action":"records.gap","about":{about}"#));
        writer.head();
        assert_eq!(writer.verify().findings.len(), 3, "{about}");
    }
    // Without its event, and with an event of another hand: its text was changed after it was kept.
    let mut forged = begun("0");
    forged.head();
    for line in &mut forged.lines {
        line.text = line.text.replace(r#""lost":0"#, r#""lost":5"#).into();
    }
    let whats = whats(&forged.verify());
    assert_eq!(whats.len(), 4, "{whats:?}");
    assert!(whats.contains(&(What::Edited, Some(Kind::Audit), Some((13, 13)))), "{whats:?}");
}

/// The first of those that were left is lost as well, later.
#[test]
fn two_lost_beginnings_that_touch_are_each_taken_for_their_own() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 20);
    writer.many(Kind::Usage, 4);
    writer.head();
    writer.lose(Kind::Audit, 5, 11);
    writer.lose(Kind::Usage, 2, 3);
    for (audit, usage, lost) in [(8, "", 3), (12, r#","usage":4"#, 6)] {
        let about = format!(r#""about":{{"frames":{{"lost":{lost}}},"before":{{"audit":{audit}{usage}}}}}"#);
        writer.entry(Kind::Audit, &format!(r#","action":"records.gap",{about}"#));
    }
    writer.head();
    let report = writer.verify();
    assert_eq!((report.findings.as_slice(), report.lost()), (&[][..], 9));
}
