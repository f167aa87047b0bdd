//! `limits:` as it is written, in entries and at the top level: a list of limits, or `none` in an entry.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::read::{MODES, mapping, names, stray, text, truth, word, wrong_type};
use super::{Names, Spotted};
use crate::policy::amount::{self, Period};
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::limits::{Measure, OnFailure, Per};
use crate::policy::snapshot::Mode;
use crate::policy::tree::{Key, Node, Value};
use crate::report::{Fault, quoted};

const KEYS: &[&str] = &[
    "id",
    "requests",
    "messages",
    "tokens",
    "input_tokens",
    "output_tokens",
    "cost",
    "concurrent",
    "per",
    "window",
    "timezone",
    "models",
    "endpoints",
    "on_failure",
    "strict",
    "warn_at",
    "mode",
];

const EXAMPLE: &str = "write limits like { id: user-day, tokens: 500k, per: user, window: day }";

/// What an entry says about limits.
#[derive(Clone, Debug)]
pub enum WrittenLimits {
    /// `none`: limits that are written farther away do not count.
    None,
    /// The limits.
    List(Vec<WrittenLimit>),
}

/// One limit. What it may not lack is there.
#[derive(Clone, Debug)]
pub struct WrittenLimit {
    /// `id:`
    pub id: Spotted<String>,
    /// What it counts, with its key's place.
    pub measure: Spotted<Measure>,
    /// The amount, in the measure's unit.
    pub ceiling: u64,
    /// `per:`
    pub per: Spotted<Per>,
    /// `window:`
    pub window: Option<Spotted<Period>>,
    /// `timezone:`
    pub timezone: Option<Spotted<TimeZone>>,
    /// `models:`
    pub models: Option<Names>,
    /// `endpoints:`
    pub endpoints: Option<Names>,
    /// `on_failure:`
    pub on_failure: OnFailure,
    /// `strict:`
    pub strict: Option<Spotted<bool>>,
    /// `warn_at:`, in percent.
    pub warn_at: Option<u8>,
    /// `mode:`
    pub mode: Mode,
}

/// The keys of a limit, as far as they are there.
#[derive(Default)]
pub(in crate::policy) struct Keys {
    pub(in crate::policy) id: Option<Spotted<String>>,
    pub(in crate::policy) amounts: Vec<(Spotted<Measure>, Option<u64>)>,
    pub(in crate::policy) per: Option<Spotted<Per>>,
    pub(in crate::policy) window: Option<Spotted<Period>>,
    pub(in crate::policy) timezone: Option<Spotted<TimeZone>>,
    pub(in crate::policy) models: Option<Names>,
    pub(in crate::policy) endpoints: Option<Names>,
    pub(in crate::policy) on_failure: Option<OnFailure>,
    pub(in crate::policy) strict: Option<Spotted<bool>>,
    pub(in crate::policy) warn_at: Option<u8>,
    pub(in crate::policy) mode: Option<Spotted<Mode>>,
}

pub(super) fn of_entry(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<WrittenLimits>> {
    let value = match &node.value {
        Value::Text(text) if text == "none" => WrittenLimits::None,
        _ => WrittenLimits::List(list(key, node, "a list, or the word none", faults)?),
    };
    Some(Spotted { value, spot: key.spot })
}

pub(super) fn of_everybody(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<Vec<WrittenLimit>>> {
    list(key, node, "a list", faults).map(|value| Spotted { value, spot: key.spot })
}

fn list(key: &Key, node: &Node, wanted: &str, faults: &mut Faults<'_>) -> Option<Vec<WrittenLimit>> {
    let Value::List(items) = &node.value else {
        faults.push(node.spot_or(key), wrong_type("\"limits\"", wanted, &node.value).help(EXAMPLE));
        return None;
    };
    if items.is_empty() {
        let fault =
            Fault::error(codes::SAYS_NOTHING, "\"limits\" has no limit").help("remove the key, or write a limit");
        faults.push(key.spot, fault);
    }
    Some(items.iter().filter_map(|item| limit(item, faults)).collect())
}

fn limit(node: &Node, faults: &mut Faults<'_>) -> Option<WrittenLimit> {
    let before = faults.count();
    let keys = keys(node, faults);
    // A limit that lacks something for another fault than that it was not written has had its fault.
    if faults.count() == before {
        missing(&keys, node.spot, faults);
    }
    let [(measure, ceiling)] = keys.amounts.as_slice() else { return None };
    Some(WrittenLimit {
        id: keys.id?,
        ceiling: (*ceiling)?,
        measure: measure.clone(),
        per: keys.per?,
        window: keys.window,
        timezone: keys.timezone,
        models: keys.models,
        endpoints: keys.endpoints,
        on_failure: keys.on_failure.unwrap_or(OnFailure::Deny),
        strict: keys.strict,
        warn_at: keys.warn_at,
        mode: keys.mode.map_or(Mode::Enforce, |mode| mode.value),
    })
}

/// Reads the keys of a limit, without asking for those that are not there.
pub(in crate::policy) fn keys(node: &Node, faults: &mut Faults<'_>) -> Keys {
    let mut keys = Keys::default();
    for (key, node) in mapping(node, "a limit", faults).unwrap_or_default() {
        match key.name.as_str() {
            "id" => keys.id = text(node, "the id of a limit", faults),
            "per" => keys.per = word(key, node, &Per::WORDS, faults),
            "window" => keys.window = window(key, node, faults),
            "timezone" => keys.timezone = timezone(node, faults),
            "models" => keys.models = names(key, node, "a model", faults),
            "endpoints" => keys.endpoints = names(key, node, "an endpoint", faults),
            "on_failure" => keys.on_failure = on_failure(key, node, faults),
            "strict" => keys.strict = truth(key, node, faults),
            "warn_at" => keys.warn_at = percent(key, node, faults),
            "mode" => keys.mode = word(key, node, MODES, faults),
            name => match Measure::ALL.into_iter().find(|measure| measure.as_str() == name) {
                Some(measure) => {
                    let ceiling = amount(measure, key, node, faults);
                    keys.amounts.push((Spotted { value: measure, spot: key.spot }, ceiling));
                }
                None => stray(key, KEYS, faults),
            },
        }
    }
    keys
}

fn missing(keys: &Keys, spot: Spot, faults: &mut Faults<'_>) {
    let measures = Measure::ALL.map(Measure::as_str).join(", ");
    match keys.amounts.as_slice() {
        [_] => {}
        [] => {
            let fault = Fault::error(codes::LIMIT_MEASURE, "the limit does not say what it limits");
            faults.push(spot, fault.help(format!("write one of {measures} with an amount")));
        }
        [_, second, ..] => {
            let fault = Fault::error(codes::LIMIT_MEASURE, "the limit limits several things");
            faults.push(second.0.spot, fault.help("write a limit for each, with an id of its own"));
        }
    }
    for (name, there) in [("id", keys.id.is_some()), ("per", keys.per.is_some())] {
        if !there {
            let fault = Fault::error(codes::MISSING_KEY, format!("the limit does not say {name:?}"));
            faults.push(spot, fault.help(EXAMPLE));
        }
    }
    let counts_turns = keys.amounts.iter().all(|(measure, _)| measure.value == Measure::Concurrent);
    if keys.window.is_none() && !counts_turns {
        let fault = Fault::error(codes::LIMIT_WITHOUT_WINDOW, "the limit does not say for how long something counts");
        faults.push(spot, fault.help(format!("write a window: {WINDOWS}")));
    }
}

const WINDOWS: &str = "90s, 1m, 24h, 7d (so long from each use), or hour, day, week, month (of the calendar)";

/// A number or a text, as it is written.
pub(in crate::policy) fn written(node: &Node) -> Option<String> {
    match &node.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(text) | Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

pub(super) fn amount(measure: Measure, key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<u64> {
    let text = written(node).unwrap_or_default();
    let (read, help) = match measure {
        Measure::Cost => (amount::money(&text), "write US dollars, at most 18446744: 100 USD, 0.50 USD"),
        _ => (amount::count(&text), "write a whole number: 60, 100k, 1.5M"),
    };
    if read.is_none() {
        let fault = Fault::error(codes::LIMIT_AMOUNT, format!("the amount of {} cannot be read", quoted(&key.name)));
        faults.push(node.spot_or(key), fault.help(help));
    }
    read
}

pub(super) fn window(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<Period>> {
    match amount::period(&written(node).unwrap_or_default()) {
        Some(value) => Some(Spotted { value, spot: node.spot }),
        None => {
            let fault =
                Fault::error(codes::LIMIT_WINDOW, "this is no window from 1s to 366d, and no piece of the calendar");
            faults.push(node.spot_or(key), fault.help(format!("write {WINDOWS}")));
            None
        }
    }
}

/// A time zone of the IANA database, as it was when this version of Tollgate was built: whatever the machine has, all
/// replicas turn the day at the same moment.
pub(super) fn timezone(node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<TimeZone>> {
    let name = text(node, "a time zone", faults)?;
    match TimeZoneDatabase::bundled().get(&name.value) {
        // The database is lenient about upper and lower case; names in a policy are not.
        Ok(value) if value.iana_name() == Some(&name.value) => Some(Spotted { value, spot: name.spot }),
        found => {
            let fault = Fault::error(codes::UNKNOWN_TIMEZONE, format!("there is no time zone {}", quoted(&name.value)));
            let help = match found.as_ref().ok().and_then(TimeZone::iana_name) {
                Some(known) => format!("did you mean {}?", quoted(known)),
                None => "write a name of the IANA database: Europe/Berlin, America/New_York, UTC".to_owned(),
            };
            faults.push(name.spot, fault.help(help));
            None
        }
    }
}

fn percent(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<u8> {
    let read = amount::percent(&written(node).unwrap_or_default());
    if read.is_none() {
        let fault = Fault::error(codes::LIMIT_AMOUNT, format!("{} must be a percentage", quoted(&key.name)));
        faults.push(node.spot_or(key), fault.help("write a whole number from 1 to 100"));
    }
    read
}

fn on_failure(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<OnFailure> {
    let Value::Map(entries) = &node.value else {
        return word(key, node, &[("deny", OnFailure::Deny)], faults).map(|word| word.value);
    };
    let mut share = None;
    for (key, node) in entries {
        match key.name.as_str() {
            "local_share" => share = percent(key, node, faults).map(OnFailure::LocalShare),
            _ => stray(key, &["local_share"], faults),
        }
    }
    if entries.is_empty() {
        let fault = Fault::error(codes::SAYS_NOTHING, "\"on_failure\" has no \"local_share\"");
        faults.push(key.spot, fault.help("write deny, or { local_share: 50 }"));
    }
    share
}
