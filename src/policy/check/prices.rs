//! Prices that cannot be meant, and models under a limit of money that have none.

use std::collections::HashSet;

use super::{BUILT_IN, exact_name, plain_name};
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::limits::Measure;
use crate::policy::merge::Merged;
use crate::policy::pattern::{covers, may_meet};
use crate::policy::rules::AGENTS;
use crate::policy::snapshot::Fallback;
use crate::policy::written::{Entry, Names, Section, Spotted, WrittenLimit, WrittenLimits};
use crate::report::{Fault, quoted};

/// Models that callers may use, as far as a limit is about them.
struct Use<'a> {
    /// None where it may be any.
    endpoint: Option<&'a str>,
    model: &'a str,
    spot: Spot,
}

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
    if merged.default_price.is_none() && !faults.incomplete {
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
    let everybody = merged.limits.iter().flat_map(|limits| &limits.value).chain(&merged.defaults);
    let top = everybody.map(|limit| (None, limit));
    let entries =
        merged.entries.iter().flat_map(|(key, entry)| entry.limits().iter().map(move |limit| (Some(key), limit)));
    for (of, limit) in entries.chain(top).filter(|(_, limit)| limit.measure.value == Measure::Cost) {
        let section = of.map(|(section, _)| *section);
        let concerns = |key: &(Section, String), entry: &Entry| {
            let other_role = section == Some(Section::Roles) && key.0 == Section::Roles && Some(key) != of;
            let lifts = matches!(&entry.limits, Some(Spotted { value: WrittenLimits::None, .. }));
            !(other_role || lifts && is_nearer(key.0, section))
        };
        let concerned: Vec<_> =
            merged.entries.iter().filter(|(key, entry)| concerns(key, entry)).map(|(_, e)| e).collect();
        let open = merged.unlisted_endpoint == Fallback::Allow
            || (merged.unlisted_role == Fallback::Allow && section != Some(Section::Roles))
            || concerned.iter().any(|entry| entry.is_unrestricted());
        let anything = open.then_some(Use { endpoint: None, model: "*", spot: limit.measure.spot });
        for used in concerned.iter().flat_map(|entry| uses(entry)).chain(anything) {
            if !is_priced(merged, limit, &used) && told.insert((used.spot.source, used.spot.start)) {
                faults.push(used.spot, fault(limit, &used));
            }
        }
    }
}

/// Whether a section is nearer to the caller than a limit, so that its `limits: none` lifts the limit.
fn is_nearer(section: Section, limit: Option<Section>) -> bool {
    match section {
        Section::Users => limit != Some(Section::Users),
        Section::Groups => matches!(limit, Some(Section::Roles) | None),
        Section::Roles => limit.is_none(),
    }
}

fn uses(entry: &Entry) -> impl Iterator<Item = Use<'_>> {
    entry.endpoints().iter().filter(|endpoint| endpoint.key() != AGENTS).flat_map(|endpoint| {
        let models = endpoint.models.iter().flat_map(|models| &models.value);
        models.map(|model| Use { endpoint: Some(endpoint.key()), model: &model.value, spot: model.spot })
    })
}

/// Whether all that is used and that the limit is about has a price.
fn is_priced(merged: &Merged, limit: &WrittenLimit, used: &Use<'_>) -> bool {
    let named = |names: &'_ Names| -> Vec<String> { names.value.iter().map(|name| name.value.clone()).collect() };
    let scope = limit.endpoints.as_ref().map(named);
    let endpoints: Vec<Option<String>> = match (used.endpoint, scope) {
        (Some(endpoint), Some(scope)) if !scope.iter().any(|name| name.eq_ignore_ascii_case(endpoint)) => return true,
        (Some(endpoint), _) => vec![Some(endpoint.to_owned())],
        (None, Some(scope)) => scope.into_iter().map(Some).collect(),
        (None, None) => vec![None],
    };
    let models = limit.models.as_ref().map_or_else(|| vec!["*".to_owned()], named);
    let meant = models.iter().filter(|model| may_meet(model, used.model));
    meant.into_iter().all(|model| {
        endpoints.iter().all(|endpoint| {
            merged.prices.values().any(|price| {
                let of_endpoint = price
                    .endpoint
                    .as_ref()
                    .is_none_or(|of| endpoint.as_ref().is_some_and(|endpoint| of.eq_ignore_ascii_case(endpoint)));
                of_endpoint && (covers(&price.model.value, model) || covers(&price.model.value, used.model))
            })
        })
    })
}

fn fault(limit: &WrittenLimit, used: &Use<'_>) -> Fault {
    let id = quoted(&limit.id.value);
    let (message, help) = match used.endpoint {
        Some(endpoint) => (
            format!("{} of {} has no price, and the limit {id} is about money", quoted(used.model), quoted(endpoint)),
            "write it into \"prices\", or a \"default\" there; a pattern needs a price that matches all of it",
        ),
        None => (
            format!("the limit {id} is about money, and may meet models that the policy does not name"),
            "write \"prices: { default: { input: 10, output: 40 } }\" with a price that is high enough",
        ),
    };
    Fault::error(codes::WITHOUT_PRICE, message).help(help)
}
