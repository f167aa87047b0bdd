//! Where entries end up. A new kind of sink is one file here and one arm below.

use std::io;
use std::sync::Arc;

use crate::store::Ledger;

pub mod lines;

pub use lines::Lines;

/// A place that entries are written to.
pub enum Sink {
    /// JSON lines: one object a line.
    Lines(Lines),
    /// A store.
    Ledger {
        /// Its name in metrics and logs: `embedded`, `mongo`.
        name: &'static str,
        /// The store.
        ledger: Arc<dyn Ledger>,
    },
}

// === impl Sink ===

impl Sink {
    /// JSON lines on standard output, named `stdout`.
    ///
    /// # Errors
    /// Where the thread that writes them cannot be started.
    pub fn stdout() -> io::Result<Self> {
        Ok(Self::Lines(Lines::start("stdout", Box::new(io::stdout()))?))
    }

    /// A store, under this name.
    pub fn ledger(name: &'static str, ledger: Arc<dyn Ledger>) -> Self {
        Self::Ledger { name, ledger }
    }
}
