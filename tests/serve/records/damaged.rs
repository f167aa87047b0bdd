//! Segments that are damaged while Tollgate is down: what is lost is told by its numbers, and everything else arrives.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::asking::{Ask, Asker};
use super::kept::{Frame, Kept, frames, segments};
use crate::POLICY;
use crate::mongo::{Relay, Way, server_of, through, with_directory};
use crate::mongod::with_mongod;
use crate::world::World;

/// Refusals that wait for MongoDB when Tollgate is killed.
const WAITING: usize = 40;

/// What happens to the segment.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// Half a frame stands behind the last whole one, as when the process is killed while it writes.
    Torn,
    /// A byte of an entry in the middle is another one.
    Flipped,
    /// So is one of each of the first entries that MongoDB has not got.
    FirstWaiting,
    /// The last three frames are cut off.
    Cut,
    /// The last one is damaged.
    Last,
    /// The segment is gone, and with it all that would tell which numbers were in it.
    Gone,
}

/// Does it, and says which frames are lost.
fn harm(segment: &PathBuf, harm: Harm, waiting: &[&Frame]) -> Vec<Value> {
    let file = fs::File::options().write(true).open(segment).expect("a segment");
    let flip = |frame: &Frame| {
        let bytes = fs::read(segment).expect("a segment");
        let at = (frame.at + frame.end) / 2;
        file.write_all_at(&[bytes[at] ^ 1], at as u64).expect("a byte");
        frame.entry.clone()
    };
    let last = waiting.last().expect("frames");
    match harm {
        Harm::Torn => {
            let bytes = fs::read(segment).expect("a segment");
            let half = &bytes[last.at..last.at + (last.end - last.at) / 2];
            file.write_all_at(half, last.end as u64).expect("half a frame");
            vec![]
        }
        Harm::Flipped => vec![flip(waiting[10]), flip(waiting[11]), flip(waiting[20])],
        Harm::FirstWaiting => vec![flip(waiting[0]), flip(waiting[1])],
        Harm::Cut => {
            let lost = &waiting[waiting.len() - 3..];
            file.set_len(lost[0].at as u64).expect("a shorter segment");
            lost.iter().map(|frame| frame.entry.clone()).collect()
        }
        Harm::Last => vec![flip(last)],
        Harm::Gone => {
            fs::remove_file(segment).expect("a segment to remove");
            waiting.iter().map(|frame| frame.entry.clone()).collect()
        }
    }
}

async fn harmed(kind: Harm) {
    with_mongod(async |mongod| {
        let relay = Relay::to(server_of(&mongod.uri)).await;
        let mut world = with_directory(POLICY, mongod, &through(&relay, &mongod.uri))
            .variable("TOLLGATE_RECORDS", "mongo")
            .settings("identity: { cache: 60s }")
            .start()
            .await;
        let mut user = Asker::new(world.addr, &world.bearer("User"));
        assert_eq!(user.ask(Ask::Refused, "before").await.expect("an answer").status, 403);
        let waiting = "tollgate_record_waiting{sink=\"mongo\"}";
        // Nothing may seem to wait as long as the lane has not seen that there is something.
        let is_there = async |_: &mut World| {
            let audit = mongod.own.collection::<Document>("audit");
            let found = audit.count_documents(doc! {"details.userAgent": "before"});
            found.await.expect("a count") == 1
        };
        world.until("MongoDB has it", is_there).await;
        world.until("that is written down", async |world| world.metric(waiting).await == "0").await;
        relay.set(Way::Cut);
        for n in 0..WAITING {
            assert_eq!(user.ask(Ask::Refused, &format!("waiting {n}")).await.expect("an answer").status, 403);
        }
        world.signal("KILL");
        world.ended().await;
        let segment = segments(&world).pop().expect("a segment");
        let all = frames(&segment);
        let is_waiting = |frame: &&Frame| {
            frame.entry["details"]["userAgent"].as_str().is_some_and(|agent| agent.starts_with("waiting"))
        };
        let frames: Vec<&Frame> = all.values().filter(is_waiting).collect();
        assert_eq!(frames.len(), WAITING);
        let lost = harm(&segment, kind, &frames);

        relay.set(Way::Open);
        world.start_again().await;
        let after = Asker::new(world.addr, &world.bearer("User")).ask(Ask::Refused, "after").await.expect("an answer");
        assert_eq!(after.status, 403);
        world.until("MongoDB has it", async |world| world.metric(waiting).await == "0").await;
        world.signal("TERM");
        assert!(world.ended().await.success(), "{}", world.log());
        let log = world.log();
        let kept = Kept::in_mongo(mongod, &world).await;
        assert!(kept.report.is_good(), "{kind:?}: {:?}\n{:?}\n{log}", kept.report.findings, kept.gaps());
        assert_eq!(kept.report.lost(), lost.len() as u64, "{kind:?}: lost, as recorded: {:?}", kept.gaps());
        let ids = kept.ids();
        for frame in &frames {
            let is_lost = lost.contains(&frame.entry);
            let there = ids.get(frame.entry["_id"].as_str().expect("an id")).copied();
            assert_eq!(there, if is_lost { None } else { Some(1) }, "{kind:?}: {}", frame.entry["seq"]);
        }
        let told: u64 = kept
            .gaps()
            .iter()
            .map(|gap| match gap["frames"]["lost"].as_u64() {
                Some(lost) => lost,
                None => 1 + gap["to"].as_u64().expect("to") - gap["from"].as_u64().expect("from"),
            })
            .sum();
        assert_eq!(told, lost.len() as u64, "{kind:?}: {:?}", kept.gaps());
        for gap in kept.gaps() {
            let (reason, last) = (gap["reason"].as_str().expect("a reason"), frames.last().expect("frames"));
            if matches!(kind, Harm::Gone) {
                let after = last.entry["seq"].as_u64().expect("a number") + 1;
                assert_eq!(gap["before"], json!({"audit": after}), "{gap}");
                assert!(reason.contains("it was cut off or removed"), "{gap}");
            } else {
                assert_eq!(gap["kind"], "audit");
                assert!(reason.contains(".seg"), "{gap}");
            }
        }
        let named = log.matches("a part of the record is lost").count();
        assert_eq!(named > 0, !lost.is_empty(), "{kind:?}: {log}");
        let torn = log.contains("an entry was being written when tollgate ended");
        assert_eq!(torn, matches!(kind, Harm::Torn), "{kind:?}: {log}");
    })
    .await;
}

#[tokio::test]
async fn what_was_being_written_is_cut_off_and_nothing_is_lost() {
    harmed(Harm::Torn).await;
}

#[tokio::test]
async fn damaged_entries_are_lost_as_recorded_and_the_others_arrive() {
    harmed(Harm::Flipped).await;
}

#[tokio::test]
async fn so_are_the_first_ones_that_a_sink_has_not_got() {
    harmed(Harm::FirstWaiting).await;
}

#[tokio::test]
async fn so_are_those_at_the_end_that_were_cut_off() {
    harmed(Harm::Cut).await;
}

#[tokio::test]
async fn so_is_the_very_last_one() {
    harmed(Harm::Last).await;
}

#[tokio::test]
async fn so_are_all_of_them_where_nothing_is_left_that_would_tell_their_numbers() {
    harmed(Harm::Gone).await;
}
