//! Limits that have no room for a request, as the refusal tells them: which one decides, when there is room again, and a
//! sentence for people.

use http::HeaderMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::quota::{Quota, seconds_of, seconds_until};
use crate::librechat::balance::{self, CREDIT};
use crate::librechat::phrasing::Shortage;
use crate::meter::room::{Room, whole_second};
use crate::policy::charge::{Charge, Unit, Window};
use crate::policy::charges::UNPRICED;
use crate::policy::limits::Measure;
use crate::policy::{RuleId, Snapshot};
use crate::store::counters::Lack;

/// Seconds after which somebody may try again who waits for a turn to end: nobody knows when that is.
const SOON: u32 = 5;

/// Limits that have no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// The limits that have no room, the deciding one first.
    pub(super) rules: Vec<RuleId>,
    /// What the deciding one lacks.
    pub(super) shortage: Shortage,
    /// The sentence for people.
    pub(super) message: String,
    /// When there is room again; none where that is when turns end, or never.
    pub(super) resets_at: Option<Timestamp>,
    /// The headers; none where LibreChat's balance decides, which is no limit of the policy.
    pub(super) quota: Option<Quota>,
    pub(super) retry_after: Option<u32>,
}

/// One charge that does not fit.
struct Short<'a> {
    charge: &'a Charge,
    lack: &'a Lack,
    counts: Counts,
    /// What of it is for answers, whatever the prompt.
    answers: u64,
}

/// What a charge that does not fit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// What a limit of the policy measures.
    Limit(Measure),
    /// LibreChat's balance, in its credits.
    Balance,
}

// === impl Exceeded ===

impl Exceeded {
    /// What is to be told of these lacks, at this moment. `answers` are the charges as they would be without any prompt, and
    /// `prompt` is how many tokens the request is thought to give to models. None where none of the charges is that of a limit of the policy.
    pub(super) fn of(
        policy: &Snapshot,
        charges: &[Charge],
        answers: &[Charge],
        lacks: &[Lack],
        at: Timestamp,
        prompt: u64,
    ) -> Option<Self> {
        let shorts = lacks.iter().filter_map(|lack| {
            let charge = charges.get(lack.draw)?;
            let counts = match charge.rule.as_str() {
                balance::RULE => Counts::Balance,
                _ => Counts::Limit(policy.terms(&charge.rule)?.measure),
            };
            let answers = answers.iter().find(|answer| answer.key == charge.key).map_or(0, |answer| answer.amount);
            Some(Short { charge, lack, counts, answers })
        });
        let mut shorts: Vec<_> = shorts.collect();
        shorts.sort_by_key(|short| short.room().last_first());
        let decides = shorts.first()?;
        let room = decides.room();
        let resets_at = room.moment();
        let seconds = seconds_of(&decides.charge.window, at);
        let wait = resets_at.map(|moment| seconds_until(moment, at));
        Some(Self {
            shortage: decides.shortage(seconds.unwrap_or_default(), prompt),
            message: decides.sentence(policy, resets_at),
            quota: match decides.counts {
                Counts::Limit(measure) => Some(Quota::new(decides.charge, measure, decides.lack.left, wait, seconds)),
                Counts::Balance => None,
            },
            retry_after: match room {
                Room::Soon => Some(SOON),
                Room::At(_) => wait.map(|seconds| u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)),
                Room::Never | Room::Closed => None,
            },
            resets_at,
            rules: shorts.iter().map(|short| short.charge.rule.clone()).collect(),
        })
    }

    /// Seconds after which trying again makes sense; none where it never does.
    pub(super) fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// Writes the headers.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(quota) = &self.quota {
            quota.write(headers);
        }
    }

    /// When there is room again, as RFC 3339 in UTC.
    pub(super) fn resets_at(&self) -> Option<String> {
        self.resets_at.map(instant)
    }
}

/// A moment as RFC 3339 in UTC, a begun second as a whole one: at this moment there is room.
pub(super) fn instant(moment: Timestamp) -> String {
    whole_second(moment).to_string()
}

// === impl Short ===

impl Short<'_> {
    fn room(&self) -> Room {
        match self.counts {
            // Somebody has to add to it.
            Counts::Balance => Room::Never,
            Counts::Limit(_) => Room::of(self.charge, self.lack),
        }
    }

    fn shortage(&self, seconds: u64, prompt: u64) -> Shortage {
        match self.counts {
            Counts::Balance => Shortage::Funds { balance: self.lack.left, cost: self.charge.amount, prompt },
            Counts::Limit(Measure::Cost) => {
                Shortage::Funds { balance: self.lack.left / CREDIT, cost: self.charge.amount.div_ceil(CREDIT), prompt }
            }
            Counts::Limit(Measure::Concurrent) => Shortage::Open { limit: self.charge.ceiling },
            Counts::Limit(_) => Shortage::Count { max: self.charge.ceiling, seconds },
        }
    }

    fn sentence(&self, policy: &Snapshot, resets_at: Option<Timestamp>) -> String {
        let Counts::Limit(measure) = self.counts else {
            let (left, cost) = (self.lack.left, self.charge.amount);
            return format!(
                "Your balance does not cover this request: it needs about {cost} credits, and {left} are left beside what your \
                 open requests hold."
            );
        };
        let id = self.charge.id();
        let (amount, window) = (amount(measure, self.charge.ceiling), window(&self.charge.window));
        match (resets_at, self.charge.ceiling, measure) {
            (_, 0, _) => format!("This is closed to you by the limit {id}."),
            (Some(moment), ..) => {
                let moment = for_people(moment, self.charge.window.zone());
                policy.message_limit_reached(id, &amount, &window, &moment).unwrap_or_else(|| {
                    format!("The limit {id} of {amount} {window} is reached. There is room again on {moment}.")
                })
            }
            (None, _, Measure::Concurrent) => {
                format!("The limit {id} of {amount} is reached. Wait until one of them has ended.")
            }
            (None, _, Measure::Cost) if self.charge.amount == UNPRICED => format!(
                "A model of this request has no price, and the limit {id} is about money. Choose another model, or ask for a price."
            ),
            (None, ..) => {
                let needs = self::amount(measure, self.charge.amount);
                let advice = self.advice(measure);
                format!("This request needs about {needs}, and the limit {id} allows {amount} {window}. {advice}")
            }
        }
    }

    /// What helps whom a request is too large: a shorter one, unless what is set aside for its answer leaves no room for any prompt.
    fn advice(&self, measure: Measure) -> String {
        if self.answers < self.charge.ceiling {
            return "Make it shorter.".to_owned();
        }
        let set_aside = amount(measure, self.answers);
        let cheaper = if measure == Measure::Cost { ", or choose a cheaper model" } else { "" };
        format!(
            "No prompt is short enough, as the answer is counted with {set_aside} beforehand: limit its length{cheaper}."
        )
    }
}

/// An amount as people say it: `500000 tokens`, `1 request`, `0.5 USD`.
fn amount(measure: Measure, amount: u64) -> String {
    let number = measure.decimal(amount);
    let (one, many) = match measure {
        Measure::Requests => ("request", "requests"),
        Measure::Messages => ("message", "messages"),
        Measure::Tokens => ("token", "tokens"),
        Measure::InputTokens => ("input token", "input tokens"),
        Measure::OutputTokens => ("output token", "output tokens"),
        Measure::Cost => ("USD", "USD"),
        Measure::Concurrent => ("answer at a time", "answers at a time"),
    };
    format!("{number} {}", if amount == 1 { one } else { many })
}

/// A window as people say it: `per day`, `in 90 seconds`.
fn window(window: &Window) -> String {
    match window {
        Window::Open => "at a time".to_owned(),
        Window::Always => "in all".to_owned(),
        Window::Calendar { unit, .. } => match unit {
            Unit::Hour => "per hour",
            Unit::Day => "per day",
            Unit::Week => "per week",
            Unit::Month => "per month",
        }
        .to_owned(),
        Window::Rolling(length) => {
            let seconds = length.as_secs();
            let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
            let (unit, name) =
                units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "second"));
            match seconds / unit {
                1 => format!("in 1 {name}"),
                many => format!("in {many} {name}s"),
            }
        }
    }
}

/// A moment as people read it, in the limit's time zone where it has one: `2026-11-22 at 00:00:00 (Europe/Berlin)`.
fn for_people(moment: Timestamp, zone: Option<&TimeZone>) -> String {
    let zone = zone.cloned().unwrap_or(TimeZone::UTC);
    let name = zone.iana_name().unwrap_or("UTC").to_owned();
    let there = whole_second(moment).to_zoned(zone);
    format!("{} at {} ({name})", there.date(), there.time())
}

#[cfg(test)]
mod tests;
