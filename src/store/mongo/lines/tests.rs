use mongodb::bson::doc;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::record::samples;

const ID: &str = "01931111-2222-7333-8444-555566667777";

/// What is kept and read again by a server: bytes.
fn kept(text: &str) -> Document {
    let line = Line::read(text).unwrap();
    let document = document(&line).unwrap();
    let bytes = bson::serialize_to_vec(&document).unwrap();
    let read: Document = bson::deserialize_from_slice(&bytes).unwrap();
    assert_eq!(super::line(line.kind, &read).unwrap(), line);
    read
}

fn usage(members: &str) -> Document {
    kept(&format!(r#"{{"kind":"usage","_id":"{ID}","timestamp":"2026-11-21T08:15:00.123Z"{members}}}"#))
}

#[test]
fn entries_need_no_second_copy_of_their_text() {
    for entry in [samples::refusal(3), samples::turn(4)] {
        assert!(!kept(&entry.line().unwrap().text).contains_key(TEXT));
    }
    let link = format!(
        r#","salt":"00","instance":"{ID}","seq":3,"prevHash":"ab","hash":"cd","cost":"0.00000015","runs":[{{"cost":"1"}}]"#
    );
    let document = usage(&link);
    let names: Vec<&str> = document.keys().map(String::as_str).collect();
    assert_eq!(names, ["_id", "timestamp", "salt", "instance", "seq", "prevHash", "hash", "cost", "runs"]);
    assert_eq!(document.get("instance"), Some(&uuid(ID.parse().unwrap())));
    assert_eq!(document.get("cost"), Some(&Bson::Decimal128("0.00000015".parse().unwrap())));
}

#[test]
fn what_a_date_lacks_is_kept_beside_it() {
    let charge = r#"{"counter":"c","until":"2026-11-21T08:15:00.000000001Z"}"#;
    let members = format!(r#","settled":"2026-11-21T08:15:09.1234Z","charged":[{charge}]"#);
    let document = usage(&members);
    let exact = document.get_document(EXACT).unwrap();
    let names: Vec<&str> = exact.keys().map(String::as_str).collect();
    assert_eq!(names, ["/settled", "/charged/0/until"]);
    assert_eq!(document.get_datetime("settled").unwrap().timestamp_millis() % 1_000, 123);
    let until = document.get_array("charged").unwrap()[0].as_document().unwrap().get_datetime("until").unwrap();
    assert_eq!(until.timestamp_millis() % 1_000, 1, "no window ends before its time");
    assert!(!document.contains_key(TEXT));
}

#[test]
fn what_no_type_has_is_kept_as_it_is() {
    for members in [
        r#","a":18446744073709551615"#,
        r#","a":1e300"#,
        r#","a":1E5"#,
        r#","a":-0"#,
        r#","a":1,"a":2"#,
        r#", "a":1"#,
        r#","a":"\u0041""#,
        r#","$set":{"a.b":1}"#,
        r#","a":{"$ne":""}"#,
        r#","a":{"\u0000":1}"#,
        r#","":1"#,
        r#","_text":"x""#,
        r#","_exact":{"/timestamp":"x"}"#,
        r#","requestId":"01931111222273338444555566667777","cost":"01.50","runs":[5],"charged":[[]],"settled":"2026-11-21T08:15:00+00:00""#,
    ] {
        usage(members);
    }
    for levels in [90, 500] {
        let deep = format!(r#","a":{}1{}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(usage(&deep).contains_key(TEXT), "{levels}");
    }
    let capitals = ID.to_uppercase();
    for text in [
        format!(r#"{{"_id":"{ID}","kind":"head","timestamp":"2026-11-21T08:15:00Z"}}"#),
        format!(r#"{{"kind":"head","timestamp":"2026-11-21T08:15:00Z","_id":"{ID}"}}"#),
        format!(r#"{{"kind":"head","_id":"{capitals}","timestamp":"2026-11-21T09:15:00+01:00"}}"#),
    ] {
        let document = kept(&text);
        assert_eq!(document.get("_id"), Some(&uuid(ID.parse().unwrap())));
        assert_eq!(document.get_datetime("timestamp").unwrap().timestamp_millis(), 1_795_248_900_000);
    }
}

#[test]
fn documents_of_older_versions_are_read_as_far_as_they_go() {
    let id: Uuid = ID.parse().unwrap();
    let older = doc! {"_id": uuid(id), "requestId": uuid(id), "timestamp": DateTime::from_millis(0), "n": 5_i64};
    let text =
        format!(r#"{{"kind":"audit","_id":"{ID}","requestId":"{ID}","timestamp":"1970-01-01T00:00:00Z","n":5}}"#);
    assert_eq!(*line(Kind::Audit, &older).unwrap().text, text);
    for alien in [doc! {}, doc! {"_id": 5, "timestamp": DateTime::from_millis(0)}, doc! {"_id": uuid(id)}] {
        assert!(line(Kind::Audit, &alien).is_err(), "{alien}");
    }
}

fn name() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] =
        &["requestId", "instance", "erased", "settled", "cost", "runs", "charged", "until", "seq", "a.b", "$a", ""];
    prop_oneof![select(KNOWN).prop_map(str::to_owned), "[a-c]{1,2}", ".{0,3}"]
}

fn text() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] =
        &[ID, "2026-11-21T08:15:00.123Z", "2026-11-21T08:15:00.123456Z", "9999-12-30T22:00:00.999999999Z", "0.10"];
    let costs = any::<u64>().prop_map(|cost| crate::record::entry::Usd(cost).to_string());
    prop_oneof![select(KNOWN).prop_map(str::to_owned), costs, ".{0,8}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_comes_back_the_same(
        members in proptest::collection::vec((name(), value()), 0..6),
        nanoseconds in prop_oneof![Just(0), 0..1_000_000_000_i32],
        spaces in prop_oneof![9 => Just(false), 1 => Just(true)],
    ) {
        let at = Timestamp::new(1_795_248_900, nanoseconds).unwrap();
        let mut object = Map::new();
        object.insert("kind".to_owned(), "audit".into());
        object.insert("_id".to_owned(), ID.into());
        object.insert("timestamp".to_owned(), at.to_string().into());
        for (name, value) in members {
            object.entry(name).or_insert(value);
        }
        let text = Value::Object(object).to_string();
        let text = if spaces { text.replace(',', ", ") } else { text };
        if Line::read(&text).is_ok() {
            kept(&text);
        }
    }
}
