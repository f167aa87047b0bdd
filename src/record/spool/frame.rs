//! The form of a frame: how bytes with a number are laid into a segment, and how they are found again beside damage.
//!
//! `0xF5 0xC3`, length of the payload (u32), number (u64), CRC32C over length, number and payload (u32), payload; little endian.
//! The first two bytes are in no UTF-8 text, so that where bytes are damaged, the next frame is found by them.

use std::ops::Range;

use memchr::memmem;

const MAGIC: [u8; 2] = [0xF5, 0xC3];
/// Bytes before the payload.
pub(super) const HEADER: usize = 18;
/// Bytes that a payload may have: no entry is nearly as long, and a damaged length does not send a reader far.
pub(super) const LONGEST: usize = 16 << 20;

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// A whole frame.
    Frame {
        /// Its number.
        number: u64,
        /// What was put into it.
        payload: &'a [u8],
    },
    /// What may become a frame where there are so many bytes in all.
    Short(usize),
    /// No frame.
    Nothing,
}

/// Lays a payload behind the bytes, or says that it is too long.
pub(super) fn put(out: &mut Vec<u8>, number: u64, payload: &[u8]) -> bool {
    let Some(length) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= LONGEST) else {
        return false;
    };
    let (length, number) = (length.to_le_bytes(), number.to_le_bytes());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length);
    out.extend_from_slice(&number);
    out.extend_from_slice(&checksum(&length, &number, payload).to_le_bytes());
    out.extend_from_slice(payload);
    true
}

/// What the bytes begin with.
pub(super) fn see(bytes: &[u8]) -> Seen<'_> {
    let Some((magic, rest)) = bytes.split_first_chunk() else {
        return Seen::Short(HEADER);
    };
    if *magic != MAGIC {
        return Seen::Nothing;
    }
    let Some((length, number, sum, rest)) = header(rest) else {
        return Seen::Short(HEADER);
    };
    let Some(size) = usize::try_from(u32::from_le_bytes(length)).ok().filter(|size| *size <= LONGEST) else {
        return Seen::Nothing;
    };
    let Some(payload) = rest.get(..size) else {
        return Seen::Short(HEADER + size);
    };
    if checksum(&length, &number, payload) != u32::from_le_bytes(sum) {
        return Seen::Nothing;
    }
    Seen::Frame { number: u64::from_le_bytes(number), payload }
}

/// Where the first whole frame with one of these numbers begins.
pub(super) fn find(bytes: &[u8], numbers: &Range<u64>) -> Option<usize> {
    memmem::find_iter(bytes, &MAGIC).find(|at| {
        let seen = bytes.get(*at..).map(see);
        matches!(seen, Some(Seen::Frame { number, .. }) if numbers.contains(&number))
    })
}

// === helpers ===

type Header<'a> = ([u8; 4], [u8; 8], [u8; 4], &'a [u8]);

fn header(bytes: &[u8]) -> Option<Header<'_>> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    Some((*length, *number, *sum, rest))
}

fn checksum(length: &[u8], number: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(length), number), payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(number: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(put(&mut out, number, payload));
        out
    }

    #[test]
    fn a_frame_has_the_form_that_is_written_down() {
        let bytes = framed(0x0102_0304, b"abc");
        assert_eq!(bytes[..14], [0xF5, 0xC3, 3, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 0]);
        // The sum of the standard check, and that of this frame: over length, number and payload as they stand there.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        let sum = crc32c::crc32c(&[&bytes[2..14], b"abc"].concat());
        assert_eq!((&bytes[14..18], &bytes[18..]), (&sum.to_le_bytes()[..], &b"abc"[..]));
        assert_eq!(HEADER, 18);
    }

    #[test]
    fn a_frame_is_whole_or_short() {
        for payload in [&b""[..], b"x", b"{\"a\":\"\xF5\xC3\"}"] {
            let bytes = framed(7, payload);
            assert_eq!(see(&bytes), Seen::Frame { number: 7, payload });
            for end in 0..bytes.len() {
                let needed = if end < HEADER { HEADER } else { bytes.len() };
                assert_eq!(see(&bytes[..end]), Seen::Short(needed), "{end}");
            }
        }
    }

    #[test]
    fn the_next_whole_frame_of_a_fitting_number_is_found() {
        let (old, short, good) = (framed(3, b"old"), framed(5, b"never whole"), framed(6, b"good"));
        let bytes = [&[0xF5, 0xF5, 0xC3, 0xC3][..], &old, &short[..20], &good, &framed(9, b"later")].concat();
        let at = 4 + old.len() + 20;
        assert_eq!(find(&bytes, &(4..8)), Some(at));
        assert_eq!(find(&bytes, &(7..9)), None);
        assert_eq!(find(&bytes[..at + good.len() - 1], &(4..8)), None);
    }

    #[test]
    fn what_is_too_long_is_not_laid_down() {
        let mut out = Vec::new();
        assert!(!put(&mut out, 1, &vec![0; LONGEST + 1]));
        assert!(out.is_empty());
    }
}
