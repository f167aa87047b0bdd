//! MongoDB is away for so long that what waits for it is as much as may wait.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::asking::{Ask, Asker};
use super::kept::Kept;
use crate::POLICY;
use crate::mongo::{Relay, Way, server_of, through, with_directory};
use crate::mongod::with_mongod;

/// How many ask at once.
const ASKERS: usize = 8;
/// So long it may take until the spool is full, and until it is empty again.
const PATIENTLY: Duration = Duration::from_secs(120);

/// Makes an entry that is as long as entries get: 32 names of 64 bytes.
fn long() -> String {
    let names: Vec<String> = (0..32).map(|n| format!("{n:064}")).collect();
    format!("/api/models?{}", names.join("&"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_mongodb_has_been_away_for_too_long_what_is_decided_is_refused_until_it_is_back() {
    with_mongod(async |mongod| {
        let relay = Relay::to(server_of(&mongod.uri)).await;
        let mut world = with_directory(POLICY, mongod, &through(&relay, &mongod.uri))
            .variable("TOLLGATE_RECORDS", "mongo")
            .settings("identity: { cache: 60s }\nrecords: { spool: 16MiB }")
            .start()
            .await;
        let bearer = world.bearer("User");
        let mut user = Asker::new(world.addr, &bearer);
        let first = user.ask(Ask::Refused, "before").await.expect("an answer");
        assert_eq!(first.status, 403);
        relay.set(Way::Cut);
        let mut askers = JoinSet::new();
        for asker in 0..ASKERS {
            let (mut asking, path) = (Asker::new(world.addr, &bearer), long());
            askers.spawn(async move {
                // Each is answered, if only by the directory being away.
                for turn in 0.. {
                    let told = asking.send("GET", &path, String::new(), &format!("{asker}/{turn}")).await;
                    let told = told.expect("an answer: the process stays up");
                    if told.rule() == "records.full" {
                        assert_eq!(told.status, 503);
                        return (asker, turn);
                    }
                }
                (asker, 0)
            });
        }
        let asked: Vec<(usize, u32)> = timeout(PATIENTLY, askers.join_all()).await.expect("the spool gets full");
        assert_eq!(world.metric("tollgate_record_full").await, "1");
        let used: u64 = world.metric("tollgate_record_spool_bytes").await.parse().expect("a number");
        assert!((15 << 20..=16 << 20).contains(&used), "{used} bytes wait");
        let told = user.ask(Ask::Refused, "meanwhile").await.expect("an answer");
        assert_eq!((told.status, told.rule().as_str()), (503, "records.full"));
        assert_eq!(user.ask(Ask::Page, "a page").await.expect("an answer").status, 200, "the rest is served");

        relay.set(Way::Open);
        let back = Instant::now();
        let well = async {
            let mut looks = tokio::time::interval(Duration::from_millis(100));
            while world.metric("tollgate_record_full").await != "0"
                || user.ask(Ask::Models, "again").await.expect("an answer").status != 200
            {
                looks.tick().await;
            }
        };
        timeout(PATIENTLY, well).await.expect("it gets well alone");
        super::tell(&format!(
            "{} entries filled the spool; it was well {:?} after MongoDB",
            asked.iter().map(|(_, turns)| turns).sum::<u32>(),
            back.elapsed()
        ));
        let last = user.ask(Ask::Refused, "after").await.expect("an answer");
        assert_eq!(last.status, 403);
        world
            .until("all is shipped", async |world| world.metric("tollgate_record_waiting{sink=\"mongo\"}").await == "0")
            .await;
        world.signal("TERM");
        assert!(world.ended().await.success(), "{}", world.log());

        let kept = Kept::in_mongo(mongod, &world).await;
        assert!(kept.report.is_good(), "{:?}", kept.report.findings);
        let mut agents: HashMap<&str, u32> = HashMap::new();
        for entry in kept.decisions() {
            *agents.entry(entry["details"]["userAgent"].as_str().expect("an agent")).or_default() += 1;
        }
        // All that was answered before it was full is there once.
        let once = |agent: &str| agents.get(agent) == Some(&1);
        assert!(once("before") && once("after"));
        for (asker, turns) in asked {
            let lost: Vec<_> = (0..turns).filter(|turn| !once(&format!("{asker}/{turn}"))).collect();
            assert!(lost.is_empty(), "{asker}: {lost:?} of {turns} are missing, or there twice");
        }
        assert_eq!(kept.report.dropped, (0, 0), "what was refused for it is there, too: {:?}", kept.gaps());
    })
    .await;
}
