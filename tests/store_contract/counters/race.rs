//! Many at once: exactly as many are admitted as there is room for, by one process and by three.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use futures_util::future::join_all;

use super::*;

const ROOM: usize = 100;
const CALLERS: usize = 1_000;
const ROUNDS: usize = 50;

/// How many of so many concurrent steps are taken; all draw from one counter of each measure.
async fn admitted(counters: Arc<dyn Counters>, round: &str, callers: usize) -> usize {
    let room = ROOM as u64;
    let draws: Arc<[Draw]> = [
        spend(&format!("{round} spend"), 1, room),
        open(&format!("{round} open"), 1, room),
        rate(&format!("{round} rate"), 1, room, Duration::from_secs(366 * 24 * 60 * 60)),
    ]
    .into();
    let call = || {
        let (counters, draws) = (Arc::clone(&counters), Arc::clone(&draws));
        async move { counters.take(&draws, Uuid::new_v4(), MINUTE * 10).await.unwrap() }
    };
    #[expect(clippy::disallowed_methods, reason = "they are waited for in the next line")]
    let calls: Vec<_> = (0..callers).map(|_| tokio::spawn(call())).collect();
    let answers = join_all(calls).await;
    answers.into_iter().filter(|answer| matches!(answer.as_ref().unwrap(), Answer::Taken { .. })).count()
}

async fn rounds(counters: Arc<dyn Counters>) {
    counters.rebuild(&[]).await.unwrap();
    for round in 0..ROUNDS {
        let round = round.to_string();
        assert_eq!(admitted(Arc::clone(&counters), &round, CALLERS).await, ROOM, "round {round}");
        let draws = ["spend", "open"].map(|kind| spend(&format!("{round} {kind}"), 0, 0));
        let uses = counters.read(&draws).await.unwrap().unwrap().uses;
        assert!(uses.iter().all(|tally| tally.used == ROOM as u64), "round {round}: {uses:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_at_once_against_room_for_a_hundred_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    rounds(Arc::new(Memory::open(directory.path(), Clock::system()).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_at_once_against_room_for_a_hundred_in_redis() {
    let Some(server) = server() else { return };
    rounds(Arc::new(Redis::connect(&server, &prefix(), PATIENT).await.unwrap())).await;
}

/// One of three processes: for each line it reads it calls at once, and says how many were admitted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of the test below"]
#[expect(clippy::disallowed_methods, reason = "how the test tells its processes what to do")]
#[expect(clippy::print_stdout, reason = "how a process tells the test what it did")]
async fn caller() {
    let prefix = std::env::var("TOLLGATE_TEST_PREFIX").expect("run by another test");
    let counters: Arc<dyn Counters> = Arc::new(Redis::connect(&server().unwrap(), &prefix, PATIENT).await.unwrap());
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (round, callers) = line.split_once(' ').unwrap();
        let admitted = admitted(Arc::clone(&counters), round, callers.parse().unwrap()).await;
        println!("\nADMITTED {admitted}");
        std::io::stdout().flush().unwrap();
    }
}

struct Caller {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Caller {
    fn start(prefix: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "counters::race::caller", "--ignored", "--nocapture"])
            .env("TOLLGATE_TEST_PREFIX", prefix)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, to, from }
    }

    fn call(&mut self, round: usize, callers: usize) {
        writeln!(self.to, "{round} {callers}").unwrap();
        self.to.flush().unwrap();
    }

    fn admitted(&mut self) -> usize {
        let mut line = String::new();
        while self.from.read_line(&mut line).unwrap() > 0 {
            if let Some(number) = line.trim().strip_prefix("ADMITTED ") {
                return number.parse().unwrap();
            }
            line.clear();
        }
        panic!("the process ended without an answer");
    }
}

#[tokio::test]
async fn a_thousand_at_once_from_three_processes_in_redis() {
    let Some(server) = server() else { return };
    let prefix = prefix();
    let own = Redis::connect(&server, &prefix, PATIENT).await.unwrap();
    own.rebuild(&[]).await.unwrap();
    let mut callers = [Caller::start(&prefix), Caller::start(&prefix), Caller::start(&prefix)];
    for round in 0..ROUNDS {
        for (caller, share) in callers.iter_mut().zip([334, 333, 333]) {
            caller.call(round, share);
        }
        let admitted: Vec<usize> = callers.iter_mut().map(Caller::admitted).collect();
        assert_eq!(admitted.iter().sum::<usize>(), ROOM, "round {round}: {admitted:?}");
    }
    for caller in callers {
        drop(caller.to);
        let mut process = caller.process;
        assert!(process.wait().unwrap().success());
    }
}
