//! Counts tokens of text the way a model's own tokenizer does, or as near to it as can be known.
//!
//! OpenAI publishes its vocabularies, so that its models are counted exactly. The other providers publish none, or change
//! it with each model: those are counted with `o200k_base`, times a stated factor. The factors are on the high side, since
//! what was estimated too high is given back when a turn is settled, and what was estimated too low is spent by then.
//!
//! Prompts are written by whoever likes to: [`Tally`] hands the encoder pieces of [`PIECE`] bytes at most, so that no text
//! takes more work for each byte than any other, whatever the encoder does with a long one.

mod tally;

use unicode_normalization::UnicodeNormalization;

pub use tally::{PIECE, Tally};

/// What a message takes beside its text: the marks around it and its role. OpenAI's own recipe says 3 for each message and 3 that prime the
/// answer; the rest is for a name and for providers that write longer marks.
pub const PER_MESSAGE: u64 = 8;

/// How a model's text is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    /// Tokens of the model for 100 of the vocabulary.
    percent: u16,
    /// Whether the model's own tokenizer reads bytes as they come, in tokens of at least one byte.
    bytewise: bool,
}

/// A published vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Vocabulary {
    /// `o200k_base`: OpenAI's models since gpt-4o.
    O200k,
    /// `cl100k_base`: gpt-4, gpt-3.5 and the embedding models.
    Cl100k,
}

/// OpenAI's models, by how their names begin, the longest beginning first where one is that of another.
const OPENAI: &[(&str, Vocabulary)] = &[
    ("gpt-4o", Vocabulary::O200k),
    ("gpt-4.", Vocabulary::O200k),
    ("gpt-4", Vocabulary::Cl100k),
    ("gpt-3.5", Vocabulary::Cl100k),
    ("gpt-35", Vocabulary::Cl100k),
    ("gpt-", Vocabulary::O200k),
    ("chatgpt-", Vocabulary::O200k),
    ("o1", Vocabulary::O200k),
    ("o3", Vocabulary::O200k),
    ("o4", Vocabulary::O200k),
    ("text-embedding-", Vocabulary::Cl100k),
];

/// Families whose tokenizers are not published or not in here, by a word in the model's name, with their tokens for 100 of `o200k_base`.
///
/// - Claude: LibreChat counts with the last vocabulary that Anthropic published, and adds a tenth (`CLAUDE_TOKEN_CORRECTION`);
///   newer models make up to a third more tokens of the same text.
/// - Mistral and Llama: their first vocabularies have 32,000 entries, a sixth of `o200k_base`, and cut languages other than
///   English into far smaller pieces; the newer ones have 128,000.
/// - Gemini and Gemma have 256,000, Qwen, `DeepSeek`, Grok and Kimi 128,000 to 164,000: close to `o200k_base`, for prose.
const FAMILIES: &[(&str, u16)] = &[
    ("claude", 135),
    ("mistral", 140),
    ("mixtral", 140),
    ("llama", 130),
    ("gemini", 115),
    ("gemma", 115),
    ("qwen", 120),
    ("deepseek", 120),
    ("grok", 120),
    ("kimi", 120),
];

/// What nobody knows: as the least favourable of those that are known.
const UNKNOWN: u16 = 140;

// === impl Tokenizer ===

impl Tokenizer {
    /// How the text of this model is counted. Any name is good: what is not known is counted by the fallback, `o200k_base`
    /// times 1.4. A name may have a provider before it (`openai/gpt-4o`), and its case does not matter.
    pub fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let name = model.rsplit('/').next().unwrap_or(&model);
        if let Some((_, vocabulary)) = OPENAI.iter().find(|(start, _)| name.starts_with(start)) {
            return Self { vocabulary: *vocabulary, percent: 100, bytewise: true };
        }
        let known = FAMILIES.iter().find(|(word, _)| name.contains(word)).map(|(_, percent)| *percent);
        Self { vocabulary: Vocabulary::O200k, percent: known.unwrap_or(UNKNOWN), bytewise: false }
    }

    /// Whether the count is the model's own, and not one by a factor.
    pub fn is_exact(self) -> bool {
        self.percent == 100
    }

    /// Tokens of a text, without what stands around a message.
    pub fn count(self, text: &str) -> u64 {
        let mut tally = Tally::new(self);
        tally.push(text);
        tally.total()
    }

    /// More tokens than this the text cannot have, whatever it is: a token of a byte-level vocabulary has one byte at least. Tokenizers
    /// that are not published may bring a text into another Unicode form first, and count by the longest of them.
    pub fn at_most(self, text: &str) -> u64 {
        let bytes = length(text.len());
        if self.bytewise || text.is_ascii() {
            return bytes;
        }
        text.nfkd().fold(0_u64, |sum, char| sum.saturating_add(length(char.len_utf8()))).max(bytes)
    }

    /// The vocabulary itself, without a factor: what several models share.
    #[must_use]
    pub fn vocabulary(self) -> Self {
        Self { percent: 100, ..self }
    }

    /// Tokens of the model for so many of its vocabulary.
    pub fn scaled(self, tokens: u64) -> u64 {
        tokens.saturating_mul(u64::from(self.percent)).div_ceil(100)
    }

    fn encoder(self) -> &'static bpe_openai::Tokenizer {
        match self.vocabulary {
            Vocabulary::O200k => bpe_openai::o200k_base(),
            Vocabulary::Cl100k => bpe_openai::cl100k_base(),
        }
    }
}

/// Loads the vocabularies, which takes some hundred milliseconds, so that nobody's request has to wait for it. To be called
/// once at start, on a thread that may be busy. Without it the first count loads what it needs.
pub fn warm() {
    for vocabulary in [Vocabulary::O200k, Vocabulary::Cl100k] {
        Tokenizer { vocabulary, percent: 100, bytewise: true }.count("warm");
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
