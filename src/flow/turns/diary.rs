//! What is written down of an open turn, so that whoever starts after a crash settles it, once.
//!
//! Its lines: that it may go to LibreChat, that LibreChat took it, how it ended, what is charged for it, and that it is done. Each
//! is written before the step that it is about. A turn without charges is not written down: there is nothing to settle.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::claim::{Claim, Estimate, Spent};
use super::rule::{Bill, End};
use super::{Turn, Turns};
use crate::librechat::placed::Place;
use crate::policy::{Caller, Part, Target, Unjudged};
use crate::record::entry::{Ended, Source, TurnOutcome, Usage};
use crate::store::StoreError;
use crate::store::counters::Hold;
use crate::store::diary::Diary;

/// What is known of a turn from its beginning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Begun {
    /// When the request arrived.
    pub(super) at: Timestamp,
    /// Who asked.
    caller: Who,
    /// `endpoint`, `model` of all that was asked for.
    models: Vec<(Box<str>, Box<str>)>,
    /// Whether it may run models that are not known.
    anything: bool,
    /// What was taken, before limits.
    pub(super) estimate: Estimate,
    /// The conversation that the body named.
    pub(super) conversation: Option<Arc<str>>,
    /// As [`Claim::place`].
    #[serde(default)]
    pub(super) place: Option<Place>,
    /// What was taken from limits that refuse.
    pub(super) hold: Option<Hold>,
    /// What was taken from limits in shadow mode.
    pub(super) shadow: Option<Hold>,
    /// As [`Claim::balance`].
    pub(super) balance: bool,
    /// Whether it is a run of an assistant.
    #[serde(default)]
    pub(super) assistant: bool,
    /// The usage entry as it stands.
    pub(super) entry: Usage,
}

/// A [`Caller`].
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Who {
    user: Arc<str>,
    email: Option<Box<str>>,
    role: Arc<str>,
    groups: Arc<[Box<str>]>,
}

/// LibreChat took the turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Started {
    /// The id of its stream; none where the answer is the run itself.
    pub(super) stream: Option<Arc<str>>,
    /// As in the usage entry.
    pub(super) outcome: TurnOutcome,
    /// As in the usage entry.
    pub(super) status: u16,
    /// As in the usage entry.
    pub(super) time: f64,
}

/// What is charged for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Billed {
    /// What each model used.
    pub(super) runs: Vec<Spent>,
    /// Where that is known from.
    pub(super) source: Source,
    /// What is put on the counters of `hold`, in their order; none where all is given back.
    pub(super) used: Option<Vec<u64>>,
    /// What is put on the counters of `shadow`.
    pub(super) shadow: Option<Vec<u64>>,
    /// How it ended, as in the usage entry.
    #[serde(default)]
    pub(super) ended: Option<Ended>,
    /// As in the usage entry.
    #[serde(default)]
    pub(super) first_byte: Option<f64>,
    /// As in the usage entry.
    #[serde(default)]
    pub(super) duration: Option<f64>,
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Begun(Box<Begun>),
    Started(Started),
    Ended(End),
    Billed(Billed),
}

/// The same, being written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Writing<'a> {
    Begun(&'a Begun),
    Started(&'a Started),
    Ended(End),
    Billed(&'a Billed),
}

/// A turn that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) begun: Begun,
    pub(super) started: Option<Started>,
    /// How it ended, where that was known.
    pub(super) ended: Option<End>,
    pub(super) billed: Option<Billed>,
}

// === impl Begun ===

impl Begun {
    pub(super) fn of(claim: &Claim, entry: Usage) -> Self {
        let Caller { user, email, role, groups } = &*claim.caller;
        let mut models = Vec::new();
        let mut anything = false;
        for target in &claim.targets {
            match target {
                Target::Model { endpoint, model }
                | Target::Assistant { endpoint, model }
                | Target::Agent { part: Part::Model { endpoint, model }, .. } => {
                    models.push((endpoint.clone(), model.clone()));
                }
                Target::Agent { part: Part::Unjudged(_), .. } => anything = true,
                Target::Surface(_) => anything |= !claim.targets.iter().any(runs_a_model),
                Target::Agent { .. } | Target::Tool(_) | Target::Endpoint(_) | Target::Feature(_) => {}
            }
        }
        let held =
            |receipt: &Option<crate::meter::Receipt>| receipt.as_ref().and_then(|receipt| receipt.hold().cloned());
        Self {
            at: entry.timestamp,
            caller: Who { user: user.clone(), email: email.clone(), role: role.clone(), groups: groups.clone() },
            models,
            anything,
            estimate: claim.estimate.clone(),
            conversation: claim.conversation.clone(),
            place: claim.place.clone(),
            hold: held(&claim.receipt),
            shadow: held(&claim.shadow),
            balance: claim.balance,
            assistant: claim.targets.iter().any(|target| matches!(target, Target::Assistant { .. })),
            entry,
        }
    }

    /// Whether there is anything to settle.
    pub(super) fn holds(&self) -> bool {
        self.hold.is_some() || self.shadow.is_some()
    }

    /// Who asked.
    pub(super) fn caller(&self) -> Caller {
        let Who { user, email, role, groups } = self.caller.clone();
        Caller { user, email, role, groups }
    }

    /// What was asked for, as far as limits go.
    pub(super) fn targets(&self) -> Vec<Target> {
        let model = |(endpoint, model): &(Box<str>, Box<str>)| Target::Model {
            endpoint: endpoint.clone(),
            model: model.clone(),
        };
        let mut targets: Vec<Target> = self.models.iter().map(model).collect();
        if self.anything {
            let part = Part::Unjudged(Unjudged { code: "turn.recovered", detail: "not known any more".into() });
            targets.push(Target::Agent { agent: "".into(), part });
        }
        targets
    }
}

fn runs_a_model(target: &Target) -> bool {
    matches!(target, Target::Model { .. } | Target::Assistant { .. } | Target::Agent { part: Part::Model { .. }, .. })
}

// === impl Billed ===

impl Billed {
    /// What a bill comes to, before counters.
    pub(super) fn of(bill: Bill) -> Self {
        let (runs, source, used) = match bill {
            Bill::Nothing => (Vec::new(), Source::None, None),
            Bill::Runs(runs, source) => (runs, source, Some(Vec::new())),
        };
        Self { runs, source, shadow: used.clone(), used, ended: None, first_byte: None, duration: None }
    }
}

// === functions on diaries ===

/// Writes that a turn may go to LibreChat.
pub(super) fn begin(diary: &Diary, id: Uuid, begun: &Begun) -> Result<(), StoreError> {
    diary.append(id, &Writing::Begun(begun))
}

/// Writes that LibreChat took it; again where its conversation is told later. The last one counts.
pub(super) fn started(turns: &Turns, turn: &Turn, started: &Started) {
    if let (true, Some(file)) = (turn.begun.holds(), &turns.parts().diary)
        && let Err(error) = file.append(turn.id, &Writing::Started(started))
    {
        tracing::warn!(%error, "a turn that has begun cannot be written down: after a crash it is settled at the estimate");
    }
}

/// Writes how it ended.
pub(super) fn end(diary: &Diary, id: Uuid, end: End) -> Result<(), StoreError> {
    diary.append(id, &Writing::Ended(end))
}

/// Writes what is charged for it.
pub(super) fn bill(diary: &Diary, id: Uuid, billed: &Billed) -> Result<(), StoreError> {
    diary.append(id, &Writing::Billed(billed))
}

/// Reads the lines of one turn. None where they do not begin with its beginning.
///
/// # Errors
/// Where a line is not one of these.
pub(super) fn read(lines: &[Box<RawValue>]) -> Result<Option<Found>, serde_json::Error> {
    let mut found: Option<Found> = None;
    for line in lines {
        match (serde_json::from_str(line.get())?, &mut found) {
            (Line::Begun(begun), _) => {
                found = Some(Found { begun: *begun, started: None, ended: None, billed: None });
            }
            (Line::Started(started), Some(found)) => found.started = Some(started),
            (Line::Ended(end), Some(found)) => found.ended = Some(end),
            (Line::Billed(billed), Some(found)) => found.billed = Some(billed),
            (Line::Started(_) | Line::Ended(_) | Line::Billed(_), None) => {}
        }
    }
    Ok(found)
}
