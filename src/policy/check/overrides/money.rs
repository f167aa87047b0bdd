//! Limits of money, and models without a price: as in the files, one must not meet the other, wherever either of them is said.

use std::collections::HashSet;

use super::super::prices::{fault, has_all, is_priced};
use super::super::reach::{self, Placed, Use, lifts, listed};
use crate::policy::faults::{Faults, Spot};
use crate::policy::limits::{Measure, Per};
use crate::policy::merge::Merged;
use crate::policy::pattern::covers;
use crate::policy::written::{Entry, Section, WrittenLimit};
use crate::report::Fault;

/// What of a document matters where money is counted.
#[derive(Debug)]
pub(in crate::policy) struct Priced {
    /// Whom it is about.
    of: (Section, String),
    /// What it allows and limits, as an entry. Its own section is that of users, as its lists are judged.
    entry: Entry,
    /// Limits of the files as it changes them.
    changed: Vec<Changed>,
}

/// A limit of the files as a document changes it.
#[derive(Debug)]
pub(in crate::policy) struct Changed {
    /// The entry of the files that it stands in.
    pub(in crate::policy) of: Option<(Section, String)>,
    /// As it is then.
    pub(in crate::policy) limit: WrittenLimit,
    /// Where the document says so.
    pub(in crate::policy) spot: Spot,
}

// === impl Priced ===

impl Priced {
    pub(in crate::policy) fn new(section: Section, entry: Entry, changed: Vec<Changed>) -> Self {
        Self { of: (section, entry.name.value.clone()), entry, changed }
    }

    /// Checks the document beside the files alone.
    pub(in crate::policy) fn check(&self, files: &Merged, faults: &mut Faults<'_>) {
        if has_all(files) {
            return;
        }
        let (of_files, own): (Vec<_>, Vec<_>) = (reach::limits(files).collect(), self.limits().collect());
        let mut told = HashSet::new();
        for placed in of_files.iter().chain(own.iter().map(|(placed, _)| placed)) {
            for (spot, fault) in self.without_price(files, placed) {
                if told.insert(spot.start) {
                    faults.push(spot, fault);
                }
            }
        }
        for (placed, spot) in &own {
            if let Some(fault) = unpriced(files, placed)
                && told.insert(spot.start)
            {
                faults.push(*spot, fault);
            }
        }
    }

    /// Whether it may give somebody a model without a price.
    pub(in crate::policy) fn gives_unpriced(&self, files: &Merged) -> bool {
        !has_all(files) && self.limitless().any(|(endpoint, model, _)| !has_price(files, endpoint, model))
    }

    /// Whether it limits money.
    pub(in crate::policy) fn limits_money(&self) -> bool {
        self.limits().next().is_some()
    }

    /// What is wrong with it beside another document that limits money.
    pub(in crate::policy) fn beside(&self, files: &Merged, other: &Self) -> Option<Fault> {
        other
            .limits()
            .find_map(|(placed, _)| self.without_price(files, &placed).into_iter().next())
            .map(|(_, fault)| fault)
    }

    /// Its limits of money: those that it adds, and those that it changes.
    fn limits(&self) -> impl Iterator<Item = (Placed<'_>, Spot)> {
        let added = self.entry.limits().iter().map(|limit| (Placed { of: Some(&self.of), limit }, limit.measure.spot));
        let changed = self
            .changed
            .iter()
            .map(|changed| (Placed { of: changed.of.as_ref(), limit: &changed.limit }, changed.spot));
        added.chain(changed).filter(|(placed, _)| is_about_money(placed))
    }

    /// What it gives: models of endpoints, and anything where it says `unrestricted: true`.
    fn limitless(&self) -> impl Iterator<Item = (Option<&str>, &str, Spot)> {
        let open = self.entry.unrestricted.as_ref().filter(|unrestricted| unrestricted.value);
        let open = open.map(|unrestricted| (None, "*", unrestricted.spot));
        listed(&self.entry).map(|Use { endpoint, model, spot }| (Some(endpoint), model, spot)).chain(open)
    }

    /// What it gives without a price to somebody whom a limit concerns.
    fn without_price(&self, files: &Merged, placed: &Placed<'_>) -> Vec<(Spot, Fault)> {
        let own = files.entries.get(&self.of);
        // What is shared is lifted by no document.
        let lifted = lifts(&self.entry) && placed.limit.per.value == Per::User || own.is_some_and(lifts);
        if !is_about_money(placed) || !placed.concerns(&self.of, lifted) {
            return Vec::new();
        }
        let without = self.limitless().filter(|(endpoint, model, _)| !is_priced(files, placed.limit, *endpoint, model));
        without.map(|(endpoint, model, spot)| (spot, fault(placed.limit, endpoint, model))).collect()
    }
}

// === helpers ===

fn is_about_money(placed: &Placed<'_>) -> bool {
    placed.limit.measure.value == Measure::Cost
}

/// What the files give without a price to those whom a limit of a document concerns.
fn unpriced(files: &Merged, placed: &Placed<'_>) -> Option<Fault> {
    let listed = placed.uses(files).into_iter().map(|used| (Some(used.endpoint), used.model));
    let anything = placed.is_open(files).then_some((None, "*"));
    let (endpoint, model) =
        listed.chain(anything).find(|(endpoint, model)| !is_priced(files, placed.limit, *endpoint, model))?;
    Some(fault(placed.limit, endpoint, model))
}

/// Whether a model has a price, whatever limit is asked about.
fn has_price(files: &Merged, endpoint: Option<&str>, model: &str) -> bool {
    files.prices.values().any(|price| {
        let of = price.endpoint.as_deref();
        of.is_none_or(|of| endpoint.is_some_and(|endpoint| of.eq_ignore_ascii_case(endpoint)))
            && covers(&price.model.value, model)
    })
}
