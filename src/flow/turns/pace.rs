//! How long things are waited for while a turn is open.

use std::time::Duration;

/// The times of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long nobody reads a turn's stream before LibreChat is asked how far it is, and again between two questions. The first
    /// three questions come sooner ([`Pace::pause`]).
    pub look: Duration,
    /// How long LibreChat's rows are waited for when a turn has ended.
    pub rows: Duration,
    /// How long a turn stays open of which nothing is heard: nobody reads it, and LibreChat does not say that it runs. It is settled
    /// then by what is known; what was taken for it lives longer ([`super::LIVES`]).
    pub open: Duration,
}

// === impl Pace ===

impl Pace {
    /// The pause before LibreChat is asked about a turn that nobody reads, after so many questions: of what is over soon, nobody may
    /// ever read a word, and its caller may delete the answer. So the first pauses are a twelfth, a sixth and a third of the usual one.
    pub(super) fn pause(&self, asked: u32) -> Duration {
        self.look / (12_u32 >> asked.min(4)).max(1)
    }
}
