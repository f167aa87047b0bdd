//! JSON lines, written by a thread of their own: a reader that stalls holds up that thread and nothing else.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tokio::sync::oneshot;

use crate::record::Line;
use crate::store::StoreError;

/// The hand of the writing thread. The thread ends when this is dropped and the last write is done; it is never waited for,
/// so a pipe that nobody reads cannot hold up the end of the process.
pub struct Lines {
    name: &'static str,
    jobs: Sender<Job>,
    /// Whether the thread is writing. It takes one batch at a time, so a stalled reader costs one batch of memory.
    busy: Arc<AtomicBool>,
}

struct Job {
    text: Vec<u8>,
    done: oneshot::Sender<io::Result<()>>,
}

// === impl Lines ===

impl Lines {
    /// Starts the thread that writes to `out`. `name` is the sink's name in metrics and logs.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start(name: &'static str, out: Box<dyn Write + Send>) -> io::Result<Self> {
        let (jobs, waiting) = channel();
        let busy = Arc::new(AtomicBool::new(false));
        let writing = busy.clone();
        thread::Builder::new().name(format!("record-{name}")).spawn(move || work(out, &waiting, &writing))?;
        Ok(Self { name, jobs, busy })
    }

    /// The sink's name in metrics and logs.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Writes the lines, all at once.
    pub(super) async fn write(&self, lines: &[Line]) -> Result<(), StoreError> {
        let text = super::text_of(lines);
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(self.failed("an earlier batch is still being written; is its reader stuck?".into(), true));
        }
        let (done, written) = oneshot::channel();
        // Where the thread has ended, the job goes and `done` with it: the wait ends at once.
        let _ended = self.jobs.send(Job { text, done });
        match written.await {
            Ok(Ok(())) => Ok(()),
            // A reader that has gone does not come back; a full disk may be mended.
            Ok(Err(error)) => Err(self.failed(error.to_string(), error.kind() != io::ErrorKind::BrokenPipe)),
            Err(_) => {
                self.busy.store(false, Ordering::Release);
                Err(self.failed("the writing thread has ended".into(), false))
            }
        }
    }

    fn failed(&self, message: String, transient: bool) -> StoreError {
        StoreError { store: self.name, message, transient }
    }
}

// === helpers ===

fn work(mut out: Box<dyn Write + Send>, jobs: &Receiver<Job>, busy: &AtomicBool) {
    let mut broken = false;
    while let Ok(Job { mut text, done }) = jobs.recv() {
        if broken {
            // A failed write may have left half a line: what follows begins on one of its own.
            text.insert(0, b'\n');
        }
        let written = out.write_all(&text).and_then(|()| out.flush());
        broken = written.is_err();
        busy.store(false, Ordering::Release);
        // Nobody waits any more where the batch was given up in the meantime.
        let _given_up = done.send(written);
    }
}

#[cfg(test)]
mod tests;
