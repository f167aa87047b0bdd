//! Cases: what a policy must answer, written beside it in `*.test.yaml`.
//!
//! A case file is read with the policy that it is about, so that a caller, a limit or a rule that is not there is a fault with a
//! place, as in the policy itself. Here cases are only read; what the policy answers is found out by [`crate::cases`], with
//! the counters that Tollgate counts with. `policies/README.md` has the form.

mod asks;
mod callers;
mod expects;
mod known;
mod matrix;
mod named;
mod plain;
mod read;

use jiff::Timestamp;

use super::charges::Tokens;
use super::compile::Source;
use super::faults::Faults;
use super::snapshot::Snapshot;
use super::statements::Statement;
use super::words::{Caller, RuleId, Target};
use crate::report::{Place, Report};

pub use asks::UNJUDGED;
pub use plain::Plain;

/// One question to the policy, and the answer it must give.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows; no two cases of a policy have the same name.
    pub name: Box<str>,
    /// Where it is written.
    pub place: Place,
    /// Who asks.
    pub caller: Asker,
    /// When; none where the case needs no clock.
    pub now: Option<Timestamp>,
    /// What is asked for, in one request.
    pub asks: Vec<Target>,
    /// What the request takes.
    pub takes: Takes,
    /// What was used of limits before, in their own units.
    pub used: Vec<(RuleId, u64)>,
    /// What must come out.
    pub expects: Expects,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The name that the file gives the caller, if any.
    pub name: Option<Box<str>>,
    /// As LibreChat's directory has the caller.
    pub caller: Caller,
    /// What an identity provider says, to be mapped: an object with the members `id`, `access` and `userinfo`.
    pub claims: Option<Plain>,
}

/// What a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// Messages that the caller sends with it.
    pub messages: u64,
    /// Tokens of each model that it runs, as far as the case says; none of `output` is the policy's allowance for an answer.
    pub tokens: Tokens,
    /// Whether the case says how long the answer is.
    pub says_output: bool,
}

/// What must come out. What is not said may be anything.
#[derive(Clone, Debug, Default)]
pub struct Expects {
    /// The verdict.
    pub verdict: Expected,
    /// The deciding statements.
    pub rules: Option<ExpectedRules>,
    /// When the limit that decides has room again: `Some(None)` where it must not say.
    pub resets_at: Option<Option<Timestamp>>,
    /// What is left of limits after the request, in their own units.
    pub remaining: Vec<(RuleId, u64)>,
    /// The role that counts, after mapping.
    pub role: Option<Box<str>>,
    /// The groups that count, after mapping, in any order.
    pub groups: Option<Vec<Box<str>>>,
}

/// The verdict that must come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// It passes.
    #[default]
    Allow,
    /// The policy refuses it.
    Deny,
    /// A limit has no room for it.
    Limit,
    /// It passes, and the record says that it would be refused.
    Shadow,
    /// It does not simply pass: any of the three others.
    NotAllowed,
}

/// Statements that must decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedRules {
    /// This one: the one that refuses first, or one of those that allow.
    Deciding(RuleId),
    /// These, in this order, and no others.
    Exactly(Vec<RuleId>),
}

/// Reads the case files of a policy. The report beside the cases has warnings only.
///
/// # Errors
///
/// All faults of all files.
pub fn read(sources: &[Source], policy: &Snapshot, statements: &[Statement]) -> Result<(Vec<Case>, Report), Report> {
    let mut faults = Faults::new(sources);
    let known = known::Known::new(policy, statements);
    let mut cases = read::Cases::default();
    for (index, source) in sources.iter().enumerate() {
        read::file(index, &source.text, &known, &mut cases, &mut faults);
    }
    if faults.has_errors() { Err(faults.into_report()) } else { Ok((cases.list, faults.into_report())) }
}

// === impl Expected ===

impl Expected {
    /// The words of a case.
    pub(super) const WORDS: [(&'static str, Self); 4] =
        [("allow", Self::Allow), ("deny", Self::Deny), ("limit", Self::Limit), ("shadow", Self::Shadow)];

    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAllowed => "not allow",
            word => Self::WORDS.into_iter().find(|(_, of)| *of == word).map_or("", |(name, _)| name),
        }
    }
}
