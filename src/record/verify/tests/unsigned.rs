//! What no head vouches for yet: when that is a finding, and when it may be so.

use super::*;

#[test]
fn what_an_entry_without_a_head_says_of_itself_is_believed_as_far_as_it_can_be() {
    let mut writer = Writer::new();
    writer.head_after(10);
    let now = writer.now;
    // Put in behind the last head, of seven weeks ago, and answered just now by their own words; the most that a turn takes is 30 hours.
    for (hours, found) in [(24 * 47, true), (31, true), (29, false)] {
        let mut forged = Writer { lines: writer.lines.clone(), chain: writer.chain.clone(), ..Writer::new() };
        forged.now = now - SignedDuration::from_hours(hours);
        let took = (hours * 3_600_000) as f64;
        for members in [
            format!(r#","details":{{"response":{{"time":{took:?}}}}}"#),
            format!(r#","time":{took:?}"#),
            format!(r#","settled":"{now}""#),
        ] {
            forged.entry(Kind::Audit, &members);
        }
        let whats = whats(&verify(&forged.lines, writer.trust(), NEVER, now));
        let expected = if found { vec![(What::HeadsMissing, Some(Kind::Audit), Some((11, 13)))] } else { vec![] };
        assert_eq!(whats, expected, "{hours} hours");
    }
}

/// A turn of a quarter of an hour that was settled just now, and erased in the same minute.
#[test]
fn an_erased_entry_was_there_when_it_was_erased() {
    let mut writer = Writer::new();
    writer.head_after(10);
    let entry = writer.entry(Kind::Audit, r#","userId":"ann","details":{"response":{"time":900000.0}}"#);
    writer.now += SignedDuration::from_mins(15);
    assert_eq!(whats(&writer.verify()), []);
    let told = writer.erase(v7(writer.now), |line| line.id == entry.id);
    let heads_missing = |report: &Report| whats(report).iter().any(|(what, ..)| *what == What::HeadsMissing);
    assert!(!heads_missing(&writer.verify()), "{told}: {:?}", writer.verify());
    writer.now += SignedDuration::from_mins(5);
    assert!(heads_missing(&writer.verify()), "five minutes later there has to be a head");
}

#[test]
fn what_waits_for_a_head_is_counted_over_all_instances() {
    let mut writer = Writer::new();
    writer.head_after(10);
    for instance in 0..27 {
        writer.other(0xcc00 + instance);
        let began = writer.now;
        writer.many(Kind::Audit, 75);
        writer.now = began;
    }
    let report = writer.verify();
    assert_eq!((report.findings.as_slice(), report.late, report.is_much_late()), (&[][..], 2_025, true), "{report:?}");
    writer.lose(Kind::Audit, 74, 75);
    assert_eq!((writer.verify().late, writer.verify().is_much_late()), (1_971, false));
}

/// Heads that old may have expired, so that it is no finding; but nobody vouches for them, however old they say they are.
#[test]
fn what_is_older_than_heads_are_kept_counts_as_unsigned_all_the_same() {
    let mut writer = Writer::new();
    let keep = Keep { heads: Expiry::After(SignedDuration::from_hours(5 * 24)), ..NEVER };
    writer.many(Kind::Audit, 30);
    writer.now += SignedDuration::from_hours(40 * 24);
    let report = verify(&writer.lines, writer.trust(), keep, writer.now);
    assert_eq!(report.late, 30, "{report:?}");
}

/// A store that was away gets hours of entries in a moment, and their heads after them.
#[test]
fn a_head_that_comes_while_the_record_is_read_tells_that_the_store_is_behind() {
    let mut writer = Writer::new();
    let first = writer.head_after(10);
    writer.many(Kind::Audit, 5);
    let rest = writer.lines.clone();
    let coming = writer.head();
    let later = writer.now + SignedDuration::from_hours(3);
    let other = Writer::new();
    let mut forged = coming.clone();
    forged.text = forged.text.replace("\"number\":2", "\"number\":7").into();
    for (head, behind) in [(None, 0), (Some(&first), 0), (Some(&forged), 0), (Some(&coming), 5)] {
        let mut verifier = Verifier::new(writer.trust(), NEVER, later);
        verifier.instance(Uuid::from_u128(0xaaaa));
        let heads_first = rest.iter().filter(|line| line.kind == Kind::Head).chain(&rest[..10]).chain(&rest[11..]);
        heads_first.for_each(|line| verifier.take(line));
        verifier.chains_read();
        assert_eq!(verifier.overdue(), [Uuid::from_u128(0xaaaa)]);
        head.into_iter().for_each(|head| verifier.came(head));
        let report = verifier.finish();
        let found = if behind > 0 { vec![] } else { vec![(What::HeadsMissing, Some(Kind::Audit), Some((11, 15)))] };
        assert_eq!((whats(&report), report.behind, report.late), (found, behind, 5), "{head:?}");
    }
    // With another key it tells nothing.
    let mut verifier = Verifier::new(other.trust(), NEVER, later);
    verifier.instance(Uuid::from_u128(0xaaaa));
    rest.iter().filter(|line| line.kind == Kind::Audit).for_each(|line| verifier.take(line));
    verifier.chains_read();
    verifier.came(&coming);
    assert_eq!(whats(&verifier.finish()), [(What::HeadsMissing, Some(Kind::Audit), Some((1, 15)))]);
}

#[test]
fn a_long_verification_takes_what_was_written_meanwhile_for_no_forgery() {
    let mut writer = Writer::new();
    writer.head_after(10);
    let begun = writer.now;
    writer.now += SignedDuration::from_mins(20);
    writer.many(Kind::Audit, 3);
    let mut verifier = Verifier::new(writer.trust(), NEVER, begun);
    verifier.instance(Uuid::from_u128(0xaaaa));
    verifier.take(&writer.lines[10]);
    verifier.goes_on(writer.now);
    writer.lines.iter().filter(|line| line.kind == Kind::Audit).for_each(|line| verifier.take(line));
    let report = verifier.finish();
    assert_eq!((report.findings.as_slice(), report.late), (&[][..], 3));
}

#[test]
fn no_more_sums_are_nameless_than_erasures_tell() {
    let mut writer = Writer::new();
    let event =
        |days: &str| format!(r#","action":"records.erased","about":{{"count":0,"root":"{}"{days}}}"#, root(&mut []));
    let nameless = |writer: &Writer, count| {
        let mut verifier = Verifier::new(writer.trust(), NEVER, writer.now);
        verifier.instance(Uuid::from_u128(0xaaaa));
        let heads_first = |line: &&Line| line.kind == Kind::Head;
        writer.lines.iter().filter(heads_first).for_each(|line| verifier.take(line));
        writer.lines.iter().filter(|line| !heads_first(line)).for_each(|line| verifier.take(line));
        verifier.sums_erased(count);
        whats(&verifier.finish())
    };
    let found = [(What::Sums, None, None)];
    writer.head_after(1);
    assert_eq!((nameless(&writer, 0), nameless(&writer, 1)), (vec![], found.to_vec()));
    for days in [r#","days":2"#, r#","days":1"#] {
        writer.entry(Kind::Audit, &event(days));
    }
    assert_eq!(nameless(&writer, 1), found, "events count only under a head");
    writer.head();
    assert_eq!((nameless(&writer, 3), nameless(&writer, 4)), (vec![], found.to_vec()));
    // One that broke off does not know.
    writer.entry(Kind::Audit, &event(""));
    writer.head();
    assert_eq!(nameless(&writer, 4), []);
}

/// Whoever forges lines writes their times, too: only heads tell when a file was read out.
#[test]
fn files_were_read_out_when_their_newest_head_was_made() {
    let mut writer = Writer::new();
    writer.head_after(10);
    let genuine = writer.lines.len();
    let made = writer.now;
    writer.other(0xcccc);
    writer.now = made - SignedDuration::from_hours(2);
    writer.many(Kind::Audit, 5);
    let later = made + SignedDuration::from_hours(1_000);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.jsonl");
    let check = |lines: &[Line], trust| {
        std::fs::write(&path, lines.iter().map(|line| format!("{}\n", line.text)).collect::<String>()).unwrap();
        let mut files = Files::default();
        files.add(&path).unwrap();
        let report = files.verify(trust, NEVER, later, |_, _| ()).unwrap();
        (whats(&report), report.late)
    };
    assert_eq!(check(&writer.lines[..genuine], writer.trust()), (vec![], 0));
    let missing = vec![(What::HeadsMissing, Some(Kind::Audit), Some((1, 5)))];
    assert_eq!(check(&writer.lines, writer.trust()), (missing, 5));
    // After it they may be the end of what was exported, and are told as signed by nobody.
    writer.lines.truncate(genuine);
    writer.other(0xcccc);
    writer.now = made + SignedDuration::from_hours(1);
    writer.many(Kind::Audit, 5);
    assert_eq!(check(&writer.lines, writer.trust()), (vec![], 5));
}
