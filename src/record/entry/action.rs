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
    /// What was refused before it had a name.
    #[serde(rename = "request")]
    Request,
}
