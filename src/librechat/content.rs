//! What the headers say about the body of a governed request.
//!
//! LibreChat's parsers accept far more than its client sends: any charset whose name begins with `utf-`, forms, compressed
//! bodies, the first of two content types. Each of these lets a body mean one thing to a reader of UTF-8 JSON and another to
//! LibreChat (CONTRACT.md D.3, D.4), so on governed routes nothing passes but what the client really sends.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

use super::unreadable::Unreadable;

/// Checks that the headers announce plain JSON in UTF-8: exactly one `Content-Type`, `application/json` with at most the
/// parameter `charset=utf-8`, and no `Content-Encoding` but `identity`. Case does not matter.
///
/// # Errors
/// [`Unreadable::ContentType`] or [`Unreadable::ContentEncoding`], both answered with 415.
pub fn json_body_expected(headers: &HeaderMap) -> Result<(), Unreadable> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => {}
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"identity") => {}
        _ => return Err(Unreadable::ContentEncoding),
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(only), None) if is_plain_json(only) => Ok(()),
        _ => Err(Unreadable::ContentType),
    }
}

fn is_plain_json(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let (media, parameter) = match value.split_once(';') {
        None => (value, None),
        Some((media, parameter)) => (media, Some(parameter)),
    };
    trim(media).eq_ignore_ascii_case("application/json") && parameter.is_none_or(is_utf8_charset)
}

/// Whether this is `charset=utf-8` and no second parameter.
fn is_utf8_charset(parameter: &str) -> bool {
    let Some((name, value)) = trim(parameter).split_once('=') else { return false };
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8")
}

/// Without the optional white space of RFC 9110 section 5.6.3.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)]) -> Result<(), Unreadable> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        json_body_expected(&map)
    }

    #[test]
    fn only_json_in_utf8_is_expected() {
        for good in [
            "application/json",
            "APPLICATION/JSON",
            " application/json ",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "application/json ; Charset=\"Utf-8\"",
        ] {
            assert_eq!(check(&[("content-type", good)]), Ok(()), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "text/plain",
            "application/vnd.api+json",
            "application/json, text/plain",
            "application/json;",
            "application/json;;",
            "application/json charset=utf-8",
            "application/json; foo=bar",
            "application/json; charset=utf-8; charset=utf-16le",
            "application/json; charset=utf-8;",
            "application/json; charset=utf-16",
            "application/json; charset=utf-16le",
            "application/json; charset=utf-7",
            "application/json; charset=utf-7-imap",
            "application/json; charset=utf-32",
            "application/json; charset=utf8",
            "application/json; charset=\"utf-8",
            "application/json; charset = utf-8",
            "application/json; charset=",
            "application/json; charset=iso-8859-1",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=\u{ff55}tf-8",
        ] {
            assert_eq!(check(&[("content-type", bad)]), Err(Unreadable::ContentType), "{bad}");
        }
        assert_eq!(check(&[]), Err(Unreadable::ContentType));
        let twice = [("content-type", "application/json"), ("content-type", "application/json")];
        assert_eq!(check(&twice), Err(Unreadable::ContentType));
    }

    #[test]
    fn encoded_bodies_are_refused() {
        let json = ("content-type", "application/json");
        for good in ["identity", "Identity"] {
            assert_eq!(check(&[json, ("content-encoding", good)]), Ok(()), "{good}");
        }
        for bad in
            ["", "gzip", "GZIP", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "identity, gzip", "gzip, identity"]
        {
            assert_eq!(check(&[json, ("content-encoding", bad)]), Err(Unreadable::ContentEncoding), "{bad}");
        }
        let twice = [json, ("content-encoding", "identity"), ("content-encoding", "identity")];
        assert_eq!(check(&twice), Err(Unreadable::ContentEncoding));
    }
}
