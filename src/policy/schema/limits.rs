//! The shape of limits and of what stands in for them.

use schemars::JsonSchema;

use super::words::{Count, LimitId, Mode, Money, Name, NoneAtAll, Percent, SomeNames, Timezone, Window};

/// Limits of an entry.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum EntryLimits {
    /// `none` lifts the limits that are written farther away.
    None(NoneAtAll),
    /// Limits, each with an id of its own.
    #[schemars(extend("minItems" = 1))]
    List(Vec<Limit>),
}

/// A limit: what it counts, how much of it, for whom and for how long.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend(
        "oneOf" = [
            { "required": ["requests"] }, { "required": ["messages"] }, { "required": ["tokens"] },
            { "required": ["input_tokens"] }, { "required": ["output_tokens"] }, { "required": ["cost"] },
            { "required": ["concurrent"] }
        ],
        "anyOf" = [{ "required": ["window"] }, { "required": ["concurrent"] }]
    )
)]
pub(super) struct Limit {
    /// The limit's name: letters, digits, `-` and `_`. No two limits of a policy have the same.
    id: LimitId,
    /// How many requests may start a run of a model.
    requests: Option<Count>,
    /// How many messages may be sent.
    messages: Option<Count>,
    /// How many tokens may be used, in both directions: 500k, 1.5M.
    tokens: Option<Count>,
    /// How many tokens may go in, cached ones included.
    input_tokens: Option<Count>,
    /// How many tokens may come out, reasoning included.
    output_tokens: Option<Count>,
    /// How much may be spent, in US dollars: 100 USD, 0.50 USD. Needs `prices`.
    cost: Option<Money>,
    /// How many runs may be open at the same time.
    concurrent: Option<Count>,
    /// Who shares a counter.
    per: Per,
    /// For how long something counts: 90s, 1m, 24h, 7d roll; hour, day, week, month are those of the calendar.
    window: Option<Window>,
    /// Where a day begins, by its name in the IANA database: Europe/Berlin. Default: UTC.
    timezone: Option<Timezone>,
    /// Only these models: names, or patterns in quotes. Default: all.
    models: Option<SomeNames>,
    /// Only these endpoints, custom ones by their own names. Default: all.
    endpoints: Option<SomeNames>,
    /// What holds while the counters cannot be reached. Default: deny.
    on_failure: Option<OnFailure>,
    /// `true` bounds each answer to what is left, and refuses what cannot be bounded. Default: false.
    strict: Option<bool>,
    /// From which percentage on the limit is called near. Default: 80.
    warn_at: Option<Percent>,
    /// `shadow` counts and records, and refuses nothing. Default: enforce.
    mode: Option<Mode>,
}

/// Who shares a counter.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Per {
    /// Each user has a counter.
    User,
    /// All of the role share one; in a role.
    Role,
    /// All members of the group share one; in a group.
    Group,
    /// Everybody shares one; at the top level.
    Global,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum OnFailure {
    /// Refuse.
    Word(Denied),
    /// Go on with a part of the limit.
    Share(LocalShare),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Denied {
    /// Refuse until the counters answer.
    Deny,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct LocalShare {
    /// How many percent of the limit each replica admits by its own count.
    local_share: Option<Percent>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Defaults {
    /// What each user has who is given nothing else.
    #[schemars(extend("minProperties" = 1))]
    user: Option<UserDefaults>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct UserDefaults {
    /// Tokens of each user in any minute, in both directions.
    tokens_per_minute: Option<Count>,
    /// Requests of each user in any minute.
    requests_per_minute: Option<Count>,
    /// Money of each user.
    budget: Option<Budget>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Budget {
    /// US dollars: 10 USD.
    cost: Money,
    /// For how long: month, day, 7d.
    window: Window,
    /// Where a day begins, by its name in the IANA database. Default: UTC.
    timezone: Option<Name>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Turns {
    /// Tokens that are taken for an answer before it is there. Default: 1k.
    output_allowance: Option<Count>,
    /// Most tokens of an answer under a strict limit, however much is left. Default: 4096.
    strict_output: Option<Count>,
}
