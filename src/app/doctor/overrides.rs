//! The stored overrides: whether serving would take all of them.

use super::{Finding, Parts};
use crate::overrides::Kept;
use crate::policy::Snapshot;
use crate::report::counted;

const WHAT: &str = "overrides";

/// A finding for each override that serving sets aside, or one for all of them. Nothing where nothing keeps any.
pub(super) async fn look(parts: &Parts, policy: &Snapshot) -> Vec<Finding> {
    let Some(store) = &parts.overrides else { return Vec::new() };
    let kept = match Kept::read(&**store).await {
        Ok(kept) => kept,
        Err(error) => {
            let found = format!("they cannot be read: {error}");
            return vec![Finding::fault(WHAT, found, "until they were read once, nobody gets anything that is judged")];
        }
    };
    findings(&kept, policy, parts.clock.now())
}

fn findings(kept: &Kept, policy: &Snapshot, at: jiff::Timestamp) -> Vec<Finding> {
    let (in_force, faulty) = kept.over(policy, at);
    let of_faulty = faulty.iter().map(|faulty| {
        let why = faulty.report.faults().first().map(|fault| fault.message.clone()).unwrap_or_default();
        (faulty.principal.to_string(), why)
    });
    let unreadable = kept.unreadable.iter().map(|fault| (fault.name.to_string(), fault.why.to_string()));
    let aside: Vec<Finding> = of_faulty
        .chain(unreadable)
        .map(|(of, why)| {
            let found = format!("serve sets aside the one of {of}, and refuses whom it is about: {why}");
            Finding::fault(WHAT, found, "tollgate overrides check shows all faults; correct it, or remove it")
        })
        .collect();
    if !aside.is_empty() {
        return aside;
    }
    let resting = kept.documents.len().saturating_sub(in_force.override_count());
    let found = match (in_force.override_count(), resting) {
        (0, 0) => "there are none".to_owned(),
        (count, 0) => format!("{count} in force"),
        (count, resting) => format!("{count} in force, {} switched off or over", counted(resting, "other")),
    };
    vec![Finding::ok(WHAT, found)]
}

#[cfg(test)]
mod tests;
