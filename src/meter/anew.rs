//! Limits that count anew under a changed policy: each window has a counter of its own, and what is on the old one is not carried
//! over. What was used before is known by the window that it was charged to, not by when it was used, so that nobody could say
//! how much of it lies in the new window.

use jiff::Timestamp;

use super::plan::counting;
use crate::policy::windows::{Windows, WrittenWindow};

/// A limit that counts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anew {
    /// Its id.
    pub limit: Box<str>,
    /// The window that it had, in words: `day in Europe/Berlin`.
    pub from: String,
    /// The window that it has.
    pub to: String,
}

/// The limits of both policies that draw from another counter at this moment, because their window or time zone has changed, by
/// their ids. A time zone in which the window that runs has begun at the same moment changes nothing. What cannot be told, because
/// no calendar has the moment, is taken for changed.
pub fn anew(before: &Windows, after: &Windows, at: Timestamp) -> Vec<Anew> {
    let counter = |written: &WrittenWindow| Some(counting(&written.window()?, at).ok()?.0);
    let changed = after.iter().filter_map(|(key, to)| {
        let from = before.get(key).filter(|from| *from != to)?;
        let same = counter(from).is_some_and(|from| counter(to).as_ref() == Some(&from));
        let limit = key.split(':').next().unwrap_or_default().into();
        (!same).then(|| Anew { limit, from: from.to_string(), to: to.to_string() })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Source, compile};

    /// The windows of one limit for everybody.
    fn windows(says: &str) -> Windows {
        let text = format!("version: 1\nlimits: [{{ id: it, requests: 5, per: user, {says} }}]\n");
        compile(&[Source { path: "p.yaml".into(), text: text.into() }]).unwrap().0.windows()
    }

    #[test]
    fn what_draws_from_another_counter_counts_anew() {
        let day = "window: day, timezone: Europe/Berlin";
        for (from, to, at, counts_anew) in [
            (day, day, "2026-11-21T17:00:00Z", false),
            // Midnight was at another moment, six hours later.
            (day, "window: day, timezone: America/New_York", "2026-11-21T17:00:00Z", true),
            (day, "window: day, timezone: Europe/Paris", "2026-11-21T17:00:00Z", false),
            (day, "window: day", "2026-11-21T17:00:00Z", true),
            (day, "window: month, timezone: Europe/Berlin", "2026-11-21T17:00:00Z", true),
            (day, "window: week, timezone: Europe/Berlin", "2026-11-23T17:00:00Z", true),
            (day, "window: 24h", "2026-11-21T17:00:00Z", true),
            ("window: 24h", "window: 1d", "2026-11-21T17:00:00Z", false),
            ("window: 60s", "window: 1m", "2026-11-21T17:00:00Z", false),
            ("window: 60s", "window: 61s", "2026-11-21T17:00:00Z", true),
            // All full hours are the same, but where clocks differ by half of one.
            ("window: hour", "window: hour, timezone: Europe/Berlin", "2026-11-21T17:00:00Z", false),
            ("window: hour", "window: hour, timezone: Asia/Kolkata", "2026-11-21T17:00:00Z", true),
            // In summer Lisbon and London have the same midnight, in winter UTC has it, too.
            ("window: day, timezone: Europe/London", "window: day", "2026-11-21T17:00:00Z", false),
            ("window: day, timezone: Europe/London", "window: day", "2026-07-21T17:00:00Z", true),
        ] {
            let found = anew(&windows(from), &windows(to), at.parse().unwrap());
            assert_eq!(!found.is_empty(), counts_anew, "{from} to {to} at {at}: {found:?}");
        }
        let found = anew(&windows(day), &windows("window: 36h"), "2026-11-21T17:00:00Z".parse().unwrap());
        let expected = Anew { limit: "it".into(), from: "day in Europe/Berlin".into(), to: "36h".into() };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn limits_that_come_and_go_are_not_told_and_windows_survive_being_written() {
        let now = "2026-11-21T17:00:00Z".parse().unwrap();
        let (none, day, hour) = (Windows::new(), windows("window: day"), windows("window: 1h"));
        assert_eq!((anew(&none, &day, now), anew(&day, &none, now)), (vec![], vec![]));
        let written = serde_json::to_string(&day).unwrap();
        assert_eq!(written, r#"{"it:requests:user:":{"window":"day","timezone":"UTC"}}"#);
        assert_eq!(serde_json::from_str::<Windows>(&written).unwrap(), day);
        // What another version has written, and this one cannot read, is another window.
        let strange: Windows = serde_json::from_str(&written.replace("day", "fortnight")).unwrap();
        assert_eq!(anew(&strange, &hour, now).len(), 1);
        assert_eq!(anew(&strange, &strange, now), []);
    }
}
