//! Redis loses its counters while turns run: what these hold comes back before anybody takes anything, and no limit is exceeded.

use redis::{Client, cmd};

use super::together::ENDLESS;
use super::*;
use crate::counters::{Server, without_redis};
use crate::mongo::with_directory;
use crate::mongod::Mongod;
use crate::turns::{self, alone::stop, start, who};

/// So many Tollgates with these limits, one Redis, and one ledger.
async fn sharing(count: usize, mongod: &Mongod, server: &Server, all: &str) -> Vec<World> {
    let mut worlds = Vec::new();
    for _ in 0..count {
        let plan = with_directory(&limits(all), mongod, &mongod.uri)
            .settings("timeouts: { turn_status: 100ms, turn_usage: 1s, limits: 1s }\nbalance: { check: off }")
            .variable("TOLLGATE_REPLICAS", &count.to_string())
            .variable("TOLLGATE_REDIS", &server.uri());
        worlds.push(plan.start().await);
    }
    worlds
}

fn flush(server: &Server) {
    let mut connection = Client::open(server.uri()).unwrap().get_connection().unwrap();
    cmd("FLUSHALL").exec(&mut connection).unwrap();
}

/// What is used of these limits; nothing while they are not counted.
async fn used_of<const N: usize>(world: &World, ids: [&str; N]) -> Option<[u64; N]> {
    let answer = get(world.addr, MINE, &[("authorization", &world.bearer(who(world)))]).await;
    let mine = (answer.status == 200).then(|| answer.json())?;
    let all = mine["limits"].as_array().expect("a list");
    let used = |id| all.iter().find(|limit| limit["id"] == id).and_then(|limit| limit["used"].as_u64());
    Some(ids.map(|id| used(id).unwrap_or_else(|| panic!("{id}: {mine}"))))
}

/// Says so to all of them until each has been refused for want of room: how many were taken, and how many could not be weighed.
async fn fill_up(worlds: &[World]) -> (Vec<(usize, String)>, usize) {
    let (mut taken, mut unweighed, mut full) = (Vec::new(), 0, vec![false; worlds.len()]);
    let begun = tokio::time::Instant::now();
    while full.contains(&false) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{taken:?}, {unweighed}, {full:?}");
        for (index, world) in worlds.iter().enumerate() {
            let answer = turns::say(world, ENDLESS).await;
            let body = answer.json();
            match answer.status.as_u16() {
                200 => taken.push((index, body["streamId"].as_str().expect("a stream").to_owned())),
                429 => full[index] = true,
                503 => {
                    assert_eq!(body["rule"], "limits.unavailable", "{body}");
                    unweighed += 1;
                }
                other => panic!("{other}: {body}"),
            }
        }
    }
    (taken, unweighed)
}

/// Five turns are settled and ten run; there is room for three more. Three Tollgates find it together, and nothing else.
#[tokio::test]
async fn what_runs_when_redis_is_emptied_is_not_taken_again() {
    if without_redis() {
        return;
    }
    with_mongod(async |mongod| {
        let server = Server::start();
        let all = "      - { id: month, requests: 18, per: user, window: month }\n      \
                   - { id: roll, requests: 18, per: user, window: 24h }\n      \
                   - { id: par, concurrent: 13, per: user }";
        let mut worlds = sharing(3, mongod, &server, all).await;
        let ids = ["month", "roll", "par"];
        for at in 0..5 {
            start(&worlds[at % 3], "hi [[words=2 delay=0]]").await;
        }
        for world in &mut worlds {
            let settled = async |world: &mut World| {
                world.metric("tollgate_turns_open").await == "0"
                    && world.metric("tollgate_record_waiting{sink=\"mongo\"}").await == "0"
            };
            world.until("its turns are settled", settled).await;
        }
        assert_eq!(used_of(&worlds[0], ids).await, Some([5, 5, 0]));
        let mut open = Vec::new();
        for at in 0..10 {
            open.push((at % 3, start(&worlds[at % 3], ENDLESS).await));
        }
        assert_eq!(used_of(&worlds[0], ids).await, Some([15, 15, 10]));
        // Twice, for what was put back is lost again.
        for round in 1..=2 {
            flush(&server);
            let (taken, unweighed) = fill_up(&worlds).await;
            assert_eq!(taken.len(), if round == 1 { 3 } else { 0 }, "round {round}: {taken:?}");
            assert!(unweighed > 0, "round {round}: nothing is weighed before all have come back");
            for world in &worlds {
                assert_eq!(used_of(world, ids).await, Some([18, 18, 13]), "round {round}");
            }
            open.extend(taken);
        }
        for (at, stream) in open {
            stop(&worlds[at], &stream).await;
            let [month, roll, par] = used_of(&worlds[at], ids).await.expect("counted");
            assert!(month <= 18 && roll <= 18 && par <= 13, "{month}, {roll}, {par}");
        }
        for world in &mut worlds {
            let over = async |world: &mut World| world.metric("tollgate_turns_open").await == "0";
            world.until("all turns are over", over).await;
        }
        assert_eq!(used_of(&worlds[0], ids).await, Some([18, 18, 0]), "each once");
    })
    .await;
}

/// Nobody else knows what a Tollgate held that was killed. It puts that back when it starts again.
#[tokio::test]
async fn what_a_killed_tollgate_held_comes_back_with_it() {
    if without_redis() {
        return;
    }
    with_mongod(async |mongod| {
        let server = Server::start();
        let all = "      - { id: month, requests: 4, per: user, window: month }\n      \
                   - { id: par, concurrent: 4, per: user }";
        let mut worlds = sharing(2, mongod, &server, all).await;
        let ids = ["month", "par"];
        for at in [0, 0, 1] {
            start(&worlds[at], ENDLESS).await;
        }
        worlds[0].signal("KILL");
        worlds[0].ended().await;
        flush(&server);
        let alone = async |world: &mut World| used_of(world, ids).await == Some([1, 1]);
        worlds[1].until("counters are rebuilt without those of the other", alone).await;
        worlds[0].start_again().await;
        let together = async |world: &mut World| used_of(world, ids).await == Some([3, 3]);
        worlds[1].until("they are back", together).await;
        let (taken, _) = fill_up(&worlds).await;
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!(used_of(&worlds[1], ids).await, Some([4, 4]));
    })
    .await;
}
