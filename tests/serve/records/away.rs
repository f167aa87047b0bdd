//! MongoDB is gone for a while: nobody who asks notices, and when it is back it gets each entry once.
//!
//! `TOLLGATE_RECORD_AWAY` says for how many seconds (3 where it does not); as long before it the same is asked, so that the two can
//! be held against each other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::asking::{Ask, Asker};
use super::kept::Kept;
use super::{number, tell};
use crate::POLICY;
use crate::mongo::{Relay, Way, server_of, through, with_directory};
use crate::mongod::{Mongod, with_mongod};

/// Requests a second.
const RATE: u64 = 200;
/// Connections that they come by.
const CONNECTIONS: u64 = 32;
/// Within so long of its return MongoDB has everything.
const RETURNED: Duration = Duration::from_secs(30);
/// No request may take so much longer, on a machine that has other things to do. The figures are told.
const LOOSELY: Duration = Duration::from_secs(1);

/// What one request was told, and after how long, counted from when it was due.
struct Asked {
    ask: Ask,
    status: u16,
    rule: String,
    took: Duration,
}

/// Asks at the rate, for so many seconds.
async fn drive(addr: SocketAddr, bearer: &str, name: &'static str, seconds: u64) -> Vec<Asked> {
    let begin = Instant::now() + Duration::from_millis(20);
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut asker = Asker::new(addr, bearer);
        connections.spawn(async move {
            let mut all = Vec::new();
            for request in (connection..seconds * RATE).step_by(CONNECTIONS as usize) {
                let due = begin + Duration::from_secs(1) * u32::try_from(request).expect("a number") / RATE as u32;
                sleep_until(due).await;
                let ask = if request % 2 == 0 { Ask::Models } else { Ask::Refused };
                let told = asker.ask(ask, &format!("{name} {request}")).await.expect("an answer");
                all.push(Asked { ask, status: told.status, rule: told.rule(), took: due.elapsed() });
            }
            all
        });
    }
    connections.join_all().await.into_iter().flatten().collect()
}

/// The median, the 99th of a hundred, and the longest.
fn spread<'a>(asked: impl Iterator<Item = &'a Asked>) -> [Duration; 3] {
    let mut took: Vec<_> = asked.map(|asked| asked.took).collect();
    took.sort_unstable();
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
    [at(50), at(99), at(100)]
}

/// How many audit entries there are of the requests under this name.
async fn kept(mongod: &Mongod, name: &str) -> u64 {
    let audit = mongod.own.collection::<Document>("audit");
    audit.count_documents(doc! {"details.userAgent": {"$regex": format!("^{name} ")}}).await.expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_mongodb_is_gone_nobody_waits_and_then_it_gets_each_entry_once() {
    with_mongod(async |mongod| {
        let seconds = number("TOLLGATE_RECORD_AWAY", 3);
        let all = seconds * RATE;
        let relay = Relay::to(server_of(&mongod.uri)).await;
        let mut world = with_directory(POLICY, mongod, &through(&relay, &mongod.uri))
            .variable("TOLLGATE_RECORDS", "mongo")
            // People are remembered while it is gone: this is about the record.
            .settings("identity: { cache: 60s }")
            .start()
            .await;
        let before = drive(world.addr, &world.bearer("User"), "before", seconds).await;
        world.until("all is kept", async |_| kept(mongod, "before").await == all).await;

        let bearer = world.bearer("Viewer");
        Asker::new(world.addr, &bearer).ask(Ask::Models, "remember me").await.expect("an answer");
        relay.set(Way::Cut);
        let gone = drive(world.addr, &bearer, "gone", seconds).await;
        // What was asked within its last round trips may have got there before the way was cut.
        let meanwhile = kept(mongod, "gone").await;
        assert_eq!(meanwhile, 0, "nothing gets there while it is gone");
        relay.set(Way::Open);
        let back = Instant::now();
        let arriving = async {
            let mut looks = tokio::time::interval(Duration::from_millis(50));
            while kept(mongod, "gone").await < all {
                looks.tick().await;
            }
        };
        let arrived = timeout(RETURNED, arriving).await;
        let took = back.elapsed();
        assert!(arrived.is_ok(), "{} of {all} after {took:?}", kept(mongod, "gone").await);

        world.signal("TERM");
        assert!(world.ended().await.success(), "{}", world.log());
        let record = Kept::in_mongo(mongod, &world).await;
        record.assert_whole("mongo");
        let mut agents: HashMap<&str, u32> = HashMap::new();
        for entry in record.decisions() {
            *agents.entry(entry["details"]["userAgent"].as_str().expect("an agent")).or_default() += 1;
        }
        let once =
            |name: &str| (0..all).filter(|n| agents.get(format!("{name} {n}").as_str()) == Some(&1)).count() as u64;
        assert_eq!((once("before"), once("gone"), record.decisions().count() as u64), (all, all, 2 * all + 1));

        // Whoever is asked for when a minute is over cannot be looked up.
        let forgotten = gone.iter().filter(|asked| asked.rule == "directory.down").count();
        assert!(forgotten as u64 * 100 <= all, "{forgotten} could not be looked up");
        for asked in before.iter().chain(&gone).filter(|asked| asked.rule != "directory.down") {
            let expected = if asked.ask == Ask::Models { 200 } else { 403 };
            assert_eq!(asked.status, expected, "{}", asked.rule);
        }
        for (what, ask) in [("all", None), ("lists of models", Some(Ask::Models)), ("refusals", Some(Ask::Refused))] {
            let of = |asked: &&Asked| ask.is_none_or(|ask| ask == asked.ask);
            let [there, away] = [&before, &gone].map(|asked| spread(asked.iter().filter(of)));
            tell(&format!("{what}: p50, p99, longest with MongoDB {there:?}, without {away:?}"));
            assert!(away[1] < there[1] + LOOSELY, "{what}: {there:?} {away:?}");
        }
        tell(&format!("{all} of {all} entries {took:?} after its return, each once; {forgotten} not looked up"));
    })
    .await;
}
