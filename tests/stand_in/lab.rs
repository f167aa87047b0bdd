//! The captures, and a stand-in set up as the LibreChat was that they were taken from.

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tollgate::demo::{Catalogue, Endpoint, ModelSpec, ModelSpecs, Person, StandIn, StandInOptions, StoredAgent};

use crate::compare;
use crate::support::{self, Answer};

pub(crate) const BASE: &str = include_str!("../captures/base.jsonl");
pub(crate) const SPECS: &str = include_str!("../captures/specs.jsonl");
pub(crate) const SPECS_ENFORCED: &str = include_str!("../captures/specs-enforce.jsonl");

/// One captured exchange.
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) who: String,
    pub(crate) request: Value,
    pub(crate) response: Value,
}

/// A stand-in with its two people.
pub(crate) struct Lab {
    pub(crate) stand_in: StandIn,
    pub(crate) admin: Person,
    pub(crate) user: Person,
}

/// All exchanges of a file.
pub(crate) fn exchanges(file: &str) -> Vec<Exchange> {
    let read = |line: &str| {
        let mut value: Value = serde_json::from_str(line).expect("a line of JSON");
        Exchange {
            name: value["name"].as_str().expect("a name").to_owned(),
            who: value["who"].as_str().unwrap_or_default().to_owned(),
            request: value["request"].take(),
            response: value["response"].take(),
        }
    };
    file.lines().map(read).collect()
}

/// The one exchange of this name.
pub(crate) fn exchange(file: &str, name: &str) -> Exchange {
    exchanges(file).into_iter().find(|one| one.name == name).unwrap_or_else(|| panic!("no capture is named {name}"))
}

fn person(id: &str, name: &str, role: &str) -> Person {
    Person {
        id: id.to_owned(),
        name: name.to_owned(),
        email: format!("{}@lab.test", name.to_lowercase()),
        password: "Lab-passw0rd!".to_owned(),
        role: role.to_owned(),
    }
}

// === impl Exchange ===

impl Exchange {
    pub(crate) fn method(&self) -> Method {
        self.request["method"].as_str().expect("a method").parse().expect("a known method")
    }

    pub(crate) fn path(&self) -> &str {
        self.request["path"].as_str().expect("a path")
    }

    /// The body as it was sent.
    pub(crate) fn body(&self) -> Bytes {
        match (&self.request["body"], &self.request["body_text"]) {
            (Value::Null, Value::String(text)) => text.clone().into(),
            (Value::Null, _) => Bytes::new(),
            (body, _) => body.to_string().into(),
        }
    }

    /// The events of a captured stream.
    pub(crate) fn events(&self) -> Vec<compare::Event> {
        let frames = self.response["sse"].as_array().unwrap_or_else(|| panic!("{} is no stream", self.name));
        compare::events(&frames.iter().map(|frame| frame.as_str().expect("text")).collect::<String>())
    }

    /// The models that spoke in a captured stream: each one's first word is its name in brackets.
    pub(crate) fn models(&self) -> Vec<String> {
        let events = self.events();
        let words = events.iter().filter_map(|(_, data)| data.pointer("/data/delta/content/0/text")?.as_str());
        let mut models: Vec<String> =
            words.filter_map(|word| Some(word.strip_prefix('[')?.strip_suffix(']')?.to_owned())).collect();
        models.sort();
        models
    }

    /// The differences between the captured answer and ours, apart from those listed.
    pub(crate) fn differences(&self, ours: &Answer) -> Vec<String> {
        let mut differences = compare::headers(&self.response["headers"], &ours.headers);
        if self.response["status"] != ours.status.as_u16() {
            differences.push(format!("status: captured {}, ours {}", self.response["status"], ours.status));
        }
        let encoded = ours.headers.contains_key("content-encoding");
        match (&self.response["body"], &self.response["body_text"]) {
            (Value::Null, Value::String(text)) if text == "(static)" => {}
            (Value::Null, Value::String(text)) if text.starts_with("event: ") => {
                differences.extend(compare::streams(&compare::events(text), &compare::events(&ours.text())));
            }
            (Value::Null, Value::String(text)) if *text != ours.text() => {
                differences.push(format!("text: captured {text:?}, ours {:?}", ours.text()));
            }
            // Streams are compared by their events.
            (Value::Null, Value::Null) if self.response["sse"].is_null() && !ours.body.is_empty() => {
                differences.push(format!("a body where there is none: {:?}", ours.text()));
            }
            (Value::Null, _) => {}
            (body, _) if encoded => differences.extend(compare::shape(body, &plain(ours))),
            (body, _) => differences.extend(compare::shape(body, &ours.json())),
        }
        differences.into_iter().map(|difference| format!("{}: {difference}", self.name)).collect()
    }
}

/// The JSON in an encoded answer: the stand-in's gzip stores its text, so it is there between a head of 15 bytes and a
/// tail of 8.
fn plain(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-encoding"), "gzip");
    let body = &answer.body;
    serde_json::from_slice(&body[15..body.len() - 8]).expect("JSON inside one stored block")
}

// === impl Lab ===

impl Lab {
    /// As in `base.jsonl`.
    pub(crate) async fn start() -> Lab {
        Lab::with(|_| {}).await
    }

    /// As in `specs.jsonl` or `specs-enforce.jsonl`.
    pub(crate) async fn with_specs(enforce: bool) -> Lab {
        let spec = |name: &str, label: &str, endpoint: &str, model: &str| ModelSpec {
            name: name.to_owned(),
            label: label.to_owned(),
            endpoint: endpoint.to_owned(),
            model: model.to_owned(),
            ..ModelSpec::default()
        };
        let fast = ModelSpec {
            default: true,
            description: Some("the quick one".to_owned()),
            prompt_prefix: Some("Be quick.".to_owned()),
            ..spec("fast", "Fast", "openAI", "gpt-4o-mini")
        };
        let smart = ModelSpec { model_label: Some("Smart".to_owned()), ..spec("smart", "Smart", "openAI", "gpt-4o") };
        let list = vec![fast, smart, spec("room-pro", "Room", "MindRoom", "mindroom-pro")];
        Lab::with(|options| options.model_specs = Some(ModelSpecs { enforce, prioritize: true, list })).await
    }

    /// As in `base.jsonl` and `raw.jsonl` once the first agent was stored.
    pub(crate) async fn with_agent() -> Lab {
        let agent = StoredAgent {
            id: "agent_3jQ3rziVxJnmR5ZaSC0E0".to_owned(),
            name: "Four-O".to_owned(),
            provider: "openAI".to_owned(),
            model: "gpt-4o".to_owned(),
            author: "6b012e4109cc968f8a928bce".to_owned(),
        };
        Lab::with(|options| options.agents = vec![agent]).await
    }

    /// As in `base.jsonl`, with something changed.
    pub(crate) async fn with(change: impl FnOnce(&mut StandInOptions)) -> Lab {
        let admin = person("6b012e4109cc968f8a928bc1", "Admin", "ADMIN");
        let user = person("6b012e4109cc968f8a928bce", "User", "USER");
        let models = exchange(BASE, "068_boot_api_models").response["body"].take();
        let names = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).expect("names") };
        let endpoints = models.as_object().expect("endpoints").iter().map(|(name, list)| Endpoint {
            name: name.clone(),
            models: names(list),
            configured: name == "openAI" || name == "MindRoom",
            custom: name == "MindRoom",
        });
        let mut options = StandInOptions {
            people: vec![admin.clone(), user.clone()],
            catalogue: Catalogue { endpoints: endpoints.collect() },
            ..StandInOptions::default()
        };
        change(&mut options);
        Lab { stand_in: StandIn::start(options).await.expect("a free port"), admin, user }
    }

    /// Sends a captured request, to another path if one is given. Host, cookies and tokens are the stand-in's.
    pub(crate) async fn send(&self, exchange: &Exchange, path: Option<&str>) -> Answer {
        let token = match exchange.who.as_str() {
            "admin" => self.stand_in.token_for(&self.admin),
            _ => self.stand_in.token_for(&self.user),
        };
        self.send_as(exchange, path, &token).await
    }

    /// As [`send`](Self::send), with this token in place of the captured one.
    pub(crate) async fn send_as(&self, exchange: &Exchange, path: Option<&str>, token: &str) -> Answer {
        let pairs = exchange.request["headers"].as_array().expect("headers");
        let headers: Vec<(String, String)> = pairs
            .iter()
            .map(|pair| (pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value")))
            .filter(|(name, value)| {
                let ours = ["host", "content-length"].contains(&name.to_ascii_lowercase().as_str());
                !ours && !value.contains("refreshToken=<jwt>")
            })
            .map(|(name, value)| (name.to_owned(), value.replace("<jwt>", token)))
            .collect();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let path = path.unwrap_or(exchange.path()).replace("<jwt>", token);
        support::request(self.stand_in.addr(), exchange.method(), &path, &headers, exchange.body()).await
    }

    /// An `Authorization` header's value for somebody.
    pub(crate) fn bearer(&self, person: &Person) -> String {
        format!("Bearer {}", self.stand_in.token_for(person))
    }

    /// The models called since the last time, sorted.
    pub(crate) fn called(&self) -> Vec<String> {
        let mut models: Vec<String> = self.stand_in.calls().into_iter().map(|call| call.model).collect();
        self.stand_in.forget();
        models.sort();
        models
    }
}

/// Fails with all differences, one a line.
pub(crate) fn none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
