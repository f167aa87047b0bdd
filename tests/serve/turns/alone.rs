//! A second turn of a conversation waits for the first, which LibreChat would let go on unseen.

use serde_json::{Value, json};

use super::{CHAT, SOON, listen, settled, used, who};
use crate::support::{Answer, post_json};
use crate::world::World;

pub(super) const CONVERSATION: &str = "b0076b47-3e54-4ad6-9d1e-21b2a3f0c0de";

/// Bob has a month's output, and two turns at once.
pub(super) const TWO: &str = "version: 1
roles:
  USER:
    unrestricted: true
    limits:
      - { id: out, output_tokens: 10M, per: user, window: month }
      - { id: open, concurrent: 2, per: user }
  ADMIN: { unrestricted: true }
";

/// LibreChat is asked about a turn by itself only when a minute is over.
const LATE: &str = "timeouts: { turn_status: 60s, turn_usage: 2s }";

pub(crate) async fn say_in(world: &World, conversation: &str, text: &str) -> Answer {
    let body = json!({
        "text": text, "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": conversation,
        "parentMessageId": "00000000-0000-0000-0000-000000000000",
    });
    post_json(world.addr, CHAT, &[("authorization", &world.bearer(who(world)))], &body).await
}

pub(crate) async fn stop(world: &World, stream: &str) {
    let bob = world.bearer(who(world));
    let body = json!({"streamId": stream});
    let stopped = post_json(world.addr, "/api/agents/chat/abort", &[("authorization", &bob)], &body).await;
    assert_eq!(stopped.status, 200, "{}", stopped.text());
}

fn assert_waits(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "5"), "{}", answer.text());
    let body = answer.json();
    let told = (&body["type"], &body["limit"], &body["rule"]);
    assert_eq!(told, (&json!("concurrent"), &json!(1), &json!("turns.running")));
    assert_eq!(body["message"], "An answer in this conversation is still being written. Wait for it, or stop it.");
}

#[tokio::test]
async fn a_turn_that_runs_cannot_be_replaced_by_another_one() {
    // Room for one that is over and not settled yet, too.
    let policy = TWO.replace("concurrent: 2", "concurrent: 3");
    let mut world = World::with(&policy).settings(LATE).start().await;
    let first = say_in(&world, CONVERSATION, "hello [[words=4000 delay=20]]").await;
    assert_eq!(first.status, 200, "{}", first.text());
    let mut reader = listen(&world, CONVERSATION).await;
    reader.next().await.expect("a piece");
    let out = used(&world, "out").await;
    let again = say_in(&world, CONVERSATION, "hello [[words=1]]").await;
    assert_waits(&again);
    let entry = world.entry_of(&again.json()).await;
    assert_eq!(entry["rules"], json!(["turns.running"]), "{entry}");
    drop(reader);
    // Now LibreChat is asked.
    assert_waits(&say_in(&world, CONVERSATION, "hello [[words=1]]").await);
    // It has taken nothing, and nothing has come to a model.
    assert_eq!((used(&world, "open").await, used(&world, "out").await), (1, out));
    assert_eq!(world.stand_in.calls().len(), 1);
    // Elsewhere there is room.
    let other = say_in(&world, "c0076b47-3e54-4ad6-9d1e-21b2a3f0c0de", "hello [[words=4000 delay=20]]").await;
    assert_eq!(other.status, 200, "{}", other.text());
    stop(&world, CONVERSATION).await;
    world.until("its place is free", async |world| used(world, "open").await == 1).await;
    let next = say_in(&world, CONVERSATION, "hello [[words=2]]").await;
    assert_eq!(next.status, 200, "{}", next.text());
    let entry = settled(&mut world, CONVERSATION).await;
    assert_eq!(entry["source"], "stream", "{entry}");
}

#[tokio::test]
async fn a_turn_that_is_over_does_not_block_though_nobody_has_read_it() {
    let world = World::with(TWO).settings(LATE).start().await;
    assert_eq!(say_in(&world, CONVERSATION, "hello [[words=1 delay=0]]").await.status, 200);
    assert_eq!(used(&world, "open").await, 1, "nobody has looked");
    let ends = async {
        while say_in(&world, CONVERSATION, "hello [[words=1 delay=0]]").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    crate::support::patiently("the next turn", ends).await;
    assert_eq!(world.stand_in.calls().len(), 2);
}

#[tokio::test]
async fn of_turns_that_are_sent_to_one_conversation_at_once_one_runs() {
    let world = World::with(TWO).settings(SOON).start().await;
    let all =
        futures_util::future::join_all((0..8).map(|_| say_in(&world, CONVERSATION, "hello [[words=4000 delay=20]]")));
    let answers = all.await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((taken.len(), refused.len()), (1, 7));
    refused.into_iter().for_each(assert_waits);
    assert_eq!((used(&world, "open").await, world.stand_in.calls().len()), (1, 1));
}

#[tokio::test]
async fn without_limits_nobody_waits() {
    let free = "version: 1\nroles: { USER: { unrestricted: true }, ADMIN: { unrestricted: true } }\n";
    let world = World::with(free).settings(SOON).start().await;
    for _ in 0..2 {
        let answer: Value = say_in(&world, CONVERSATION, "hello [[words=400 delay=20]]").await.json();
        assert_eq!(answer["streamId"], CONVERSATION);
    }
}
