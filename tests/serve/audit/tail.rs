//! The newest entries, and those that come.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tollgate::record::Line;

use super::{USER, err, of_kind, out, refusal, texts, thirty, with_stores};

/// How long a line may take to be shown.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_entries_are_shown_the_newest_last() {
    with_stores(async |scene| {
        let lines = thirty();
        scene.keep(&lines).await;
        let audits = of_kind(&lines, "audit");
        assert_eq!(
            scene.told(&["audit", "tail", "--format", "json"]),
            texts(&audits[audits.len() - 20..]),
            "{}",
            scene.sink
        );
        let told = |arguments: &[&str]| scene.told(&[&["audit", "tail", "--format", "json"], arguments].concat());
        assert_eq!(told(&["-n", "3"]), texts(&audits[audits.len() - 3..]));
        assert_eq!(told(&["-n", "2", "--kind", "usage"]), texts(&lines[24..26]));
        assert_eq!(told(&["-n", "2", "--kind", "usage", "--kind", "audit"]), texts(&lines[28..30]));
        let graver = lines.iter().filter(|line| line.text.contains("CRITICAL") || line.text.contains("\"ERROR\""));
        assert_eq!(told(&["--severity", "error"]), texts(graver));
        let viewer: Vec<_> = audits.iter().filter(|line| !line.text.contains(USER)).collect();
        assert_eq!(told(&["--user", "Viewer@lab.test"]), texts(viewer.iter().copied()));
        assert_eq!(told(&["--user", "viewer@lab.test", "--decision", "allow"]), "");
        assert_eq!(told(&["--action", "request"]), texts(&lines[9..10]));
        assert_eq!(told(&["--category", "system", "--until", "2026-11-21T08:00:10Z"]), texts(&lines[9..10]));
        assert_eq!(told(&["--since", "2026-11-21T09:00:28", "--until", "2026-11-21"]), texts(&lines[28..30]));
        assert_eq!(told(&["--since", "2026-11-21T08:00:28", "--utc"]), texts(&lines[28..30]));
        assert_eq!(told(&["--since", "2026-11-22"]), "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_columns_in_their_own_time_and_with_names() {
    with_stores(async |scene| {
        scene.keep(&thirty()).await;
        let told = scene.told(&["audit", "tail", "-n", "3", "--names"]);
        let rows: Vec<Vec<&str>> = told.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["TIME", "SEVERITY", "DECISION", "USER", "ACTION", "WHAT", "STATUS", "RULES"], "{told}");
        let last =
            ["2026-11-21", "09:00:29.000", "WARNING", "deny", "user@lab.test", "chat.turn", "openAI/gpt-4o", "403"];
        assert_eq!(rows[3][..8], last, "{told}");
        assert_eq!(rows[3][8], "roles.USER.endpoints.openAI.models", "{told}");
        let starts: Vec<_> = told.lines().map(|line| line.find("chat.turn").or(line.find("ACTION"))).collect();
        assert!(starts.iter().all(|start| *start == starts[0]), "{told}");
        assert!(!told.contains('\x1b'), "no colour where nobody sees it: {told}");
        let utc = scene.told(&["audit", "tail", "-n", "1", "--utc"]);
        assert!(utc.contains("2026-11-21 08:00:29.000") && utc.contains(USER), "{utc}");
        let nothing = scene.run(&["audit", "tail", "--model", "none"]);
        assert_eq!((out(&nothing).as_str(), err(&nothing).as_str()), ("", "no such entries\n"));
    })
    .await;
}

/// A line as a link of a chain ends it.
fn linked(n: u32, instance: u128, seq: u64) -> Line {
    let line = refusal(n, json!({}));
    let instance = uuid::Uuid::from_u128(instance);
    let text = line.text.strip_suffix('}').unwrap();
    Line::read(&format!(r#"{text},"instance":"{instance}","seq":{seq}}}"#)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_is_shown_once_however_late() {
    with_stores(async |scene| {
        scene.keep(&[linked(100, 1, 1), linked(101, 1, 2)]).await;
        let mut command =
            scene.command(&["audit", "tail", "--follow", "-n", "1", "--format", "json", "--decision", "deny"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let shown = shown(child.stdout.take().unwrap());
        let next = || shown.recv_timeout(PATIENCE).unwrap();
        assert_eq!(next(), *linked(101, 1, 2).text);
        scene.keep(&[linked(102, 1, 3)]).await;
        assert_eq!(next(), *linked(102, 1, 3).text);
        // A replica that was cut off hands in what is older than everything that was shown.
        let late: Vec<_> = (1..=3).map(|n| linked(n, 2, n.into())).collect();
        scene.keep(&late).await;
        for line in &late {
            assert_eq!(next(), *line.text);
        }
        scene.keep(&[linked(103, 1, 4)]).await;
        assert_eq!(next(), *linked(103, 1, 4).text, "and nothing twice in between");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(shown.recv_timeout(PATIENCE).is_err(), "nothing was shown twice");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn following_ends_when_nobody_reads_any_more() {
    with_stores(async |scene| {
        scene.keep(&[linked(1, 1, 1)]).await;
        let mut command = scene.command(&["audit", "tail", "--follow", "--format", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut String::new()).unwrap();
        drop(reader);
        scene.keep(&[linked(2, 1, 2)]).await;
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), err(&ended).as_str()), (Some(0), ""));
    })
    .await;
}

/// The lines of a pipe, as they come.
fn shown(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
