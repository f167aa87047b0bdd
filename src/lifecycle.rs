//! Tasks with a keeper, readiness, and the order of stopping.
//!
//! Nothing runs that nobody waits for: background work of the house (recorder, health pages, stores) runs on a [`House`], a
//! thread with a runtime of its own, so that it answers when the workers are busy, and is joined at the end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Whether Tollgate can take requests: all parts have reported ready and nobody has asked it to stop.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    inner: Arc<ReadinessInner>,
}

#[derive(Debug, Default)]
struct ReadinessInner {
    serving: AtomicBool,
    stopping: AtomicBool,
}

/// Requests whose answer has not left whole. Counted by guards, so that an aborted request counts down too.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicUsize>);

/// One request in flight, until dropped.
#[derive(Debug)]
pub struct InFlightGuard(Arc<AtomicUsize>);

/// A thread with a runtime of its own for everything that is not a request.
#[derive(Debug)]
pub struct House {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

// === impl Readiness ===

impl Readiness {
    /// The listeners are open.
    pub fn serving(&self) {
        self.inner.serving.store(true, Ordering::SeqCst);
    }

    /// Somebody asked Tollgate to stop: not ready from now on.
    pub fn stopping(&self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether requests can be sent here.
    pub fn ready(&self) -> bool {
        self.inner.serving.load(Ordering::SeqCst) && !self.inner.stopping.load(Ordering::SeqCst)
    }
}

// === impl InFlight ===

impl InFlight {
    /// Counts one more request until the guard is dropped.
    pub fn guard(&self) -> InFlightGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        InFlightGuard(Arc::clone(&self.0))
    }

    /// How many there are now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl House ===

impl House {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the machine gives no thread or no runtime.
    pub fn open() -> std::io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("tollgate-house").enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("tollgate-keeper".to_owned()).spawn(move || {
            // An error means that the sender is gone: the house is being left, which is the same wish.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs a piece of background work. The caller keeps the handle: it is the one who waits for it.
    #[must_use = "somebody must wait for it"]
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(work)
    }

    /// Runs work that takes a while on a thread of its own, and waits for nothing of it.
    pub fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.handle.spawn_blocking(work));
    }

    /// Runs a future to its end from a thread outside of any runtime.
    pub fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }

    /// Stops all background work and joins the thread.
    pub fn close(mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only if the thread has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the runtime; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_serving_and_not_stopping() {
        let readiness = Readiness::default();
        assert!(!readiness.ready());
        readiness.serving();
        assert!(readiness.ready());
        readiness.stopping();
        assert!(!readiness.ready());
    }

    #[test]
    fn guards_count_down_when_dropped() {
        let in_flight = InFlight::default();
        let (one, two) = (in_flight.guard(), in_flight.guard());
        assert_eq!(in_flight.count(), 2);
        drop(one);
        assert_eq!(in_flight.count(), 1);
        drop(two);
        assert_eq!(in_flight.count(), 0);
    }

    #[test]
    fn a_house_runs_work_and_closes() {
        let house = House::open().unwrap();
        let work = house.spawn(async { 6 * 7 });
        assert_eq!(house.wait_for(work).unwrap(), 42);
        house.close();
    }
}
