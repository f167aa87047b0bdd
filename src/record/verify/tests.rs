use std::cell::Cell;

use proptest::prelude::*;

use super::super::chain::{Chain, Erasure, Tombed, root};
use super::super::heads::Signer;
use super::super::link::Link;
use super::super::linker;
use super::*;

mod beginnings;
mod tampering;
mod unsigned;

const START: &str = "2026-11-21T08:00:00Z";

/// A record as a ledger keeps it, and the one who writes it.
struct Writer {
    signer: Signer,
    _directory: tempfile::TempDir,
    chain: Chain,
    lines: Vec<Line>,
    now: Timestamp,
    made: u128,
}

impl Writer {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let signer = Signer::open_or_make(&directory.path().join("signing.key")).unwrap();
        let chain = Chain::new(Uuid::from_u128(0xaaaa));
        Self { signer, _directory: directory, chain, lines: Vec::new(), now: START.parse().unwrap(), made: 0 }
    }

    fn id(&mut self) -> Uuid {
        self.made += 1;
        Uuid::from_u128(self.made)
    }

    /// One more entry, a second later.
    fn entry(&mut self, kind: Kind, members: &str) -> Line {
        let id = self.id();
        self.entry_with(id, kind, members)
    }

    fn entry_with(&mut self, id: Uuid, kind: Kind, members: &str) -> Line {
        self.now += SignedDuration::from_secs(1);
        let text = format!(r#"{{"kind":"{kind}","_id":"{id}","timestamp":"{}"{members}}}"#, self.now);
        let line = self.chain.link(&Line::read(&text).unwrap()).unwrap();
        self.lines.push(line.clone());
        line
    }

    fn many(&mut self, kind: Kind, count: u64) {
        for n in 0..count {
            self.entry(
                kind,
                &format!(r#","userId":"user-{}","model":"gpt-4o","rules":["default"],"status":200"#, n % 7),
            );
        }
    }

    fn head(&mut self) -> Line {
        let id = self.id();
        let line = self.chain.head(&self.signer, id, self.now).unwrap();
        self.lines.push(line.clone());
        line
    }

    /// A head after so many more entries.
    fn head_after(&mut self, entries: u64) -> Line {
        self.many(Kind::Audit, entries);
        self.head()
    }

    fn lose(&mut self, kind: Kind, from: u64, to: u64) {
        self.lines.retain(|line| line.kind != kind || !(from..=to).contains(&seq(line)));
    }

    /// Goes on as another instance: a command's, or another replica's.
    fn other(&mut self, instance: u128) {
        self.chain = Chain::new(Uuid::from_u128(instance));
    }

    /// Erases what these choose, and returns the members of the event that tells of it.
    fn erase(&mut self, id: Uuid, chosen: impl Fn(&Line) -> bool) -> String {
        let erasure = Erasure { id, signer: &self.signer };
        let mut erased = Vec::new();
        for line in self.lines.iter_mut().filter(|line| line.kind != Kind::Head && chosen(line)) {
            *line = erasure.tombstone(line).unwrap();
            erased.push(Tombed::read(line, id).unwrap());
        }
        let root = root(&mut erased);
        format!(r#","action":"records.erased","about":{{"count":{},"root":"{root}"}}"#, erased.len())
    }

    fn trust(&self) -> Trust {
        Trust { keys: vec![self.signer.public().clone()], ..Trust::default() }
    }

    fn verify(&self) -> Report {
        verify(&self.lines, self.trust(), NEVER, self.now)
    }
}

const NEVER: Keep = Keep { audit: Expiry::Never, usage: Expiry::Never, heads: Expiry::Never };

/// The number of a line in its chain, or of a head.
fn seq(line: &Line) -> u64 {
    match line.kind {
        Kind::Head => crate::record::heads::Head::read(&line.text).unwrap().number,
        _ => Link::read(&line.text).unwrap().seq,
    }
}

fn instance(line: &Line) -> Uuid {
    match line.kind {
        Kind::Head => crate::record::heads::Head::read(&line.text).unwrap().instance,
        _ => Link::read(&line.text).unwrap().instance,
    }
}

/// Hands all lines to a verifier as a ledger does: by instance, heads first, by number.
fn verify(lines: &[Line], trust: Trust, keep: Keep, now: Timestamp) -> Report {
    let rank = |line: &Line| [Kind::Head, Kind::Audit, Kind::Usage].iter().position(|kind| *kind == line.kind);
    let mut lines: Vec<&Line> = lines.iter().collect();
    lines.sort_by_cached_key(|line| (instance(line), rank(line), seq(line)));
    let mut verifier = Verifier::new(trust, keep, now);
    let mut at = None;
    for line in lines {
        if at.replace(instance(line)) != Some(instance(line)) {
            verifier.instance(instance(line));
        }
        verifier.take(line);
    }
    verifier.finish()
}

type About = (What, Option<Kind>, Option<(u64, u64)>);

fn whats(report: &Report) -> Vec<About> {
    report.findings.iter().map(|finding| (finding.what, finding.kind, finding.seq)).collect()
}

#[test]
fn a_record_that_was_left_alone_is_good_and_its_summary_adds_up() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 30);
    writer.many(Kind::Usage, 20);
    writer.head();
    let signed = writer.now;
    writer.many(Kind::Audit, 3);
    let report = writer.verify();
    assert_eq!(report.findings, []);
    assert!(report.is_good());
    assert_eq!((report.entries(), report.heads, report.uncovered()), (53, 1, 3));
    let [audit, usage] = &report.chains[..] else { panic!("{report:?}") };
    assert_eq!(
        (audit.kind, audit.entries, audit.covered, audit.span),
        (Kind::Audit, 33, Some((30, signed)), Some((1, 33)))
    );
    assert_eq!((usage.kind, usage.entries, usage.covered, usage.uncovered), (Kind::Usage, 20, Some((20, signed)), 0));
    assert_eq!(verify(&[], writer.trust(), NEVER, writer.now), Report::default());
}

#[test]
fn erasing_leaves_a_record_that_verifies() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 40);
    writer.head();
    writer.many(Kind::Usage, 40);
    writer.head();
    let erasure = v7(writer.now);
    let told = writer.erase(erasure, |line| line.text.contains("user-3"));
    writer.other(0xbbbb);
    writer.entry_with(erasure, Kind::Audit, &told);
    let unsigned = writer.verify();
    assert_eq!(
        whats(&unsigned),
        [(What::Erased, Some(Kind::Audit), Some((4, 4)))],
        "an event is believed only under a head"
    );
    assert!(unsigned.findings[0].why.contains("no head covers the event"), "{}", unsigned.findings[0]);
    writer.head();
    let report = writer.verify();
    assert_eq!(report.findings, []);
    assert_eq!((report.erased(), report.erasures, report.entries(), report.uncovered()), (12, 1, 81, 0));
}

#[test]
fn an_erasure_is_what_its_event_tells() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 40);
    writer.head();
    let erasure = v7(writer.now);
    let original = writer.lines.clone();
    let told = writer.erase(erasure, |line| line.text.contains("user-3"));
    writer.other(0xbbbb);
    let event = writer.entry_with(erasure, Kind::Audit, &told);
    writer.head();
    assert_eq!(writer.verify().findings, []);
    // One that was erased is back.
    let mut back = writer.lines.clone();
    let place = back.iter().position(|line| line.text.contains("\"erased\"")).unwrap();
    back[place] = original[place].clone();
    let report = verify(&back, writer.trust(), NEVER, writer.now);
    assert_eq!(
        report.findings.iter().map(|finding| (finding.what, finding.id)).collect::<Vec<_>>(),
        [(What::Erasure, Some(event.id))]
    );
    assert!(report.findings[0].why.contains("tells of 6 erased entries, and 5"), "{}", report.findings[0]);
    // The key's holder erases one more under the same erasure.
    let signer = Erasure { id: erasure, signer: &writer.signer };
    let mut more = writer.lines.clone();
    more[0] = signer.tombstone(&more[0]).unwrap();
    assert_eq!(
        whats(&verify(&more, writer.trust(), NEVER, writer.now)),
        [(What::Erasure, Some(Kind::Audit), Some((1, 1)))]
    );
    // The event is gone with its whole instance.
    let mut gone = writer.lines.clone();
    gone.retain(|line| instance(line) != Uuid::from_u128(0xbbbb));
    let report = verify(&gone, writer.trust(), NEVER, writer.now);
    assert_eq!(whats(&report), [(What::Erased, Some(Kind::Audit), Some((4, 4)))]);
    assert!(report.findings[0].why.contains("the event that tells of it is gone"), "{}", report.findings[0]);
    // After the time for which events are kept, it may be.
    let keep = Keep { audit: Expiry::After(SignedDuration::from_hours(24)), ..NEVER };
    let later = writer.now + SignedDuration::from_hours(72);
    assert_eq!(verify(&gone, writer.trust(), keep, later).findings, []);
}

#[test]
fn a_lost_stretch_is_told_as_recorded_and_only_under_a_head() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 20);
    writer.head();
    writer.many(Kind::Usage, 20);
    writer.many(Kind::Audit, 20);
    writer.head();
    writer.lose(Kind::Usage, 5, 7);
    writer.lose(Kind::Audit, 30, 31);
    assert_eq!(
        whats(&writer.verify()),
        [(What::Removed, Some(Kind::Usage), Some((5, 7))), (What::Removed, Some(Kind::Audit), Some((30, 31))),]
    );
    for (kind, from, to) in [(Kind::Usage, 5, 7), (Kind::Audit, 30, 31)] {
        let about = format!(r#""about":{{"kind":"{kind}","from":{from},"to":{to},"reason":"damage"}}"#);
        writer.entry(Kind::Audit, &format!(r#","action":"records.gap",{about}"#));
    }
    let report = writer.verify();
    assert_eq!(report.findings.len(), 2, "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.why.contains("no head covers that event")), "{report:?}");
    writer.entry(Kind::Audit, r#","action":"records.gap","about":{"audit":3,"usage":4,"reason":"full"}"#);
    writer.head();
    let report = writer.verify();
    assert_eq!(report.findings, []);
    assert_eq!((report.lost(), report.dropped), (5, (3, 4)));
    assert_eq!(report.uncovered(), 9 + 4, "what stands between a head and a lost stretch is not covered");
}

#[test]
fn lost_heads_are_told_as_well() {
    let mut writer = Writer::new();
    for _ in 0..4 {
        writer.many(Kind::Audit, 5);
        writer.head();
    }
    writer.lose(Kind::Head, 2, 3);
    assert_eq!(whats(&writer.verify()), [(What::HeadsMissing, Some(Kind::Head), Some((2, 3)))]);
    writer.entry(Kind::Audit, r#","action":"records.gap","about":{"kind":"head","from":2,"to":3,"reason":"damage"}"#);
    writer.head();
    assert_eq!(writer.verify().findings, []);
}

#[test]
fn what_is_old_enough_may_be_missing_and_nothing_else() {
    let mut writer = Writer::new();
    for _ in 0..100 {
        writer.many(Kind::Audit, 10);
        writer.many(Kind::Usage, 10);
        writer.head();
        writer.now += SignedDuration::from_hours(24);
    }
    let day = |days: i64| Expiry::After(SignedDuration::from_hours(24 * days));
    let keep = Keep { audit: day(30), usage: day(60), heads: day(60) };
    let cut = |audit: u64, usage: u64, heads: u64| {
        let kept = |line: &&Line| {
            seq(line)
                > match line.kind {
                    Kind::Audit => audit,
                    Kind::Usage => usage,
                    Kind::Head => heads,
                }
        };
        let lines: Vec<Line> = writer.lines.iter().filter(kept).cloned().collect();
        verify(&lines, writer.trust(), keep, writer.now)
    };
    assert_eq!(cut(0, 0, 0).findings, []);
    let report = cut(700, 400, 40);
    assert_eq!(report.findings, []);
    assert_eq!(report.expired(), 1_100);
    // Entries are written up to 30 hours late: what was written a day after the time of expiry may have expired, and no more.
    assert_eq!(cut(720, 420, 42).findings, []);
    assert_eq!(whats(&cut(730, 400, 40)), [(What::Removed, Some(Kind::Audit), Some((721, 730)))]);
    assert_eq!(whats(&cut(700, 430, 40)), [(What::Removed, Some(Kind::Usage), Some((421, 430)))]);
    // Without heads that are old enough, nothing shows that the turns before them are.
    let unshown =
        [(What::HeadsMissing, Some(Kind::Head), Some((1, 43))), (What::Removed, Some(Kind::Usage), Some((1, 400)))];
    assert_eq!(whats(&cut(700, 400, 43)), unshown);
    // Nobody came for a month, and all heads before that have expired: the first one after tells of the one before.
    let mut idle = writer.lines.clone();
    idle.retain(|line| seq(line) > if line.kind == Kind::Head { 100 } else { 1_000 });
    writer.now += SignedDuration::from_hours(24 * 90);
    let keep = Keep { audit: day(60), ..keep };
    writer.lines = idle;
    writer.many(Kind::Audit, 10);
    writer.head();
    let report = writer_verify(&writer, keep);
    assert_eq!(report.findings, []);
    assert_eq!(report.expired(), 2_000);
    // An export may begin anywhere, and must have no holes.
    let unknown = Keep { audit: Expiry::Unknown, usage: Expiry::Unknown, heads: Expiry::Unknown };
    writer.lose(Kind::Audit, 1_001, 1_003);
    assert_eq!(writer_verify(&writer, unknown).findings, []);
    writer.lose(Kind::Audit, 1_007, 1_007);
    assert_eq!(whats(&writer_verify(&writer, unknown)), [(What::Removed, Some(Kind::Audit), Some((1_007, 1_007)))]);
}

fn writer_verify(writer: &Writer, keep: Keep) -> Report {
    verify(&writer.lines, writer.trust(), keep, writer.now)
}

#[test]
fn heads_that_the_log_told_of_must_be_there() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 10);
    writer.head();
    writer.many(Kind::Audit, 10);
    let last = writer.head();
    let seen = Seen { instance: instance(&last), number: 2, hash: Hash::of(last.text.as_bytes()) };
    let trust = Trust { seen: vec![seen], ..writer.trust() };
    assert_eq!(verify(&writer.lines, trust.clone(), NEVER, writer.now).findings, []);
    // The record is rolled back to the first head: nothing in itself tells.
    writer.lose(Kind::Head, 2, 2);
    writer.lose(Kind::Audit, 15, 20);
    assert_eq!(writer.verify().findings, []);
    let missing = [(What::HeadsMissing, Some(Kind::Head), Some((2, 2)))];
    assert_eq!(whats(&verify(&writer.lines, trust.clone(), NEVER, writer.now)), missing);
    assert_eq!(whats(&verify(&[], trust, NEVER, writer.now)), missing);
    let other = Seen { hash: Hash::ZERO, number: 1, ..seen };
    let trust = Trust { seen: vec![other], ..writer.trust() };
    assert_eq!(whats(&verify(&writer.lines, trust, NEVER, writer.now)), [(What::Head, Some(Kind::Head), Some((1, 1)))]);
}

#[test]
fn an_instance_that_another_one_names_must_be_there() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 5);
    writer.head();
    let head = writer.head_after(3);
    let link = linker::end_of(&head).unwrap();
    writer.other(0xbbbb);
    let entry = linker::event(writer.now, "embedded", vec![link]).line().unwrap();
    let event = writer.chain.link(&entry).unwrap();
    writer.lines.push(event.clone());
    writer.head();
    let trust = |store| Trust { known: Known::of(&event, store), ..writer.trust() };
    let verified = |lines: &[Line], store, keep| verify(lines, trust(store), keep, writer.now);
    assert_eq!(verified(&writer.lines, Some("embedded"), NEVER).findings, []);
    let gone: Vec<_> = writer.lines.iter().filter(|line| instance(line) != link.instance).cloned().collect();
    let report = verified(&gone, Some("embedded"), NEVER);
    assert_eq!(whats(&report), [(What::HeadsMissing, Some(Kind::Head), Some((2, 2)))]);
    assert!(report.findings[0].why.contains("the whole instance is gone"), "{}", report.findings[0]);
    assert_eq!(verified(&gone, Some("mongo"), NEVER).findings, [], "of that store nothing is told");
    let heads = Keep { heads: Expiry::After(SignedDuration::ZERO), ..NEVER };
    assert_eq!(verified(&gone, Some("embedded"), heads).findings, [], "it has expired");
    // Rolled back to before the head that was named.
    let back: Vec<_> = writer.lines.iter().filter(|line| line.id != head.id).cloned().collect();
    let report = verified(&back, Some("embedded"), NEVER);
    assert!(report.findings.iter().any(|finding| finding.why.contains("tells that it was there")), "{report:?}");
    // Who has no chain names nothing.
    assert_eq!(Known::of(&entry, None), []);
}

#[test]
fn entries_without_heads_are_found_when_a_head_is_due() {
    let missing = |from, to| (What::HeadsMissing, Some(Kind::Audit), Some((from, to)));
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 10);
    assert_eq!(writer.verify().findings, []);
    let later = writer.now + SignedDuration::from_mins(3);
    assert_eq!(whats(&verify(&writer.lines, writer.trust(), NEVER, later)), [missing(1, 10)]);
    writer.head();
    assert_eq!(verify(&writer.lines, writer.trust(), NEVER, later).findings, [], "all of it is signed");
    writer.many(Kind::Audit, 2_024);
    assert_eq!(whats(&writer.verify()), [missing(11, 2_034)], "so many get a head");
    writer.head();
    // Put in behind the last head: of the past, or of the future.
    let now = writer.now;
    writer.now = now - SignedDuration::from_hours(400);
    writer.many(Kind::Audit, 5);
    assert_eq!(whats(&verify(&writer.lines, writer.trust(), NEVER, now)), [missing(2_035, 2_039)]);
    writer.lines.truncate(writer.lines.len() - 5);
    assert_eq!(verify(&writer.lines, writer.trust(), NEVER, now).findings, []);
    writer.other(0xcccc);
    writer.now = now + SignedDuration::from_hours(400_000);
    writer.many(Kind::Audit, 5);
    let report = verify(&writer.lines, writer.trust(), NEVER, now);
    assert_eq!(whats(&report), [missing(1, 5)]);
    assert!(report.findings[0].why.contains("of the future"), "{}", report.findings[0]);
}

#[test]
fn a_turn_that_was_settled_just_now_needs_no_head_yet() {
    let mut writer = Writer::new();
    let settled = writer.now + SignedDuration::from_hours(5);
    writer.entry(Kind::Usage, &format!(r#","time":34.1,"settled":"{settled}""#));
    assert_eq!(verify(&writer.lines, writer.trust(), NEVER, settled).findings, []);
    let later = settled + SignedDuration::from_mins(3);
    assert_eq!(whats(&verify(&writer.lines, writer.trust(), NEVER, later)).len(), 1);
}

#[test]
fn two_histories_of_one_key_are_found() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 10);
    writer.head();
    let copy = writer.chain.clone();
    writer.many(Kind::Audit, 10);
    writer.head();
    // The data directory is put back to what it was, and goes on from there.
    writer.chain = copy;
    writer.many(Kind::Audit, 5);
    writer.head();
    let report = writer.verify();
    assert!(
        report.findings.iter().any(|finding| finding.what == What::Head && finding.why.contains("two histories")),
        "{report:?}"
    );
    assert!(
        report.findings.iter().any(|finding| finding.what == What::Inserted && finding.kind == Some(Kind::Audit)),
        "{report:?}"
    );
}

#[test]
fn what_the_store_finds_it_by_must_be_what_the_text_says() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 10);
    writer.head();
    for change in
        [|line: &mut Line| line.id = Uuid::from_u128(77), |line: &mut Line| line.at += SignedDuration::from_hours(1)]
    {
        let mut lines = writer.lines.clone();
        change(&mut lines[4]);
        let report = verify(&lines, writer.trust(), NEVER, writer.now);
        assert_eq!(whats(&report), [(What::Edited, Some(Kind::Audit), Some((5, 5)))]);
    }
}

#[test]
fn lines_out_of_order_are_found() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 10);
    writer.head();
    let mut verifier = Verifier::new(writer.trust(), NEVER, writer.now);
    verifier.instance(Uuid::from_u128(0xaaaa));
    verifier.take(&writer.lines[10]);
    for place in [0, 1, 3, 2, 4, 5, 6, 7, 8, 9] {
        verifier.take(&writer.lines[place]);
    }
    let report = verifier.finish();
    assert!(whats(&report).contains(&(What::Reordered, Some(Kind::Audit), Some((3, 3)))), "{report:?}");
    let mut verifier = Verifier::new(writer.trust(), NEVER, writer.now);
    verifier.take(&writer.lines[0]);
    assert_eq!(verifier.finish().findings[0].why, "it is of no instance");
}

#[test]
fn findings_are_told_up_to_a_thousand_and_the_rest_counted() {
    let mut writer = Writer::new();
    writer.many(Kind::Audit, 1_500);
    writer.head();
    for line in &mut writer.lines {
        line.text = line.text.replace("gpt-4o", "gpt-5o").into();
    }
    let report = writer.verify();
    assert_eq!((report.findings.len(), report.more), (1_000, 500));
    assert_eq!(report.findings[0].seq, Some((1, 1)));
}

#[test]
fn files_are_verified_in_any_order_and_copies_of_a_line_count_once() {
    let mut writer = Writer::new();
    for _ in 0..5 {
        writer.many(Kind::Audit, 20);
        writer.many(Kind::Usage, 10);
        writer.head();
    }
    let directory = tempfile::tempdir().unwrap();
    let text = |lines: &[Line]| lines.iter().map(|line| format!("{}\n", line.text)).collect::<String>();
    let check = |parts: &[String]| {
        let mut files = Files::default();
        for (n, part) in parts.iter().enumerate() {
            let path = directory.path().join(format!("{n}.jsonl"));
            std::fs::write(&path, part).unwrap();
            files.add(&path).unwrap();
        }
        let told = Cell::new((0, 0));
        let report = files.verify(writer.trust(), NEVER, writer.now, |done, all| told.set((done, all))).unwrap();
        (report, told.get())
    };
    let mut reversed = writer.lines.clone();
    reversed.reverse();
    let (report, told) = check(&[text(&reversed)]);
    assert_eq!((report.findings.len(), report.entries(), report.heads, told), (0, 150, 5, (155, 155)), "{report:?}");
    // Two files that overlap, the last line without a line break, and lines from before there were chains.
    let old = r#"{"kind":"audit","_id":"00000000-0000-0000-0000-000000000001","timestamp":"2026-01-01T00:00:00Z"}"#;
    let (later, sooner) = (text(&writer.lines[60..]), text(&writer.lines[..100]));
    let (report, _) = check(&[later.trim_end().to_owned(), format!("{old}\n\n{sooner}")]);
    assert_eq!(
        (report.findings.len(), report.entries(), report.copies, report.unchained),
        (0, 150, 40, 1),
        "{report:?}"
    );
    // Twice in one file is put in.
    let twice = format!("{}{}\n", text(&writer.lines), writer.lines[3].text);
    let (report, _) = check(&[twice]);
    assert_eq!(whats(&report), [(What::Inserted, Some(Kind::Audit), Some((4, 4)))]);
    // What is no line is named by its place.
    let damaged = text(&writer.lines).replacen("\"prevHash\"", "\"prevhash\"", 1);
    let (report, _) = check(&[damaged, "\u{0}\n".to_owned()]);
    let whys: Vec<&str> = report.findings.iter().map(|finding| &*finding.why).collect();
    assert!(whys[0].contains("0.jsonl:1: ") && whys[1].contains("1.jsonl:1: "), "{whys:?}");
    assert_eq!(whats(&report)[2], (What::Removed, Some(Kind::Audit), Some((1, 1))));
    let fault = Files::default().add(&directory.path().join("none")).unwrap_err().to_string();
    assert!(fault.contains("cannot read") && fault.contains("none"), "{fault}");
}

fn v7(at: Timestamp) -> Uuid {
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, at.as_second().unsigned_abs(), 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written, in whatever order, verifies: entries, heads, other instances, erasures.
    #[test]
    fn any_sequence_of_links_verifies(steps in prop::collection::vec((0..12_u8, 0..7_u8, ".{0,12}"), 0..120)) {
        let mut writer = Writer::new();
        for (n, (step, user, text)) in steps.into_iter().enumerate() {
            let members = format!(r#","userId":"user-{user}","note":{}"#, serde_json::to_string(&text).unwrap());
            match step {
                0..5 => drop(writer.entry(Kind::Audit, &members)),
                5..9 => drop(writer.entry(Kind::Usage, &members)),
                9 => drop(writer.head()),
                10 => writer.other(0xaab0 + n as u128),
                _ => {
                    let erasure = v7(writer.now + SignedDuration::from_secs(n as i64));
                    let whose = format!("user-{user}");
                    let told = writer.erase(erasure, |line| line.text.contains(&whose));
                    writer.other(0xaab0 + n as u128);
                    writer.entry_with(erasure, Kind::Audit, &told);
                    writer.head();
                }
            }
        }
        let report = writer.verify();
        prop_assert_eq!(&report.findings, &[]);
        let entries = writer.lines.iter().filter(|line| line.kind != Kind::Head).count() as u64;
        prop_assert_eq!(report.entries(), entries);
        prop_assert_eq!(report.heads, writer.lines.len() as u64 - entries);
    }
}
