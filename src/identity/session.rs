//! Whom LibreChat has just let in, by the cookies that it sets for a new session.
//!
//! It answers every way of signing in with the same cookies: `refreshToken`, which it signs for the user's id, or, where the identity
//! provider's own tokens are used on, `openid_user_id` (`setAuthTokens` and `setOpenIDAuthTokens`; CONTRACT.md A.2 b). They come from
//! LibreChat itself, so that their signature need not be checked: it would be LibreChat's word again.

use http::HeaderMap;
use http::header::SET_COOKIE;
use serde_json::Value;

use super::jose::Jws;

/// Longest text that is taken for a user's id. LibreChat's have 24 characters.
const LONGEST_ID: usize = 64;

/// The id of the user whose session begins with this answer; none where no session begins.
pub fn begun_for(headers: &HeaderMap) -> Option<Box<str>> {
    let cookies = || headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok()).filter_map(cookie);
    let value = |wanted: &str| cookies().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    // A refresh token of an identity provider may be a token that names somebody of its own.
    let token = match value("token_provider")? {
        "openid" => value("openid_user_id")?,
        _ => value("refreshToken")?,
    };
    let claims = Jws::read(token).ok()?.claims().ok()?;
    let id = claims.get("id").and_then(Value::as_str)?;
    (!id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| id.into())
}

/// Name and value of a cookie that is set (RFC 6265 4.1).
fn cookie(line: &str) -> Option<(&str, &str)> {
    let pair = line.split(';').next()?;
    let (name, value) = pair.split_once('=')?;
    Some((name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http::HeaderValue;

    use super::*;

    fn token(payload: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(payload))
    }

    #[test]
    fn a_session_is_that_of_the_user_whom_librechat_names() {
        let mine = token(r#"{"id":"6b012e4109cc968f8a928bce","sessionId":"6b012e4109cc968f8a928bd0"}"#);
        let theirs = token(r#"{"id":"somebodyElse","sub":"x"}"#);
        let table: [(&[&str], Option<&str>); 9] = [
            (
                &["refreshToken={mine}; Path=/; HttpOnly", "token_provider=librechat; Path=/"],
                Some("6b012e4109cc968f8a928bce"),
            ),
            (&["token_provider=librechat", "x=y", "refreshToken={mine}"], Some("6b012e4109cc968f8a928bce")),
            (
                &["refreshToken={theirs}", "token_provider=openid", "openid_user_id={mine}"],
                Some("6b012e4109cc968f8a928bce"),
            ),
            // Without the signed id nobody is guessed.
            (&["refreshToken={theirs}", "token_provider=openid"], None),
            (&["refreshToken={mine}"], None),
            (&["refreshToken=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "token_provider=; Path=/"], None),
            (&["refreshToken=opaque", "token_provider=librechat"], None),
            (&["token_provider=librechat"], None),
            (&[], None),
        ];
        for (lines, expected) in table {
            let mut headers = HeaderMap::new();
            for line in lines {
                let line = line.replace("{mine}", &mine).replace("{theirs}", &theirs);
                headers.append(SET_COOKIE, HeaderValue::from_str(&line).unwrap());
            }
            assert_eq!(begun_for(&headers).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_id_of_librechat_is_nobody() {
        for id in ["\"\"", "\"a b\"", "\"<x>\"", "17", "null", &format!("\"{}\"", "a".repeat(65))] {
            let mut headers = HeaderMap::new();
            let line = format!("refreshToken={}", token(&format!(r#"{{"id":{id}}}"#)));
            headers.append(SET_COOKIE, HeaderValue::from_str(&line).unwrap());
            headers.append(SET_COOKIE, HeaderValue::from_static("token_provider=librechat"));
            assert_eq!(begun_for(&headers), None, "{id}");
        }
    }
}
