//! `defaults:` as it is written: what each user has who is given nothing else.

use super::limits::{amount, timezone, window};
use super::read::{mapping, stray};
use super::{Spotted, WrittenLimit};
use crate::policy::amount::Period;
use crate::policy::codes;
use crate::policy::defaults::Default;
use crate::policy::faults::Faults;
use crate::policy::limits::Measure;
use crate::policy::tree::{Key, Node};
use crate::report::Fault;

const BUDGET: &str = "write budget: { cost: 10 USD, window: month }";

/// The limits of `defaults: { user: }`.
pub(super) fn defaults(node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<Vec<WrittenLimit>>> {
    let mut written = None;
    for (key, node) in mapping(node, "\"defaults\"", faults)? {
        match key.name.as_str() {
            "user" => written = user(key, node, faults),
            _ => stray(key, &["user"], faults),
        }
    }
    written
}

fn user(section: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<Vec<WrittenLimit>>> {
    let known = Default::ALL.map(Default::as_str);
    let entries = mapping(node, "\"user\"", faults)?;
    let mut limits = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        match Default::ALL.into_iter().find(|default| default.as_str() == key.name) {
            None => stray(key, &known, faults),
            Some(Default::Budget) => limits.extend(budget(key, node, faults)),
            Some(default) => {
                let ceiling = amount(default.measure(), key, node, faults);
                limits.extend(ceiling.map(|ceiling| default.limit(ceiling, key.spot)));
            }
        }
    }
    if entries.is_empty() {
        let fault = Fault::error(codes::SAYS_NOTHING, "\"defaults\" says nothing about users");
        faults.push(section.spot, fault.help(BUDGET));
    }
    Some(Spotted { value: limits, spot: section.spot })
}

fn budget(section: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<WrittenLimit> {
    let before = faults.count();
    let (mut cost, mut period, mut zone) = (None, None, None);
    for (key, node) in mapping(node, "\"budget\"", faults)? {
        match key.name.as_str() {
            "cost" => cost = amount(Measure::Cost, key, node, faults),
            "window" => period = window(key, node, faults),
            "timezone" => zone = timezone(node, faults),
            _ => stray(key, &["cost", "window", "timezone"], faults),
        }
    }
    if faults.count() == before {
        for (name, there) in [("cost", cost.is_some()), ("window", period.is_some())] {
            if !there {
                let fault = Fault::error(codes::MISSING_KEY, format!("the budget does not say {name:?}"));
                faults.push(section.spot, fault.help(BUDGET));
            }
        }
    }
    let rolls = period.as_ref().is_some_and(|period| matches!(period.value, Period::Rolling(_)));
    if let Some(zone) = zone.as_ref().filter(|_| rolls) {
        let fault = Fault::error(codes::LIMIT_WINDOW, "a time zone matters only to hours, days, weeks and months");
        faults.push(zone.spot, fault.help("remove it, or write a window of the calendar: month"));
    }
    Some(WrittenLimit { window: Some(period?), timezone: zone, ..Default::Budget.limit(cost?, section.spot) })
}
