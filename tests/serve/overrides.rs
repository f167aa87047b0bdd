//! Overrides: set by the command line, in force on all replicas within a second, through outages, and known to the record.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::counters::{Server, without_redis};
use crate::mongo::{Relay, Way, server_of, through, with_directory};
use crate::mongod::with_mongod;
use crate::support::{Answer, get, post_json};
use crate::world::World;

/// The captured user, whom LibreChat's database knows as a USER.
const USER: &str = "6b012e4109cc968f8a928bce";

const POLICY: &str = "version: 1
roles:
  USER:
    endpoints: { openAI: { models: [gpt-4o-mini] } }
    limits:
      - { id: user-day, requests: 2, per: user, window: 30d }
  ADMIN: { unrestricted: true, limits: none }
";

/// Within so much a change is in force, wherever it is.
const SOON: Duration = Duration::from_secs(1);

/// `tollgate overrides` beside this Tollgate, with what it reads on standard input.
fn overrides(world: &World, variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
    let path = |name: &str| world.dir.path().join(name).to_str().expect("a path").to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .arg("overrides")
        .args(["--config", &path("tollgate.yaml"), "--policies", &path("policy"), "--data", &path("data")])
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tollgate program");
    child.stdin.take().expect("standard input").write_all(input.as_bytes()).expect("a reader");
    child.wait_with_output().expect("an end")
}

/// Runs it, which must end well, and gives what it prints as JSON.
pub(crate) fn done(world: &World, variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Value {
    let ended = overrides(world, variables, &[arguments, &["--format", "json"]].concat(), input);
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {told}");
    if ended.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&ended.stdout).expect("JSON") }
}

async fn models(world: &World, who: &str) -> Value {
    get(world.addr, "/api/models", &[("authorization", &world.bearer(who))]).await.json()["openAI"].clone()
}

async fn say(world: &World, who: &str, model: &str) -> Answer {
    let body = json!({"text": "hi", "endpoint": "openAI", "model": model, "conversationId": null});
    post_json(world.addr, "/api/agents/chat/openAI", &[("authorization", &world.bearer(who))], &body).await
}

async fn told(world: &World) -> Value {
    get(world.admin, "/readyz", &[]).await.json()["policy"].clone()
}

/// Waits until this holds everywhere, and says how long that took.
async fn everywhere(worlds: &mut [World], what: &str, holds: impl AsyncFn(&World) -> bool) -> Duration {
    let begun = Instant::now();
    for world in worlds {
        world.until(what, async |world| holds(world).await).await;
    }
    begun.elapsed()
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures are to be read")]
async fn an_override_is_in_force_on_three_replicas_within_a_second_and_after_outages() {
    if without_redis() {
        return;
    }
    with_mongod(async |mongod| {
        let relay = Relay::to(server_of(&mongod.uri)).await;
        let mut redis = Server::start();
        let mut worlds = Vec::new();
        for _ in 0..3 {
            let plan = with_directory(POLICY, mongod, &through(&relay, &mongod.uri))
                .settings("identity: { cache: 100ms }\nbalance: { check: off }")
                .variable("TOLLGATE_REPLICAS", "3")
                .variable("TOLLGATE_REDIS", &redis.uri());
            worlds.push(plan.start().await);
        }
        // Whoever changes something reaches MongoDB by another way.
        let variables = [("MONGO_URI", mongod.uri.as_str())];
        let set = |worlds: &[World], models: &str| {
            let text = format!("endpoints: {{ openAI: {{ models: [{models}] }} }}");
            let arguments = ["set", "user", USER, "--file", "-", "--sink", "mongo"];
            done(&worlds[0], &variables, &arguments, &text)["configVersion"].as_u64().expect("a version")
        };
        let shows = |list: Value| async move |world: &World| models(world, "User").await == list;
        let files = told(&worlds[0]).await["revision"].as_str().expect("a revision").to_owned();
        assert_eq!(models(&worlds[0], "User").await, json!(["gpt-4o-mini"]));

        set(&worlds, "gpt-4o");
        let took = everywhere(&mut worlds, "it is in force", shows(json!(["gpt-4o-mini", "gpt-4o"]))).await;
        println!("on three replicas after {} ms", took.as_millis());
        assert!(took < SOON, "{took:?}");
        for world in &worlds {
            let refused = say(world, "User", "o1").await.json();
            assert_eq!(refused["info"], "openAI|o1", "{refused}");
        }
        let allowed = say(&worlds[1], "User", "gpt-4o").await;
        assert_eq!(allowed.status, 200, "{}", allowed.text());

        // Both are gone; a change is made meanwhile.
        relay.set(Way::Cut);
        redis.kill();
        let stale = async |world: &World| world.metric("tollgate_overrides_stale").await == "1";
        everywhere(&mut worlds, "the overrides cannot be read", stale).await;
        let second = told(&worlds[0]).await;
        assert!(second["overrides"]["staleSince"].is_string(), "{second}");
        assert_eq!(second["overrides"]["inForce"], 1, "what was read last stays in force: {second}");
        set(&worlds, "o1");
        redis.start_empty();
        relay.set(Way::Open);
        let before = second["revision"].clone();
        let other = async |world: &World| told(world).await["revision"] != before;
        let took = everywhere(&mut worlds, "the change is in force", other).await;
        println!("after both outages after {} ms", took.as_millis());
        assert!(took < SOON, "{took:?}");
        everywhere(&mut worlds, "it is shown", shows(json!(["gpt-4o-mini", "o1"]))).await;

        // Switched off, on again, and removed.
        for (command, list) in [
            ("disable", json!(["gpt-4o-mini"])),
            ("enable", json!(["gpt-4o-mini", "o1"])),
            ("remove", json!(["gpt-4o-mini"])),
        ] {
            done(&worlds[0], &variables, &[command, "user", USER, "--sink", "mongo"], "");
            let took = everywhere(&mut worlds, command, shows(list)).await;
            println!("{command} after {} ms", took.as_millis());
            assert!(took < SOON, "{command}: {took:?}");
        }
        everywhere(&mut worlds, "the files alone are in force", async |world| {
            told(world).await["revision"] == files.as_str()
        })
        .await;

        // Each entry names a policy that the record explains.
        let changes = mongod.own.collection::<Document>("audit");
        let mut recorded = BTreeSet::new();
        for version in 1..=4_i64 {
            let told = doc! {"action": "overrides.set", "category": "ADMIN", "about.after.configVersion": version};
            let found = changes.count_documents(told).await.expect("an answer");
            assert_eq!(found, 1, "version {version}");
            recorded.insert(version.unsigned_abs());
        }
        for world in &mut worlds {
            let last = |entry: &Value| entry["action"] == "overrides.taken" && entry["about"]["inForce"] == 0;
            world.until("all is written", async |world| world.record().iter().any(last)).await;
            explained(&world.record(), &files, &recorded);
        }
    })
    .await;
}

/// The revision of each decision is that of the files, or one that an event before it has explained with versions that were recorded when
/// they were made.
fn explained(entries: &[Value], files: &str, recorded: &BTreeSet<u64>) {
    let mut known: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::from([(files.to_owned(), BTreeMap::new())]);
    let mut beside_files = 0;
    let events = entries.iter().filter(|entry| entry["action"] == "overrides.taken");
    for event in events {
        let from = event["about"]["from"].as_str().expect("a revision");
        let mut versions = known.get(from).unwrap_or_else(|| panic!("{from} is not explained")).clone();
        for changed in event["about"]["changed"].as_array().expect("a list") {
            let id = changed["principal"]["id"].as_str().expect("an id").to_owned();
            match changed["configVersion"].as_u64() {
                Some(version) => {
                    assert!(recorded.contains(&version), "{changed}");
                    versions.insert(id, version);
                }
                None => assert!(versions.remove(&id).is_some(), "{changed}"),
            }
        }
        assert_eq!(event["about"]["inForce"], versions.len(), "{event}");
        known.insert(event["policyRevision"].as_str().expect("a revision").to_owned(), versions);
    }
    for entry in entries.iter().filter(|entry| entry["requestId"].is_string() && entry["policyRevision"].is_string()) {
        let revision = entry["policyRevision"].as_str().expect("a revision");
        assert!(known.contains_key(revision), "{revision} of {entry} is not explained: {known:?}");
        beside_files += usize::from(revision.contains('+'));
    }
    assert!(known.len() >= 3, "{known:?}");
    assert!(beside_files > 0, "some were decided while an override was in force");
}

#[tokio::test]
async fn a_limit_that_is_raised_for_one_user_keeps_what_was_used() {
    let mut world = World::with(POLICY).start().await;
    let bob = world.person("Bob").id.clone();
    let mine = async |world: &World| {
        let answer = get(world.addr, "/api/v1/me/limits", &[("authorization", &world.bearer("Bob"))]).await.json();
        let limits = answer["limits"].as_array().expect("a list").clone();
        limits.into_iter().find(|limit| limit["id"] == "user-day").expect("the limit")
    };
    for _ in 0..2 {
        assert_eq!(say(&world, "Bob", "gpt-4o-mini").await.status, 200);
    }
    let refused = say(&world, "Bob", "gpt-4o-mini").await;
    assert_eq!((refused.status.as_u16(), &refused.json()["rule"]), (429, &json!("roles.USER.limits.user-day")));
    let text = "limits: { user-day: { requests: 3 } }";
    done(&world, &[], &["set", "user", &bob, "--file", "-", "--note", "thesis"], text);
    world.until("the limit is raised", async |world| mine(world).await["limit"] == 3).await;
    let raised = mine(&world).await;
    assert_eq!(raised["used"], 2, "{raised}");
    assert_eq!(say(&world, "Bob", "gpt-4o-mini").await.status, 200);
    let refused = say(&world, "Bob", "gpt-4o-mini").await;
    let rule = format!("overrides.user.{bob}.limits.user-day");
    assert_eq!((refused.status.as_u16(), &refused.json()["rule"]), (429, &json!(rule)), "{}", refused.text());
    let entry = world.entry_of(&refused.json()).await;
    assert_eq!(entry["rules"], json!([rule]));
    assert!(entry["policyRevision"].as_str().expect("a revision").contains('+'), "{entry}");
    done(&world, &[], &["remove", "user", &bob], "");
    world.until("it is as before", async |world| mine(world).await["limit"] == 2).await;
    assert_eq!(mine(&world).await["used"], 3, "what was used stays used");
}

#[tokio::test]
async fn an_override_ends_at_its_moment() {
    let mut world = World::with(POLICY).start().await;
    let bob = world.person("Bob").id.clone();
    let text = "endpoints: { openAI: { models: [gpt-4o] } }";
    done(&world, &[], &["set", "user", &bob, "--file", "-", "--until", "3s"], text);
    world.until("it is in force", async |world| models(world, "Bob").await == json!(["gpt-4o-mini", "gpt-4o"])).await;
    world.until("it is over", async |world| models(world, "Bob").await == json!(["gpt-4o-mini"])).await;
    assert_eq!(world.metric("tollgate_overrides{state=\"inactive\"}").await, "1");
}

#[tokio::test]
async fn files_that_an_override_does_not_fit_wait_and_at_a_start_it_refuses() {
    let mut world = World::with(POLICY).start().await;
    let bob = world.person("Bob").id.clone();
    done(&world, &[], &["set", "user", &bob, "--file", "-"], "limits: { user-day: { requests: 9 } }");
    done(&world, &[], &["set", "role", "USER", "--file", "-"], "endpoints: { openAI: { models: [gpt-4o] } }");
    let both = json!(["gpt-4o-mini", "gpt-4o"]);
    world.until("both are in force", async |world| told(world).await["overrides"]["inForce"] == 2).await;
    let file = world.dir.path().join("policy/policy.yaml");
    std::fs::write(&file, POLICY.replace("user-day", "each-day")).expect("a written file");
    world.until("the files are not taken", async |world| told(world).await["stale"].is_object()).await;
    let stale = told(&world).await["stale"].to_string();
    assert!(stale.contains(&format!("user {bob}")) && stale.contains("would set an override aside"), "{stale}");
    assert_eq!(get(world.admin, "/readyz", &[]).await.status, 200);
    assert_eq!(world.metric("tollgate_policy_stale").await, "1");
    assert_eq!(world.metric("tollgate_overrides{state=\"in_force\"}").await, "2");
    assert_eq!(models(&world, "Bob").await, both, "both stay in force");
    let ended = overrides(&world, &[], &["check"], "");
    assert_eq!(ended.status.code(), Some(64), "checked against the files as they are now");
    // Switching it off is never refused, and the files come into force.
    done(&world, &[], &["disable", "user", &bob], "");
    world.until("the files are taken", async |world| told(world).await["stale"].is_null()).await;
    assert_eq!(told(&world).await["overrides"]["inForce"], 1);
    let refused = overrides(&world, &[], &["enable", "user", &bob], "");
    assert_eq!(refused.status.code(), Some(64), "{}", String::from_utf8_lossy(&refused.stderr));
    assert_eq!(say(&world, "Bob", "gpt-4o-mini").await.status, 200);
    // Somebody switches it on again by hand.
    let store = rusqlite::Connection::open(world.dir.path().join("data/tollgate.db")).expect("the store");
    let on = "UPDATE overrides SET is_active = 1, config_version = config_version + 100 WHERE id = ?1";
    assert_eq!(store.execute(on, [&bob]).expect("a change"), 1);
    world.until("it is set aside", async |world| told(world).await["overrides"]["faulty"] != json!([])).await;
    let refused = say(&world, "Bob", "gpt-4o-mini").await;
    let rule = format!("overrides.user.{bob}.faulty");
    assert_eq!((refused.status.as_u16(), &refused.json()["rule"]), (403, &json!(rule)), "{}", refused.text());
    assert_eq!(world.metric("tollgate_overrides{state=\"faulty\"}").await, "1");
    assert!(world.log().contains("is set aside"), "{}", world.log());
    done(&world, &[], &["remove", "user", &bob], "");
    world.until("nobody is refused", async |world| told(world).await["overrides"]["faulty"] == json!([])).await;
    assert_eq!(say(&world, "Bob", "gpt-4o-mini").await.status, 200);
}

#[tokio::test]
async fn before_the_overrides_are_known_nobody_is_judged() {
    with_mongod(async |mongod| {
        let relay = Relay::to(server_of(&mongod.uri)).await;
        relay.set(Way::Cut);
        let plan = with_directory(POLICY, mongod, &through(&relay, &mongod.uri));
        let mut world = plan.settings("identity: { cache: 100ms }\nbalance: { check: off }").unready().await;
        let ready = get(world.admin, "/readyz", &[]).await;
        assert_eq!((ready.status.as_u16(), &ready.json()["policy"]["overrides"]["read"]), (503, &json!(false)));
        let refused = say(&world, "User", "gpt-4o-mini").await;
        assert_eq!((refused.status.as_u16(), &refused.json()["rule"]), (503, &json!("directory.down")));
        assert!(world.reached().is_empty());
        relay.set(Way::Open);
        world.until("it is ready", async |world| get(world.admin, "/readyz", &[]).await.status == 200).await;
        assert_eq!(models(&world, "User").await, json!(["gpt-4o-mini"]));
    })
    .await;
}
