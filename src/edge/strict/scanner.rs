//! All bytes of a connection: heads, bodies, and the borders between them.

use super::chunks::Chunks;
use super::head::{Framing, Head, Length};
use crate::flow::gate::GateFault;

/// Reads along with a connection.
#[derive(Debug)]
pub(super) struct Scanner {
    place: Place,
    limit: usize,
    last: bool,
}

/// Where in the connection the next byte stands.
#[derive(Debug)]
enum Place {
    Head(Head),
    Counted(u64),
    Chunked(Chunks),
    /// Behind the last request.
    Over,
}

/// What was found in some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// How many of them may go on.
    pub(super) good: usize,
    /// How many request heads are among those.
    pub(super) heads: usize,
    /// What to do with the rest.
    pub(super) rest: Rest,
}

/// What to do with bytes that may not go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// There are none.
    Nothing,
    /// The beginning of a head: keep them and come again with them and more.
    Incomplete,
    /// They are behind the last request: nobody reads them.
    Behind,
    /// They are no request.
    NoRequest(GateFault),
    /// They are not the body that was announced.
    NoBody(GateFault),
}

// === impl Scanner ===

impl Scanner {
    /// At the beginning of a connection on which heads may have `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { place: Place::Head(Head::default()), limit, last: false }
    }

    /// Reads on. After [`Rest::Incomplete`] the bytes must begin with those that could not go on, after a fault there must be no
    /// more.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Found {
        let (mut good, mut heads) = (0, 0);
        loop {
            let rest = bytes.get(good..).unwrap_or_default();
            if rest.is_empty() {
                return Found { good, heads, rest: Rest::Nothing };
            }
            match &mut self.place {
                Place::Head(head) => match head.read(rest, self.limit) {
                    Ok(Some((length, framing))) => {
                        (good, heads) = (good + length, heads + 1);
                        self.enter_body(framing);
                    }
                    Ok(None) => return Found { good, heads, rest: Rest::Incomplete },
                    Err(fault) => return Found { good, heads, rest: Rest::NoRequest(fault) },
                },
                Place::Counted(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    good += here;
                    *left -= here as u64;
                    if *left == 0 {
                        self.leave_body();
                    }
                }
                Place::Chunked(chunks) => match chunks.read(rest) {
                    Ok((length, over)) => {
                        good += length;
                        if over {
                            self.leave_body();
                        }
                    }
                    Err((length, fault)) => return Found { good: good + length, heads, rest: Rest::NoBody(fault) },
                },
                Place::Over => return Found { good, heads, rest: Rest::Behind },
            }
        }
    }

    /// Whether more of a body has to come.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self.place, Place::Counted(_) | Place::Chunked(_))
    }

    fn enter_body(&mut self, framing: Framing) {
        self.last = framing.last;
        match framing.body {
            Length::Counted(0) => self.leave_body(),
            Length::Counted(length) => self.place = Place::Counted(length),
            Length::Chunked => self.place = Place::Chunked(Chunks::new()),
        }
    }

    fn leave_body(&mut self) {
        self.place = if self.last { Place::Over } else { Place::Head(Head::default()) };
    }
}

#[cfg(test)]
mod tests;
