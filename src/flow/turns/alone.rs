//! One turn of a conversation at a time.
//!
//! LibreChat does not see to that: a second turn takes the first one's name, and the first goes on unseen, to its end and at its price
//! (CONTRACT.md G.1). What cannot be seen cannot be counted, so that the second has to wait.
//!
//! Turns of other Tollgates that count on the same counters are seen by their places there: each turn that takes something takes one
//! of its conversation, too, in the same step, and gives it back when it has ended.

use std::sync::Arc;

use super::Turns;
use super::ask::Asker;
use super::book::Key;
use crate::flow::passage::Upstream;
use crate::identity::Identity;
use crate::policy::charge::{Charge, Window};
use crate::policy::limits::{Measure, OnFailure, Terms};
use crate::policy::{Mode, RuleId};

/// The rule by which the second one is refused.
pub(in crate::flow) const RUNNING: &str = "turns.running";

/// No other turn goes to this conversation while this is kept.
#[must_use = "another turn may go to the same conversation once it is dropped"]
pub(in crate::flow) struct Alone {
    turns: Turns,
    key: Key,
}

impl Turns {
    /// Room for a turn of this user in this conversation: none where one is on its way there, or runs there and has taken something.
    /// Where nobody reads that one now, LibreChat is asked whether it does.
    pub(in crate::flow) async fn alone<U: Upstream>(
        &self,
        user: &Arc<str>,
        conversation: &Arc<str>,
        upstream: &U,
        identity: &Identity,
    ) -> Option<Alone> {
        let key = (Arc::clone(user), Arc::clone(conversation));
        if !self.inner.book.lock().reserve(&key) {
            return None;
        }
        let alone = Alone { turns: self.clone(), key };
        let open = self.inner.book.lock().of_stream(user, conversation).to_vec();
        let running: Vec<_> = open.into_iter().filter(|turn| turn.begun.hold.is_some() && !turn.is_over()).collect();
        let Some(newest) = running.last() else { return Some(alone) };
        let parts = self.parts();
        if running.iter().any(|turn| turn.runs_for_sure(parts.clock.tick(), &parts.pace)) {
            return None;
        }
        let over = Asker { turns: self, upstream, identity }.ask(newest).await || newest.is_over();
        over.then_some(alone)
    }
}

impl Alone {
    /// The one place of this conversation; none where nobody else counts on these counters. A limit's id has no full stop, so that no
    /// limit counts under this key.
    pub(in crate::flow) fn place(&self) -> Option<Charge> {
        let (user, conversation) = &self.key;
        self.turns.parts().shared.then(|| Charge {
            key: format!("{RUNNING}:{user}:{conversation}").into(),
            rule: RuleId::new(RUNNING),
            window: Window::Open,
            amount: 1,
            ceiling: 1,
        })
    }
}

/// What that place asks for, if this is its rule. While the store is away this Tollgate goes by the turns that it has seen itself, where
/// all limits let it.
pub(in crate::flow) fn terms_of_place(rule: &RuleId) -> Option<Terms> {
    (rule.as_str() == RUNNING).then_some(Terms {
        measure: Measure::Concurrent,
        mode: Mode::Enforce,
        on_failure: OnFailure::LocalShare(100),
        strict: false,
        // Nobody is told that a place is nearly taken.
        warn_at: u8::MAX,
    })
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.turns.inner.book.lock().free(&self.key);
    }
}
