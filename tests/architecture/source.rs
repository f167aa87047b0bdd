//! One source file as the border test sees it: its words, paths and string literals, without comments and without tests.
//!
//! The reader is no Rust parser. It knows comments (nested ones too), string, byte and raw string literals, character
//! literals and lifetimes, which is what it takes to tell code from text.

/// A piece of code and the line it begins on, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its line.
    pub(crate) line: usize,
}

/// The kinds of pieces that borders look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword; `r#type` is `type`.
    Word(String),
    /// A string literal of any form, as written between its quotes.
    Text(String),
    /// `::`.
    Colons,
    /// Any other character of code. Numbers and character literals are `0`.
    Mark(char),
}

/// A source file without its tests.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// The code outside `#[cfg(test)]`.
    pub(crate) tokens: Vec<Token>,
    /// Modules that are declared under `#[cfg(test)]` and live in files of their own.
    pub(crate) test_modules: Vec<String>,
    /// Lines of the file that belong to no test.
    pub(crate) lines: usize,
    /// Whether the file opens with a `//!` comment that says what it is for.
    pub(crate) introduced: bool,
}

// === impl Source ===

impl Source {
    /// Reads one file.
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let (tokens, test_modules, test_lines) = without_tests(tokens(text));
        Self {
            path: path.to_owned(),
            tokens,
            test_modules,
            lines: text.lines().count().saturating_sub(test_lines),
            introduced: text.starts_with("//! "),
        }
    }

    /// The module that the file is, from the crate's root: `src/flow/turn.rs` is `["flow", "turn"]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        if inner == "lib" || inner == "main" {
            return Vec::new();
        }
        inner.split('/').map(str::to_owned).collect()
    }
}

// === impl Token ===

impl Token {
    /// The word, where it is one.
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Whether it is this character.
    pub(crate) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// Reads on through the characters of a file and counts its lines.
struct Cursor {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

// === impl Cursor ===

impl Cursor {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek(0)?;
        self.at += 1;
        if char == '\n' {
            self.line += 1;
        }
        Some(char)
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(char) = self.peek(0).filter(|char| keep(*char)) {
            taken.push(char);
            self.next();
        }
        taken
    }

    fn looks_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, char)| self.peek(ahead) == Some(char))
    }

    /// Skips a block comment, with the ones inside it.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            if self.looks_at("/*") {
                depth += 1;
                self.skip(2);
            } else if self.looks_at("*/") {
                depth = depth.saturating_sub(1);
                self.skip(2);
                if depth == 0 {
                    return;
                }
            } else if self.next().is_none() {
                return;
            }
        }
    }

    /// The text of a string literal; the cursor stands on its opening quote.
    fn string(&mut self) -> String {
        self.next();
        let mut text = String::new();
        while let Some(char) = self.next() {
            match char {
                '"' => break,
                '\\' => {
                    text.push(char);
                    text.extend(self.next());
                }
                _ => text.push(char),
            }
        }
        text
    }

    /// The text of a raw string literal; the cursor stands on the first `#` or the opening quote.
    fn raw_string(&mut self) -> String {
        let close = format!("\"{}", self.take_while(|char| char == '#'));
        self.next();
        let mut text = String::new();
        while !self.looks_at(&close) {
            match self.next() {
                Some(char) => text.push(char),
                None => break,
            }
        }
        self.skip(close.chars().count());
        text
    }

    /// Whether a raw string begins `ahead` characters on (`"` after any number of `#`).
    fn raw_string_at(&self, ahead: usize) -> bool {
        let hashes = (ahead..).take_while(|at| self.peek(*at) == Some('#')).count();
        self.peek(ahead + hashes) == Some('"')
    }

    /// Skips a character literal or a lifetime; the cursor stands on its `'`.
    fn quote(&mut self) {
        self.next();
        if self.peek(0) == Some('\\') {
            self.skip(2);
            self.take_while(|char| char != '\'');
            self.next();
        } else if self.peek(1) == Some('\'') {
            self.skip(2);
        } else {
            self.take_while(word_char);
        }
    }
}

fn word_char(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The pieces of a file, comments left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut cursor = Cursor { chars: text.chars().collect(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    while let Some(char) = cursor.peek(0) {
        let line = cursor.line;
        let kind = if char.is_whitespace() {
            cursor.next();
            continue;
        } else if cursor.looks_at("//") {
            cursor.take_while(|char| char != '\n');
            continue;
        } else if cursor.looks_at("/*") {
            cursor.block_comment();
            continue;
        } else if char == '"' {
            Kind::Text(cursor.string())
        } else if matches!(char, 'b' | 'c') && cursor.peek(1) == Some('"') {
            cursor.next();
            Kind::Text(cursor.string())
        } else if matches!(char, 'b' | 'c') && cursor.peek(1) == Some('r') && cursor.raw_string_at(2) {
            cursor.skip(2);
            Kind::Text(cursor.raw_string())
        } else if char == 'r' && cursor.raw_string_at(1) {
            cursor.next();
            Kind::Text(cursor.raw_string())
        } else if char == '\'' {
            cursor.quote();
            Kind::Mark('0')
        } else if char.is_numeric() {
            cursor.take_while(word_char);
            Kind::Mark('0')
        } else if word_char(char) {
            if cursor.looks_at("r#") {
                cursor.skip(2);
            }
            Kind::Word(cursor.take_while(word_char))
        } else if cursor.looks_at("::") {
            cursor.skip(2);
            Kind::Colons
        } else {
            cursor.next();
            Kind::Mark(char)
        };
        tokens.push(Token { kind, line });
    }
    tokens
}

/// Takes out every item under `#[cfg(test)]`: what is left, the test modules in files of their own, the lines taken out.
fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<String>, usize) {
    let (mut kept, mut modules, mut lines) = (Vec::new(), Vec::new(), 0);
    let mut rest = tokens.as_slice();
    while let Some((first, tail)) = rest.split_first() {
        let Some(item) = test_attribute(rest) else {
            kept.push(first.clone());
            rest = tail;
            continue;
        };
        let (item, after) = item.split_at(item_length(item));
        if let Some(at) = item.iter().position(|token| token.word() == Some("mod"))
            && item.last().is_some_and(|token| token.is(';'))
        {
            modules.extend(item.get(at + 1).and_then(Token::word).map(str::to_owned));
        }
        lines += item.last().map_or(0, |last| last.line + 1 - first.line);
        rest = after;
    }
    (kept, modules, lines)
}

/// What follows a `#[cfg(test)]` that the tokens begin with.
fn test_attribute(tokens: &[Token]) -> Option<&[Token]> {
    let [hash, open, cfg, paren, test, close, end, item @ ..] = tokens else {
        return None;
    };
    let said = hash.is('#') && open.is('[') && cfg.word() == Some("cfg") && paren.is('(');
    (said && test.word() == Some("test") && close.is(')') && end.is(']')).then_some(item)
}

/// How many tokens the first item has: up to its `;`, or to the end of its braces.
fn item_length(tokens: &[Token]) -> usize {
    let (mut depth, mut braces) = (0_usize, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Mark('(' | '[') => depth += 1,
            Kind::Mark(')' | ']') => depth = depth.saturating_sub(1),
            Kind::Mark('{') => braces += 1,
            Kind::Mark('}') => {
                braces = braces.saturating_sub(1);
                if braces == 0 && depth == 0 {
                    return at + 1;
                }
            }
            Kind::Mark(';') if depth == 0 && braces == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
