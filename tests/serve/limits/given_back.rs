//! What LibreChat refuses, or never hears of, is given back whole; where nobody knows whether it runs, it stays taken.

use super::*;

/// An upstream that answers as the `User-Agent` says.
async fn obeying() -> Fake {
    Fake::start(|mut socket, head| async move {
        let lower = head.to_ascii_lowercase();
        let wanted = lower.lines().find_map(|line| line.strip_prefix("user-agent: ")).unwrap_or_default().to_owned();
        let (status, kind, body) = match wanted.as_str() {
            "started" => {
                ("200 OK", "application/json", r#"{"streamId":"s1","conversationId":"s1","status":"started"}"#)
            }
            // LibreChat's own words (CONTRACT.md E.6).
            "events" => ("200 OK", "text/html", "event: error\ndata: {\"text\":\"no\"}\n\n"),
            "limited" => ("429 Too Many Requests", "application/json", r#"{"type":"concurrent","limit":2}"#),
            "failed" => ("500 Internal Server Error", "application/json", r#"{"error":"no"}"#),
            "unknown" => ("200 OK", "application/json", r#"{"status":"fine"}"#),
            // It took the request, and is gone.
            _ => return None,
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
        socket.write_all(format!("{head}{body}").as_bytes()).await.is_ok().then_some(socket)
    })
    .await
}

async fn said(world: &World, how: &str) -> Answer {
    let bearer = world.bearer("Bob");
    post_json(world.addr, CHAT, &[("authorization", &bearer), ("user-agent", how)], &turn("hi")).await
}

const POLICY: &str = "      - { id: it, requests: 9, per: user, window: 30d }\n      - { id: day, tokens: 100M, per: user, window: month }\n      \
                      - { id: quiet, requests: 9, per: user, window: 31d, mode: shadow }";

#[tokio::test]
async fn what_librechat_refuses_is_given_back_and_what_it_may_run_is_not() {
    let fake = obeying().await;
    let mut world = World::with(&limits(POLICY)).upstream(&fake.url()).start().await;
    let mut taken = 0;
    for (how, status, kept) in [
        ("events", 200, false),
        ("limited", 429, false),
        ("failed", 500, false),
        ("unknown", 200, false),
        ("started", 200, true),
        ("gone", 502, true),
    ] {
        let answer = said(&world, how).await;
        assert_eq!(answer.status, status, "{how}: {}", answer.text());
        taken += u64::from(kept);
        let spent = limit(&world, "Bob", "day").await["used"].as_u64().expect("a number");
        for id in ["it", "quiet"] {
            assert_eq!(limit(&world, "Bob", id).await["used"], taken, "{how}: {id}");
        }
        assert_eq!(spent > 0, taken > 0, "{how}: tokens");
    }
    assert_eq!(fake.heads().iter().filter(|head| head.starts_with("POST")).count(), 6, "nothing is sent twice");
    used(&mut world, "it", json!(2)).await;
}

#[tokio::test]
async fn what_never_reached_librechat_is_given_back() {
    let nobody = format!("http://{}", free_address());
    let world = World::with(&limits(POLICY)).upstream(&nobody).start().await;
    let answer = said(&world, "started").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["rule"]), (502, &json!("upstream.connect")));
    for id in ["it", "day", "quiet"] {
        assert_eq!(limit(&world, "Bob", id).await["used"], 0, "{id}");
    }
}

#[tokio::test]
async fn who_leaves_while_librechat_is_asked_has_not_got_it_for_nothing() {
    let fake = Fake::start(|socket, _| async move {
        std::future::pending::<()>().await;
        Some(socket)
    })
    .await;
    let mut world = World::with(&limits(POLICY)).upstream(&fake.url()).start().await;
    let bearer = world.bearer("Bob");
    let mut asked = JoinSet::new();
    asked.spawn(open_turn(world.addr, bearer));
    world.until("LibreChat is asked", async |_| fake.heads().iter().any(|head| head.starts_with("POST"))).await;
    asked.abort_all();
    let id = world.entry("that the caller left", |entry| entry["details"]["response"]["status"] == 499).await;
    assert_eq!(id["decision"], "allow");
    used(&mut world, "it", json!(1)).await;
    assert!(limit(&world, "Bob", "day").await["used"].as_u64().is_some_and(|tokens| tokens > 0));
}

async fn open_turn(addr: std::net::SocketAddr, bearer: String) {
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    open(addr, Method::POST, CHAT, &headers, turn("hi").to_string().into()).await;
}
