//! `prices:` as it is written: a mapping from models, or endpoints and models, to prices, with a `default`, or LibreChat's
//! own table of rates.

use super::limits::written;
use super::read::{mapping, stray, truth, wrong_type};
use super::{File, Spotted};
use crate::policy::amount;
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::prices::{DECIMALS, Price};
use crate::policy::tree::{Key, Node, Value};
use crate::report::{Fault, quoted};

const KEYS: &[&str] = &["input", "output", "cached_input", "cache_write"];

/// Highest price: a dollar for one token.
const HIGHEST: u64 = 1_000_000_000_000;

const EXAMPLE: &str = "write { input: 0.15, output: 0.60 }, in US dollars for a million tokens";

/// A price and what has it.
#[derive(Clone, Debug)]
pub struct WrittenPrice {
    /// The endpoint; none where the price is that of any.
    pub endpoint: Option<String>,
    /// The model, or a pattern of models, with the place of the whole key.
    pub model: Spotted<String>,
    /// The price; none where it had a fault.
    pub price: Option<Price>,
}

pub(super) fn prices(section: &Key, node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    let Value::Map(entries) = &node.value else {
        let fault = wrong_type("\"prices\"", "a mapping", &node.value);
        faults.push(node.spot_or(section), fault.help("write gpt-4o-mini: { input: 0.15, output: 0.60 }"));
        return;
    };
    if entries.is_empty() {
        let fault = Fault::error(codes::SAYS_NOTHING, "\"prices\" has no price");
        faults.push(section.spot, fault.help("remove the key, or write a price"));
    }
    for (key, node) in entries {
        match key.name.as_str() {
            "default" => file.default_price = Some(Spotted { value: price(key, node, faults), spot: key.spot }),
            // LibreChat's own table of rates.
            "librechat" => file.librechat_rates = truth(key, node, faults),
            name => {
                let (endpoint, model) = match name.split_once('|') {
                    Some((endpoint, model)) => (Some(endpoint.to_owned()), model),
                    None => (None, name),
                };
                let model = Spotted { value: model.to_owned(), spot: key.spot };
                file.prices.push(WrittenPrice { endpoint, model, price: price(key, node, faults) });
            }
        }
    }
}

fn price(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Price> {
    let before = faults.count();
    let (mut input, mut output, mut cached_input, mut cache_write) = (None, None, None, None);
    for (key, node) in mapping(node, "a price", faults).unwrap_or_default() {
        let slot = match key.name.as_str() {
            "input" => &mut input,
            "output" => &mut output,
            "cached_input" => &mut cached_input,
            "cache_write" => &mut cache_write,
            _ => {
                stray(key, KEYS, faults);
                continue;
            }
        };
        *slot = number(key, node, faults);
    }
    if faults.count() == before {
        for (name, there) in [("input", input.is_some()), ("output", output.is_some())] {
            if !there {
                let fault = Fault::error(codes::MISSING_KEY, format!("the price does not say {name:?}"));
                faults.push(key.spot, fault.help(EXAMPLE));
            }
        }
    }
    let input = input?;
    // Unknown is not nothing: what a cache saves or costs is said by those who know it.
    let (cached_input, cache_write) = (cached_input.unwrap_or(input), cache_write.unwrap_or(input));
    Some(Price { input, cached_input, cache_write, output: output? })
}

fn number(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<u64> {
    let text = match &node.value {
        Value::Integer(_) | Value::Float(_) => written(node).unwrap_or_default(),
        _ => String::new(),
    };
    let read = amount::scaled(&text, DECIMALS).filter(|price| *price <= HIGHEST);
    if read.is_none() {
        let name = quoted(&key.name);
        let message = match text.starts_with('-') {
            true => format!("the price {name} is negative"),
            false => format!("the price {name} is no number from 0 to 1000000 with at most six decimals"),
        };
        faults.push(node.spot_or(key), Fault::error(codes::BAD_PRICE, message).help(EXAMPLE));
    }
    read
}
