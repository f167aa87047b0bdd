//! The sentences that a refused caller reads, with what stands in braces filled in.

use crate::report::{is_invisible, nearest, quoted};

const DEFAULT: &str =
    "You do not have access to {model}. Choose another model, or ask the people who run this service for access.";
/// The longest value that is filled in, in characters. The model's name comes from the caller and may be anything.
const LONGEST_VALUE: usize = 120;

/// What a message is about, with the placeholders that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// `model_denied`: model, endpoint, role.
    Denial,
    /// `limit_reached`: limit, amount, window, resets_at.
    Limit,
}

/// The messages of a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    /// `model_denied`, or the default one.
    pub(super) denial: Message,
    /// `limit_reached`; none where the standard sentences are told, which differ by the limit.
    pub(super) limit: Option<Message>,
}

/// A message, cut at its placeholders.
#[derive(Clone, Debug)]
pub(super) struct Message {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    /// By its place among the placeholders.
    Value(usize),
}

/// What is wrong with a message, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: String,
}

// === impl Message ===

impl Message {
    /// A message from its text. White space, line breaks included, becomes single blanks.
    pub(super) fn new(about: About, text: &str) -> Result<Self, Wrong> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            return Err(Wrong::new("the message is empty", "write a sentence, or remove the key for the default one"));
        }
        if let Some(c) = text.chars().find(|c| is_invisible(*c)) {
            let message = format!("the message has the invisible character {}", c.escape_default());
            return Err(Wrong::new(message, "remove it"));
        }
        let mut parts = Vec::new();
        for (index, piece) in text.split('{').enumerate() {
            let text = match index {
                0 => piece,
                _ => {
                    let (name, text) = piece.split_once('}').ok_or_else(|| Wrong::brace(about))?;
                    parts.push(Part::Value(about.place(name)?));
                    text
                }
            };
            if text.contains('}') {
                return Err(Wrong::brace(about));
            }
            parts.push(Part::Text(text.into()));
        }
        Ok(Self { parts: parts.into() })
    }

    /// The sentence, with values in the order of the placeholders. Neither braces nor control characters come out, whatever
    /// the names are: LibreChat's client looks for JSON in an error by counting braces, even those within strings
    /// (CONTRACT.md E.6).
    pub(super) fn render(&self, values: &[&str]) -> String {
        let mut sentence = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => sentence.push_str(text),
                Part::Value(place) => push_plain(&mut sentence, values.get(*place).copied().unwrap_or_default()),
            }
        }
        sentence
    }
}

impl Default for Message {
    fn default() -> Self {
        // A test holds the default text to the rules; the empty message is never seen.
        Self::new(About::Denial, DEFAULT).unwrap_or(Self { parts: Box::default() })
    }
}

fn push_plain(sentence: &mut String, value: &str) {
    let mut rest = value.chars();
    sentence.extend(rest.by_ref().take(LONGEST_VALUE).map(|c| match c {
        '{' => '(',
        '}' => ')',
        c if is_invisible(c) => '\u{fffd}',
        c => c,
    }));
    if rest.next().is_some() {
        sentence.push('…');
    }
}

// === impl About ===

impl About {
    /// The placeholders, in the order of the values.
    fn placeholders(self) -> &'static [&'static str] {
        match self {
            Self::Denial => &["model", "endpoint", "role"],
            Self::Limit => &["limit", "amount", "window", "resets_at"],
        }
    }

    fn place(self, name: &str) -> Result<usize, Wrong> {
        let known = self.placeholders();
        known.iter().position(|known| *known == name).ok_or_else(|| {
            let help = match nearest(name, known.iter().copied()) {
                Some(known) => format!("did you mean {{{known}}}?"),
                None => format!("known placeholders: {}", self.listed()),
            };
            Wrong::new(format!("unknown placeholder {}", quoted(name)), help)
        })
    }

    fn listed(self) -> String {
        self.placeholders().iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ")
    }
}

// === impl Wrong ===

impl Wrong {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }

    fn brace(about: About) -> Self {
        let help = format!("braces stand only around a placeholder: {}", about.listed());
        Self::new("a brace without its partner", help)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(text: &str) -> String {
        Message::new(About::Denial, text).unwrap().render(&["gpt-4o", "openAI", "USER"])
    }

    #[test]
    fn placeholders_are_filled_in() {
        for (text, expected) in [
            ("Ask for {model}.", "Ask for gpt-4o."),
            ("{model} {endpoint} {role}", "gpt-4o openAI USER"),
            ("{model}{model}", "gpt-4ogpt-4o"),
            ("No placeholder", "No placeholder"),
            ("  two\n lines \n", "two lines"),
        ] {
            assert_eq!(render(text), expected);
        }
    }

    #[test]
    fn the_default_names_the_model_and_what_to_do() {
        let sentence = Message::default().render(&["gpt-4o", "openAI", "USER"]);
        assert!(sentence.starts_with("You do not have access to gpt-4o. "), "{sentence}");
    }

    #[test]
    fn wrong_messages_say_why() {
        for (text, expected) in [
            ("", "the message is empty"),
            (" \n ", "the message is empty"),
            ("{modle}", "unknown placeholder \"modle\""),
            ("{}", "unknown placeholder \"\""),
            ("{model", "a brace without its partner"),
            ("model}", "a brace without its partner"),
            ("{model}}", "a brace without its partner"),
            ("{{model}}", "a brace without its partner"),
            ("bell \u{7}", "the message has the invisible character \\u{7}"),
        ] {
            assert_eq!(Message::new(About::Denial, text).unwrap_err().message, expected, "{text:?}");
        }
        assert_eq!(Message::new(About::Denial, "{modle}").unwrap_err().help, "did you mean {model}?");
        let wrong = Message::new(About::Limit, "{model}").unwrap_err();
        assert_eq!(wrong.help, "known placeholders: {limit}, {amount}, {window}, {resets_at}");
    }

    #[test]
    fn long_names_are_cut() {
        let sentence = Message::new(About::Denial, "{model}").unwrap().render(&[&"x".repeat(100_000)]);
        assert_eq!(sentence.chars().count(), LONGEST_VALUE + 1);
    }

    proptest! {
        #[test]
        fn no_name_can_bring_in_braces_or_controls(
            text in ".{0,20}",
            endpoint in any::<String>(),
            model in any::<String>(),
            role in any::<String>(),
        ) {
            let named = Message::new(About::Denial, "{model}{endpoint}{role}").unwrap();
            for message in [Message::new(About::Denial, &text).unwrap_or_default(), named] {
                let sentence = message.render(&[&model, &endpoint, &role]);
                prop_assert!(!sentence.contains(['{', '}']) && !sentence.contains(char::is_control), "{sentence:?}");
            }
        }
    }
}
