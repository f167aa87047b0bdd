//! The shape of a policy file. The comments are what an editor shows.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::limits::{Defaults, EntryLimits, Limit, Turns};
use super::words::{Dollars, Mode, Name, Names, One, Open, SomeNames, Text, Token};

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Policy {
    /// The version of the language. Every file says 1.
    version: One,
    /// Whether the policy refuses (`enforce`), or only records what it would have refused (`shadow`). Default: enforce.
    mode: Option<Mode>,
    /// What holds for what no list names. Default: deny.
    unlisted: Option<Unlisted>,
    /// What each of LibreChat's roles may use, by its exact name.
    roles: Option<BTreeMap<String, Option<Entry>>>,
    /// What members of each group may use, by its exact name. Groups with `endpoints` stand in for the role.
    groups: Option<BTreeMap<String, Option<Entry>>>,
    /// What single users may use beside what their groups and role give, by e-mail address or by LibreChat's user id.
    #[schemars(extend("propertyNames" = { "pattern": "@|^[0-9A-Fa-f]{24}$" }))]
    users: Option<BTreeMap<String, Option<Entry>>>,
    /// Who is refused everywhere, before anything else is asked.
    blocked: Option<Blocked>,
    /// Domains of e-mail addresses whose people are let in: `example.edu`, or `*.example.edu` (in quotes) for all below it. Whoever
    /// has no address, or one of another domain, is refused everywhere. Default: all.
    email_domains: Option<SomeNames>,
    /// What stored agents may hold.
    agents: Option<Agents>,
    /// LibreChat's assistants.
    assistants: Option<Assistants>,
    /// Whether callers with any restriction may store API keys of their own. Default: allow.
    user_keys: Option<Open>,
    /// Models that LibreChat uses by itself.
    system_models: Option<SystemModels>,
    /// Roles by claims of an identity provider's tokens, the most powerful role first.
    #[schemars(extend("minItems" = 1))]
    role_mapping: Option<Vec<RoleRule>>,
    /// Groups by claims of an identity provider's tokens, added to those of the directory.
    #[schemars(extend("minItems" = 1))]
    group_mapping: Option<Vec<GroupRule>>,
    /// LibreChat's remote-agent API.
    remote_api: Option<RemoteApi>,
    /// Limits for everybody.
    #[schemars(extend("minItems" = 1))]
    limits: Option<Vec<Limit>>,
    /// What models cost, for limits of money: by model, by pattern, or by `endpoint|model`.
    #[schemars(extend("minProperties" = 1))]
    prices: Option<Prices>,
    /// The limits of users who are given nothing else.
    defaults: Option<Defaults>,
    /// What is taken for a turn before anybody knows what it takes.
    #[schemars(extend("minProperties" = 1))]
    turns: Option<Turns>,
    /// The sentences that refused callers read.
    messages: Option<Messages>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Unlisted {
    /// What holds for an endpoint that no list of the caller names. Default: deny.
    endpoint: Option<Open>,
    /// What holds for a caller whose role has no entry and whose groups do not stand in for it. Default: deny.
    role: Option<Open>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Entry {
    /// `true` lifts all lists of models; a `deny` and limits still hold.
    unrestricted: Option<bool>,
    /// `shadow` tries the entry out: nothing is refused to those for whom it holds, and the record tells what would have been.
    mode: Option<Mode>,
    /// The models of each endpoint. What is not named here follows `unlisted.endpoint`.
    endpoints: Option<Endpoints>,
    /// Which tools may be used, in agents and in chats.
    #[schemars(extend("minProperties" = 1))]
    tools: Option<Tools>,
    /// Limits of these callers, or the word `none`, which lifts what is written farther away.
    limits: Option<EntryLimits>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(non_snake_case, reason = "the names of LibreChat's endpoints")]
struct Endpoints {
    /// LibreChat's endpoint for OpenAI.
    openAI: Option<Models>,
    /// LibreChat's endpoint for Azure OpenAI.
    azureOpenAI: Option<Models>,
    /// LibreChat's endpoint for Google.
    google: Option<Models>,
    /// LibreChat's endpoint for Anthropic.
    anthropic: Option<Models>,
    /// LibreChat's endpoint for Amazon Bedrock.
    bedrock: Option<Models>,
    /// LibreChat's endpoint for OpenAI's assistants, which count only with `assistants.enabled`.
    assistants: Option<Models>,
    /// LibreChat's endpoint for Azure's assistants, which count only with `assistants.enabled`.
    azureAssistants: Option<Models>,
    /// Stored agents, by their ids: `agent_...`.
    agents: Option<Models>,
    /// Custom endpoints, by their names in `librechat.yaml`.
    custom: Option<BTreeMap<String, Models>>,
}

/// The models of one endpoint.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Models {
    /// Models that may be used, by their exact names, or with `*` for any run of characters (in quotes). `[]` allows none.
    models: Option<Names>,
    /// Models that may not be used, whatever else is written.
    deny: Option<SomeNames>,
    /// `shadow` tries these lists out: they refuse nothing, and the record tells what they would have refused.
    mode: Option<Mode>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tools {
    /// The only tools that may be used: names, or patterns in quotes.
    allow: Option<Names>,
    /// Tools that may not be used, whatever else is written.
    deny: Option<SomeNames>,
    /// `shadow` tries these lists out: they refuse nothing, and the record tells what they would have refused.
    mode: Option<Mode>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Blocked {
    /// People who are refused everywhere, by e-mail address or by LibreChat's user id.
    users: Option<SomeNames>,
    /// Groups whose members are refused everywhere, by their exact names.
    groups: Option<SomeNames>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Agents {
    /// Parameters that stored agents may have.
    #[schemars(extend("minProperties" = 1))]
    parameters: Option<AllowedParameters>,
    /// Tools that nobody may use.
    #[schemars(extend("minProperties" = 1))]
    tools: Option<DeniedTools>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AllowedParameters {
    /// Parameters that stored agents may have beside the known ones, by their exact names.
    allow: Option<Names>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct DeniedTools {
    /// Tools that nobody may use, in agents or in chats: names, or patterns in quotes.
    deny: Option<SomeNames>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Assistants {
    /// `true`: callers with any restriction may use assistants, judged model by model. Default: false.
    enabled: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SystemModels {
    /// Whether callers with any restriction may use speech to text and text to speech. Default: allow.
    speech: Option<Open>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RoleRule {
    /// The claim's name, or the way to it with dots between the names.
    claim: Name,
    /// Where the claim stands.
    token: Token,
    /// The value that gives the role, exactly.
    has: Name,
    /// The role that it gives.
    role: Name,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct GroupRule {
    /// The claim's name, or the way to it with dots between the names.
    claim: Name,
    /// Where the claim stands.
    token: Token,
    /// Only values that begin like this name a group, and without it. Default: every value names one.
    strip: Option<Name>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct RemoteApi {
    /// `false` closes the remote-agent API to everybody. Default: true.
    enabled: Option<bool>,
}

#[derive(JsonSchema)]
struct Prices {
    /// The price of models without one of their own.
    default: Option<Price>,
    /// `true` takes LibreChat's own table of rates for models that have no price here.
    librechat: Option<bool>,
    /// Prices by model.
    #[schemars(flatten)]
    models: BTreeMap<String, Price>,
}

/// The price of a model, in US dollars for a million tokens.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Price {
    /// US dollars for a million tokens that go in.
    input: Dollars,
    /// US dollars for a million tokens that come out, reasoning included.
    output: Dollars,
    /// US dollars for a million tokens that come from a cache. Default: as `input`.
    cached_input: Option<Dollars>,
    /// US dollars for a million tokens that go into a cache. Default: as `input`.
    cache_write: Option<Dollars>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Messages {
    /// What a caller reads who is refused a model: `{model}`, `{endpoint}` and `{role}` are filled in.
    model_denied: Option<Text>,
    /// What a caller reads who has reached a limit: `{limit}`, `{amount}`, `{window}` and `{resets_at}` are filled in.
    limit_reached: Option<Text>,
}
