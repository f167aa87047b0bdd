//! Texts out of entries, made harmless for a terminal: much of them was written by whoever sent a request.

use std::fmt::Write as _;

/// The text with everything that a terminal would act on, or that would not be seen, written as an escape.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || is_hidden(letter) {
            // Writing to a text does not fail.
            let _infallible = write!(shown, "{}", letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Marks that turn the direction of a text, join or hide letters, or break a line.
fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        assert_eq!(plain("gpt-4o äöü 模型"), "gpt-4o äöü 模型");
        assert_eq!(plain("a\x1b[2Jb\r\n\u{9b}"), r"a\u{1b}[2Jb\u{d}\u{a}\u{9b}");
        assert_eq!(plain("\u{202e}txt\u{200b}"), r"\u{202e}txt\u{200b}");
    }
}
