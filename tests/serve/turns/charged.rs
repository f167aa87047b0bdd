//! What turns are charged where LibreChat's rows, or its silence, could be read in two ways.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};

use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::whose::{NO_PARENT, keep_as};
use super::*;
use crate::fake::Fake;
use crate::mongo::with_directory;
use crate::mongod::{Mongod, with_mongod};

/// Picodollars of a token at one dollar for a million.
const DOLLAR: u64 = 1_000_000;

/// Writes what LibreChat would have for one call of a model in this turn.
async fn write(mongod: &Mongod, world: &World, turn: (&str, &str), call: (&str, &str), tokens: [i64; 2]) {
    let user = ObjectId::parse_str(&world.person("User").id).expect("an id");
    let ((stream, response), (model, context)) = (turn, call);
    let row = |kind: &str, tokens: i64| {
        doc! {
            "user": user, "conversationId": stream, "messageId": response, "tokenType": kind, "model": model,
            "context": context, "rate": 0.15, "rawAmount": -tokens, "tokenValue": -1.0, "createdAt": DateTime::now(),
        }
    };
    let rows = [row("prompt", tokens[0]), row("completion", tokens[1])];
    mongod.librechat.collection::<Document>("transactions").insert_many(rows).await.expect("rows");
}

/// Hears a turn to its end: the id of its response.
async fn hear(world: &World, stream: &str) -> String {
    let said: Vec<u8> =
        listen(world, stream).await.rest().await.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    let said = String::from_utf8_lossy(&said).into_owned();
    let last = said.lines().rev().find_map(|line| line.strip_prefix("data: ")).expect("an event");
    let last: Value = serde_json::from_str(last).expect("JSON");
    last["responseMessage"]["messageId"].as_str().expect("an id").to_owned()
}

/// What the entry says was put on the caller's balance.
fn on_balance(entry: &Value) -> u64 {
    charged(entry, "balance")
}

/// The entry's own cost, in picodollars.
fn cost(entry: &Value) -> u64 {
    let told = entry["cost"].as_str().unwrap_or_else(|| panic!("{entry}"));
    let (whole, part) = told.split_once('.').unwrap_or((told, ""));
    format!("{whole}{part:0<12}").parse().expect("dollars")
}

/// The operator's model for summaries needs no price in the policy: nobody asks for it.
#[tokio::test]
async fn a_summary_by_a_model_without_a_price_costs_what_the_turns_own_model_costs() {
    const BUDGET: &str = "version: 1
roles:
  USER:
    endpoints: { openAI: { models: [gpt-4o-mini] } }
    limits:
      - { id: usd, cost: 100 USD, per: role, window: month }
      - { id: mini, tokens: 1M, per: user, window: month, models: [gpt-4o-mini] }
  ADMIN: { unrestricted: true, limits: none }
prices: { gpt-4o-mini: { input: 1, output: 1 } }
";
    with_mongod(async |mongod| {
        let mut world = with_directory(BUDGET, mongod, &mongod.uri).settings(SOON).start().await;
        let stream = start(&world, "hello [[words=3]]").await;
        let response = hear(&world, &stream).await;
        write(mongod, &world, (&stream, &response), ("gpt-4o-mini", "message"), [20, 10]).await;
        write(mongod, &world, (&stream, &response), ("gpt-4.1-nano", "summarization"), [30, 10]).await;
        let entry = settled(&mut world, &stream).await;
        assert_eq!(entry["source"], "transactions", "{entry}");
        assert_eq!((charged(&entry, "usd"), charged(&entry, "mini"), cost(&entry)), (70 * DOLLAR, 70, 70 * DOLLAR));
        // Everybody else with the role goes on.
        start(&world, "hello").await;
    })
    .await;
}

/// Above 200,000 tokens Gemini's rate is twice as high: of a call, not of the sum of several.
#[tokio::test]
async fn each_call_is_priced_by_its_own_length() {
    const BUDGET: &str = "version: 1
roles:
  USER: { unrestricted: true, limits: [{ id: usd, cost: 100 USD, per: user, window: month }] }
  ADMIN: { unrestricted: true }
prices: { librechat: true }
";
    with_mongod(async |mongod| {
        let mut world = with_directory(BUDGET, mongod, &mongod.uri).settings(SOON).start().await;
        for (calls, expected) in [
            (vec![[150_000, 1_000]; 3], 3 * (150_000 * 2 + 1_000 * 12) * DOLLAR),
            (vec![[250_000, 1_000], [1_000, 0]], (250_000 * 4 + 1_000 * 18 + 1_000 * 2) * DOLLAR),
        ] {
            let stream = start(&world, "hello [[words=3]]").await;
            let response = hear(&world, &stream).await;
            for tokens in calls {
                write(mongod, &world, (&stream, &response), ("gemini-3.1-pro-preview", "message"), tokens).await;
            }
            let entry = settled(&mut world, &stream).await;
            assert_eq!((charged(&entry, "usd"), cost(&entry)), (expected, expected), "{entry}");
            assert_eq!(entry["runs"].as_array().map(Vec::len), Some(1), "each model once: {entry}");
        }
    })
    .await;
}

/// LibreChat writes no rows for a turn that was stopped, and so debits nothing; of all others it may, however late.
#[tokio::test]
async fn what_librechat_never_debits_is_put_on_the_balance_and_nothing_else() {
    const FREE: &str = "version: 1\nroles: { USER: { unrestricted: true }, ADMIN: { unrestricted: true } }\n";
    with_mongod(async |mongod| {
        let mut world = with_directory(FREE, mongod, &mongod.uri).settings(SOON).start().await;
        let user = ObjectId::parse_str(&world.person("User").id).expect("an id");
        let balances = mongod.librechat.collection::<Document>("balances");
        balances.insert_one(doc! {"user": user, "tokenCredits": 10_000_000.0}).await.expect("a balance");
        // Gone without a word and without rows, as one is that its caller stops and does not read; failed; stopped.
        let gone = start(&world, "hello [[words=3 delay=1]]").await;
        let entry = settled(&mut world, &gone).await;
        assert_eq!((&entry["source"], on_balance(&entry) > 0), (&json!("estimate"), true), "{entry}");
        // One that LibreChat has finished is debited, though its rows are late.
        let late = start(&world, "hello [[words=3 delay=1]]").await;
        keep_as(&Uuid::new_v4().to_string(), mongod, &world, &late, NO_PARENT, "an answer", DateTime::now()).await;
        let entry = settled(&mut world, &late).await;
        assert_eq!((&entry["ended"], on_balance(&entry)), (&json!("gone"), 0), "{entry}");
        let failed = start(&world, "hello [[fail=500]]").await;
        listen(&world, &failed).await.rest().await;
        let entry = settled(&mut world, &failed).await;
        assert_eq!((&entry["source"], on_balance(&entry)), (&json!("stream"), 0), "{entry}");
        let stopped = start(&world, "hello [[words=5000 delay=20]]").await;
        let mut reader = listen(&world, &stopped).await;
        for _ in 0..5 {
            reader.next().await.expect("a piece");
        }
        let bearer = world.bearer("User");
        let stop = json!({"streamId": stopped});
        post_json(world.addr, "/api/agents/chat/abort", &[("authorization", &bearer)], &stop).await;
        let entry = settled(&mut world, &stopped).await;
        assert!(on_balance(&entry) > 0, "{entry}");
    })
    .await;
}

/// The answer of the remote-agent API tells one sum, whichever agents of the graph have run.
#[tokio::test]
async fn a_run_of_several_models_is_charged_as_if_the_dearest_had_run() {
    const BUDGET: &str = "version: 1
remote_api: { enabled: true }
roles:
  USER:
    unrestricted: true
    limits:
      - { id: usd, cost: 100 USD, per: user, window: month }
      - { id: cheap, tokens: 1M, per: user, window: month, models: [gpt-4o-mini] }
      - { id: dear, tokens: 1M, per: user, window: month, models: [o1] }
  ADMIN: { unrestricted: true }
prices: { gpt-4o-mini: { input: 1, output: 1 }, o1: { input: 1000, output: 1000 }, default: { input: 1000, output: 1000 } }
";
    with_mongod(async |mongod| {
        crate::remote::fill(mongod).await;
        let edges = [doc! {"from": "agent_both", "to": "agent_dear"}];
        let both = doc! {"id": "agent_both", "provider": "openAI", "model": "gpt-4o-mini", "tools": [], "edges": edges.to_vec()};
        mongod.put_agent(both).await;
        let mut world = crate::remote::with_keys(BUDGET, mongod, &mongod.uri)
            .librechat(|options| {
                let mut agent = options.agents.iter().find(|agent| agent.id == "agent_cheap").expect("an agent").clone();
                agent.id = "agent_both".to_owned();
                options.agents.push(agent);
            })
            .settings(SOON)
            .start()
            .await;
        let bearer = format!("Bearer {}", crate::remote::KEY);
        let addr = world.addr;
        let ask = async |agent: &str, mark: &str| {
            let body = json!({"model": agent, "messages": [{"role": "user", "content": "hi [[words=50]]"}]});
            let headers = [("authorization", bearer.as_str()), ("user-agent", mark)];
            post_json(addr, "/api/agents/v1/chat/completions", &headers, &body).await
        };
        let answer = ask("agent_both", "told").await.json();
        let sum = answer["usage"]["total_tokens"].as_u64().unwrap_or_else(|| panic!("{answer}"));
        let entry = its_use(&mut world, "told").await;
        assert_eq!(entry["source"], "provider", "{entry}");
        assert_eq!((charged(&entry, "usd"), cost(&entry)), (1_000 * sum * DOLLAR, 1_000 * sum * DOLLAR), "{entry}");
        assert_eq!((charged(&entry, "cheap"), charged(&entry, "dear")), (sum, sum), "{entry}");
        // LibreChat's rows say which model used how much. It writes them under the answer's id, in a conversation that it names
        // to nobody.
        let answer = ask("agent_both", "written").await.json();
        let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
        write(mongod, &world, ("unknown", id), ("gpt-4o-mini", "message"), [20, 10]).await;
        write(mongod, &world, ("unknown", id), ("o1", "message"), [3, 1]).await;
        let entry = its_use(&mut world, "written").await;
        assert_eq!(entry["source"], "transactions", "{entry}");
        assert_eq!((charged(&entry, "cheap"), charged(&entry, "dear")), (30, 4), "{entry}");
        assert_eq!((charged(&entry, "usd"), cost(&entry)), (4_030 * DOLLAR, 4_030 * DOLLAR), "{entry}");
        // One that its caller leaves has told neither: what was written is the dearest model's.
        let body = json!({"model": "agent_both", "stream": true,
                          "messages": [{"role": "user", "content": "hi [[words=5000 delay=20]]"}]});
        let headers = [("authorization", bearer.as_str()), ("user-agent", "left"), ("content-type", "application/json")];
        let path = "/api/agents/v1/chat/completions";
        let mut reader = open(addr, Method::POST, path, &headers, body.to_string().into()).await;
        for _ in 0..5 {
            reader.next().await.expect("a piece");
        }
        drop(reader);
        let entry = its_use(&mut world, "left").await;
        assert_eq!(entry["source"], "stream", "{entry}");
        let of = |model: &str| {
            let runs = entry["runs"].as_array().expect("runs").iter();
            let tokens = runs.filter(|run| run["model"] == model).map(|run| run["tokens"].clone()).next().expect("a run");
            ["input", "output"].map(|kind| tokens[kind].as_u64().expect("a number"))
        };
        let ([cheap, none], [dear, written]) = (of("gpt-4o-mini"), of("o1"));
        assert!(none == 0 && written > 0, "{entry}");
        assert_eq!(charged(&entry, "usd"), (cheap + 1_000 * (dear + written)) * DOLLAR, "{entry}");
        assert_eq!((charged(&entry, "cheap"), charged(&entry, "dear")), (cheap + dear + written, cheap + dear + written));
    })
    .await;
}

/// The usage entry of the request with this mark.
async fn its_use(world: &mut World, mark: &str) -> Value {
    let request = world.entry_from(mark).await["requestId"].clone();
    world.entry("its use", |entry| entry["kind"] == "usage" && entry["requestId"] == request).await
}

/// A turn that is stopped before LibreChat has begun it has asked no model. That it had not is LibreChat's word (`earlyAbort`) and that
/// nothing of an answer was heard.
#[tokio::test]
async fn a_turn_that_is_stopped_before_it_has_begun_costs_nothing() {
    const LAST: &str = r#"{"final":true,"conversation":null,"requestMessage":null,"responseMessage":null,"aborted":true,"earlyAbort":"#;
    const MADE: &str = r#"{"created":true,"message":{"messageId":"m","conversationId":"begun"},"streamId":"begun"}"#;
    let fake = Fake::start(|mut socket, head| async move {
        // A token is made of letters, too.
        let named =
            |name: &str| head.contains(&format!("user-agent: {name}\r\n")) || head.contains(&format!("/{name}"));
        let stream = ["early", "late", "begun"].into_iter().find(|name| named(name)).unwrap_or("other");
        let event = |data: &str| format!("event: message\ndata: {data}\n\n");
        let (kind, body) = match (head.starts_with("POST"), stream) {
            (true, _) => {
                let started = json!({"streamId": stream, "conversationId": stream, "status": "started"});
                ("application/json", started.to_string())
            }
            (false, "early") => ("text/event-stream", event(&format!("{LAST}true}}"))),
            (false, "late") => ("text/event-stream", event(&format!("{LAST}false}}"))),
            (false, _) => ("text/event-stream", event(MADE) + &event(&format!("{LAST}true}}"))),
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(format!("{head}{body}").as_bytes()).await.is_ok().then_some(socket)
    })
    .await;
    let mut world = World::with(POLICY).settings("timeouts: { turn_usage: 1s }").upstream(&fake.url()).start().await;
    let mut said = 0;
    for (stream, source) in [("early", "none"), ("late", "stream"), ("begun", "stream")] {
        let bearer = world.bearer(who(&world));
        let headers = [("authorization", bearer.as_str()), ("user-agent", stream)];
        let answer = post_json(world.addr, CHAT, &headers, &body("hello")).await;
        assert_eq!(answer.json()["streamId"], stream, "{}", answer.text());
        listen(&world, stream).await.rest().await;
        let entry = settled(&mut world, stream).await;
        assert_eq!(entry["source"], source, "{entry}");
        said += u64::from(source != "none");
        assert_eq!((used(&world, "said").await, used(&world, "open").await), (said, 0), "{stream}");
        assert_eq!(charged(&entry, "month") > 0, source != "none", "{entry}");
    }
}
