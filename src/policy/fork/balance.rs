//! `balance:` of `librechat.yaml`: what LibreChat goes on doing with balances (CONTRACT.md E.1). Read to be told.
//!
//! What LibreChat does not take here, as a text where a number belongs, keeps it from starting: it is told, and is no reason to make no policy.

use std::fmt;

use crate::policy::amount::{dollars, scaled};
use crate::policy::tree::{Key, Node, Value};
use crate::report::quoted;

/// LibreChat's keys.
const KEYS: [&str; 6] =
    ["enabled", "startBalance", "autoRefillEnabled", "refillIntervalValue", "refillIntervalUnit", "refillAmount"];

/// LibreChat's units of a refill's interval.
const UNITS: [&str; 6] = ["seconds", "minutes", "hours", "days", "weeks", "months"];

/// What the section says; none of what it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// `enabled`: whether balances are checked.
    pub enabled: Option<bool>,
    /// `startBalance`: what somebody begins with.
    pub start: Option<Credits>,
    /// `autoRefillEnabled`: whether a balance that is used up gets more.
    pub refills: Option<bool>,
    /// `refillAmount`: how much.
    pub refill: Option<Credits>,
    /// `refillIntervalValue`: how many units lie between two refills, as it is written.
    pub every: Option<Box<str>>,
    /// `refillIntervalUnit`
    pub unit: Option<&'static str>,
    /// What LibreChat does not take, or does not know.
    pub faults: Vec<String>,
}

/// LibreChat's credits, as they are written: 1,000,000 are a US dollar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credits(Box<str>);

/// Reads the section.
pub(super) fn read(node: &Node) -> Balance {
    let mut balance = Balance::default();
    let Value::Map(entries) = &node.value else {
        balance.faults.push("it is no mapping: with this LibreChat does not start".to_owned());
        return balance;
    };
    for (key, node) in entries {
        balance.key(key, node);
    }
    balance
}

// === impl Balance ===

impl Balance {
    fn key(&mut self, key: &Key, node: &Node) {
        let wanted = match (key.name.as_str(), &node.value) {
            ("enabled", Value::Bool(is)) => return self.enabled = Some(*is),
            ("autoRefillEnabled", Value::Bool(is)) => return self.refills = Some(*is),
            ("refillIntervalUnit", Value::Text(unit)) => match UNITS.into_iter().find(|known| known == unit) {
                Some(unit) => return self.unit = Some(unit),
                None => UNITS.join(", "),
            },
            ("refillIntervalUnit", _) => UNITS.join(", "),
            ("enabled" | "autoRefillEnabled", _) => "true or false".to_owned(),
            (name, value) if KEYS.contains(&name) => match number(value) {
                Some(number) => return self.number(name, number),
                None => "a number".to_owned(),
            },
            (name, _) => return self.faults.push(format!("{} means nothing to LibreChat there", quoted(name))),
        };
        // Not what stands there: it may be anything, also a key of a provider.
        self.faults.push(format!("{} is not {wanted}: with this LibreChat does not start", quoted(&key.name)));
    }

    fn number(&mut self, name: &str, number: Box<str>) {
        match name {
            "startBalance" => self.start = Some(Credits(number)),
            "refillAmount" => self.refill = Some(Credits(number)),
            _ => self.every = Some(number),
        }
    }
}

fn number(value: &Value) -> Option<Box<str>> {
    match value {
        Value::Integer(number) => Some(number.to_string().into()),
        Value::Float(written) => Some(written.as_str().into()),
        _ => None,
    }
}

// === impl Credits ===

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} credits", self.0)?;
        // A million of them are a dollar, and a dollar is a million million picodollars.
        match scaled(&self.0, 6) {
            Some(picodollars) => write!(f, " ({})", dollars(picodollars)),
            None => Ok(()),
        }
    }
}
