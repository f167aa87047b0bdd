use tokio::sync::oneshot;

use super::*;
use crate::metrics::Metrics;
use crate::policy::{Source, compile};
use crate::record::RecorderOptions;
use crate::reload::{InForceParts, ReloadMeters};

const FILES: &str = "version: 1\nroles: { USER: { unrestricted: true } }\n";

/// A reloader of a directory with one file, and its own one for the record.
fn reloader() -> (tempfile::TempDir, tempfile::TempDir, Reloader) {
    let (policies, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(policies.path().join("policy.yaml"), FILES).unwrap();
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
    let parts = InForceParts { recorder: recorder.clone(), clock: clock.clone(), meters, coming: Box::new(|_| ()) };
    let (files, _) = compile(&[Source { path: "policy.yaml".into(), text: FILES.into() }]).unwrap();
    let parts = ReloaderParts {
        policies: policies.path().to_owned(),
        defaults: UserDefaults::default(),
        in_force: Arc::new(InForce::new(files, false, parts)),
        recorder,
        clock,
        loads: metrics.policy_loads_total.clone(),
    };
    (policies, data, Reloader::new(parts).unwrap())
}

#[tokio::test(start_paused = true)]
async fn files_that_let_nobody_go_are_told_as_stale_until_they_were_read() {
    let (_policies, _data, mut reloader) = reloader();
    let in_force = Arc::clone(&reloader.parts.in_force);
    let stale = || in_force.standing().told().stale;
    let (ends, work) = oneshot::channel();
    {
        let mut waiting = pin!(reloader.in_time(async { Ok(work.await.unwrap()) }));
        assert!(timeout(LONGEST - LOOK, &mut waiting).await.is_err());
        assert_eq!(stale(), None, "it may well end");
        assert!(timeout(2 * LOOK, &mut waiting).await.is_err());
        let first = stale().unwrap().first;
        assert!(first.contains("to read the policy takes longer than 30 seconds"), "{first}");
        ends.send(7).unwrap();
        assert_eq!(waiting.await, Some(7));
    }
    // They look as they did, and are read all the same.
    for looks in 0.. {
        assert!(looks < 2 * TRY_AGAIN, "it stays stale");
        if stale().is_none() {
            break;
        }
        reloader.look(false).await;
    }
}

#[tokio::test]
async fn what_could_not_be_read_is_tried_again_and_nothing_else_is() {
    let (policies, _data, mut reloader) = reloader();
    let refused = reloader.parts.loads.with_label_values(&["refused"]);
    std::fs::write(policies.path().join("z.yaml"), [0xff]).unwrap();
    reloader.look(true).await;
    let first = reloader.parts.in_force.standing().told().stale.unwrap();
    assert!(first.first.contains("z.yaml"), "{}", first.first);
    assert_eq!(refused.get(), 1);
    for _ in 0..4 * TRY_AGAIN {
        reloader.look(false).await;
    }
    // Each twelfth look, and once more when it has stood still.
    assert!((4..=5).contains(&refused.get()), "{}", refused.get());
    // A fault of another kind goes away when somebody changes something, and is not tried again.
    std::fs::write(policies.path().join("z.yaml"), "version: 2\n").unwrap();
    reloader.look(true).await;
    let before = refused.get();
    for _ in 0..4 * TRY_AGAIN {
        reloader.look(false).await;
    }
    assert!(refused.get() <= before + 1, "{} times more", refused.get() - before);
}
