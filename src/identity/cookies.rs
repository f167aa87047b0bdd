//! The cookies by which LibreChat chooses how to read a bearer token, made to agree with how Tollgate has read it.
//!
//! LibreChat reads a token as the identity provider's only if `token_provider` says `openid` and `openid_user_id`, which it signed
//! itself, names the user whom the token leads to (CONTRACT.md A.2 b). Of several cookies of one name it takes the first
//! (cookie 0.7.2). It never sees several from here: the two are taken out wherever they stand and set once, or not at all.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// Says how LibreChat is to read the bearer token.
const PROVIDER: &[u8] = b"token_provider";

/// Names the user, signed by LibreChat under `JWT_REFRESH_SECRET`.
const USER: &[u8] = b"openid_user_id";

/// The value of [`PROVIDER`] for tokens of the identity provider.
const OPENID: &[u8] = b"openid";

/// What the two cookies say, if they say that the token is the identity provider's: the signed user id.
pub(super) fn signed_user(headers: &HeaderMap) -> Option<String> {
    if first(headers, PROVIDER)? != OPENID {
        return None;
    }
    text(first(headers, USER)?)
}

/// The value of the first cookie of this name, as text that needs no decoding.
pub(super) fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    text(first(headers, name.as_bytes())?)
}

/// Sets the two cookies for a token of the identity provider, or takes the choice away for one of LibreChat's own.
pub(super) fn settle(headers: &mut HeaderMap, signed_user: Option<&str>) {
    let mut line = Vec::new();
    for pair in pairs(headers).filter(|pair| !matches!(name(pair), Some(PROVIDER | USER))) {
        join(&mut line, &[pair]);
    }
    if let Some(user) = signed_user {
        join(&mut line, &[PROVIDER, b"=", OPENID]);
        join(&mut line, &[USER, b"=", user.as_bytes()]);
    }
    headers.remove(COOKIE);
    // Made of what was a header's value before: it is one again.
    if let (false, Ok(value)) = (line.is_empty(), HeaderValue::from_bytes(&line)) {
        headers.insert(COOKIE, value);
    }
}

fn join(line: &mut Vec<u8>, parts: &[&[u8]]) {
    if !line.is_empty() {
        line.extend_from_slice(b"; ");
    }
    parts.iter().for_each(|part| line.extend_from_slice(part));
}

/// All pairs of all `Cookie` headers, which Node joins with `; `, without the white space around them.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).map(trimmed).filter(|pair| !pair.is_empty())
}

/// The name of a pair; none where it has no `=`, which LibreChat passes over.
fn name(pair: &[u8]) -> Option<&[u8]> {
    let end = pair.iter().position(|byte| *byte == b'=')?;
    pair.get(..end).map(trimmed)
}

fn first<'a>(headers: &'a HeaderMap, wanted: &[u8]) -> Option<&'a [u8]> {
    let pair = pairs(headers).find(|pair| name(pair) == Some(wanted))?;
    let start = pair.iter().position(|byte| *byte == b'=')?;
    pair.get(start + 1..).map(trimmed)
}

/// A value of the characters that tokens have. LibreChat would decode quotes and percent signs; what it sets has none.
fn text(value: &[u8]) -> Option<String> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    (!value.is_empty() && value.iter().all(fits)).then(|| String::from_utf8_lossy(value).into_owned())
}

/// Without blanks and tabs at both ends, as the cookie reader of LibreChat trims.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !is_blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn the_first_of_each_name_counts_as_in_librechat() {
        for (lines, wanted) in [
            (&["token_provider=openid; openid_user_id=a.b.c"][..], Some("a.b.c")),
            (&["token_provider=openid", "openid_user_id=a.b.c; openid_user_id=x"], Some("a.b.c")),
            (&["\ttoken_provider = openid ;openid_user_id=\ta.b.c "], Some("a.b.c")),
            (&["token_provider; token_provider=openid; openid_user_id=a"], Some("a")),
            (&["token_provider=librechat; token_provider=openid; openid_user_id=a"], None),
            (&["token_provider=\"openid\"; openid_user_id=a"], None),
            (&["token_provider=%6fpenid; openid_user_id=a"], None),
            (&["Token_Provider=openid; openid_user_id=a"], None),
            (&["token_provider=openid; openid_user_id=\"a\""], None),
            (&["token_provider=openid; openid_user_id=a%2eb"], None),
            (&["token_provider=openid; openid_user_id="], None),
            (&["token_provider=openid"], None),
            (&["openid_user_id=a"], None),
            (&[], None),
        ] {
            assert_eq!(signed_user(&headers(lines)).as_deref(), wanted, "{lines:?}");
        }
    }

    #[test]
    fn librechat_sees_each_of_the_two_once_or_not_at_all() {
        for (lines, openid, own) in [
            (&[][..], Some("token_provider=openid; openid_user_id=ME"), None),
            (
                &[
                    "a=1; token_provider=x; b=2;; openid_user_id=y",
                    " c=\"3;token_provider=openid",
                    "openid_user_id = z",
                ],
                Some("a=1; b=2; c=\"3; token_provider=openid; openid_user_id=ME"),
                Some("a=1; b=2; c=\"3"),
            ),
            (&["token_provider=openid"], Some("token_provider=openid; openid_user_id=ME"), None),
            (
                &["d; token_provider"],
                Some("d; token_provider; token_provider=openid; openid_user_id=ME"),
                Some("d; token_provider"),
            ),
        ] {
            let mut cookies = headers(lines);
            settle(&mut cookies, Some("ME"));
            let line = |cookies: &HeaderMap| cookies.get(COOKIE).map(|line| line.to_str().unwrap().to_owned());
            assert_eq!(line(&cookies).as_deref(), openid, "{lines:?}");
            assert!(cookies.get_all(COOKIE).iter().count() <= 1);
            let mut cookies = headers(lines);
            settle(&mut cookies, None);
            assert_eq!(line(&cookies).as_deref(), own, "{lines:?}");
        }
    }
}
