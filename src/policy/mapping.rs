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

// === what the mappings did ===

/// What one rule of a mapping made of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The rule, by its place in its list, counted from 1: `role_mapping 2`.
    pub rule: String,
    /// The claim that it looks at.
    pub claim: Claim,
    /// What stands there.
    pub values: Vec<Box<str>>,
    /// The role that it gives, where it applies and no more powerful one does.
    pub role: Option<Arc<str>>,
    /// The groups that it gives.
    pub groups: Vec<Box<str>>,
}

impl Snapshot {
    /// What each rule of the mappings makes of a caller's claims, for people who want to know where a role or a group is from:
    /// [`Snapshot::mapped`] rule by rule.
    pub fn applied(&self, caller: &Caller, claims: &dyn Claims) -> Vec<Applied> {
        let mapped = self.mapped(caller, claims);
        let mut given = false;
        let mut roles = Vec::with_capacity(self.mapping.roles.len());
        for (index, rule) in self.mapping.roles.iter().enumerate() {
            let values = claims.values(&rule.claim);
            let gives = !given && values.contains(&rule.has) && rule.role == mapped.role && mapped.role != caller.role;
            given |= gives;
            let role = gives.then(|| Arc::clone(&rule.role));
            let name = format!("role_mapping {}", index + 1);
            roles.push(Applied { rule: name, claim: rule.claim.clone(), values, role, groups: Vec::new() });
        }
        let groups = self.mapping.groups.iter().enumerate().map(|(index, rule)| {
            let values = claims.values(&rule.claim);
            let stripped = values.iter().filter_map(|value| value.strip_prefix(&*rule.strip));
            let groups = stripped.filter(|name| mapped.groups.iter().any(|group| **group == **name)).map(Into::into);
            let name = format!("group_mapping {}", index + 1);
            Applied { rule: name, claim: rule.claim.clone(), groups: groups.collect(), values, role: None }
        });
        roles.into_iter().chain(groups).collect()
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
