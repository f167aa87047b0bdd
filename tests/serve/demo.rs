//! `tollgate demo`: what it prints can be pasted, and shows what it says.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::schema;
use crate::world::free_address;

/// A running demo.
struct Demo {
    child: Child,
    out: BufReader<ChildStdout>,
    introduction: String,
    temporary: TempDir,
    listen: SocketAddr,
    admin: SocketAddr,
}

// === impl Demo ===

impl Demo {
    /// Starts one with a temporary directory of its own and reads what it says first.
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these variables.
    fn start_with(variables: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let (listen, admin) = (free_address(), free_address());
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["demo", "--listen", &listen.to_string(), "--admin", &admin.to_string()])
            .env_clear()
            .env("TMPDIR", temporary.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut introduction = String::new();
        while !introduction.contains("Ctrl-C stops the demo") {
            assert!(out.read_line(&mut introduction).unwrap() > 0, "it ended:\n{introduction}");
        }
        Self { child, out, introduction, temporary, listen, admin }
    }

    /// Each comment with the lines below it.
    fn tries(&self) -> Vec<(String, String)> {
        let parts = self.introduction.split("\n# ").skip(1);
        parts
            .map(|part| {
                let (what, rest) = part.split_once('\n').unwrap();
                let lines = rest.lines().take_while(|line| line.starts_with("  "));
                (what.to_owned(), lines.collect::<Vec<_>>().join("\n"))
            })
            .collect()
    }

    /// Runs lines in bash as somebody would who pasted them after the lines that come first.
    fn paste(&self, lines: &str) -> String {
        let first = self.introduction.split("Paste this first:\n\n").nth(1).unwrap();
        let first: Vec<_> = first.lines().take_while(|line| line.starts_with("  ")).collect();
        assert_eq!(first.len(), 2, "one line for each person: {first:?}");
        let ended =
            Command::new("bash").args(["-c", &format!("{}\n{lines}", first.join("\n"))]).output().expect("bash");
        assert!(ended.status.success(), "{lines}\n{}", String::from_utf8_lossy(&ended.stderr));
        assert!(ended.stderr.is_empty(), "{lines}\n{}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended by itself where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|fault| panic!("{fault}: {text}"))
}

#[test]
fn every_line_of_the_demo_shows_what_it_says() {
    let mut demo = Demo::start();
    let intro = demo.introduction.clone();
    assert!(intro.contains(&format!("http://{}", demo.listen)) && intro.contains(&format!("http://{}", demo.admin)));
    for person in ["Ann   ADMIN", "Bob   USER", "password demo-password"] {
        assert!(intro.contains(person), "{person}:\n{intro}");
    }
    let tries = demo.tries();
    let shown: Vec<_> = tries.iter().map(|(what, lines)| (what.as_str(), demo.paste(lines))).collect();
    let [bobs, anns, refused, started, streamed, hidden, nobody] = shown.as_slice() else {
        panic!("{} lines to try:\n{intro}", shown.len());
    };
    assert!(bobs.0.contains("gpt-4o-mini and mindroom-basic, nothing else"));
    assert_eq!(parsed(&bobs.1), json!({"openAI": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic"]}));
    assert!(anns.0.contains("everything"));
    assert_eq!(parsed(&anns.1)["openAI"], json!(["gpt-4o-mini", "gpt-4o", "o1"]));
    assert!(parsed(&anns.1).as_object().unwrap().len() > 5, "{}", anns.1);
    assert!(refused.0.contains("403"));
    assert!(refused.1.starts_with(r#"{"type":"illegal_model_request","info":"openAI|gpt-4o""#), "{}", refused.1);
    assert!(parsed(&refused.1)["message"].as_str().unwrap().contains("premium-openai"), "the operator's sentence");
    assert!(started.0.contains("Ann"));
    assert_eq!(parsed(&started.1)["status"], "started");
    assert!(streamed.0.contains("word by word"));
    assert!(streamed.1.contains("[gpt-4o-mini]") && streamed.1.contains(r#""final":true"#), "{}", streamed.1);
    assert!(hidden.0.contains("second model") && hidden.0.contains("403"));
    assert_eq!(parsed(&hidden.1)["info"], "openAI|o1");
    assert!(nobody.0.contains("401"));
    assert_eq!(nobody.1, r#"{"message":"No auth token"}"#);
    let ready = demo.paste(&format!("curl -s http://{}/readyz", demo.admin));
    assert_eq!(parsed(&ready)["ready"], true);
    assert_eq!(fs::read_dir(demo.temporary.path()).unwrap().count(), 1, "one directory while it runs");
    let sent = Command::new("kill").args(["-INT", &demo.child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(demo.child.wait().unwrap().code(), Some(0), "Ctrl-C is the ordinary end");
    let mut rest = String::new();
    demo.out.read_to_string(&mut rest).unwrap();
    let entries: Vec<_> = rest.lines().filter(|line| line.starts_with('{')).map(parsed).collect();
    entries.iter().for_each(schema::hold);
    let decisions = |wanted: &str| entries.iter().filter(|entry| entry["decision"] == wanted).count();
    // Refused: the model, the hidden model, nobody. Allowed: two catalogues, two turns.
    assert_eq!((decisions("deny"), decisions("allow")), (3, 4), "{rest}");
    assert_eq!(entries.iter().filter(|entry| entry["kind"] == "usage").count(), 2, "{rest}");
    assert!(rest.trim_end().ends_with("Stopped; what the demo wrote is removed."), "{rest}");
    assert_eq!(fs::read_dir(demo.temporary.path()).unwrap().count(), 0, "the temporary directory is gone");
}

#[test]
fn a_demo_has_the_defaults_for_users_that_the_environment_gives() {
    // What it says first stands there before it counts: until then it answers 503, and whoever comes is to ask again.
    let asking = "curl -s --fail --retry 30 -H \"$BOB\"";
    let ask = |demo: &Demo| parsed(&demo.paste(&format!("{asking} http://{}/api/v1/me/limits", demo.listen)));
    assert_eq!(ask(&Demo::start())["limits"], json!([]), "the demo's policy has none");
    let told = ask(&Demo::start_with(&[("DEFAULT_USER_RPM_LIMIT", "7")]));
    let [limit] = &told["limits"].as_array().unwrap()[..] else { panic!("one limit: {told}") };
    assert_eq!((&limit["measure"], &limit["limit"], &limit["window"]), (&json!("requests"), &json!(7), &json!("1m")));
}

#[test]
fn a_demo_whose_port_is_taken_says_so() {
    let demo = Demo::start();
    let second = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["demo", "--listen", &demo.listen.to_string(), "--admin", &free_address().to_string()])
        .env_clear()
        .env("TMPDIR", demo.temporary.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(told.contains(&format!("cannot listen on {}", demo.listen)), "{told}");
    assert_eq!(fs::read_dir(demo.temporary.path()).unwrap().count(), 1, "the second one has left nothing");
}
