//! Model names and patterns. A name matches exactly; `*` stands for any run of characters, and is the only wildcard.

use std::collections::HashSet;

/// A pattern with at least one star, cut at its stars.
///
/// INVARIANT: matching takes time linear in the pattern and the name. The pieces between stars are looked for once each
/// from left to right, which is enough: the earliest find of a piece leaves the most room for those after it.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    first: Box<str>,
    middle: Box<[Box<str>]>,
    last: Box<str>,
}

/// A list of names and patterns, sorted for looking things up.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    everything: bool,
    names: HashSet<Box<str>>,
    patterns: Box<[Pattern]>,
    written: Box<[Box<str>]>,
}

// === impl Pattern ===

impl Pattern {
    /// The pattern of a text, or `None` if it has no star and thus is a name.
    pub(super) fn new(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('*')?;
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let middle = middle.split('*').filter(|piece| !piece.is_empty()).map(Box::from).collect();
        Some(Self { first: first.into(), middle, last: last.into() })
    }

    /// Whether the whole name matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        let inner = name.strip_prefix(&*self.first).and_then(|rest| rest.strip_suffix(&*self.last));
        let Some(mut rest) = inner else { return false };
        for piece in &self.middle {
            match rest.split_once(&**piece) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

/// Whether everything that `narrow` matches is matched by `wide` too. Both may be names or patterns.
///
/// A star of `narrow` is a character that no name can hold for certain, so only a star of `wide` covers it: that is the
/// same as matching the text of `narrow` itself.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    match Pattern::new(wide) {
        Some(pattern) => pattern.matches(narrow),
        None => wide == narrow,
    }
}

/// Whether there may be a name that both match. Where neither is a name, only how they begin and end is looked at.
pub(super) fn may_meet(a: &str, b: &str) -> bool {
    let both = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
    match (Pattern::new(a), Pattern::new(b)) {
        (Some(left), Some(right)) => {
            both(&left.first, &right.first) && (left.last.ends_with(&*right.last) || right.last.ends_with(&*left.last))
        }
        (Some(pattern), None) => pattern.matches(b),
        (None, Some(pattern)) => pattern.matches(a),
        (None, None) => a == b,
    }
}

// === impl Models ===

impl Models {
    pub(super) fn new<'a>(written: impl IntoIterator<Item = &'a str>) -> Self {
        let mut models = Self::default();
        let mut patterns = Vec::new();
        let mut list = Vec::new();
        for text in written {
            list.push(text.into());
            match Pattern::new(text) {
                Some(_) if text.chars().all(|c| c == '*') => models.everything = true,
                Some(pattern) => patterns.push(pattern),
                None => {
                    models.names.insert(text.into());
                }
            }
        }
        models.patterns = patterns.into();
        models.written = list.into();
        models
    }

    /// Whether the list has a name or a pattern that matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.everything || self.names.contains(name) || self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether the list matches any of the names that end so.
    pub(super) fn some_end(&self, end: &str) -> bool {
        // A pattern leaves the text before its last piece open: only how it ends can keep a name out.
        let meets = |pattern: &Pattern| end.ends_with(&*pattern.last) || pattern.last.ends_with(end);
        self.everything || self.names.iter().any(|name| name.ends_with(end)) || self.patterns.iter().any(meets)
    }

    /// Whether the list matches all names that end so, by one of its patterns.
    pub(super) fn all_end(&self, end: &str) -> bool {
        let narrow = format!("*{end}");
        self.everything || self.patterns.iter().any(|pattern| pattern.matches(&narrow))
    }

    /// Whether the list has `*`.
    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    /// The list as it is written.
    pub(super) fn written(&self) -> &[Box<str>] {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition of a star, tried out in all ways.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|skipped| naive(rest, &name[skipped..])),
            Some((c, rest)) => name.first() == Some(c) && naive(rest, &name[1..]),
        }
    }

    fn naively(pattern: &str, name: &str) -> bool {
        naive(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
    }

    #[test]
    fn stars_stand_for_any_run_of_characters() {
        for (pattern, matching, other) in [
            ("*", &["", "gpt-4o", "ä/b*"][..], &[][..]),
            ("gpt-*", &["gpt-", "gpt-4o"], &["gpt", "GPT-4o", "xgpt-4o"]),
            ("*-preview", &["-preview", "o1-preview"], &["o1-preview-2", "preview"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("a*b*c", &["abc", "a--b--c", "abbc"], &["ac", "acb"]),
            ("ab*bc", &["abbc"], &["abc"]),
            ("*b*b*", &["bb", "abxbz"], &["b", "ab"]),
        ] {
            let models = Models::new([pattern]);
            for name in matching {
                assert!(models.matches(name), "{pattern} must match {name}");
            }
            for name in other {
                assert!(!models.matches(name), "{pattern} must not match {name}");
            }
        }
    }

    #[test]
    fn names_match_exactly() {
        let models = Models::new(["gpt-4o", "o1"]);
        for (name, expected) in
            [("gpt-4o", true), ("o1", true), ("GPT-4o", false), ("gpt-4o ", false), ("gpt-4", false), ("", false)]
        {
            assert_eq!(models.matches(name), expected, "{name:?}");
        }
        assert!(!Models::new([]).matches("gpt-4o"));
    }

    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        // Backtracking would try about 2^60 ways here.
        let pattern = Pattern::new(&"a*".repeat(60)).unwrap();
        let name = format!("{}b", "a".repeat(200_000));
        assert!(pattern.matches(&name));
        assert!(!Pattern::new(&format!("{}c", "a*".repeat(60))).unwrap().matches(&name));
    }

    proptest! {
        #[test]
        fn matching_is_what_the_definition_says(pattern in "[ab*é]{0,8}", name in "[abé*]{0,10}") {
            let matched = Pattern::new(&pattern).map_or(pattern == name, |p| p.matches(&name));
            prop_assert_eq!(matched, naively(&pattern, &name));
            prop_assert_eq!(Models::new([pattern.as_str()]).matches(&name), matched);
        }

        #[test]
        fn what_ends_so_is_met_or_matched_whole(pattern in "[ab*]{0,5}", end in "[ab]{1,3}", start in "[abc]{0,5}") {
            let models = Models::new([pattern.as_str()]);
            let matched = naively(&pattern, &format!("{start}{end}"));
            prop_assert!(!matched || models.some_end(&end));
            prop_assert!(matched || !models.all_end(&end));
            // It is exact: what is said to be met is met by some name, the one that the pattern itself spells.
            let spelt = format!("{}{end}", pattern.replace('*', ""));
            let last = pattern.rsplit_once('*').map_or(pattern.as_str(), |(_, last)| last);
            let longest = if last.ends_with(&end) { pattern.replace('*', "") } else { spelt };
            prop_assert_eq!(models.some_end(&end), naively(&pattern, &longest) && longest.ends_with(&end));
        }

        #[test]
        fn what_both_match_may_meet(a in "[ab*]{0,5}", b in "[ab*]{0,5}", name in "[ab]{0,6}") {
            prop_assert!(may_meet(&a, &b) || !(naively(&a, &name) && naively(&b, &name)), "{a} {b} {name}");
        }

        #[test]
        fn what_covers_a_pattern_matches_all_that_the_pattern_matches(
            wide in "[ab*]{0,5}", narrow in "[ab*]{0,5}", name in "[abc]{0,8}",
        ) {
            if covers(&wide, &narrow) && naively(&narrow, &name) {
                prop_assert!(naively(&wide, &name));
            }
        }
    }
}
