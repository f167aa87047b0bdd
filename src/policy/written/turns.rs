//! `turns:` as it is written: what is taken for a turn before anybody knows what it takes, and how long its answer may be.

use super::limits::amount;
use super::read::{mapping, stray};
use super::{File, Spotted};
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::limits::Measure;
use crate::policy::tree::{Key, Node, Value};
use crate::report::Fault;

/// Most tokens that one answer may be said to have: more than any model writes.
const MOST: u64 = 1_000_000;

const KEYS: [&str; 2] = ["output_allowance", "strict_output"];

pub(super) fn turns(section: &Key, node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"turns\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "output_allowance" => {
                let help = "write what a usual answer has: 1k. What an answer did not take is given back";
                file.output_allowance = answer(key, node, "an allowance", help, faults);
            }
            "strict_output" => {
                let help = "write what every model can write in one answer: 4k";
                file.strict_output = answer(key, node, "a bound of answers", help, faults);
            }
            _ => stray(key, &KEYS, faults),
        }
    }
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        let fault = Fault::error(codes::SAYS_NOTHING, "\"turns\" says nothing");
        faults.push(section.spot, fault.help("write \"output_allowance: 1k\", or remove the key"));
    }
}

/// The tokens of one answer.
fn answer(key: &Key, node: &Node, what: &str, help: &str, faults: &mut Faults<'_>) -> Option<Spotted<u64>> {
    let value = amount(Measure::OutputTokens, key, node, faults)?;
    if !(1..=MOST).contains(&value) {
        let fault = Fault::error(codes::BAD_VALUE, format!("{what} is from 1 to {MOST} tokens"));
        faults.push(node.spot_or(key), fault.help(help));
        return None;
    }
    Some(Spotted { value, spot: node.spot })
}
