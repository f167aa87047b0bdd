//! Compiled limits: what is limited, for whom, for how long, and what is done when it cannot be counted.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::amount::{self, Period};
use super::charge::{Charge, Window};
use super::pattern::Models;
use super::snapshot::Mode;
use super::words::RuleId;
use super::written::{Names, Section, WrittenLimit};

/// Share of a limit, in percent, from which on its use is called near the limit, unless `warn_at` says otherwise.
pub(super) const WARN_AT: u8 = 80;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Requests that start a run of a model.
    Requests,
    /// Messages that somebody sends.
    Messages,
    /// Tokens in both directions.
    Tokens,
    /// Tokens that models are given, from a cache or not.
    InputTokens,
    /// Tokens that models write, reasoning included.
    OutputTokens,
    /// Money, in picodollars.
    Cost,
    /// Runs that are open at the same time.
    Concurrent,
}

/// Whose use counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// Each user has a counter.
    User,
    /// All callers with the role share one.
    Role,
    /// All members of the group share one.
    Group,
    /// Everybody shares one.
    Global,
}

/// What holds while the counters cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// What the limit covers is refused.
    Deny,
    /// Each replica admits this share of the limit by its own count, in percent.
    LocalShare(u8),
}

/// What a limit asks of those who count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What it counts.
    pub measure: Measure,
    /// Whether what does not fit is refused, or only recorded.
    pub mode: Mode,
    /// What holds while the counters cannot be reached.
    pub on_failure: OnFailure,
    /// Whether the answer has to be bounded to what is left, and what cannot be bounded refused.
    pub strict: bool,
    /// Share of the limit, in percent, from which on its use is called near the limit.
    pub warn_at: u8,
}

/// One limit.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) id: Box<str>,
    pub(super) rule: RuleId,
    pub(super) per: Per,
    pub(super) ceiling: u64,
    /// None for `concurrent`.
    pub(super) period: Option<Period>,
    pub(super) window: Window,
    pub(super) scope: Scope,
    pub(super) terms: Terms,
    /// The counter's key, without the user's id where each user has a counter.
    key: Arc<str>,
}

/// What a limit is about: everything, or only some models or endpoints.
#[derive(Debug, Default)]
pub(super) struct Scope {
    models: Option<Models>,
    endpoints: Option<Box<[Box<str>]>>,
}

/// The limits of an entry, of the top level, or of the defaults.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// `limits: none`: what is written farther away does not count.
    pub(super) none: bool,
    pub(super) list: Box<[Limit]>,
}

// === impl Limits ===

impl Limits {
    /// The limits of an entry, or of the top level where there is no section.
    pub(super) fn new(entry: Option<(Section, &str)>, none: bool, written: &[WrittenLimit]) -> Self {
        let path = entry.map_or_else(String::new, |(section, name)| format!("{}.{name}.", section.as_str()));
        let subject = entry.map_or("", |(_, name)| name);
        Self { none, list: written.iter().map(|limit| Limit::new(&path, subject, limit)).collect() }
    }
}

impl Limits {
    /// The defaults, which are called by their ids.
    pub(super) fn of_defaults(written: &[WrittenLimit]) -> Self {
        let limit = |written: &WrittenLimit| Limit {
            rule: RuleId::new(written.id.value.as_str()),
            ..Limit::new("", "", written)
        };
        Self { none: false, list: written.iter().map(limit).collect() }
    }
}

// === impl Limit ===

impl Limit {
    fn new(path: &str, subject: &str, written: &WrittenLimit) -> Self {
        let (measure, per, id) = (written.measure.value, written.per.value, &written.id.value);
        let period = written.window.as_ref().map(|window| window.value);
        let zone = written.timezone.as_ref().map_or(TimeZone::UTC, |zone| zone.value.clone());
        Self {
            id: id.as_str().into(),
            rule: RuleId::new(format!("{path}limits.{id}")),
            key: match per {
                Per::User => format!("{id}:{}:user:", measure.as_str()).into(),
                Per::Global => format!("{id}:{}:global", measure.as_str()).into(),
                Per::Role | Per::Group => format!("{id}:{}:{}:{subject}", measure.as_str(), per.as_str()).into(),
            },
            per,
            ceiling: written.ceiling,
            period,
            window: window(period, zone),
            scope: Scope::new(written.models.as_ref(), written.endpoints.as_ref()),
            terms: Terms {
                measure,
                mode: written.mode,
                on_failure: written.on_failure,
                strict: written.strict.as_ref().is_some_and(|strict| strict.value),
                warn_at: written.warn_at.unwrap_or(WARN_AT),
            },
        }
    }

    /// A limit under a rule of its own, for a subject that shares it where it is shared.
    pub(super) fn named(subject: &str, written: &WrittenLimit, rule: RuleId) -> Self {
        Self { rule, ..Self::new("", subject, written) }
    }

    /// The counter for a caller: the limit's id, what it counts, and whom it counts for. Amount, scope and mode are not in it, so
    /// that changing them keeps what was used. Nor is the window, but each window has a counter of its own behind this name
    /// ([`crate::meter::plan`]).
    pub(super) fn key(&self, user: &str) -> Arc<str> {
        match self.per {
            Per::User => format!("{}{user}", self.key).into(),
            Per::Role | Per::Group | Per::Global => Arc::clone(&self.key),
        }
    }

    /// The counter without the user, where each user has one.
    pub(super) fn counter(&self) -> &str {
        &self.key
    }

    /// So much of it, for a caller.
    pub(super) fn charge(&self, user: &str, amount: u64) -> Charge {
        Charge {
            key: self.key(user),
            rule: self.rule.clone(),
            window: self.window.clone(),
            amount,
            ceiling: self.ceiling,
        }
    }

    /// Whether it lets nothing through.
    pub(super) fn closes(&self) -> bool {
        self.ceiling == 0
    }

    /// Whether another limit counts the same, over the same window. Time zones may differ.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.terms.measure == other.terms.measure && self.period == other.period && self.scope == other.scope
    }

    /// Where a day begins, for windows of the calendar.
    pub(super) fn timezone(&self) -> Option<&str> {
        match &self.window {
            Window::Calendar { zone, .. } => Some(zone.iana_name().unwrap_or("UTC")),
            Window::Rolling(_) | Window::Open | Window::Always => None,
        }
    }

    /// The amount for people.
    pub(super) fn amount(&self) -> String {
        match self.terms.measure {
            Measure::Cost => amount::dollars(self.ceiling),
            _ => self.ceiling.to_string(),
        }
    }
}

fn window(period: Option<Period>, zone: TimeZone) -> Window {
    match period {
        None => Window::Open,
        Some(Period::Rolling(length)) => Window::Rolling(length),
        Some(Period::Calendar(unit)) => Window::Calendar { unit, zone },
    }
}

// === impl Scope ===

impl Scope {
    fn new(models: Option<&Names>, endpoints: Option<&Names>) -> Self {
        let sorted = |names: &Names| {
            let mut list: Vec<Box<str>> = names.value.iter().map(|name| name.value.as_str().into()).collect();
            list.sort();
            list.into_boxed_slice()
        };
        Self {
            models: models.map(|names| Models::new(sorted(names).iter().map(|name| &**name))),
            endpoints: endpoints.map(sorted),
        }
    }

    /// Whether a model of an endpoint is meant. LibreChat finds a custom endpoint of an agent whatever the case of its
    /// letters (CONTRACT.md B.9), so that no spelling of an endpoint may lead past a limit.
    pub(super) fn covers(&self, endpoint: &str, model: &str) -> bool {
        let listed = |names: &[Box<str>]| names.iter().any(|name| name.eq_ignore_ascii_case(endpoint));
        self.endpoints.as_deref().is_none_or(listed) && self.models.as_ref().is_none_or(|models| models.matches(model))
    }

    /// The names of models, as they are written and in the order of the alphabet.
    pub(super) fn models(&self) -> &[Box<str>] {
        self.models.as_ref().map_or(&[], Models::written)
    }

    /// The names of endpoints, in the order of the alphabet.
    pub(super) fn endpoints(&self) -> &[Box<str>] {
        self.endpoints.as_deref().unwrap_or_default()
    }
}

impl PartialEq for Scope {
    /// Whether the same names are written, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        let written = |scope: &Self| scope.models.as_ref().map(|models| models.written().to_vec());
        written(self) == written(other) && self.endpoints == other.endpoints
    }
}

// === impl Measure ===

impl Measure {
    /// All measures, in the order of the language's reference.
    pub(super) const ALL: [Self; 7] = [
        Self::Requests,
        Self::Messages,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
        Self::Cost,
        Self::Concurrent,
    ];

    /// The word in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Messages => "messages",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Cost => "cost",
            Self::Concurrent => "concurrent",
        }
    }

    /// Whether what it counts depends on how much models are given and write.
    pub fn is_of_tokens(self) -> bool {
        match self {
            Self::Tokens | Self::InputTokens | Self::OutputTokens | Self::Cost => true,
            Self::Requests | Self::Messages | Self::Concurrent => false,
        }
    }

    /// An amount as a decimal number: US dollars for money, the count for all others.
    pub fn decimal(self, amount: u64) -> String {
        match self {
            Self::Cost => amount::decimal(amount, amount::DECIMALS_OF_DOLLAR),
            _ => amount.to_string(),
        }
    }

    /// Whether bounding an answer bounds what it takes.
    pub(super) fn can_be_strict(self) -> bool {
        matches!(self, Self::Tokens | Self::OutputTokens | Self::Cost)
    }
}

// === impl Per ===

impl Per {
    /// All words of a policy.
    pub(super) const WORDS: [(&'static str, Self); 4] =
        [("user", Self::User), ("role", Self::Role), ("group", Self::Group), ("global", Self::Global)];

    /// The word in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Group => "group",
            Self::Global => "global",
        }
    }
}
