use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;

use super::*;
use crate::store::Fields;

const USER: &str = "6b012e4109cc968f8a928bce";
/// `printf sk-00ff | sha256sum`
const HASH: &str = "1a8ef3d1be3e5cbfe9e18ba8724e05acd36e4cdeca4e006325d66e6f699213ab";
const KEY: &str = "Bearer sk-00ff";

/// A store with one key, and what it was asked.
struct One {
    expires: Option<Timestamp>,
    asked: Mutex<Vec<String>>,
    down: Mutex<bool>,
}

#[async_trait]
impl Agents for One {
    async fn agents(&self, _ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        Err(down())
    }

    async fn briefs(&self, _ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        Err(down())
    }

    async fn versions(&self, _id: &str, _index: u32) -> Result<Vec<Fields>, StoreError> {
        Err(down())
    }

    async fn api_key(&self, hash: &str) -> Result<Option<ApiKey>, StoreError> {
        self.asked.lock().unwrap().push(hash.to_owned());
        if *self.down.lock().unwrap() {
            return Err(down());
        }
        let key = ApiKey { id: "key-1".into(), user: USER.into(), expires: self.expires };
        Ok((hash == HASH).then_some(key))
    }
}

fn down() -> StoreError {
    StoreError { store: "one", message: "down".to_owned(), transient: true }
}

struct Bench {
    store: Arc<One>,
    clock: Clock,
    keys: Keys,
}

fn start() -> Timestamp {
    Timestamp::from_second(1_795_239_489).unwrap()
}

fn bench(expires: Option<Timestamp>) -> Bench {
    let clock = Clock::manual(start());
    let store = Arc::new(One { expires, asked: Mutex::default(), down: Mutex::default() });
    let keys = Keys::new(store.clone(), Duration::from_secs(5), &clock, &Metrics::new().unwrap());
    Bench { store, clock, keys }
}

impl Bench {
    async fn read(&self, values: &[&str]) -> Result<KeyHolder, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        self.keys.read(&headers).await.map_err(|fault| fault.code())
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.store.asked.lock().unwrap())
    }
}

#[tokio::test]
async fn a_key_is_its_owners_and_only_its_hash_is_asked_for() {
    let bench = bench(None);
    let held = bench.read(&[KEY]).await.unwrap();
    assert_eq!((&*held.bearer.user, &*held.key), (USER, "key-1"));
    assert_eq!(held.bearer.authorization, KEY);
    assert!(held.bearer.authorization.is_sensitive());
    assert!(!format!("{held:?}").contains("00ff"), "{held:?}");
    assert_eq!(bench.asked(), [HASH]);
}

#[tokio::test]
async fn what_is_no_key_is_not_looked_up() {
    let long = format!("Bearer sk-{}", "0".repeat(600));
    for (values, code) in [
        (&[][..], "identity.missing"),
        (&[""], "identity.missing"),
        (&["sk-00ff"], "identity.missing"),
        (&["bearer sk-00ff"], "identity.missing"),
        (&["BEARER sk-00ff"], "identity.missing"),
        (&["Bearer\tsk-00ff"], "identity.missing"),
        (&["Basic sk-00ff"], "identity.missing"),
        (&["Bearer "], "identity.not-a-key"),
        (&["Bearer  sk-00ff"], "identity.not-a-key"),
        (&["Bearer SK-00ff"], "identity.not-a-key"),
        (&["Bearer eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.x"], "identity.not-a-key"),
        (&["Bearer sk-"], "identity.malformed"),
        (&["Bearer sk-00ff "], "identity.malformed"),
        (&["Bearer sk-00ff, Bearer sk-1"], "identity.malformed"),
        (&["Bearer sk-00\u{e9}"], "identity.malformed"),
        (&[KEY, KEY], "identity.malformed"),
        (&[long.as_str()], "identity.malformed"),
    ] {
        let bench = bench(None);
        assert_eq!(bench.read(values).await.unwrap_err(), code, "{values:?}");
        assert_eq!(bench.asked(), [""; 0], "{values:?}");
    }
}

#[tokio::test]
async fn answers_are_remembered_for_seconds_and_failures_not_at_all() {
    let bench = bench(None);
    *bench.store.down.lock().unwrap() = true;
    assert_eq!(bench.read(&[KEY]).await.unwrap_err(), "directory.down");
    *bench.store.down.lock().unwrap() = false;
    for _ in 0..3 {
        assert!(bench.read(&[KEY]).await.is_ok());
        assert_eq!(bench.read(&["Bearer sk-nope"]).await.unwrap_err(), "identity.unknown-key");
    }
    assert_eq!(bench.asked().len(), 3, "the failure, the good one and the bad one");
    bench.clock.advance(Duration::from_secs(5));
    *bench.store.down.lock().unwrap() = true;
    assert_eq!(bench.read(&[KEY]).await.unwrap_err(), "directory.down", "nothing outlives its time");
}

#[tokio::test]
async fn a_key_is_good_until_the_moment_it_expires() {
    let at = start() + Duration::from_secs(2);
    let bench = bench(Some(at));
    assert!(bench.read(&[KEY]).await.is_ok());
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bench.read(&[KEY]).await.unwrap_err(), "identity.expired-key", "although it is remembered");
    assert_eq!(bench.asked().len(), 1);
}
