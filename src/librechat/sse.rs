//! Server-sent events, split from a stream that comes in chunks cut anywhere (WHATWG HTML, section 9.2.6).
//!
//! The stream is only watched: what is not understood is passed over, and whatever the bytes are, nothing fails. Memory is
//! bounded: an event that is longer than [`LONGEST`] is not kept, and said.

use memchr::memchr2;

/// Longest event that is kept, in bytes: more than the body of any request, and so than any message that LibreChat stores
/// (CONTRACT.md G.2), twice over.
pub const LONGEST: usize = 8 * 1024 * 1024;

/// Buffers that have grown beyond this many bytes for one event are given back after it.
const KEPT: usize = 16 * 1024;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An event with its name (empty where it has none) and its data.
    Whole {
        /// What `event:` says.
        name: &'a [u8],
        /// The lines of `data:`, with a line feed between them.
        data: &'a [u8],
    },
    /// An event of so many bytes, which was not kept.
    TooLong(u64),
}

/// Splits a stream into events.
#[derive(Debug, Default)]
pub struct Frames {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Whether the last byte was a carriage return: a line feed after it ends no other line.
    after_return: bool,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// Bytes of the event so far, where it is too long to be kept.
    passed: Option<Passed>,
}

/// An event that is passed over.
#[derive(Debug)]
struct Passed {
    bytes: u64,
    /// Whether the line that has begun has anything on it.
    in_line: bool,
}

// === impl Frames ===

impl Frames {
    /// Reads on, and tells each event that is complete. A line that the stream ends within is never told.
    pub fn push(&mut self, chunk: &[u8], tell: &mut dyn FnMut(Frame<'_>)) {
        let mut rest = chunk;
        if self.after_return && !rest.is_empty() {
            self.after_return = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = memchr2(b'\n', b'\r', rest) {
            let (line, ending) = rest.split_at(at);
            let (end, after) = ending.split_first().map_or((b'\n', ending), |(end, after)| (*end, after));
            rest = after;
            if end == b'\r' {
                self.after_return = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            if self.line.is_empty() {
                self.end_line(line, tell);
            } else {
                self.keep(line);
                let line = std::mem::take(&mut self.line);
                self.end_line(&line, tell);
                self.line = emptied(line);
            }
        }
        self.keep(rest);
    }

    /// Keeps a part of a line.
    fn keep(&mut self, part: &[u8]) {
        if self.fits(part.len()) {
            self.line.extend_from_slice(part);
        } else if let Some(passed) = &mut self.passed {
            passed.in_line |= !part.is_empty();
        }
    }

    /// Whether so many bytes more can be kept of this event. From the first that cannot on, nothing of it is kept.
    fn fits(&mut self, more: usize) -> bool {
        if let Some(passed) = &mut self.passed {
            passed.bytes = passed.bytes.saturating_add(more as u64);
            return false;
        }
        let bytes = self.line.len().saturating_add(self.data.len()).saturating_add(more);
        if bytes > LONGEST {
            self.passed = Some(Passed { bytes: bytes as u64, in_line: !self.line.is_empty() });
            (self.line, self.data) = (Vec::new(), Vec::new());
        }
        self.passed.is_none()
    }

    /// Takes a whole line.
    fn end_line(&mut self, line: &[u8], tell: &mut dyn FnMut(Frame<'_>)) {
        if let Some(passed) = &mut self.passed {
            if line.is_empty() && !passed.in_line {
                tell(Frame::TooLong(passed.bytes));
                self.begin();
            } else {
                passed.bytes = passed.bytes.saturating_add(line.len() as u64);
                passed.in_line = false;
            }
            return;
        }
        if line.is_empty() {
            if self.has_data {
                tell(Frame::Whole { name: &self.name, data: &self.data });
            }
            return self.begin();
        }
        if let Some(data) = value(line, b"data") {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            if self.fits(data.len()) {
                self.data.extend_from_slice(data);
            } else if let Some(passed) = &mut self.passed {
                passed.in_line = false;
            }
        } else if let Some(name) = value(line, b"event") {
            self.name.clear();
            self.name.extend_from_slice(name.get(..name.len().min(64)).unwrap_or_default());
        }
    }

    /// Begins a new event.
    fn begin(&mut self) {
        self.name.clear();
        self.data = emptied(std::mem::take(&mut self.data));
        self.has_data = false;
        self.passed = None;
    }
}

/// What a line says about a field.
fn value<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(field)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// The buffer without its bytes, and without its room where that has grown.
fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.shrink_to(KEPT);
    buffer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let (mut frames, mut all) = (Frames::default(), Vec::new());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for chunk in chunks {
            frames.push(chunk, &mut |frame| {
                all.push(match frame {
                    Frame::Whole { name, data } => (text(name), text(data)),
                    Frame::TooLong(bytes) => ("too long".to_owned(), bytes.to_string()),
                });
            });
        }
        all
    }

    fn pair(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn events_are_told_as_the_standard_says() {
        for (stream, expected) in [
            ("event: a\ndata: b\n\n", vec![pair("a", "b")]),
            ("event: a\r\ndata: b\r\n\r\n", vec![pair("a", "b")]),
            ("event: a\rdata: b\r\r", vec![pair("a", "b")]),
            ("data: a\ndata: b\n\n", vec![pair("", "a\nb")]),
            ("data:a\ndata:\ndata\n\n", vec![pair("", "a\n\n")]),
            ("data:  a\n\n", vec![pair("", " a")]),
            (": comment\nid: 7\nretry: 1\ndata: a\n\n", vec![pair("", "a")]),
            // A name alone is no event, and is forgotten.
            ("event: a\n\ndata: b\n\n", vec![pair("", "b")]),
            ("database: a\n\ndata: b\n\n", vec![pair("", "b")]),
            // What the stream ends within is never told.
            ("data: a\n", vec![]),
            ("data: a", vec![]),
            ("\n\n\n", vec![]),
        ] {
            assert_eq!(read(&[stream.as_bytes()]), expected, "{stream:?}");
        }
    }

    #[test]
    fn an_event_that_is_too_long_is_said_and_not_kept() {
        let long = vec![b'x'; LONGEST + 1];
        for chunks in [
            vec![&b"data: "[..], &long, b"\ndata: more\n\ndata: b\n\n"],
            vec![
                &b"data: "[..],
                &long[..LONGEST / 2],
                &long[..LONGEST / 2],
                b"xx",
                b"\ndata: more\n",
                b"\ndata: b\n\n",
            ],
            vec![&b"data: x\ndata: "[..], &long, b"\r", b"\n\r\n", b"data: b\n\n"],
        ] {
            let events = read(&chunks);
            assert_eq!(events.len(), 2, "{events:?}");
            assert_eq!(events[0].0, "too long");
            assert!(events[0].1.parse::<usize>().unwrap() > LONGEST, "{events:?}");
            assert_eq!(events[1], pair("", "b"));
        }
        let mut frames = Frames::default();
        for _ in 0..20 {
            frames.push(&long, &mut |frame| panic!("{frame:?}"));
        }
        assert_eq!((frames.line.capacity(), frames.data.capacity()), (0, 0));
    }

    #[test]
    fn room_that_one_event_needed_is_given_back() {
        let mut frames = Frames::default();
        let (line, mut told) = (vec![b'x'; 100 * KEPT], 0);
        for chunk in [&b"data: "[..], &line, b"\n\n"] {
            frames.push(chunk, &mut |_| told += 1);
        }
        assert_eq!(told, 1);
        assert!(frames.line.capacity() <= KEPT && frames.data.capacity() <= KEPT);
    }

    proptest! {
        #[test]
        fn where_chunks_are_cut_changes_nothing(stream in "(data|event|:|\r|\n|\r\n|x| ){0,60}", cuts in prop::collection::vec(0_usize..80, 0..6)) {
            let whole = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([whole.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let chunks: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &whole[start..end]).collect();
            prop_assert_eq!(read(&chunks), read(&[whole]));
        }
    }
}
