//! The gzip format without compression (RFC 1952, RFC 1951 section 3.2.4).
//!
//! A proxy that rewrites answers must cope with encoded ones. What matters for that is that the bytes on the wire are
//! not the bytes of the text, not that they are fewer; stored blocks do that in a few lines and without a compressor.

/// The most a stored block holds.
const BLOCK: usize = 65_535;

/// `plain` as a gzip stream of stored blocks.
pub(super) fn wrap(plain: &[u8]) -> Vec<u8> {
    // Magic, method 8, no flags, no time, no hint, unknown system.
    let mut wrapped = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = plain.chunks(BLOCK).peekable();
    if blocks.peek().is_none() {
        wrapped.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        wrapped.push(u8::from(blocks.peek().is_none()));
        wrapped.extend(length.to_le_bytes());
        wrapped.extend((!length).to_le_bytes());
        wrapped.extend_from_slice(block);
    }
    wrapped.extend(checksum(plain).to_le_bytes());
    // The length is defined modulo 2^32.
    let length = u32::try_from(plain.len() & 0xffff_ffff).unwrap_or_default();
    wrapped.extend(length.to_le_bytes());
    wrapped
}

/// CRC-32 as RFC 1952 section 8 defines it, a bit at a time.
fn checksum(bytes: &[u8]) -> u32 {
    let all = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    !all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn long_texts_are_cut_into_blocks_and_only_the_last_says_so() {
        let plain = vec![b'x'; BLOCK + 1];
        let wrapped = wrap(&plain);
        assert_eq!(&wrapped[10..15], [0, 0xff, 0xff, 0, 0], "a full block with another after it");
        let second = 15 + BLOCK;
        assert_eq!(&wrapped[second..second + 6], [1, 1, 0, 0xfe, 0xff, b'x'], "the last block holds one byte");
        assert_eq!(&wrapped[second + 10..], 65_536u32.to_le_bytes(), "the length closes the stream");
    }

    #[test]
    fn an_empty_text_is_one_empty_last_block() {
        assert_eq!(&wrap(b"")[10..], [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
