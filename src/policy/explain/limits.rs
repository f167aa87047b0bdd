//! The limits that are written for a caller, and which of them count.

use serde::Serialize;

use super::push_table;
use crate::policy::limits::{Limit, Measure, OnFailure};
use crate::policy::snapshot::{Mode, Snapshot};
use crate::policy::view::View;
use crate::policy::words::RuleId;

/// One limit, for a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitStatement {
    /// The limit's id.
    pub id: Box<str>,
    /// What it counts: `requests`, `messages`, `tokens`, `input_tokens`, `output_tokens`, `cost`, `concurrent`.
    pub measure: &'static str,
    /// How much, as it may be written in a policy: `60`, `0.5 USD`.
    pub amount: String,
    /// Whose use counts together: `user`, `role`, `group`, `global`.
    pub per: &'static str,
    /// For how long: `1m`, `day`; none for `concurrent`.
    pub window: Option<String>,
    /// Where a day begins, for windows of the calendar.
    pub timezone: Option<String>,
    /// Names and patterns of the models it is about; all of them, if there is none.
    pub models: Vec<Box<str>>,
    /// The endpoints it is about; all of them, if there is none.
    pub endpoints: Vec<Box<str>>,
    /// What it does for the caller.
    pub effect: LimitEffect,
    /// Whether answers are bounded to what is left.
    pub strict: bool,
    /// Share of the limit, in percent, from which on its use is called near the limit.
    pub warn_at: u8,
    /// Share that each replica admits by itself while the counters cannot be reached, in percent; 0 where all is refused.
    pub local_share: u8,
    /// Where it is written.
    pub rule: RuleId,
}

/// What a limit does for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitEffect {
    /// Refuses what does not fit.
    Limits,
    /// Refuses all that it is about: its amount is 0.
    Closes,
    /// Only records: the limit, or the policy, is in shadow mode.
    Records,
    /// Does not count for this caller: a nearer limit stands in for it, or `limits: none` lifts it.
    Unused,
}

/// All limits that are written for the caller, the nearest first.
pub(super) fn statements(view: &View<'_>) -> Vec<LimitStatement> {
    let of = |limit: &Limit, counts: bool| LimitStatement::new(view.snapshot, limit, counts);
    view.limits().into_iter().map(|standing| of(standing.limit, standing.counts)).collect()
}

/// The limits as a table for people, an empty line before it; nothing where there is none.
pub(super) fn push(text: &mut String, limits: &[LimitStatement]) {
    if limits.is_empty() {
        return;
    }
    text.push('\n');
    let head = ["LIMIT", "WINDOW", "PER", "ABOUT", "EFFECT", "RULE"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(limits.iter().map(LimitStatement::row)).collect();
    push_table(text, &rows);
}

// === impl LimitStatement ===

impl LimitStatement {
    pub(in crate::policy) fn new(snapshot: &Snapshot, limit: &Limit, counts: bool) -> Self {
        let effect = match (counts, snapshot.mode_of(limit)) {
            (false, _) => LimitEffect::Unused,
            (true, Mode::Shadow) => LimitEffect::Records,
            (true, Mode::Enforce) if limit.closes() => LimitEffect::Closes,
            (true, Mode::Enforce) => LimitEffect::Limits,
        };
        Self {
            id: limit.id.clone(),
            measure: limit.terms.measure.as_str(),
            amount: limit.amount(),
            per: limit.per.as_str(),
            window: limit.period.map(|period| period.to_string()),
            timezone: limit.timezone().map(str::to_owned),
            models: limit.scope.models().to_vec(),
            endpoints: limit.scope.endpoints().to_vec(),
            effect,
            strict: limit.terms.strict,
            warn_at: limit.terms.warn_at,
            local_share: match limit.terms.on_failure {
                OnFailure::Deny => 0,
                OnFailure::LocalShare(share) => share,
            },
            rule: limit.rule.clone(),
        }
    }

    fn row(&self) -> [String; 6] {
        let what = if self.measure == Measure::Cost.as_str() { "" } else { self.measure };
        let window = match (&self.window, &self.timezone) {
            (Some(window), Some(zone)) => format!("{window} ({zone})"),
            (Some(window), None) => window.clone(),
            (None, _) => "-".to_owned(),
        };
        let about = match (self.models.is_empty(), self.endpoints.is_empty()) {
            (true, true) => "everything".to_owned(),
            (false, true) => self.models.join(", "),
            (true, false) => format!("all of {}", self.endpoints.join(", ")),
            (false, false) => format!("{} of {}", self.models.join(", "), self.endpoints.join(", ")),
        };
        let effect = match self.effect {
            LimitEffect::Limits => "limits",
            LimitEffect::Closes => "closes",
            LimitEffect::Records => "records",
            LimitEffect::Unused => "unused",
        };
        let amount = format!("{} {what}", self.amount).trim_end().to_owned();
        [amount, window, self.per.to_owned(), about, effect.to_owned(), self.rule.to_string()]
    }
}
