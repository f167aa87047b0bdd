use proptest::prelude::*;

use super::*;
use crate::record::link::Hash;

fn entry(n: u128, kind: Kind) -> Line {
    let (id, at) = (Uuid::from_u128(n), Timestamp::from_microsecond(1_800_000_000_000_000).unwrap());
    let text = format!(r#"{{"kind":"{kind}","_id":"{id}","timestamp":"{at}","userId":"a"}}"#);
    Line::read(&text).unwrap()
}

fn signer() -> (tempfile::TempDir, Signer) {
    let directory = tempfile::tempdir().unwrap();
    let signer = Signer::open_or_make(&directory.path().join("signing.key")).unwrap();
    (directory, signer)
}

/// The formulas of `docs/records.md`, written out once more.
#[test]
fn a_link_is_what_the_documentation_says() {
    let mut chain = Chain::new(Uuid::from_u128(7));
    let mut prev = Hash::ZERO;
    for seq in 1..=3_u64 {
        let given = entry(u128::from(seq), Kind::Usage);
        let line = chain.link(&given).unwrap();
        let (payload, _) = line.text.rsplit_once(r#","instance""#).unwrap();
        let payload = format!("{payload}}}");
        assert!(payload.starts_with(given.text.strip_suffix('}').unwrap()), "{payload}");
        let mut bytes = b"tollgate entry 1\nusage\n".to_vec();
        bytes.extend(line.id.as_bytes());
        bytes.extend(line.at.as_nanosecond().to_be_bytes());
        bytes.extend(Uuid::from_u128(7).as_bytes());
        bytes.extend(seq.to_be_bytes());
        bytes.extend(prev.0);
        bytes.extend(Hash::of(payload.as_bytes()).0);
        let hash = Hash::of(&bytes);
        let end = format!(r#","instance":"{}","seq":{seq},"prevHash":"{prev}","hash":"{hash}"}}"#, Uuid::from_u128(7));
        assert!(line.text.ends_with(&end), "{}", line.text);
        assert_eq!(Line::read(&line.text).unwrap(), line);
        assert_eq!(chain.ends().usage, End { seq, hash });
        assert_eq!(chain.ends().audit, End::default());
        prev = hash;
    }
}

#[test]
fn no_two_entries_have_the_same_salt() {
    let mut chain = Chain::new(Uuid::from_u128(7));
    let mut salts = std::collections::HashSet::new();
    for n in 0..1_000 {
        let line = chain.link(&entry(n, Kind::Audit)).unwrap();
        let salt = line.text.split_once(r#""salt":""#).unwrap().1.get(..32).unwrap().to_owned();
        assert!(salts.insert(salt), "{}", line.text);
    }
}

#[test]
fn what_is_no_object_in_one_line_is_not_chained_and_leaves_the_chain_as_it_was() {
    let mut chain = Chain::new(Uuid::from_u128(7));
    let before = chain.clone();
    for text in ["", "{}", "[]", "x}", "{\"a\":1", "{\"a\":1}\n", "{\"a\":\n1}"] {
        let line = Line { text: text.into(), ..entry(1, Kind::Audit) };
        assert!(matches!(chain.link(&line), Err(ChainFault::Text(_))), "{text}");
    }
    let head = Line { kind: Kind::Head, ..entry(1, Kind::Audit) };
    assert!(matches!(chain.link(&head), Err(ChainFault::Head(_))));
    assert_eq!(chain, before);
}

#[test]
fn a_line_that_is_not_the_next_one_is_not_followed() {
    let (_directory, signer) = signer();
    let mut chain = Chain::new(Uuid::from_u128(7));
    let one = chain.link(&entry(1, Kind::Audit)).unwrap();
    let two = chain.link(&entry(2, Kind::Audit)).unwrap();
    let head = chain.head(&signer, Uuid::from_u128(9), one.at).unwrap();
    let mut other = Chain::new(Uuid::from_u128(8));
    assert!(matches!(other.follow(&one), Err(FollowFault::Instance(..))));
    assert!(matches!(other.follow(&head), Err(FollowFault::Instance(..))));
    let mut again = Chain::new(Uuid::from_u128(7));
    assert!(matches!(again.follow(&two), Err(FollowFault::Number { found: 2, next: 1, .. })));
    assert!(matches!(again.follow(&entry(1, Kind::Audit)), Err(FollowFault::Unlinked(_, Unlinked::None))));
    let changed = Line { text: one.text.replace("\"a\"", "\"b\"").into(), ..one.clone() };
    assert!(matches!(again.follow(&changed), Err(FollowFault::Hash(..))));
    again.follow(&one).unwrap();
    assert!(matches!(again.follow(&one), Err(FollowFault::Number { found: 1, next: 2, .. })));
    again.follow(&two).unwrap();
    again.follow(&head).unwrap();
    assert!(matches!(again.follow(&head), Err(FollowFault::Number { found: 1, next: 2, .. })));
    assert_eq!(again, chain);
}

#[test]
fn after_a_lost_stretch_the_chain_goes_on_where_it_is() {
    let mut chain = Chain::new(Uuid::from_u128(7));
    let lines: Vec<Line> = (1..=5).map(|n| chain.link(&entry(n, Kind::Audit)).unwrap()).collect();
    let mut again = Chain::new(Uuid::from_u128(7));
    again.follow(&lines[0]).unwrap();
    assert!(again.resume(&lines[0]).is_err());
    again.resume(&lines[3]).unwrap();
    again.follow(&lines[4]).unwrap();
    assert_eq!(again, chain);
}

#[test]
fn a_tombstone_has_the_entrys_place_and_nothing_of_what_it_said() {
    let (_directory, signer) = signer();
    let mut chain = Chain::new(Uuid::from_u128(7));
    let line = chain.link(&entry(1, Kind::Usage)).unwrap();
    let erasure = Erasure { id: Uuid::now_v7(), signer: &signer };
    let tombstone = erasure.tombstone(&line).unwrap();
    assert_eq!((tombstone.kind, tombstone.id, tombstone.at), (line.kind, line.id, line.at));
    assert_eq!(Line::read(&tombstone.text).unwrap(), tombstone);
    assert!(!tombstone.text.contains("userId") && !tombstone.text.contains("salt"), "{}", tombstone.text);
    let (was, is) = (Link::read(&line.text).unwrap(), Link::read(&tombstone.text).unwrap());
    assert_eq!(Link { erased: None, ..is.clone() }, was);
    assert!(is.holds(line.kind, line.id, line.at));
    assert_eq!(is.erased.unwrap().by, erasure.id);
    let later = Erasure { id: Uuid::now_v7(), signer: &signer };
    assert_eq!(later.tombstone(&tombstone).unwrap(), tombstone);
    assert_eq!(Tombed::read(&tombstone, later.id), None);
    assert_eq!(Tombed::read(&tombstone, erasure.id).unwrap().hash, was.hash);
    assert_eq!(Tombed::read(&line, erasure.id), None);
}

#[test]
fn what_cannot_be_erased_is_said() {
    let (_directory, signer) = signer();
    let mut chain = Chain::new(Uuid::from_u128(7));
    let line = chain.link(&entry(1, Kind::Usage)).unwrap();
    let head = chain.head(&signer, Uuid::from_u128(9), line.at).unwrap();
    let erasure = Erasure { id: Uuid::now_v7(), signer: &signer };
    assert!(matches!(erasure.tombstone(&head), Err(ErasureFault::Head(_))));
    assert!(matches!(erasure.tombstone(&entry(2, Kind::Usage)), Err(ErasureFault::Unlinked(_, Unlinked::None))));
    let changed = Line { text: line.text.replace("\"a\"", "\"b\"").into(), ..line };
    let fault = erasure.tombstone(&changed).unwrap_err();
    assert!(fault.to_string().contains("tollgate audit verify"), "{fault}");
}

#[test]
fn the_root_does_not_depend_on_the_order_in_which_entries_were_erased() {
    let tombed = |instance, kind, seq| Tombed {
        instance: Uuid::from_u128(instance),
        kind,
        seq,
        hash: Hash([instance as u8; 32]),
    };
    let mut one = vec![tombed(1, Kind::Audit, 1), tombed(1, Kind::Usage, 1), tombed(2, Kind::Audit, 1)];
    let mut other = vec![one[2], one[1], one[0]];
    let hashes = one.iter().flat_map(|entry| entry.hash.0).collect::<Vec<u8>>();
    assert_eq!(root(&mut other), Hash::of(&hashes));
    assert_eq!(root(&mut one), root(&mut other));
    assert_eq!(root(&mut []), Hash::of(b""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written, reading it again leads to the same ends, through their bytes as well.
    #[test]
    fn what_was_linked_is_followed(steps in prop::collection::vec((0..5_u8, ".{0,20}"), 0..60)) {
        let (_directory, signer) = signer();
        let mut chain = Chain::new(Uuid::from_u128(7));
        let mut again = chain.clone();
        for (n, (step, text)) in steps.into_iter().enumerate() {
            let kind = if step % 2 == 0 { Kind::Audit } else { Kind::Usage };
            let mut given = entry(n as u128, kind);
            let said = serde_json::to_string(&text).unwrap();
            given.text = given.text.replace("\"a\"", &said).into();
            let line = if step == 4 { chain.head(&signer, given.id, given.at).unwrap() } else { chain.link(&given).unwrap() };
            prop_assert_eq!(&Line::read(&line.text).unwrap(), &line);
            again.follow(&line).unwrap();
            prop_assert_eq!(&again, &chain);
            again = Chain::at(Ends::from_bytes(&chain.ends().to_bytes()).unwrap());
        }
        prop_assert_eq!(again, chain);
    }

    #[test]
    fn other_bytes_are_no_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if bytes.len() != Ends::LENGTH || bytes.first() != Some(&1) {
            prop_assert_eq!(Ends::from_bytes(&bytes), None);
        }
    }
}
