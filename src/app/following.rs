//! What follows open turns: their file, the task that settles them, and its end.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::StartFault;
use crate::clock::Clock;
use crate::config::Settings;
use crate::edge::LibreChat;
use crate::flow::{Follower, Pace, Turns, TurnsParts};
use crate::identity::Identity;
use crate::lifecycle::House;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::policy::Snapshot;
use crate::record::Recorder;
use crate::store::Accounts;
use crate::store::diary::Diary;

/// How long a turn stays open of which nothing is heard: longer than LibreChat keeps one that says nothing, which is 20 minutes, and shorter
/// than what was taken for it lives.
const OPEN: Duration = Duration::from_secs(28 * 60);

/// How long the turns that have ended may take to be settled and written down once the last answer is through.
const LAST_TURNS: Duration = Duration::from_secs(5);

/// What other parts know.
pub(super) struct Known<'a> {
    pub(super) settings: &'a Settings,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Metrics,
    pub(super) policy: &'a Arc<ArcSwap<Snapshot>>,
    pub(super) recorder: &'a Recorder,
}

/// The open turns, and the task that follows them.
pub(super) struct Following {
    turns: Turns,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    task: Option<JoinHandle<()>>,
}

// === impl Following ===

impl Following {
    /// Opens the file of open turns, and takes over those that are in it.
    ///
    /// # Errors
    /// [`StartFault::Store`] where the file cannot be used.
    pub(super) fn open(
        known: &Known<'_>,
        meter: Meter,
        accounts: Option<Arc<dyn Accounts>>,
    ) -> Result<Self, StartFault> {
        let (diary, found) = Diary::open(&known.settings.data)?;
        let timeouts = &known.settings.timeouts;
        let turns = Turns::new(TurnsParts {
            meter,
            accounts,
            diary: Some(diary),
            recorder: known.recorder.clone(),
            clock: known.clock.clone(),
            shared: known.settings.redis.is_some(),
            pace: Pace { look: timeouts.turn_status, rows: timeouts.turn_usage, open: OPEN },
            open: known.metrics.turns_open.clone(),
            settled: known.metrics.settles_total.clone(),
        });
        turns.take_over(&found, &known.policy.load_full());
        let (stop, stopped) = watch::channel(false);
        Ok(Self { turns, stop, stopped, task: None })
    }

    /// The open turns.
    pub(super) fn turns(&self) -> Turns {
        self.turns.clone()
    }

    /// Starts the task.
    pub(super) fn start(&mut self, house: &House, librechat: &LibreChat, identity: &Arc<Identity>) {
        let task =
            Follower::new(self.turns.clone(), librechat.clone(), Arc::clone(identity), self.stopped.clone()).run();
        self.task = Some(house.spawn(task));
    }

    /// Settles the turns that have ended. The others stay taken, and are settled by the next Tollgate that starts with the same data.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let Some(mut task) = self.task else { return };
        if timeout(LAST_TURNS, &mut task).await.is_err() {
            task.abort();
            tracing::error!("some turns could not be settled: they are when tollgate starts again");
        }
    }
}
