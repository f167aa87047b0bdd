//! What LibreChat's file says about balances, in words.

use crate::policy::fork::Balance;

/// The lines: what LibreChat does, then what it does not take.
pub(super) fn told(balance: &Balance) -> Vec<String> {
    let amounts = format!("{}, and {}", start(balance), refill(balance));
    let checked = "Tollgate checks them before a turn (setting balance.check). Limits of money are a policy's own: limits with cost";
    let does = match balance.enabled {
        Some(true) => format!("LibreChat goes on keeping balances: {amounts}. {checked}"),
        Some(false) => "not enabled: LibreChat checks no balances, and neither does Tollgate; only an override in LibreChat's database \
                        (configs) can enable them. Limits of money are a policy's own: limits with cost"
            .to_owned(),
        None => format!(
            "does not say \"enabled\", so that CHECK_BALANCE in LibreChat's environment decides. Where that is true, {amounts}. {checked}"
        ),
    };
    std::iter::once(does).chain(balance.faults.iter().cloned()).collect()
}

fn start(balance: &Balance) -> String {
    match &balance.start {
        Some(credits) => format!("who has none begins with {credits}"),
        None => "what somebody begins with (startBalance) is not written here".to_owned(),
    }
}

fn refill(balance: &Balance) -> String {
    if balance.refills != Some(true) {
        return "nothing is refilled".to_owned();
    }
    let Balance { refill: Some(credits), every: Some(every), unit: Some(unit), .. } = balance else {
        let keys = [
            ("refillAmount", balance.refill.is_none()),
            ("refillIntervalValue", balance.every.is_none()),
            ("refillIntervalUnit", balance.unit.is_none()),
        ];
        let missing: Vec<&str> = keys.into_iter().filter_map(|(key, is)| is.then_some(key)).collect();
        return format!("balances are refilled, but {} is not written here", missing.join(", "));
    };
    format!("who has used up theirs gets {credits} more, at most every {every} {unit}")
}
