//! `tollgate audit` and `tollgate usage`: the real program reads the record out of both stores, and out of files.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::record::Line;
use tollgate::record::chain::Chain;
use tollgate::record::heads::Signer;
use tollgate::store::embedded::Embedded;
use tollgate::store::mongo::Mongo;
use tollgate::store::{Ledger, Person};
use uuid::Uuid;

use crate::mongod::with_mongod;

mod erase;
mod examples;
mod export;
mod people;
mod report;
mod sums;
mod tail;
mod unsigned;
mod verify;

/// Two people whom both directories know.
pub(crate) const USER: &str = "6b012e4109cc968f8a928bce";
pub(crate) const VIEWER: &str = "6b012e6f09cc968f8a929249";

/// A store with a record in it, and settings that name it.
pub(crate) struct Scene {
    /// For files; `data` in it is the data directory.
    pub(crate) dir: TempDir,
    /// The store, as a running Tollgate has it.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// Its name as a sink.
    pub(crate) sink: &'static str,
    environment: Vec<(&'static str, String)>,
    own: Option<mongodb::Database>,
}

/// Runs a story once with the embedded store and once with MongoDB.
pub(crate) async fn with_stores(story: impl AsyncFn(&Scene)) {
    story(&Scene::embedded()).await;
    with_mongod(async |mongod| {
        let ledger = Mongo::connect(&mongod.uri, mongod.own.name()).await.unwrap();
        let settings = format!("mongo: {{ database: {} }}\n", mongod.own.name());
        let scene = Scene::with(tempfile::tempdir().unwrap(), Arc::new(ledger), "mongo", &settings);
        let environment = [scene.environment, vec![("MONGO_URI", mongod.uri.clone())]].concat();
        let scene = Scene { environment, own: Some(mongod.own.clone()), ..scene };
        story(&scene).await;
    })
    .await;
}

// === impl Scene ===

impl Scene {
    /// A record in an embedded store.
    pub(crate) fn embedded() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(&dir.path().join("data")).unwrap();
        for (id, email) in [(USER, "user@lab.test"), (VIEWER, "viewer@lab.test")] {
            let person = Person { id: id.into(), email: Some(email.into()), role: Some("USER".into()), groups: vec![] };
            store.put_person(&person).unwrap();
        }
        Self::with(dir, Arc::new(store), "embedded", "")
    }

    fn with(dir: TempDir, ledger: Arc<dyn Ledger>, sink: &'static str, settings: &str) -> Self {
        let data = dir.path().join("data");
        let yaml =
            format!("records: {{ sinks: [stdout, {sink}] }}\nstore: {{ embedded: {} }}\n{settings}", data.display());
        let file = dir.path().join("tollgate.yaml");
        fs::write(&file, yaml).unwrap();
        let environment = vec![("TOLLGATE_CONFIG", file.to_str().unwrap().to_owned())];
        Self { dir, ledger, sink, environment, own: None }
    }

    /// Tollgate's own database, where the record is on MongoDB.
    pub(crate) fn mongo(&self) -> Option<&mongodb::Database> {
        self.own.as_ref()
    }

    /// The settings file.
    pub(crate) fn settings(&self) -> PathBuf {
        self.dir.path().join("tollgate.yaml")
    }

    /// The program with these arguments, and with the settings that name the store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("TZ", "Europe/Berlin").current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What the program prints; it must end well.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.status.code(), Some(0), "{} {arguments:?}: {}", self.sink, err(&ended));
        out(&ended)
    }

    /// A key in the data directory, as a running Tollgate makes it.
    pub(crate) fn signer(&self) -> Signer {
        let records = self.dir.path().join("data/records");
        fs::create_dir_all(&records).unwrap();
        let signer = Signer::open_or_make(&records.join("signing.key")).unwrap();
        signer.publish(&records.join("signing.pub")).unwrap();
        signer
    }

    /// Keeps entries as one instance of Tollgate does: chained, with a head after every tenth and at the end.
    pub(crate) async fn keep_chained(&self, instance: u128, entries: &[Line]) -> Vec<Line> {
        let lines = self.chained(instance, entries);
        self.keep(&lines).await;
        lines
    }

    /// The same lines, kept by nobody yet.
    pub(crate) fn chained(&self, instance: u128, entries: &[Line]) -> Vec<Line> {
        let signer = self.signer();
        let mut chain = Chain::new(Uuid::from_u128(instance));
        let mut lines = Vec::new();
        for part in entries.chunks(10) {
            lines.extend(part.iter().map(|entry| chain.link(entry).unwrap()));
            let at = part.last().unwrap().at;
            lines.push(chain.head(&signer, Uuid::from_u128(instance << 64 | lines.len() as u128), at).unwrap());
        }
        lines
    }

    /// Appends lines.
    pub(crate) async fn keep(&self, lines: &[Line]) {
        self.ledger.append(lines).await.unwrap();
        // The sums by day, too, as a running Tollgate does.
        while self.ledger.add_up(jiff::Timestamp::UNIX_EPOCH).await.unwrap() {}
    }
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The texts of lines, one a line.
pub(crate) fn texts<'a>(lines: impl IntoIterator<Item = &'a Line>) -> String {
    lines.into_iter().map(|line| format!("{}\n", line.text)).collect()
}

/// The n-th refusal, n seconds after eight on 21 November 2026, with these members in place of its own; null takes one away.
pub(crate) fn refusal(n: u32, members: Value) -> Line {
    entry(
        "audit",
        n,
        json!({
            "userId": USER, "role": "USER", "action": "chat.turn", "category": "SECURITY", "severity": "WARNING",
            "decision": "deny", "rules": ["roles.USER.endpoints.openAI.models"], "policyRevision": "0123456789ab",
            "details": {
                "ip": "192.0.2.7", "userAgent": "story", "method": "POST", "path": "/api/agents/chat/openAI",
                "response": {"status": 403, "message": "No.", "time": 0.5},
            },
            "metadata": {"endpoint": "openAI", "model": "gpt-4o"},
        }),
        members,
    )
}

/// The n-th turn, likewise.
pub(crate) fn turn(n: u32, members: Value) -> Line {
    entry(
        "usage",
        n,
        json!({
            "userId": USER, "role": "USER", "endpoint": "openAI", "model": "gpt-4o-mini", "outcome": "started",
            "status": 200, "requestBytes": 339, "time": 34.1,
            "tokens": {"input": 1200, "cachedInput": 1024, "cacheWrite": 0, "output": 340}, "cost": "0.0004608",
            "source": "transactions", "settled": "2026-11-21T09:00:00Z",
        }),
        members,
    )
}

fn entry(kind: &str, n: u32, own: Value, members: Value) -> Line {
    let id = Uuid::from_u128(u128::from(n) << 8 | u128::from(kind == "usage"));
    let mut entry = json!({"kind": kind, "_id": id, "requestId": Uuid::from_u128(n.into()), "timestamp": at(n)});
    let object = entry.as_object_mut().unwrap();
    for more in [own, members] {
        object.extend(more.as_object().unwrap().clone());
    }
    object.retain(|_, value| !value.is_null());
    Line::read(&entry.to_string()).unwrap()
}

/// n seconds after eight on 21 November 2026 (UTC).
pub(crate) fn at(n: u32) -> String {
    let eight: jiff::Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    (eight + jiff::SignedDuration::from_secs(n.into())).to_string()
}

/// Thirty entries: refusals and turns of two people, two grave ones among them.
pub(crate) fn thirty() -> Vec<Line> {
    let line = |n: u32| match n % 6 {
        0 => turn(n, json!({})),
        1 => turn(n, json!({"userId": VIEWER, "role": "VIEWER", "model": "gpt-4o", "cost": "0.25", "groups": ["lab"]})),
        2 => refusal(n, json!({"userId": VIEWER})),
        3 if n == 9 => refusal(n, json!({"severity": "CRITICAL", "category": "SYSTEM", "action": "request"})),
        3 if n == 15 => refusal(n, json!({"severity": "ERROR", "category": "SYSTEM"})),
        4 => refusal(n, json!({"decision": "allow", "severity": "INFO", "category": "API", "rules": []})),
        _ => refusal(n, json!({})),
    };
    (0..30).map(line).collect()
}

/// Those of these lines that are of one kind.
pub(crate) fn of_kind(lines: &[Line], kind: &str) -> Vec<Line> {
    lines.iter().filter(|line| line.kind.as_str() == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_says_what_to_do() {
    let scene = Scene::embedded();
    let nowhere = scene.dir.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    for (arguments, code, told) in [
        (vec!["audit"], 64, "Usage: tollgate audit"),
        (vec!["audit", "tail", "--severity", "grave"], 64, "warning"),
        (vec!["audit", "tail", "--user", "ann"], 64, "24 hex digits"),
        (vec!["audit", "tail", "--since", "soon"], 64, "--since soon: no moment"),
        (vec!["audit", "tail", "--since", "1h", "--until", "2h"], 64, "--since is not before --until"),
        (vec!["audit", "tail", "--kind", "usage", "--decision", "deny"], 64, "only audit entries have what --decision"),
        (vec!["audit", "tail", "--data", nowhere], 1, "there is no store in"),
        (vec!["audit", "tail", "--sink", "mongo"], 64, "no MongoDB is configured"),
        (vec!["audit", "tail", "--config", nowhere], 64, "the settings file cannot be read"),
        (vec!["audit", "tail", "--user", "nobody@lab.test"], 1, "nobody in the directory has the address"),
        (vec!["audit", "export", "--format", "csv", "--kind", "head"], 64, "signed heads are no table"),
        (vec!["audit", "export", "--format", "csv", "--kind", "audit", "--kind", "usage"], 64, "of one kind"),
        (vec!["audit", "export", "--file", nowhere], 1, "nowhere cannot be read"),
        (vec!["audit", "export", "--out", "tollgate.yaml"], 1, "is there already"),
        (vec!["audit", "verify"], 1, "signing.pub cannot be read"),
        (vec!["audit", "verify", "--head", "7:1"], 64, "INSTANCE:NUMBER:HASH"),
        (vec!["audit", "erase", USER], 64, "--reason"),
        (vec!["audit", "erase", USER, "--reason", "asked"], 1, "there is no signing key"),
        (vec!["usage", "report", "--by", "week"], 64, "invalid value 'week'"),
        (vec!["usage", "report", "--by", "model", "--source", "days"], 64, "daily sums do not know --by"),
    ] {
        let ended = scene.run(&arguments);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {}", err(&ended));
        assert!(err(&ended).contains(told), "{arguments:?}: {}", err(&ended));
        assert_eq!(out(&ended), "", "{arguments:?}: standard output is for results");
    }
    assert!(!fs::exists(nowhere).unwrap(), "a mistyped directory is not made");
    let mut stdout = scene.command(&["audit", "tail"]);
    let ended = stdout.env("TOLLGATE_RECORDS", "stdout").output().unwrap();
    assert_eq!(ended.status.code(), Some(64));
    assert!(err(&ended).contains("name one with --sink or --data"), "{}", err(&ended));
}
