//! How long an answer may be by what is left of strict limits.

use crate::policy::Snapshot;
use crate::policy::charge::Charge;
use crate::policy::charges::{Run, Tokens};
use crate::policy::limits::Measure;
use crate::store::counters::Use;

/// How many tokens an answer of this model can have by what is left of these limits, beside a prompt of so many tokens. `uses` says how
/// the counters of the limits stand, in their order.
pub fn room_for_answer(
    policy: &Snapshot,
    strict: &[Charge],
    uses: &[Use],
    endpoint: &str,
    model: &str,
    input: u64,
) -> u64 {
    let rooms = strict.iter().zip(uses).map(|(charge, used)| {
        let left = charge.ceiling.saturating_sub(used.used);
        match policy.terms(&charge.rule).map(|terms| terms.measure) {
            Some(Measure::Tokens) => left.saturating_sub(input),
            Some(Measure::OutputTokens) => left,
            Some(Measure::Cost) => affordable(policy, endpoint, model, input, left),
            _ => u64::MAX,
        }
    });
    rooms.min().unwrap_or(u64::MAX)
}

/// How many tokens of an answer so much money pays for, beside a prompt of so many tokens.
fn affordable(policy: &Snapshot, endpoint: &str, model: &str, input: u64, left: u64) -> u64 {
    let Some(price) = policy.price_for(endpoint, model, input) else { return 0 };
    let prompt = Run { endpoint, model, tokens: Tokens { input, ..Tokens::default() } };
    left.saturating_sub(price.of(&prompt.tokens)).checked_div(price.output).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Source, compile};

    #[test]
    fn an_answer_is_as_long_as_the_rest_pays_for() {
        let text = "version: 1\nroles: { USER: { unrestricted: true } }\n\
                    prices: { m: { input: 1, output: 4 }, free: { input: 1, output: 0 } }\n";
        let source = Source { path: "policy.yaml".into(), text: text.into() };
        let policy = compile(&[source]).unwrap_or_else(|report| panic!("{report}")).0;
        // Dollars for a million tokens are millionths of a dollar for one: 1,000,000 picodollars.
        for (model, input, left, wanted) in [
            ("m", 10, 0, 0),
            ("m", 10, 10_000_000, 0),
            ("m", 10, 13_999_999, 0),
            ("m", 10, 14_000_000, 1),
            ("m", 10, 410_000_000, 100),
            ("free", 10, 10_000_000, u64::MAX),
            ("unknown", 10, 10_000_000, 0),
        ] {
            assert_eq!(affordable(&policy, "openAI", model, input, left), wanted, "{model} {left}");
        }
    }
}
