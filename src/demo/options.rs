//! What a stand-in can be told before it starts: who may sign in, what the catalogue holds, how fast it talks.

use std::time::Duration;

/// Everything that shapes a stand-in. `StandInOptions::default()` has two people, the captured catalogue, no specs.
#[derive(Clone)]
pub struct StandInOptions {
    /// Who may sign in. The first one with a given e-mail address wins.
    pub people: Vec<Person>,
    /// The key of access tokens (`JWT_SECRET` of LibreChat), HS256.
    pub jwt_secret: String,
    /// The key of refresh tokens (`JWT_REFRESH_SECRET` of LibreChat), HS256.
    pub jwt_refresh_secret: String,
    /// How long an access token lasts. LibreChat's default is 15 minutes.
    pub token_lifetime: Duration,
    /// Endpoints and their models.
    pub catalogue: Catalogue,
    /// The `modelSpecs` section of a librechat.yaml, if there is one.
    pub model_specs: Option<ModelSpecs>,
    /// Agents that exist, visible to everybody.
    pub agents: Vec<StoredAgent>,
    /// Keys of the remote-agent API.
    pub keys: Vec<RemoteKey>,
    /// How many words every model says. The first is the model's own name in brackets. A message may ask for other
    /// numbers for its own answer: `[[words=400 delay=30]]`, the delay in milliseconds; `[[fail=400]]` makes the
    /// provider fail.
    pub words: usize,
    /// The pause before each word. Zero says everything at once.
    pub word_delay: Duration,
    /// What everybody's balance starts at, in token credits (1,000,000 credits are 1 USD; CONTRACT.md E.1).
    pub start_balance: i64,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The id of the user document: 24 hexadecimal digits, as MongoDB writes them.
    pub id: String,
    /// The name shown, such as `Ann`. The user name is its lower-case form.
    pub name: String,
    /// The e-mail address, which is what one signs in with.
    pub email: String,
    /// The password, in the clear: a stand-in guards nothing.
    pub password: String,
    /// `USER`, `ADMIN` or a role of one's own.
    pub role: String,
}

/// A key of the remote-agent API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteKey {
    /// The key, in the clear: a stand-in guards nothing. It begins with `sk-`.
    pub key: String,
    /// The id of the person whose it is.
    pub user: String,
}

/// The endpoints in the order in which `/api/models` lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// Each endpoint once.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint with its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name, such as `openAI` or `MindRoom`, case-sensitive.
    pub name: String,
    /// Model names, in order.
    pub models: Vec<String>,
    /// Whether `/api/endpoints` shows it. LibreChat lists models also of endpoints that are not configured, and lets
    /// people use none of them (capture `190_illegal-endpoint-stream`).
    pub configured: bool,
    /// Whether it is a custom endpoint (`endpoints.custom` in librechat.yaml).
    pub custom: bool,
}

/// The `modelSpecs` section of a librechat.yaml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpecs {
    /// With `true` a chat must name a spec, and the spec's preset replaces what the body chose (CONTRACT.md B.2).
    pub enforce: bool,
    /// Whether the client prefers specs over endpoints. Only shown.
    pub prioritize: bool,
    /// The specs, in order.
    pub list: Vec<ModelSpec>,
}

/// One model spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSpec {
    /// What a chat body's `spec` names.
    pub name: String,
    /// What the client shows.
    pub label: String,
    /// `preset.endpoint`.
    pub endpoint: String,
    /// `preset.model`.
    pub model: String,
    /// `preset.agent_id`: the stored agent that runs where the endpoint is `agents`.
    pub agent: Option<String>,
    /// `preset.modelLabel`: what an answer's author is called.
    pub model_label: Option<String>,
    /// `preset.promptPrefix`: never shown, and added to every turn that names the spec.
    pub prompt_prefix: Option<String>,
    /// Whether the client starts with it.
    pub default: bool,
    /// What the client shows below the label.
    pub description: Option<String>,
}

/// An agent somebody stored, without edges: running it runs its one model (CONTRACT.md B.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredAgent {
    /// Its id, which starts with `agent_`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The endpoint whose model it runs.
    pub provider: String,
    /// The model it runs.
    pub model: String,
    /// The id of the person who made it. Everybody may use it.
    pub author: String,
}

// === impl StandInOptions ===

impl Default for StandInOptions {
    fn default() -> Self {
        let person = |id: &str, name: &str, role: &str| Person {
            id: id.to_owned(),
            name: name.to_owned(),
            email: format!("{}@example.edu", name.to_lowercase()),
            password: "demo-password".to_owned(),
            role: role.to_owned(),
        };
        StandInOptions {
            people: vec![
                person("6b0000000000000000000a01", "Ann", "ADMIN"),
                person("6b0000000000000000000b02", "Bob", "USER"),
            ],
            jwt_secret: "a-demo-secret-for-access-tokens-only".to_owned(),
            jwt_refresh_secret: "a-demo-secret-for-refresh-tokens-only".to_owned(),
            token_lifetime: Duration::from_secs(15 * 60),
            catalogue: Catalogue::default(),
            model_specs: None,
            agents: Vec::new(),
            keys: Vec::new(),
            words: 41,
            word_delay: Duration::ZERO,
            start_balance: 20_000_000,
        }
    }
}

// === impl Catalogue ===

impl Default for Catalogue {
    /// The captured catalogue: `openAI` and `MindRoom` whole, a few models of the endpoints that are not configured
    /// (capture `068_boot_api_models`).
    fn default() -> Self {
        let endpoint = |name: &str, configured: bool, custom: bool, models: &[&str]| Endpoint {
            name: name.to_owned(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            configured,
            custom,
        };
        Catalogue {
            endpoints: vec![
                endpoint("openAI", true, false, &["gpt-4o-mini", "gpt-4o", "o1"]),
                endpoint("google", false, false, &["gemini-2.5-pro", "gemini-2.5-flash"]),
                endpoint("anthropic", false, false, &["claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5"]),
                endpoint("azureOpenAI", false, false, &["gpt-5.4", "gpt-4.1", "gpt-4o-mini", "gpt-4o"]),
                endpoint(
                    "assistants",
                    false,
                    false,
                    &["gpt-4o-mini", "gpt-4o", "o1", "mindroom-basic", "mindroom-pro"],
                ),
                endpoint("azureAssistants", false, false, &["gpt-4o-mini", "gpt-4o", "o1"]),
                endpoint("bedrock", false, false, &["anthropic.claude-sonnet-4-6", "amazon.titan-text-express-v1"]),
                endpoint("MindRoom", true, true, &["mindroom-basic", "mindroom-pro"]),
            ],
        }
    }
}

impl Catalogue {
    /// The endpoint of this very name.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == name)
    }
}
