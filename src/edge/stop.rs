//! Stopping without cutting an answer.
//!
//! On SIGTERM or SIGINT: not ready at once, listeners closed, idle connections closed, answers in flight waited for up to a
//! limit, then the end. A second signal ends the wait. Pingora's own graceful stop sleeps its whole grace period and then cuts
//! what runs (PERFORMANCE.md section 2), which is why the waiting is done here.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::apps::ServerApp;
use pingora_core::server::{ListenFds, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora_core::services::Service as PingoraService;
use pingora_core::services::listening::Service;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::lifecycle::{InFlight, Readiness};

/// How often the answers in flight are counted while waiting for them.
const LOOK: Duration = Duration::from_millis(10);

/// A listening service whose listeners close when we say so, and that waits for nothing else.
pub(super) struct Draining<A> {
    service: Service<A>,
    sockets: ListenFds,
    drain: watch::Receiver<bool>,
}

/// The signals that ask Tollgate to stop. From when it is made none of them ends the process by itself.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

/// Waits for the signal to stop, and then for the answers in flight.
pub(super) struct Signals {
    pub(super) signals: Mutex<Option<StopSignals>>,
    pub(super) readiness: Readiness,
    pub(super) in_flight: InFlight,
    pub(super) drain: watch::Sender<bool>,
    pub(super) patience: Duration,
}

// === impl Draining ===

impl<A> Draining<A> {
    /// Serves on these open sockets until `drain` turns true.
    pub(super) fn new(service: Service<A>, sockets: ListenFds, drain: watch::Receiver<bool>) -> Self {
        Self { service, sockets, drain }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> PingoraService for Draining<A> {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _stop: ShutdownWatch, per_fd: usize) {
        self.service.start_service(Some(self.sockets.clone()), self.drain.clone(), per_fd).await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        PingoraService::listen_addresses(&self.service)
    }
}

// === impl StopSignals ===

impl StopSignals {
    /// Listens, in the runtime that is asked from.
    ///
    /// # Errors
    /// Where the machine has no such signals.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

// === impl Signals ===

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let Some(mut signals) = self.signals.lock().take() else {
            // Asked for once more, by whom nobody knows: the first wait stands.
            return std::future::pending().await;
        };
        let name = signals.next().await;
        self.readiness.stopping();
        tracing::info!(signal = name, in_flight = self.in_flight.count(), "stopping: no new connections");
        // Nobody may be listening any more only if the service has ended, which is what is wanted.
        let _ = self.drain.send(true);
        tokio::select! {
            () = self.quiet() => {}
            name = signals.next() => tracing::warn!("second {name}: answers in flight are cut"),
        }
        ShutdownSignal::FastShutdown
    }
}

impl Signals {
    /// Returns when nothing is in flight, or when patience ends.
    async fn quiet(&self) {
        let until = Instant::now() + self.patience;
        let none = async {
            // A request may have been read just before the listeners closed: look twice before believing in silence.
            let mut silent = 0;
            while silent < 3 {
                silent = if self.in_flight.count() == 0 { silent + 1 } else { 0 };
                sleep(LOOK).await;
            }
        };
        if timeout_at(until, none).await.is_err() {
            tracing::warn!(in_flight = self.in_flight.count(), "the time to drain is over: answers in flight are cut");
        }
    }
}
