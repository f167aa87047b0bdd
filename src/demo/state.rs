//! What a running stand-in remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::history::History;
use super::jobs::Jobs;
use super::options::{Person, StandInOptions};
use super::stand_in::{Call, Seen};

/// Everything that requests share.
pub(super) struct State {
    pub(super) options: StandInOptions,
    /// What the configuration calls `serverDomain`.
    pub(super) own_url: String,
    /// When it started; every document claims to be as old.
    pub(super) started: Timestamp,
    /// Requests, in the order in which their heads arrived. Each is filled in while its body is read.
    pub(super) seen: Mutex<Vec<Arc<Mutex<Seen>>>>,
    /// Provider calls, in order.
    pub(super) calls: Mutex<Vec<Call>>,
    /// The refresh tokens that are good, and whose they are.
    pub(super) sessions: Mutex<HashMap<String, String>>,
    /// Token credits by user id.
    pub(super) balances: Mutex<HashMap<String, f64>>,
    /// The paths of uploaded images.
    pub(super) images: Mutex<Vec<String>>,
    /// Conversations and their messages.
    pub(super) history: Mutex<History>,
    /// Turns that are running, or that nobody has read yet.
    pub(super) jobs: Mutex<Jobs>,
    /// Every task: the one that accepts, the connections, the turns. `None` once stopped.
    pub(super) tasks: Mutex<Option<JoinSet<()>>>,
}

// === impl State ===

impl State {
    /// A stand-in that has seen nothing.
    pub(super) fn new(options: StandInOptions, own_url: String) -> State {
        #[expect(clippy::cast_precision_loss, reason = "balances are far below 2^53")]
        let credits = options.start_balance as f64;
        let balances = options.people.iter().map(|person| (person.id.clone(), credits)).collect();
        State {
            options,
            own_url,
            started: now(),
            seen: Mutex::default(),
            calls: Mutex::default(),
            sessions: Mutex::default(),
            balances: Mutex::new(balances),
            images: Mutex::default(),
            history: Mutex::default(),
            jobs: Mutex::default(),
            tasks: Mutex::new(Some(JoinSet::new())),
        }
    }

    /// Starts a task that ends with the stand-in. After the end nothing starts any more.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = lock(&self.tasks).as_mut() {
            // Ended tasks stay in the set until they are asked for.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    /// The person with this id.
    pub(super) fn person(&self, id: &str) -> Option<&Person> {
        self.options.people.iter().find(|person| person.id == id)
    }

    /// Somebody's token credits.
    pub(super) fn balance(&self, user: &str) -> f64 {
        lock(&self.balances).get(user).copied().unwrap_or_default()
    }
}

/// Locks even after a panic elsewhere: what is kept here cannot be half written.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time. The stand-in plays another machine, so it has a clock of its own.
#[expect(clippy::disallowed_methods, reason = "the stand-in plays another machine; its clock is not the proxy's")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// A time as JavaScript writes it: UTC, three decimals, `Z`.
pub(super) fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A new id in the form of MongoDB's.
pub(super) fn object_id() -> String {
    Uuid::new_v4().simple().to_string().chars().take(24).collect()
}
