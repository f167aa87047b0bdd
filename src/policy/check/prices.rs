//! Prices that cannot be meant, and models under a limit of money that have none.

use std::collections::HashSet;

use super::{BUILT_IN, exact_name, plain_name, reach};
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::limits::Measure;
use crate::policy::merge::Merged;
use crate::policy::pattern::{covers, may_meet};
use crate::policy::written::{Names, Spotted, WrittenLimit};
use crate::report::{Fault, quoted};

pub(super) fn prices(merged: &Merged, faults: &mut Faults<'_>) {
    for price in merged.prices.values() {
        if let Some(endpoint) = &price.endpoint {
            let name = Spotted { value: endpoint.clone(), spot: price.model.spot };
            if plain_name(&name, "the name of an endpoint", faults) && exact_name(&name, "endpoint", faults) {
                misspelt(&name, faults);
            }
        }
        if plain_name(&price.model, "the name of a model", faults) && price.model.value.contains("**") {
            let message = format!("{} has several stars in a row", quoted(&price.model.value));
            let fault = Fault::error(codes::REDUNDANT_MODEL, message).help("one star means the same");
            faults.push(price.model.spot, fault);
        }
    }
    // What a file that cannot be read may allow, or give a price, is not known.
    if !has_all(merged) && !faults.incomplete {
        without_price(merged, faults);
    }
}

/// Endpoints of prices count in any spelling, but one that is nearly built in is a slip of the pen.
fn misspelt(name: &Spotted<String>, faults: &mut Faults<'_>) {
    let meant = BUILT_IN.iter().find(|known| known.eq_ignore_ascii_case(&name.value) && **known != name.value);
    if let Some(meant) = meant {
        let message = format!("there is no endpoint {}", quoted(&name.value));
        let help = format!("did you mean {}?", quoted(meant));
        faults.push(name.spot, Fault::error(codes::UNKNOWN_ENDPOINT, message).help(help));
    }
}

/// A limit of money says nothing about a model that has no price: each model that it covers must have one.
fn without_price(merged: &Merged, faults: &mut Faults<'_>) {
    let mut told = HashSet::new();
    for placed in reach::limits(merged).filter(|placed| placed.limit.measure.value == Measure::Cost) {
        let limit = placed.limit;
        let listed = placed.uses(merged).into_iter().map(|used| (Some(used.endpoint), used.model, used.spot));
        let anything = placed.is_open(merged).then_some((None, "*", limit.measure.spot));
        for (endpoint, model, spot) in listed.chain(anything) {
            if !is_priced(merged, limit, endpoint, model) && told.insert((spot.source, spot.start)) {
                faults.push(spot, fault(limit, endpoint, model));
            }
        }
    }
}

/// Whether everything has a price.
pub(super) fn has_all(merged: &Merged) -> bool {
    merged.default_price.is_some() || merged.librechat_rates
}

/// Whether all that is used and that the limit is about has a price. Without an endpoint it may be any.
pub(super) fn is_priced(merged: &Merged, limit: &WrittenLimit, endpoint: Option<&str>, used: &str) -> bool {
    let named = |names: &'_ Names| -> Vec<String> { names.value.iter().map(|name| name.value.clone()).collect() };
    let scope = limit.endpoints.as_ref().map(named);
    let endpoints: Vec<Option<String>> = match (endpoint, scope) {
        (Some(endpoint), Some(scope)) if !scope.iter().any(|name| name.eq_ignore_ascii_case(endpoint)) => return true,
        (Some(endpoint), _) => vec![Some(endpoint.to_owned())],
        (None, Some(scope)) => scope.into_iter().map(Some).collect(),
        (None, None) => vec![None],
    };
    let models = limit.models.as_ref().map_or_else(|| vec!["*".to_owned()], named);
    let mut meant = models.iter().filter(|model| may_meet(model, used));
    meant.all(|model| {
        endpoints.iter().all(|endpoint| {
            merged.prices.values().any(|price| {
                let of_endpoint = price
                    .endpoint
                    .as_ref()
                    .is_none_or(|of| endpoint.as_ref().is_some_and(|endpoint| of.eq_ignore_ascii_case(endpoint)));
                of_endpoint && (covers(&price.model.value, model) || covers(&price.model.value, used))
            })
        })
    })
}

pub(super) fn fault(limit: &WrittenLimit, endpoint: Option<&str>, model: &str) -> Fault {
    let id = quoted(&limit.id.value);
    let (message, help) = match endpoint {
        Some(endpoint) => (
            format!("{} of {} has no price, and the limit {id} is about money", quoted(model), quoted(endpoint)),
            "write it into \"prices\", or there a \"default\" or \"librechat: true\"; a pattern needs a price that matches all of it",
        ),
        None => (
            format!("the limit {id} is about money, and may meet models that the policy does not name"),
            "write \"prices: { default: { input: 10, output: 40 } }\" with a price that is high enough, or \"librechat: true\"",
        ),
    };
    Fault::error(codes::WITHOUT_PRICE, message).help(help)
}
