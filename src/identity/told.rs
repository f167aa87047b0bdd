//! What a token says of itself, unchecked: to tell its owner why it was refused. Nothing is decided by it.

use serde_json::Value;

use super::jose::Jws;

/// What kind of credential something looks like. Which way it is checked goes by the same signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A token of LibreChat's own.
    LibreChats,
    /// A token of an identity provider.
    Providers,
    /// A key of the remote-agent API.
    Key,
    /// None of these.
    None,
}

/// What a token says of itself. All of it may be a lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The algorithm by which it says that it is signed.
    pub algorithm: Option<Box<str>>,
    /// The key by which it says that it is signed.
    pub key: Option<Box<str>>,
    /// Its issuer.
    pub issuer: Option<Box<str>>,
    /// Whom it is for.
    pub audience: Vec<Box<str>>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<i64>,
    /// From when on it holds, in seconds since 1970.
    pub begins: Option<i64>,
}

impl Kind {
    /// The kind of this token or key.
    pub fn of(token: &str) -> Self {
        if token.starts_with("sk-") {
            return Self::Key;
        }
        match Jws::read(token) {
            Ok(jws) if jws.algorithm.starts_with("HS") => Self::LibreChats,
            Ok(_) => Self::Providers,
            Err(_) => Self::None,
        }
    }

    /// The kind in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LibreChats => "a token of LibreChat's own",
            Self::Providers => "a token of an identity provider",
            Self::Key => "a key of the remote-agent API",
            Self::None => "no token that can be read",
        }
    }
}

impl Told {
    /// What this token says.
    pub fn of(token: &str) -> Self {
        let Ok(jws) = Jws::read(token) else { return Self::default() };
        let claims = jws.claims().unwrap_or_default();
        let text = |value: &Value| value.as_str().map(Into::into);
        let number = |name: &str| claims.get(name).and_then(|value| value.as_i64().or_else(|| whole(value.as_f64()?)));
        let audience = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().filter_map(text).collect(),
            Some(one) => text(one).into_iter().collect(),
            None => Vec::new(),
        };
        Self {
            issuer: claims.get("iss").and_then(text),
            expires: number("exp"),
            begins: number("nbf"),
            audience,
            algorithm: Some(jws.algorithm),
            key: jws.key,
        }
    }
}

/// The whole seconds of a number that is no integer.
fn whole(number: f64) -> Option<i64> {
    format!("{:.0}", number.floor()).parse().ok()
}
