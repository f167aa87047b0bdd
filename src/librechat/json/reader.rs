//! The grammar behind [`read_strict`](super::read_strict): from bytes to canonical text, by descent.
//!
//! Written by hand because a general reader either builds a tree that nobody needs or loses the spelling of numbers. Keys
//! are compared in their canonical spelling, straight from the output, so small objects allocate nothing; large ones are
//! sorted, so no choice of keys makes them slow.

use super::{Member, Span};
use crate::json_text::{self, plain_run};
use crate::librechat::unreadable::Unreadable;

/// A body on its way to canonical text.
pub(super) struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// The keys of all objects that are open, outermost first.
    keys: Vec<Span>,
    members: Vec<Member>,
    depth: usize,
}

/// From this number of keys on an object's keys are sorted to find repeated ones.
pub(super) const SORTED_FROM: usize = 24;

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Reads a body that is UTF-8: its canonical text, and the members of the view.
    pub(super) fn read(input: &'a [u8], depth: usize) -> Result<(Vec<u8>, Vec<Member>), Unreadable> {
        // The canonical text is never longer than the original: every canonical escape is the shortest one.
        let out = Vec::with_capacity(input.len());
        let (keys, members) = (Vec::with_capacity(32), Vec::with_capacity(32));
        let mut reader = Self { input, at: 0, out, keys, members, depth };
        match reader.next_token() {
            Some(b'{') => reader.object(1, Some(None))?,
            Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => return Err(Unreadable::NotObject),
            _ => return Err(Unreadable::NotJson),
        }
        match reader.next_token() {
            None => Ok((reader.out, reader.members)),
            Some(_) => Err(Unreadable::Trailing),
        }
    }

    /// The next byte after white space, which it skips.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(&byte) = self.input.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// Copies one byte of punctuation.
    fn mark(&mut self, byte: u8) {
        self.at += 1;
        self.out.push(byte);
    }

    /// Reads an object whose brace is next. `kept`: whether its members are part of the view, and under which member.
    fn object(&mut self, depth: usize, kept: Option<Option<usize>>) -> Result<(), Unreadable> {
        if depth > self.depth {
            return Err(Unreadable::TooDeep);
        }
        self.mark(b'{');
        let first_key = self.keys.len();
        if self.next_token() == Some(b'}') {
            self.mark(b'}');
            return Ok(());
        }
        loop {
            if self.next_token() != Some(b'"') {
                return Err(Unreadable::NotJson);
            }
            let key = self.string()?;
            self.refuse_prototype(key)?;
            self.keys.push(key);
            if self.next_token() != Some(b':') {
                return Err(Unreadable::NotJson);
            }
            self.mark(b':');
            let value = Span { start: self.out.len(), end: self.out.len() };
            match kept {
                Some(parent) => {
                    let index = self.members.len();
                    self.members.push(Member { key, value, parent });
                    // Members of the top level's own objects are part of the view, deeper ones are not.
                    self.value(depth, parent.is_none().then_some(Some(index)))?;
                    let end = self.out.len();
                    if let Some(member) = self.members.get_mut(index) {
                        member.value.end = end;
                    }
                }
                None => self.value(depth, None)?,
            }
            match self.next_token() {
                Some(b',') => self.mark(b','),
                Some(b'}') => break,
                _ => return Err(Unreadable::NotJson),
            }
        }
        self.mark(b'}');
        self.refuse_duplicates(first_key)
    }

    fn array(&mut self, depth: usize) -> Result<(), Unreadable> {
        if depth > self.depth {
            return Err(Unreadable::TooDeep);
        }
        self.mark(b'[');
        if self.next_token() == Some(b']') {
            self.mark(b']');
            return Ok(());
        }
        loop {
            self.value(depth, None)?;
            match self.next_token() {
                Some(b',') => self.mark(b','),
                Some(b']') => break,
                _ => return Err(Unreadable::NotJson),
            }
        }
        self.mark(b']');
        Ok(())
    }

    /// Reads any value inside an object or array of this depth.
    fn value(&mut self, depth: usize, kept: Option<Option<usize>>) -> Result<(), Unreadable> {
        match self.next_token() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(depth + 1, kept),
            Some(b'[') => self.array(depth + 1),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Unreadable::NotJson),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Unreadable> {
        if !self.rest().starts_with(word) {
            return Err(Unreadable::NotJson);
        }
        self.at += word.len();
        self.out.extend_from_slice(word);
        Ok(())
    }

    /// Copies a number as it is spelt, if JSON's grammar and double precision allow it.
    fn number(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        if self.input.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.input.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut exponent = false;
        if self.input.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.input.get(self.at), Some(b'e' | b'E')) {
            exponent = true;
            self.at += 1;
            if matches!(self.input.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.input.get(start..self.at).unwrap_or_default();
        // Below 308 digits and without an exponent every number is finite.
        if exponent || text.len() > 300 {
            let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
            if !value.is_some_and(f64::is_finite) {
                return Err(Unreadable::NumberRange);
            }
        }
        self.out.extend_from_slice(text);
        Ok(())
    }

    /// Skips one or more digits.
    fn digits(&mut self) -> Result<(), Unreadable> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(Unreadable::NotJson) } else { Ok(()) }
    }

    /// Reads a string whose quote is next and writes it in its canonical spelling, the place of which it returns.
    fn string(&mut self) -> Result<Span, Unreadable> {
        let start = self.out.len();
        // Nearly always the string stands there as it is to be written, quotes and all.
        let rest = self.rest();
        let end = 1 + plain_run(rest.get(1..).unwrap_or_default());
        if let (Some(b'"'), Some(whole)) = (rest.get(end), rest.get(..=end)) {
            self.out.extend_from_slice(whole);
            self.at += whole.len();
            return Ok(Span { start, end: self.out.len() });
        }
        self.mark(b'"');
        loop {
            let rest = self.rest();
            let run = plain_run(rest);
            self.out.extend_from_slice(rest.get(..run).unwrap_or_default());
            self.at += run;
            match rest.get(run) {
                Some(b'"') => {
                    self.mark(b'"');
                    return Ok(Span { start, end: self.out.len() });
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(Unreadable::NotJson),
            }
        }
    }

    /// Reads an escape whose backslash is next.
    fn escape(&mut self) -> Result<(), Unreadable> {
        let letter = self.input.get(self.at + 1).copied().ok_or(Unreadable::NotJson)?;
        self.at += 2;
        let char = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => return Err(Unreadable::NotJson),
        };
        write_char(&mut self.out, char);
        Ok(())
    }

    /// Reads the four digits after `\u`, and the second half of a surrogate pair.
    fn unicode(&mut self) -> Result<char, Unreadable> {
        let first = self.four()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.rest().starts_with(b"\\u") {
                    return Err(Unreadable::LoneSurrogate);
                }
                self.at += 2;
                let second = self.four()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(Unreadable::LoneSurrogate);
                }
                0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or(Unreadable::LoneSurrogate)
    }

    fn four(&mut self) -> Result<u32, Unreadable> {
        let digits = self.input.get(self.at..self.at + 4).ok_or(Unreadable::NotJson)?;
        self.at += 4;
        digits.iter().try_fold(0, |code, &digit| {
            char::from(digit).to_digit(16).map(|digit| code * 16 + digit).ok_or(Unreadable::NotJson)
        })
    }

    fn refuse_prototype(&self, key: Span) -> Result<(), Unreadable> {
        match text(&self.out, key) {
            br#""__proto__""# | br#""constructor""# | br#""prototype""# => Err(Unreadable::PrototypeKey),
            _ => Ok(()),
        }
    }

    /// Closes an object: refuses a key that occurs twice, then forgets its keys.
    fn refuse_duplicates(&mut self, first_key: usize) -> Result<(), Unreadable> {
        let out = &self.out;
        let keys = self.keys.get_mut(first_key..).unwrap_or_default();
        let twice = if keys.len() < SORTED_FROM {
            // Keys that are the same look alike: most keys look like none before them, and need no comparison.
            let mut looks = 0_u64;
            (0..).zip(keys.iter()).any(|(before, key)| {
                let key = text(out, *key);
                let look = 1 << (look(key) % u64::BITS as usize);
                let alike = looks & look != 0;
                looks |= look;
                alike && keys.iter().take(before).any(|other| text(out, *other) == key)
            })
        } else {
            keys.sort_unstable_by(|a, b| text(out, *a).cmp(text(out, *b)));
            keys.array_windows().any(|[a, b]| text(out, *a) == text(out, *b))
        };
        self.keys.truncate(first_key);
        if twice { Err(Unreadable::DuplicateKey) } else { Ok(()) }
    }
}

/// A number that is the same for keys that are the same, and mostly another for others: of the length and the first letters.
fn look(key: &[u8]) -> usize {
    // Behind the quote.
    let letters = key.get(1..4).unwrap_or_default();
    letters.iter().fold(key.len(), |look, letter| look.wrapping_mul(7).wrapping_add(usize::from(*letter)))
}

fn text(out: &[u8], span: Span) -> &[u8] {
    out.get(span.start..span.end).unwrap_or_default()
}

/// Writes one character with the shortest escape JSON has for it, and none where none is needed.
fn write_char(out: &mut Vec<u8>, char: char) {
    json_text::escape(char.encode_utf8(&mut [0; 4]), out);
}
