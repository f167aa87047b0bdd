//! `turns:` as it is written: what is taken for a turn before anybody knows what it takes.

use super::limits::amount;
use super::read::{mapping, stray};
use super::{File, Spotted};
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::limits::Measure;
use crate::policy::tree::{Key, Node, Value};
use crate::report::Fault;

/// Most tokens that an allowance may be: more than any model writes in one answer.
const MOST: u64 = 1_000_000;

pub(super) fn turns(section: &Key, node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"turns\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "output_allowance" => match amount(Measure::OutputTokens, key, node, faults) {
                Some(value @ 1..=MOST) => file.output_allowance = Some(Spotted { value, spot: node.spot }),
                Some(_) => {
                    let fault = Fault::error(codes::BAD_VALUE, format!("an allowance is from 1 to {MOST} tokens"));
                    let help = "write what a usual answer has: 1k. What an answer did not take is given back";
                    faults.push(node.spot_or(key), fault.help(help));
                }
                None => {}
            },
            _ => stray(key, &["output_allowance"], &[], faults),
        }
    }
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        let fault = Fault::error(codes::SAYS_NOTHING, "\"turns\" has no \"output_allowance\"");
        faults.push(section.spot, fault.help("write \"output_allowance: 1k\", or remove the key"));
    }
}
