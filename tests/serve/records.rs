//! What the record promises, shown with the real program: nothing is lost that was told, each entry is there once, and what is
//! missing is told.
//!
//! The stories are small here, and as large as variables say: see `CONTRIBUTING.md`.

use crate::crash::number;

mod asking;
mod away;
mod behind;
mod complete;
mod damaged;
mod disk;
mod erased;
mod kept;
mod killed;
mod masked;
mod noted;
mod otlp;
mod poison;

/// Chance that can be had again (SplitMix64), beginning where `TOLLGATE_RECORD_SEED` says.
struct Chance(u64);

// === impl Chance ===

impl Chance {
    fn new() -> Self {
        Self(number("TOLLGATE_RECORD_SEED", 1))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Tells a figure of a story that is run by hand.
#[expect(clippy::print_stderr, reason = "whoever runs a story by hand wants its figures")]
fn tell(figure: &str) {
    eprintln!("{figure}");
}
