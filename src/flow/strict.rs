//! Strict limits: the prompt counts with what it cannot exceed, and the answer is bounded to what is left, by the endpoint's own
//! parameter in the request. What cannot be bounded is refused.

use std::sync::Arc;

use super::Spine;
use super::charges::{Due, Held};
use super::estimate::input_at_most;
use super::expected::{Asking, Basis};
use super::passage::Upstream;
use super::refusal::Refusal;
use super::turns::{Estimate, Spent};
use super::visit::Visit;
use crate::librechat::balance::Balance;
use crate::librechat::prompt::bound::{Unbounded, bound_output};
use crate::librechat::selection::TurnRequest;
use crate::meter::bound::room_for_answer;
use crate::policy::charge::Charge;
use crate::policy::charges::Tokens;
use crate::policy::{RuleId, Snapshot, Target};

/// How often an answer is bounded anew because others have taken meanwhile what was left.
const TRIES: usize = 3;

impl<U: Upstream> Spine<U> {
    /// Takes all that a request can use at most under these strict limits, and writes the bound of its answer into it.
    pub(super) async fn take_strictly(
        &self,
        visit: &mut Visit<'_>,
        asking: &Asking<'_>,
        asked: &mut TurnRequest,
        basis: &Basis,
        balance: Option<&Balance>,
        strict: &[Charge],
    ) -> Result<Held, Refusal> {
        let policy = Arc::clone(&visit.policy);
        let refused = |why: Unbounded| Refusal::unbounded(strict, why);
        if asking.run.is_some() {
            return Err(refused(Unbounded::Agent));
        }
        let text = std::str::from_utf8(&asked.body).map_err(|_| refused(Unbounded::Unreadable))?;
        let input = basis.with(|given| input_at_most(given, text, !basis.history.cut)).map_err(refused)?;
        let Some(Target::Model { endpoint, model }) = asked.targets.first() else {
            return Err(refused(Unbounded::Endpoint));
        };
        let (endpoint, model) = (endpoint.clone(), model.clone());
        let most = policy.strict_output().min(basis.prompt.output.unwrap_or(u64::MAX));
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let room = self.room_for_answer(&policy, strict, &endpoint, &model, input).await;
            // Where nothing is left, taking says so in the usual way.
            let bounded = bound_output(&asked.body, &endpoint, most.min(room).max(1)).map_err(refused)?;
            let tokens = Tokens { input, output: bounded.output, ..Tokens::default() };
            let run = Spent { endpoint: (*endpoint).into(), model: (*model).into(), tokens };
            let estimate = Estimate { requests: 1, messages: 1, runs: vec![run] };
            let due = Due::of(&policy, asking.caller, &asked.targets, estimate, balance, visit.at);
            match self.take_due(visit, asking, due).await {
                Err(Refusal::Exceeded(exceeded)) if tries > 0 && room > 1 && names_any(strict, &exceeded.rules) => {}
                taken => {
                    asked.body = bounded.body;
                    return taken;
                }
            }
        }
    }

    /// How many tokens an answer can have by what is left of these limits, beside a prompt of so many. Where the counters
    /// cannot be asked, taking decides.
    async fn room_for_answer(
        &self,
        policy: &Snapshot,
        strict: &[Charge],
        endpoint: &str,
        model: &str,
        input: u64,
    ) -> u64 {
        let Ok(reading) = self.parts.meter.read(strict).await else { return u64::MAX };
        room_for_answer(policy, strict, &reading.uses, endpoint, model, input)
    }
}

fn names_any(strict: &[Charge], rules: &[RuleId]) -> bool {
    strict.iter().any(|charge| rules.contains(&charge.rule))
}
