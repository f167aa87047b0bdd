//! Roles and groups by an identity provider's word: which claims are asked for, and what they make of a caller.
//!
//! The policy names claims and the values it looks for; what a caller's tokens hold there is handed in.

use std::sync::Arc;

use super::snapshot::Snapshot;
use super::words::Caller;
use super::written::Spotted;

/// LibreChat's role for its administrators. It outranks all roles that no mapping names.
const ADMIN: &str = "ADMIN";

/// Where a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// In the id token.
    Id,
    /// In the access token.
    Access,
    /// In the provider's answer about the person (OpenID Connect Core 5.3).
    Userinfo,
}

/// A claim that the policy looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Where it stands.
    pub token: TokenKind,
    /// Its name, or the way to it with dots between the names.
    pub path: Box<str>,
}

/// What is known of a caller's claims.
pub trait Claims {
    /// The texts that stand there: none where the claim is missing, is of another type, or is not known.
    fn values(&self, claim: &Claim) -> Vec<Box<str>>;
}

/// `role_mapping:` and `group_mapping:`, compiled.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    roles: Vec<RoleRule>,
    groups: Vec<GroupRule>,
}

/// Whoever has this value has this role.
#[derive(Debug)]
struct RoleRule {
    claim: Claim,
    has: Box<str>,
    role: Arc<str>,
}

/// Every value that begins like this names a group.
#[derive(Debug)]
struct GroupRule {
    claim: Claim,
    strip: Box<str>,
}

/// A rule of `role_mapping:` as it is written.
#[derive(Clone, Debug)]
pub struct WrittenRole {
    /// `claim:` and `token:`
    pub claim: Spotted<Claim>,
    /// `has:`
    pub has: Spotted<String>,
    /// `role:`
    pub role: Spotted<String>,
}

/// A rule of `group_mapping:` as it is written.
#[derive(Clone, Debug)]
pub struct WrittenGroup {
    /// `claim:` and `token:`
    pub claim: Spotted<Claim>,
    /// `strip:`
    pub strip: Option<Spotted<String>>,
}

// === impl Mapping ===

impl Mapping {
    pub(super) fn new(roles: &[WrittenRole], groups: &[WrittenGroup]) -> Self {
        let role = |rule: &WrittenRole| RoleRule {
            claim: rule.claim.value.clone(),
            has: rule.has.value.as_str().into(),
            role: rule.role.value.as_str().into(),
        };
        let group = |rule: &WrittenGroup| GroupRule {
            claim: rule.claim.value.clone(),
            strip: rule.strip.as_ref().map_or("", |strip| strip.value.as_str()).into(),
        };
        Self { roles: roles.iter().map(role).collect(), groups: groups.iter().map(group).collect() }
    }

    fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.roles.iter().map(|rule| &rule.claim).chain(self.groups.iter().map(|rule| &rule.claim))
    }

    /// How powerful a role is: less is more.
    fn rank(&self, role: &str) -> usize {
        let unnamed = if role == ADMIN { self.roles.len() } else { self.roles.len() + 1 };
        self.roles.iter().position(|rule| &*rule.role == role).unwrap_or(unnamed)
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Whether claims of this kind of token make a difference.
    pub fn asks_for(&self, token: TokenKind) -> bool {
        self.mapping.claims().any(|claim| claim.token == token)
    }

    /// Whether any claim makes a difference.
    pub fn maps_claims(&self) -> bool {
        self.mapping.claims().next().is_some()
    }

    /// What the claims make of a caller: of the directory's role and those of the mapping the most powerful one, and the groups of
    /// both.
    pub fn mapped(&self, caller: &Caller, claims: &dyn Claims) -> Caller {
        let mapping = &self.mapping;
        let applies = |rule: &&RoleRule| claims.values(&rule.claim).contains(&rule.has);
        // The rules are in the order of power: the first that applies gives the best role that a mapping gives.
        let given = mapping.roles.iter().find(applies).map(|rule| &rule.role);
        let role = match given {
            Some(given) if mapping.rank(given) < mapping.rank(&caller.role) => given.clone(),
            _ => caller.role.clone(),
        };
        let mut groups = caller.groups.to_vec();
        for rule in &mapping.groups {
            for value in claims.values(&rule.claim) {
                let name = value.strip_prefix(&*rule.strip).filter(|name| !name.is_empty());
                if let Some(name) = name.filter(|name| !groups.iter().any(|known| **known == **name)) {
                    groups.push(name.into());
                }
            }
        }
        Caller { user: caller.user.clone(), email: caller.email.clone(), role, groups: groups.into() }
    }
}

// === impl TokenKind ===

impl TokenKind {
    /// All kinds by their words in a policy.
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("id", Self::Id), ("access", Self::Access), ("userinfo", Self::Userinfo)];

    /// The word in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Access => "access",
            Self::Userinfo => "userinfo",
        }
    }
}
