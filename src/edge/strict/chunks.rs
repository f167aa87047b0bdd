//! A body in chunks: sizes without extensions, exact line ends, and nothing after the last chunk.

use crate::flow::gate::GateFault;

/// Most digits of a chunk's size. 4 GiB are more than LibreChat takes in all (CONTRACT.md G.2).
const MOST_DIGITS: u8 = 8;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In a size of which so many digits have come.
    Size { size: u64, digits: u8 },
    /// Between the CR and the LF after a size.
    SizeEnd { size: u64 },
    /// In the bytes of a chunk, so many to come.
    Data { left: u64 },
    /// Before the CR after a chunk.
    DataCr,
    /// Before the LF after a chunk.
    DataLf,
    /// Before the CR that ends the body.
    EndCr,
    /// Before the LF that ends the body.
    EndLf,
    /// Behind the body.
    Over,
}

// === impl Chunks ===

impl Chunks {
    /// The beginning of a body.
    pub(super) fn new() -> Self {
        Self::Size { size: 0, digits: 0 }
    }

    /// Reads on; returns how many bytes belong to the body and are well formed, and whether it ends there. `Err` holds how many
    /// bytes were good before the fault.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), (usize, GateFault)> {
        let mut rest = bytes;
        while *self != Self::Over {
            if let Self::Data { left } = self {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= here as u64;
                if *left == 0 {
                    *self = Self::DataCr;
                }
                rest = rest.get(here..).unwrap_or_default();
            }
            let Some((&byte, after)) = rest.split_first() else { break };
            *self = self.after(byte).map_err(|fault| (bytes.len() - rest.len(), fault))?;
            rest = after;
        }
        Ok((bytes.len() - rest.len(), *self == Self::Over))
    }

    fn after(self, byte: u8) -> Result<Self, GateFault> {
        Ok(match (self, byte) {
            (Self::Size { digits: 1.., size }, b'\r') => Self::SizeEnd { size },
            (Self::Size { size, digits: digits @ 0..MOST_DIGITS }, digit) => {
                let digit = char::from(digit).to_digit(16).ok_or(GateFault::Chunk)?;
                Self::Size { size: size * 16 + u64::from(digit), digits: digits + 1 }
            }
            (Self::SizeEnd { size: 0 }, b'\n') => Self::EndCr,
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::new(),
            (Self::EndCr, b'\r') => Self::EndLf,
            (Self::EndCr, b'\n') => return Err(GateFault::Chunk),
            (Self::EndCr, _) => return Err(GateFault::Trailer),
            (Self::EndLf, b'\n') => Self::Over,
            _ => return Err(GateFault::Chunk),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes are good, and what is wrong with the next one; the end of the body has nothing wrong.
    fn judge(body: &[u8]) -> (usize, Option<GateFault>, bool) {
        match Chunks::new().read(body) {
            Ok((good, over)) => (good, None, over),
            Err((good, fault)) => (good, Some(fault), false),
        }
    }

    #[test]
    fn only_one_way_to_write_chunks_is_good() {
        use GateFault::{Chunk, Trailer};
        for (body, good, fault, over) in [
            (&b"0\r\n\r\n"[..], 5, None, true),
            (b"0\r\n\r\nGET / HTTP/1.1\r\n", 5, None, true),
            (b"000\r\n\r\n", 7, None, true),
            (b"5\r\nhello\r\n0\r\n\r\n", 15, None, true),
            (b"05\r\nhello\r\n0\r\n\r\n", 16, None, true),
            (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", 35, None, true),
            (b"5\r\nhel", 6, None, false),
            (b"", 0, None, false),
            (b"\r\n", 0, Some(Chunk), false),
            (b";x\r\n", 0, Some(Chunk), false),
            (b"5;x\r\nhello\r\n", 1, Some(Chunk), false),
            (b"5 \r\nhello\r\n", 1, Some(Chunk), false),
            (b" 5\r\nhello\r\n", 0, Some(Chunk), false),
            (b"0x5\r\nhello\r\n", 1, Some(Chunk), false),
            (b"+5\r\nhello\r\n", 0, Some(Chunk), false),
            (b"-1\r\n", 0, Some(Chunk), false),
            (b"5_0\r\n", 1, Some(Chunk), false),
            (b"5\nhello\r\n0\r\n\r\n", 1, Some(Chunk), false),
            (b"5\r\rhello", 2, Some(Chunk), false),
            (b"5\r\nhello0\r\n\r\n", 8, Some(Chunk), false),
            (b"5\r\nhello\n0\r\n\r\n", 8, Some(Chunk), false),
            (b"5\r\nhello\rX", 9, Some(Chunk), false),
            (b"5\r\nhelloXX0\r\n\r\n", 8, Some(Chunk), false),
            (b"0\r\n\n", 3, Some(Chunk), false),
            (b"0\r\n\rX", 4, Some(Chunk), false),
            (b"0\r\nX-Late: 1\r\n\r\n", 3, Some(Trailer), false),
            (b"0\r\n X-Late: 1\r\n\r\n", 3, Some(Trailer), false),
            (b"ffffffff\r\n", 10, None, false),
            (b"fffffffff\r\n", 8, Some(Chunk), false),
            (b"000000000\r\n", 8, Some(Chunk), false),
            (b"ffffffffffffffff1\r\n", 8, Some(Chunk), false),
        ] {
            assert_eq!(judge(body), (good, fault, over), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn the_pieces_in_which_a_body_comes_make_no_difference() {
        let body = b"5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\nGET";
        for cut in 0..body.len() {
            let mut chunks = Chunks::new();
            let (before, after) = body.split_at(cut);
            let (first, over) = chunks.read(before).unwrap();
            let (second, _) = if over { (0, true) } else { chunks.read(after).unwrap() };
            assert_eq!((first + second, chunks), (body.len() - 3, Chunks::Over), "{cut}");
        }
    }
}
