//! The shape of a case file. The comments are what an editor shows.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::words::{Address, All, AnyAmount, Count, Members, Moment, NoneAtAll, One, Pair, Text, Texts, UserId};

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("anyOf" = [{ "required": ["cases"] }, { "required": ["matrix"] }]))]
pub(super) struct Cases {
    /// The version of the language. Every file says 1.
    version: One,
    /// The time of cases that say none, with its distance from UTC: 2026-11-23T09:00:00+01:00.
    now: Option<Moment>,
    /// Who asks, by a name that cases use.
    callers: Option<BTreeMap<String, Option<Caller>>>,
    /// Questions, each with its answer.
    cases: Option<Vec<Case>>,
    /// Tables of callers and models, each cell a question.
    matrix: Option<Vec<Matrix>>,
}

/// Somebody who asks.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Caller {
    /// LibreChat's role of the caller. Default: USER.
    role: Option<Text>,
    /// The caller's groups in the directory.
    groups: Option<Texts>,
    /// The caller's e-mail address.
    email: Option<Address>,
    /// LibreChat's user id of the caller, in quotes.
    id: Option<UserId>,
    /// What an identity provider's tokens say, which `role_mapping` and `group_mapping` are applied to.
    #[schemars(extend("minProperties" = 1))]
    claims: Option<Claims>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Claims {
    /// Claims of the id token.
    id: Option<Members>,
    /// Claims of the access token.
    access: Option<Members>,
    /// Claims of the provider's own answer about the person.
    userinfo: Option<Members>,
}

/// A question with its answer.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Case {
    /// What the case shows. No two cases of a policy have the same name.
    name: Text,
    /// Who asks: a name of `callers`, or a caller written here.
    caller: Asker,
    /// The time. Default: that of the file.
    now: Option<Moment>,
    /// What one request asks for: one thing, or a list.
    asks: Asks,
    /// Messages that the request sends. Default: 1.
    messages: Option<Count>,
    /// Tokens that each model of the request takes.
    tokens: Option<Tokens>,
    /// What was used before, by a limit's id or its whole rule, in the limit's own unit. Needs a time.
    used: Option<BTreeMap<String, AnyAmount>>,
    /// What must come out: a verdict, or a mapping.
    expect: Expect,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Asker {
    /// A name of `callers`.
    Named(Text),
    /// Somebody written here.
    Here(Caller),
    /// Somebody of whom nothing is known.
    Nobody(()),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Asks {
    /// A model: openAI|gpt-4o.
    Model(Pair),
    /// Something else.
    Thing(Thing),
    /// Several things in one request.
    #[schemars(extend("minItems" = 1))]
    Several(Vec<OneThing>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneThing {
    /// A model: openAI|gpt-4o.
    Model(Pair),
    /// Something else.
    Thing(Thing),
}

/// Something asked for.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend(
        "oneOf" = [
            { "required": ["endpoint"] }, { "required": ["agent"] }, { "required": ["tool"] }, { "required": ["feature"] },
            { "required": ["surface"] }
        ],
        "dependencies" = { "model": ["endpoint"], "models": ["agent"], "tools": ["agent"], "unjudged": ["agent"] }
    )
)]
struct Thing {
    /// An endpoint, by its exact name; alone it is asked for as for a key.
    endpoint: Option<Text>,
    /// A model of the endpoint.
    model: Option<Text>,
    /// A stored agent, by its id, with all that it can reach.
    agent: Option<Text>,
    /// The models that the agent can reach: openAI|gpt-4o.
    models: Option<Vec<Pair>>,
    /// The tools that the agent can reach.
    tools: Option<Texts>,
    /// Why the agent cannot be judged.
    unjudged: Option<Unjudged>,
    /// A tool in a chat; with a star before the rest of the name all tools of a server.
    tool: Option<Text>,
    /// A part of LibreChat that restricted callers may use where the policy says so.
    feature: Option<Feature>,
    /// A part of LibreChat that cannot be judged model by model.
    surface: Option<Surface>,
}

/// Why an agent cannot be judged.
#[derive(JsonSchema)]
enum Unjudged {
    /// There is no such agent.
    #[schemars(rename = "agent.missing")]
    Missing,
    /// It has no such version.
    #[schemars(rename = "agent.no-version")]
    NoVersion,
    /// LibreChat's database cannot be asked.
    #[schemars(rename = "agent.no-store")]
    NoStore,
    /// It reaches too many agents.
    #[schemars(rename = "agent.too-many")]
    TooMany,
    /// It reaches agents that are too far away.
    #[schemars(rename = "agent.too-deep")]
    TooDeep,
    /// Its document cannot be read.
    #[schemars(rename = "agent.document")]
    Document,
    /// It changed while it was read.
    #[schemars(rename = "agent.changed")]
    Changed,
    /// Its provider cannot be read.
    #[schemars(rename = "agent.provider")]
    Provider,
    /// Its model cannot be read.
    #[schemars(rename = "agent.model")]
    Model,
    /// It has parameters that are not known.
    #[schemars(rename = "agent.parameters")]
    Parameters,
}

/// A part of LibreChat that has a statement of its own.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Feature {
    /// Storing API keys of one's own.
    UserKeys,
    /// Speech to text and text to speech.
    Speech,
}

/// A part of LibreChat that is judged as a whole.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Surface {
    /// Agents that are not checked.
    Agents,
    /// The remote-agent API.
    RemoteApi,
    /// Assistants.
    Assistants,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tokens {
    /// Tokens of the prompt that come from no cache.
    input: Option<Count>,
    /// Tokens of the prompt that come from a cache.
    cached_input: Option<Count>,
    /// Tokens of the prompt that go into a cache.
    cache_write: Option<Count>,
    /// Tokens of the answer. Default: `turns.output_allowance`.
    output: Option<Count>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Expect {
    /// The verdict alone.
    Verdict(Verdict),
    /// The verdict and more.
    More(Expected),
}

/// What the policy answers.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Verdict {
    /// The request goes on.
    Allow,
    /// The policy refuses it.
    Deny,
    /// A limit has no room for it.
    Limit,
    /// It passes, and the record says that it would have been refused.
    Shadow,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Expected {
    /// What the policy answers.
    verdict: Verdict,
    /// The rule that decides, or in a list all that do, in their order.
    rule: Option<Rules>,
    /// When the limit that decides has room again; `none` where that is when a turn ends, or never.
    resets_at: Option<Reset>,
    /// What is left of limits after the request, by their ids.
    remaining: Option<BTreeMap<String, AnyAmount>>,
    /// The role that the mapping gives.
    role: Option<Text>,
    /// The groups that the mapping gives, in any order.
    groups: Option<Texts>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Rules {
    /// The rule that refuses first, or one of those that allow.
    Deciding(Text),
    /// All of them.
    #[schemars(extend("minItems" = 1))]
    Exactly(Vec<Text>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Reset {
    /// When a turn ends, or never.
    Unknown(NoneAtAll),
    /// A moment with its distance from UTC.
    At(Moment),
}

/// A table of callers and models: who has what, and that nobody has more.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Matrix {
    /// What the table shows. No two cases of a policy have the same name.
    name: Text,
    /// The callers of the table, by their names.
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    callers: Vec<Text>,
    /// The models of the table: openAI|gpt-4o.
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    models: Vec<Pair>,
    /// What each caller of the table has: `all`, a list, or `[]`.
    allow: BTreeMap<String, Has>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Has {
    /// All models of the table.
    All(All),
    /// These models.
    These(Vec<Pair>),
}
