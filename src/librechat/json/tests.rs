use proptest::prelude::*;

use super::reader::SORTED_FROM;
use super::*;

fn read(body: impl AsRef<[u8]>) -> Result<Canonical, Unreadable> {
    read_strict(body.as_ref(), Limits::CHAT)
}

fn canonical(body: &str) -> String {
    String::from_utf8(read(body).unwrap().text().to_vec()).unwrap()
}

#[test]
fn the_canonical_text_has_no_space_and_the_shortest_escapes() {
    let table = [
        ("{}", "{}"),
        (" \r\n\t{ } \n", "{}"),
        ("{\"a\" : [ 1 , { \"b\":\ttrue } , null , false ] }", "{\"a\":[1,{\"b\":true},null,false]}"),
        (r#"{"\u006dodel":"\u0041\/\u00e9"}"#, "{\"model\":\"A/é\"}"),
        (r#"{"a":"\ud83d\ude00"}"#, "{\"a\":\"😀\"}"),
        (r#"{"a":"\u0000\u001f\b\f\n\r\t\"\\"}"#, r#"{"a":"\u0000\u001f\b\f\n\r\t\"\\"}"#),
        (r#"{"a":"\u0008\u000C\u000a\u000d\u0009\u0022\u005c"}"#, r#"{"a":"\b\f\n\r\t\"\\"}"#),
        (r#"{"":""}"#, r#"{"":""}"#),
        ("{\"a\":\"\u{2028}\u{7f}\u{feff}\"}", "{\"a\":\"\u{2028}\u{7f}\u{feff}\"}"),
    ];
    for (body, expected) in table {
        assert_eq!(canonical(body), expected, "{body}");
    }
}

#[test]
fn numbers_keep_their_own_spelling() {
    for number in ["0", "-0", "0.10", "1e5", "1E+05", "9007199254740993", "123456789012345678901234567890", "-1.5e-400"]
    {
        assert_eq!(canonical(&format!("{{\"a\":{number}}}")), format!("{{\"a\":{number}}}"));
    }
    let long = "7".repeat(305);
    assert_eq!(canonical(&format!("{{\"a\":{long}}}")), format!("{{\"a\":{long}}}"));
}

#[test]
fn whatever_readers_could_differ_on_is_refused_with_its_own_code() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(64), "]".repeat(64));
    let huge = "9".repeat(400);
    let table: &[(&str, &[u8])] = &[
        ("body-not-json", b""),
        ("body-not-json", b"   "),
        ("body-not-json", b"{"),
        ("body-not-json", b"{\"a\""),
        ("body-not-json", b"{\"a\":"),
        ("body-not-json", b"{\"a\":1"),
        ("body-not-json", b"{\"a\":1,}"),
        ("body-not-json", b"{\"a\":[1,]}"),
        ("body-not-json", b"{,}"),
        ("body-not-json", b"{a:1}"),
        ("body-not-json", b"{'a':1}"),
        ("body-not-json", b"{\"a\":01}"),
        ("body-not-json", b"{\"a\":+1}"),
        ("body-not-json", b"{\"a\":.5}"),
        ("body-not-json", b"{\"a\":5.}"),
        ("body-not-json", b"{\"a\":1e}"),
        ("body-not-json", b"{\"a\":-}"),
        ("body-not-json", b"{\"a\":NaN}"),
        ("body-not-json", b"{\"a\":tru}"),
        ("body-not-json", b"{\"a\":1/*x*/}"),
        ("body-not-json", b"{\"a\":\"\n\"}"),
        ("body-not-json", b"{\"a\":\"\\x41\"}"),
        ("body-not-json", b"{\"a\":\"\\u00g0\"}"),
        ("body-not-json", b"{\"a\":\"\\u00"),
        ("body-not-json", b"\xc2\xa0{}"),
        ("body-not-object", b"null"),
        ("body-not-object", b"[{\"a\":1}]"),
        ("body-not-object", b"\"a\""),
        ("body-not-object", b"-1"),
        ("body-trailing", b"{} {}"),
        ("body-trailing", b"{}\0"),
        ("body-trailing", b"{}}"),
        ("body-byte-order-mark", b"\xef\xbb\xbf{}"),
        ("body-not-utf8", b"{\"a\":\"\xff\"}"),
        ("body-not-utf8", b"{\"a\":\"\xc0\xaf\"}"),
        ("body-not-utf8", b"{\"a\":\"\xed\xa0\x80\"}"),
        ("body-duplicate-key", b"{\"a\":1,\"a\":1}"),
        ("body-duplicate-key", b"{\"model\":1,\"\\u006dodel\":1}"),
        ("body-duplicate-key", b"{\"x\":[{\"y\":{\"a\":1,\"b\":2,\"a\":3}}]}"),
        ("body-duplicate-key", b"{\"\":1,\"\":1}"),
        ("body-prototype-key", b"{\"__proto__\":{}}"),
        ("body-prototype-key", b"{\"a\":[{\"_\\u005fproto__\":1}]}"),
        ("body-prototype-key", b"{\"constructor\":{\"prototype\":{}}}"),
        ("body-too-deep", deep.as_bytes()),
        ("body-lone-surrogate", b"{\"a\":\"\\ud800\"}"),
        ("body-lone-surrogate", b"{\"a\":\"\\ude00\"}"),
        ("body-lone-surrogate", b"{\"a\":\"\\ud800\\u0041\"}"),
        ("body-lone-surrogate", b"{\"a\":\"\\ud800x\"}"),
        ("body-number-range", b"{\"a\":1e400}"),
        ("body-number-range", b"{\"a\":-1e999}"),
    ];
    for (code, body) in table {
        assert_eq!(read(body).unwrap_err().code(), *code, "{}", String::from_utf8_lossy(body));
    }
    let long = format!("{{\"a\":{huge}}}");
    assert_eq!(read(long).unwrap_err().code(), "body-number-range");
    let small = Limits { depth: 64, bytes: 9 };
    assert_eq!(read_strict(b"{\"a\":100}", small).unwrap().text().len(), 9);
    assert_eq!(read_strict(b"{\"a\":1000}", small).unwrap_err(), Unreadable::TooLarge);
}

#[test]
fn sixty_four_levels_are_accepted() {
    let body = format!("{{\"a\":{}1{}}}", "[".repeat(63), "]".repeat(63));
    assert_eq!(canonical(&body), body);
}

#[test]
fn the_same_key_in_different_objects_is_fine() {
    let body = r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}],"aa":1}"#;
    assert_eq!(canonical(body), body);
}

#[test]
fn repeated_keys_are_found_in_large_objects_too() {
    for count in [SORTED_FROM - 1, SORTED_FROM, SORTED_FROM + 1, 100_000] {
        let members: Vec<String> = (0..count).map(|key| format!("\"key{key}\":1")).collect();
        let once = format!("{{{}}}", members.join(","));
        assert_eq!(canonical(&once).len(), once.len());
        let twice = format!("{{{},\"k\\u0065y{}\":2}}", members.join(","), count / 2);
        assert_eq!(read(twice).unwrap_err(), Unreadable::DuplicateKey, "{count}");
    }
}

#[test]
fn the_view_shows_the_top_level_and_its_objects_only() {
    let body = read(r#"{"a":"x\u0022","b":{"c":[{"hidden":1}],"d":{"hidden":2},"e":null},"f":[{"hidden":3}],"g":-1}"#)
        .unwrap();
    let top: Vec<_> = body.members().map(|(key, value)| (key, value.kind())).collect();
    assert_eq!(
        top,
        [(&b"a"[..], Kind::Text), (&b"b"[..], Kind::Object), (&b"f"[..], Kind::Array), (&b"g"[..], Kind::Number)]
    );
    let (_, a) = body.members().next().unwrap();
    assert_eq!(a.as_text().unwrap(), "x\"");
    let (_, b) = body.members().nth(1).unwrap();
    let inner: Vec<_> = body.members_of(b).map(|(key, value)| (key, value.kind())).collect();
    assert_eq!(inner, [(&b"c"[..], Kind::Array), (&b"d"[..], Kind::Object), (&b"e"[..], Kind::Null)]);
    assert_eq!(b.as_text(), None);
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|number| (f64::from(number) / 8.0).into()),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Spells a text with random escapes.
fn respelt(text: &str, seed: u64) -> String {
    let mut out = String::from('"');
    for (place, char) in text.chars().enumerate() {
        if char < ' ' || matches!(char, '"' | '\\') || (seed >> (place % 64)) & 1 == 1 {
            for unit in char.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            out.push(char);
        }
    }
    out.push('"');
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_text_has_the_value_of_the_original(value in tree(), pretty: bool) {
        let value = serde_json::json!({ "value": value });
        let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        let read = read(&body).unwrap();
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&read.text()).unwrap(), value.clone());
        prop_assert_eq!(&read.text()[..], &serde_json::to_vec(&value).unwrap()[..]);
    }

    #[test]
    fn any_spelling_of_a_text_gives_the_same_canonical_text(text in ".*", seed: u64) {
        let plain = read(format!("{{\"a\":{}}}", serde_json::to_string(&text).unwrap())).unwrap();
        let odd = read(format!("{{\"a\":{}}}", respelt(&text, seed))).unwrap();
        prop_assert_eq!(plain.text(), odd.text());
        let (_, value) = odd.members().next().unwrap();
        prop_assert_eq!(value.as_text().unwrap(), text);
    }

    #[test]
    fn what_is_accepted_is_json_and_canonical_text_is_its_own_canonical_text(
        body in "[\\[\\]{}\",:a\\\\un0-9.eE+ -]{0,24}"
    ) {
        if let Ok(read) = read(&body) {
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&read.text()).unwrap(), value);
            prop_assert_eq!(read_strict(&read.text(), Limits::CHAT).unwrap().text(), read.text());
        }
    }

    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Err(fault) = read(&body) {
            prop_assert!(fault.code().starts_with("body-"));
        }
    }
}
