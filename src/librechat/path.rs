//! The request target, read strictly (CONTRACT.md D.1, SECURITY.md 2).
//!
//! Express ignores case and trailing slashes, keeps dot segments, compares literal segments before decoding, and after a
//! `#` reads `\` as `/`. A proxy that reads any of this differently judges another path than LibreChat serves. So a target
//! is refused unless all readers must agree on it, and LibreChat receives a target made from what was judged
//! ([`Route::target`](super::routes::Route::target)).

use std::borrow::Cow;

use http::{Method, Uri};

/// A path that Tollgate and LibreChat read in the same way, with its query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    path: Box<str>,
    query: Option<Box<str>>,
    area: Area,
}

/// The part of LibreChat's address space a path belongs to, by its first segment in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// `/api`
    Api,
    /// `/oauth`
    OAuth,
    /// `/images`
    Images,
    /// `/metrics`
    Metrics,
    /// Everything else: the pages and assets of the web client.
    Page,
}

/// Why a request target is refused. All of them are answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathFault {
    /// It is not origin-form (`/path?query`): absolute form, authority form, or `*`.
    Form,
    /// It holds `\`.
    Backslash,
    /// It holds `#`.
    Fragment,
    /// It holds white space or a control character.
    Control,
    /// It holds bytes beyond ASCII that are not percent-encoded.
    NonAscii,
    /// It holds another character that a path or query may not hold.
    Character,
    /// It holds `;` in the path.
    Semicolon,
    /// It holds an empty segment (`//`) that is not at the end.
    EmptySegment,
    /// It holds a segment `.` or `..`, plain or encoded.
    DotSegment,
    /// A percent sign is not followed by two hexadecimal digits, or the bytes are not UTF-8.
    Escape,
    /// It encodes a slash or a backslash.
    EncodedSlash,
    /// It encodes NUL or another control character.
    EncodedControl,
    /// It encodes a letter, digit or mark that never needs it.
    EncodedPlain,
}

// === impl CanonicalPath ===

impl CanonicalPath {
    /// Reads a request target as it stood in the request line.
    ///
    /// # Errors
    /// The first fault found.
    pub fn read(target: &str) -> Result<Self, PathFault> {
        let (path, query) = match target.split_once('?') {
            None => (target, None),
            Some((path, query)) => (path, Some(query)),
        };
        Self::from_parts(path, query)
    }

    /// Reads the target of a request that an HTTP server has parsed. (`http::Uri` has dropped a fragment by then, which is
    /// harmless: LibreChat receives only what is read here.)
    ///
    /// # Errors
    /// [`PathFault::Form`] if the target has a scheme or an authority, else as [`CanonicalPath::read`].
    pub fn of(uri: &Uri) -> Result<Self, PathFault> {
        if uri.scheme().is_some() || uri.authority().is_some() {
            return Err(PathFault::Form);
        }
        Self::from_parts(uri.path(), uri.query())
    }

    /// The path without the query: `/` or segments without a trailing slash. (Pages keep one trailing slash.)
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The query string without its `?`, as it came.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The part of LibreChat's address space.
    pub fn area(&self) -> Area {
        self.area
    }

    /// The segments, as they came. None for `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1).filter(|segment| !segment.is_empty())
    }

    /// The decoded names of the query's parameters, in order, repeated ones repeated.
    pub fn query_names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let pairs = self.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| decode_name(pair.split_once('=').map_or(pair, |(name, _)| name)))
    }

    /// The decoded values of all parameters of the query that have this name, in order.
    pub fn query_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        let pairs = self.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(move |(known, _)| decode_name(known) == name).map(|(_, value)| decode_name(value))
    }

    fn from_parts(path: &str, query: Option<&str>) -> Result<Self, PathFault> {
        if !path.starts_with('/') {
            return Err(PathFault::Form);
        }
        check_bytes(path, is_path_byte)?;
        check_escapes(path)?;
        if let Some(query) = query {
            check_bytes(query, is_query_byte)?;
        }
        let area = area(path);
        let path = match area {
            // LibreChat serves every page at any number of trailing slashes; two of them are an empty segment.
            Area::Page => path,
            _ => path.trim_end_matches('/'),
        };
        check_segments(path)?;
        Ok(Self { path: path.into(), query: query.map(Into::into), area })
    }
}

/// Whether this is `OPTIONS *`, which asks about the server and not about a path (RFC 9112 section 3.2.4).
pub fn is_server_options(method: &Method, uri: &Uri) -> bool {
    method == Method::OPTIONS && uri.path() == "*" && uri.authority().is_none()
}

// === impl PathFault ===

impl PathFault {
    /// The stable code: `path-form`, `path-backslash` and so on.
    pub fn code(self) -> &'static str {
        self.told().0
    }

    /// What the caller may read.
    pub fn sentence(self) -> &'static str {
        self.told().1
    }

    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Form => ("path-form", "send the request target as a path that starts with a slash"),
            Self::Backslash => ("path-backslash", "the path may not hold a backslash"),
            Self::Fragment => ("path-fragment", "the request target may not hold a fragment"),
            Self::Control => ("path-control", "the request target may not hold white space or control characters"),
            Self::NonAscii => ("path-non-ascii", "percent-encode everything beyond ASCII in the request target"),
            Self::Character => ("path-character", "the request target holds a character that must be percent-encoded"),
            Self::Semicolon => ("path-semicolon", "the path may not hold a semicolon"),
            Self::EmptySegment => ("path-empty-segment", "the path may not hold two slashes in a row"),
            Self::DotSegment => ("path-dot-segment", "the path may not hold dot segments"),
            Self::Escape => ("path-escape", "a percent-encoding in the path is not valid"),
            Self::EncodedSlash => ("path-encoded-slash", "the path may not hold an encoded slash or backslash"),
            Self::EncodedControl => ("path-encoded-control", "the path may not hold encoded control characters"),
            Self::EncodedPlain => {
                ("path-encoded-plain", "letters, digits and - . _ ~ may not be percent-encoded in the path")
            }
        }
    }
}

fn area(path: &str) -> Area {
    let first = path.as_bytes().split(|byte| *byte == b'/').nth(1).unwrap_or_default();
    let named = [
        (b"api".as_slice(), Area::Api),
        (b"oauth", Area::OAuth),
        (b"images", Area::Images),
        (b"metrics", Area::Metrics),
    ];
    named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(first)).map_or(Area::Page, |(_, area)| area)
}

/// RFC 3986: what a path may hold, without `;`, which some readers cut a segment at.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'='
        )
        || matches!(byte, b':' | b'@' | b'%' | b'/')
}

/// RFC 3986: what a query may hold, and the brackets and bars that browsers leave unencoded in it.
fn is_query_byte(byte: u8) -> bool {
    is_path_byte(byte) || matches!(byte, b';' | b'?' | b'[' | b']' | b'|' | b'^' | b'`' | b'{' | b'}')
}

fn check_bytes(text: &str, allowed: impl Fn(u8) -> bool) -> Result<(), PathFault> {
    match text.bytes().find(|&byte| !allowed(byte)) {
        None => Ok(()),
        Some(b'\\') => Err(PathFault::Backslash),
        Some(b'#') => Err(PathFault::Fragment),
        Some(b';') => Err(PathFault::Semicolon),
        Some(0..=b' ' | 0x7f) => Err(PathFault::Control),
        Some(0x80..) => Err(PathFault::NonAscii),
        Some(_) => Err(PathFault::Character),
    }
}

/// Percent-encodings of a path: only what must be encoded, valid and in UTF-8. No client encodes a plain letter; who does
/// wants `%63hat` to be `chat` for one reader and not for the other.
fn check_escapes(path: &str) -> Result<(), PathFault> {
    if !path.bytes().any(|byte| byte == b'%') {
        return Ok(());
    }
    let mut pieces = path.split('%');
    let mut decoded: Vec<u8> = pieces.next().unwrap_or_default().into();
    for piece in pieces {
        let (byte, rest) = decode_byte(piece).ok_or(PathFault::Escape)?;
        match byte {
            b'.' => return Err(PathFault::DotSegment),
            b'/' | b'\\' => return Err(PathFault::EncodedSlash),
            0..=0x1f | 0x7f => return Err(PathFault::EncodedControl),
            b'-' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => return Err(PathFault::EncodedPlain),
            _ => decoded.push(byte),
        }
        decoded.extend_from_slice(rest.as_bytes());
    }
    std::str::from_utf8(&decoded).map(drop).map_err(|_| PathFault::Escape)
}

fn check_segments(path: &str) -> Result<(), PathFault> {
    // By bytes: searching text for a character costs several times as much.
    let mut segments = path.as_bytes().split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." | b".." => return Err(PathFault::DotSegment),
            // The root, or the one slash at the end that a page may have.
            b"" if segments.peek().is_some() => return Err(PathFault::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

/// The byte of the two hexadecimal digits at the start, and what follows them.
fn decode_byte(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    // `from_str_radix` would accept a sign.
    let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten().map(|byte| (byte, rest))
}

/// A segment decoded once; none if it is not valid. (A plus sign is one, other than in a query.)
pub(super) fn decode_segment(segment: &str) -> Option<Cow<'_, str>> {
    let mut pieces = segment.split('%');
    let first = pieces.next()?;
    let mut decoded: Vec<u8> = first.into();
    let mut plain = true;
    for piece in pieces {
        let (byte, rest) = decode_byte(piece)?;
        plain = false;
        decoded.push(byte);
        decoded.extend_from_slice(rest.as_bytes());
    }
    if plain { Some(Cow::Borrowed(segment)) } else { String::from_utf8(decoded).ok().map(Cow::Owned) }
}

/// A parameter name or value as Node's `querystring` decodes it: `+` is a space, a bad escape stays as it is.
fn decode_name(name: &str) -> Cow<'_, str> {
    if !name.contains(['%', '+']) {
        return Cow::Borrowed(name);
    }
    let spaced = name.replace('+', " ");
    let mut pieces = spaced.split('%');
    let mut decoded: Vec<u8> = pieces.next().unwrap_or_default().into();
    for piece in pieces {
        match decode_byte(piece) {
            Some((byte, rest)) => {
                decoded.push(byte);
                decoded.extend_from_slice(rest.as_bytes());
            }
            None => {
                decoded.push(b'%');
                decoded.extend_from_slice(piece.as_bytes());
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests;
