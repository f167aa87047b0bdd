//! How the limits of a policy count, so that two policies can be held against each other.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::amount::{self, Period};
use super::charge::Window;
use super::limits::Limit;
use super::snapshot::Snapshot;

/// The windows of all limits by their counters. The key is that of [`super::charge::Charge`], without the user where each user has a
/// counter: it begins with the limit's id.
pub type Windows = BTreeMap<Box<str>, WrittenWindow>;

/// A window as it is written, which can be kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenWindow {
    /// `90s`, `day`.
    window: Box<str>,
    /// By its name in the IANA database; none for a window in which no day begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timezone: Option<Box<str>>,
}

// === impl Snapshot, for windows ===

impl Snapshot {
    /// The windows of all limits that have one.
    pub fn windows(&self) -> Windows {
        let written = |limit: &Limit| Some((limit.counter().into(), WrittenWindow::of(limit)?));
        self.all_limits().filter_map(written).collect()
    }
}

// === impl WrittenWindow ===

impl WrittenWindow {
    fn of(limit: &Limit) -> Option<Self> {
        let window = limit.period?.to_string().into();
        Some(Self { window, timezone: limit.timezone().map(Into::into) })
    }

    /// The window that is meant; none where that cannot be read, as what another version has written.
    pub fn window(&self) -> Option<Window> {
        match amount::period(&self.window)? {
            Period::Rolling(length) => Some(Window::Rolling(length)),
            Period::Calendar(unit) => {
                let zone = TimeZone::get(self.timezone.as_deref().unwrap_or("UTC")).ok()?;
                Some(Window::Calendar { unit, zone })
            }
        }
    }
}

impl std::fmt::Display for WrittenWindow {
    /// `90s`, `day in Europe/Berlin`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.window)?;
        self.timezone.iter().try_for_each(|zone| write!(f, " in {zone}"))
    }
}
