//! How somebody's limits stand now, by the counters that `tollgate serve` counts with, and by the arithmetic of `GET /api/v1/me/limits`.
//! They are read and never changed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::room::Full;
use crate::cli::record::table::{Side, Table};
use crate::cli::record::{Desk, Failure};
use crate::config::{CountersPlace, Flags, Settings};
use crate::flow::ShownLimit;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::policy::charge::Charge;
use crate::policy::{Caller, Snapshot};
use crate::store::counters::Counters;
use crate::store::memory::Memory;
use crate::store::redis::{PREFIX, Redis};

/// Somebody who looks has more time than a request.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of somebody's limits.
pub(super) enum Standing {
    /// No limit counts for them.
    Nothing,
    /// How the counters stand.
    Read {
        /// By the counters' own clock.
        at: jiff::Timestamp,
        /// The limits, the nearest first.
        limits: Vec<ShownLimit>,
        /// What is used of each, by the rules of their charges, in their own units.
        used: Vec<(Charge, u64)>,
        /// Which counters.
        from: String,
        /// What they cannot tell.
        blind: Option<&'static str>,
    },
    /// Nobody can say what is used, for this reason.
    Unread(String),
}

// === impl Standing ===

impl Standing {
    /// Looks at the counters.
    pub(super) async fn of(
        flags: &Flags,
        policy: &Snapshot,
        caller: &Caller,
        desk: &Desk<'_>,
    ) -> Result<Self, Failure> {
        let held = policy.limits_of(caller);
        if held.is_empty() {
            return Ok(Self::Nothing);
        }
        let place = Settings::counters(flags, desk.environment).map_err(Failure::Settings)?;
        let (counters, from, blind) = match open(&place, desk).await {
            Ok(open) => open,
            Err(why) => return Ok(Self::Unread(why)),
        };
        let metrics = Metrics::new().map_err(|error| Failure::Failed(error.to_string()))?;
        let (meter, _unsettled) = Meter::new(counters, desk.clock.clone(), 1, &metrics.meter());
        let charges: Vec<Charge> = held.iter().map(|limit| limit.charge.clone()).collect();
        Ok(match meter.read(&charges).await {
            Ok(reading) => {
                let used = charges.into_iter().zip(reading.uses.iter().map(|used| used.used)).collect();
                let limits = held.into_iter().zip(reading.uses).map(|(limit, used)| ShownLimit::new(limit, used));
                Self::Read { at: reading.at, limits: limits.collect(), used, from, blind }
            }
            Err(error) => Self::Unread(format!("{from}: {error}")),
        })
    }

    /// Whether what is used is known, or nothing is to be known.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Self::Unread(_))
    }

    /// Those of these that do not fit into what is left.
    pub(super) fn full(&self, charges: &[Charge]) -> Vec<Full> {
        let Self::Read { limits, used, .. } = self else { return Vec::new() };
        let of = |charge: &Charge| {
            let (shown, (_, used)) = limits.iter().zip(used).find(|(_, (held, _))| held.rule == charge.rule)?;
            let fits = used.saturating_add(charge.amount) <= charge.ceiling;
            let full = || Full { rule: charge.rule.clone(), mode: shown.mode, resets_at: shown.resets_at.clone() };
            (!fits).then(full)
        };
        charges.iter().filter_map(of).collect()
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Nothing => json!({"limits": []}),
            Self::Read { at, limits, from, blind, .. } => {
                json!({"at": at, "counters": from, "blind": blind, "limits": limits})
            }
            Self::Unread(why) => json!({"unknown": why}),
        }
    }

    /// For people, an empty line before it; nothing where no limit counts.
    pub(super) fn human(&self, desk: &mut Desk<'_>) -> std::io::Result<()> {
        let (limits, from, blind) = match self {
            Self::Nothing => return Ok(()),
            Self::Unread(why) => return writeln!(desk.out, "\nWhat is used cannot be read: {why}"),
            Self::Read { limits, from, blind, .. } => (limits, from, blind),
        };
        let heads = [("AMOUNT", Side::Right), ("USED", Side::Right), ("LEFT", Side::Right)];
        let words = ["RESETS", "NEAR", "MODE"].map(|head| (head, Side::Left));
        let mut table = Table::new([("LIMIT", Side::Left)].into_iter().chain(heads).chain(words));
        for limit in limits {
            table.row(vec![
                limit.id.to_string(),
                limit.limit.to_string(),
                limit.used.to_string(),
                limit.remaining.to_string(),
                limit.resets_at.clone().unwrap_or_else(|| "-".into()),
                if limit.near { "near" } else { "-" }.to_owned(),
                limit.mode.to_owned(),
            ]);
        }
        writeln!(desk.out, "\nUsed now, by {from}:")?;
        table.write(desk.out)?;
        match blind {
            Some(blind) => writeln!(desk.out, "{blind}"),
            None => Ok(()),
        }
    }
}

/// Counters, which they are, and what they cannot tell.
type Open = (Arc<dyn Counters>, String, Option<&'static str>);

async fn open(place: &CountersPlace, desk: &Desk<'_>) -> Result<Open, String> {
    if let Some(redis) = &place.redis {
        let open = Redis::connect(redis.reveal(), PREFIX, place.patience.max(PATIENCE)).await;
        return match open {
            Ok(open) => Ok((Arc::new(open), "the Redis of the settings".into(), None)),
            Err(error) => Err(error.to_string()),
        };
    }
    let directory = place.data.display();
    match Memory::copy(&place.data, desk.clock.clone()) {
        Ok(Some(copy)) => {
            let blind = "These are this data directory's counters alone: what Tollgates with another one have counted is not among it.";
            Ok((Arc::new(copy), format!("the counters in {directory}"), Some(blind)))
        }
        Ok(None) => Err(format!(
            "there are no counters in {directory}: no `tollgate serve` has counted there; name its directory with --data, or \
             its settings with --config"
        )),
        Err(error) => Err(error.to_string()),
    }
}
