//! Counters that outlive their process: ended in order, and killed at every point of a turn.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tollgate::store::counters::{Settled, Vacated};

use super::*;

fn draws() -> [Draw; 3] {
    [spend("spent", 9, u64::MAX), rate("rate", 9, u64::MAX, MINUTE * 60 * 24), open("open", 1, 1_000)]
}

/// What turn number n uses of the nine that it holds.
fn used(turn: u64) -> u64 {
    1 + turn % 9
}

/// A process that takes and settles as fast as it can and says what it was told, until somebody kills it.
#[tokio::test]
#[ignore = "a process of the test below"]
#[expect(clippy::disallowed_methods, reason = "how the test tells its process what to do")]
#[expect(clippy::print_stdout, reason = "how the process tells the test what it did")]
async fn worker() {
    let counters: Box<dyn Counters> =
        match (std::env::var("TOLLGATE_TEST_DIRECTORY"), std::env::var("TOLLGATE_TEST_PREFIX")) {
            (Ok(directory), _) => Box::new(Memory::open(Path::new(&directory), Clock::system()).unwrap()),
            (_, Ok(prefix)) => Box::new(Redis::connect(&server().unwrap(), &prefix, PATIENT).await.unwrap()),
            _ => panic!("run by another test"),
        };
    let lives = Duration::from_millis(sized("TOLLGATE_TEST_LIVES", 60_000) as u64);
    counters.rebuild(&[]).await.unwrap();
    println!("\nREADY");
    for turn in 0.. {
        let answer = counters.take(&draws(), Uuid::new_v4(), lives).await.unwrap();
        let Answer::Taken { hold, .. } = answer else { panic!("{answer:?}") };
        println!("TAKEN {}", serde_json::to_string(&hold).unwrap());
        std::io::stdout().flush().unwrap();
        counters.settle(&hold, &[used(turn), used(turn), 1]).await.unwrap();
        println!("SETTLED {turn}");
        std::io::stdout().flush().unwrap();
    }
}

/// Where in a turn the process is killed.
#[derive(Clone, Copy, Debug)]
enum Point {
    BeforeATake,
    AfterATake,
    AfterASettle,
    Anywhere,
}

/// What a process that counts there said before it was killed: the last hold, and how many turns were settled.
fn run_and_kill(place: (&str, &OsStr), lives: Duration, point: Point, after: u64) -> (Option<Hold>, u64) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "counters::lifetimes::worker", "--ignored", "--nocapture"])
        .env(place.0, place.1)
        .env("TOLLGATE_TEST_LIVES", lives.as_millis().to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut hold, mut settled, mut lines) = (None, 0, 0);
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(json) = line.strip_prefix("TAKEN ") {
            // The last line may be cut off where the process was.
            let Ok(read) = serde_json::from_str(json) else { break };
            hold = Some(read);
        } else if line.starts_with("SETTLED ") {
            settled += 1;
        }
        lines += 1;
        let now = match point {
            Point::BeforeATake => line == "READY",
            Point::AfterATake => line.starts_with("TAKEN") && settled >= after,
            Point::AfterASettle => line.starts_with("SETTLED") && settled > after,
            Point::Anywhere => lines >= after * 7 % 61 + 3,
        };
        if now {
            // SIGKILL. What it said meanwhile is read on.
            process.kill().unwrap();
        }
    }
    process.wait().unwrap();
    (hold, settled)
}

/// `TOLLGATE_METER_KILLS` times at each of four points (50 where nothing is said with `CI=true` or not).
#[tokio::test]
async fn what_was_told_survives_a_kill_and_nothing_counts_twice() {
    for point in [Point::BeforeATake, Point::AfterATake, Point::AfterASettle, Point::Anywhere] {
        for kill in 0..sized("TOLLGATE_METER_KILLS", 50) as u64 {
            let place = format!("{point:?} {kill}");
            let directory = tempfile::tempdir().unwrap();
            let (hold, settled) =
                run_and_kill(("TOLLGATE_TEST_DIRECTORY", directory.path().as_os_str()), MINUTE, point, kill % 17);
            // Opened by a clock that has not moved since, holds are open as they were.
            let (draws, clock) = (draws(), Clock::system());
            let memory = Memory::open(directory.path(), clock).unwrap();
            let read = async || memory.read(&draws).await.unwrap().map(|reading| reading.uses);
            assert!(read().await.is_some(), "{place}: the rebuild was told before anything else");
            let sum = |turns: u64| (0..turns).map(used).sum::<u64>();
            if let Some(hold) = &hold {
                // The last turn: taken and told, perhaps settled, perhaps told so. Whichever it is, it counts once.
                let last = if settled > 0 && sum(settled) == spent_of(&read().await) && !is_open(&read().await) {
                    settled - 1
                } else {
                    settled
                };
                for _ in 0..2 {
                    let ended = memory.settle(hold, &[used(last), used(last), 1]).await.unwrap();
                    assert!(matches!(ended, Settled::Now(_) | Settled::Already), "{place}: {ended:?}");
                }
                let spent = spent_of(&read().await);
                // A turn may have been taken after the last that was told; it has used nothing.
                assert!(spent == sum(settled) || spent == sum(settled + 1), "{place}: {spent} after {settled} turns");
            }
            drop(memory);
            // An hour later no hold is open, whoever's it was.
            let later = Clock::manual(Timestamp::from_second(Clock::system().now().as_second() + 3_600).unwrap());
            let memory = Memory::open(directory.path(), later).unwrap();
            let uses = memory.read(&draws).await.unwrap().unwrap().uses;
            assert_eq!(uses[2].used, 0, "{place}: a hold is still open");
            let spent = uses[0].used;
            assert!(spent == sum(settled) || spent == sum(settled + 1), "{place}: {spent} after {settled} turns");
        }
    }
}

/// In Redis, by its own time: what a process that was killed had taken and not settled is held until it expires. Then nothing of it
/// is held, nothing was spent, and all that was settled is. `TOLLGATE_METER_KILLS` times at each of four points (5).
#[tokio::test]
async fn what_a_killed_process_had_taken_expires_in_redis_and_was_never_spent() {
    if server().is_none() {
        return;
    }
    // Longer than a process needs from a take to its settling, on a machine that is busy.
    let lives = Duration::from_millis(500);
    let mut open = 0;
    for point in [Point::BeforeATake, Point::AfterATake, Point::AfterASettle, Point::Anywhere] {
        for kill in 0..sized("TOLLGATE_METER_KILLS", 5) as u64 {
            let (place, prefix) = (format!("{point:?} {kill}"), prefix());
            let (hold, settled) = run_and_kill(("TOLLGATE_TEST_PREFIX", prefix.as_ref()), lives, point, kill % 17);
            let bench: &dyn Bench = &RedisBench(Redis::connect(&server().unwrap(), &prefix, PATIENT).await.unwrap());
            let (draws, sum) = (draws(), |turns: u64| (0..turns).map(used).sum::<u64>());
            let held = bench.uses(&draws).await;
            open += held[2].used;
            assert!(held[2].used <= 1, "{place}: one is taken after the other");
            if let Some(hold) = hold {
                assert_eq!(hold.expires.as_microsecond() - hold.at.as_microsecond(), 500_000, "{place}");
            }
            // Nobody settles anything: time alone passes.
            bench.pass(lives).await;
            let uses = bench.uses(&draws).await;
            assert_eq!(uses[2].used, 0, "{place}: a hold is still open");
            // The last turn may have been settled without a chance to say so.
            let spent = uses[0].used;
            assert!(spent == sum(settled) || spent == sum(settled + 1), "{place}: {spent} after {settled} turns");
            assert_eq!(spent, spent_of(&Some(held)), "{place}: an end of holding spends nothing");
        }
    }
    assert!(open > 0, "none was killed with a hold open");
}

fn spent_of(uses: &Option<Vec<Use>>) -> u64 {
    // What an open hold holds is nine, with one in the counter of open turns.
    uses.as_ref().map_or(0, |uses| uses[0].used - 9 * uses[2].used)
}

fn is_open(uses: &Option<Vec<Use>>) -> bool {
    uses.as_ref().is_some_and(|uses| uses[2].used > 0)
}

#[tokio::test]
async fn a_new_process_goes_on_where_the_last_one_ended() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::manual("2026-11-21T15:47:04Z".parse().unwrap());
    let open_again = || Memory::open(directory.path(), clock.clone()).unwrap();
    open_again().rebuild(&[]).await.unwrap();
    let mut holds = Vec::new();
    for turn in 0..20 {
        let memory = open_again();
        memory.sync().unwrap();
        let Answer::Taken { hold, .. } = memory.take(&draws(), Uuid::new_v4(), MINUTE).await.unwrap() else { panic!() };
        if turn % 2 == 0 {
            memory.settle(&hold, &[used(turn), used(turn), 1]).await.unwrap();
        }
        holds.push(hold);
    }
    let uses = open_again().read(&draws()).await.unwrap().unwrap().uses;
    let settled: u64 = (0..20).step_by(2).map(used).sum();
    assert_eq!((uses[0].used, uses[2].used), (settled + 90, 10));
    for (turn, hold) in holds.iter().enumerate() {
        let ended = open_again().settle(hold, &[1, 1, 1]).await.unwrap();
        assert_eq!(ended == Settled::Already, turn % 2 == 0, "{turn}: {ended:?}");
    }
    let uses = open_again().read(&draws()).await.unwrap().unwrap().uses;
    assert_eq!((uses[0].used, uses[2].used), (settled + 10, 0));
}

#[tokio::test]
async fn places_that_were_given_back_stay_free_in_a_new_process() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::manual("2026-11-21T15:47:04Z".parse().unwrap());
    let open_again = || Memory::open(directory.path(), clock.clone()).unwrap();
    open_again().rebuild(&[]).await.unwrap();
    let (draws, mut holds) = ([spend("spent", 9, 1_000), open("open", 1, 10)], Vec::new());
    for turn in 0..10 {
        // One process takes it and the next one, which reads the journal, gives it back.
        let Answer::Taken { hold, .. } = open_again().take(&draws, Uuid::new_v4(), MINUTE).await.unwrap() else {
            panic!("{turn}")
        };
        if turn % 2 == 0 {
            assert!(matches!(open_again().vacate(&hold).await.unwrap(), Vacated::Now(_)), "{turn}");
        }
        holds.push(hold);
    }
    let used = async || {
        let uses = open_again().read(&draws).await.unwrap().unwrap().uses;
        uses.iter().map(|tally| tally.used).collect::<Vec<_>>()
    };
    assert_eq!(used().await, [90, 5]);
    for (turn, hold) in holds.iter().enumerate() {
        let vacated = open_again().vacate(hold).await.unwrap();
        assert_eq!(vacated == Vacated::Nothing, turn % 2 == 0, "{turn}: {vacated:?}");
        assert!(matches!(open_again().settle(hold, &[1, 1]).await.unwrap(), Settled::Now(_)), "{turn}");
    }
    assert_eq!(used().await, [10, 0]);
}

#[tokio::test]
async fn a_clock_that_jumps_neither_resets_nor_doubles() {
    let clock = Clock::manual("2026-11-21T15:47:04Z".parse().unwrap());
    let (memory, hour) = (Memory::volatile(clock.clone()), Duration::from_secs(3_600));
    memory.rebuild(&[]).await.unwrap();
    let draw = |amount| [rate("a", amount, 60, hour), open("b", 1, 9), spend("c", amount, 60)];
    let take = async |amount| memory.take(&draw(amount), Uuid::new_v4(), hour * 2).await.unwrap();
    assert!(matches!(take(60).await, Answer::Taken { .. }));
    // An hour on, all has leaked and the hold is open; what is spent in a window stays.
    clock.advance(hour);
    let Answer::Short { lacks, .. } = take(60).await else { panic!("doubled") };
    assert_eq!(lacks.iter().map(|lack| lack.draw).collect::<Vec<_>>(), [2]);
    // And back: nothing leaks that has leaked before.
    let rates = [rate("a", 60, 60, hour)];
    assert!(matches!(memory.take(&rates, Uuid::new_v4(), hour).await.unwrap(), Answer::Taken { .. }));
    clock.advance(hour / 2);
    let used = memory.read(&rates).await.unwrap().unwrap().uses[0].used;
    assert_eq!(used, 30);
}
