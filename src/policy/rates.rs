//! LibreChat's own rates, for what the policy gives no price: the table of its release 0.8.6, and the rules by which it finds a
//! model in it (CONTRACT.md E.3).
//!
//! What an administrator writes as `tokenConfig` of a custom endpoint, or what LibreChat fetches from OpenRouter, is not known
//! here: such models need a price in the policy.

use self::table::{ROWS, Row};
use super::prices::Price;

mod table;

/// LibreChat's rate for a model that it does not know: 6 dollars for a million tokens of either kind.
pub const UNKNOWN: Price = uniform(6_000);

/// Names that LibreChat knows for their context, and that stand for a row of the table where no name of it fits, in the order
/// that decides between names of the same length. One stands for none.
const STAND_INS: [(&str, Option<&str>); 9] = [
    ("mistral-", None),
    ("gpt-3.5-turbo-0301", Some("4k")),
    ("gpt-3.5-turbo-0613", Some("4k")),
    ("gpt-3.5-turbo", Some("4k")),
    ("gpt-4", Some("8k")),
    ("gpt-4-0613", Some("8k")),
    ("gpt-4-0125", Some("gpt-4-1106")),
    ("gpt-4-turbo", Some("gpt-4-1106")),
    ("gpt-4-vision", Some("gpt-4-1106")),
];

/// Rows whose rates rise where a model is given more than so many tokens, with input and output then in thousandths of a dollar.
const PREMIUM: [(&str, u64, u32, u32); 1] = [("gemini-3.1", 200_000, 4_000, 18_000)];

/// Picodollars of a token at a thousandth of a dollar for a million.
const THOUSANDTH: u64 = 1_000;

/// The rate of a model for a call that gives it so many tokens, cached ones included; none where LibreChat does not know the
/// model, and takes [`UNKNOWN`].
///
/// Of all names in the table that the model's name contains, in whatever case, the longest counts.
pub fn known(model: &str, given: u64) -> Option<Price> {
    let row = row(model)?;
    let (name, input, output, cache_write, cached_input) = *row;
    let premium = PREMIUM.iter().find(|(of, above, ..)| *of == name && given > *above);
    let (input, output) = premium.map_or((input, output), |(_, _, input, output)| (*input, *output));
    Some(Price {
        input: picodollars(input),
        cached_input: picodollars(cached_input),
        cache_write: picodollars(cache_write),
        output: picodollars(output),
    })
}

/// The rate of any model, as LibreChat charges it.
pub fn rate(model: &str, given: u64) -> Price {
    known(model, given).unwrap_or(UNKNOWN)
}

fn row(model: &str) -> Option<&'static Row> {
    let lower = model.to_lowercase();
    let fitting = ROWS.iter().filter(|(name, ..)| lower.contains(name));
    // Of several that are equally long, the last.
    if let Some(row) = fitting.max_by_key(|(name, ..)| name.len()) {
        return Some(row);
    }
    let stand_in = STAND_INS.iter().filter(|(name, _)| lower.contains(name)).max_by_key(|(name, _)| name.len());
    let name = match stand_in {
        Some((_, name)) => (*name)?,
        // Only here LibreChat looks at the case.
        None if model.contains("gpt-3.5") => "4k",
        None => return None,
    };
    ROWS.iter().find(|(of, ..)| *of == name)
}

const fn picodollars(thousandths: u32) -> u64 {
    thousandths as u64 * THOUSANDTH
}

const fn uniform(thousandths: u32) -> Price {
    let price = picodollars(thousandths);
    Price { input: price, cached_input: price, cache_write: price, output: price }
}

#[cfg(test)]
mod tests;
