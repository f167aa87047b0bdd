//! A policy file as it is written: the language's words with their places, before anything is merged or judged.
//!
//! The shape of `roles:` and `groups:` is that of the same sections of a `librechat.yaml` of the fork that has them, so
//! that they can be pasted; `unrestricted`, `deny` and `users:` are Tollgate's own.

mod admission;
mod defaults;
pub(super) mod limits;
mod mapping;
mod prices;
pub(super) mod read;
mod turns;

pub use limits::{WrittenLimit, WrittenLimits};
pub use prices::WrittenPrice;
pub(super) use read::read;

use super::faults::Spot;
use super::mapping::{WrittenGroup, WrittenRole};
use super::prices::Price;
use super::snapshot::{Fallback, Mode};

/// Something written, and where.
#[derive(Clone, Debug)]
pub struct Spotted<T> {
    /// What is written.
    pub value: T,
    /// Where it is written.
    pub spot: Spot,
}

/// A list of names, with its key's place.
pub type Names = Spotted<Vec<Spotted<String>>>;

/// One file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// `mode:`
    pub mode: Option<Spotted<Mode>>,
    /// `unlisted: { endpoint: }`
    pub unlisted_endpoint: Option<Spotted<Fallback>>,
    /// `unlisted: { role: }`
    pub unlisted_role: Option<Spotted<Fallback>>,
    /// `messages: { model_denied: }`
    pub model_denied: Option<Spotted<String>>,
    /// `messages: { limit_reached: }`
    pub limit_reached: Option<Spotted<String>>,
    /// `blocked: { users: }`
    pub blocked_users: Option<Names>,
    /// `blocked: { groups: }`
    pub blocked_groups: Option<Names>,
    /// `email_domains:`
    pub email_domains: Option<Names>,
    /// `agents: { parameters: { allow: } }`
    pub agent_parameters: Option<Names>,
    /// `agents: { tools: { deny: } }`
    pub tools_deny: Option<Names>,
    /// `role_mapping:`
    pub role_mapping: Option<Spotted<Vec<WrittenRole>>>,
    /// `group_mapping:`
    pub group_mapping: Option<Spotted<Vec<WrittenGroup>>>,
    /// `assistants: { enabled: }`
    pub assistants: Option<Spotted<bool>>,
    /// `user_keys:`
    pub user_keys: Option<Spotted<Fallback>>,
    /// `system_models: { speech: }`
    pub speech: Option<Spotted<Fallback>>,
    /// `remote_api: { enabled: }`
    pub remote_api: Option<Spotted<bool>>,
    /// `limits:` at the top level, with its key's place.
    pub limits: Option<Spotted<Vec<WrittenLimit>>>,
    /// `defaults: { user: }`, with its key's place.
    pub defaults: Option<Spotted<Vec<WrittenLimit>>>,
    /// `prices:`, the default left out.
    pub prices: Vec<WrittenPrice>,
    /// `prices: { default: }`; its price is missing where it had a fault.
    pub default_price: Option<Spotted<Option<Price>>>,
    /// `prices: { librechat: }`
    pub librechat_rates: Option<Spotted<bool>>,
    /// `turns: { output_allowance: }`
    pub output_allowance: Option<Spotted<u64>>,
    /// `turns: { strict_output: }`
    pub strict_output: Option<Spotted<u64>>,
    /// `roles:`, `groups:` and `users:`, in the order of [`Section::ALL`].
    pub entries: Vec<Entry>,
}

/// The three sections whose keys name callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// `roles:`, keyed by the name of a LibreChat role.
    Roles,
    /// `groups:`, keyed by the name of a group.
    Groups,
    /// `users:`, keyed by e-mail address or user id.
    Users,
}

/// What a role, a group or a user may use.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which section it stands in.
    pub section: Section,
    /// Whom it is about.
    pub name: Spotted<String>,
    /// `unrestricted:`
    pub unrestricted: Option<Spotted<bool>>,
    /// `mode:`
    pub mode: Option<Spotted<Mode>>,
    /// `endpoints:`, with its key's place.
    pub endpoints: Option<Spotted<Vec<Endpoint>>>,
    /// `tools:`, with its key's place.
    pub tools: Option<Spotted<Tools>>,
    /// `limits:`, with its key's place.
    pub limits: Option<Spotted<WrittenLimits>>,
    /// Whether it was read without a fault. What a faulty entry lacks may be in the part that could not be read.
    pub sound: bool,
}

/// What may be used of one endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The endpoint's name.
    pub name: Spotted<String>,
    /// Whether it stands under `custom:`.
    pub custom: bool,
    /// `models:`, with its key's place.
    pub models: Option<Names>,
    /// `deny:`, with its key's place.
    pub deny: Option<Names>,
    /// `mode:`
    pub mode: Option<Spotted<Mode>>,
}

/// Which tools may be used.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// `allow:`, with its key's place.
    pub allow: Option<Names>,
    /// `deny:`, with its key's place.
    pub deny: Option<Names>,
    /// `mode:`
    pub mode: Option<Spotted<Mode>>,
}

// === impl Section ===

impl Section {
    /// All sections, in the order in which they are read.
    pub const ALL: [Self; 3] = [Self::Roles, Self::Groups, Self::Users];

    /// The section's key in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Roles => "roles",
            Self::Groups => "groups",
            Self::Users => "users",
        }
    }

    /// One of the section's keys, for a message.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Roles => "role",
            Self::Groups => "group",
            Self::Users => "user",
        }
    }
}

// === impl Entry ===

impl Entry {
    /// The endpoints named, none if there is no `endpoints:`.
    pub fn endpoints(&self) -> &[Endpoint] {
        self.endpoints.as_ref().map_or(&[], |endpoints| &endpoints.value)
    }

    /// The limits written here, none if there is no list of them.
    pub fn limits(&self) -> &[WrittenLimit] {
        match &self.limits {
            Some(Spotted { value: WrittenLimits::List(limits), .. }) => limits,
            _ => &[],
        }
    }

    /// Whether it says `mode: shadow`.
    pub fn is_shadow(&self) -> bool {
        is_shadow(self.mode.as_ref())
    }

    /// Whether it says `unrestricted: true`.
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted.as_ref().is_some_and(|unrestricted| unrestricted.value)
    }
}

/// Whether a `mode:` says `shadow`.
pub(super) fn is_shadow(mode: Option<&Spotted<Mode>>) -> bool {
    mode.is_some_and(|mode| mode.value == Mode::Shadow)
}

// === impl Endpoint ===

impl Endpoint {
    /// The name under which LibreChat knows the endpoint.
    ///
    /// LibreChat writes every spelling of a custom endpoint called Ollama as `ollama` (CONTRACT.md B.9), in its model
    /// lists and in its requests. All other names stay as they are.
    pub fn key(&self) -> &str {
        if self.custom && self.name.value.eq_ignore_ascii_case("ollama") { "ollama" } else { &self.name.value }
    }
}
