//! Chats with stored agents: judged by all that they run, as it stands in LibreChat's database at that moment.

use std::time::Duration;

use http::Method;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate::demo::{Call, ModelSpec, ModelSpecs, StoredAgent};

use crate::POLICY;
use crate::mongo::{Relay, Way, server_of, through, with_directory};
use crate::mongod::{Mongod, with_mongod};
use crate::support::{Answer, get, open, post_json};
use crate::world::{Plan, World};

pub(crate) const USER: &str = "6b012e4109cc968f8a928bce";

/// What LibreChat can look up; what each runs is up to the database.
const KNOWN: [&str; 3] = ["agent_cheap", "agent_test", "agent_dear"];

/// LibreChat with agents, for captured people: users may have `gpt-4o-mini` and `mindroom-basic`.
pub(crate) fn with_agents(policy: &str, mongod: &Mongod, uri: &str) -> Plan {
    with_directory(policy, mongod, uri).librechat(|options| {
        options.agents = KNOWN
            .map(|id| StoredAgent {
                id: id.to_owned(),
                name: "Helper".to_owned(),
                provider: "openAI".to_owned(),
                model: if id == "agent_dear" { "o1".to_owned() } else { "gpt-4o-mini".to_owned() },
                author: USER.to_owned(),
            })
            .to_vec();
    })
}

/// An agent that runs `gpt-4o-mini`, with more fields, or others.
pub(crate) async fn put(mongod: &Mongod, id: &str, fields: Document) {
    let mut document = doc! {"provider": "openAI", "model": "gpt-4o-mini", "tools": [], "versions": [{"model": "o1"}]};
    document.extend(fields);
    document.insert("id", id);
    mongod.put_agent(document).await;
}

fn turn(agent: &str) -> Value {
    json!({"text": "hello", "endpoint": "agents", "agent_id": agent, "conversationId": null})
}

async fn say(world: &World, who: &str, body: &Value, mark: &str) -> Answer {
    let bearer = world.bearer(who);
    let headers = [("authorization", bearer.as_str()), ("user-agent", mark)];
    post_json(world.addr, "/api/agents/chat/agents", &headers, body).await
}

fn called(world: &World) -> Vec<String> {
    world.stand_in.calls().into_iter().map(|Call { endpoint, model, .. }| format!("{endpoint}|{model}")).collect()
}

fn started(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["status"]), (200, &json!("started")), "{}", answer.text());
    body["streamId"].as_str().expect("a stream").to_owned()
}

/// Refused in the shape that the web client shows, naming the agent and nothing else.
fn refused(answer: &Answer, agent: &str, rule: &str) {
    let text = answer.text();
    assert_eq!(answer.status, 403, "{text}");
    let start = format!(r#"{{"type":"illegal_model_request","info":"agents|{agent}","#);
    assert!(text.starts_with(&start), "{text}");
    assert_eq!(answer.json()["rule"], rule, "{text}");
    for hidden in ["gpt-4o", "o1\"", "openAI", "anthropic", "claude", "agent_dear", "roles."] {
        assert!(agent == hidden || !text.contains(hidden), "{hidden} is told: {text}");
    }
}

#[tokio::test]
async fn an_agent_of_allowed_models_speaks_and_is_recorded_with_all_that_it_runs() {
    with_mongod(async |mongod| {
        put(mongod, "agent_cheap", doc! {"edges": [{"from": "agent_cheap", "to": ["agent_room"]}], "tools": ["dalle"]})
            .await;
        put(
            mongod,
            "agent_room",
            doc! {"provider": "MindRoom", "model": "mindroom-basic", "agent_ids": ["agent_gone"]},
        )
        .await;
        let mut world = with_agents(POLICY, mongod, &mongod.uri).start().await;
        let stream = started(&say(&world, "User", &turn("agent_cheap"), "an agent").await);
        let bearer = world.bearer("User");
        let path = format!("/api/agents/chat/stream/{stream}");
        let events = open(world.addr, Method::GET, &path, &[("authorization", &bearer)], "".into()).await.rest().await;
        let said: String = events.iter().map(|piece| String::from_utf8_lossy(&piece.bytes).into_owned()).collect();
        assert!(said.contains(r#""final":true"#), "{said}");
        assert_eq!(called(&world), ["openAI|gpt-4o-mini"]);

        let models = json!(["openAI|gpt-4o-mini", "MindRoom|mindroom-basic"]);
        let entry = world.entry_from("an agent").await;
        assert_eq!((&entry["decision"], &entry["metadata"]["agent"]), (&json!("allow"), &json!("agent_cheap")));
        assert_eq!((&entry["metadata"]["endpoint"], &entry["metadata"]["also"]), (&json!("agents"), &models));
        let rules = ["agents", "roles.USER.endpoints.openAI.models", "roles.USER.endpoints.custom.MindRoom.models"];
        assert_eq!(entry["rules"], json!(rules));
        let usage = world.entry("its use", |entry| entry["kind"] == "usage").await;
        assert_eq!((&usage["endpoint"], &usage["model"]), (&json!("agents"), &json!("gpt-4o-mini")));
        assert_eq!((&usage["agent"], &usage["models"]), (&json!("agent_cheap"), &models));
    })
    .await;
}

#[tokio::test]
async fn one_member_that_is_denied_refuses_the_agent() {
    const LIST: &str = "roles.USER.endpoints.openAI.models";
    let ids = |count: usize| (0..count).map(|n| Bson::from(format!("agent_{n}"))).collect::<Vec<_>>();
    let parameters = |key: &str, value: Bson| doc! {"model_parameters": {key: value}};
    // The agent, the rule in the record, and what the record tells of the reason.
    let cases: Vec<(Document, &str, &str)> = vec![
        (doc! {"model": "o1"}, LIST, "openAI|o1"),
        (doc! {"provider": "OPENAI", "model": "o1"}, LIST, "openAI|o1"),
        (doc! {"provider": "Anthropic", "model": "claude-opus-4-8"}, "unlisted.endpoint", "anthropic|claude-opus-4-8"),
        (doc! {"provider": "VERTEXAI", "model": "gemini-2.5-pro"}, "unlisted.endpoint", "google|gemini-2.5-pro"),
        (doc! {"provider": "Elsewhere", "model": "gpt-4o-mini"}, "unlisted.endpoint", "Elsewhere|gpt-4o-mini"),
        (doc! {"provider": "mindroom", "model": "mindroom-basic"}, "unlisted.endpoint", "mindroom|mindroom-basic"),
        (doc! {"edges": [{"from": "agent_test", "to": "agent_dear"}]}, LIST, "openAI|o1"),
        (doc! {"edges": [{"from": ["agent_dear"], "to": "agent_test"}]}, LIST, "openAI|o1"),
        (doc! {"edges": [{"from": "agent_test", "to": ["agent_far"]}]}, LIST, "openAI|o1"),
        (doc! {"agent_ids": ["agent_dear"]}, LIST, "openAI|o1"),
        (doc! {"subagents": {"enabled": true, "agent_ids": ["agent_dear"]}}, LIST, "openAI|o1"),
        (doc! {"subagents": {"enabled": false, "agent_ids": ["agent_dear"]}}, LIST, "openAI|o1"),
        (doc! {"agent_ids": ["agent_circle"]}, LIST, "openAI|o1"),
        (doc! {"agent_ids": ids(50)}, "agent.too-many", "more than 50 agents"),
        (doc! {"agent_ids": ["agent_step0"]}, "agent.too-deep", "over more than 12 agents"),
        (parameters("modelKwargs", doc! {"model": "gpt-5-pro"}.into()), "agent.parameters", "modelKwargs"),
        (parameters("fallbacks", vec![doc! {"provider": "openAI"}].into()), "agent.parameters", "fallbacks"),
        (parameters("configuration", doc! {"baseURL": "https://x.test"}.into()), "agent.parameters", "configuration"),
        (parameters("temperature", doc! {"a": 1}.into()), "agent.parameters", "temperature"),
        (parameters("temperature", f64::NAN.into()), "agent.parameters", "temperature"),
        (parameters("model", "o1".into()), "agent.parameters", "model"),
        (doc! {"agent_ids": ["agent_kwargs"]}, "agent.parameters", "agent_kwargs: model_parameters.modelKwargs"),
        (doc! {"model": ["gpt-4o-mini"]}, "agent.model", "model is not"),
        (doc! {"model": Bson::Null}, "agent.model", "model is not"),
        (doc! {"provider": ["openAI"]}, "agent.provider", "provider is not"),
        (doc! {"provider": "agents"}, "agent.provider", "provider agents"),
        (doc! {"edges": "agent_cheap"}, "agent.document", "edges has another type"),
        (doc! {"agent_ids": [5]}, "agent.document", "agent_ids has another type"),
    ];
    with_mongod(async |mongod| {
        put(mongod, "agent_dear", doc! {"model": "o1"}).await;
        put(mongod, "agent_far", doc! {"edges": [{"from": "agent_far", "to": "agent_farther"}]}).await;
        put(mongod, "agent_farther", doc! {"agent_ids": ["agent_dear"]}).await;
        put(mongod, "agent_circle", doc! {"agent_ids": ["agent_test", "agent_circle", "agent_dear"]}).await;
        put(mongod, "agent_kwargs", doc! {"model_parameters": {"modelKwargs": {"model": "o1"}}}).await;
        for step in 0..12 {
            put(mongod, &format!("agent_step{step}"), doc! {"agent_ids": [format!("agent_step{}", step + 1)]}).await;
        }
        let mut world = with_agents(POLICY, mongod, &mongod.uri).start().await;
        for (number, (fields, rule, told)) in cases.into_iter().enumerate() {
            put(mongod, "agent_test", fields.clone()).await;
            let mark = format!("case {number}");
            let answer = say(&world, "User", &turn("agent_test"), &mark).await;
            let public = if rule.starts_with("agent.") { rule } else { "policy.agent" };
            refused(&answer, "agent_test", public);
            let entry = world.entry_from(&mark).await;
            assert_eq!((&entry["decision"], &entry["rules"]), (&json!("deny"), &json!([rule])), "{fields}");
            assert_eq!(entry["metadata"]["agent"], "agent_test", "{fields}");
            let error = entry["details"]["error"].as_str().expect("the reason");
            assert!(error.starts_with(&format!("{public}: agent_test: ")) && error.contains(told), "{fields}: {error}");
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        // Who may use everything, may use these, too: LibreChat answers.
        started(&say(&world, "Admin", &turn("agent_test"), "an administrator").await);
    })
    .await;
}

#[tokio::test]
async fn an_agent_is_judged_wherever_a_request_names_it() {
    with_mongod(async |mongod| {
        put(mongod, "agent_cheap", doc! {}).await;
        put(mongod, "agent_dear", doc! {"model": "o1"}).await;
        let spec = |name: &str, agent: &str| ModelSpec {
            name: name.to_owned(),
            endpoint: "agents".to_owned(),
            agent: Some(agent.to_owned()),
            ..ModelSpec::default()
        };
        let list = vec![spec("small", "agent_cheap"), spec("large", "agent_dear")];
        let plan = with_agents(POLICY, mongod, &mongod.uri);
        let specs = ModelSpecs { enforce: false, prioritize: false, list };
        let world = plan.librechat(|options| options.model_specs = Some(specs)).start().await;
        let with = |agent: Option<&str>, more: Value| {
            let mut body = match agent {
                Some(agent) => turn(agent),
                None => json!({"text": "hello", "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null}),
            };
            body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            body
        };
        for body in [
            with(None, json!({"addedConvo": {"endpoint": "agents", "agent_id": "agent_dear"}})),
            with(None, json!({"addedConvo": {"endpoint": "openAI", "model": "gpt-4o-mini", "agent_id": "agent_dear"}})),
            with(Some("agent_cheap"), json!({"addedConvo": {"agent_id": "agent_dear"}})),
            with(Some("agent_cheap"), json!({"spec": "large"})),
            with(Some("agent_cheap"), json!({"addedConvo": {"spec": "large"}})),
            with(Some("agent_dear"), json!({"spec": "small"})),
            with(Some("agent_dear"), json!({"model": "gpt-4o-mini"})),
        ] {
            let answer = say(&world, "User", &body, "x").await;
            let body = body.to_string();
            assert_eq!(answer.json()["info"], "agents|agent_dear", "{body}");
            assert_eq!((answer.status.as_u16(), &answer.json()["rule"]), (403, &json!("policy.agent")), "{body}");
        }
        assert_eq!(called(&world), [""; 0]);
        let added = json!({"addedConvo": {"endpoint": "agents", "agent_id": "agent_cheap"}, "spec": "small"});
        started(&say(&world, "User", &with(Some("agent_cheap"), added), "x").await);
        assert_eq!(called(&world), ["openAI|gpt-4o-mini", "openAI|gpt-4o-mini"]);
        // Where the endpoint is another, LibreChat does not read the agent's id, and neither does the policy.
        started(&say(&world, "User", &with(None, json!({"agent_id": "agent_dear"})), "x").await);
        // The specs of agents are shown: what they run is not named there.
        let bearer = world.bearer("User");
        let config = get(world.addr, "/api/config", &[("authorization", &bearer)]).await.json();
        assert_eq!(config["modelSpecs"]["list"].as_array().map(Vec::len), Some(2), "{config}");
    })
    .await;
}

#[tokio::test]
async fn a_changed_agent_is_another_one_at_once() {
    with_mongod(async |mongod| {
        put(mongod, "agent_test", doc! {}).await;
        put(mongod, "agent_next", doc! {}).await;
        let world = with_agents(POLICY, mongod, &mongod.uri).start().await;
        let answer = async || say(&world, "User", &turn("agent_test"), "x").await;
        started(&answer().await);
        put(mongod, "agent_test", doc! {"model": "o1"}).await;
        refused(&answer().await, "agent_test", "policy.agent");
        put(mongod, "agent_test", doc! {"agent_ids": ["agent_next"]}).await;
        started(&answer().await);
        put(mongod, "agent_next", doc! {"model_parameters": {"modelKwargs": {"model": "o1"}}}).await;
        refused(&answer().await, "agent_test", "agent.parameters");
        put(mongod, "agent_next", doc! {}).await;
        started(&answer().await);
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_refused_to_those_who_may_not_use_everything() {
    with_mongod(async |mongod| {
        let mut world = with_agents(POLICY, mongod, &mongod.uri).start().await;
        let answer = say(&world, "User", &turn("agent_gone"), "gone").await;
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["rule"]), (404, &json!("agent.missing")), "{body}");
        assert_eq!(body["message"], "There is no such agent. Choose another one.");
        let entry = world.entry_from("gone").await;
        assert_eq!((&entry["rules"], &entry["severity"]), (&json!(["agent.missing"]), &json!("INFO")));
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        // LibreChat's own words for those whom nothing limits.
        let answer = say(&world, "Admin", &turn("agent_gone"), "x").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["message"]), (404, &json!("agent not found")));
    })
    .await;
}

#[tokio::test]
async fn without_librechats_database_agents_are_for_those_who_may_use_everything() {
    let agent = StoredAgent {
        id: "agent_cheap".to_owned(),
        name: "Helper".to_owned(),
        provider: "openAI".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        author: String::new(),
    };
    let mut world = World::with(POLICY).librechat(|options| options.agents = vec![agent]).start().await;
    let answer = say(&world, "Bob", &turn("agent_cheap"), "bob").await;
    refused(&answer, "agent_cheap", "agent.no-store");
    assert!(answer.json()["message"].as_str().is_some_and(|text| text.contains("MONGO_URI")), "{}", answer.text());
    assert_eq!(world.entry_from("bob").await["rules"], json!(["agent.no-store"]));
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    started(&say(&world, "Ann", &turn("agent_cheap"), "ann").await);
    assert_eq!(world.entry_from("ann").await["metadata"]["agent"], "agent_cheap");
}

#[tokio::test]
async fn while_the_database_is_away_no_agent_runs() {
    with_mongod(async |mongod| outage(mongod, Way::Cut).await).await;
}

#[tokio::test]
async fn a_database_that_says_nothing_is_as_good_as_away() {
    with_mongod(async |mongod| outage(mongod, Way::Silent).await).await;
}

/// MongoDB is lost in this way between two turns of an agent, and comes back.
async fn outage(mongod: &Mongod, way: Way) {
    put(mongod, "agent_cheap", doc! {}).await;
    let relay = Relay::to(server_of(&mongod.uri)).await;
    let uri = through(&relay, &mongod.uri);
    // People are remembered for a minute, so that the directory is not what is missed.
    // Nor are balances.
    let settings = "identity: { cache: 60s }\nbalance: { check: off }";
    let plan = with_agents(POLICY, mongod, &uri).settings(settings);
    let mut world = plan.start().await;
    for who in ["User", "Admin"] {
        started(&say(&world, who, &turn("agent_cheap"), "before").await);
    }
    relay.set(way);
    world.until("it is not ready", async |world| get(world.admin, "/readyz", &[]).await.status == 503).await;
    world.stand_in.forget();
    let asked = Instant::now();
    let (user, admin) = (turn("agent_cheap"), turn("agent_cheap"));
    let answers = tokio::join!(say(&world, "User", &user, "User"), say(&world, "Admin", &admin, "Admin"));
    assert!(asked.elapsed() < Duration::from_secs(7), "nobody waits for long: {:?}", asked.elapsed());
    for (answer, who) in [(answers.0, "User"), (answers.1, "Admin")] {
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"), "{}", answer.text());
        assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
        assert_eq!(world.entry_from(who).await["rules"], json!(["directory.down"]));
    }
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    let plain = json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null});
    started(&say(&world, "User", &plain, "plain").await);
    relay.set(Way::Open);
    let again = async |world: &mut World| say(world, "User", &turn("agent_cheap"), "x").await.status == 200;
    world.until("agents run again", again).await;
}

#[tokio::test]
async fn tools_are_judged_in_agents_and_in_chats() {
    let policy = format!(
        "{}\nagents: {{ tools: {{ deny: [dalle] }} }}\n",
        POLICY.replace("  USER:\n", "  USER:\n    tools: { deny: [execute_code, \"*_mcp_github\"] }\n")
    );
    assert_ne!(policy.matches("execute_code").count(), 0);
    with_mongod(async |mongod| {
        put(mongod, "agent_cheap", doc! {"tools": ["web_search"], "agent_ids": ["agent_next"]}).await;
        let mut world = with_agents(&policy, mongod, &mongod.uri).start().await;
        for (tools, rule) in [
            (vec!["execute_code"], "roles.USER.tools.deny"),
            (vec!["web_search", "search_mcp_github"], "roles.USER.tools.deny"),
            (vec!["sys__all__sys_mcp_github"], "roles.USER.tools.deny"),
            (vec!["dalle"], "agents.tools.deny"),
        ] {
            put(mongod, "agent_next", doc! {"tools": tools.clone()}).await;
            let mark = format!("{tools:?}");
            refused(&say(&world, "User", &turn("agent_cheap"), &mark).await, "agent_cheap", "policy.agent");
            assert_eq!(world.entry_from(&mark).await["rules"], json!([rule]), "{mark}");
        }
        // Skills bring the tools that their authors name.
        put(mongod, "agent_next", doc! {"skills_enabled": true}).await;
        refused(&say(&world, "User", &turn("agent_cheap"), "skills").await, "agent_cheap", "policy.agent");
        assert_eq!(world.entry_from("skills").await["rules"], json!(["roles.USER.tools.deny"]));
        put(mongod, "agent_next", doc! {"tools": ["file_search", "search_mcp_other"], "skills_enabled": false}).await;
        started(&say(&world, "User", &turn("agent_cheap"), "x").await);

        world.stand_in.forget();
        let chat = |ephemeral: Value| {
            json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null,
                   "ephemeralAgent": ephemeral})
        };
        for (ephemeral, told) in [
            (json!({"execute_code": true}), "execute_code"),
            (json!({"mcp": ["other", "github"]}), "*_mcp_github"),
            (json!({"skills": true}), "Skills"),
        ] {
            let answer = say(&world, "User", &chat(ephemeral.clone()), &ephemeral.to_string()).await;
            let body = answer.json();
            assert_eq!((answer.status.as_u16(), &body["type"]), (403, &json!("policy_denied")), "{body}");
            assert_eq!(body["rule"], "roles.USER.tools.deny", "{body}");
            assert!(body["message"].as_str().is_some_and(|text| text.contains(told)), "{body}");
        }
        let bearer = world.bearer("User");
        for (tool, status) in [("execute_code", 403), ("web_search", 404)] {
            let path = format!("/api/agents/tools/{tool}/call");
            let answer = post_json(world.addr, &path, &[("authorization", &bearer)], &json!({"lang": "py"})).await;
            assert_eq!(answer.status, status, "{tool} by itself: {}", answer.text());
            if status == 403 {
                assert_eq!(answer.json()["rule"], "roles.USER.tools.deny");
                assert!(world.reached().is_empty(), "{:?}", world.reached());
            }
        }
        world.stand_in.forget();
        let wrong = say(&world, "User", &chat(json!({"mcp": "github"})), "x").await;
        assert_eq!((wrong.status.as_u16(), &wrong.json()["rule"]), (400, &json!("select-ephemeral-agent")));
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        let allowed = json!({"execute_code": false, "web_search": true, "mcp": ["other"], "skills": false});
        started(&say(&world, "User", &chat(allowed), "x").await);
        // Administrators may use what the role of users denies, and nobody what is denied to all.
        started(&say(&world, "Admin", &chat(json!({"execute_code": true})), "x").await);
        put(mongod, "agent_next", doc! {"tools": ["dalle"]}).await;
        refused(&say(&world, "Admin", &turn("agent_cheap"), "x").await, "agent_cheap", "policy.agent");
    })
    .await;
}

#[tokio::test]
async fn agents_are_shown_to_all_who_are_not_denied_all_of_them() {
    let hidden = POLICY.replace("      openAI:", "      agents: { models: [] }\n      openAI:");
    for (policy, shown) in [(POLICY, true), (hidden.as_str(), false)] {
        with_mongod(async |mongod| {
            put(mongod, "agent_cheap", doc! {}).await;
            let world = with_agents(policy, mongod, &mongod.uri).start().await;
            let bearer = world.bearer("User");
            let endpoints = get(world.addr, "/api/endpoints", &[("authorization", &bearer)]).await;
            let agents = endpoints.json()["agents"].clone();
            assert_eq!(agents.is_object(), shown, "{}", endpoints.text());
            let answer = say(&world, "User", &turn("agent_cheap"), "x").await;
            assert_eq!(answer.status.is_success(), shown, "{}", answer.text());
            if !shown {
                refused(&answer, "agent_cheap", "policy.agent");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn in_shadow_mode_an_agent_that_would_be_refused_runs_and_is_recorded() {
    let shadow = POLICY.replace("mode: enforce", "mode: shadow");
    with_mongod(async |mongod| {
        put(mongod, "agent_dear", doc! {"model": "o1"}).await;
        put(mongod, "agent_test", doc! {"model_parameters": {"modelKwargs": {"model": "o1"}}}).await;
        let mut world = with_agents(&shadow, mongod, &mongod.uri).start().await;
        for (agent, rule) in [("agent_dear", "roles.USER.endpoints.openAI.models"), ("agent_test", "agent.parameters")]
        {
            started(&say(&world, "User", &turn(agent), agent).await);
            let entry = world.entry_from(agent).await;
            assert_eq!((&entry["decision"], &entry["rules"]), (&json!("shadow"), &json!([rule])), "{agent}");
        }
    })
    .await;
}
