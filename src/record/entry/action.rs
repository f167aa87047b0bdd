//! What a request attempted: the member `action` of audit entries about requests.

use serde::Serialize;

/// What a request attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Action {
    /// A chat turn.
    #[serde(rename = "chat.turn")]
    ChatTurn,
    /// A tool, called by itself.
    #[serde(rename = "tool")]
    Tool,
    /// The list of models.
    #[serde(rename = "catalog.models")]
    CatalogModels,
    /// The list of endpoints.
    #[serde(rename = "catalog.endpoints")]
    CatalogEndpoints,
    /// LibreChat's settings for its client, with the model specs.
    #[serde(rename = "catalog.config")]
    CatalogConfig,
    /// A list of agents.
    #[serde(rename = "catalog.agents")]
    CatalogAgents,
    /// A list of tools.
    #[serde(rename = "catalog.tools")]
    CatalogTools,
    /// A stored agent, read or written.
    #[serde(rename = "agents")]
    Agents,
    /// Assistants.
    #[serde(rename = "assistants")]
    Assistants,
    /// Running an agent over the remote-agent API.
    #[serde(rename = "remote.run")]
    RemoteRun,
    /// The list of agents of the remote-agent API.
    #[serde(rename = "remote.models")]
    RemoteModels,
    /// A stored answer of the remote-agent API.
    #[serde(rename = "remote.answer")]
    RemoteAnswer,
    /// One's own limits, where that was refused.
    #[serde(rename = "my-limits")]
    MyLimits,
    /// Keys of providers that users bring themselves.
    #[serde(rename = "user-keys")]
    UserKeys,
    /// Speech to text, and text to speech.
    #[serde(rename = "speech")]
    Speech,
    /// LibreChat's administration, used by an administrator or refused to others.
    #[serde(rename = "admin")]
    Admin,
    /// Signing in, also where LibreChat did not let anybody in.
    #[serde(rename = "sign-in")]
    SignIn,
    /// Signing out.
    #[serde(rename = "sign-out")]
    SignOut,
    /// A new account.
    #[serde(rename = "register")]
    Register,
    /// A password that was forgotten, or set anew.
    #[serde(rename = "password")]
    Password,
    /// A second factor, set up, tried or taken away.
    #[serde(rename = "second-factor")]
    SecondFactor,
    /// Keys of the remote-agent API, made or withdrawn.
    #[serde(rename = "api-keys")]
    ApiKeys,
    /// What a role may do in LibreChat, changed.
    #[serde(rename = "roles")]
    Roles,
    /// One's own account, deleted.
    #[serde(rename = "account")]
    Account,
    /// Links that open a conversation to others.
    #[serde(rename = "shares")]
    Shares,
    /// Conversations or messages, deleted.
    #[serde(rename = "conversations")]
    Conversations,
    /// Files, fetched or deleted.
    #[serde(rename = "files")]
    Files,
    /// What others may do with something of one's own, changed.
    #[serde(rename = "permissions")]
    Permissions,
    /// Files, pictures, skills or conversations, brought in.
    #[serde(rename = "uploads")]
    Uploads,
    /// What was refused before it had a name.
    #[serde(rename = "request")]
    Request,
}
