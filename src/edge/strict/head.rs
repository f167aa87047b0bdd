//! One request head, line by line, before the HTTP engine sees any of it.
//!
//! Only one way to write a request is let in: what RFC 9112 allows a recipient to be lenient about is refused, because the next
//! program may be lenient in another way (SECURITY.md section 1). White space around the values that frame a body may be
//! spaces only. Other values may hold tabs and bytes beyond ASCII: browsers send both, in cookies above all, and every reader
//! passes them on as they are.

use memchr::memchr;

use crate::flow::gate::GateFault;

/// Most header lines of a request (Node takes 2,000, browsers send about 20).
const MOST_LINES: u16 = 100;

/// Most digits of a length: more would not fit 64 bits.
const MOST_DIGITS: usize = 19;

/// A head that is read as its bytes come in.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Bytes of whole lines that have been read.
    read: usize,
    lines: u16,
    begun: bool,
    bodiless: bool,
    old: bool,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    expects: bool,
    close: bool,
    keep_alive: bool,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    /// The body.
    pub(super) body: Length,
    /// Whether this is the last request of its connection.
    pub(super) last: bool,
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// So many bytes; mostly none.
    Counted(u64),
    /// In chunks.
    Chunked,
}

// === impl Head ===

impl Head {
    /// Reads on. `bytes` begin where the head began, at each call with more of them; at most `limit` of them may be head.
    /// Returns the length of the head and what follows it, or nothing while lines are missing.
    ///
    /// # Errors
    /// The first fault, as soon as it can be seen.
    pub(super) fn read(&mut self, bytes: &[u8], limit: usize) -> Result<Option<(usize, Framing)>, GateFault> {
        loop {
            let rest = bytes.get(self.read..).unwrap_or_default();
            let Some(end) = memchr(b'\n', rest) else {
                return self.wait(rest, bytes.len(), limit);
            };
            self.read += end + 1;
            if self.read > limit {
                return Err(GateFault::TooLong);
            }
            let Some((b'\r', line)) = rest.get(..end).and_then(<[u8]>::split_last) else {
                return Err(GateFault::LineEnd);
            };
            if !self.begun {
                self.request_line(line)?;
                self.begun = true;
            } else if line.is_empty() {
                return self.framing().map(|framing| Some((self.read, framing)));
            } else {
                self.field(line)?;
            }
        }
    }

    /// Half a line: nothing to do but to refuse what no more bytes can mend.
    fn wait(&self, half: &[u8], all: usize, limit: usize) -> Result<Option<(usize, Framing)>, GateFault> {
        if all >= limit {
            return Err(GateFault::TooLong);
        }
        let text = half.strip_suffix(b"\r").unwrap_or(half);
        if !self.begun && half.first().is_some_and(|first| !first.is_ascii_alphabetic()) {
            return Err(if half.starts_with(b"\r") { GateFault::LineEnd } else { GateFault::Line });
        }
        unless_control(text)?;
        Ok(None)
    }

    /// `METHOD SP /target SP HTTP/1.1`.
    fn request_line(&mut self, line: &[u8]) -> Result<(), GateFault> {
        if line.is_empty() {
            return Err(GateFault::LineEnd);
        }
        let (method, rest) = split_at(line, b' ').ok_or(GateFault::Line)?;
        self.bodiless = match method {
            b"GET" | b"HEAD" | b"OPTIONS" => true,
            b"POST" | b"PUT" | b"PATCH" | b"DELETE" => false,
            token if !token.is_empty() && token.iter().all(|&byte| is_in(&TOKEN, byte)) => {
                return Err(GateFault::Method);
            }
            _ => return Err(GateFault::Line),
        };
        let (target, version) = split_at(rest, b' ').ok_or(GateFault::Line)?;
        let (path, query) = split_at(target, b'?').unwrap_or((target, b""));
        let fits = path.iter().all(|&byte| is_in(&PATH, byte)) && query.iter().all(|&byte| is_in(&QUERY, byte));
        if !fits || path.first() != Some(&b'/') {
            return Err(if target.contains(&b'\r') { GateFault::LineEnd } else { GateFault::Target });
        }
        self.old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ if version.starts_with(b"HTTP/") && !version.contains(&b' ') => return Err(GateFault::Version),
            _ => return Err(GateFault::Line),
        };
        Ok(())
    }

    /// `name: value`.
    fn field(&mut self, line: &[u8]) -> Result<(), GateFault> {
        self.lines += 1;
        if self.lines > MOST_LINES {
            return Err(GateFault::Headers);
        }
        let colon = line.iter().position(|&byte| !is_in(&TOKEN, byte)).filter(|&at| at > 0);
        let (name, rest) = colon.and_then(|at| line.split_at_checked(at)).ok_or(GateFault::Name)?;
        let Some((b':', value)) = rest.split_first() else {
            return Err(if rest.starts_with(b"\r") { GateFault::LineEnd } else { GateFault::Name });
        };
        unless_control(value)?;
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        // By length first: nearly no field is one of these.
        match name.len() {
            4 if is(b"host") => self.host(value),
            6 if is(b"expect") => self.expect(value),
            // A program that keeps fields in a JavaScript object sets its prototype (CVE-2026-21710).
            9 if is(b"__proto__") => Err(GateFault::Name),
            10 if is(b"connection") => {
                self.connection(value);
                Ok(())
            }
            14 if is(b"content-length") => self.content_length(value),
            17 if is(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), GateFault> {
        let value = bare(value);
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
        if std::mem::replace(&mut self.host, true) || value.is_empty() || !value.iter().all(fits) {
            return Err(GateFault::Host);
        }
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), GateFault> {
        if std::mem::replace(&mut self.expects, true) || !bare(value).eq_ignore_ascii_case(b"100-continue") {
            return Err(GateFault::Expect);
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), GateFault> {
        let digits = bare(value);
        // `02`, `+2` and `2, 2` are a length to some readers.
        let plain = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || !digits.starts_with(b"0"));
        if self.length.is_some() || !plain || digits.is_empty() || digits.len() > MOST_DIGITS {
            return Err(GateFault::Length);
        }
        self.length = Some(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), GateFault> {
        if std::mem::replace(&mut self.chunked, true) || !bare(value).eq_ignore_ascii_case(b"chunked") {
            return Err(GateFault::Encoding);
        }
        Ok(())
    }

    /// The empty line has come: what the lines say together.
    fn framing(&self) -> Result<Framing, GateFault> {
        if !self.host {
            return Err(GateFault::Host);
        }
        let body = match (self.length, self.chunked) {
            (Some(_), true) => return Err(GateFault::Length),
            (None, true) if self.old => return Err(GateFault::Encoding),
            (None, true) => Length::Chunked,
            (length, false) => Length::Counted(length.unwrap_or(0)),
        };
        if self.bodiless && body != Length::Counted(0) {
            return Err(GateFault::Body);
        }
        Ok(Framing { body, last: self.close || (self.old && !self.keep_alive) })
    }
}

/// What stands before the first such byte, and what stands after it.
fn split_at(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(memchr(byte, bytes)?)?;
    Some((before, rest.get(1..)?))
}

/// A value without the spaces around it.
fn bare(mut value: &[u8]) -> &[u8] {
    while let Some((b' ', rest)) = value.split_first() {
        value = rest;
    }
    while let Some((b' ', rest)) = value.split_last() {
        value = rest;
    }
    value
}

/// Refuses control characters; a tab is none here. Without a branch for each byte, so that it can be done for many at once.
fn unless_control(text: &[u8]) -> Result<(), GateFault> {
    let control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    if !text.iter().fold(false, |found, &byte| found | control(byte)) {
        return Ok(());
    }
    Err(if text.contains(&b'\r') { GateFault::LineEnd } else { GateFault::Value })
}

/// RFC 9110 5.6.2.
const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

/// What a path may hold at all: visible ASCII, without what ends a target for some readers (`#`) and what no client leaves
/// unencoded. What of it a path of LibreChat may hold is judged when it is known to be one.
const PATH: [bool; 256] = table(b"!$%&'()*+,-./:;=@[\\]^_{|}~");

/// The same for a query, in which browsers leave more unencoded.
const QUERY: [bool; 256] = table(b"!$%&'()*+,-./:;=?@[\\]^_`{|}~");

fn is_in(table: &[bool; 256], byte: u8) -> bool {
    table.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Letters, digits and these.
#[expect(clippy::indexing_slicing, reason = "worked out by the compiler, which refuses an index out of bounds")]
const fn table(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests;
