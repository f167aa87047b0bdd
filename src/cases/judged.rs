//! One case, answered: the steps of a request from who asks to what is charged.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::counting::{Counting, Short};
use crate::identity::WrittenClaims;
use crate::meter::bound::room_for_answer;
use crate::meter::room::whole_second;
use crate::policy::cases::{Asker, Case, Expected, Plain};
use crate::policy::charge::Charge;
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::{Ask, Caller, Outcome, Part, RuleId, Snapshot, Target, decide};

/// What came out.
#[derive(Clone, Debug)]
pub struct Got {
    /// The verdict; never [`Expected::NotAllowed`].
    pub verdict: Expected,
    /// The deciding statements: the one that refuses first, or one for each thing that is allowed.
    pub rules: Vec<RuleId>,
    /// When the limit that decides has room again; none where that is when turns end, or never.
    pub resets_at: Option<Timestamp>,
    /// The time zone of that limit.
    pub zone: Option<TimeZone>,
    /// What is left of the limits that the case asks about.
    pub left: Vec<(RuleId, u64)>,
    /// Who asked, with the role and the groups that count.
    pub caller: Caller,
    /// Which of the things that were asked for does not simply pass, by its place among them; none where all of them do.
    pub refused: Option<usize>,
}

/// What the limits say.
struct Charged {
    verdict: Expected,
    shorts: Vec<Short>,
}

/// Answers a case.
///
/// # Errors
/// In words: the case has used, or asks for the rest of, a limit that does not count for its caller; or Tollgate could not count
/// the limits that apply.
pub fn judge(policy: &Snapshot, case: &Case) -> Result<Got, String> {
    let caller = mapped(policy, &case.caller)?;
    let ask = Ask { caller: &caller, targets: &case.asks };
    let verdict = decide(policy, &ask);
    let (word, mut rules) = match &verdict.outcome {
        Outcome::Allow => (Expected::Allow, verdict.because),
        Outcome::Deny(_) => (Expected::Deny, verdict.because),
        Outcome::Shadowed(_) => (Expected::Shadow, verdict.because),
    };
    let refused = first(case, |target| refuses(policy, &caller, target, &verdict.outcome));
    let mut got = Got {
        verdict: word,
        rules: Vec::new(),
        resets_at: None,
        zone: None,
        left: Vec::new(),
        caller: caller.clone(),
        refused,
    };
    // What does not depend on the time comes out the same at any; the reader has seen to the rest.
    let counting = Counting::begin(policy, &caller, &case.used, case.now.unwrap_or(Timestamp::UNIX_EPOCH))?;
    if word != Expected::Deny && policy.has_limits() && case.asks.iter().any(runs_a_model) {
        let charged = charge(policy, case, &ask, &counting)?;
        // What the policy would refuse in shadow mode decides before the limits.
        if let (Some(first), false) = (charged.shorts.first(), word == Expected::Shadow) {
            got.verdict = charged.verdict;
            got.refused = self::first(case, |target| {
                let ask = Ask { caller: &caller, targets: std::slice::from_ref(target) };
                let charges = with(case, &[], |amounts| {
                    policy
                        .charges(&ask, amounts)
                        .into_iter()
                        .chain(policy.shadow_charges(&ask, amounts))
                        .collect::<Vec<_>>()
                });
                charges.iter().any(|charge| charge.rule == first.charge.rule)
            });
            rules = charged.shorts.iter().map(|short| short.charge.rule.clone()).collect();
            if charged.verdict != Expected::Deny {
                got.resets_at = case.now.and_then(|_| first.room.moment()).map(whole_second);
                got.zone = first.charge.window.zone().cloned();
            }
        }
    }
    got.rules = rules;
    for (rule, _) in &case.expects.remaining {
        got.left.push((rule.clone(), counting.left(policy, &caller, rule)?));
    }
    Ok(got)
}

/// The place of the first thing asked for that is like this.
fn first(case: &Case, is: impl Fn(&Target) -> bool) -> Option<usize> {
    case.asks.iter().position(is)
}

/// Whether this alone gets the answer that all of what was asked for got, and that is no plain yes.
fn refuses(policy: &Snapshot, caller: &Caller, target: &Target, answer: &Outcome) -> bool {
    let alone = decide(policy, &Ask { caller, targets: std::slice::from_ref(target) }).outcome;
    matches!((alone, answer), (Outcome::Deny(_), Outcome::Deny(_)) | (Outcome::Shadowed(_), Outcome::Shadowed(_)))
}

/// The caller, with the role and the groups that the policy makes of the claims.
fn mapped(policy: &Snapshot, asker: &Asker) -> Result<Caller, String> {
    let Some(claims) = &asker.claims else { return Ok(asker.caller.clone()) };
    let claims = WrittenClaims::read(json(claims).to_string().as_bytes())?;
    Ok(policy.mapped(&asker.caller, &claims))
}

fn json(claim: &Plain) -> Value {
    match claim {
        Plain::Other => Value::Null,
        Plain::Text(text) => Value::String(text.clone()),
        Plain::List(items) => Value::Array(items.iter().map(json).collect()),
        Plain::Map(members) => {
            Value::Object(members.iter().map(|(name, claim)| (name.clone(), json(claim))).collect::<Map<_, _>>())
        }
    }
}

/// Takes what the request takes from the limits that refuse, and then from those that only record.
fn charge(policy: &Snapshot, case: &Case, ask: &Ask<'_>, counting: &Counting) -> Result<Charged, String> {
    let likely = Tokens {
        output: if case.takes.says_output { case.takes.tokens.output } else { policy.output_allowance() },
        ..case.takes.tokens
    };
    let mut runs = runs(&case.asks, likely);
    let enforced = with(case, &runs, |amounts| policy.charges(ask, amounts));
    let is_strict = |charge: &&Charge| policy.terms(&charge.rule).is_some_and(|terms| terms.strict);
    let strict: Vec<Charge> = enforced.iter().filter(is_strict).cloned().collect();
    if !strict.is_empty() {
        let Some((endpoint, model)) = only_model(&case.asks) else {
            let unbounded = |charge| Short { charge, room: crate::meter::room::Room::Never };
            return Ok(Charged { verdict: Expected::Deny, shorts: strict.into_iter().map(unbounded).collect() });
        };
        runs = vec![Run { endpoint, model, tokens: bounded(policy, case, &strict, (endpoint, model), counting)? }];
    }
    let enforced = with(case, &runs, |amounts| policy.charges(ask, amounts));
    let shorts = counting.take(&enforced)?;
    if !shorts.is_empty() {
        return Ok(Charged { verdict: Expected::Limit, shorts });
    }
    let shadow = with(case, &runs, |amounts| policy.shadow_charges(ask, amounts));
    Ok(Charged { verdict: Expected::Shadow, shorts: counting.take(&shadow)? })
}

/// What a request takes under strict limits: a prompt that counts as if nothing were cached, and the longest answer that fits.
fn bounded(
    policy: &Snapshot,
    case: &Case,
    strict: &[Charge],
    (endpoint, model): (&str, &str),
    counting: &Counting,
) -> Result<Tokens, String> {
    let (tokens, uses) = (case.takes.tokens, counting.uses(strict)?);
    let room = room_for_answer(policy, strict, &uses, endpoint, model, tokens.given());
    let own = if case.takes.says_output { tokens.output } else { u64::MAX };
    // Where nothing is left, taking says so in the usual way.
    let output = policy.strict_output().min(own).min(room).max(1);
    Ok(Tokens { input: tokens.given(), output, ..Tokens::default() })
}

fn with<T>(case: &Case, runs: &[Run<'_>], ask: impl FnOnce(&Amounts<'_>) -> T) -> T {
    ask(&Amounts { requests: 1, messages: case.takes.messages, runs })
}

/// Whether asking for this starts a run of a model, which is what limits count.
fn runs_a_model(target: &Target) -> bool {
    matches!(target, Target::Model { .. } | Target::Assistant { .. } | Target::Agent { .. })
}

/// The models that are run: each that is named, and each of an agent once.
fn runs(asks: &[Target], tokens: Tokens) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    let mut of_agents = Vec::new();
    for target in asks {
        match target {
            Target::Model { endpoint, model } | Target::Assistant { endpoint, model } => {
                runs.push(Run { endpoint, model, tokens });
            }
            Target::Agent { agent, part: Part::Model { endpoint, model } } => {
                let run = (agent, endpoint, model);
                if !of_agents.contains(&run) {
                    of_agents.push(run);
                    runs.push(Run { endpoint, model, tokens });
                }
            }
            _ => {}
        }
    }
    runs
}

/// The one model of a plain chat, which is all that can be bounded.
fn only_model(asks: &[Target]) -> Option<(&str, &str)> {
    let Some(Target::Model { endpoint, model }) = asks.first() else { return None };
    let same = |target: &Target| matches!(target, Target::Model { model: other, .. } if other == model);
    asks.iter().all(same).then_some((endpoint, model))
}
