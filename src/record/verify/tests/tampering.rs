//! Single tamperings with a record, each by somebody who may write to the ledger and has not the key: all must be found, and the first finding must
//! name what was done.
//!
//! `TOLLGATE_TAMPERINGS` says how many (1,000; by hand 10,000), `TOLLGATE_TAMPERING_SEED` where chance begins.

use std::collections::BTreeMap;

use super::super::super::chain::{statement, tombstone_text};
use super::super::super::link::entry_hash;
use super::*;

/// Entries of the record.
const ENTRIES: u64 = 2_000;

/// A cheap source of chance with a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % end as u64) as usize
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A line with the place by which the store finds it.
#[derive(Clone)]
struct Row {
    place: (Uuid, usize, u64),
    line: Line,
}

/// What must be named first.
#[derive(Debug)]
enum Right {
    /// One of these entries, by its id.
    Entry(Vec<Uuid>),
    /// Exactly these numbers of this kind.
    Numbers(Kind, u64, u64),
    /// One of these ids, or exactly this number.
    Either(Vec<Uuid>, Kind, u64),
    /// A stretch that has this number in it and reaches no further than from one head to the next.
    Within(Kind, u64),
    /// This head, by its number, as missing.
    Head(u64),
}

struct Bench {
    writer: Writer,
    stranger: Writer,
    rows: Vec<Row>,
    /// The numbers in each chain that heads are about.
    anchors: BTreeMap<Kind, Vec<u64>>,
    last_head: u64,
    erasure: Uuid,
}

impl Bench {
    fn new() -> Self {
        let mut writer = Writer::new();
        let mut chance = Chance(1);
        let mut anchors: BTreeMap<Kind, Vec<u64>> = BTreeMap::new();
        for n in 0..ENTRIES {
            let kind = if chance.below(5) < 3 { Kind::Audit } else { Kind::Usage };
            let user = chance.below(40);
            writer.entry(
                kind,
                &format!(r#","userId":"user-{user}","model":"gpt-4o","rules":["default"],"status":200,"note":"naïve""#),
            );
            if n % 100 == 99 || chance.below(90) == 0 {
                writer.head();
                let ends = writer.chain.ends();
                for (kind, seq) in [(Kind::Audit, ends.audit.seq), (Kind::Usage, ends.usage.seq)] {
                    anchors.entry(kind).or_default().push(seq);
                }
            }
        }
        let last_head = writer.chain.ends().head.number;
        let erasure = v7(writer.now);
        let told = writer.erase(erasure, |line| line.text.contains("user-7\""));
        // The command that erased is an instance of its own.
        writer.other(0xbbbb);
        writer.entry_with(erasure, Kind::Audit, &told);
        writer.head();
        let rows = writer.lines.iter().map(|line| Row { place: place(line).unwrap(), line: line.clone() }).collect();
        Self { writer, stranger: Writer::new(), rows, anchors, last_head, erasure }
    }

    fn main(&self) -> Uuid {
        Uuid::from_u128(0xaaaa)
    }

    fn is_entry(&self, row: &Row) -> bool {
        row.line.kind != Kind::Head && row.place.0 == self.main()
    }

    fn verify(&self, rows: &[Row], keys: &Trust) -> Report {
        let mut rows: Vec<&Row> = rows.iter().collect();
        rows.sort_by_key(|row| row.place);
        let mut verifier = Verifier::new(keys.clone(), NEVER, self.writer.now);
        let mut at = None;
        for row in rows {
            if at.replace(row.place.0) != Some(row.place.0) {
                verifier.instance(row.place.0);
            }
            verifier.take(&row.line);
        }
        verifier.finish()
    }

    /// The place of an entry before the last head, and not the last of its chain.
    fn pick(&self, chance: &mut Chance) -> usize {
        loop {
            let row = chance.below(self.rows.len());
            let Row { place: (_, _, seq), line } = &self.rows[row];
            if self.is_entry(&self.rows[row]) && *seq < *self.anchors[&line.kind].last().unwrap() {
                return row;
            }
        }
    }

    fn pick_plain(&self, chance: &mut Chance) -> usize {
        loop {
            let row = self.pick(chance);
            if !self.rows[row].line.text.contains("\"erased\"") {
                return row;
            }
        }
    }

    fn is_right(&self, finding: &Finding, right: &Right) -> bool {
        match right {
            Right::Entry(ids) => finding.id.is_some_and(|id| ids.contains(&id)),
            Right::Numbers(kind, from, to) => finding.kind == Some(*kind) && finding.seq == Some((*from, *to)),
            Right::Either(ids, kind, seq) => {
                finding.id.is_some_and(|id| ids.contains(&id))
                    || finding.kind == Some(*kind) && finding.seq == Some((*seq, *seq))
            }
            Right::Head(number) => finding.what == What::HeadsMissing && finding.seq == Some((*number, *number)),
            Right::Within(kind, seq) => {
                let Some((from, to)) = finding.seq.filter(|_| finding.kind == Some(*kind)) else { return false };
                let from = finding.since.unwrap_or(from);
                let between = self.anchors[kind].iter().filter(|anchor| (from..to).contains(*anchor)).count();
                (from..=to).contains(seq) && between == 0
            }
        }
    }
}

/// Where a store that reads the text finds the line.
fn place(line: &Line) -> Option<(Uuid, usize, u64)> {
    if line.kind == Kind::Head {
        let head = crate::record::heads::Head::read(&line.text).ok()?;
        return Some((head.instance, 0, head.number));
    }
    let link = Link::read(&line.text).ok()?;
    Some((link.instance, if line.kind == Kind::Audit { 1 } else { 2 }, link.seq))
}

/// Puts a text in the place of another; the store's own members follow where they can be read, or stay.
fn put(row: &mut Row, text: String, follow: bool) {
    row.line.text = text.into();
    if follow && let Ok(line) = Line::read(&row.line.text) {
        row.line = line;
        row.place = place(&row.line).unwrap_or(row.place);
    }
}

/// The line with this payload in the place of another, with a hash that fits.
fn forge(line: &Line, payload: &str, seq: u64, prev: Hash, instance: Uuid) -> Line {
    let digest = Hash::of(payload.as_bytes());
    let mut link = Link { instance, seq, prev, hash: Hash::ZERO, digest, erased: None };
    let mut text = payload.strip_suffix('}').unwrap().to_owned();
    link.hash = entry_hash(line.kind, line.id, line.at, &link);
    link.write(&mut text);
    Line { text: text.into(), ..line.clone() }
}

/// The payload of an entry; that of a tombstone is made up.
fn payload(line: &Line) -> String {
    let body = line.text.rsplit_once(r#","instance":""#).unwrap().0;
    if body.contains("\"erased\"") {
        let salt = "0".repeat(32);
        return format!(r#"{{"kind":"{}","_id":"{}","timestamp":"{}","salt":"{salt}"}}"#, line.kind, line.id, line.at);
    }
    format!("{body}}}")
}

/// Links all of a chain anew from this number on, so that it fits in itself.
fn relink(rows: &mut [Row], kind: Kind, instance: Uuid, from: u64) {
    let mut chain: Vec<&mut Row> =
        rows.iter_mut().filter(|row| row.line.kind == kind && row.place.0 == instance).collect();
    chain.sort_by_key(|row| row.place.2);
    let mut prev = Hash::ZERO;
    for (n, row) in chain.into_iter().enumerate() {
        let seq = n as u64 + 1;
        if seq >= from {
            row.line = forge(&row.line, &payload(&row.line), seq, prev, instance);
            row.place.2 = seq;
        }
        prev = Link::read(&row.line.text).unwrap().hash;
    }
}

const WAYS: usize = 22;

/// One tampering: what it is, the record after it, what must be found first.
fn tamper(bench: &Bench, way: usize, chance: &mut Chance) -> (&'static str, Vec<Row>, Right) {
    let mut rows = bench.rows.clone();
    let follow = chance.below(2) == 0;
    let at = bench.pick(chance);
    let plain = bench.pick_plain(chance);
    let line = rows[at].line.clone();
    let seq = rows[at].place.2;
    let changed = |line: &Line| payload(line).replace("gpt-4o", "gpt-5o");
    let next_of = |rows: &[Row], row: usize| {
        let (instance, rank, seq) = rows[row].place;
        rows.iter().position(|row| row.place == (instance, rank, seq + 1)).unwrap()
    };
    match way {
        0..=2 => {
            // Of any line: entries, tombstones, heads.
            let (row, of) = match way {
                0 => (at, "a byte of an entry is another"),
                1 => loop {
                    let row = chance.below(rows.len());
                    if rows[row].line.kind == Kind::Head {
                        break (row, "a byte of a head is another");
                    }
                },
                _ => loop {
                    let row = chance.below(rows.len());
                    if rows[row].line.text.contains("\"erased\"") && bench.is_entry(&rows[row]) {
                        break (row, "a byte of a tombstone is another");
                    }
                },
            };
            let (id, was) = (rows[row].line.id, rows[row].place);
            let kind = rows[row].line.kind;
            let mut text: Vec<char> = rows[row].line.text.chars().collect();
            let place = chance.below(text.len());
            match chance.below(3) {
                0 => drop(text.remove(place)),
                1 => text.insert(place, chance.of(&['0', ' ', 'x', '"'])),
                _ => {
                    let other = loop {
                        let other = char::from(32 + chance.below(95) as u8);
                        if other != text[place] {
                            break other;
                        }
                    };
                    text[place] = other;
                }
            }
            put(&mut rows[row], text.into_iter().collect(), follow);
            // It is named by its id, as it was or as it reads now, or by the number that is not where it was.
            let ids = vec![id, rows[row].line.id, Line::read(&rows[row].line.text).map_or(id, |line| line.id)];
            let right = Right::Either(ids, kind, was.2);
            (of, rows, right)
        }
        3 => {
            rows[plain].line = {
                let row = &rows[plain];
                let link = Link::read(&row.line.text).unwrap();
                forge(&row.line, &changed(&row.line), row.place.2, link.prev, bench.main())
            };
            let id = rows[plain].line.id;
            ("an entry is changed, and its hash", rows, Right::Entry(vec![id]))
        }
        4 => {
            let (kind, seq) = (rows[plain].line.kind, rows[plain].place.2);
            let link = Link::read(&rows[plain].line.text).unwrap();
            rows[plain].line = forge(&rows[plain].line, &changed(&rows[plain].line), seq, link.prev, bench.main());
            relink(&mut rows, kind, bench.main(), seq + 1);
            // What follows may be tombstones, which nobody without the key can bind to another entry; they are entries now.
            ("an entry is changed, and all after it", rows, Right::Within(kind, seq))
        }
        5 => {
            rows.remove(at);
            ("an entry is removed", rows, Right::Numbers(line.kind, seq, seq))
        }
        6 => {
            let last = *bench.anchors[&line.kind].last().unwrap();
            let to = (seq + 1 + chance.below(50) as u64).min(last);
            rows.retain(|row| !bench.is_entry(row) || row.line.kind != line.kind || !(seq..=to).contains(&row.place.2));
            ("a stretch is removed", rows, Right::Numbers(line.kind, seq, to))
        }
        7 => {
            rows.remove(at);
            relink(&mut rows, line.kind, bench.main(), seq);
            ("an entry is removed, and all after it renumbered", rows, Right::Within(line.kind, seq))
        }
        8 => {
            let next = next_of(&rows, at);
            let prev = Link::read(&line.text).unwrap().prev;
            let follower = rows[next].line.clone();
            rows[next].line = forge(&follower, &payload(&follower), seq, prev, bench.main());
            rows[next].place.2 = seq;
            rows.remove(at);
            // What is gone is a number: that which the next one had. A head may be about the entry itself.
            let headed = bench.anchors[&line.kind].contains(&seq);
            let right =
                if headed { Right::Within(line.kind, seq) } else { Right::Numbers(line.kind, seq + 1, seq + 1) };
            ("an entry is removed, and the next one has its number", rows, right)
        }
        9 | 10 => {
            let next = next_of(&rows, plain);
            let (one, two) = (rows[plain].clone(), rows[next].clone());
            let swap = |place: &Row, what: &Row| {
                let link = Link::read(&place.line.text).unwrap();
                if way == 9 {
                    let mut text = payload(&what.line);
                    text.pop();
                    Link { erased: None, ..link }.write(&mut text);
                    return Line { text: text.into(), ..what.line.clone() };
                }
                forge(&what.line, &payload(&what.line), place.place.2, link.prev, bench.main())
            };
            rows[plain].line = swap(&one, &two);
            rows[next].line = swap(&two, &one);
            let of = if way == 9 { "two entries are swapped" } else { "two entries are swapped, and their hashes fit" };
            // Where no entry follows, only the head contradicts, and it tells no more than the stretch.
            let last = !rows.iter().any(|row| row.place == (bench.main(), two.place.1, two.place.2 + 1));
            let right = if last {
                Right::Within(one.line.kind, one.place.2)
            } else {
                Right::Entry(vec![one.line.id, two.line.id])
            };
            (of, rows, right)
        }
        11 => {
            let row = rows[at].clone();
            rows.push(row);
            ("an entry is there twice", rows, Right::Entry(vec![line.id]))
        }
        12 => {
            let mut row = rows[at].clone();
            row.line.id = Uuid::from_u128(1 << 100);
            row.line.text = line.text.replace(&line.id.to_string(), &row.line.id.to_string()).into();
            let id = row.line.id;
            rows.insert(chance.below(rows.len()), row);
            ("a copy of an entry with another id is put in", rows, Right::Entry(vec![id]))
        }
        13 => {
            let id = Uuid::from_u128(1 << 100);
            let prev = Link::read(&line.text).unwrap().prev;
            let forged = Line { id, ..line.clone() };
            let payload = payload(&line).replace(&line.id.to_string(), &id.to_string());
            let row = Row { place: rows[at].place, line: forge(&forged, &payload, seq, prev, bench.main()) };
            rows.insert(if follow { 0 } else { rows.len() }, row);
            ("a forged entry with a hash that fits is put in", rows, Right::Entry(vec![id]))
        }
        14 => {
            let id = Uuid::from_u128(1 << 100);
            let forged = Line { id, ..line.clone() };
            let payload = payload(&line).replace(&line.id.to_string(), &id.to_string());
            for row in
                rows.iter_mut().filter(|row| bench.is_entry(row) && row.line.kind == line.kind && row.place.2 >= seq)
            {
                row.place.2 += 1;
            }
            rows.push(Row {
                place: bench.rows[at].place,
                line: forge(&forged, &payload, seq, Hash::ZERO, bench.main()),
            });
            relink(&mut rows, line.kind, bench.main(), seq);
            ("a forged entry is put in, and all after it renumbered", rows, Right::Within(line.kind, seq))
        }
        15 => {
            rows.retain(|row| !bench.is_entry(row) || row.line.kind != line.kind || row.place.2 < seq);
            let last = *bench.anchors[&line.kind].last().unwrap();
            ("the tail is cut", rows, Right::Numbers(line.kind, seq, last))
        }
        16 => {
            let number = 1 + chance.below(bench.last_head as usize - 1) as u64;
            rows.retain(|row| row.place != (bench.main(), 0, number));
            ("a head is removed", rows, Right::Head(number))
        }
        17 => {
            let number = 1 + chance.below(bench.last_head as usize) as u64;
            let row = rows.iter_mut().find(|row| row.place == (bench.main(), 0, number)).unwrap();
            let id = row.line.id;
            let signature = bench.stranger.signer.sign(b"").unwrap();
            let real = row.line.text.rsplit_once(r#""signature":""#).unwrap().1.to_owned();
            let text = match chance.below(3) {
                0 => row.line.text.replace(bench.writer.signer.public().id(), bench.stranger.signer.public().id()),
                1 => row.line.text.replace(&real, &format!("{signature}\"}}")),
                _ => row.line.text.replacen(r#""usage":{"seq":"#, r#""usage":{"seq":1"#, 1),
            };
            put(row, text, false);
            ("a head is forged", rows, Right::Entry(vec![id]))
        }
        18 => {
            // Somebody with another key signs the whole record anew.
            let mut chain = Chain::new(bench.main());
            relink(&mut rows, line.kind, bench.main(), seq);
            let mut first = None;
            for row in rows.iter_mut().filter(|row| row.line.kind == Kind::Head && row.place.0 == bench.main()) {
                row.line = chain.head(&bench.stranger.signer, row.line.id, row.line.at).unwrap();
                first.get_or_insert(row.line.id);
            }
            ("the key is replaced, and all is signed anew", rows, Right::Entry(first.into_iter().collect()))
        }
        19 => {
            let link = Link::read(&rows[plain].line.text).unwrap();
            let line = rows[plain].line.clone();
            let erasure = if follow { bench.erasure } else { v7(bench.writer.now) };
            let (own, theirs) = (&bench.writer.signer, &bench.stranger.signer);
            let signature = theirs.sign(&statement(erasure, link.hash)).unwrap();
            let key = chance.of(&[own, theirs]).public().id();
            // That of another tombstone is a signature of the right key.
            let other = rows.iter().find_map(|row| Link::read(&row.line.text).ok()?.erased).unwrap().signature;
            let signature = if chance.below(2) == 0 { signature } else { other.into() };
            rows[plain].line.text = tombstone_text(&line, &link, erasure, key, &signature).unwrap().into();
            ("a tombstone is made by hand", rows, Right::Entry(vec![line.id]))
        }
        20 => {
            // The end after the last head is nobody's: an event that explains the hole is written there.
            let last = *bench.anchors[&line.kind].last().unwrap();
            let to = (seq + chance.below(20) as u64).min(last);
            let tail = rows
                .iter()
                .filter(|row| bench.is_entry(row) && row.line.kind == Kind::Audit)
                .max_by_key(|row| row.place.2)
                .unwrap();
            let (end, number) = (Link::read(&tail.line.text).unwrap(), tail.place.2 + 1);
            let id = Uuid::from_u128(1 << 100);
            let salt = "0".repeat(32);
            let payload = format!(
                r#"{{"kind":"audit","_id":"{id}","timestamp":"{}","action":"records.gap","about":{{"kind":"{}","from":{seq},"to":{to},"reason":"damage"}},"salt":"{salt}"}}"#,
                line.at, line.kind
            );
            let forged = Line { kind: Kind::Audit, id, at: line.at, text: "".into() };
            let forged = forge(&forged, &payload, number, end.hash, bench.main());
            rows.push(Row { place: (bench.main(), 1, number), line: forged });
            rows.retain(|row| !bench.is_entry(row) || row.line.kind != line.kind || !(seq..=to).contains(&row.place.2));
            ("a stretch is removed, and an event tells that it was lost", rows, Right::Numbers(line.kind, seq, to))
        }
        _ => {
            rows.retain(|row| row.place.0 == bench.main());
            let first = rows
                .iter()
                .filter(|row| row.line.text.contains("\"erased\""))
                .min_by_key(|row| row.place)
                .unwrap()
                .line
                .id;
            ("the event of an erasure is removed with its chain", rows, Right::Entry(vec![first]))
        }
    }
}

#[test]
fn every_single_tampering_before_the_last_head_is_found_and_named() {
    let sized =
        |name: &str, usual: u64| std::env::var_os(name).map_or(usual, |text| text.to_string_lossy().parse().unwrap());
    let (tamperings, seed) = (sized("TOLLGATE_TAMPERINGS", 1_000), sized("TOLLGATE_TAMPERING_SEED", 1));
    let bench = Bench::new();
    let trust = bench.writer.trust();
    let untouched = bench.verify(&bench.rows, &trust);
    assert_eq!(untouched.findings, []);
    assert!(untouched.entries() == ENTRIES + 1 && untouched.erased() > 20, "{untouched:?}");
    let work = |worker: u64| {
        let (mut counts, mut faults) = (BTreeMap::<&str, u64>::new(), Vec::new());
        for n in (worker..tamperings).step_by(2) {
            let mut chance = Chance(seed.wrapping_mul(1_000_003).wrapping_add(n));
            let (of, rows, right) = tamper(&bench, n as usize % WAYS, &mut chance);
            let report = bench.verify(&rows, &trust);
            *counts.entry(of).or_default() += 1;
            if !report.findings.first().is_some_and(|first| bench.is_right(first, &right)) {
                let told: Vec<String> = report.findings.iter().take(3).map(ToString::to_string).collect();
                faults.push(format!("tampering {n}: {of}: {right:?} is not what is named first: {told:#?}"));
            }
        }
        (counts, faults)
    };
    let (counts, faults) = std::thread::scope(|scope| {
        let other = scope.spawn(|| work(1));
        let (mut counts, mut faults) = work(0);
        let (more, too) = other.join().unwrap();
        for (of, count) in more {
            *counts.entry(of).or_default() += count;
        }
        faults.extend(too);
        (counts, faults)
    });
    let all = counts.values().sum::<u64>();
    let some = faults.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{} of {all}, seed {seed}:\n{some}", faults.len());
    assert_eq!(all, tamperings);
    assert!(tamperings < 100 || counts.len() == WAYS, "{counts:?}");
}
