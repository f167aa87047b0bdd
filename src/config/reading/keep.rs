//! For how long the record is kept.

use std::time::Duration;

use super::super::written::{self, Text};
use super::{Reader, shown};
use crate::store::Keep;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest for lines that are in a chain, or sign one: an entry may be written 30 hours after its time and then expires that much sooner, so
/// that of less than this nobody could tell what was removed from what has expired.
const FEWEST_DAYS: u32 = 3;

/// The longest that can be asked for: what MongoDB's indexes can say is 68 years.
const MOST_DAYS: u32 = 24_800;

/// The longer of the two; none is forever.
fn longer(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.zip(other).map(|(one, other)| one.max(other))
}

impl Reader<'_> {
    pub(super) fn keep(&mut self, written: written::Keep) -> Keep {
        let default = Keep::default();
        let audit = self.days("records.keep.audit", written.audit, FEWEST_DAYS, default.audit);
        let usage = self.days("records.keep.usage", written.usage, FEWEST_DAYS, default.usage);
        let daily = self.days("records.keep.daily", written.daily, 1, default.daily);
        // Without the heads over them nobody could tell of old entries whether earlier ones have expired or were removed.
        let longest = longer(audit, usage);
        let said = written.heads.clone();
        let heads = self.days("records.keep.heads", written.heads, FEWEST_DAYS, longer(default.heads, longest));
        if let Some(spanned) = said.filter(|_| longer(heads, longest) != heads) {
            let message = "records.keep.heads is shorter than records.keep.audit or records.keep.usage";
            let origin = self.in_file(spanned).origin;
            self.blame(
                &origin,
                "setting-keep",
                message.to_owned(),
                "keep heads as long as the entries for which they vouch, or leave it out",
            );
        }
        Keep { audit, usage, daily, heads }
    }

    fn days(&mut self, name: &str, written: Text, fewest: u32, default: Option<Duration>) -> Option<Duration> {
        let Some(spanned) = written else { return default };
        let text = spanned.value.trim();
        if text == "forever" {
            return None;
        }
        let days = text.strip_suffix('d').filter(|days| days.bytes().all(|byte| byte.is_ascii_digit()));
        match days.and_then(|days| days.parse::<u32>().ok()) {
            Some(days) if (fewest..=MOST_DAYS).contains(&days) => Some(DAY * days),
            _ => {
                let message =
                    format!("{name}: {} is no number of days from {fewest}d to {MOST_DAYS}d", shown(&spanned.value));
                let origin = self.in_file(spanned).origin;
                self.blame(&origin, "setting-keep", message, "write it like 90d, or `forever`");
                default
            }
        }
    }
}
