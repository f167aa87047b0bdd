use super::*;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;

/// A directory that says what it is told to and counts how often it is asked.
#[derive(Default)]
struct Told {
    person: Mutex<Option<Person>>,
    broken: Mutex<bool>,
    asked: AtomicUsize,
}

#[async_trait]
impl Directory for Told {
    async fn person(&self, _id: &str) -> Result<Option<Person>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if *self.broken.lock().unwrap() {
            return Err(StoreError { store: "told", message: "down".to_owned(), transient: true });
        }
        Ok(self.person.lock().unwrap().clone())
    }

    async fn holder(&self, _subject: &Subject) -> Result<Holder, StoreError> {
        Ok(self.person("").await?.map_or(Holder::Unlinked, Holder::Known))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn ada(role: Option<&str>) -> Person {
    Person {
        id: "6b012e4109cc968f8a928bce".into(),
        email: None,
        role: role.map(Into::into),
        groups: vec!["lab".into()],
    }
}

fn known(person: Option<Person>) -> (Arc<Told>, Known, Clock) {
    let told = Arc::new(Told { person: Mutex::new(person), ..Told::default() });
    let clock = Clock::manual(Timestamp::from_second(1_795_239_489).unwrap());
    let known = Known::new(told.clone(), Duration::from_secs(5), &clock, &Metrics::new().unwrap());
    (told, known, clock)
}

#[tokio::test]
async fn a_role_changes_within_the_memory() {
    let (told, known, clock) = known(Some(ada(Some("USER"))));
    assert_eq!(known.caller("ada").await.unwrap().role.as_ref(), "USER");
    *told.person.lock().unwrap() = Some(ada(Some("ADMIN")));
    clock.advance(Duration::from_millis(4_999));
    assert_eq!(known.caller("ada").await.unwrap().role.as_ref(), "USER");
    clock.advance(Duration::from_millis(1));
    assert_eq!(known.caller("ada").await.unwrap().role.as_ref(), "ADMIN");
    assert_eq!(told.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn many_at_once_ask_once() {
    let (told, known, _clock) = known(Some(ada(None)));
    let asks = (0..50).map(|_| known.caller("ada"));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.unwrap().role.as_ref(), "USER", "LibreChat's default role");
    }
    assert_eq!(told.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_is_remembered_too_and_failures_are_not() {
    let (told, known, clock) = known(None);
    for _ in 0..3 {
        assert!(matches!(known.caller("ghost").await, Err(Unknown::Nobody)));
    }
    assert_eq!(told.asked.load(Ordering::SeqCst), 1);
    *told.broken.lock().unwrap() = true;
    clock.advance(Duration::from_secs(5));
    assert!(matches!(known.caller("ghost").await, Err(Unknown::NoAnswer(_))), "an old answer is no answer");
    clock.advance(FAILURE_STANDS);
    *told.broken.lock().unwrap() = false;
    *told.person.lock().unwrap() = Some(ada(Some("USER")));
    assert!(known.caller("ghost").await.is_ok(), "it recovers by itself");
}

#[tokio::test]
async fn a_crowd_that_meets_a_failure_waits_once() {
    let (told, known, clock) = known(Some(ada(None)));
    *told.broken.lock().unwrap() = true;
    let asks = (0..50).map(|_| known.caller("ada"));
    for answer in futures_util::future::join_all(asks).await {
        assert!(matches!(answer, Err(Unknown::NoAnswer(_))));
    }
    assert_eq!(told.asked.load(Ordering::SeqCst), 1);
    *told.broken.lock().unwrap() = false;
    clock.advance(FAILURE_STANDS);
    assert!(known.caller("ada").await.is_ok());
    assert_eq!(told.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_account_that_is_linked_counts_at_once_and_is_then_remembered() {
    let (told, known, clock) = known(None);
    let subject = |id: &str| Subject { issuer: "i".into(), id: id.into(), oid: None, email: None, home: true };
    let ann = subject("ann");
    assert!(matches!(known.holder(&ann).await, Err(Unknown::Unlinked)));
    let crowd = tokio::join!(known.holder(&ann), known.holder(&ann), known.holder(&ann));
    assert!(matches!(crowd, (Err(Unknown::Unlinked), Err(Unknown::Unlinked), Err(Unknown::Unlinked))));
    assert_eq!(told.asked.load(Ordering::SeqCst), 1, "a crowd is one question");
    *told.person.lock().unwrap() = Some(ada(Some("USER")));
    clock.advance(ABSENCE_STANDS);
    assert_eq!(known.holder(&ann).await.unwrap().role.as_ref(), "USER");
    clock.advance(Duration::from_millis(4_999));
    assert!(known.holder(&ann).await.is_ok());
    assert_eq!(told.asked.load(Ordering::SeqCst), 2);
    // Another subject, another question; what differs in nothing but the issuer is another subject.
    assert!(known.holder(&subject("bob")).await.is_ok());
    assert!(known.holder(&Subject { issuer: "j".into(), ..subject("ann") }).await.is_ok());
    assert_eq!(told.asked.load(Ordering::SeqCst), 4);
    *told.broken.lock().unwrap() = true;
    clock.advance(Duration::from_secs(1));
    assert!(matches!(known.holder(&ann).await, Err(Unknown::NoAnswer(_))));
}
