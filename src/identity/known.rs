//! Who has been looked up lately, with a time limit; misses are remembered too.
//!
//! A role changed in LibreChat's database takes effect when the memory ends (seconds, setting `identity.cache`). While the
//! directory does not answer, nobody is remembered for longer: governed requests are refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use crate::clock::Clock;
use crate::metrics::{IntCounter, Metrics};
use crate::policy::Caller;
use crate::store::{Directory, Holder, Person, StoreError, Subject};

/// How many people are remembered at once.
const REMEMBERED: usize = 20_000;

/// The role that LibreChat gives to a user record without one (CONTRACT.md A.2 a).
const DEFAULT_ROLE: &str = "USER";

/// Why nobody is known.
#[derive(Debug)]
pub enum Unknown {
    /// The directory has no such user.
    Nobody,
    /// There is a record, but LibreChat would first have to link it to the account at the identity provider, or refuses it.
    Unlinked,
    /// The account at the identity provider is another user's than the cookie says.
    Another,
    /// The directory does not answer; nothing is guessed.
    NoAnswer(StoreError),
}

/// The directory, through a short memory.
pub struct Known {
    directory: Arc<dyn Directory>,
    remember: Duration,
    clock: Clock,
    lately: Cache<String, Looked>,
    hits: IntCounter,
    found: IntCounter,
    unknown: IntCounter,
    errors: IntCounter,
}

/// How long a failed look-up stands for all who ask the same: long enough that a crowd waits once and not one after another,
/// short enough that nobody notices once the directory is back.
const FAILURE_STANDS: Duration = Duration::from_secs(1);

/// How long it stands that an account at an identity provider is nobody's. LibreChat links accounts when a client renews its token,
/// and the client asks again at once: it must not be told what was true before.
const ABSENCE_STANDS: Duration = Duration::from_millis(100);

/// What a look-up gave, and when it was begun.
#[derive(Clone)]
struct Looked {
    at: Instant,
    until: Instant,
    answer: Answer,
}

/// What the directory says: who it is, or why it is nobody.
type Answer = Result<Result<Arc<Caller>, Absent>, StoreError>;

/// Why nobody was found.
#[derive(Clone, Copy)]
enum Absent {
    Nobody,
    Unlinked,
}

/// Who is asked for.
#[derive(Clone, Copy)]
enum Who<'a> {
    User(&'a str),
    Subject(&'a Subject),
}

// === impl Known ===

impl Known {
    /// Asks `directory` and remembers each answer for `remember`.
    pub fn new(directory: Arc<dyn Directory>, remember: Duration, clock: &Clock, metrics: &Metrics) -> Self {
        let lookups = &metrics.directory_lookups_total;
        Self {
            directory,
            remember,
            clock: clock.clone(),
            lately: Cache::new(REMEMBERED),
            hits: lookups.with_label_values(&["hit"]),
            found: lookups.with_label_values(&["found"]),
            unknown: lookups.with_label_values(&["unknown"]),
            errors: lookups.with_label_values(&["error"]),
        }
    }

    /// The caller with this user id. Parallel questions about one user become one look-up.
    ///
    /// # Errors
    /// [`Unknown`].
    pub async fn caller(&self, user: &str) -> Result<Arc<Caller>, Unknown> {
        self.remembered(user, Who::User(user)).await
    }

    /// The caller whom LibreChat finds for this subject of the identity provider.
    ///
    /// # Errors
    /// [`Unknown`].
    pub async fn holder(&self, subject: &Subject) -> Result<Arc<Caller>, Unknown> {
        // No user id looks like this.
        let Subject { issuer, id, oid, email, home } = subject;
        let name = format!("{:?}", (issuer, id, oid, email, home));
        self.remembered(&name, Who::Subject(subject)).await
    }

    async fn remembered(&self, name: &str, who: Who<'_>) -> Result<Arc<Caller>, Unknown> {
        loop {
            match self.lately.get_value_or_guard_async(name).await {
                Ok(looked) if self.clock.tick() < looked.until => {
                    self.hits.inc();
                    return known(looked.answer);
                }
                Ok(looked) => {
                    // Only what was seen to be too old goes: a fresher answer may have come meanwhile.
                    self.lately.remove_if(name, |now| now.at == looked.at);
                }
                Err(place) => {
                    let at = self.clock.tick();
                    let answer = self.look_up(who).await;
                    // What was found is as old as the question; a failure stands from when it was known.
                    let until = match (&answer, who) {
                        (Ok(Err(_)), Who::Subject(_)) => at + ABSENCE_STANDS.min(self.remember),
                        (Ok(_), _) => at + self.remember,
                        (Err(_), _) => self.clock.tick() + FAILURE_STANDS.min(self.remember),
                    };
                    // The place may have been taken away by a removal; then nothing is remembered, which is harmless.
                    let _ = place.insert(Looked { at, until, answer: answer.clone() });
                    return known(answer);
                }
            }
        }
    }

    async fn look_up(&self, who: Who<'_>) -> Answer {
        let found = match who {
            Who::User(id) => self.directory.person(id).await.map(|person| person.map_or(Holder::Nobody, Holder::Known)),
            Who::Subject(subject) => self.directory.holder(subject).await,
        };
        let (counter, answer) = match found {
            Ok(Holder::Known(person)) => (&self.found, Ok(Ok(Arc::new(caller_of(person))))),
            Ok(Holder::Nobody) => (&self.unknown, Ok(Err(Absent::Nobody))),
            Ok(Holder::Unlinked) => (&self.unknown, Ok(Err(Absent::Unlinked))),
            Err(error) => (&self.errors, Err(error)),
        };
        counter.inc();
        answer
    }
}

fn known(answer: Answer) -> Result<Arc<Caller>, Unknown> {
    answer.map_err(Unknown::NoAnswer)?.map_err(|absent| match absent {
        Absent::Nobody => Unknown::Nobody,
        Absent::Unlinked => Unknown::Unlinked,
    })
}

/// The caller that somebody of the directory is: one without a role has LibreChat's own default.
pub fn caller_of(person: Person) -> Caller {
    Caller {
        user: person.id.into(),
        email: person.email,
        role: person.role.filter(|role| !role.is_empty()).map_or_else(|| DEFAULT_ROLE.into(), Arc::from),
        groups: person.groups.into(),
    }
}

#[cfg(test)]
mod tests;
