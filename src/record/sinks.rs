//! Where entries end up. A new kind of sink is one file here and one arm in each `match` below.

use std::io;
use std::sync::Arc;

use super::Line;
use crate::store::{Ledger, StoreError};

pub mod file;
pub mod lines;
pub mod otlp;

pub use file::{FileLines, FileOptions};
pub use lines::Lines;
pub use otlp::Otlp;

/// A place that entries are written to.
pub enum Sink {
    /// JSON lines: one object a line.
    Lines(Lines),
    /// The same in a file that is begun anew when it is long.
    File(FileLines),
    /// A collector of logs.
    Otlp(Otlp),
    /// A store.
    Ledger {
        /// Its name in metrics and logs: `embedded`, `mongo`.
        name: &'static str,
        /// The store.
        ledger: Arc<dyn Ledger>,
    },
}

/// A sink's store, by which counters are rebuilt.
#[derive(Clone)]
pub struct Kept {
    /// The sink's name.
    pub sink: &'static str,
    /// The store.
    pub ledger: Arc<dyn Ledger>,
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

    /// The store behind the sink, which can tell what entries have put on counters; none where entries leave Tollgate for good.
    pub fn kept(&self) -> Option<Kept> {
        match self {
            Self::Lines(_) | Self::File(_) | Self::Otlp(_) => None,
            Self::Ledger { name, ledger } => Some(Kept { sink: name, ledger: Arc::clone(ledger) }),
        }
    }

    /// The sink's name in metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lines(lines) => lines.name(),
            Self::File(_) => file::NAME,
            Self::Otlp(_) => otlp::NAME,
            Self::Ledger { name, .. } => name,
        }
    }

    /// Writes the lines, in order.
    pub(super) async fn write(&self, lines: &[Line]) -> Result<(), StoreError> {
        match self {
            Self::Lines(out) => out.write(lines).await,
            Self::File(file) => file.write(lines).await,
            Self::Otlp(otlp) => otlp.write(lines).await,
            Self::Ledger { ledger, .. } => ledger.append(lines).await,
        }
    }
}

// === helpers ===

/// The lines with a line break behind each.
fn text_of(lines: &[Line]) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 1).sum());
    for line in lines {
        text.extend_from_slice(line.text.as_bytes());
        text.push(b'\n');
    }
    text
}
