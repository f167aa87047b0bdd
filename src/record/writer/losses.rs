//! What is lost of what an earlier process has written. It is told in the record before anything else is written, and no reader of the
//! spool passes it before that: as long as it is not told, the next process finds it again.

use std::ops::Range;

use super::super::Entry;
use super::super::spool::SpoolFault;
use super::{MOST, Writer};

/// Losses that the record does not tell of yet.
#[derive(Default)]
pub(in crate::record) struct Losses {
    /// The frames of the spool that are lost.
    pub(in crate::record) frames: Vec<Range<u64>>,
    /// The events that tell of them.
    pub(in crate::record) events: Vec<Entry>,
}

// === impl Losses ===

impl Losses {
    /// Whether all is told.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

// === impl Writer ===

impl Writer {
    /// Tells of the losses that are not told yet. Ends when that is on the disk, and lets the readers of the spool pass.
    pub(super) fn tell_losses(&mut self) -> Result<(), SpoolFault> {
        if self.parts.losses.is_empty() {
            return Ok(());
        }
        let mut losses = std::mem::take(&mut self.parts.losses);
        let told = self.tell(&mut losses);
        if told.is_err() {
            self.parts.losses = losses;
        }
        told
    }

    fn tell(&mut self, losses: &mut Losses) -> Result<(), SpoolFault> {
        while !losses.events.is_empty() {
            let (before, mut lines) = (self.parts.chain.clone(), Vec::new());
            let events = losses.events.len().min(MOST);
            losses.events.iter().take(events).for_each(|event| self.link(event, &mut lines));
            let state = self.parts.chain.ends().to_bytes();
            // There may be no room for entries as long as no reader passes, and none passes before this is there.
            let taken = self.parts.spool.append_beyond(lines.iter().map(|line| line.text.as_bytes()), &state);
            if let Err(fault) = taken {
                self.parts.chain = before;
                return Err(fault);
            }
            losses.events.drain(..events);
        }
        self.parts.spool.commit()?;
        for frames in losses.frames.drain(..) {
            if let Err(fault) = self.parts.spool.recorded(frames) {
                tracing::warn!(%fault, "a part of the record that is lost is told again at the next start");
            }
        }
        self.parts.spool.let_go();
        self.parts.appended.send_replace(self.parts.spool.next().saturating_sub(1));
        Ok(())
    }
}
