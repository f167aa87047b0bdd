//! Which request gets which answer: the route table, and the pages too small for a file of their own.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, EXPIRES,
    LAST_MODIFIED, PRAGMA, VARY,
};
use http::request::Parts;
use http::{HeaderName, Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answer, Stage, accepts_gzip};
use super::body::{self, BadBody};
use super::options::Person;
use super::remote::{self, Way};
use super::route::{Malformed, Path};
use super::state::{State, iso, lock, now, object_id};
use super::{account, catalogue, chat, gzip, token};

/// What a browser gets for every path that is nothing else.
const PAGE: &str = include_str!("page.html");
/// The one script of the page.
const SCRIPT: &str = include_str!("page.js");
const SCRIPT_TYPE: &str = "application/javascript; charset=UTF-8";
/// Mount points whose router asks for a token before it looks at the rest of the path.
const GUARDED: [&str; 8] = ["agents", "convos", "messages", "presets", "files", "prompts", "roles", "search"];
/// A PNG of one transparent dot, which is what every uploaded image turns into.
const DOT: [u8; 67] = [
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8,
    6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0a, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0, 1, 0, 0, 5, 0, 1,
    0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

/// Answers a request whose body has been read; `size` counts also what was not kept of it.
pub(super) fn page(state: &Arc<State>, head: &Parts, bytes: &Bytes, size: usize) -> Answer {
    let path = Path::read(&head.uri);
    let segments = path.segments();
    if let (&Method::GET | &Method::HEAD, ["health" | "livez" | "readyz"]) = (&head.method, segments.as_slice()) {
        return Answer::text(StatusCode::OK, "OK").at(Stage::First);
    }
    let parsed = match body::parse(&head.headers, bytes) {
        Ok(parsed) => parsed,
        Err(BadBody::Malformed) => {
            let message = "The request body contains malformed JSON";
            let body = json!({"error": "Invalid JSON format", "message": message});
            return Answer::json(StatusCode::BAD_REQUEST, &body).at(Stage::Parsing);
        }
        Err(BadBody::Unread) => {
            let text = "An unknown error occurred.";
            return Answer::text(StatusCode::INTERNAL_SERVER_ERROR, text).at(Stage::Parsing);
        }
    };
    if head.method == Method::OPTIONS {
        return preflight(head);
    }
    let request = Request { state, head, path: &path, body: parsed.as_ref(), size };
    match segments.as_slice() {
        ["api", route @ ..] => request.api(route).unwrap_or_else(|early| early),
        outside => request.file(outside),
    }
}

/// A request with all that an answer may depend on.
struct Request<'request> {
    state: &'request Arc<State>,
    head: &'request Parts,
    path: &'request Path,
    body: Option<&'request Value>,
    /// The length of the body in bytes, parsed or not.
    size: usize,
}

// === impl Request ===

impl Request<'_> {
    /// The routes under `/api`. An answer that ends the matter early, such as a 401, comes as the error.
    fn api(&self, route: &[&str]) -> Result<Answer, Answer> {
        let (state, headers) = (self.state, &self.head.headers);
        // Express answers a HEAD like a GET, without the body.
        let method = if self.head.method == Method::HEAD { "GET" } else { self.head.method.as_str() };
        let answer = match (method, route) {
            ("POST", ["auth", "login"]) => account::login(state, self.body),
            ("POST", ["auth", "refresh"]) => account::refresh(state, headers),
            ("POST", ["auth", "logout"]) => {
                self.me()?;
                account::logout(state, headers)
            }
            ("GET", ["config"]) => catalogue::config(state, self.me().is_ok()),
            ("GET", ["banner"]) => Answer::nothing(StatusCode::OK),
            ("GET", ["user"]) => account::user(state, self.me()?),
            ("GET", ["endpoints"]) => self.mine(catalogue::endpoints(state))?,
            ("GET", ["models"]) => self.mine(catalogue::models(state))?,
            ("GET", ["balance"]) => account::balance(state, self.me()?),
            ("GET", ["roles", _]) => account::role(state, self.me()?, &self.param(2)?),
            ("GET", ["agents", "chat", "active"]) => chat::active(state, self.me()?),
            ("GET", ["agents", "chat", "status", _]) => chat::status(state, self.me()?, &self.param(4)?),
            ("GET", ["agents", "chat", "stream", _]) => {
                chat::stream(state, self.me()?, &self.param(4)?, self.asks("resume", "true"))
            }
            ("POST", ["agents", "chat", "abort"]) => chat::abort(state, self.me()?, self.body),
            ("POST", ["agents", "chat"]) => chat::start(state, self.me()?, self.body, self.path.chat_as_written),
            ("POST", ["agents", "chat", _]) => {
                let me = self.me()?;
                // Never used, but Express decodes it, and refuses what it cannot decode.
                self.param(3)?;
                chat::start(state, me, self.body, self.path.chat_as_written)
            }
            (_, ["agents", "v1", rest @ ..]) => {
                let me = remote::owner(state, headers)?;
                match (method, rest) {
                    ("POST", ["chat", "completions"]) => remote::run(state, me, headers, self.body, Way::Completions),
                    ("POST", ["responses"]) => remote::run(state, me, headers, self.body, Way::Responses),
                    ("GET", ["models"] | ["responses", "models"]) => remote::models(state),
                    ("GET", ["models", _]) => remote::model(state, &self.param(4)?),
                    ("GET", ["responses", _]) => remote::response(&self.param(4)?),
                    _ => self.unknown(route)?,
                }
            }
            ("GET", ["agents"]) => self.mine(catalogue::agents(state))?,
            ("GET", ["agents", "categories"]) => self.mine(Answer::ok(&categories()))?,
            ("GET", ["agents", "tools"]) | ("GET", ["agents", "tools", "calls"]) => {
                self.mine(Answer::ok(&json!([])))?
            }
            ("GET", ["agents", id]) if *id != "chat" => {
                self.me()?;
                catalogue::agent(state, &self.param(2)?)
            }
            ("GET", ["convos"]) => {
                let list = lock(&state.history).list(&self.me()?.id);
                Answer::ok(&json!({"conversations": list, "nextCursor": null}))
            }
            ("GET", ["convos", "gen_title", _]) => chat::title(state, self.me()?, &self.param(3)?),
            ("GET", ["convos", _]) => self.conversation(&self.param(2)?)?,
            ("GET", ["messages", _]) => self.messages(&self.param(2)?)?,
            ("POST", ["files"]) => self.upload(false)?,
            ("POST", ["files", "images"]) => self.upload(true)?,
            ("GET", ["files", "config"]) => self.mine(
                Answer::written(StatusCode::OK, String::new())
                    .with(CONTENT_TYPE, "application/json; charset=utf-8")
                    .with(VARY, "Accept-Encoding"),
            )?,
            ("GET", ["share", "link", _]) => {
                self.me()?;
                let id = self.param(3)?;
                Answer::ok(&json!({"success": false, "shareId": null, "conversationId": id}))
            }
            ("GET", small) => match fixed(small) {
                Some(body) => self.mine(Answer::ok(&body))?,
                None => self.unknown(route)?,
            },
            _ => self.unknown(route)?,
        };
        Ok(answer)
    }

    /// Everything outside `/api`: files, and the page for the rest, whatever the method.
    fn file(&self, segments: &[&str]) -> Answer {
        match segments {
            ["metrics"] => Answer::ended(StatusCode::UNAUTHORIZED),
            ["oauth", ..] => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "An unknown error occurred."),
            ["assets", "app.js"] => self.script(),
            ["images", ..] if lock(&self.state.images).iter().any(|image| image == self.head.uri.path()) => {
                cached(Answer::file("image/png", "W/\"43-19a5c0de000\"", Bytes::from_static(&DOT)))
            }
            _ => Answer::text(StatusCode::OK, PAGE)
                .with(CACHE_CONTROL, "no-cache, no-store, must-revalidate")
                .with(PRAGMA, "no-cache")
                .with(EXPIRES, "0"),
        }
    }

    /// The script, compressed before where gzip is taken, as LibreChat's build leaves its assets.
    fn script(&self) -> Answer {
        let file = if accepts_gzip(&self.head.headers) {
            let packed = gzip::wrap(SCRIPT.as_bytes());
            Answer::file(SCRIPT_TYPE, "W/\"2-19a5c0de002\"", packed.into()).with(CONTENT_ENCODING, "gzip")
        } else {
            Answer::file(SCRIPT_TYPE, "W/\"1-19a5c0de001\"", Bytes::from_static(SCRIPT.as_bytes()))
        };
        cached(file).with(VARY, "Accept-Encoding")
    }

    /// Who asks.
    fn me(&self) -> Result<&Person, Answer> {
        let refused = |message: &str| Answer::json(StatusCode::UNAUTHORIZED, &json!({"message": message}));
        let id = token::bearer(&self.head.headers, &self.state.options.jwt_secret, now()).map_err(refused)?;
        self.state.person(&id).ok_or_else(|| refused("Unauthorized"))
    }

    /// An answer that anybody gets who is signed in.
    fn mine(&self, answer: Answer) -> Result<Answer, Answer> {
        self.me().map(|_| answer)
    }

    fn unknown(&self, route: &[&str]) -> Result<Answer, Answer> {
        if route.first().is_some_and(|mount| GUARDED.contains(mount)) {
            self.me()?;
        }
        Ok(Answer::json(StatusCode::NOT_FOUND, &json!({"message": "Endpoint not found"})))
    }

    fn param(&self, index: usize) -> Result<String, Answer> {
        self.path.param(index).map_err(|Malformed| Answer::text(StatusCode::BAD_REQUEST, "URI malformed"))
    }

    fn asks(&self, name: &str, value: &str) -> bool {
        let query = self.head.uri.query().unwrap_or_default();
        query.split('&').filter_map(|pair| pair.split_once('=')).any(|pair| pair == (name, value))
    }

    fn conversation(&self, id: &str) -> Result<Answer, Answer> {
        let me = self.me()?;
        let history = lock(&self.state.history);
        let found = history.find(id).filter(|found| found.user == me.id);
        Ok(found.map_or_else(|| Answer::ended(StatusCode::NOT_FOUND), |found| Answer::ok(&found.document())))
    }

    fn messages(&self, id: &str) -> Result<Answer, Answer> {
        let me = self.me()?;
        let history = lock(&self.state.history);
        let found = history.find(id).filter(|found| found.user == me.id);
        Ok(Answer::ok(&found.map(|found| found.messages()).unwrap_or_default().into()))
    }

    /// A multipart upload. Only its length is looked at: `bytes` is that of the whole form, not of the file in it.
    fn upload(&self, image: bool) -> Result<Answer, Answer> {
        let me = self.me()?;
        let (file, time) = (Uuid::new_v4().to_string(), iso(now()));
        let (name, kind) = if image { ("upload.png", "image/png") } else { ("upload.txt", "text/plain") };
        let path = format!("/{}/{}/{file}__{name}", if image { "images" } else { "uploads" }, me.id);
        let mut stored = json!({
            "message": "File uploaded and processed successfully", "_id": object_id(), "file_id": file, "__v": 0,
            "bytes": self.size, "context": "message_attachment", "createdAt": time, "filename": name,
            "filepath": path, "object": "file", "source": "local", "temp_file_id": Uuid::new_v4().to_string(),
            "type": kind, "updatedAt": time, "usage": 0, "user": me.id,
        });
        if let (true, Some(fields)) = (image, stored.as_object_mut()) {
            fields.insert("height".to_owned(), 1.into());
            fields.insert("width".to_owned(), 1.into());
            lock(&self.state.images).push(path);
        }
        Ok(Answer::ok(&stored))
    }
}

/// What a static file says about its age.
fn cached(file: Answer) -> Answer {
    file.with(CACHE_CONTROL, "public, max-age=172800, s-maxage=86400")
        .with(ACCEPT_RANGES, "bytes")
        .with(LAST_MODIFIED, "Mon, 02 Nov 2026 09:00:00 GMT")
}

/// The answer of the CORS middleware to an OPTIONS of any path.
fn preflight(head: &Parts) -> Answer {
    let answer = Answer::ended(StatusCode::NO_CONTENT)
        .with(HeaderName::from_static("access-control-allow-methods"), "GET,HEAD,PUT,PATCH,POST,DELETE")
        .with(VARY, "Access-Control-Request-Headers");
    match head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok()) {
        Some(asked) => answer.with(HeaderName::from_static("access-control-allow-headers"), asked),
        None => answer,
    }
}

/// Pages that say the same to everybody.
fn fixed(route: &[&str]) -> Option<Value> {
    let body = match route {
        ["presets" | "files" | "tags"] | ["prompts", "all"] | ["user", "settings", "favorites"] => json!([]),
        ["keys"] => json!({"expiresAt": null}),
        ["search", "enable"] => json!(false),
        ["user", "terms"] => json!({"termsAccepted": false}),
        ["files", "speech", "config", "get"] => json!({"sttExternal": false, "ttsExternal": false}),
        ["mcp", "servers"] | ["permissions", _, "effective", "all"] => json!({}),
        ["mcp", "connection", "status"] => json!({"success": true, "connectionStatus": {}}),
        ["mcp", "tools"] => json!({"servers": {}}),
        ["prompts", "groups"] => json!({
            "promptGroups": [], "pageNumber": "1", "pageSize": "10", "pages": "1", "has_more": false, "after": null,
        }),
        ["agents", "tools", "web_search", "auth"] => json!({
            "authenticated": false,
            "authTypes": [
                ["providers", "user_provided"], ["scrapers", "user_provided"], ["rerankers", "system_defined"],
            ],
        }),
        _ => return None,
    };
    Some(body)
}

fn categories() -> Value {
    json!([{"value": "general", "label": "General", "count": 0, "description": "Whatever fits nowhere else"}])
}
