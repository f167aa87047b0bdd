//! The same where the counters are in Redis, which goes on when Tollgate is killed: no hold stays open there but those of turns that
//! were never sent, and these expire.

use redis::{Client, Commands, Connection};
use tokio::io::copy;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tollgate::clock::Clock;

use super::*;
use crate::counters::{Server, without_redis};
use crate::turns::say;

/// How long what is taken for a turn lives where nobody settles it, in microseconds: four hours.
const LIVES: i64 = 4 * 60 * 60 * 1_000_000;

/// What Redis itself says of the counters.
struct Kept(Connection);

impl Kept {
    fn of(server: &Server) -> Self {
        Self(Client::open(server.uri()).unwrap().get_connection().unwrap())
    }

    fn keys(&mut self, kind: &str) -> Vec<String> {
        // Braces are themselves in a pattern.
        self.0.keys(format!("tollgate:{{meter}}:1:{kind}:*")).unwrap()
    }

    /// When each hold expires, by its counter: in microseconds since 1970.
    fn held(&mut self) -> Vec<(String, i64)> {
        let mut held = Vec::new();
        for key in self.keys("held") {
            let holds: Vec<(String, i64)> = self.0.zrange_withscores(&key, 0, -1).unwrap();
            held.extend(holds.into_iter().map(|(_, expires)| (key.clone(), expires)));
        }
        held
    }

    /// Nothing is held on any counter, and no counter thinks so.
    fn assert_nothing_is_held(&mut self) {
        assert_eq!(self.held(), []);
        let counters = self.keys("counter");
        assert!(counters.len() >= LIMITS.len(), "{counters:?}");
        for counter in counters {
            let held: String = self.0.hget(&counter, "held").unwrap();
            assert_eq!(held, "0", "{counter}");
        }
    }

    /// Lets four hours pass for the holds that are open, as Redis sees it: each expires now.
    fn let_all_expire(&mut self) {
        for key in self.keys("held") {
            let holds: Vec<(String, i64)> = self.0.zrange_withscores(&key, 0, -1).unwrap();
            for (hold, expires) in holds {
                let _: i64 = self.0.zadd(&key, hold, expires - LIVES).unwrap();
            }
        }
    }
}

fn counted_in(uri: &str, plan: Plan) -> Plan {
    // A machine with much to do answers late.
    plan.settings("timeouts: { turn_status: 100ms, turn_usage: 2s, limits: 10s }").variable("TOLLGATE_REDIS", uri)
}

#[tokio::test]
async fn a_turn_is_settled_once_wherever_tollgate_is_killed() {
    if without_redis() {
        return;
    }
    with_mongod(async |mongod| {
        let server = Server::start();
        let plan = with_directory(POLICY, mongod, &mongod.uri);
        killed_at_every_point(mongod, counted_in(&server.uri(), plan)).await;
        Kept::of(&server).assert_nothing_is_held();
    })
    .await;
}

#[tokio::test]
async fn a_turn_of_which_nobody_knows_whether_librechat_has_it_pays_the_estimate_once() {
    if without_redis() {
        return;
    }
    let server = Server::start();
    killed_before_librechat_answers(counted_in(&server.uri(), World::with(POLICY))).await;
    Kept::of(&server).assert_nothing_is_held();
}

#[tokio::test]
async fn after_many_turns_the_counters_are_what_the_record_says() {
    if without_redis() {
        return;
    }
    let server = Server::start();
    many_turns(counted_in(&server.uri(), World::with(POLICY))).await;
    Kept::of(&server).assert_nothing_is_held();
}

/// A way to Redis on which answers can be held up: what is asked arrives and is done, and nobody hears of it.
struct Way {
    address: std::net::SocketAddr,
    open: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Way {
    async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, server) = (listener.local_addr().unwrap(), server.address());
        let (open, opened) = watch::channel(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (mut asking, answering) = socket.into_split();
                let (answers, mut questions) = TcpStream::connect(server).await.unwrap().into_split();
                connections.spawn(async move {
                    copy(&mut asking, &mut questions).await.ok();
                });
                connections.spawn(answer(answers, answering, opened.clone()));
            }
        });
        Self { address, open, _tasks: tasks }
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if open.wait_for(|open| *open).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Killed when Redis has taken and before Tollgate has heard of it: nothing is written down, and nothing was sent. What was taken
/// is held for four hours, and then it is as if it had never been.
#[tokio::test]
async fn what_was_taken_and_neither_written_down_nor_sent_is_held_until_it_expires_and_never_spent() {
    if without_redis() {
        return;
    }
    let (server, kills) = (Server::start(), number("TOLLGATE_CRASH_KILLS", 2));
    let mut kept = Kept::of(&server);
    let way = Way::to(&server).await;
    let uri = server.uri().replace(&server.address().to_string(), &way.address.to_string());
    let plan = counted_in(&uri, World::with(POLICY));
    let mut world = plan.start().await;
    let (mut record, mut turns) = (Record::default(), 0);
    for _ in 0..kills {
        // A turn like any other; and Redis knows the scripts.
        assert_eq!(say(&world, "hello [[words=3 delay=0]]").await.status, 200);
        turns += 1;
        assert_settled(&mut world, &mut record, turns).await;
        kept.assert_nothing_is_held();
        world.stand_in.forget();

        way.open.send_replace(false);
        let before = Clock::system().now().as_microsecond();
        let asking = ask(&world).await;
        let taken = async {
            while kept.held().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        patiently("Redis has taken", taken).await;
        kill(&mut world, &mut record).await;
        let after = Clock::system().now().as_microsecond();
        drop(asking);
        way.open.send_replace(true);
        world.start_again().await;
        assert!(world.reached().is_empty(), "nothing was sent: {:?}", world.reached());

        // All four limits hold it, for four hours from when it was taken, and this Tollgate knows nothing of it.
        let held = kept.held();
        assert_eq!((held.len(), used(&world, "open").await), (LIMITS.len() + 1, 1), "{held:?}");
        assert!(held.iter().all(|(_, expires)| (before..=after).contains(&(expires - LIVES))), "{held:?}");
        assert!(used(&world, "month").await > record.sums[0]);
        kept.let_all_expire();
        assert_settled(&mut world, &mut record, turns).await;
    }
    // The next that takes sweeps up what has expired.
    assert_eq!(say(&world, "hello [[words=3 delay=0]]").await.status, 200);
    assert_settled(&mut world, &mut record, turns + 1).await;
    kept.assert_nothing_is_held();
}
