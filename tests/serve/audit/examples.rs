//! The examples that help and pages show are run as they stand, with another place for the record.

use std::fs;
use std::process::Command;

use super::{Scene, thirty};

/// Everything that examples name is made to be there; what they write goes away before the next one.
async fn scene() -> Scene {
    let scene = Scene::embedded();
    // Times that are not old enough to have expired, and old enough for heads to be due.
    scene.keep_chained(1, &thirty()).await;
    scene
}

/// Runs a line of a shell in a fresh directory with `record.jsonl` in it.
fn run(scene: &Scene, line: &str) {
    let directory = tempfile::tempdir().unwrap();
    if !line.contains("--out record.jsonl") {
        fs::write(directory.path().join("record.jsonl"), scene.told(&["audit", "export"])).unwrap();
    }
    let data = scene.dir.path().join("data");
    let program = env!("CARGO_BIN_EXE_tollgate");
    let shown = line
        .replace("/etc/tollgate/tollgate.yaml", scene.settings().to_str().unwrap())
        .replace("/var/lib/tollgate", data.to_str().unwrap())
        .replace("ann@example.edu", "user@lab.test")
        // It has no end of its own; `tail.rs` runs it.
        .replace(" --follow", "");
    let script = format!("set -e\ntollgate() {{ '{program}' \"$@\"; }}\njq() {{ cat; }}\n{shown}\n");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(directory.path()).env_clear().env("PATH", "/usr/bin:/bin");
    shell.env("TOLLGATE_CONFIG", scene.settings());
    let ended = shell.output().unwrap();
    assert!(ended.status.success(), "{line}\n{}", super::err(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_help_run() {
    let scene = scene().await;
    let mut count = 0;
    for command in [
        &["audit"][..],
        &["audit", "tail"],
        &["audit", "export"],
        &["audit", "verify"],
        &["audit", "erase"],
        &["usage"],
        &["usage", "report"],
    ] {
        let help = scene.told(&[command, &["--help"]].concat());
        let examples =
            help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{command:?} has no examples:\n{help}"));
        for line in examples.lines().take_while(|line| !line.is_empty()) {
            assert!(line.starts_with("  tollgate "), "{command:?}: a line that was broken apart: {line}");
            run(&scene, line.trim());
            count += 1;
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{command:?}:\n{help}");
        let notes: Vec<_> = help.split("Examples:\n").nth(1).unwrap().lines().collect();
        let torn = notes.windows(2).find(|pair| (1..12).contains(&pair[0].len()) && !pair[1].is_empty());
        assert_eq!(torn, None, "{command:?}: a line is too long and was broken apart:\n{help}");
    }
    assert!(count >= 20, "{count} examples");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_run() {
    let scene = scene().await;
    let page = include_str!("../../../docs/records.md");
    let chapter = page.split("\n## Reading the record\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks: Vec<_> = chapter.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    for line in blocks.iter().flat_map(|block| block.lines()).filter(|line| !line.starts_with('#')) {
        run(&scene, line);
    }
}

/// The page lists the columns of both kinds, in their order.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_lists_the_columns() {
    let scene = scene().await;
    let page = include_str!("../../../docs/records.md");
    for kind in ["audit", "usage"] {
        let told = scene.told(&["audit", "export", "--format", "csv", "--kind", kind]);
        let columns = told.lines().next().unwrap().replace('"', "").replace(',', ", ");
        assert!(page.replace('\n', " ").contains(&format!("`{columns}`")), "{kind}: {columns}");
    }
}
