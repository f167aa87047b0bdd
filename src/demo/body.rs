//! Request bodies as body-parser and express-mongo-sanitize leave them (CONTRACT.md D.3 to D.5).
//!
//! Two things LibreChat accepts are left out, because they need a decoder each: compressed bodies and the charsets
//! UTF-7 and UTF-32. They are refused here the way LibreChat refuses an encoding it does not know.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use serde_json::{Map, Value};

use super::route::hexadecimal;

/// `express.json({ limit: '3mb' })`, in bytes.
const LIMIT: usize = 3 * 1024 * 1024;
/// The most parameters a form may have (the default of `express.urlencoded`).
const MOST_PARAMETERS: usize = 1000;

/// Why a body was not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// It is not JSON: 400 (capture `222_body-bad-json`).
    Malformed,
    /// It is too large, or in an encoding or charset that is not read: 500 (captures `227_body-too-large`,
    /// `64_ct-charset-latin1`).
    Unread,
}

/// What a handler finds in `req.body`: `None` when no parser felt responsible.
pub(super) fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Value>, BadBody> {
    let content_type = text(headers, CONTENT_TYPE.as_str());
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_form = kind == "application/x-www-form-urlencoded";
    let has_body = headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_LENGTH);
    if !has_body || !(is_form || kind == "application/json") {
        return Ok(None);
    }
    let coding = text(headers, CONTENT_ENCODING.as_str()).to_ascii_lowercase();
    if bytes.len() > LIMIT || !matches!(coding.as_str(), "" | "identity") {
        return Err(BadBody::Unread);
    }
    // The last of several charset parameters wins (CONTRACT.md D.3).
    let charset = parts
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase())
        .next_back();
    let decoded = decode(bytes, charset.as_deref().unwrap_or("utf-8"), is_form)?;
    let mut body = if is_form { form(&decoded)? } else { json(&decoded)? };
    sanitize(&mut body);
    Ok(Some(body))
}

fn decode(bytes: &[u8], charset: &str, is_form: bool) -> Result<String, BadBody> {
    let wide = |order: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| match pair {
            [first, second] => order([*first, *second]),
            _ => 0xfffd,
        });
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    let decoded = match (charset, bytes) {
        ("utf-8", _) => String::from_utf8_lossy(bytes).into_owned(),
        ("utf-16be", _) | ("utf-16", [0xfe, 0xff, ..]) => wide(u16::from_be_bytes),
        ("utf-16" | "utf-16le", _) => wide(u16::from_le_bytes),
        ("iso-8859-1", _) if is_form => bytes.iter().map(|byte| char::from(*byte)).collect(),
        _ => return Err(BadBody::Unread),
    };
    Ok(decoded.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(decoded))
}

/// Strict JSON: an object or an array; nothing at all is an empty object. The last of several equal keys wins.
fn json(text: &str) -> Result<Value, BadBody> {
    match text.trim_start().chars().next() {
        None => Ok(Value::Object(Map::new())),
        Some('{' | '[') => serde_json::from_str(text).map_err(|_| BadBody::Malformed),
        Some(_) => Err(BadBody::Malformed),
    }
}

/// A form as qs reads it: `a[b]=c` nests, `a[]=c` and repeated names make lists.
fn form(text: &str) -> Result<Value, BadBody> {
    let pairs: Vec<&str> = text.split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > MOST_PARAMETERS {
        return Err(BadBody::Unread);
    }
    let mut body = Map::new();
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = unescape(name);
        let mut keys = name.split('[');
        let first = keys.next().unwrap_or_default();
        let rest: Vec<&str> = keys.map(|key| key.strip_suffix(']').unwrap_or(key)).collect();
        if first != "__proto__" && !rest.contains(&"__proto__") {
            put(body.entry(first).or_insert(Value::Null), &rest, unescape(value));
        }
    }
    Ok(Value::Object(body))
}

fn put(place: &mut Value, keys: &[&str], value: String) {
    match (keys, place) {
        ([], place @ Value::Null) => *place = Value::String(value),
        ([] | [""], Value::Array(list)) => list.push(Value::String(value)),
        ([], place) => *place = Value::Array(vec![place.take(), Value::String(value)]),
        ([""], place @ Value::Null) => *place = Value::Array(vec![Value::String(value)]),
        ([key, rest @ ..], place) => {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            if let Value::Object(fields) = place {
                put(fields.entry(*key).or_insert(Value::Null), rest, value);
            }
        }
    }
}

/// Plus signs and percent signs of a form; a broken escape stands for itself.
fn unescape(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let ahead = (bytes.clone().next(), bytes.clone().nth(1));
        match (byte, hexadecimal(ahead.0, ahead.1)) {
            (b'+', _) => decoded.push(b' '),
            (b'%', Some(escaped)) => {
                decoded.push(escaped);
                bytes.nth(1);
            }
            (other, _) => decoded.push(other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Removes keys that MongoDB would read as operators or paths, at any depth.
fn sanitize(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !key.starts_with('$') && !key.contains('.'));
            fields.values_mut().for_each(sanitize);
        }
        Value::Array(list) => list.iter_mut().for_each(sanitize),
        _ => {}
    }
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> &'headers str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content_type: &str, bytes: &[u8]) -> Result<Option<Value>, BadBody> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        headers.insert(CONTENT_LENGTH, bytes.len().into());
        parse(&headers, bytes)
    }

    #[test]
    fn json_is_read_as_body_parser_reads_it() {
        type Case = (&'static str, &'static [u8], Result<Option<Value>, BadBody>);
        let cases: [Case; 10] = [
            ("application/json", br#"{"model":"a","model":"b"}"#, Ok(Some(json!({"model": "b"})))),
            ("application/json", b"", Ok(Some(json!({})))),
            ("application/json", b"[]", Ok(Some(json!([])))),
            ("application/json", b"null", Err(BadBody::Malformed)),
            ("application/json", br#"{"text":"#, Err(BadBody::Malformed)),
            ("application/json", "\u{feff}{\"a\":1}".as_bytes(), Ok(Some(json!({"a": 1})))),
            ("application/json; charset=utf-16", b"{\0}\0", Ok(Some(json!({})))),
            ("application/json; charset=latin1", b"{}", Err(BadBody::Unread)),
            ("application/json", br#"{"$model":1,"a.b":2,"c":{"$d":3}}"#, Ok(Some(json!({"c": {}})))),
            ("application/vnd.api+json", b"{}", Ok(None)),
        ];
        for (content_type, bytes, expected) in cases {
            assert_eq!(read(content_type, bytes), expected, "{content_type} {}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_form_nests_and_lists() {
        let cases: [(&str, Value); 6] = [
            ("endpoint=openAI&model=gpt-4o", json!({"endpoint": "openAI", "model": "gpt-4o"})),
            (
                "addedConvo%5Bmodel%5D=o1&addedConvo[endpoint]=openAI",
                json!({"addedConvo": {"model": "o1", "endpoint": "openAI"}}),
            ),
            ("model=a&model=b", json!({"model": ["a", "b"]})),
            ("list[]=a&list[]=b", json!({"list": ["a", "b"]})),
            ("%6dodel=gpt%2D4o+mini&rest=%zz", json!({"model": "gpt-4o mini", "rest": "%zz"})),
            ("__proto__[model]=o1", json!({})),
        ];
        for (text, expected) in cases {
            assert_eq!(read("application/x-www-form-urlencoded", text.as_bytes()), Ok(Some(expected)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_so() {
        assert_eq!(read("application/json", &vec![b' '; LIMIT + 1]), Err(BadBody::Unread));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        headers.insert(CONTENT_LENGTH, 2.into());
        headers.insert(CONTENT_ENCODING, "br".parse().unwrap());
        assert_eq!(parse(&headers, b"{}"), Err(BadBody::Unread));
    }
}
