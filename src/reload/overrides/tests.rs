use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::metrics::Metrics;
use crate::policy::overrides::{Kind, Principal};
use crate::policy::{Caller, Sight, Snapshot, Source, compile};
use crate::record::{Recorder, RecorderOptions};
use crate::reload::{InForceParts, ReloadMeters};
use crate::store::overrides::{Expected, Unchanged};

/// A store that says what it is told to.
#[derive(Default)]
struct Told {
    documents: Mutex<Vec<Override>>,
    mark: Mutex<Mark>,
    away: Mutex<bool>,
    reads: AtomicUsize,
}

impl Told {
    fn put(&self, documents: Vec<Override>, mark: u64) {
        *self.documents.lock() = documents;
        *self.mark.lock() = Mark { count: mark, sum: mark, greatest: mark };
    }

    fn answer(&self) -> Result<(), StoreError> {
        let away = StoreError { store: "told", message: "away".to_owned(), transient: true };
        if *self.away.lock() { Err(away) } else { Ok(()) }
    }
}

#[async_trait]
impl Overrides for Told {
    async fn mark(&self) -> Result<Mark, StoreError> {
        self.answer()?;
        Ok(*self.mark.lock())
    }

    async fn all(&self) -> Result<Vec<Result<Override, Unreadable>>, StoreError> {
        self.answer()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(self.documents.lock().iter().cloned().map(Ok).collect())
    }

    async fn draw(&self) -> Result<u64, StoreError> {
        Ok(1)
    }

    async fn put(&self, _document: &Override, _expected: Expected) -> Result<(), Unchanged> {
        Err(Unchanged::Overtaken)
    }

    async fn remove(&self, _principal: &Principal, _version: u64) -> Result<(), Unchanged> {
        Err(Unchanged::Overtaken)
    }

    async fn clear(&self, _principal: &Principal) -> Result<u64, StoreError> {
        Ok(0)
    }
}

struct Scene {
    _data: tempfile::TempDir,
    clock: Clock,
    store: Arc<Told>,
    in_force: Arc<InForce>,
    follower: OverridesFollower,
}

fn files(text: &str) -> Snapshot {
    compile(&[Source { path: "policy.yaml".into(), text: text.into() }]).unwrap().0
}

const FILES: &str = "version: 1\nroles: { USER: { endpoints: { openAI: { models: [gpt-4o-mini] } } } }\n";

/// Gives all users this one more model of OpenAI.
fn giving(model: &str, version: u64) -> Override {
    let overrides = json!({"endpoints": {"openAI": {"models": [model]}}});
    Override {
        principal: Principal { kind: Kind::Role, id: "USER".into() },
        priority: 10,
        overrides: overrides.as_object().unwrap().clone(),
        is_active: true,
        config_version: version,
        updated_at: "2026-11-22T09:00:00Z".parse().unwrap(),
        updated_by: None,
        note: None,
        expires_at: None,
    }
}

impl Scene {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2026-11-22T09:00:00Z".parse().unwrap());
        let metrics = Metrics::new().unwrap();
        let (recorder, _worker) =
            Recorder::start(data.path(), vec![], &clock, &metrics.recorder(), RecorderOptions::default()).unwrap();
        let meters = ReloadMeters {
            info: metrics.policy_info.clone(),
            stale: metrics.policy_stale.clone(),
            taken: metrics.policy_taken_timestamp_seconds.clone(),
            overrides: metrics.overrides.clone(),
            overrides_stale: metrics.overrides_stale.clone(),
        };
        let parts = InForceParts { recorder, clock: clock.clone(), meters, coming: Box::new(|_| ()) };
        let in_force = Arc::new(InForce::new(files(FILES), true, parts));
        let store = Arc::new(Told::default());
        let follower = OverridesFollower::new(store.clone(), Arc::clone(&in_force), clock.clone());
        Self { _data: data, clock, store, in_force, follower }
    }

    /// Which of these models a user may use.
    fn models(&self) -> Vec<&'static str> {
        let user = "65f0c1d2e3a4b5c6d7e8f901".into();
        let caller = Caller { user, email: None, role: "USER".into(), groups: Arc::new([]) };
        let policy = self.in_force.policy();
        let view = policy.view(&caller);
        ["gpt-4o-mini", "gpt-4o", "o1"].into_iter().filter(|model| view.model("openAI", model)).collect()
    }
}

#[tokio::test]
async fn nobody_is_judged_before_they_were_read_and_the_last_ones_stay_when_they_cannot_be() {
    let mut scene = Scene::new();
    *scene.store.away.lock() = true;
    scene.follower.look().await;
    let told = scene.in_force.standing().told().overrides;
    assert!(!scene.in_force.policy().is_whole() && !told.read && told.stale_since.is_some());
    // Other files make nothing better.
    scene.in_force.take_files(&files("version: 1\n")).unwrap();
    assert!(!scene.in_force.policy().is_whole());
    scene.in_force.take_files(&files(FILES)).unwrap();
    *scene.store.away.lock() = false;
    scene.store.put(vec![giving("gpt-4o", 1)], 1);
    scene.follower.look().await;
    let told = scene.in_force.standing().told().overrides;
    assert!(scene.in_force.policy().is_whole() && told.read && told.stale_since.is_none());
    assert_eq!(scene.models(), ["gpt-4o-mini", "gpt-4o"]);
    *scene.store.away.lock() = true;
    scene.store.put(vec![], 2);
    scene.follower.look().await;
    assert_eq!(scene.models(), ["gpt-4o-mini", "gpt-4o"], "the last ones that were read");
    assert!(scene.in_force.standing().told().overrides.stale_since.is_some());
    *scene.store.away.lock() = false;
    scene.follower.look().await;
    assert_eq!(scene.models(), ["gpt-4o-mini"]);
}

#[tokio::test]
async fn what_looks_the_same_is_not_read_and_yet_nothing_escapes_for_long() {
    let mut scene = Scene::new();
    scene.store.put(vec![giving("gpt-4o", 1)], 1);
    scene.follower.look().await;
    scene.follower.look().await;
    assert_eq!(scene.store.reads.load(Ordering::Relaxed), 1);
    // As if three writers had overtaken each other: the same from outside.
    scene.store.put(vec![giving("o1", 2)], 1);
    let mut looks = 0;
    while scene.models() != ["gpt-4o-mini", "o1"] {
        scene.follower.look().await;
        looks += 1;
        assert!(looks <= READ_AGAIN, "{looks}");
    }
    assert_eq!(scene.store.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_end_needs_no_store() {
    let mut scene = Scene::new();
    let end = "2026-11-22T10:00:00Z".parse().unwrap();
    scene.store.put(vec![Override { expires_at: Some(end), ..giving("gpt-4o", 1) }], 1);
    scene.follower.look().await;
    assert_eq!(scene.models(), ["gpt-4o-mini", "gpt-4o"]);
    *scene.store.away.lock() = true;
    scene.clock.advance(Duration::from_secs(3_599));
    scene.follower.look().await;
    assert_eq!(scene.models(), ["gpt-4o-mini", "gpt-4o"]);
    scene.clock.advance(Duration::from_secs(1));
    scene.follower.look().await;
    assert_eq!(scene.models(), ["gpt-4o-mini"], "it ends at its moment, whether or not the store answers");
}

#[tokio::test]
async fn files_that_would_set_an_override_aside_wait_until_it_lets_them() {
    let mut scene = Scene::new();
    let limited = format!("{FILES}limits: [{{ id: day, requests: 9, per: user, window: day }}]\n");
    scene.in_force.take_files(&files(&limited)).unwrap();
    let with_limit = |version, is_active| Override {
        overrides: json!({"limits": {"day": {"requests": 1}}, "endpoints": {"openAI": {"deny": ["gpt-4o-mini"]}}})
            .as_object()
            .unwrap()
            .clone(),
        is_active,
        ..giving("o1", version)
    };
    scene.store.put(vec![with_limit(1, true)], 1);
    scene.follower.look().await;
    assert_eq!(scene.models(), Vec::<&str>::new());
    // Another id: "day" is then a limit that the override adds, without what such a limit needs.
    let renamed = files(&limited.replace("id: day", "id: every-day"));
    let objections = scene.in_force.take_files(&renamed).expect_err("the override would be set aside");
    let told = objections.to_string();
    assert!(told.contains("role USER") && told.contains("would set an override aside"), "{told}");
    assert!(objections.faults()[0].help.as_deref().unwrap().contains("tollgate overrides"), "{told}");
    scene.in_force.refused(&objections, scene.clock.now());
    scene.in_force.wait_with(&renamed);
    assert!(scene.in_force.standing().told().stale.is_some());
    assert_eq!(scene.models(), Vec::<&str>::new(), "what it denies stays denied");
    // A change of something else changes nothing about that.
    scene.store.put(
        vec![
            with_limit(1, true),
            Override { principal: Principal { kind: Kind::Group, id: "lab".into() }, ..giving("o1", 2) },
        ],
        2,
    );
    scene.follower.look().await;
    assert!(scene.in_force.standing().told().stale.is_some());
    scene.store.put(vec![with_limit(3, false)], 3);
    scene.follower.look().await;
    let told = scene.in_force.standing().told();
    assert_eq!(
        (told.stale, &*told.revision),
        (None, renamed.revision()),
        "the files are taken without another look at them"
    );
    assert_eq!(scene.models(), ["gpt-4o-mini"]);
    // By hand it is switched on again: now nobody knows what it means.
    scene.store.put(vec![with_limit(4, true)], 4);
    scene.follower.look().await;
    let told = scene.in_force.standing().told().overrides;
    assert_eq!((told.in_force, told.faulty.len()), (0, 1));
    let caller =
        Caller { user: "65f0c1d2e3a4b5c6d7e8f901".into(), email: None, role: "USER".into(), groups: Arc::new([]) };
    let policy = scene.in_force.policy();
    assert_eq!(policy.turned_away(&caller).map(|rule| rule.as_str()), Some("overrides.role.USER.faulty"));
    // It holds nothing, and so it keeps no files off.
    scene.in_force.take_files(&files(&limited.replace("id: day", "id: each-day"))).unwrap();
}

#[tokio::test]
async fn files_and_overrides_are_never_half_of_one_and_half_of_another() {
    let mut scene = Scene::new();
    scene.store.put(vec![giving("gpt-4o", 1)], 1);
    scene.follower.look().await;
    // Files that give o1 stand beside an override that gives gpt-4o, or neither: each policy is one of four.
    let other = FILES.replace("gpt-4o-mini", "o1");
    let revisions: BTreeSet<String> = [FILES, &other]
        .into_iter()
        .flat_map(|text| {
            let document = crate::overrides::document(&giving("gpt-4o", 1));
            let files = files(text);
            [files.revision().to_owned(), files.with_overrides(&[document]).0.revision().to_owned()]
        })
        .collect();
    assert_eq!(revisions.len(), 4);
    let in_force = Arc::clone(&scene.in_force);
    let swapping = std::thread::spawn(move || {
        for round in 0..200 {
            in_force.take_files(&files(if round % 2 == 0 { &other } else { FILES })).unwrap();
        }
    });
    let mut seen = BTreeSet::new();
    for round in 0..200_u64 {
        let documents = if round % 2 == 0 { vec![] } else { vec![giving("gpt-4o", 1)] };
        scene.store.put(documents, round + 2);
        scene.follower.look().await;
        let policy = scene.in_force.policy();
        assert_eq!(policy.revision().contains('+'), round % 2 == 1, "what was just put is in force with any files");
        assert_eq!(policy.override_count(), usize::from(round % 2 == 1));
        seen.insert(policy.revision().to_owned());
    }
    swapping.join().unwrap();
    assert!(seen.is_subset(&revisions), "{seen:?}");
}
