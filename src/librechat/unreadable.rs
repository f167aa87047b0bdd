//! Why the body of a governed request is refused before anybody asks the policy.

use http::StatusCode;

/// A body that LibreChat and Tollgate might read differently, or that chooses no model.
///
/// Every variant has a stable code for records and metrics, an HTTP status and a sentence for the caller. No variant
/// quotes the body, except a checked endpoint name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The content type is missing, given twice, or not plain `application/json` in UTF-8 (CONTRACT.md D.3).
    ContentType,
    /// The body is compressed or otherwise encoded (CONTRACT.md D.4).
    ContentEncoding,
    /// The body is longer than LibreChat would read.
    TooLarge,
    /// The body is not UTF-8.
    NotUtf8,
    /// The body starts with a byte order mark.
    ByteOrderMark,
    /// The body is not JSON.
    NotJson,
    /// The body is JSON but not one object.
    NotObject,
    /// Something follows the object.
    Trailing,
    /// A key occurs twice in one object (LibreChat takes the last, other readers the first).
    DuplicateKey,
    /// A key that reaches the prototype of a JavaScript object.
    PrototypeKey,
    /// A key of a policy object that LibreChat would delete (starting with `$` or holding `.`).
    SanitisedKey,
    /// Objects and arrays are nested too deeply.
    TooDeep,
    /// Half of a surrogate pair, which has no UTF-8 form.
    LoneSurrogate,
    /// A number that double precision cannot hold.
    NumberRange,
    /// `endpoint` is missing.
    MissingEndpoint,
    /// `model` is missing. LibreChat's own refusal for it is `missing_model`.
    MissingModel {
        /// The endpoint asked for; a name that passed the checks of this module.
        endpoint: Box<str>,
    },
    /// `agent_id` is missing although `endpoint` is `agents`.
    MissingAgent,
    /// `endpoint` is not text, or not a possible name.
    Endpoint,
    /// `model` is not text, or not a possible name.
    Model,
    /// `agent_id` is not text, or not the id of a stored agent where one is needed.
    Agent,
    /// `version_index` is missing, or not a whole number from 0.
    VersionIndex,
    /// An action for an agent whose functions are not a list of named ones, or whose domain is not text.
    Action,
    /// `spec` is not text, or not a possible name.
    Spec,
    /// `conversationId` is not text.
    Conversation,
    /// `endpointType` does not belong to the endpoint.
    EndpointType,
    /// `addedConvo` is neither an object nor absent, or one of its parameters is not a number.
    AddedConvo,
    /// `ephemeralAgent` is not an object, or its `mcp` is not a list of servers.
    EphemeralAgent,
    /// `region` is not the name of a region.
    Region,
    /// A parameter that is a number is something else.
    Parameter,
    /// `additionalModelRequestFields` is present.
    ModelRequestFields,
    /// The endpoint or the model stands in the body and in the query, or twice in the query.
    NamedTwice,
    /// The endpoint is neither `assistants` nor `azureAssistants`, on a route that is for these alone.
    AssistantsEndpoint,
    /// The version is not that of the path.
    Version,
    /// The query has more parameters than LibreChat's client ever sends.
    Query,
    /// The name that a key is stored under is missing, not text, or not a possible name.
    KeyName,
    /// What is to be done with a tool's key is neither `install` nor `uninstall`.
    KeyAction,
    /// A member of a request to the remote-agent API that goes on unjudged has another type than it should.
    RemoteMember,
}

// === impl Unreadable ===

impl Unreadable {
    /// The stable code: `body-duplicate-key`, `select-endpoint-type` and so on.
    pub fn code(&self) -> &'static str {
        self.told().0
    }

    /// 400, 413 or 415.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ContentType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// What the caller may read.
    pub fn sentence(&self) -> &'static str {
        self.told().1
    }

    fn told(&self) -> (&'static str, &'static str) {
        match self {
            Self::ContentType => {
                ("content-type", "send the body as application/json in UTF-8, with one Content-Type header")
            }
            Self::ContentEncoding => ("content-encoding", "send the body without Content-Encoding"),
            Self::TooLarge => ("body-too-large", "the body is too large"),
            Self::NotUtf8 => ("body-not-utf8", "the body is not UTF-8"),
            Self::ByteOrderMark => ("body-byte-order-mark", "send the body without a byte order mark"),
            Self::NotJson => ("body-not-json", "the body is not valid JSON"),
            Self::NotObject => ("body-not-object", "the body must be one JSON object"),
            Self::Trailing => ("body-trailing", "nothing may follow the JSON object"),
            Self::DuplicateKey => ("body-duplicate-key", "a key occurs twice in one object"),
            Self::PrototypeKey => {
                ("body-prototype-key", "the keys __proto__, constructor and prototype are not accepted")
            }
            Self::SanitisedKey => {
                ("body-sanitised-key", "keys that start with $ or hold a full stop are not accepted here")
            }
            Self::TooDeep => ("body-too-deep", "the body is nested too deeply"),
            Self::LoneSurrogate => ("body-lone-surrogate", "a text holds half of a surrogate pair"),
            Self::NumberRange => ("body-number-range", "a number is too large for double precision"),
            Self::MissingEndpoint => ("select-endpoint-missing", "endpoint is missing: name the endpoint of the model"),
            Self::MissingModel { .. } => ("select-model-missing", "model is missing: choose a model"),
            Self::MissingAgent => ("select-agent-missing", "agent_id is missing: choose an agent"),
            Self::Endpoint => ("select-endpoint", "endpoint must be the name of an endpoint, as text"),
            Self::Model => ("select-model", "model must be the name of a model, as text"),
            Self::Agent => ("select-agent", "agent_id must be the id of a stored agent, as text"),
            Self::VersionIndex => (
                "select-version-index",
                "version_index must be a whole number from 0: the place of the version in the agent's versions",
            ),
            Self::Action => {
                ("select-action", "functions must be a list of functions with a name each, and metadata.domain text")
            }
            Self::Spec => ("select-spec", "spec must be the name of a model spec, as text"),
            Self::Conversation => {
                ("select-conversation", "conversationId must be a plain id, and the only conversation named")
            }
            Self::EndpointType => ("select-endpoint-type", "endpointType does not belong to this endpoint"),
            Self::AddedConvo => ("select-added-convo", "addedConvo must be an object whose parameters are numbers"),
            Self::EphemeralAgent => {
                ("select-ephemeral-agent", "ephemeralAgent must be an object, and mcp in it a list of names")
            }
            Self::Region => ("select-region", "region must be the name of a region"),
            Self::Parameter => ("select-parameter", "maxTokens, maxOutputTokens and thinkingBudget must be numbers"),
            Self::NamedTwice => ("select-named-twice", "name endpoint and model once: in the body or in the query"),
            Self::AssistantsEndpoint => {
                ("select-assistants-endpoint", "endpoint must be assistants or azureAssistants on this address")
            }
            Self::Version => ("select-version", "version must be that of the address, or be left out"),
            Self::Query => ("select-query", "the query has too many parameters"),
            Self::KeyName => ("select-key-name", "name must be the name of an endpoint, as text"),
            Self::KeyAction => ("select-key-action", "action must be install or uninstall"),
            Self::RemoteMember => (
                "select-remote-member",
                "stream and store must be true or false, the ids of conversations, messages and responses text",
            ),
            Self::ModelRequestFields => ("select-model-request-fields", "additionalModelRequestFields is not accepted"),
        }
    }
}
