//! What documents say, as trees that can be merged: mappings by their keys, all else by the later word.
//!
//! Merging is associative: which neighbours of a sequence are merged first makes no difference. Two things are needed for
//! that. What takes something away stays in the tree until the end, for it takes away from all that come before. And a mapping that
//! has come after something other than a mapping is remembered to begin anew, for it takes the place of what is before that, too.

use std::collections::BTreeMap;

/// A part of what a document says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece<T> {
    /// Takes away what was said before: `null`.
    Gone,
    /// Takes the place of what was said before.
    Leaf(T),
    /// Is merged with a mapping that was there before, key by key.
    Map {
        /// Whether it takes the place of what was said before instead.
        anew: bool,
        /// What it says.
        entries: BTreeMap<Box<str>, Piece<T>>,
    },
}

// === impl Piece ===

impl<T> Piece<T> {
    /// A mapping without a key.
    pub(super) fn map() -> Self {
        Self::Map { anew: false, entries: BTreeMap::new() }
    }

    /// This piece, with a later one merged over it.
    pub(super) fn under(self, later: Self) -> Self {
        match (self, later) {
            (Self::Map { anew, mut entries }, Self::Map { anew: false, entries: later }) => {
                for (key, piece) in later {
                    let piece = match entries.remove(&key) {
                        Some(earlier) => earlier.under(piece),
                        None => piece,
                    };
                    entries.insert(key, piece);
                }
                Self::Map { anew, entries }
            }
            (Self::Gone | Self::Leaf(_), Self::Map { anew: false, entries }) => Self::Map { anew: true, entries },
            (_, later) => later,
        }
    }

    /// Puts a piece at the end of a path, with mappings on the way. A path that leads through something else ends there.
    pub(super) fn put(&mut self, path: &[&str], piece: Self) {
        match (path, self) {
            ([], this) => *this = piece,
            ([first, rest @ ..], Self::Map { entries, .. }) => {
                entries.entry((*first).into()).or_insert_with(Self::map).put(rest, piece);
            }
            (_, Self::Gone | Self::Leaf(_)) => {}
        }
    }

    /// Takes out of the mapping behind a key what is meant, and gives it as a piece of its own. A mapping of which nothing is left goes.
    pub(super) fn take(&mut self, key: &str, is_meant: impl Fn(&str, &Self) -> bool) -> Self {
        let mut taken = Self::map();
        let Self::Map { entries, .. } = self else { return taken };
        if let Some(Self::Map { entries: inner, .. }) = entries.get_mut(key) {
            let meant: Vec<Box<str>> =
                inner.iter().filter(|(name, piece)| is_meant(name, piece)).map(|(name, _)| name.clone()).collect();
            for name in meant {
                if let Some(piece) = inner.remove(&name) {
                    taken.put(&[key, &name], piece);
                }
            }
            if inner.is_empty() {
                entries.remove(key);
            }
        }
        taken
    }

    /// What stands behind a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map { entries, .. } => entries.get(key),
            Self::Gone | Self::Leaf(_) => None,
        }
    }

    /// The leaf that this is.
    pub(super) fn leaf(&self) -> Option<&T> {
        match self {
            Self::Leaf(leaf) => Some(leaf),
            Self::Gone | Self::Map { .. } => None,
        }
    }

    /// What it says by its keys; nothing where it is no mapping.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Self)> {
        let entries = match self {
            Self::Map { entries, .. } => Some(entries),
            Self::Gone | Self::Leaf(_) => None,
        };
        entries.into_iter().flatten().map(|(key, piece)| (&**key, piece))
    }

    /// All ends of the tree with their paths: leaves, and `None` for what is taken away.
    pub(super) fn ends(&self) -> Vec<(String, Option<&T>)> {
        let mut ends = Vec::new();
        self.collect(String::new(), &mut ends);
        ends
    }

    fn collect<'a>(&'a self, path: String, ends: &mut Vec<(String, Option<&'a T>)>) {
        match self {
            Self::Gone => ends.push((path, None)),
            Self::Leaf(leaf) => ends.push((path, Some(leaf))),
            Self::Map { entries, .. } => {
                for (key, piece) in entries {
                    let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
                    piece.collect(path, ends);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    /// What is there in the end: without what was taken away, and without mappings that are empty for that.
    fn said(piece: &Piece<u8>) -> Vec<(String, u8)> {
        let mut said: Vec<_> = piece.ends().into_iter().filter_map(|(path, leaf)| Some((path, *leaf?))).collect();
        said.sort();
        said
    }

    /// The meaning, without a tree: each word of a document takes away what stands at its path, below it and above it.
    fn one_by_one(pieces: &[Piece<u8>]) -> Vec<(String, u8)> {
        let mut said: BTreeMap<String, u8> = BTreeMap::new();
        for piece in pieces {
            if matches!(piece, Piece::Leaf(_) | Piece::Gone) {
                said.clear();
            }
            for (path, leaf) in piece.ends() {
                let below = format!("{path}.");
                said.retain(|other, _| {
                    *other != path && !other.starts_with(&below) && !path.starts_with(&format!("{other}."))
                });
                if let Some(leaf) = leaf {
                    said.insert(path, *leaf);
                }
            }
        }
        said.into_iter().collect()
    }

    fn pieces() -> impl Strategy<Value = Piece<u8>> {
        let end = prop_oneof![Just(Piece::Gone), any::<u8>().prop_map(Piece::Leaf)];
        // A mapping of a document says something: an empty one is a fault.
        let tree = end.prop_recursive(3, 24, 3, |inner| {
            let keys = prop_oneof![Just("a".into()), Just("b".into()), Just("c".into())];
            btree_map(keys, inner, 1..=3).prop_map(|entries| Piece::Map { anew: false, entries })
        });
        tree.prop_filter("a document is a mapping", |piece| matches!(piece, Piece::Map { .. }))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn merging_is_associative(a in pieces(), b in pieces(), c in pieces()) {
            let left = a.clone().under(b.clone()).under(c.clone());
            let right = a.under(b.under(c));
            prop_assert_eq!(left, right);
        }

        #[test]
        fn merging_means_that_the_later_word_stands(a in pieces(), b in pieces(), c in pieces()) {
            let one_by_one = one_by_one(&[a.clone(), b.clone(), c.clone()]);
            prop_assert_eq!(said(&a.under(b).under(c)), one_by_one);
        }

        #[test]
        fn what_is_said_twice_is_said_once(a in pieces()) {
            prop_assert_eq!(said(&a.clone().under(a.clone())), said(&a));
        }
    }

    #[test]
    fn a_mapping_after_null_takes_the_place_of_all_before_however_they_are_paired() {
        let document = |key: &str, piece| {
            let mut document = Piece::map();
            document.put(&["endpoints", key], piece);
            document
        };
        let (first, last) = (document("openAI", Piece::Leaf(1)), document("google", Piece::Leaf(2)));
        let mut gone = Piece::map();
        gone.put(&["endpoints"], Piece::Gone);
        let merged = first.clone().under(gone.clone().under(last.clone()));
        assert_eq!(merged, first.under(gone).under(last));
        assert_eq!(said(&merged), [("endpoints.google".to_owned(), 2)]);
    }
}
