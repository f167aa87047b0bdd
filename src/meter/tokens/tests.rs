//! Counts of tokens: against the published figures, in pieces, and of texts that somebody writes to cost time.

use proptest::prelude::*;

use super::*;

fn o200k() -> Tokenizer {
    Tokenizer::of("gpt-4o")
}

fn cl100k() -> Tokenizer {
    Tokenizer::of("gpt-4")
}

/// The count of the whole text in one go.
fn whole(tokenizer: Tokenizer, text: &str) -> u64 {
    tokenizer.scaled(length(tokenizer.encoder().count(text)))
}

#[test]
fn openais_models_are_counted_with_openais_vocabularies() {
    // As OpenAI's own tool says (tiktoken, `encode` with these encodings).
    for (text, o200k_tokens, cl100k_tokens) in [
        ("", 0, 0),
        ("hello world", 2, 2),
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 8, 9),
    ] {
        assert_eq!(o200k().count(text), o200k_tokens, "o200k: {text}");
        assert_eq!(cl100k().count(text), cl100k_tokens, "cl100k: {text}");
    }
}

#[test]
fn the_family_is_told_by_the_name() {
    use Vocabulary::{Cl100k, O200k};
    for (model, vocabulary, percent) in [
        ("gpt-4o", O200k, 100),
        ("gpt-4o-mini-2024-07-18", O200k, 100),
        ("GPT-4o", O200k, 100),
        ("openai/gpt-4.1-nano", O200k, 100),
        ("chatgpt-4o-latest", O200k, 100),
        ("gpt-5.1-codex", O200k, 100),
        ("gpt-oss-120b", O200k, 100),
        ("o1", O200k, 100),
        ("o3-mini", O200k, 100),
        ("o4-mini", O200k, 100),
        ("gpt-4", Cl100k, 100),
        ("gpt-4-turbo", Cl100k, 100),
        ("gpt-4-0613", Cl100k, 100),
        ("gpt-3.5-turbo", Cl100k, 100),
        ("gpt-35-turbo", Cl100k, 100),
        ("text-embedding-3-small", Cl100k, 100),
        ("claude-3-5-sonnet-latest", O200k, 135),
        ("eu.anthropic.claude-sonnet-4-6-v1:0", O200k, 135),
        ("mistralai/Mixtral-8x7B", O200k, 140),
        ("meta-llama/Llama-3.3-70B", O200k, 130),
        ("gemini-2.5-pro", O200k, 115),
        ("deepseek-chat", O200k, 120),
        ("mindroom-basic", O200k, 140),
        ("", O200k, 140),
        ("my-gpt-4o", O200k, 140),
    ] {
        let tokenizer = Tokenizer::of(model);
        assert_eq!((tokenizer.vocabulary, tokenizer.percent), (vocabulary, percent), "{model}");
        assert_eq!(tokenizer.is_exact(), percent == 100, "{model}");
    }
}

#[test]
fn a_factor_is_applied_to_the_sum_and_rounds_up() {
    let claude = Tokenizer::of("claude-sonnet-4");
    assert_eq!((claude.count(""), claude.count("a"), claude.count(&"a b ".repeat(50))), (0, 2, 137));
    let mut tally = Tally::new(claude);
    (0..100).for_each(|_| tally.push(" word"));
    assert_eq!(tally.total(), 135, "100 words in 100 pieces");
}

/// Texts of many bytes in which nothing can be cut well, or everything looks the same.
fn hostile() -> Vec<(&'static str, String)> {
    let fill = |pattern: &str, bytes: usize| pattern.repeat(bytes / pattern.len() + 1);
    let bytes = 12 * PIECE;
    vec![
        ("one letter", fill("a", bytes)),
        ("capitals", fill("A", bytes)),
        ("blanks", fill(" ", bytes)),
        ("lines", fill("\n", bytes)),
        ("blanks and lines", fill("  \n", bytes)),
        ("one line, then blanks", format!("\n{}a", fill(" ", bytes))),
        ("digits", fill("7", bytes)),
        ("marks", fill("!", bytes)),
        ("quotes", fill("'s", bytes)),
        ("han", fill("漢字", bytes)),
        ("emoji", fill("👩‍👩‍👧‍👦", bytes)),
        ("accents on one letter", format!("e{}", fill("\u{301}", bytes))),
        ("zero width", fill("\u{200b}", bytes)),
        ("wide blanks", fill("\u{3000}", bytes)),
        ("a letter and a blank", fill("a ", bytes)),
        ("prose", fill("The quick brown fox, jumping over 13 lazy dogs; isn't it? ", bytes)),
    ]
}

#[test]
fn no_text_is_handed_over_in_more_pieces_or_larger_ones_than_its_length_needs() {
    for (name, text) in hostile() {
        // What `push` does, watched: the pieces are the text, none is larger than allowed, and there are few.
        let (mut rest, mut pieces) = (&*text, 0);
        while !rest.is_empty() {
            let at = cut_of(rest);
            assert!((1..=PIECE).contains(&at) || rest.len() < PIECE, "{name}: a piece of {at} bytes");
            rest = rest.split_at(at).1;
            pieces += 1;
        }
        assert!(pieces <= 2 * (text.len() / PIECE + 1), "{name}: {pieces} pieces of {} bytes", text.len());
    }
}

fn cut_of(text: &str) -> usize {
    if text.len() < PIECE { text.len() } else { tally::cut(text) }
}

#[test]
fn a_text_in_pieces_has_the_tokens_of_the_whole() {
    for (name, text) in hostile() {
        for tokenizer in [o200k(), cl100k()] {
            let expected = whole(tokenizer, &text);
            let found = tokenizer.count(&text);
            assert!(found.abs_diff(expected) * 100 <= expected + 100, "{name}: {found} for {expected}");
        }
    }
    let prose = "The quick brown fox, jumping over 13 lazy dogs; isn't it? ".repeat(5_000);
    assert_eq!(o200k().count(&prose), whole(o200k(), &prose), "where there are blanks, not one token of difference");
}

#[test]
fn little_is_held_back_whatever_comes() {
    for (name, text) in hostile() {
        let mut tally = Tally::new(o200k());
        for char in text.chars() {
            tally.push(char.encode_utf8(&mut [0; 4]));
            assert!(tally.held() < PIECE, "{name}: {} bytes", tally.held());
        }
        let mut one = Tally::new(o200k());
        one.push(&text);
        let (found, expected) = (tally.total(), one.total());
        assert!(found.abs_diff(expected) * 100 <= expected + 100, "{name}: {found} for {expected}");
    }
}

#[test]
fn no_text_has_more_tokens_than_its_bound() {
    for (name, text) in hostile() {
        for model in ["gpt-4o", "gpt-4", "claude-sonnet-4", "unheard-of"] {
            let tokenizer = Tokenizer::of(model);
            // The factor may tell more than there can be: 1.4 for each of many bytes that are a token each.
            let exact = Tokenizer { percent: 100, ..tokenizer };
            assert!(exact.count(&text) <= tokenizer.at_most(&text), "{name} for {model}");
        }
    }
    // A byte is a token at most; a tokenizer that is not published may take texts apart first (Unicode, annex 15).
    let (open, closed) = (Tokenizer::of("gpt-4o"), Tokenizer::of("claude-sonnet-4"));
    for (text, bytes, apart) in
        [("", 0, 0), ("abc", 3, 3), ("é", 2, 3), ("각", 3, 9), ("\u{fdfa}", 3, 33), ("漢", 3, 3)]
    {
        assert_eq!((open.at_most(text), closed.at_most(text)), (bytes, apart), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pieces_add_up(
        words in prop::collection::vec(prop_oneof!["[a-zA-Z]{1,12}", "[0-9]{1,5}", "[ \n\t]{1,4}", "\\PC{1,6}"], 0..300),
        joint in prop_oneof![Just(" "), Just(""), Just("\n")],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let text = words.join(joint).repeat(30);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).filter(|at| text.is_char_boundary(*at)).collect();
        at.sort_unstable();
        let (mut tally, mut before) = (Tally::new(o200k()), 0);
        for at in at.into_iter().chain([text.len()]) {
            tally.push(text.get(before..at).unwrap());
            before = at;
        }
        let (found, expected) = (tally.total(), whole(o200k(), &text));
        prop_assert!(found.abs_diff(expected) * 100 <= expected + 100, "{found} for {expected} of {} bytes", text.len());
        prop_assert_eq!(tally.total(), found, "telling the total changes nothing");
        prop_assert!(expected <= o200k().at_most(&text));
    }
}
