//! `kill -9` at random moments under load: what somebody was told is in the record, what was on the disk too, and all of it once.
//!
//! `TOLLGATE_RECORD_KILLS` says how often (6 where it does not).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::asking::{Ask, Asker};
use super::kept::{Kept, frames, segments};
use super::{Chance, number, tell};
use crate::POLICY;
use crate::mongo::with_directory;
use crate::mongod::with_mongod;
use crate::support::{get, patiently};
use crate::world::World;

/// How many ask at once.
const ASKERS: u64 = 6;

/// Who asks while Tollgate is killed.
struct Load {
    answers: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    askers: JoinSet<Vec<String>>,
}

// === impl Load ===

impl Load {
    fn begin(world: &World, kill: u64) -> Self {
        let mut load = Self { answers: Arc::default(), over: Arc::default(), askers: JoinSet::new() };
        for asker in 0..ASKERS {
            let (answers, over) = (Arc::clone(&load.answers), Arc::clone(&load.over));
            let mut asking = Asker::new(world.addr, &world.bearer("User"));
            load.askers.spawn(async move {
                let mut refused = Vec::new();
                for turn in 0.. {
                    let ask = [Ask::Refused, Ask::Models, Ask::Refused, Ask::Turn][(turn % 4) as usize];
                    let told = asking.ask(ask, &format!("{kill}/{asker}/{turn}")).await;
                    if over.load(Ordering::Relaxed) && told.is_none() {
                        break;
                    }
                    let Some(told) = told else { continue };
                    answers.fetch_add(1, Ordering::Relaxed);
                    if ask == Ask::Refused {
                        assert_eq!(told.rule(), "roles.USER.endpoints.openAI.models", "{:?}", told.body);
                        refused.push(told.request());
                    }
                }
                refused
            });
        }
        load
    }

    async fn answered(&self, count: u64) {
        let mut looks = tokio::time::interval(Duration::from_millis(1));
        let waiting = async {
            while self.answers.load(Ordering::Relaxed) < count {
                looks.tick().await;
            }
        };
        patiently("answers", waiting).await;
    }

    /// The requests whose refusal somebody saw whole.
    async fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        patiently("the askers end", self.askers.join_all()).await.into_iter().flatten().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_that_was_told_or_kept_and_repeats_nothing() {
    with_mongod(async |mongod| {
        let kills = number("TOLLGATE_RECORD_KILLS", 6);
        let mut chance = Chance::new();
        let plan = with_directory(POLICY, mongod, &mongod.uri).variable("TOLLGATE_RECORDS", "embedded,mongo");
        let mut world = plan.start().await;
        let (mut told, mut appended) = (HashSet::new(), HashSet::new());
        let mut last = 0;
        for kill in 0..kills {
            let load = Load::begin(&world, kill);
            load.answered(1 + chance.below(120)).await;
            tokio::time::sleep(Duration::from_micros(chance.below(8_000))).await;
            world.signal("KILL");
            world.ended().await;
            told.extend(load.end().await);
            for segment in segments(&world) {
                let fresh = frames(&segment).into_iter().filter(|(number, _)| *number > last).collect::<Vec<_>>();
                last = fresh.last().map_or(last, |(number, _)| *number);
                appended.extend(fresh.into_iter().map(|(_, frame)| frame.entry["_id"].as_str().expect("an id").to_owned()));
            }
            world.stand_in.forget();
            world.start_again().await;
        }
        // Who is asked to stop before it listens for that just ends.
        let ready = async |world: &mut World| get(world.admin, "/readyz", &[]).await.status == 200;
        world.until("it is ready", ready).await;
        world.signal("TERM");
        assert!(world.ended().await.success(), "{}", world.log());

        let mut figures = Vec::new();
        for (name, kept) in [("mongo", Kept::in_mongo(mongod, &world).await), ("embedded", Kept::embedded(&world).await)] {
            kept.assert_whole(name);
            let (decided, used, ids) = (kept.decided(), kept.used(), kept.ids());
            let lost: Vec<_> = told.iter().filter(|request| !decided.contains_key(*request)).collect();
            assert!(lost.is_empty(), "{name}: told and lost: {lost:?}");
            let lost: Vec<_> = appended.iter().filter(|id| !ids.contains_key(*id)).collect();
            assert!(lost.is_empty(), "{name}: on the disk and lost: {lost:?}");
            for (what, counted) in [("decisions", &decided), ("usage entries", &used), ("entries", &ids)] {
                let twice: Vec<_> = counted.iter().filter(|(_, count)| **count > 1).collect();
                assert!(twice.is_empty(), "{name}: {what} that are there more than once: {twice:?}");
            }
            assert!(told.len() as u64 >= kills, "refusals were seen: {}", told.len());
            figures.push((name, kept.report.entries(), kept.report.heads, kept.report.findings.len()));
        }
        assert_eq!(figures[0].1, figures[1].1, "both stores have the same");
        tell(&format!(
            "{kills} kills: {} refusals seen, {} entries on the disk after a kill; store, entries, heads, findings: {figures:?}",
            told.len(),
            appended.len()
        ));
    })
    .await;
}

/// What a killed Tollgate left without a head gets one when the next one starts: nobody who verifies then takes it for forged.
#[tokio::test]
async fn what_was_left_unsigned_is_signed_at_the_next_start() {
    let mut world = World::with(POLICY).variable("TOLLGATE_RECORDS", "stdout,embedded").start().await;
    let mut bob = Asker::new(world.addr, &world.bearer("Bob"));
    assert_eq!(bob.ask(Ask::Refused, "before").await.expect("an answer").status, 403);
    world.entry_from("before").await;
    world.signal("KILL");
    world.ended().await;
    assert!(!world.record().iter().any(|line| line["kind"] == "head"), "a head comes after a minute");
    world.start_again().await;
    for (what, member, word) in [("a head", "kind", "head"), ("the start", "action", "tollgate.started")] {
        world.until(what, async |world| world.record().iter().any(|line| line[member] == word)).await;
    }
    let lines = world.record();
    let moment = |line: &serde_json::Value| {
        line["timestamp"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time")
    };
    let head = lines.iter().find(|line| line["kind"] == "head").map(moment).expect("it was there just now");
    let started = lines.iter().filter(|line| line["action"] == "tollgate.started").map(moment).max().expect("a start");
    let after = head.duration_since(started).abs();
    assert!(after < jiff::SignedDuration::from_secs(20), "{after:?} between the start and the head");
}
