//! Whether entries fit together and what heads say of them, and which of two that do not fit is false.

use jiff::Timestamp;

use super::super::super::link::Hash;
use super::super::Notes;
use super::super::erasures::Place;
use super::super::finding::{Finding, What};
use super::super::heads::Anchor;
use super::{Broken, Walk};

// === impl Walk ===

impl Walk {
    /// This entry names another hash than that of the one before it.
    pub(super) fn broke(&mut self, after: Place, notes: &mut Notes) {
        self.open = self.told.len();
        self.severed = self.severed.saturating_add(self.tail - 1);
        self.tail = 1;
        if std::mem::take(&mut self.adrift) {
            return;
        }
        match self.broken.take() {
            // Neither end of what is between two breaks fits: that is what is false.
            Some(Broken { after: from, .. }) => {
                let seq = (from.seq, after.seq - 1);
                let why = "its hash was made anew: neither the entry before nor the one after it knows it".to_owned();
                notes.findings.push(self.finding(What::Edited, seq, why).entry(from.id, from.at));
            }
            None => self.broken = Some(Broken { after, before: self.last }),
        }
    }

    /// A head is about this entry. `named`: what the next entry says of it.
    pub(super) fn anchored(
        &mut self,
        place: Place,
        anchor: Anchor,
        hash: Hash,
        named: Option<Hash>,
        notes: &mut Notes,
    ) {
        let broken = self.broken.take();
        if anchor.hash == hash {
            if let Some(Broken { after, before }) = broken {
                // All from there to here is what was signed, and so is what it says of the entry before it.
                let (place, by) = (before.unwrap_or(after), format!("entry {}", after.seq));
                self.made_anew(place, &by, notes);
            }
            return self.vouch(anchor);
        }
        self.open = self.told.len();
        let adrift = std::mem::replace(&mut self.adrift, true);
        if named == Some(anchor.hash) {
            if !adrift {
                self.made_anew(place, &format!("head {}", anchor.head), notes);
            }
            self.prev = Some(anchor.hash);
            return self.vouch(anchor);
        }
        if !adrift {
            let from = self.since();
            let why = format!(
                "head {} says otherwise of entry {}: one from {from} on was changed, removed or put in, and all after it made to fit",
                anchor.head, place.seq
            );
            let finding = self.finding(What::Rewritten, (from, place.seq), why);
            notes.findings.push(Finding { order: self.fixed.map_or(Timestamp::MIN, |fixed| fixed.at), ..finding });
        }
    }

    /// An entry that is whole by itself is not the one that was signed.
    fn made_anew(&self, place: Place, by: &str, notes: &mut Notes) {
        let why = format!("it is not what was kept: its hash was made anew, and {by} names another one");
        let since = Some(self.since()).filter(|since| *since < place.seq);
        notes.findings.push(Finding { order: self.order, since, ..place.finding(What::Edited, why) });
    }

    /// All entries up to this head are what was signed, as far as the chain holds.
    fn vouch(&mut self, anchor: Anchor) {
        self.fixed = Some(anchor);
        self.adrift = false;
        self.tail = 0;
        for told in self.told.iter_mut().skip(self.open) {
            told.covered = true;
        }
        self.open = self.told.len();
    }

    /// The first entry after the last head that fitted.
    pub(super) fn since(&self) -> u64 {
        self.fixed.map_or(1, |fixed| fixed.seq.saturating_add(1))
    }

    /// The break is not decided by a head.
    pub(super) fn untie(&mut self, notes: &mut Notes) {
        let Some(Broken { after, before }) = self.broken.take() else { return };
        let from = before.map_or(after.seq, |before| before.seq);
        let why = "its hash and what the entry after it says of it are not the same, and no head tells which is right"
            .to_owned();
        let (id, at) = before.map_or((after.id, after.at), |before| (before.id, before.at));
        notes.findings.push(self.finding(What::Edited, (from, after.seq), why).entry(id, at));
    }
}
