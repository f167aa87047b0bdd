//! The algorithms by which an identity provider may sign (RFC 7518 3.1). Never one with a shared secret.

use super::keys::Family;

/// A signature algorithm with a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm(jsonwebtoken::Algorithm);

/// Every one that can be allowed, with its name.
const ALL: [(&str, jsonwebtoken::Algorithm, Family); 8] = [
    ("RS256", jsonwebtoken::Algorithm::RS256, Family::Rsa),
    ("RS384", jsonwebtoken::Algorithm::RS384, Family::Rsa),
    ("RS512", jsonwebtoken::Algorithm::RS512, Family::Rsa),
    ("PS256", jsonwebtoken::Algorithm::PS256, Family::Rsa),
    ("PS384", jsonwebtoken::Algorithm::PS384, Family::Rsa),
    ("PS512", jsonwebtoken::Algorithm::PS512, Family::Rsa),
    ("ES256", jsonwebtoken::Algorithm::ES256, Family::P256),
    ("ES384", jsonwebtoken::Algorithm::ES384, Family::P384),
];

// === impl Algorithm ===

impl Algorithm {
    /// What is allowed where the settings say nothing: the one that every OpenID provider has (OpenID Connect Core 15.1).
    pub const DEFAULT: Self = Self(jsonwebtoken::Algorithm::RS256);

    /// The algorithm of this exact name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(known, ..)| *known == name).map(|(_, algorithm, _)| Self(*algorithm))
    }

    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(name, ..)| *name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(super) fn family(self) -> Family {
        self.row().2
    }

    pub(super) fn inner(self) -> jsonwebtoken::Algorithm {
        self.0
    }

    fn row(self) -> (&'static str, jsonwebtoken::Algorithm, Family) {
        let [first, ..] = ALL;
        ALL.into_iter().find(|(_, algorithm, _)| *algorithm == self.0).unwrap_or(first)
    }
}
