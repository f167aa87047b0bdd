//! What LibreChat itself offers a user: its models and model specs, asked with the user's own token and kept for seconds.
//!
//! Two questions need it: which endpoints have no allowed model left (`/api/endpoints` does not say which models there are), and
//! what a model spec named in a chat request stands for (CONTRACT.md B.2, C.2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use crate::clock::Clock;
use crate::librechat::balance;
use crate::librechat::catalog::ModelsAnswer;
use crate::librechat::specs::Specs;

/// How long an answer of LibreChat is kept. Short, so that a changed spec is not judged by what it was.
const KEPT: Duration = Duration::from_secs(5);

/// How long LibreChat's word on whether it checks balances is kept: an administrator changes that once.
const KEPT_SETTINGS: Duration = Duration::from_secs(60);

/// How many users' answers are kept at once.
const MOST: usize = 2_000;

/// LibreChat's offers, by user id.
pub(super) struct Catalogue {
    models: Kept<ModelsAnswer>,
    specs: Kept<Specs>,
    balances: Kept<balance::Settings>,
}

/// Answers of one kind.
struct Kept<T> {
    answers: Cache<Box<str>, (Instant, Arc<T>)>,
    clock: Clock,
    kept: Duration,
}

// === impl Catalogue ===

impl Catalogue {
    /// An empty one.
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            models: Kept::new(clock, KEPT),
            specs: Kept::new(clock, KEPT),
            balances: Kept::new(clock, KEPT_SETTINGS),
        }
    }

    /// Forgets everything: what LibreChat offers has changed.
    pub(super) fn forget(&self) {
        self.models.answers.clear();
        self.specs.answers.clear();
        self.balances.answers.clear();
    }

    /// The models that LibreChat offered this user, if it was asked just now.
    pub(super) fn models(&self, user: &str) -> Option<Arc<ModelsAnswer>> {
        self.models.get(user)
    }

    /// Keeps what LibreChat offered this user.
    pub(super) fn keep_models(&self, user: &str, answer: ModelsAnswer) -> Arc<ModelsAnswer> {
        self.models.keep(user, answer)
    }

    /// The model specs that LibreChat offered this user, if it was asked just now.
    pub(super) fn specs(&self, user: &str) -> Option<Arc<Specs>> {
        self.specs.get(user)
    }

    /// LibreChat's settings for this user's balance, if it was asked lately.
    pub(super) fn balance(&self, user: &str) -> Option<Arc<balance::Settings>> {
        self.balances.get(user)
    }

    /// Keeps LibreChat's settings for this user's balance.
    pub(super) fn keep_balance(&self, user: &str, answer: balance::Settings) -> Arc<balance::Settings> {
        self.balances.keep(user, answer)
    }

    /// Keeps the model specs that LibreChat offered this user.
    pub(super) fn keep_specs(&self, user: &str, answer: Specs) -> Arc<Specs> {
        self.specs.keep(user, answer)
    }
}

// === impl Kept ===

impl<T> Kept<T> {
    fn new(clock: &Clock, kept: Duration) -> Self {
        Self { answers: Cache::new(MOST), clock: clock.clone(), kept }
    }

    fn get(&self, user: &str) -> Option<Arc<T>> {
        let (at, answer) = self.answers.get(user)?;
        (self.clock.tick().saturating_duration_since(at) < self.kept).then_some(answer)
    }

    fn keep(&self, user: &str, answer: T) -> Arc<T> {
        let answer = Arc::new(answer);
        self.answers.insert(user.into(), (self.clock.tick(), Arc::clone(&answer)));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn answers_are_kept_for_seconds() {
        let clock = Clock::manual(Timestamp::from_second(1_795_239_489).unwrap());
        let kept = Kept::new(&clock, KEPT);
        kept.keep("ada", 1);
        assert_eq!(kept.get("ada").as_deref(), Some(&1));
        assert_eq!(kept.get("bob"), None, "one user's offers are not another's");
        clock.advance(KEPT);
        assert_eq!(kept.get("ada"), None);
    }
}
