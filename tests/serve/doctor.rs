//! `tollgate doctor` beside a running Tollgate: what it says of a token is what the proxy does with it.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use jsonwebtoken::Algorithm;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::POLICY;
use crate::mongod::with_mongod;
use crate::support::get;
use crate::world::{World, token};

const LATER: i64 = 4_000_000_000;

/// Runs the doctor with the settings of this world, more arguments and this on its standard input. It is waited for: what it asks has to
/// answer on another thread.
pub(crate) fn doctor(world: &World, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let upstream = format!("http://{}", world.stand_in.addr());
    let at = |name: &str| world.dir.path().join(name).to_str().expect("a path").to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .args(["doctor", "--config", &at("tollgate.yaml"), "--policies", &at("policy"), "--data", &at("data")])
        .args(["--upstream", &upstream])
        .args(arguments)
        .env_clear()
        .env("JWT_SECRET", &world.stand_in.options().jwt_secret)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the doctor");
    child.stdin.take().expect("an input").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("the doctor ends")
}

fn out(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn looked(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", out(output)))
}

/// How something is, by what was looked at.
pub(crate) fn state<'a>(checks: &'a Value, what: &str) -> (&'a str, &'a str) {
    let found = checks.as_array().expect("a list").iter().find(|check| check["what"] == what);
    let found = found.unwrap_or_else(|| panic!("{what} was not looked at: {checks:#}"));
    (found["state"].as_str().expect("a state"), found["found"].as_str().expect("what was found"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_installation_is_told_so_and_each_part_that_is_away_is_named() {
    let world = World::with(POLICY).start().await;
    let good = doctor(&world, &["--format", "json"], &[], "");
    let checks = looked(&good);
    assert_eq!(good.status.code(), Some(0), "{checks:#}");
    for what in ["policy", "JWT_SECRET", "people", "LibreChat", "data directory"] {
        assert_eq!(state(&checks["checks"], what).0, "ok", "{what}: {checks:#}");
    }
    assert_eq!((&checks["token"], &checks["faults"]), (&Value::Null, &json!([])));
    let table = doctor(&world, &[], &[], "");
    assert!(out(&table).starts_with("WHAT "), "{}", out(&table));
    let away = "127.0.0.1:1";
    let mongo = format!("mongodb://somebody:hidden-password@{away}/LibreChat");
    let redis = format!("redis://:hidden-password@{away}/0");
    let file = world.dir.path().join("tollgate.yaml");
    let no_data = file.join("data");
    for (arguments, environment, what) in [
        (vec!["--upstream", "http://127.0.0.1:1"], vec![], "LibreChat"),
        (vec![], vec![("MONGO_URI", mongo.as_str())], "MongoDB"),
        (vec![], vec![("TOLLGATE_REDIS", redis.as_str())], "Redis"),
        (vec!["--data", no_data.to_str().expect("a path")], vec![], "data directory"),
    ] {
        let mut command = vec!["--format", "json"];
        command.extend(&arguments);
        let bad =
            if arguments.is_empty() { doctor(&world, &command, &environment, "") } else { instead(&world, &command) };
        assert!(!out(&bad).contains("hidden-password"), "{}", out(&bad));
        let checks = looked(&bad);
        assert_eq!(bad.status.code(), Some(1), "{what}: {checks:#}");
        assert_eq!(state(&checks["checks"], what).0, "fault", "{what}: {checks:#}");
        let advised = |check: &Value| check["state"] == "ok" || check["advice"].is_string();
        assert!(checks["checks"].as_array().expect("a list").iter().all(advised), "{checks:#}");
    }
    fs::write(world.dir.path().join("policy/policy.yaml"), "version: 1\nrols: {}\n").expect("a policy");
    let bad = doctor(&world, &["--format", "json"], &[], "");
    assert_eq!((bad.status.code(), &looked(&bad)["faults"][0]["code"]), (Some(64), &json!("unknown-key")));
}

/// The doctor with some flags in the place of the world's.
fn instead(world: &World, arguments: &[&str]) -> Output {
    let at = |name: &str| world.dir.path().join(name).to_str().expect("a path").to_owned();
    let (config, policies, data) = (at("tollgate.yaml"), at("policy"), at("data"));
    let upstream = format!("http://{}", world.stand_in.addr());
    let mut all = vec!["doctor", "--config", &config, "--policies", &policies];
    for (flag, value) in [("--data", &data), ("--upstream", &upstream)] {
        if !arguments.contains(&flag) {
            all.extend([flag, value]);
        }
    }
    all.extend(arguments);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(all).env_clear().env("JWT_SECRET", &world.stand_in.options().jwt_secret);
    command.output().expect("the doctor")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_a_token_is_what_the_proxy_does_with_it() {
    let policy = POLICY.replace("version: 1", "version: 1\nblocked: { users: [ann@example.edu] }");
    let world = World::with(&policy).start().await;
    let (bob, ann) = (world.bearer("Bob"), world.bearer("Ann"));
    let (bob, ann) = (bob.trim_start_matches("Bearer ").to_owned(), ann.trim_start_matches("Bearer ").to_owned());
    let secret = &world.stand_in.options().jwt_secret;
    let id = &world.person("Bob").id;
    let signed = |secret: &str, claims: Value| token(Algorithm::HS256, secret, &claims);
    for (name, shown, kind, what, state_of, part, answer, status) in [
        ("good", bob.clone(), "LibreChat's own", "token", "ok", "its signature is good", "what LibreChat", 200),
        ("good", bob.clone(), "LibreChat's own", "person", "ok", id.as_str(), "what LibreChat", 200),
        ("blocked", ann, "LibreChat's own", "policy", "fault", "blocked.users", "403 blocked.users", 403),
        (
            "ended",
            signed(secret, json!({"id": id, "exp": 1_600_000_000})),
            "LibreChat's own",
            "token",
            "fault",
            "it ended ",
            "401 identity.expired",
            401,
        ),
        (
            "another secret",
            signed("another secret than LibreChat's own", json!({"id": id, "exp": LATER})),
            "LibreChat's own",
            "token",
            "fault",
            "not made with the JWT_SECRET",
            "401 identity.signature",
            401,
        ),
        (
            "nobody",
            signed(secret, json!({"id": "000000000000000000000001", "exp": LATER})),
            "LibreChat's own",
            "person",
            "fault",
            "no user 000000000000000000000001",
            "401 identity.no-user",
            401,
        ),
        (
            "a provider's",
            jsonwebtoken_of_somebody_else(),
            "an identity provider",
            "token",
            "fault",
            "none is configured",
            "401 identity.",
            401,
        ),
        (
            "garbage",
            "garbage".to_owned(),
            "no token",
            "token",
            "fault",
            "cannot be read",
            "401 identity.malformed",
            401,
        ),
        ("a key", format!("sk-{}", "0".repeat(64)), "a key", "key", "fault", "not configured", "403 surface", 401),
    ] {
        let asked = doctor(&world, &["--token", "-", "--format", "json"], &[], &shown);
        let told = looked(&asked);
        let token = &told["token"];
        assert!(token["kind"].as_str().is_some_and(|found| found.contains(kind)), "{name}: {told:#}");
        let (found_state, found) = state(&token["checks"], what);
        assert_eq!(found_state, state_of, "{name}: {told:#}");
        assert!(found.contains(part), "{name}: {told:#}");
        assert!(token["answer"].as_str().is_some_and(|found| found.starts_with(answer)), "{name}: {told:#}");
        assert_eq!(asked.status.code(), Some(i32::from(status != 200)), "{name}: {told:#}");
        // The proxy itself.
        let bearer = format!("Bearer {shown}");
        let proxied = get(world.addr, "/api/models", &[("authorization", &bearer)]).await;
        assert_eq!(proxied.status.as_u16(), status, "{name}: {}", proxied.text());
        let human = doctor(&world, &["--token", "-"], &[], &bearer);
        assert!(name == "garbage" || !out(&human).contains(&shown), "{name}: the token is printed");
        assert!(name == "garbage" || !told.to_string().contains(&shown), "{name}: the token is printed");
    }
    // From a file, and as lines of a head; a file without a token is said to be one.
    let file = world.dir.path().join("token.txt");
    fs::write(&file, format!("Authorization: Bearer {bob}\nCookie: a=b\n")).expect("a file");
    let asked = doctor(&world, &["--token", file.to_str().expect("a path"), "--format", "json"], &[], "");
    let told = looked(&asked);
    assert_eq!(told["token"]["person"]["policy"]["role"], "USER", "{told:#}");
    fs::write(&file, "Cookie: secret=value\n").expect("a file");
    let asked = doctor(&world, &["--token", file.to_str().expect("a path")], &[], "");
    assert_eq!(asked.status.code(), Some(64));
    assert!(out(&asked).contains("there is no token in it") && !out(&asked).contains("value"), "{}", out(&asked));
}

/// A token that says that it is signed by a provider's key.
fn jsonwebtoken_of_somebody_else() -> String {
    "eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9.eyJpc3MiOiJodHRwczovL2lkcC50ZXN0In0.c2lnbmF0dXJl".to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongodb_is_looked_into_and_migrate_tells_what_it_overrides() {
    with_mongod(async |mongod| {
        let world = World::with(POLICY).start().await;
        let environment = [("MONGO_URI", mongod.uri.as_str())];
        let checks = looked(&doctor(&world, &["--format", "json"], &environment, ""));
        let (found_state, found) = state(&checks["checks"], "MongoDB");
        assert!(found_state == "ok" && found.contains("users") && found.contains("agents"), "{checks:#}");
        assert_eq!(state(&checks["checks"], "clock").0, "ok", "{checks:#}");
        let empty = mongod.uri.replace("/librechat_", "/empty_librechat_");
        let checks = looked(&doctor(&world, &["--format", "json"], &[("MONGO_URI", empty.as_str())], ""));
        assert_eq!(state(&checks["checks"], "MongoDB").0, "warning", "{checks:#}");
        let configs = mongod.librechat.collection::<Document>("configs");
        let override_of = |whom: &str, active: bool| {
            doc! {"principalType": "role", "principalId": whom, "priority": 10, "isActive": active,
            "overrides": {"interface": {"agents": false}, "modelSpecs": {"list": []}}}
        };
        let broken = doc! {"_id": "half", "principalType": "user", "overrides": "interface", "isActive": true};
        configs.insert_many([override_of("USER", true), override_of("STAFF", false), broken]).await.expect("configs");
        let file = world.dir.path().join("librechat.yaml");
        fs::write(&file, "roles: { USER: { endpoints: { openAI: { models: [gpt-4o-mini] } } } }\n").expect("a file");
        let to = world.dir.path().join("made");
        let ended = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["migrate", file.to_str().expect("a path"), "--mongo", "--to", to.to_str().expect("a path")])
            .env_clear()
            .envs(environment)
            .output()
            .expect("it runs");
        let told = out(&ended);
        assert_eq!(ended.status.code(), Some(0), "{told}");
        for line in [
            "configs: role USER overrides interface, modelSpecs",
            "configs: role STAFF overrides interface, modelSpecs (not active)",
            "configs: the document with the _id half is broken: \"principalId\" is no text and no id, \"overrides\" is no object; mend or remove it",
            "balances: 0 have one",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
    })
    .await;
}
