//! What a caller is shown.

use http::Method;
use serde_json::json;

use crate::POLICY;
use crate::support::{get, request};
use crate::world::World;

#[tokio::test]
async fn a_user_sees_exactly_the_allowed_models() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let answer = get(world.addr, "/api/models", &[("authorization", &bob)]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"openAI": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic"]}));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("vary"), "Authorization");
    assert_eq!(answer.header("etag"), "");
    let head = request(world.addr, Method::HEAD, "/api/models", &[("authorization", &bob)], "".into()).await;
    assert_eq!(head.header("content-length"), answer.body.len().to_string());
    assert!(head.body.is_empty());
}
