//! The route table as plain data, in the order in which LibreChat's routers are mounted and literals before parameters.

use super::Access::{Anonymous, Key, Optional, Token};
use super::Class::{Admin, Balance, Closed, Pass, Stream, Tool, Turn, Upload};
use super::{Access, Body, Catalog, Class, Deed, Methods, Noted, Remote, Route};
use crate::librechat::assistants::Part;
use crate::policy::words::Feature;

const GET: Methods = Methods::GET;
const POST: Methods = Methods::POST;
const PUT: Methods = Methods::PUT;
const PATCH: Methods = Methods::PATCH;
const DELETE: Methods = Methods::DELETE;
const ALL: Methods = Methods::ALL;

const USER_KEYS: Class = Class::Feature(Feature::UserKeys);
const SPEECH: Class = Class::Feature(Feature::Speech);

const SIGN_IN: Class = Class::Noted(Noted::SignIn);
const SECOND_FACTOR: Class = Class::Noted(Noted::SecondFactor);
const PASSWORD: Class = Class::Noted(Noted::Password);
const API_KEYS: Class = Class::Noted(Noted::ApiKeys);
const CONVERSATIONS: Class = Class::Noted(Noted::Conversations);
const KEPT_FILES: Class = Class::Noted(Noted::Files);

/// A row that needs no body for GET and reads JSON otherwise.
const fn row(pattern: &'static str, methods: Methods, class: Class, access: Access) -> Route {
    let body = if methods.0 == GET.0 { Body::None } else { Body::Json };
    Route { pattern, methods, class, access, body }
}

/// A row of the assistants API.
const fn assistant(pattern: &'static str, methods: Methods, part: Part) -> Route {
    row(pattern, methods, Class::Assistants(part), Token)
}

/// A row that takes files.
const fn files(pattern: &'static str, class: Class) -> Route {
    Route { pattern, methods: POST, class, access: Token, body: Body::Multipart }
}

/// A callback to which an identity provider posts a form.
const fn form(pattern: &'static str, class: Class) -> Route {
    Route { pattern, methods: POST, class, access: Anonymous, body: Body::Form }
}

/// A preflight of any path that has a route.
pub(super) static PREFLIGHT: Route =
    Route { pattern: "/*", methods: Methods::NONE, class: Pass, access: Anonymous, body: Body::None };

/// The web client's pages and assets, and the probes. Express answers any method on a page; the client uses two.
pub(super) static PAGES: &[Route] = &[
    row("/health", GET, Pass, Anonymous),
    row("/livez", GET, Pass, Anonymous),
    row("/readyz", GET, Pass, Anonymous),
    row("/*", GET, Pass, Anonymous),
];

/// LibreChat protects it with a secret of its own; it is for a scraper beside it, not for the internet (CONTRACT.md A.4).
pub(super) static METRICS: &[Route] = &[row("/metrics/*", ALL, Closed, Anonymous)];

/// Public, or guarded by LibreChat with a cookie (CONTRACT.md A.2 f).
pub(super) static IMAGES: &[Route] = &[row("/images/*", GET, Pass, Anonymous)];

pub(super) static OAUTH: &[Route] = &[
    row("/oauth/error", GET, Pass, Anonymous),
    row("/oauth/google", GET, Pass, Anonymous),
    row("/oauth/google/callback", GET, SIGN_IN, Anonymous),
    row("/oauth/facebook", GET, Pass, Anonymous),
    row("/oauth/facebook/callback", GET, SIGN_IN, Anonymous),
    row("/oauth/openid", GET, Pass, Anonymous),
    row("/oauth/openid/callback", GET, SIGN_IN, Anonymous),
    row("/oauth/github", GET, Pass, Anonymous),
    row("/oauth/github/callback", GET, SIGN_IN, Anonymous),
    row("/oauth/discord", GET, Pass, Anonymous),
    row("/oauth/discord/callback", GET, SIGN_IN, Anonymous),
    row("/oauth/apple", GET, Pass, Anonymous),
    row("/oauth/apple/callback", GET, SIGN_IN, Anonymous),
    form("/oauth/apple/callback", SIGN_IN),
    row("/oauth/saml", GET, Pass, Anonymous),
    row("/oauth/saml/callback", GET, SIGN_IN, Anonymous),
    form("/oauth/saml/callback", SIGN_IN),
];

/// What Tollgate answers itself, under a name that LibreChat has no router for.
pub(super) static OWN: &[(&str, &[Route])] = &[("v1", &[row("/api/v1/me/limits", GET, Class::MyLimits, Token)])];

/// The routers under `/api`, by the segment after it.
pub(super) static API: &[(&str, &[Route])] = &[
    ("agents", AGENTS),
    ("messages", MESSAGES),
    ("convos", CONVOS),
    ("files", FILES),
    ("auth", AUTH),
    ("config", &[row("/api/config", GET, Class::Catalog(Catalog::Config), Optional)]),
    ("endpoints", &[row("/api/endpoints", GET, Class::Catalog(Catalog::Endpoints), Token)]),
    ("models", &[row("/api/models", GET, Class::Catalog(Catalog::Models), Token)]),
    ("user", USER),
    (
        "roles",
        &[
            row("/api/roles/:name", GET, Pass, Token),
            row("/api/roles/:name/:feature", PUT, Class::Noted(Noted::Roles), Token),
        ],
    ),
    ("balance", &[row("/api/balance", GET, Balance, Token)]),
    ("banner", &[row("/api/banner", GET, Pass, Optional)]),
    ("search", &[row("/api/search/enable", GET, Pass, Token)]),
    (
        "keys",
        &[
            row("/api/keys", PUT, USER_KEYS, Token),
            row("/api/keys", GET.and(DELETE), Pass, Token),
            row("/api/keys/:name", DELETE, Pass, Token),
        ],
    ),
    (
        "api-keys",
        &[
            row("/api/api-keys", GET, Pass, Token),
            row("/api/api-keys", POST, API_KEYS, Token),
            row("/api/api-keys/:id", GET, Pass, Token),
            row("/api/api-keys/:id", DELETE, API_KEYS, Token),
        ],
    ),
    ("presets", &[row("/api/presets", GET.and(POST), Pass, Token), row("/api/presets/delete", POST, Pass, Token)]),
    ("prompts", &[row("/api/prompts/*", ALL, Pass, Token)]),
    ("categories", &[row("/api/categories/*", ALL, Pass, Token)]),
    ("tags", &[row("/api/tags/*", ALL, Pass, Token)]),
    ("memories", &[row("/api/memories/*", ALL, Pass, Token)]),
    (
        "skills",
        &[
            files("/api/skills/import", Upload),
            files("/api/skills/:id/files", Upload),
            row("/api/skills/*", ALL, Pass, Token),
        ],
    ),
    ("share", SHARE),
    (
        "permissions",
        &[
            row("/api/permissions/*", GET, Pass, Token),
            row("/api/permissions/*", PUT, Class::Noted(Noted::Permissions), Token),
        ],
    ),
    (
        "mcp",
        &[
            // An identity provider sends the browser here; the state in the query is the proof.
            row("/api/mcp/:server/oauth/callback", GET, Pass, Anonymous),
            row("/api/mcp/*", GET.and(POST).and(PATCH).and(DELETE), Pass, Token),
        ],
    ),
    (
        "actions",
        &[
            row("/api/actions/:id/oauth/bind", POST, Pass, Token),
            row("/api/actions/:id/oauth/callback", GET, Pass, Anonymous),
        ],
    ),
    ("assistants", ASSISTANTS),
    ("admin", ADMIN),
];

static AUTH: &[Route] = &[
    row("/api/auth/login", POST, SIGN_IN, Anonymous),
    row("/api/auth/register", POST, Class::Noted(Noted::Register), Anonymous),
    row("/api/auth/requestPasswordReset", POST, PASSWORD, Anonymous),
    row("/api/auth/resetPassword", POST, PASSWORD, Anonymous),
    row("/api/auth/refresh", POST, Pass, Anonymous),
    row("/api/auth/2fa/verify-temp", POST, SIGN_IN, Anonymous),
    row("/api/auth/logout", POST, Class::Noted(Noted::SignOut), Token),
    row("/api/auth/cloudfront/refresh", POST, Pass, Token),
    row("/api/auth/2fa/enable", GET.and(POST), SECOND_FACTOR, Token),
    row("/api/auth/2fa/verify", POST, SECOND_FACTOR, Token),
    row("/api/auth/2fa/confirm", POST, SECOND_FACTOR, Token),
    row("/api/auth/2fa/disable", POST, SECOND_FACTOR, Token),
    row("/api/auth/2fa/backup/regenerate", POST, SECOND_FACTOR, Token),
    row("/api/auth/graph-token", GET, Pass, Token),
];

static USER: &[Route] = &[
    row("/api/user", GET, Pass, Token),
    row("/api/user/terms", GET, Pass, Token),
    row("/api/user/terms/accept", POST, Pass, Token),
    row("/api/user/plugins", POST, USER_KEYS, Token),
    row("/api/user/delete", DELETE, Class::Noted(Noted::Account), Token),
    row("/api/user/verify", POST, Pass, Anonymous),
    row("/api/user/verify/resend", POST, Pass, Anonymous),
    row("/api/user/settings/favorites", GET.and(POST), Pass, Token),
    row("/api/user/settings/skills/active", GET.and(POST), Pass, Token),
];

static MESSAGES: &[Route] = &[
    row("/api/messages", GET, Pass, Token),
    row("/api/messages/branch", POST, Pass, Token),
    row("/api/messages/artifact/:id", POST, Pass, Token),
    row("/api/messages/:conversationId", GET.and(POST), Pass, Token),
    row("/api/messages/:conversationId/:messageId", GET.and(PUT), Pass, Token),
    row("/api/messages/:conversationId/:messageId", DELETE, CONVERSATIONS, Token),
    row("/api/messages/:conversationId/:messageId/feedback", PUT, Pass, Token),
];

static CONVOS: &[Route] = &[
    row("/api/convos", GET, Pass, Token),
    row("/api/convos", DELETE, CONVERSATIONS, Token),
    row("/api/convos/gen_title/:id", GET, Pass, Token),
    row("/api/convos/all", DELETE, CONVERSATIONS, Token),
    row("/api/convos/archive", POST, Pass, Token),
    row("/api/convos/update", POST, Pass, Token),
    row("/api/convos/fork", POST, Pass, Token),
    row("/api/convos/duplicate", POST, Pass, Token),
    files("/api/convos/import", Upload),
    row("/api/convos/:id", GET, Pass, Token),
];

static SHARE: &[Route] = &[
    row("/api/share", GET, Pass, Token),
    row("/api/share/link/:id", GET, Pass, Token),
    // Public or not by LibreChat's own settings (CONTRACT.md A.4).
    row("/api/share/:id", GET, Pass, Optional),
    row("/api/share/:id", POST.and(PATCH).and(DELETE), Class::Noted(Noted::Shares), Token),
];

static FILES: &[Route] = &[
    row("/api/files", GET, Pass, Token),
    row("/api/files", DELETE, KEPT_FILES, Token),
    files("/api/files", Upload),
    row("/api/files/config", GET, Pass, Token),
    row("/api/files/agent/:id", GET, Pass, Token),
    row("/api/files/download/*", GET, KEPT_FILES, Token),
    row("/api/files/code/download/*", GET, KEPT_FILES, Token),
    files("/api/files/images", Upload),
    files("/api/files/images/avatar", Upload),
    // Both answer with the whole agent or assistant, models included (CONTRACT.md C.1).
    files("/api/files/images/agents/:id/avatar", Class::Agent(Deed::Avatar)),
    files("/api/files/images/assistants/:id/avatar", Class::Assistants(Part::Avatar)),
    files("/api/files/speech/stt", SPEECH),
    row("/api/files/speech/tts", GET.and(POST), SPEECH, Token),
    files("/api/files/speech/tts/manual", SPEECH),
    row("/api/files/speech/tts/voices", GET, Pass, Token),
    row("/api/files/speech/config/get", GET, Pass, Token),
    row("/api/files/:id/preview", GET, Pass, Token),
];

static AGENTS: &[Route] = &[
    row("/api/agents/chat/abort", POST, Pass, Token),
    row("/api/agents/chat/active", GET, Pass, Token),
    row("/api/agents/chat/stream/:id", GET, Stream, Token),
    row("/api/agents/chat/status/:id", GET, Pass, Token),
    row("/api/agents/chat", POST, Turn, Token),
    // LibreChat takes `chat/duplicate` and `chat/revert` for the agent "chat", which cannot exist. As turns they are judged.
    row("/api/agents/chat/:endpoint", POST, Turn, Token),
    row("/api/agents/v1/chat/completions", POST, Class::Remote(Remote::Run), Key),
    row("/api/agents/v1/responses", POST, Class::Remote(Remote::Run), Key),
    row("/api/agents/v1/models", GET, Class::Remote(Remote::Models), Key),
    row("/api/agents/v1/models/:model", GET, Class::Remote(Remote::Model), Key),
    row("/api/agents/v1/responses/models", GET, Class::Remote(Remote::Models), Key),
    row("/api/agents/v1/responses/:id", GET, Class::Remote(Remote::Answer), Key),
    // Names, categories, tools and actions hold no model (CONTRACT.md C.1); the client asks for them when it starts.
    row("/api/agents", GET, Class::Catalog(Catalog::Agents), Token),
    row("/api/agents/categories", GET, Pass, Token),
    row("/api/agents/tools", GET, Class::Catalog(Catalog::Tools), Token),
    row("/api/agents/tools/calls", GET, Pass, Token),
    row("/api/agents/tools/:id/auth", GET, Pass, Token),
    row("/api/agents/tools/:id/call", POST, Tool, Token),
    row("/api/agents/actions", GET, Pass, Token),
    row("/api/agents/actions/:agentId", POST, Class::Agent(Deed::AddAction), Token),
    row("/api/agents/actions/:agentId/:actionId", DELETE, Class::Agent(Deed::RemoveAction), Token),
    row("/api/agents", POST, Class::Agent(Deed::Create), Token),
    row("/api/agents/:id", GET, Class::Agent(Deed::Show), Token),
    row("/api/agents/:id", PATCH, Class::Agent(Deed::Change), Token),
    // What is gone runs nothing, and the answer names nothing.
    row("/api/agents/:id", DELETE, Pass, Token),
    row("/api/agents/:id/expanded", GET, Class::Agent(Deed::Show), Token),
    row("/api/agents/:id/duplicate", POST, Class::Agent(Deed::Duplicate), Token),
    row("/api/agents/:id/revert", POST, Class::Agent(Deed::Revert), Token),
];

static ASSISTANTS: &[Route] = &[
    assistant("/api/assistants/v1/chat", POST, Part::Chat),
    assistant("/api/assistants/v1/chat/abort", POST, Part::Abort),
    assistant("/api/assistants/v1/actions/:assistantId", POST, Part::Action),
    assistant("/api/assistants/v1/actions/:assistantId/:actionId/:model", DELETE, Part::RemoveAction),
    assistant("/api/assistants/v1/tools", GET, Part::Tools),
    assistant("/api/assistants/v1/documents", GET, Part::Documents),
    assistant("/api/assistants/v1", GET, Part::List),
    assistant("/api/assistants/v1", POST, Part::Create),
    assistant("/api/assistants/v1/:id", GET.and(DELETE), Part::One),
    assistant("/api/assistants/v1/:id", PATCH, Part::Change),
    assistant("/api/assistants/v2/chat", POST, Part::Chat),
    assistant("/api/assistants/v2/chat/abort", POST, Part::Abort),
    assistant("/api/assistants/v2/actions/:assistantId", POST, Part::Action),
    assistant("/api/assistants/v2/actions/:assistantId/:actionId/:model", DELETE, Part::RemoveAction),
    assistant("/api/assistants/v2/tools", GET, Part::Tools),
    assistant("/api/assistants/v2/documents", GET, Part::Documents),
    files("/api/assistants/v2/avatar/:id", Class::Assistants(Part::Avatar)),
    assistant("/api/assistants/v2", GET, Part::List),
    assistant("/api/assistants/v2", POST, Part::Create),
    assistant("/api/assistants/v2/:id", GET.and(DELETE), Part::One),
    assistant("/api/assistants/v2/:id", PATCH, Part::Change),
];

static ADMIN: &[Route] = &[
    // The sign-in of LibreChat's separate admin panel works without a token, so nobody can be asked for a role.
    row("/api/admin/login/local", POST, Closed, Anonymous),
    form("/api/admin/oauth/apple/callback", Closed),
    form("/api/admin/oauth/saml/callback", Closed),
    row("/api/admin/oauth/*", GET.and(POST), Closed, Anonymous),
    row("/api/admin/verify", GET, Admin, Token),
    row("/api/admin/config/*", ALL, Admin, Token),
    row("/api/admin/grants/*", ALL, Admin, Token),
    row("/api/admin/groups/*", ALL, Admin, Token),
    row("/api/admin/roles/*", ALL, Admin, Token),
    row("/api/admin/users/*", ALL, Admin, Token),
];
