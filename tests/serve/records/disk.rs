//! A disk of which the record cannot be written for a while, or slowly: what is decided is refused, or goes on and is missed by the
//! record's own word; and Tollgate gets well alone.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::asking::{Ask, Asker, Told};
use super::kept::Kept;
use crate::POLICY;
use crate::world::{Plan, World};

/// How long the slow disk takes: see `disk.c`.
const SLOW: Duration = Duration::from_millis(300);

/// How long somebody waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// The disk of one Tollgate.
struct Disk {
    mode: File,
    _directory: TempDir,
}

/// How a disk is.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Well = b'n' as isize,
    Full = b'f' as isize,
    ReadOnly = b'r' as isize,
    Slow = b's' as isize,
    Hanging = b'h' as isize,
    FailsOnce = b'e' as isize,
}

/// What is loaded before the C library of a Tollgate.
fn shim() -> &'static Path {
    static BUILT: OnceLock<TempDir> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(directory.path().join("disk.so"));
        compile.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/records/disk.c")).arg("-ldl");
        assert!(compile.status().expect("a C compiler").success());
        directory
    });
    directory.path()
}

// === impl Disk ===

impl Disk {
    /// A disk that is well, and an installation on it.
    fn of(plan: Plan) -> (Self, Plan) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("mode");
        fs::write(&path, "n").expect("a file");
        let plan = plan
            .variable("LD_PRELOAD", &shim().join("disk.so").display().to_string())
            .variable("DISK_MODE", &path.display().to_string());
        let mode = File::options().write(true).open(&path).expect("a file");
        (Self { mode, _directory: directory }, plan)
    }

    fn is(&self, mode: Mode) {
        self.mode.write_all_at(&[mode as u8], 0).expect("a file");
    }
}

/// One person who asks, and all that was told.
struct Story {
    world: World,
    bob: Asker,
    /// Requests and their answers; those that went on are known to the stand-in.
    told: Vec<(String, u16)>,
    asked: usize,
    /// Nothing goes on that cannot be written.
    strict: bool,
}

// === impl Story ===

impl Story {
    async fn begin(plan: Plan, strict: bool) -> Self {
        let world = plan.variable("TOLLGATE_RECORDS", "embedded").start().await;
        let bob = Asker::new(world.addr, &world.bearer("Bob"));
        Self { world, bob, told: Vec::new(), asked: 0, strict }
    }

    async fn ask(&mut self, ask: Ask) -> Told {
        self.asked += 1;
        let agent = format!("asked {}", self.asked);
        let told = self.bob.ask(ask, &agent).await.expect("an answer: the process stays up");
        let request = if told.rule().is_empty() {
            let seen = self.world.reached().into_iter().find(|seen| seen.headers["user-agent"] == agent.as_str());
            let seen = seen.unwrap_or_else(|| panic!("{ask:?} was answered with {} and reached nobody", told.status));
            seen.headers["x-request-id"].to_str().expect("an id").to_owned()
        } else {
            told.request()
        };
        if ask != Ask::Page {
            self.told.push((request, told.status));
        }
        told
    }

    async fn until_full(&mut self) {
        let begun = Instant::now();
        while self.world.metric("tollgate_record_full").await != "1" {
            self.ask(Ask::Models).await;
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody notices the disk");
        }
    }

    async fn until_well(&mut self) {
        let begun = Instant::now();
        while self.world.metric("tollgate_record_full").await != "0" {
            self.ask(Ask::Models).await;
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not get well");
        }
    }

    /// Stops it, and holds what was told against the record. What is missing by the record's own word is the answer.
    async fn end(mut self) -> u64 {
        self.world.signal("TERM");
        assert!(self.world.ended().await.success(), "{}", self.world.log());
        let kept = Kept::embedded(&self.world).await;
        assert!(kept.report.is_good(), "{:?}", kept.report.findings);
        let (decided, used) = (kept.decided(), kept.used());
        assert!(decided.values().chain(used.values()).all(|count| *count == 1), "each is there once");
        let missing = self.told.iter().filter(|(request, _)| !decided.contains_key(request)).count() as u64;
        let sum = |kind: &str| kept.gaps().iter().filter_map(|about: &Value| about[kind].as_u64()).sum::<u64>();
        assert_eq!(sum("audit"), missing, "the gaps are what is missing: {:?}", kept.gaps());
        assert_eq!(kept.report.dropped, (missing, sum("usage")));
        let turns: HashSet<_> =
            kept.decisions().filter(|entry| is_turn(entry)).map(|entry| &entry["requestId"]).collect();
        assert!(turns.len() <= used.len() + usize::try_from(sum("usage")).expect("a number"));
        if self.strict {
            let told = self.told.iter().filter(|(_, status)| *status == 403);
            let lost: Vec<_> = told.filter(|(request, _)| !decided.contains_key(request)).collect();
            assert!(lost.is_empty(), "refused, told so, and not there: {lost:?}");
        }
        missing
    }

    /// The entry of a decision about this request, once it is in the store.
    async fn until_kept(&mut self, request: &str) -> Value {
        self.find(|entry| entry["requestId"] == request).await
    }

    /// An event, once it is there.
    async fn event(&mut self, action: &str) -> Value {
        self.find(|entry| entry["action"] == action).await
    }

    async fn find(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let kept = Kept::embedded(&self.world).await;
            if let Some(entry) = kept.entries.iter().find(|entry| fits(entry)) {
                return entry.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not come: {:?}", kept.entries);
        }
    }

    /// How many were refused by the policy, and told so.
    fn refused(&self) -> usize {
        self.told.iter().filter(|(_, status)| *status == 403).count()
    }
}

fn is_turn(entry: &Value) -> bool {
    entry["action"] == "chat.turn" && entry["decision"] == "allow"
}

#[tokio::test]
async fn where_nothing_can_be_written_what_is_decided_is_refused_and_the_rest_goes_on() {
    for mode in [Mode::Full, Mode::ReadOnly] {
        let (disk, plan) = Disk::of(World::with(POLICY));
        let mut story = Story::begin(plan, true).await;
        assert_eq!(story.ask(Ask::Refused).await.status, 403);
        for _ in 0..2 {
            disk.is(mode);
            // The first to wait for the disk is told what it said.
            let told = story.ask(Ask::Refused).await;
            assert_eq!((told.status, told.rule().as_str()), (503, "records.full"), "{mode:?}");
            story.until_full().await;
            story.world.stand_in.forget();
            for ask in [Ask::Refused, Ask::Turn, Ask::Models] {
                let told = story.ask(ask).await;
                assert_eq!((told.status, told.rule().as_str()), (503, "records.full"), "{mode:?} {ask:?}");
            }
            assert!(story.world.reached().is_empty(), "{:?}", story.world.reached());
            assert_eq!(story.ask(Ask::Page).await.status, 200, "{mode:?}");
            disk.is(Mode::Well);
            story.until_well().await;
            for (ask, status) in [(Ask::Refused, 403), (Ask::Turn, 200), (Ask::Models, 200)] {
                assert_eq!(story.ask(ask).await.status, status, "{mode:?} {ask:?}");
            }
        }
        assert_eq!(story.refused(), 3);
        let log = story.world.log();
        assert_eq!(log.matches("the record takes no entries").count(), 2, "{log}");
        assert_eq!(log.matches("the record takes entries again").count(), 2, "{log}");
        assert!(story.end().await > 0, "what waited for the disk and was told 503 is missing, as the record says");
    }
}

#[tokio::test]
async fn where_nothing_can_be_written_all_goes_on_if_it_may_and_the_record_tells_how_much_is_missing() {
    for mode in [Mode::Full, Mode::ReadOnly] {
        let (disk, plan) = Disk::of(World::with(POLICY).settings("records: { on_full: drop }"));
        let mut story = Story::begin(plan, false).await;
        for _ in 0..2 {
            disk.is(mode);
            story.until_full().await;
            // A refusal waits until the disk has been asked, so that what came before it is lost, too.
            for (ask, status) in [(Ask::Turn, 200), (Ask::Models, 200), (Ask::Refused, 403), (Ask::Page, 200)] {
                assert_eq!(story.ask(ask).await.status, status, "{mode:?} {ask:?}");
            }
            disk.is(Mode::Well);
            story.until_well().await;
            assert_eq!(story.ask(Ask::Refused).await.status, 403, "{mode:?}");
        }
        assert!(story.end().await >= 6, "three requests of each time, at the least");
    }
}

#[tokio::test]
async fn on_a_slow_disk_refusals_wait_together_and_nobody_else_waits() {
    let (disk, plan) = Disk::of(World::with(POLICY));
    let mut story = Story::begin(plan, true).await;
    story.ask(Ask::Models).await;
    disk.is(Mode::Slow);
    let begun = Instant::now();
    let mut refusals = JoinSet::new();
    for n in 0..30 {
        let mut asker = Asker::new(story.world.addr, &story.world.bearer("Bob"));
        refusals.spawn(async move {
            let told = asker.ask(Ask::Refused, &format!("slow {n}")).await.expect("an answer");
            (told.request(), told.status)
        });
    }
    let mut quick = Vec::new();
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(story.ask(Ask::Models).await.status, 200);
        quick.push(asked.elapsed());
    }
    quick.sort_unstable();
    assert!(quick[10] < SLOW, "who does not wait for the disk is not kept: {quick:?}");
    let refused = refusals.join_all().await;
    let took = begun.elapsed();
    assert!(SLOW <= took && took < SLOW * 15, "thirty wait together: {took:?}");
    assert!(refused.iter().all(|(_, status)| *status == 403), "{refused:?}");
    story.told.extend(refused);
    disk.is(Mode::Well);
    assert_eq!(story.end().await, 0);
}

/// A disk that does not answer for a while: nothing goes on that would have to be written, nobody waits for it without end, and what
/// was told stands in the record.
#[tokio::test]
async fn while_the_disk_does_not_answer_what_is_decided_is_refused_in_time() {
    let (disk, plan) = Disk::of(World::with(POLICY));
    let mut story = Story::begin(plan, true).await;
    assert_eq!(story.ask(Ask::Refused).await.status, 403);
    disk.is(Mode::Hanging);
    let asked = Instant::now();
    let first = story.ask(Ask::Refused).await;
    assert_eq!((first.status, first.rule().as_str()), (503, "records.full"));
    assert!(PATIENCE <= asked.elapsed() && asked.elapsed() < PATIENCE * 3, "{:?}", asked.elapsed());
    story.until_full().await;
    story.world.stand_in.forget();
    for ask in [Ask::Refused, Ask::Turn, Ask::Models] {
        let asked = Instant::now();
        let told = story.ask(ask).await;
        assert_eq!((told.status, told.rule().as_str()), (503, "records.full"), "{ask:?}");
        assert!(asked.elapsed() < PATIENCE, "at once: {:?}", asked.elapsed());
    }
    assert!(story.world.reached().is_empty(), "{:?}", story.world.reached());
    assert_eq!(story.ask(Ask::Page).await.status, 200);
    assert!(!story.world.is_ready().await, "no more requests should come here");
    disk.is(Mode::Well);
    story.until_well().await;
    for (ask, status) in [(Ask::Refused, 403), (Ask::Turn, 200), (Ask::Models, 200)] {
        assert_eq!(story.ask(ask).await.status, status, "{ask:?}");
    }
    let log = story.world.log();
    assert_eq!(log.matches("the disk has not answered for 2s").count(), 1, "{log}");
    let kept = story.until_kept(&first.request()).await;
    // The entry was with the disk when its request was refused: it cannot be taken back, and the record says what became of it.
    assert_eq!(kept["details"]["response"]["status"], 403);
    let late = story.event("records.late").await;
    assert_eq!((&late["about"]["entry"], &late["about"]["status"]), (&kept["_id"], &503.into()));
    story.end().await;
}

/// The queue is short, and the disk does not answer: nothing that went on is missing.
#[tokio::test]
async fn a_full_queue_refuses_and_loses_nothing_that_went_on() {
    let (disk, plan) = Disk::of(World::with(POLICY).settings("records: { queue: 100, durable: [admin] }"));
    let mut story = Story::begin(plan, true).await;
    story.ask(Ask::Models).await;
    disk.is(Mode::Hanging);
    let mut asking = JoinSet::new();
    for asker in 0..20 {
        let mut bob = Asker::new(story.world.addr, &story.world.bearer("Bob"));
        asking.spawn(async move {
            let mut told = Vec::new();
            for n in 0..30 {
                let ask = if n % 2 == 0 { Ask::Turn } else { Ask::Refused };
                told.push(bob.ask(ask, &format!("queue {asker} {n}")).await.expect("an answer").status);
            }
            told
        });
    }
    let told: Vec<u16> = asking.join_all().await.concat();
    assert!(told.iter().all(|status| [200, 403, 503].contains(status)), "{told:?}");
    let went_on = told.iter().filter(|status| **status == 200).count();
    assert!(told.contains(&503) && went_on > 0, "{told:?}");
    assert_eq!(story.world.metric("tollgate_record_full").await, "1");
    let log = story.world.log();
    assert_eq!(log.matches("entries come faster than the disk takes them").count(), 1, "{log}");
    disk.is(Mode::Well);
    story.until_well().await;
    story.world.signal("TERM");
    assert!(story.world.ended().await.success(), "{}", story.world.log());
    let kept = Kept::embedded(&story.world).await;
    assert!(kept.report.is_good(), "{:?}", kept.report.findings);
    let turns = kept.decisions().filter(|entry| is_turn(entry)).count();
    assert_eq!(turns, went_on, "each turn that went on is there");
    assert_eq!(kept.used().len(), went_on);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_disk_that_does_not_answer() {
    let (disk, plan) = Disk::of(World::with(POLICY));
    let mut story = Story::begin(plan, true).await;
    assert_eq!(story.ask(Ask::Turn).await.status, 200);
    disk.is(Mode::Hanging);
    assert_eq!(story.ask(Ask::Refused).await.status, 503);
    let asked = Instant::now();
    story.world.signal("TERM");
    story.world.ended().await;
    assert!(asked.elapsed() < Duration::from_secs(28), "{:?}", asked.elapsed());
    assert!(story.world.log().contains("the disk does not answer"), "{}", story.world.log());
}

/// What was appended and could not be brought to the disk is brought there by the next attempt: who waits is told what the record says.
#[tokio::test]
async fn a_disk_that_fails_once_tells_the_caller_what_the_record_says() {
    let (disk, plan) = Disk::of(World::with(POLICY).settings("records: { durable: [refusals, admin, turns] }"));
    let mut story = Story::begin(plan, true).await;
    story.ask(Ask::Models).await;
    for (ask, status) in [(Ask::Refused, 403), (Ask::Turn, 200)] {
        disk.is(Mode::FailsOnce);
        assert_eq!(story.ask(ask).await.status, status, "{ask:?}");
        disk.is(Mode::Well);
        // On the disk, which is well by then.
        assert_eq!(story.ask(Ask::Refused).await.status, 403);
    }
    let log = story.world.log();
    assert_eq!(log.matches("the record takes no entries").count(), 2, "{log}");
    assert_eq!(story.end().await, 0);
}

/// A file that is no segment of the spool is not taken for one.
#[tokio::test]
async fn a_segment_that_follows_no_other_keeps_tollgate_from_starting() {
    let mut world = World::with(POLICY).variable("TOLLGATE_RECORDS", "embedded").start().await;
    world.signal("TERM");
    assert!(world.ended().await.success(), "{}", world.log());
    for number in [u64::MAX - 1, u64::MAX] {
        let stray = super::kept::data(&world).join(format!("records/spool/{number:020}.seg"));
        fs::write(&stray, "").expect("a file");
        world.start_and_end().await;
        let log = world.log();
        assert!(log.contains(&format!("{number:020}.seg")) && log.contains("follows no other segment"), "{log}");
        fs::remove_file(stray).expect("a file");
    }
    world.start_again().await;
}
