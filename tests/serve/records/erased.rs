//! A user is taken out of a record that was made by serving: nothing personal is left in any entry, and it verifies.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::asking::{Ask, Asker};
use super::kept::{Kept, data};
use crate::POLICY;
use crate::world::World;

/// All that a tombstone may have: its place in the chain, and which erasure it is of.
const LEFT: [&str; 11] =
    ["kind", "_id", "timestamp", "erased", "key", "signature", "digest", "instance", "seq", "prevHash", "hash"];

#[tokio::test]
async fn after_an_erasure_no_member_of_the_users_entries_is_personal_and_the_record_verifies() {
    let mut world = World::with(POLICY).variable("TOLLGATE_RECORDS", "embedded").start().await;
    let (bob, ann) = (world.person("Bob").id.clone(), world.person("Ann").id.clone());
    let mut asking = [Asker::new(world.addr, &world.bearer("Bob")), Asker::new(world.addr, &world.bearer("Ann"))];
    for ask in [Ask::Refused, Ask::Turn, Ask::Models, Ask::Turn] {
        for (asker, agent) in asking.iter_mut().zip(["of-bob", "of-ann"]) {
            asker.ask(ask, agent).await.expect("an answer");
        }
    }
    world.signal("TERM");
    assert!(world.ended().await.success(), "{}", world.log());
    let before = Kept::embedded(&world).await;
    before.assert_whole("before");
    let of_bob: BTreeSet<_> = before.entries.iter().filter(|entry| entry["userId"] == bob.as_str()).map(id).collect();
    assert!(of_bob.len() >= 6, "decisions and turns: {}", of_bob.len());

    let erased = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["audit", "erase", &bob, "--reason", "asked for it", "--yes"])
        .arg("--config")
        .arg(world.dir.path().join("tollgate.yaml"))
        .arg("--data")
        .arg(data(&world))
        .env_clear()
        .output()
        .expect("the tollgate program");
    // The spool keeps its last segment, also when all of it has gone to the sinks: that is said, and is no good end.
    let told = String::from_utf8_lossy(&erased.stderr).into_owned();
    let left: Vec<_> = told.lines().filter(|line| line.starts_with("not erased: ")).collect();
    assert_eq!((erased.status.code(), left.len()), (Some(1), 1), "{told}");
    assert!(left[0].contains("records/spool/"), "{told}");

    let after = Kept::embedded(&world).await;
    assert!(after.report.is_good(), "{:?}", after.report.findings);
    assert_eq!((after.report.erased(), after.report.erasures), (of_bob.len() as u64, 1));
    for entry in after.entries.iter().filter(|entry| of_bob.contains(&id(entry))) {
        for (member, _) in entry.as_object().expect("an object") {
            assert!(LEFT.contains(&member.as_str()), "{member} is left: {entry}");
        }
    }
    let all = after.entries.iter().map(Value::to_string).collect::<String>();
    assert!(!all.contains(&bob) && !all.contains("of-bob") && !all.contains("bob@"), "something is left of Bob");
    assert!(all.contains(&ann) && all.contains("of-ann"), "others stay");
}

fn id(entry: &Value) -> String {
    entry["_id"].as_str().expect("an id").to_owned()
}
