//! `tollgate explain` for people of the directory, beside a running Tollgate, and under another policy: the real program, with the real
//! stores.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::agents::{put, with_agents};
use crate::audit::{Scene, USER, VIEWER, err, out, refusal, texts, with_stores};
use crate::doctor::{doctor, looked, state};
use crate::limits::together::redis;
use crate::mongod::{Mongod, fill, with_mongod};
use crate::overrides::done;
use crate::support::{get, post_json};
use crate::world::World;

const LIST: &str = "roles.USER.endpoints.openAI.models";

/// The program beside a running installation, with the same files.
fn beside(world: &World, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let of = |name: &str| world.dir.path().join(name).to_str().unwrap().to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments).args(["--config", &of("tollgate.yaml"), "--policies", &of("policy")]);
    command.env_clear().env("TOLLGATE_DATA", of("data")).env("TZ", "UTC").envs(variables.iter().copied());
    command.output().unwrap()
}

fn json_of(ended: &Output) -> Value {
    assert_eq!(ended.status.code(), Some(0), "{}", err(ended));
    serde_json::from_str(&out(ended)).unwrap()
}

async fn mine(world: &World, who: &str) -> Value {
    get(world.addr, "/api/v1/me/limits", &[("authorization", &world.bearer(who))]).await.json()
}

async fn say(world: &World, who: &str, body: Value) -> u16 {
    let headers = [("authorization", &*world.bearer(who))];
    post_json(world.addr, "/api/agents/chat/openAI", &headers, &body).await.status.as_u16()
}

/// Everything that is in a Redis, with what is kept of each key.
async fn contents(uri: &str) -> Vec<(String, Vec<u8>)> {
    let client = redis::Client::open(uri).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    keys.sort_unstable();
    let mut all = Vec::new();
    for key in keys {
        let kept: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query_async(&mut connection).await.unwrap();
        all.push((key, kept.unwrap_or_default()));
    }
    all
}

/// What is used is what the caller is told by `GET /api/v1/me/limits`, from counters in memory and in Redis, and looking changes nothing.
#[tokio::test]
async fn limits_stand_as_their_owner_sees_them_and_looking_changes_nothing() {
    let id = format!("t-{}", uuid::Uuid::now_v7().simple());
    let policy = format!(
        "version: 1\nroles:\n  USER:\n    unrestricted: true\n    limits:\n      - {{ id: {id}, requests: 5, per: user, window: month }}\n      \
         - {{ id: {id}-quiet, messages: 1, per: user, window: month, mode: shadow }}\n"
    );
    let stores = [None, redis()];
    for redis in &stores {
        let plan = World::with(&policy).settings("timeouts: { limits: 10s }");
        let mut world = redis.iter().fold(plan, |plan, redis| plan.variable("TOLLGATE_REDIS", redis)).start().await;
        let counted = async |world: &mut World| mine(world, "Bob").await["limits"].is_array();
        world.until("limits are counted", counted).await;
        let turn = || json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null});
        for _ in 0..3 {
            assert_eq!(say(&world, "Bob", turn()).await, 200);
        }
        let settled = async |world: &mut World| mine(world, "Bob").await["limits"][0]["used"] == 3;
        world.until("three are used", settled).await;
        // What is settled is on the counters by then, and nobody changes them any more.
        let written = async |world: &mut World| {
            world.entries().iter().filter(|entry| entry["kind"] == "usage" && entry["settled"].is_string()).count() == 3
        };
        world.until("three turns are settled", written).await;
        let told = mine(&world, "Bob").await;
        let variables: Vec<(&str, &str)> = redis.iter().map(|redis| ("TOLLGATE_REDIS", redis.as_str())).collect();
        let journal = || fs::read(world.dir.path().join("data/counters.journal")).unwrap_or_default();
        let (kept, before) = match redis {
            Some(redis) => {
                (contents(redis).await.into_iter().filter(|(key, _)| key.contains(&id)).collect(), Vec::new())
            }
            None => (Vec::new(), journal()),
        };
        let bob = world.person("Bob").email.clone();
        let shown = json_of(&beside(&world, &variables, &["explain", "--user", &bob, "--format", "json"]));
        assert_eq!(shown["use"]["limits"], told["limits"], "the arithmetic is one");
        assert_eq!(
            (&shown["use"]["limits"][0]["used"], &shown["use"]["limits"][1]["mode"]),
            (&json!(3), &json!("shadow"))
        );
        assert_eq!((&shown["user"], &shown["role"]), (&json!(bob), &json!("USER")));
        let table = out(&beside(&world, &variables, &["explain", "--user", &bob]));
        assert!(table.contains(&format!("\n{id}")) && table.contains("Used now, by "), "{table}");
        match redis {
            Some(redis) => {
                let after: Vec<_> = contents(redis).await.into_iter().filter(|(key, _)| key.contains(&id)).collect();
                assert!(!kept.is_empty() && kept == after, "the keys are as they were");
            }
            None => assert_eq!(before, journal(), "the journal is as it was"),
        }
    }
}

#[tokio::test]
async fn what_is_not_known_is_said() {
    let scene = Scene::embedded();
    let policies = scene.dir.path().join("policy");
    fs::create_dir(&policies).unwrap();
    let limit = "limits: [{ id: day, requests: 1, per: user, window: day }]\n";
    fs::write(policies.join("p.yaml"), format!("version: 1\n{limit}")).unwrap();
    let explain = |more: &[&str]| scene.run(&[&["explain", "--policies", "policy"], more].concat());
    let never = explain(&["--user", USER]);
    assert_eq!(never.status.code(), Some(1), "{}", out(&never));
    assert!(out(&never).contains("What is used cannot be read: there are no counters in "), "{}", out(&never));
    assert!(out(&never).contains("limits.day"), "all else is shown: {}", out(&never));
    for (more, code, told) in [
        (&["--user", "nobody@lab.test"][..], 1, "nobody in the directory has the address"),
        (&["--user", "0123456789abcdef01234567"], 1, "nobody in the directory has the id"),
        (&["--user", "ann"], 1, "the embedded directory knows no names of users"),
        (&["--user", USER, "--what-if", "policy"], 64, "cannot be used with"),
        (&["--since", "1d"], 64, "--what-if"),
        (&["--what-if", "nowhere"], 64, "nowhere"),
        (&["--user", USER, "--librechat", "nowhere.yaml"], 64, "nowhere.yaml"),
    ] {
        let ended = explain(more);
        assert_eq!((ended.status.code(), out(&ended).as_str()), (Some(code), ""), "{more:?}: {}", err(&ended));
        assert!(err(&ended).contains(told), "{more:?}: {}", err(&ended));
    }
    assert!(!scene.dir.path().join("data/counters.journal").exists(), "nothing is made");
}

async fn hash(database: &Database) -> Value {
    let told: Document = database.run_command(doc! {"dbHash": 1}).await.unwrap();
    json!([told.get_str("md5").unwrap(), told.get_document("collections").unwrap().keys().collect::<Vec<_>>()])
}

/// LibreChat's word: the captured roles and balances, and settings laid over for the role, a group and the user.
async fn librechats_word(mongod: &Mongod) {
    fill(&mongod.librechat, "roles", include_str!("../captures/mongo/roles.json")).await;
    fill(&mongod.librechat, "balances", include_str!("../captures/mongo/balances.json")).await;
    mongod.join(USER, "writers").await;
    let groups = mongod.librechat.collection::<Document>("groups");
    let group = groups.find_one(doc! {"name": "writers"}).await.unwrap().unwrap().get_object_id("_id").unwrap();
    let custom = |models: &[&str]| doc! {"endpoints": {"custom": [{"name": "MindRoom", "apiKey": "sk-secret", "models": {"default": models}}]}};
    let configs = mongod.librechat.collection::<Document>("configs");
    let laid = [
        doc! {"principalType": "group", "principalId": group, "priority": 20, "isActive": true, "overrides": custom(&["mindroom-basic", "mindroom-large"])},
        doc! {"principalType": "role", "principalId": "USER", "priority": 10, "isActive": true, "overrides": custom(&["other"])},
        doc! {"principalType": "role", "principalId": "__base__", "priority": 5, "isActive": true, "overrides": {"interface": {"agents": true}}},
        doc! {"principalType": "role", "principalId": "ADMIN", "priority": 90, "isActive": true, "overrides": custom(&["never"])},
        doc! {"principalType": "user", "principalId": ObjectId::parse_str(USER).unwrap(), "priority": 99, "isActive": false, "overrides": custom(&["off"])},
    ];
    configs.insert_many(laid).await.unwrap();
}

#[tokio::test]
async fn librechats_own_word_stands_beside_the_policy_and_nothing_is_written() {
    with_mongod(async |mongod| {
        librechats_word(mongod).await;
        let dir = tempfile::tempdir().unwrap();
        let policy = "version: 1\nremote_api: { enabled: false }\nroles:\n  USER:\n    endpoints:\n      custom: { MindRoom: { models: [mindroom-basic] } }\n    tools: { deny: [web_search] }\n";
        fs::write(dir.path().join("p.yaml"), policy).unwrap();
        fs::write(dir.path().join("tollgate.yaml"), format!("mongo: {{ database: {} }}\n", mongod.own.name())).unwrap();
        fs::write(
            dir.path().join("librechat.yaml"),
            "version: 1.2.1\nendpoints:\n  custom:\n    - { name: Ollama, apiKey: sk-other, models: { default: [llama3], fetch: true } }\n    - { name: MindRoom, models: { default: [base] } }\n",
        )
        .unwrap();
        let explain = |more: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
            command.args(["explain", "--config", "tollgate.yaml", "--policies", "p.yaml"]).args(more);
            command.env_clear().env("MONGO_URI", &mongod.uri).current_dir(dir.path()).output().unwrap()
        };
        let before = hash(&mongod.librechat).await;
        let told = json_of(&explain(&["--user", "user", "--librechat", "librechat.yaml", "--format", "json"]));
        assert_eq!((&told["id"], &told["user"], &told["role"]), (&json!(USER), &json!("user@lab.test"), &json!("USER")));
        assert!(told["groups"].as_array().unwrap().contains(&json!("writers")), "{told}");
        let librechat = &told["librechat"];
        let permission = |what: &str| {
            let rows = librechat["permissions"].as_array().unwrap();
            let row = rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("{what}: {librechat}"));
            (row["policy"].clone(), row["librechat"].clone(), row["rule"].clone())
        };
        assert_eq!(permission("tool web_search"), (json!("deny"), json!(true), json!("roles.USER.tools.deny")));
        assert_eq!(permission("remote-agent API"), (json!("deny"), json!(true), json!("remote_api.enabled")));
        assert_eq!(permission("stored agents"), (json!("allow"), json!(true), json!("agents")));
        let principals: Vec<&str> =
            librechat["overrides"].as_array().unwrap().iter().map(|laid| laid["principal"].as_str().unwrap()).collect();
        assert_eq!(principals.len(), 3, "neither another role's nor what is switched off: {principals:?}");
        assert!(principals[0] == "role __base__" && principals[1] == "role USER" && principals[2].starts_with("group "));
        let offer = |endpoint: &str| {
            let offers = librechat["offers"].as_array().unwrap();
            offers.iter().find(|offer| offer["endpoint"] == endpoint).cloned().unwrap()
        };
        assert_eq!((&offer("MindRoom")["models"], &offer("MindRoom")["denied"]), (&json!(["mindroom-basic", "mindroom-large"]), &json!(["mindroom-large"])));
        assert_eq!((&offer("Ollama")["fetches"], &offer("Ollama")["denied"]), (&json!(true), &json!(["llama3"])));
        assert!(librechat["balance"]["credits"].is_u64(), "{librechat}");
        let table = explain(&["--user", "USER@lab.test"]);
        assert_eq!(table.status.code(), Some(0), "{}", err(&table));
        assert!(out(&table).contains("LibreChat allows, policy denies"), "{}", out(&table));
        assert!(!told.to_string().contains("sk-") && !out(&table).contains("sk-"), "no key is told");
        assert_eq!(hash(&mongod.librechat).await, before, "LibreChat's database is as it was");
        let nobody = explain(&["--user", "nobody"]);
        assert_eq!(nobody.status.code(), Some(1), "{}", out(&nobody));
        assert!(err(&nobody).contains("nobody in the directory has the name"), "{}", err(&nobody));
    })
    .await;
}

/// Two policies of which the second takes `gpt-4o` and gives `o1`.
fn policies(dir: &Path) {
    for (name, models) in [("now", "[gpt-4o-mini, gpt-4o]"), ("next", "[gpt-4o-mini, o1]")] {
        fs::create_dir(dir.join(name)).unwrap();
        let text = format!("version: 1\nroles: {{ USER: {{ endpoints: {{ openAI: {{ models: {models} }} }} }} }}\n");
        fs::write(dir.join(name).join("p.yaml"), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_is_held_against_people_and_the_record_of_any_store() {
    with_stores(async |scene| {
        policies(scene.dir.path());
        let asked = |n, user: &str, model: &str, decision: &str| {
            refusal(n, json!({"userId": user, "groups": [], "decision": decision, "metadata": {"endpoint": "openAI", "model": model}}))
        };
        let lines = [
            asked(0, USER, "gpt-4o-mini", "allow"),
            asked(1, USER, "gpt-4o", "allow"),
            asked(2, VIEWER, "gpt-4o", "allow"),
            asked(3, USER, "o1", "deny"),
            refusal(4, json!({"decision": "deny", "rules": ["identity.expired"], "userId": null, "role": null})),
            refusal(5, json!({"decision": "deny", "rules": ["roles.USER.limits.day"]})),
            refusal(100_000, json!({"decision": "allow", "groups": []})),
        ];
        scene.keep(&lines).await;
        let file = scene.dir.path().join("record.jsonl");
        fs::write(&file, texts(&lines)).unwrap();
        let day = ["--since", "2026-11-21", "--until", "2026-11-21"];
        let all = [&["explain", "--policies", "now", "--what-if", "next"], &day[..]].concat();
        let told = |more: &[&str]| scene.told(&[&all[..], more].concat());
        let from_store: Value = serde_json::from_str(&told(&["--format", "json"])).unwrap();
        let from_file: Value = serde_json::from_str(&told(&["--format", "json", "--file", file.to_str().unwrap()])).unwrap();
        assert_eq!(from_store, from_file, "{}", scene.sink);
        let people = &from_store["people"];
        let count = if scene.sink == "mongo" { 3 } else { 2 };
        assert_eq!((&people["count"], &people["changed"]), (&json!(count), &json!(2)));
        let change = |what: &str| json!([{"what": what, "before": LIST, "after": LIST}]);
        let class = &people["changes"][0];
        assert_eq!((&class["gains"], &class["loses"]), (&change("openAI|o1"), &change("openAI|gpt-4o")));
        let names: Vec<&str> = class["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(names.contains(&"user@lab.test") && names.contains(&"viewer@lab.test"), "{names:?}");
        let requests = &from_store["requests"];
        assert_eq!((&requests["judged"], &requests["otherwise"]), (&json!(4), &json!(3)), "{requests}");
        assert_eq!((&requests["refused_by_limits"], &requests["refused_otherwise"]), (&json!(1), &json!(1)));
        let ways: Vec<_> = requests["ways"]
            .as_array()
            .unwrap()
            .iter()
            .map(|way| (way["from"].clone(), way["to"].clone(), way["subject"].clone(), way["requests"].clone(), way["people"].clone()))
            .collect();
        assert_eq!(
            ways,
            [
                (json!("allow"), json!("deny"), json!("openAI|gpt-4o"), json!(2), json!(2)),
                (json!("deny"), json!("allow"), json!("openAI|o1"), json!(1), json!(1)),
            ]
        );
        let table = told(&[]);
        for line in ["gain  openAI|o1", "lose  openAI|gpt-4o", "Of 4 recorded requests", "1 were refused by limits"] {
            assert!(table.contains(line), "{line}:\n{table}");
        }
        let fault = scene.run(&["explain", "--policies", "now", "--what-if", "tollgate.yaml"]);
        assert_eq!((fault.status.code(), out(&fault).as_str()), (Some(64), ""));
        assert!(err(&fault).contains("error[") && err(&fault).contains("tollgate.yaml:1"), "{}", err(&fault));
    })
    .await;
}

/// What a running Tollgate records of chats, agents, tools and keys can all be judged again: by the same policy with the same result.
#[tokio::test]
async fn what_is_recorded_can_be_judged_again() {
    with_mongod(async |mongod| {
        let policy = "version: 1\nmode: shadow\nroles:\n  USER:\n    endpoints:\n      openAI: { models: [gpt-4o-mini] }\n    tools: { deny: [web_search] }\n";
        put(mongod, "agent_cheap", doc! {"edges": [{"from": "agent_cheap", "to": ["agent_room"]}], "tools": ["dalle"]}).await;
        put(mongod, "agent_room", doc! {"provider": "MindRoom", "model": "mindroom-basic"}).await;
        put(mongod, "agent_test", doc! {}).await;
        let mut world = with_agents(policy, mongod, &mongod.uri).start().await;
        let plain = |model: &str| json!({"text": "hi", "endpoint": "openAI", "model": model, "conversationId": null});
        let agent = |id: &str| json!({"text": "hi", "endpoint": "agents", "agent_id": id, "conversationId": null});
        let with_search = json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null, "ephemeralAgent": {"web_search": true}});
        let bodies = [plain("gpt-4o-mini"), plain("o1"), agent("agent_test"), agent("agent_cheap"), with_search];
        let count = bodies.len();
        for body in bodies {
            assert_eq!(say(&world, "User", body).await, 200);
        }
        let written = async |world: &mut World| world.entries().iter().filter(|entry| entry["action"] == "chat.turn").count() == count;
        world.until("all are recorded", written).await;
        let variables = [("MONGO_URI", mongod.uri.as_str())];
        // What is on standard output is in the store a moment later.
        let mongo = mongod.own.collection::<Document>("audit");
        let kept = async |_: &mut World| mongo.count_documents(doc! {"action": "chat.turn"}).await.unwrap() == count as u64;
        world.until("all are in the store", kept).await;
        let next = world.dir.path().join("next.yaml");
        fs::write(&next, policy.replace("shadow", "enforce")).unwrap();
        let next = next.to_str().unwrap().to_owned();
        let what_if = |other: &str| {
            let arguments = ["explain", "--what-if", other, "--since", "1h", "--sink", "mongo", "--format", "json"];
            json_of(&beside(&world, &variables, &arguments))
        };
        let same = world.dir.path().join("policy");
        let told = what_if(same.to_str().unwrap());
        let requests = &told["requests"];
        assert_eq!((&requests["judged"], &requests["otherwise"], &requests["unknown"]), (&json!(count), &json!(0), &json!({})));
        assert_eq!(told["people"]["changed"], 0);
        let enforced = what_if(&next);
        let mut ways: Vec<_> = enforced["requests"]["ways"].as_array().unwrap().iter().map(|way| {
            (way["subject"].as_str().unwrap().to_owned(), way["rule"].as_str().unwrap().to_owned())
        }).collect();
        ways.sort();
        let expected = [
            ("agent agent_cheap", "unlisted.endpoint"),
            ("openAI|gpt-4o-mini", "roles.USER.tools.deny"),
            ("openAI|o1", LIST),
        ];
        assert_eq!(ways, expected.map(|(what, rule)| (what.to_owned(), rule.to_owned())), "{enforced}");
        assert_eq!(enforced["requests"]["otherwise"], 3);
    })
    .await;
}

/// What `serve` refuses because a limit is used up, or closes what it is about, is no "allowed" here.
#[tokio::test]
async fn what_a_limit_has_no_room_for_is_told_as_serve_refuses_it() {
    let policy = "version: 1\nroles:\n  USER:\n    unrestricted: true\n    limits:\n      \
                  - { id: month, requests: 2, per: user, window: month }\n      \
                  - { id: closed, requests: 0, per: user, window: day, models: [o1] }\n      \
                  - { id: quiet, messages: 1, per: user, window: month, mode: shadow }\n";
    let mut world = World::with(policy).settings("timeouts: { limits: 10s }").start().await;
    let turn = |model: &str| json!({"text": "hi", "endpoint": "openAI", "model": model, "conversationId": null});
    let bob = world.person("Bob").email.clone();
    let explained = |world: &World, model: &str| {
        let asked = ["explain", "--user", &bob, "--endpoint", "openAI", "--model", model];
        let ended = beside(world, &[], &[&asked[..], &["--format", "json"]].concat());
        let told: Value = serde_json::from_str(&out(&ended)).unwrap();
        (
            ended.status.code(),
            told["answer"]["verdict"].clone(),
            told["no_room"].clone(),
            out(&beside(world, &[], &asked)),
        )
    };
    for round in 1..=2 {
        assert_eq!(say(&world, "Bob", turn("gpt-4o-mini")).await, 200);
        let used = async |world: &mut World| {
            mine(world, "Bob").await["limits"]
                .as_array()
                .unwrap()
                .iter()
                .any(|limit| limit["id"] == "month" && limit["used"] == round)
        };
        world.until("it is counted", used).await;
        if round == 1 {
            let (code, verdict, full, text) = explained(&world, "gpt-4o-mini");
            assert_eq!((code, verdict), (Some(0), json!("allowed")), "{text}");
            assert_eq!(
                (&full[0]["rule"], &full[0]["mode"]),
                (&json!("roles.USER.limits.quiet"), &json!("shadow")),
                "{full}"
            );
            assert!(
                text.contains("\nno room: roles.USER.limits.quiet would refuse it now, but only records"),
                "{text}"
            );
        }
    }
    for (model, verdict, rule) in [("gpt-4o-mini", "allowed", "month"), ("o1", "denied", "closed")] {
        let headers = [("authorization", &*world.bearer("Bob"))];
        let refused = post_json(world.addr, "/api/agents/chat/openAI", &headers, &turn(model)).await;
        let rule = format!("roles.USER.limits.{rule}");
        assert_eq!((refused.status.as_u16(), &refused.json()["rule"]), (429, &json!(rule)), "{}", refused.text());
        let (code, told, full, text) = explained(&world, model);
        assert_eq!((code, &told), (Some(2), &json!(verdict)), "{text}");
        match verdict {
            "allowed" => {
                assert!(
                    full.as_array().unwrap().iter().any(|full| full["rule"] == *rule && full["resets_at"].is_string()),
                    "{full}"
                );
                assert!(text.contains(&format!("\nno room: {rule} refuses it now (until 2")), "{text}");
            }
            _ => assert!(text.contains(&format!("o1 of openAI: denied by {rule}\n")) && full == json!([]), "{text}"),
        }
    }
}

/// An override that the next files do not fit is told before they are taken, and by the doctor where they are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overrides_that_would_be_set_aside_are_told() {
    let policy = "version: 1\nroles:\n  USER:\n    unrestricted: true\n    limits: [{ id: user-day, requests: 2, per: user, window: day }]\n";
    let world = World::with(policy).start().await;
    let bob = world.person("Bob").id.clone();
    done(&world, &[], &["set", "user", &bob, "--file", "-"], "limits: { user-day: { requests: 9 } }");
    let looked_at = || {
        let ended = doctor(&world, &["--format", "json"], &[], "");
        let told = looked(&ended);
        let (state, found) = state(&told["checks"], "overrides");
        (ended.status.code(), state.to_owned(), found.to_owned())
    };
    assert_eq!(looked_at(), (Some(0), "ok".to_owned(), "1 in force".to_owned()));
    let next = world.dir.path().join("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("policy.yaml"), policy.replace("user-day", "each-day")).unwrap();
    let what_if =
        |more: &[&str]| out(&beside(&world, &[], &[&["explain", "--what-if", next.to_str().unwrap()], more].concat()));
    let told: Value = serde_json::from_str(&what_if(&["--format", "json"])).unwrap();
    let overrides = &told["overrides"];
    assert_eq!((&overrides["unknown"], &overrides["set_aside_before"]), (&Value::Null, &json!([])), "{told}");
    assert_eq!(overrides["set_aside_after"][0]["of"], format!("user {bob}"), "{told}");
    let rule = format!("overrides.user.{bob}.faulty");
    let mut changes = told["people"]["changes"].as_array().unwrap().iter();
    assert!(changes.any(|change| change["let_in"] == json!({"before": null, "after": rule})), "he is refused: {told}");
    let line = format!("The other policy sets aside the override of user {bob}: ");
    assert!(what_if(&[]).contains(&line), "{}", what_if(&[]));
    fs::write(world.dir.path().join("policy/policy.yaml"), policy.replace("user-day", "each-day")).unwrap();
    let (code, state, found) = looked_at();
    assert_eq!((code, state.as_str()), (Some(1), "fault"), "{found}");
    assert!(
        found.starts_with(&format!("serve sets aside the one of user {bob}, and refuses whom it is about: ")),
        "{found}"
    );
}
