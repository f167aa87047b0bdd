//! The counters against a sequential model: every answer to random steps is the one that the model gives for the same moment.

use std::collections::{HashMap, HashSet};
use std::pin::pin;

use futures_util::{StreamExt, stream};
use tollgate::store::counters::{LATE, Restored, Settled, Vacated};

use super::*;

/// What counters mean, without a thought for speed.
#[derive(Default)]
struct Model {
    spent: HashMap<Box<str>, i128>,
    /// What was poured into a bucket, ever: when, how much, by which hold. What is in it is told by playing
    /// all of this again.
    poured: HashMap<Box<str>, Vec<(i128, i128, Uuid)>>,
    /// Counter, hold, amount, expiry.
    held: Vec<(Box<str>, Uuid, i128, Timestamp)>,
    taken: HashMap<Uuid, Hold>,
    ended: HashSet<Uuid>,
}

fn scale(draw: &Draw) -> i128 {
    if let Measure::Rate { window } = draw.measure { window.as_micros() as i128 } else { 1 }
}

impl Model {
    /// What is in the bucket: everything poured in as it was used, holds that have expired as if they had never been.
    fn bucket(&self, draw: &Draw, at: Timestamp) -> i128 {
        let (now, rate) = (i128::from(at.as_microsecond()), i128::from(draw.ceiling));
        let expired =
            |hold: &Uuid| self.held.iter().any(|held| held.0 == draw.counter && held.1 == *hold && held.3 <= at);
        let (mut level, mut since) = (0, 0);
        for (when, amount, hold) in self.poured.get(&draw.counter).into_iter().flatten() {
            level = (level - rate * (when - since)).max(0) + if expired(hold) { 0 } else { *amount };
            since = *when;
        }
        (level - rate * (now - since)).max(0)
    }

    fn counted(&self, draw: &Draw, at: Timestamp) -> i128 {
        let open =
            self.held.iter().filter(|held| held.0 == draw.counter && held.3 > at).map(|held| held.2).sum::<i128>();
        match draw.measure {
            Measure::Spend { .. } => self.spent.get(&draw.counter).copied().unwrap_or(0) + open,
            Measure::Rate { .. } => self.bucket(draw, at),
            Measure::Open => open,
        }
    }

    /// Pours into a bucket at this moment.
    fn pour(&mut self, draw: &Draw, at: Timestamp, amount: i128, hold: Uuid) {
        let poured = self.poured.entry(draw.counter.clone()).or_default();
        poured.push((at.as_microsecond().into(), amount * scale(draw), hold));
    }

    fn uses(&self, draws: &[Draw], at: Timestamp) -> Vec<Use> {
        let tell = |draw: &Draw| {
            let counted = self.counted(draw, at);
            Use { used: ((counted + scale(draw) - 1) / scale(draw)) as u64, resets: resets(draw, at, counted) }
        };
        draws.iter().map(tell).collect()
    }

    fn lacks(&self, draws: &[Draw], at: Timestamp) -> Vec<Lack> {
        let lack = |(index, draw): (usize, &Draw)| {
            let (counted, unit) = (self.counted(draw, at), scale(draw));
            let over = counted + (i128::from(draw.amount) - i128::from(draw.ceiling)) * unit;
            let left = ((i128::from(draw.ceiling) * unit - counted) / unit).max(0) as u64;
            let never = matches!(draw.measure, Measure::Rate { .. }) && draw.amount > draw.ceiling;
            let resets = if never { None } else { resets(draw, at, over) };
            (over > 0).then_some(Lack { draw: index, left, resets })
        };
        draws.iter().enumerate().filter_map(lack).collect()
    }

    /// What a take has to answer; takes where it fits.
    fn take(&mut self, draws: &[Draw], id: Uuid, lives: Duration, at: Timestamp) -> Answer {
        if self.ended.contains(&id) {
            return Answer::Ended;
        }
        if let Some(hold) = self.taken.get(&id) {
            return Answer::Taken { hold: hold.clone(), uses: self.uses(&hold.draws, at) };
        }
        let moved = |draw: &&Draw| matches!(draw.measure, Measure::Spend { from, until } if at < from || at >= until);
        if draws.iter().any(|draw| moved(&draw)) {
            return Answer::Moved { at };
        }
        let lacks = self.lacks(draws, at);
        if !lacks.is_empty() {
            return Answer::Short { at, lacks };
        }
        let hold = Hold { id, draws: draws.to_vec(), at, expires: at + lives };
        self.hold(&hold);
        Answer::Taken { hold, uses: self.uses(draws, at) }
    }

    /// What putting a hold back has to do: nothing where it is known or has expired.
    fn restore(&mut self, hold: &Hold, at: Timestamp) -> Restored {
        if self.taken.contains_key(&hold.id) || self.ended.contains(&hold.id) {
            return Restored::There;
        }
        if at >= hold.expires {
            return Restored::Over;
        }
        self.hold(&Hold { at, ..hold.clone() });
        Restored::Now(at)
    }

    fn hold(&mut self, hold: &Hold) {
        let Hold { id, at, expires, .. } = *hold;
        for draw in &hold.draws {
            if matches!(draw.measure, Measure::Rate { .. }) {
                self.pour(draw, at, draw.amount.into(), id);
            }
            self.held.push((draw.counter.clone(), id, draw.amount.into(), expires));
        }
        self.taken.insert(id, hold.clone());
    }

    /// What ending a hold has to answer; ends it where it was not.
    fn end(&mut self, hold: &Hold, used: &[u64], at: Timestamp) -> Settled {
        if at >= hold.expires + LATE {
            return Settled::TooLate;
        }
        if !self.ended.insert(hold.id) {
            return Settled::Already;
        }
        for (draw, used) in hold.draws.iter().zip(used) {
            let held = |held: &(Box<str>, Uuid, i128, Timestamp)| held.0 == draw.counter && held.1 == hold.id;
            let open = self.held.iter().any(|other| held(other) && other.3 > at);
            match draw.measure {
                Measure::Spend { .. } => *self.spent.entry(draw.counter.clone()).or_default() += i128::from(*used),
                Measure::Rate { .. } => {
                    // Not more than it held is as if that had been taken; what is more comes now. Of an expired one, all.
                    let (used, taken) = (i128::from(*used), if open { i128::from(draw.amount) } else { 0 });
                    let own = self
                        .poured
                        .get_mut(&draw.counter)
                        .and_then(|poured| poured.iter_mut().find(|one| one.2 == hold.id));
                    if let Some(own) = own {
                        own.1 = used.min(taken) * scale(draw);
                    }
                    self.pour(draw, at, (used - taken).max(0), Uuid::nil());
                }
                Measure::Open => {}
            }
            self.held.retain(|other| !held(other));
        }
        if at < hold.expires { Settled::Now(at) } else { Settled::Late(at) }
    }
}

impl Model {
    /// Gives back the places of a hold. Whether there were any.
    fn vacate(&mut self, hold: &Hold, at: Timestamp) -> bool {
        let is_place = |name: &str| {
            let mut places = hold.draws.iter().filter(|draw| draw.measure == Measure::Open);
            places.any(|draw| &*draw.counter == name)
        };
        let (before, open) = (self.held.len(), |expires: Timestamp| at < expires);
        self.held.retain(|held| !(held.1 == hold.id && is_place(&held.0) && open(held.3)));
        self.held.len() < before
    }
}

fn resets(draw: &Draw, at: Timestamp, over: i128) -> Option<Timestamp> {
    match draw.measure {
        Measure::Spend { until, .. } => Some(until),
        Measure::Rate { .. } if draw.ceiling == 0 => None,
        Measure::Rate { .. } => {
            let ceiling = i128::from(draw.ceiling);
            Timestamp::from_microsecond((i128::from(at.as_microsecond()) + (over + ceiling - 1) / ceiling) as i64).ok()
        }
        Measure::Open => None,
    }
}

/// A cheap source of chance with a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % below
    }
}

/// Random draws of a few counters. Windows of spend are slices of 40 ms, so that steps meet their ends.
fn draws(chance: &mut Chance, now: Timestamp, run: usize) -> Vec<Draw> {
    const SLICE: i64 = 40_000;
    let mut draws: Vec<Draw> = Vec::new();
    for _ in 0..=chance.next(3) {
        let (amount, name) = (chance.next(9), chance.next(3));
        // A ceiling is edited now and then.
        let ceiling = if chance.next(10) == 0 { chance.next(30) } else { 20 };
        let draw = match chance.next(3) {
            0 => {
                let slice = now.as_microsecond().div_euclid(SLICE) + i64::from(chance.next(12) == 0);
                let bound = |slice: i64| Timestamp::from_microsecond(slice * SLICE).unwrap();
                let measure = Measure::Spend { from: bound(slice), until: bound(slice + 1) };
                Draw { counter: format!("{run} spend {name} {slice}").into(), measure, amount, ceiling }
            }
            // A ceiling that is edited leaks at another rate from then on; the model knows one rate for all time.
            1 => rate(&format!("{run} rate {name}"), amount, 20, Duration::from_micros(20_003)),
            _ => open(&format!("{run} open {name}"), amount, ceiling),
        };
        if !draws.iter().any(|other| other.counter == draw.counter) {
            draws.push(draw);
        }
    }
    draws
}

/// Runs of 50 random steps: `TOLLGATE_METER_RUNS`, from `TOLLGATE_METER_SEED` on. So many of them go on at once, each on counters
/// of its own: where time passes by itself, one waits while another asks.
async fn no_answer_differs(bench: &dyn Bench, runs: usize, seed: u64, at_once: usize) {
    bench.begin().await;
    let all = stream::iter(0..runs).map(|run| no_answer_of(bench, run, seed)).buffer_unordered(at_once);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut all = pin!(all);
    while let Some(words) = all.next().await {
        words.into_iter().for_each(|(word, times)| *seen.entry(word).or_default() += times);
    }
    if runs >= 100 {
        for word in [
            "taken",
            "again",
            "short",
            "moved",
            "ended",
            "settled",
            "late",
            "already",
            "vacated",
            "not vacated",
            "back",
            "there",
            "over",
        ] {
            assert!(seen.get(word).copied().unwrap_or(0) >= runs / 20, "{word} too seldom: {seen:?}");
        }
    }
}

/// One run; how often each kind of answer was given.
async fn no_answer_of(bench: &dyn Bench, run: usize, seed: u64) -> HashMap<&'static str, usize> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut chance = Chance(seed.wrapping_add(run as u64));
    let (mut model, mut holds, mut ids) = (Model::default(), Vec::<Hold>::new(), Vec::<Uuid>::new());
    let (mut now, epoch) = (bench.now().await, bench.epoch().await);
    for step in 0..50 {
        let place = format!("run {run} of seed {seed}, step {step}");
        if chance.next(4) == 0 {
            bench.pass(Duration::from_millis(chance.next(6))).await;
        }
        match chance.next(13) {
            0..6 => {
                let id = match ids.len() as u64 {
                    known @ 1.. if chance.next(15) == 0 => ids[chance.next(known) as usize],
                    _ => Uuid::from_u128((run as u128) << 64 | step),
                };
                ids.push(id);
                let (draws, lives) = (draws(&mut chance, now, run), Duration::from_millis(1 + chance.next(25)));
                let answer = bench.counters().take(&draws, id, lives).await.unwrap();
                let (word, at) = match &answer {
                    Answer::Taken { hold, .. } if model.taken.contains_key(&id) => {
                        // When it was repeated is not told, and use goes by that.
                        assert_eq!(Some(hold), model.taken.get(&id), "{place}");
                        *seen.entry("again").or_default() += 1;
                        continue;
                    }
                    Answer::Taken { hold, .. } => ("taken", hold.at),
                    Answer::Short { at, .. } => ("short", *at),
                    Answer::Moved { at } => ("moved", *at),
                    Answer::Ended => ("ended", now),
                    Answer::Lost => panic!("{place}: lost"),
                };
                assert_eq!(answer, model.take(&draws, id, lives, at), "{place}: {draws:?}");
                if let Answer::Taken { hold, .. } = answer {
                    holds.push(hold);
                }
                *seen.entry(word).or_default() += 1;
                now = now.max(at);
            }
            6..9 if !holds.is_empty() => {
                let hold = holds[chance.next(holds.len() as u64) as usize].clone();
                let used: Vec<u64> = hold.draws.iter().map(|draw| chance.next(2 * draw.amount + 2)).collect();
                let release = chance.next(4) == 0;
                let (ended, used) = match release {
                    true => (bench.counters().release(&hold).await.unwrap(), vec![0; used.len()]),
                    false => (bench.counters().settle(&hold, &used).await.unwrap(), used),
                };
                let (word, at) = match ended {
                    Settled::Now(at) => ("settled", at),
                    Settled::Late(at) => ("late", at),
                    Settled::Already => ("already", now),
                    Settled::TooLate | Settled::Lost => panic!("{place}: {ended:?}"),
                };
                assert_eq!(ended, model.end(&hold, &used, at), "{place}: {hold:?} used {used:?}");
                *seen.entry(word).or_default() += 1;
                now = now.max(at);
            }
            9 if !holds.is_empty() => {
                let hold = &holds[chance.next(holds.len() as u64) as usize];
                let vacated = bench.counters().vacate(hold).await.unwrap();
                let (word, at) = match vacated {
                    Vacated::Now(at) => ("vacated", at),
                    // At which moment is not told: what is open later was open then.
                    Vacated::Nothing => ("not vacated", bench.now().await),
                    Vacated::Lost => panic!("{place}: lost"),
                };
                assert_eq!(word == "vacated", model.vacate(hold, at), "{place}: {hold:?}");
                *seen.entry(word).or_default() += 1;
                now = now.max(at);
            }
            10 | 11 => {
                // One that the store has lost, perhaps so long ago that it has expired; or one that it knows.
                let hold = match holds.len() as u64 {
                    known @ 1.. if chance.next(3) == 0 => holds[chance.next(known) as usize].clone(),
                    _ => {
                        let id = Uuid::from_u128((run as u128) << 64 | 1 << 32 | step);
                        let at = now - Duration::from_millis(chance.next(12));
                        let expires = at + Duration::from_millis(1 + chance.next(25));
                        Hold { id, draws: draws(&mut chance, now, run), at, expires }
                    }
                };
                let restored = bench.counters().restore(&hold, &epoch).await.unwrap();
                let (word, at) = match restored {
                    Restored::Now(at) => ("back", at),
                    Restored::There => ("there", now),
                    // At which moment is not told: what has expired stays so.
                    Restored::Over => ("over", bench.now().await),
                    Restored::Lost => panic!("{place}: lost"),
                };
                assert_eq!(restored, model.restore(&hold, at), "{place}: {hold:?}");
                if word == "back" {
                    ids.push(hold.id);
                    holds.push(hold);
                }
                *seen.entry(word).or_default() += 1;
                now = now.max(at);
            }
            _ => {
                let draws = draws(&mut chance, now, run);
                let reading = bench.counters().read(&draws).await.unwrap().unwrap();
                assert_eq!(reading.uses, model.uses(&draws, reading.at), "{place}: {draws:?}");
                now = reading.at;
            }
        }
    }
    seen
}

fn seed() -> u64 {
    sized("TOLLGATE_METER_SEED", 1) as u64
}

#[tokio::test]
async fn memory_answers_as_the_model() {
    let runs = sized("TOLLGATE_METER_RUNS", 1_000);
    memory(async |bench| no_answer_differs(bench, runs, seed(), 1).await).await;
}

#[tokio::test]
async fn memory_with_a_journal_answers_as_the_model() {
    let runs = sized("TOLLGATE_METER_RUNS", 300);
    durable(async |bench| no_answer_differs(bench, runs, seed(), 1).await).await;
}

/// How many runs keep Redis and this process busy while others wait. More would make steps so slow that most holds expire.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn redis_answers_as_the_model() {
    let runs = sized("TOLLGATE_METER_RUNS", 150);
    redis(async |bench| no_answer_differs(bench, runs, seed(), AT_ONCE).await).await;
}
