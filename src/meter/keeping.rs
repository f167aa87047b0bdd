//! Keeps the counters complete: the task that every process runs that counts.

use std::time::Duration;

use tokio::time::sleep;

use super::{Meter, Rebuilder};

/// The pause before a rebuild that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often is looked which counters there are, also while nobody asks for anything: a few times within [`super::rebuild::FENCE`].
const LOOK: Duration = Duration::from_millis(500);

/// The pause before the next look where somebody has found the counters lost.
const SOON: Duration = Duration::from_millis(50);

/// Looks which counters there are. Where the store has lost them, or never had any, they are rebuilt; where they have begun anew, by
/// this process or another, what this one holds is put back. Never ends.
pub async fn keep(meter: Meter, rebuilder: Rebuilder) {
    // The epoch that has what this process holds.
    let mut complete = None;
    loop {
        match meter.epoch().await {
            Ok(Some(epoch)) if complete.as_ref() != Some(&epoch.id) => match meter.put_back(&epoch).await {
                Ok(Some(back)) => {
                    if back > 0 {
                        tracing::info!(holds = back, "what running turns hold is put back on their limits");
                    }
                    complete = Some(epoch.id);
                }
                // Lost again.
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "what running turns hold cannot be put back on their limits yet"),
            },
            Ok(Some(_)) => {}
            Ok(None) => {
                // Another process may be quicker, and waits for what is held here no longer than the fence lasts.
                tokio::select! {
                    () = rebuild(&meter, &rebuilder) => {}
                    () = there(&meter) => {}
                }
                continue;
            }
            // Who asks says so.
            Err(_) => {}
        }
        tokio::select! {
            () = meter.lost() => sleep(SOON).await,
            () = sleep(LOOK) => {}
        }
    }
}

/// Rebuilds the counters, as often as that takes.
async fn rebuild(meter: &Meter, rebuilder: &Rebuilder) {
    while let Err(error) = rebuilder.rebuild(|| meter.now()).await {
        tracing::warn!(%error, "the counters of limits cannot be rebuilt yet");
        sleep(AGAIN).await;
    }
}

/// Returns when the store has counters.
async fn there(meter: &Meter) {
    while !matches!(meter.epoch().await, Ok(Some(_))) {
        sleep(LOOK).await;
    }
}
