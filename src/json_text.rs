//! Text within JSON: where it stands for itself, and how it is written. A leaf: it knows no other room.

/// How many bytes from the start of `text` stand for themselves in a JSON string: none of `"`, `\` and control characters.
///
/// Eight bytes at a time, as one number: nearly all bytes of chat requests and records are of this kind, and looking at each
/// of them was a tenth of the work on a chat request.
pub(crate) fn plain_run(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    let mut run = 0;
    for word in words {
        if let Some(place) = special(*word) {
            return run + place;
        }
        run += 8;
    }
    // What is left is looked at within the last eight bytes, of which the first have been found plain.
    if let (Some(word), false) = (text.last_chunk::<8>(), rest.is_empty()) {
        return special(*word).map_or(text.len(), |place| text.len() - 8 + place);
    }
    run + rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..b' ')).unwrap_or(rest.len())
}

/// Where in these bytes the first one stands that does not stand for itself.
fn special(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    // The top bit of each byte below a space, and of each that is one of the two; above the first there may be false ones.
    let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word & TOPS;
    let found = below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5c), 1);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// Writes text as it stands between the quotes of a JSON string, with the shortest escapes there are.
pub(crate) fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_run(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { return };
        escape_byte(*byte, out);
        rest = after;
    }
}

/// Writes one byte of [`plain_run`]'s exceptions.
fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |four: u8| HEX.get(usize::from(four & 0xf)).copied().unwrap_or(b'0');
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_at_every_place_of_a_word_is_seen() {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                let mut text = [b'x'; 20];
                text[place] = byte;
                let special = byte < b' ' || byte == b'"' || byte == b'\\';
                assert_eq!(plain_run(&text), if special { place } else { 20 }, "{byte} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_exception_ends_the_run(text in prop::collection::vec(any::<u8>(), 0..64)) {
            let naive = text.iter().position(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(plain_run(&text), naive.unwrap_or(text.len()));
        }

        #[test]
        fn what_is_written_is_what_the_library_writes(text in any::<String>()) {
            let mut written = vec![b'"'];
            escape(&text, &mut written);
            written.push(b'"');
            prop_assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
