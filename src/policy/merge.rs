//! All files as one policy. What two files both define is a fault: the order of files never decides anything.

use indexmap::IndexMap;
use indexmap::map::Entry as Slot;

use super::codes;
use super::faults::{Faults, Spot};
use super::mapping::{WrittenGroup, WrittenRole};
use super::prices::Price;
use super::snapshot::{Fallback, Mode};
use super::written::{Entry, File, Names, Section, Spotted, WrittenLimit, WrittenPrice};
use crate::report::quoted;

/// Tokens that are taken for an answer unless the policy says otherwise: some 700 words.
const OUTPUT_ALLOWANCE: u64 = 1_000;

/// Most tokens of an answer under a strict limit unless the policy says otherwise: what models write that are still in use.
const STRICT_OUTPUT: u64 = 4_096;

/// The policy of all files, with defaults filled in.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) mode: Mode,
    pub(super) unlisted_endpoint: Fallback,
    pub(super) unlisted_role: Fallback,
    pub(super) model_denied: Option<Spotted<String>>,
    pub(super) limit_reached: Option<Spotted<String>>,
    pub(super) blocked_users: Option<Names>,
    pub(super) blocked_groups: Option<Names>,
    pub(super) email_domains: Option<Names>,
    pub(super) agent_parameters: Option<Names>,
    pub(super) tools_deny: Option<Names>,
    pub(super) role_mapping: Option<Spotted<Vec<WrittenRole>>>,
    pub(super) group_mapping: Option<Spotted<Vec<WrittenGroup>>>,
    /// Whether assistants are judged model by model.
    pub(super) assistants: bool,
    pub(super) user_keys: Fallback,
    pub(super) speech: Fallback,
    pub(super) remote_api: bool,
    pub(super) limits: Option<Spotted<Vec<WrittenLimit>>>,
    /// `defaults: { user: }`, as limits.
    pub(super) defaults: Vec<WrittenLimit>,
    /// Tokens that are taken for an answer that is still to come.
    pub(super) output_allowance: u64,
    pub(super) strict_output: u64,
    /// By what they are written for; the endpoint is in lower case, as its spelling does not count.
    pub(super) prices: IndexMap<(Option<String>, String), WrittenPrice>,
    pub(super) default_price: Option<Spotted<Option<Price>>>,
    /// Whether LibreChat's rates are the prices of models that have none here.
    pub(super) librechat_rates: bool,
    /// The settings that open or close something, by the rules that they are, as far as they are written.
    pub(super) settings: Vec<(&'static str, Spot)>,
    /// Entries in the order of the files; the key of a user is in lower case.
    pub(super) entries: IndexMap<(Section, String), Entry>,
}

/// The settings so far.
#[derive(Default)]
struct Settings {
    mode: Option<Spotted<Mode>>,
    unlisted_endpoint: Option<Spotted<Fallback>>,
    unlisted_role: Option<Spotted<Fallback>>,
    model_denied: Option<Spotted<String>>,
    limit_reached: Option<Spotted<String>>,
    blocked_users: Option<Names>,
    blocked_groups: Option<Names>,
    email_domains: Option<Names>,
    agent_parameters: Option<Names>,
    tools_deny: Option<Names>,
    role_mapping: Option<Spotted<Vec<WrittenRole>>>,
    group_mapping: Option<Spotted<Vec<WrittenGroup>>>,
    assistants: Option<Spotted<bool>>,
    user_keys: Option<Spotted<Fallback>>,
    speech: Option<Spotted<Fallback>>,
    remote_api: Option<Spotted<bool>>,
    limits: Option<Spotted<Vec<WrittenLimit>>>,
    default_price: Option<Spotted<Option<Price>>>,
    librechat_rates: Option<Spotted<bool>>,
    defaults: Option<Spotted<Vec<WrittenLimit>>>,
    output_allowance: Option<Spotted<u64>>,
    strict_output: Option<Spotted<u64>>,
}

/// Merges the files; the second definition of anything is a fault.
pub(super) fn merge(files: Vec<File>, faults: &mut Faults<'_>) -> Merged {
    let mut settings = Settings::default();
    let (mut entries, mut prices) = (IndexMap::new(), IndexMap::new());
    for file in files {
        setting("the setting \"mode\"", &mut settings.mode, file.mode, faults);
        setting("the setting \"unlisted.endpoint\"", &mut settings.unlisted_endpoint, file.unlisted_endpoint, faults);
        setting("the setting \"unlisted.role\"", &mut settings.unlisted_role, file.unlisted_role, faults);
        setting("the message \"model_denied\"", &mut settings.model_denied, file.model_denied, faults);
        setting("the message \"limit_reached\"", &mut settings.limit_reached, file.limit_reached, faults);
        setting("the list \"blocked.users\"", &mut settings.blocked_users, file.blocked_users, faults);
        setting("the list \"blocked.groups\"", &mut settings.blocked_groups, file.blocked_groups, faults);
        setting("the list \"email_domains\"", &mut settings.email_domains, file.email_domains, faults);
        let (parameters, tools) = (&mut settings.agent_parameters, &mut settings.tools_deny);
        setting("the list \"agents.parameters.allow\"", parameters, file.agent_parameters, faults);
        setting("the list \"agents.tools.deny\"", tools, file.tools_deny, faults);
        setting("the list \"role_mapping\"", &mut settings.role_mapping, file.role_mapping, faults);
        setting("the list \"group_mapping\"", &mut settings.group_mapping, file.group_mapping, faults);
        setting("the setting \"assistants.enabled\"", &mut settings.assistants, file.assistants, faults);
        setting("the setting \"user_keys\"", &mut settings.user_keys, file.user_keys, faults);
        setting("the setting \"system_models.speech\"", &mut settings.speech, file.speech, faults);
        setting("the setting \"remote_api.enabled\"", &mut settings.remote_api, file.remote_api, faults);
        setting("the list \"limits\"", &mut settings.limits, file.limits, faults);
        setting("the price \"default\"", &mut settings.default_price, file.default_price, faults);
        setting("the setting \"prices.librechat\"", &mut settings.librechat_rates, file.librechat_rates, faults);
        setting("the mapping \"defaults.user\"", &mut settings.defaults, file.defaults, faults);
        let allowance = &mut settings.output_allowance;
        setting("the setting \"turns.output_allowance\"", allowance, file.output_allowance, faults);
        setting("the setting \"turns.strict_output\"", &mut settings.strict_output, file.strict_output, faults);
        for price in file.prices {
            add_price(&mut prices, price, faults);
        }
        for entry in file.entries {
            add(&mut entries, entry, faults);
        }
    }
    let written = settings.written();
    Merged {
        mode: settings.mode.map_or(Mode::Enforce, |mode| mode.value),
        unlisted_endpoint: settings.unlisted_endpoint.map_or(Fallback::Deny, |fallback| fallback.value),
        unlisted_role: settings.unlisted_role.map_or(Fallback::Deny, |fallback| fallback.value),
        model_denied: settings.model_denied,
        limit_reached: settings.limit_reached,
        blocked_users: settings.blocked_users,
        blocked_groups: settings.blocked_groups,
        email_domains: settings.email_domains,
        agent_parameters: settings.agent_parameters,
        tools_deny: settings.tools_deny,
        role_mapping: settings.role_mapping,
        group_mapping: settings.group_mapping,
        assistants: settings.assistants.is_some_and(|enabled| enabled.value),
        user_keys: settings.user_keys.map_or(Fallback::Allow, |fallback| fallback.value),
        speech: settings.speech.map_or(Fallback::Allow, |fallback| fallback.value),
        remote_api: settings.remote_api.is_none_or(|enabled| enabled.value),
        limits: settings.limits,
        defaults: settings.defaults.map_or_else(Vec::new, |defaults| defaults.value),
        output_allowance: settings.output_allowance.map_or(OUTPUT_ALLOWANCE, |allowance| allowance.value),
        strict_output: settings.strict_output.map_or(STRICT_OUTPUT, |most| most.value),
        prices,
        default_price: settings.default_price,
        librechat_rates: settings.librechat_rates.is_some_and(|used| used.value),
        settings: written,
        entries,
    }
}

// === impl Settings ===

impl Settings {
    /// Where the settings are written that decide by themselves, by the rules that they are.
    fn written(&self) -> Vec<(&'static str, Spot)> {
        let fallback = |rule, setting: &Option<Spotted<Fallback>>| Some((rule, setting.as_ref()?.spot));
        [
            fallback("unlisted.endpoint", &self.unlisted_endpoint),
            fallback("unlisted.role", &self.unlisted_role),
            fallback("user_keys", &self.user_keys),
            fallback("system_models.speech", &self.speech),
            self.remote_api.as_ref().map(|enabled| ("remote_api.enabled", enabled.spot)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn setting<T>(what: &str, first: &mut Option<Spotted<T>>, next: Option<Spotted<T>>, faults: &mut Faults<'_>) {
    match (&first, next) {
        (Some(first), Some(next)) => faults.push_twice(codes::DEFINED_TWICE, what, first.spot, next.spot),
        (None, next) => *first = next,
        (Some(_), None) => {}
    }
}

fn add(entries: &mut IndexMap<(Section, String), Entry>, entry: Entry, faults: &mut Faults<'_>) {
    let name = match entry.section {
        // Two spellings of one e-mail address are one user; LibreChat stores addresses in lower case.
        Section::Users => entry.name.value.to_lowercase(),
        Section::Roles | Section::Groups => entry.name.value.clone(),
    };
    match entries.entry((entry.section, name)) {
        Slot::Vacant(slot) => {
            slot.insert(entry);
        }
        Slot::Occupied(first) => {
            let what = format!("{} {}", entry.section.noun(), quoted(&entry.name.value));
            faults.push_twice(codes::DEFINED_TWICE, &what, first.get().name.spot, entry.name.spot);
        }
    }
}

fn add_price(
    prices: &mut IndexMap<(Option<String>, String), WrittenPrice>,
    price: WrittenPrice,
    faults: &mut Faults<'_>,
) {
    let key = (price.endpoint.as_ref().map(|endpoint| endpoint.to_lowercase()), price.model.value.clone());
    match prices.entry(key) {
        Slot::Vacant(slot) => {
            slot.insert(price);
        }
        Slot::Occupied(first) => {
            let what = format!("the price of {}", quoted(&price.model.value));
            faults.push_twice(codes::DEFINED_TWICE, &what, first.get().model.spot, price.model.spot);
        }
    }
}
