//! Counts the tokens of a text that comes in pieces, in bounded memory.

use super::{Tokenizer, length};

/// Most bytes that are encoded as one piece, and held back at any time.
pub const PIECE: usize = 16 * 1024;

/// The tokens of a text that comes in pieces, cut anywhere between two characters.
///
/// What came is held back until [`PIECE`] bytes are there, and then encoded up to the last blank that follows a letter: at
/// such a blank the published vocabularies always cut, so that the sum is that of the whole text. Where there is none, in a
/// long run of letters or blanks, it is cut where the piece ends, which makes a token or two of difference.
#[derive(Clone, Debug)]
pub struct Tally {
    tokenizer: Tokenizer,
    /// Of the vocabulary, without the factor, which is applied to the sum.
    counted: u64,
    held: String,
}

// === impl Tally ===

impl Tally {
    /// Nothing counted so far. Takes no memory before the first text.
    pub fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, counted: 0, held: String::new() }
    }

    /// Adds the next piece of the text.
    pub fn push(&mut self, mut text: &str) {
        while self.held.len() + text.len() >= PIECE {
            if self.held.is_empty() {
                let (piece, rest) = text.split_at_checked(cut(text)).unwrap_or((text, ""));
                self.encode(piece);
                text = rest;
                continue;
            }
            let (more, rest) = text.split_at_checked(boundary(text, PIECE - self.held.len())).unwrap_or((text, ""));
            self.held.push_str(more);
            text = rest;
            let held = std::mem::take(&mut self.held);
            let (piece, kept) = held.split_at_checked(cut(&held)).unwrap_or((&held, ""));
            self.encode(piece);
            self.held.push_str(kept);
        }
        self.held.push_str(text);
    }

    /// Tokens of all that came so far. More text may follow.
    pub fn total(&self) -> u64 {
        self.tokenizer.scaled(self.counted.saturating_add(self.encoded(&self.held)))
    }

    /// Bytes that are held back.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    fn encode(&mut self, piece: &str) {
        self.counted = self.counted.saturating_add(self.encoded(piece));
    }

    fn encoded(&self, piece: &str) -> u64 {
        debug_assert!(piece.len() <= PIECE, "a piece of {} bytes", piece.len());
        if piece.is_empty() { 0 } else { length(self.tokenizer.encoder().count(piece)) }
    }
}

/// Where the first piece of a text ends: at the last blank behind something else within [`PIECE`] bytes, or where they are full. Not
/// at the beginning, unless the text is empty.
pub(super) fn cut(text: &str) -> usize {
    let full = boundary(text, PIECE);
    let bytes = text.as_bytes().get(..full).unwrap_or_default();
    let blank = bytes.array_windows().rposition(|[before, byte]| *byte == b' ' && !before.is_ascii_whitespace());
    // A blank of Unicode is no `b' '`, and what is before a blank may be the last byte of one: then a token more is counted.
    blank.map_or(full, |before| before + 1)
}

/// The last boundary between two characters that is not behind `at`; behind the first character where there is none.
fn boundary(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    let down = (1..=at).rev().find(|at| text.is_char_boundary(*at));
    down.unwrap_or_else(|| text.chars().next().map_or(0, char::len_utf8))
}
