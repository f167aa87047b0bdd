//! The README and the pages in `docs/`: what they show works, and what they point at is there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a page that is not as expected ends a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tollgate::policy::{Source, compile};

fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(home().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The pages that are held.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md"]
        .into_iter()
        .chain(["loadtest/README.md", "policies/README.md", "tests/captures/README.md"])
        .map(str::to_owned)
        .collect();
    for file in fs::read_dir(home().join("docs")).unwrap() {
        pages.push(format!("docs/{}", file.unwrap().file_name().to_str().unwrap()));
    }
    pages
}

#[test]
fn every_link_leads_somewhere() {
    for name in pages() {
        let folder = Path::new(&name).parent().unwrap().to_owned();
        for link in page(&name).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if !path.is_empty() && !link.contains("://") && !link.starts_with("mailto:") {
                assert!(home().join(&folder).join(path).exists(), "{name} points at {link}");
            }
        }
    }
}

#[test]
fn the_policy_of_the_readme_compiles_without_a_warning() {
    let readme = page("README.md");
    let blocks: Vec<_> = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 1);
    let source = Source { path: "README.md".into(), text: blocks[0].into() };
    let (_, warnings) = compile(&[source]).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings.is_empty(), "{warnings}");
}

/// Every command of the program that a page shows is run with `--help` put behind it, so that a command or a flag that is gone is found; those that
/// only read are run as they stand.
#[test]
fn the_commands_of_the_readme_are_understood() {
    let readme = page("README.md");
    let shown: Vec<Vec<&str>> = readme
        .split('`')
        .flat_map(str::lines)
        .filter_map(|line| line.split_once("tollgate ").map(|(before, rest)| (before, rest.trim())))
        .filter(|(before, _)| before.is_empty() || before.ends_with(' '))
        .map(|(_, rest)| rest.split_whitespace().collect())
        .filter(|words: &Vec<&str>| {
            words.first().is_some_and(|word| ["serve", "check", "explain", "demo"].contains(word))
        })
        .collect();
    assert!(shown.len() >= 3, "{shown:?}");
    for words in shown {
        let reads = ["check", "explain"].contains(&words[0]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(&words).current_dir(home());
        if !reads {
            command.arg("--help");
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn the_two_commands_of_the_readme_are_there() {
    let readme = page("README.md");
    for command in ["cargo run --release -- demo", "tests/run"] {
        assert!(readme.contains(&format!("```sh\n{command}\n```")), "{command}");
    }
    assert!(home().join("tests/run").exists());
    assert!(page(".ci/run").contains("tests/run"));
}
