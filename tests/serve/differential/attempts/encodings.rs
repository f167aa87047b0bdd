//! Attempts with charsets, content codings and content types: 51 to 79.

use super::super::Want;
use super::super::written::{bare, chat, sent};
use super::{Add, CHEAP, DEAR, MINI};
use Want::{Calls, Refused};

const LINE: &str = "POST /api/agents/chat HTTP/1.1";
/// `DEAR`, compressed.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabV*I\xad(Q\xb2R\xca\xc8T\xd2QJ\xcdK)\xc8\xcf\xcc\x03\xf1\xf3\x0bR\xf3\
    \x1c=\x81b\xb9\xf9)\xa99@\x81\xf4\x82\x12]\x93|\xa5Z\x00\xe2\xa3\xb5\xcb2\x00\x00\x00";
const DEFLATE: &[u8] =
    b"x\x9c\xabV*I\xad(Q\xb2R\xca\xc8T\xd2QJ\xcdK)\xc8\xcf\xcc\x03\xf1\xf3\x0bR\xf3\x1c=\x81b\xb9\xf9)\xa99@\
    \x81\xf4\x82\x12]\x93|\xa5Z\x00\x9c-\x0f\xf6";
const BROTLI: &[u8] =
    b"\x1b1\x00\x88\x04\xc2v\xe4\xcf\x9b\x8df\xc3\x89\xaf\xab\xa4\x82\xac\x0b6\xe0\x809\xd0p\xd0\xc1v=9\xa0\x92\x0f\
    =\x9c1\x11\xda\xaa\x10\x9c\xd4H\x84\x13L?Wm\xf3\x01";
/// A cheap turn without its last brace, and `,"model":"gpt-4o"}`: a member each.
const MEMBERS: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabV*I\xad(Q\xb2R\xca\xc8T\xd2QJ\xcdK)\xc8\xcf\xcc\x03\xf1\xf3\x0bR\
    \xf3\x1c=\x81b\xb9\xf9)\xa99@\x81\xf4\x82\x12]\x93|\xdd\xdc\xcc\xbcL%\x00\xad\x1e\x86\xe76\x00\x00\x00\x1f\x8b\x08\x00\x00\x00\
    \x00\x00\x02\x03\xd3Q\xca\xcdOI\xcdQ\xb2RJ/(\xd15\xc9W\xaa\x05\x00\x7fV5v\x12\x00\x00\x00";

pub(super) fn fill(add: &mut Add<'_>) {
    charsets(add);
    codings(add);
    types(add);
}

fn typed(kind: &str, body: &[u8]) -> Vec<u8> {
    sent(LINE, &[&format!("Content-Type: {kind}")], body)
}

fn charsets(add: &mut Add<'_>) {
    let refused = Refused(415, "content-type");
    let utf7 = br#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini","+AG0-odel":"gpt-4o"}"#;
    let imap = br#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini","&AG0-odel":"gpt-4o"}"#;
    add(51, "utf-7", typed("application/json; charset=utf-7", utf7), refused);
    add(52, "utf-7-imap", typed("application/json; charset=utf-7-imap", imap), refused);
    let little: Vec<u8> = DEAR.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = DEAR.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = [b"\xff\xfe", little.as_slice()].concat();
    add(53, "utf-16le", typed("application/json; charset=utf-16le", &little), refused);
    add(53, "utf-16be", typed("application/json; charset=utf-16be", &big), refused);
    add(53, "utf-16 with a mark", typed("application/json; charset=utf-16", &marked), refused);
    add(53, "utf-16le, not said", chat(&[], &little), Refused(400, "body-not-json"));
    add(53, "utf-16 with a mark, not said", chat(&[], &marked), Refused(400, "body-not-utf8"));
    let wide: Vec<u8> = DEAR.chars().flat_map(|char| u32::from(char).to_le_bytes()).collect();
    add(54, "utf-32", typed("application/json; charset=utf-32", &wide), refused);
    add(54, "utf-32le", typed("application/json; charset=utf-32le", &wide), refused);
    let first = "application/json; charset=utf-8; charset=utf-16le";
    let last = "application/json; charset=utf-16le; charset=utf-8";
    add(55, "utf-8 first", typed(first, &little), refused);
    add(55, "utf-8 last", typed(last, CHEAP.as_bytes()), refused);
    add(56, "utf-16 in quotes", typed("application/json; charset=\"utf-16le\"", &little), refused);
    add(57, "UTF-8", typed("application/json; charset=UTF-8", CHEAP.as_bytes()), Calls(200, MINI));
    add(57, "Utf-8", typed("application/json;Charset=\"Utf-8\"", CHEAP.as_bytes()), Calls(200, MINI));
}

fn codings(add: &mut Add<'_>) {
    let refused = Refused(415, "content-encoding");
    // One block, stored: what every decoder of the format has to read.
    let size = u32::try_from(DEAR.len()).expect("a short body") << 3 | 1;
    let head = [&b"\x28\xb5\x2f\xfd\x20"[..], &[DEAR.len() as u8], &size.to_le_bytes()[..3]].concat();
    let zstd = [head.as_slice(), DEAR.as_bytes()].concat();
    for (number, name, headers, body) in [
        (58, "gzip", vec!["Content-Encoding: gzip"], GZIP.to_vec()),
        (59, "GZIP", vec!["Content-Encoding: GZIP"], GZIP.to_vec()),
        (60, "deflate", vec!["Content-Encoding: deflate"], DEFLATE.to_vec()),
        (61, "br", vec!["Content-Encoding: br"], BROTLI.to_vec()),
        (62, "zstd", vec!["Content-Encoding: zstd"], zstd),
        (63, "two members", vec!["Content-Encoding: gzip"], MEMBERS.to_vec()),
        (64, "something behind", vec!["Content-Encoding: gzip"], [GZIP, b"trailing"].concat()),
        (65, "two lines", vec!["Content-Encoding: identity", "Content-Encoding: gzip"], GZIP.to_vec()),
        (65, "two lines alike", vec!["Content-Encoding: identity", "Content-Encoding: identity"], CHEAP.into()),
        (66, "gzip, identity", vec!["Content-Encoding: gzip, identity"], GZIP.to_vec()),
        (66, "identity, gzip", vec!["Content-Encoding: identity, gzip"], GZIP.to_vec()),
        (67, "empty", vec!["Content-Encoding:"], CHEAP.into()),
        // Nothing is ever unpacked, so what would come out does not matter.
        (68, "a bomb", vec!["Content-Encoding: gzip"], GZIP.repeat(10_000)),
        (69, "cut off", vec!["Content-Encoding: gzip"], GZIP[..GZIP.len() - 9].to_vec()),
    ] {
        add(number, name, chat(&headers, &body), refused);
    }
    let chunks = [format!("{:x}\r\n", GZIP.len()).as_bytes(), GZIP, b"\r\n0\r\n\r\n"].concat();
    let headers = ["Content-Type: application/json", "Content-Encoding: gzip", "Transfer-Encoding: chunked"];
    add(70, "in chunks", bare(LINE, &headers, &chunks), refused);
}

fn types(add: &mut Add<'_>) {
    let refused = Refused(415, "content-type");
    let form = "application/x-www-form-urlencoded";
    let part = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt-4o\r\n--x--\r\n";
    for (number, name, kind, body) in [
        (71, "a form", form, "endpoint=openAI&model=gpt-4o&text=hi"),
        (71, "a form that is JSON", form, CHEAP),
        (72, "a form with an escape", form, "endpoint=openAI&model=gpt-4o-mini&%6dodel=gpt-4o&text=hi"),
        (73, "a form with brackets", form, "endpoint=openAI&model[]=gpt-4o&text=hi"),
        (74, "parts", "multipart/form-data; boundary=x", part),
        (75, "text", "text/plain", CHEAP),
        (75, "text/json", "text/json", CHEAP),
        (78, "two semicolons", "application/json;;", CHEAP),
        (78, "an empty parameter", "application/json; =;", CHEAP),
        (79, "a vendor's JSON", "application/vnd.api+json", CHEAP),
    ] {
        add(number, name, typed(kind, body.as_bytes()), refused);
    }
    add(76, "no type", sent(LINE, &[], CHEAP.as_bytes()), refused);
    let (json, form) = ("Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded");
    for (name, types) in [("JSON first", [json, form]), ("JSON last", [form, json]), ("JSON twice", [json, json])] {
        add(77, name, sent(LINE, &types, CHEAP.as_bytes()), refused);
    }
}
