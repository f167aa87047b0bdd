//! `docs/tour.md` is run as it stands: each block of commands in one shell, and what it shows is what the page says.

#![expect(clippy::unwrap_used, reason = "a page that is not as expected ends a test")]

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What stands for whatever differs each time.
const ANYTHING: &str = "...";

/// Stands before what a block shows.
const MARK: &str = "@@ block ";

/// Until then the whole tour is over, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// A block of commands, and what it shows, where the page says that.
struct Block<'a> {
    commands: &'a str,
    shows: Option<&'a str>,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut fences = page.split("```").skip(1).step_by(2).map(|fence| fence.split_once('\n').unwrap()).peekable();
    let mut blocks = Vec::new();
    while let Some((language, commands)) = fences.next() {
        assert_eq!(language, "sh", "a block of commands is expected: {commands}");
        let shows = fences.next_if(|(language, _)| *language == "text").map(|(_, shows)| shows);
        blocks.push(Block { commands, shows });
    }
    blocks
}

/// Whether a text is what is expected, piece by piece between what may be anything.
fn is_as_expected(text: &str, expected: &str) -> bool {
    let (text, expected) = (text.trim_end(), expected.trim_end());
    let mut pieces = expected.split(ANYTHING);
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut open = false;
    for piece in pieces {
        open = piece.is_empty();
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    open || rest.is_empty()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs the blocks in one shell: what each of them shows.
fn run(blocks: &[Block<'_>]) -> Vec<String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    symlink(home.join("policies"), directory.path().join("policies")).unwrap();
    let (data, admin) = (free_port(), free_port());
    let mut script = String::from("exec 2>&1\n");
    for (number, block) in blocks.iter().enumerate() {
        let listen = format!("tollgate demo --listen 127.0.0.1:{data} --admin 127.0.0.1:{admin}");
        let commands = block.commands.replace("tollgate demo", &listen).replace(":8080", &format!(":{data}"));
        script += &format!("echo '{MARK}{number}'\n{commands}\n");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_tollgate")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(program.to_owned()).chain(std::env::split_paths(&path))).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(directory.path()).env("PATH", path).process_group(0);
    let shell = shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let group = format!("-{}", shell.id());
    let (done, over) = std::sync::mpsc::channel::<()>();
    // A block that waits for what never comes is ended with all that it has started.
    let watch = std::thread::spawn(move || {
        if over.recv_timeout(PATIENCE).is_err() {
            Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
        }
    });
    let output = shell.wait_with_output().unwrap();
    // It may just have given up.
    let _late = done.send(());
    watch.join().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let parts = shown.split(MARK).skip(1).map(|part| part.split_once('\n').unwrap().1.to_owned());
    parts.collect()
}

#[test]
fn the_tour_shows_what_it_says() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tour.md")).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.iter().filter(|block| block.shows.is_some()).count() >= 10);
    let shown = run(&blocks);
    for (block, shown) in blocks.iter().zip(&shown) {
        let expected = block.shows.unwrap_or_default();
        assert!(
            block.shows.is_none() || is_as_expected(shown, expected),
            "{}\nshows:\n{shown}\ninstead of:\n{expected}",
            block.commands
        );
    }
    assert_eq!(shown.len(), blocks.len(), "it went on to its end: {shown:?}");
}

#[test]
fn what_differs_is_seen() {
    for (text, expected, same) in [
        ("a b c\n", "a b c", true),
        ("a b c", "a ... c", true),
        ("a b c d", "a ... c", false),
        ("a b c d", "a ...", true),
        ("b", "a ...", false),
        ("a c", "a ... b ...", false),
        ("", "...", true),
    ] {
        assert_eq!(is_as_expected(text, expected), same, "{text:?} {expected:?}");
    }
}
