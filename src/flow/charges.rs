//! What a request that starts a model takes from the limits that apply, and what becomes of that.
//!
//! ```text
//! judged -> charge -> follow -> LibreChat is asked -> took it:           stays taken until the turn is settled
//!                  |                               -> refused, failed:   given back
//!                  |                               -> was not reached:   given back
//!                  |                               -> nobody knows:      may run: followed as far as that is possible
//!                  -> does not fit: refused
//! ```
//!
//! Streams, aborts, titles and whatever else starts no model of the caller's choice take nothing (CONTRACT.md B.0, B.8).

use std::sync::Arc;

use http::response::Parts as ResponseParts;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

use super::exceeded::Exceeded;
use super::expected::Asking;
use super::passage::{Upstream, UpstreamFault};
use super::quota::{Standing, near};
use super::refusal::Refusal;
use super::reply::Watch;
use super::turns::{Alone, Claim, Estimate, LIVES, Pending, RUNNING, Spent, terms_of_place};
use super::visit::Visit;
use super::{Spine, SpineParts};
use crate::identity::Bearer;
use crate::librechat::balance::{self, Balance};
use crate::librechat::placed::Place;
use crate::librechat::prompt::overrides_conversation;
use crate::librechat::running::status_of;
use crate::librechat::selection::TurnRequest;
use crate::librechat::unreadable::Unreadable;
use crate::meter::{Receipt, Taken};
use crate::policy::charge::{Charge, Window};
use crate::policy::charges::Tokens;
use crate::policy::{Ask, Caller, Part, RuleId, Snapshot, Target};
use crate::store::counters::{Lack, MOST_DRAWS, Use};

/// Bytes of a body that are taken for one token where nothing counts tokens, so that nobody waits for a count.
const BYTES_PER_TOKEN: u64 = 4;

/// What a request has taken that has not gone to LibreChat. Dropped, because its caller leaves, it is given back.
#[must_use = "dropping it gives it back"]
#[derive(Default)]
pub(super) struct Held(Option<Box<Receipts>>);

struct Receipts {
    /// From the limits that refuse what does not fit.
    enforced: Option<Receipt>,
    /// From those in shadow mode.
    shadow: Option<Receipt>,
    /// How they stand now.
    standing: Option<Standing>,
    /// Whether the last draw of `enforced` is that of the balance.
    balance: bool,
    /// What it was thought to take.
    estimate: Estimate,
}

/// What a request is to take.
pub(super) struct Due<'a> {
    /// From the limits that refuse what does not fit, and after them from LibreChat's balance.
    enforced: Vec<Charge>,
    /// From those in shadow mode.
    shadow: Vec<Charge>,
    /// Whether the last one of `enforced` is that of the balance.
    balance: bool,
    /// What it is thought to take.
    estimate: Estimate,
    /// What it asks for.
    targets: &'a [Target],
}

/// What runs in the answer itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// An agent, over the remote-agent API.
    Agent,
    /// An assistant.
    Assistant,
}

/// A request that goes to LibreChat, and is followed where there is anything to settle or to learn. Dropped, LibreChat may run it.
#[must_use = "dropping it means that LibreChat may run it"]
#[derive(Default)]
pub(super) struct Sent(Option<Box<Followed>>);

struct Followed {
    pending: Pending,
    standing: Option<Standing>,
}

impl<U: Upstream> Spine<U> {
    /// Takes from the limits that apply to a request, and from LibreChat's balance, all that it is thought to take, or refuses it.
    /// Where a limit is strict, the bound of the answer is written into the request. A policy without limits is not asked any
    /// further.
    pub(super) async fn charge(
        &self,
        visit: &mut Visit<'_>,
        asking: Asking<'_>,
        asked: &mut TurnRequest,
    ) -> Result<Held, Refusal> {
        if !visit.policy.has_limits() && !self.may_check_balance(visit) {
            return Ok(Held::default());
        }
        // The rare way is boxed, so that a request without limits does not carry its room.
        Box::pin(self.take(visit, &asking, asked)).await
    }

    async fn take(&self, visit: &mut Visit<'_>, asking: &Asking<'_>, asked: &mut TurnRequest) -> Result<Held, Refusal> {
        let policy = Arc::clone(&visit.policy);
        let balance = self.balance_of(visit, asking).await?;
        let rough = Due::of(&policy, asking.caller, &asked.targets, rough(asked), None, visit.at);
        let takes = balance.is_some() || !rough.enforced.is_empty();
        if takes && asking.run.is_none() && !can_be_followed(asked) {
            return Err(Refusal::Unreadable(Unreadable::Conversation));
        }
        if balance.is_none() && !rough.counts_tokens(&policy) {
            return self.take_due(visit, asking, rough).await;
        }
        let basis = match self.basis(visit, asking, asked).await {
            Ok(basis) => basis,
            // What only records is not to refuse anything, also where it cannot be told well.
            Err(_) if rough.enforced.is_empty() && balance.is_none() => {
                return self.take_due(visit, asking, rough).await;
            }
            Err(refusal) => return Err(refusal),
        };
        let strict = rough.strict(&policy);
        if !strict.is_empty() {
            return self.take_strictly(visit, asking, asked, &basis, balance.as_ref(), &strict).await;
        }
        let runs = basis.likely(policy.output_allowance()).await?;
        let estimate = Estimate { runs: if runs.is_empty() { rough.estimate.runs } else { runs }, ..rough.estimate };
        let due = Due::of(&policy, asking.caller, &asked.targets, estimate, balance.as_ref(), visit.at);
        self.take_due(visit, asking, due).await
    }

    /// Takes all that is due, or nothing.
    pub(super) async fn take_due(
        &self,
        visit: &mut Visit<'_>,
        asking: &Asking<'_>,
        mut due: Due<'_>,
    ) -> Result<Held, Refusal> {
        if due.enforced.is_empty() && due.shadow.is_empty() {
            return Ok(Held::default());
        }
        if !due.enforced.is_empty()
            && let Some(place) = asking.alone.and_then(Alone::place)
        {
            due.enforced.insert(0, place);
        }
        if due.enforced.len() > MOST_DRAWS {
            return Err(Refusal::TooManyLimits(due.enforced.len()));
        }
        let (enforced, standing) = self.take_enforced(visit, asking, &due).await?;
        let (shadow, watched) = self.take_shadow(visit, &due.shadow).await;
        let standing = Standing::and(standing, watched);
        let Due { balance, estimate, .. } = due;
        Ok(Held(Some(Box::new(Receipts { enforced, shadow, standing, balance, estimate }))))
    }

    /// The request is about to go to LibreChat: from here on what it has taken is settled, whatever becomes of it.
    pub(super) async fn follow(
        &self,
        visit: &mut Visit<'_>,
        asked: &TurnRequest,
        held: Held,
        bearer: Option<&Arc<Bearer>>,
    ) -> Result<Sent, Refusal> {
        if self.parts.recorder.durable().turns {
            Box::pin(self.keep_ahead(visit)).await?;
        }
        if !self.parts.turns.follows(held.0.is_some()) {
            return Ok(Sent::default());
        }
        Box::pin(self.begin(visit, asked, held, bearer)).await
    }

    async fn begin(
        &self,
        visit: &mut Visit<'_>,
        asked: &TurnRequest,
        held: Held,
        bearer: Option<&Arc<Bearer>>,
    ) -> Result<Sent, Refusal> {
        let (Some(entry), Some(caller)) = (visit.hand_over(), &visit.caller) else { return Ok(Sent::default()) };
        let Receipts { enforced, shadow, standing, balance, estimate } =
            held.0.map_or_else(|| Receipts::none(rough(asked)), |receipts| *receipts);
        let claim = Claim {
            receipt: enforced,
            shadow,
            balance,
            policy: Arc::clone(&visit.policy),
            caller: Arc::clone(caller),
            targets: asked.targets.clone(),
            estimate,
            conversation: asked.conversation.clone(),
            place: Place::of_turn(&asked.body),
        };
        match self.parts.turns.begin(claim, bearer.cloned(), visit.since, entry).await {
            Ok(pending) => Ok(Sent(Some(Box::new(Followed { pending, standing })))),
            Err((error, entry)) => {
                visit.take_back(Some(entry));
                Err(Refusal::uncounted(&error))
            }
        }
    }

    async fn take_enforced(
        &self,
        visit: &Visit<'_>,
        asking: &Asking<'_>,
        all: &Due<'_>,
    ) -> Result<(Option<Receipt>, Option<Standing>), Refusal> {
        let (policy, due) = (&visit.policy, &all.enforced);
        if due.is_empty() {
            return Ok((None, None));
        }
        let terms = |rule: &RuleId| policy.terms(rule).or_else(|| terms_of_place(rule));
        let take = async || self.parts.meter.take(due, terms, LIVES).await.map_err(|error| Refusal::uncounted(&error));
        let mut taken = take().await?;
        if let Taken::Short { lacks, .. } = &taken
            && lacks.iter().all(|lack| due.get(lack.draw).is_some_and(|charge| charge.window == Window::Open))
        {
            // Perhaps it is the place of a turn that has just ended.
            let SpineParts { turns, upstream, identity, .. } = &self.parts;
            if turns.make_room(&asking.caller.user, upstream, identity).await {
                taken = take().await?;
            }
        }
        match taken {
            Taken::All { receipt, uses } => {
                let receipt = receipt.unsent();
                let at = receipt.hold().map_or(visit.at, |hold| hold.at);
                if all.balance
                    && let Some(short) = self.short_of_balance(visit, asking, due, &uses, at).await?
                {
                    give_back(receipt).await;
                    return Err(exceeded(policy, asking.caller, all, &[short], at));
                }
                let standing = Standing::of(due, &uses, |charge| policy.terms(&charge.rule), at);
                Ok((Some(receipt), standing))
            }
            Taken::Short { lacks, .. } if lacks.iter().any(|lack| is_place(due, lack)) => Err(Refusal::Running),
            Taken::Short { at, lacks } => Err(exceeded(policy, asking.caller, all, &lacks, at)),
        }
    }

    /// What the balance lacks for what has just been taken. LibreChat may have debited a turn since the balance was read, and
    /// that turn's hold may have ended before this one's was there: so it is read again.
    async fn short_of_balance(
        &self,
        visit: &Visit<'_>,
        asking: &Asking<'_>,
        due: &[Charge],
        uses: &[Use],
        at: Timestamp,
    ) -> Result<Option<Lack>, Refusal> {
        let (Some(charge), Some(used)) = (due.last(), uses.last()) else { return Ok(None) };
        let Some(balance) = self.balance_of(visit, asking).await? else { return Ok(None) };
        let there = balance.spendable(used.used, at);
        let before = used.used.saturating_sub(charge.amount);
        let short = Lack { draw: due.len() - 1, left: there.saturating_sub(before), resets: None };
        Ok((used.used > there).then_some(short))
    }

    /// Limits in shadow mode are counted as if they refused, and refuse nothing: neither where they have no room nor where
    /// they cannot be counted. With what was taken come those that are near, for the header.
    async fn take_shadow(&self, visit: &mut Visit<'_>, watched: &[Charge]) -> (Option<Receipt>, String) {
        if watched.is_empty() {
            return (None, String::new());
        }
        let policy = Arc::clone(&visit.policy);
        let near = |uses: &[Use]| near(watched, uses, |charge| policy.terms(&charge.rule));
        match self.parts.meter.take(watched, |rule| policy.terms(rule), LIVES).await {
            Ok(Taken::All { receipt, uses }) => (Some(receipt.unsent()), near(&uses)),
            Ok(Taken::Short { lacks, .. }) => {
                let short = lacks.iter().filter_map(|lack| watched.get(lack.draw));
                let rules =
                    short.inspect(|charge| self.counted.limit_shadowed(charge)).map(|charge| charge.rule.clone());
                visit.shadowed_by(rules.collect::<Vec<RuleId>>());
                // Nothing was taken, so nobody has said how they stand.
                let reading = self.parts.meter.read(watched).await;
                (None, reading.map(|reading| near(&reading.uses)).unwrap_or_default())
            }
            Err(error) => {
                tracing::debug!(%error, "limits in shadow mode cannot be counted");
                (None, String::new())
            }
        }
    }
}

// === impl Due ===

impl<'a> Due<'a> {
    /// What this estimate takes, also from what the caller has in LibreChat's balance.
    pub(super) fn of(
        policy: &Snapshot,
        caller: &Caller,
        targets: &'a [Target],
        estimate: Estimate,
        balance: Option<&Balance>,
        at: Timestamp,
    ) -> Self {
        let ask = Ask { caller, targets };
        let mut enforced = estimate.with(|amounts| policy.charges(&ask, amounts));
        let shadow = estimate.with(|amounts| policy.shadow_charges(&ask, amounts));
        if let Some(balance) = balance {
            let cost = estimate.with(|amounts| balance::cost(amounts.runs)).credits;
            enforced.push(balance::charge(&caller.user, cost, balance.most(at)));
        }
        Self { enforced, shadow, balance: balance.is_some(), estimate, targets }
    }

    /// What the limits that refuse would take for the answers alone, without any prompt.
    fn for_answers(&self, policy: &Snapshot, caller: &Caller) -> Vec<Charge> {
        let without_prompt = |run: &Spent| {
            let tokens = Tokens { output: run.tokens.output, ..Tokens::default() };
            Spent { tokens, ..run.clone() }
        };
        let runs = self.estimate.runs.iter().map(without_prompt).collect();
        let answers = Estimate { runs, ..self.estimate };
        answers.with(|amounts| policy.charges(&Ask { caller, targets: self.targets }, amounts))
    }

    /// Whether any of it depends on tokens.
    fn counts_tokens(&self, policy: &Snapshot) -> bool {
        let mut all = self.enforced.iter().chain(&self.shadow).filter_map(|charge| policy.terms(&charge.rule));
        all.any(|terms| terms.measure.is_of_tokens())
    }

    /// What strict limits take.
    fn strict(&self, policy: &Snapshot) -> Vec<Charge> {
        let strict = |charge: &&Charge| policy.terms(&charge.rule).is_some_and(|terms| terms.strict);
        self.enforced.iter().filter(strict).cloned().collect()
    }
}

// === impl Receipts ===

impl Receipts {
    /// Nothing was taken.
    fn none(estimate: Estimate) -> Self {
        Self { enforced: None, shadow: None, standing: None, balance: false, estimate }
    }
}

// === impl Sent ===

impl Sent {
    /// LibreChat took the turn, and named its stream.
    pub(super) fn started(self, visit: &Visit<'_>, stream: Arc<str>, status: StatusCode) {
        if let Some(followed) = self.0 {
            followed.pending.started(stream, status.as_u16(), visit.took() * 1000.0);
        }
    }

    /// The answer is the run itself: this reads it along.
    pub(super) fn running(self, visit: &Visit<'_>, head: &ResponseParts, run: Runs) -> Option<Box<dyn Watch>> {
        let pending = self.0?.pending;
        let (status, time) = (head.status.as_u16(), visit.took() * 1000.0);
        match run {
            Runs::Agent => {
                let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                Some(Box::new(pending.running(kind.unwrap_or_default(), status, time)?))
            }
            Runs::Assistant => Some(Box::new(pending.assisting(status, time)?)),
        }
    }

    /// LibreChat refused the request, or was never reached: everything is given back. Where the counters do not answer, that
    /// is done later, in the background.
    pub(super) async fn give_back(self, visit: &mut Visit<'_>) {
        if let Some(followed) = self.0 {
            visit.take_back(followed.pending.give_back().await);
        }
    }

    /// Sending failed with this refusal. What LibreChat has certainly not read is given back; it may run all else.
    pub(super) async fn failed(self, visit: &mut Visit<'_>, refusal: &Refusal) {
        if let Refusal::Upstream(UpstreamFault::Connect(_) | UpstreamFault::NoneKnown) = refusal {
            return self.give_back(visit).await;
        }
        if let Some(followed) = self.0 {
            let time = visit.answered();
            followed.pending.unanswered(refusal.answer(visit.class, "").status.as_u16(), time);
        }
    }

    /// Tells the caller how the limits stand.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(standing) = self.0.as_ref().and_then(|followed| followed.standing.as_ref()) {
            standing.write(headers);
        }
    }
}

// === helpers ===

/// Whether a turn can be followed by the id of its conversation: every client of LibreChat's has such ids. A turn that could
/// not be asked about, or whose rows lie elsewhere, would not be charged for what it uses.
fn can_be_followed(asked: &TurnRequest) -> bool {
    asked.conversation.as_deref().is_none_or(|id| status_of(id).is_some()) && !overrides_conversation(&asked.body)
}

async fn give_back(receipt: Receipt) {
    if let Err(error) = receipt.release().await {
        tracing::debug!(%error, "what a refused turn had taken is given back later");
    }
}

/// Whether what is missing is the place of the conversation.
fn is_place(due: &[Charge], lack: &Lack) -> bool {
    due.get(lack.draw).is_some_and(|charge| charge.rule.as_str() == RUNNING)
}

/// The refusal for what has no room.
fn exceeded(policy: &Snapshot, caller: &Caller, due: &Due<'_>, lacks: &[Lack], at: Timestamp) -> Refusal {
    let given = due.estimate.runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.tokens.given()));
    match Exceeded::of(policy, &due.enforced, &due.for_answers(policy, caller), lacks, at, given) {
        Some(exceeded) => Refusal::Exceeded(Box::new(exceeded)),
        None => Refusal::uncounted("a limit that has no room is not in the policy"),
    }
}

/// What a request is thought to take where nothing counts tokens: by the length of its body.
fn rough(asked: &TurnRequest) -> Estimate {
    let input = (asked.body.len() as u64).div_ceil(BYTES_PER_TOKEN);
    let spent = |endpoint: &str, model: &str| Spent {
        endpoint: endpoint.into(),
        model: model.into(),
        tokens: Tokens { input, ..Tokens::default() },
    };
    let models = asked.targets.iter().filter_map(|target| match target {
        Target::Model { endpoint, model }
        | Target::Assistant { endpoint, model }
        | Target::Agent { part: Part::Model { endpoint, model }, .. } => Some(spent(endpoint, model)),
        _ => None,
    });
    let mut runs: Vec<Spent> = models.collect();
    if runs.is_empty() {
        runs.push(spent(&asked.endpoint, asked.model.as_deref().unwrap_or_default()));
    }
    Estimate { requests: 1, messages: 1, runs }
}
