use clap::Parser;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::cli::record::Terminal;
use crate::clock::Clock;
use crate::config::Environment;
use crate::lifecycle::House;

use crate::record::Kind as Lines;
use crate::store::embedded::Embedded;
use crate::store::{Filter, Ledger, Person};

#[test]
fn a_name_that_nobody_knows_is_told_and_no_other() {
    let shell = Shell::new();
    let text = "endpoints: { openAI: { models: [gpt-4o] } }";
    let stranger = "6b012e4109cc968f8a928b99";
    for (who, known) in [
        ("role USER", true),
        ("role ADMIN", true),
        ("role USRE", false),
        ("group pilto", false),
        ("group lab", true),
        (&format!("user {ANN}"), true),
        (&format!("user {stranger}"), false),
    ] {
        if who == "group lab" {
            let store = Embedded::open(&shell.dir.path().join("data")).unwrap();
            let (email, role) = (Some("bob@example.edu".into()), Some("USER".into()));
            store
                .put_person(&Person { id: "7b012e4109cc968f8a928bce".into(), email, role, groups: vec!["lab".into()] })
                .unwrap();
        }
        let (exit, _, err) = shell.run(&format!("set {who} --file -"), text);
        assert_eq!(exit, Exit::Ok, "{who}: {err}");
        assert_eq!(err.contains("neither the policy's files nor the directory know the"), !known, "{who}: {err}");
    }
}

const ANN: &str = "6b012e4109cc968f8a928bce";

const POLICY: &str = "version: 1\nroles:\n  USER:\n    endpoints: { openAI: { models: [gpt-4o-mini] } }\n    limits:\n      - { id: user-day, tokens: 500k, per: user, window: day }\n      - { id: all-day, tokens: 5M, per: role, window: day }\n";

#[derive(Debug, Parser)]
struct Tollgate {
    #[command(flatten)]
    overrides: Args,
}

/// A data directory with ann in it, a policy, and a place for files.
struct Shell {
    dir: tempfile::TempDir,
    clock: Clock,
}

/// Exit code, standard output, standard error.
type Printed = (Exit, String, String);

impl Shell {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("policy.yaml"), POLICY).unwrap();
        let store = Embedded::open(&dir.path().join("data")).unwrap();
        let person = Person {
            id: ANN.into(),
            email: Some("ann@example.edu".into()),
            role: Some("USER".into()),
            groups: vec!["staff".into()],
        };
        store.put_person(&person).unwrap();
        Self { dir, clock: Clock::manual("2026-11-22T09:00:00Z".parse().unwrap()) }
    }

    fn run(&self, line: &str, input: &str) -> Printed {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let (data, policy) = (path("data"), path("policy.yaml"));
        let words = ["overrides", "--data", &data, "--policies", &policy].into_iter().chain(line.split_whitespace());
        let args = Tollgate::try_parse_from(words).unwrap().overrides;
        let (mut out, mut err, mut input) = (Vec::new(), Vec::new(), input.as_bytes());
        let environment = Environment::of([]);
        let mut desk = Desk {
            environment: &environment,
            out: &mut out,
            err: &mut err,
            input: &mut input,
            terminal: Terminal::default(),
            clock: self.clock.clone(),
            zone: TimeZone::UTC,
        };
        let exit = run(&args, &mut desk);
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn json(&self, line: &str, input: &str) -> Value {
        let (exit, out, err) = self.run(&format!("{line} --format json"), input);
        assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{line}");
        serde_json::from_str(&out).unwrap()
    }

    /// What the record tells, the newest last.
    fn told(&self) -> Vec<Value> {
        let store = Embedded::open(&self.dir.path().join("data")).unwrap();
        let house = House::open().unwrap();
        let filter = Filter { kinds: vec![Lines::Audit], ..Filter::default() };
        let kept = house.wait_for(store.find(&filter, None, 99)).unwrap();
        house.close();
        let mut events: Vec<Value> = kept.lines.iter().map(|line| serde_json::from_str(&line.text).unwrap()).collect();
        // Each command names what the record has before it tells.
        events.retain(|event| event["action"] != "records.linked");
        events.sort_by_key(|event| event["_id"].to_string());
        events
    }
}

#[test]
fn an_override_is_made_changed_switched_and_removed_and_the_record_tells_before() {
    let shell = Shell::new();
    let made = shell.json("set user ann@example.edu --file -", "limits: { user-day: { tokens: 1M } }");
    assert_eq!(
        (&made["principalType"], &made["principalId"], &made["priority"]),
        (&json!("user"), &json!(ANN), &json!(30))
    );
    assert_eq!(made["overrides"], json!({"limits": {"user-day": {"tokens": "1M"}}}));
    assert_eq!(
        (&made["isActive"], &made["configVersion"], &made["updatedBy"]),
        (&json!(true), &json!(1), &json!("cli"))
    );
    let changed = shell.json(&format!("set user {ANN} --priority 7 --until 2h --note thesis"), "");
    assert_eq!((&changed["priority"], &changed["configVersion"]), (&json!(7), &json!(2)));
    assert_eq!(changed["expiresAt"], "2026-11-22T11:00:00Z");
    assert_eq!(changed["overrides"], made["overrides"], "what is not named stays");
    let off = shell.json(&format!("disable user {ANN}"), "");
    assert_eq!((&off["isActive"], &off["configVersion"]), (&json!(false), &json!(3)));
    let (exit, table, _) = shell.run("list", "");
    assert_eq!(exit, Exit::Ok);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    for column in ["PRIORITY", "STATE", "CHANGED", "NOTE"] {
        assert!(lines[0].contains(column), "{table}");
    }
    assert!(lines[1].contains(" off ") && lines[1].ends_with("thesis"), "{table}");
    let on = shell.json(&format!("enable user {ANN} --if-version 3"), "");
    assert_eq!((&on["isActive"], &on["configVersion"]), (&json!(true), &json!(4)));
    let (exit, out, _) = shell.run(&format!("remove user {ANN}"), "");
    assert_eq!((exit, out), (Exit::Ok, format!("removed the override of the user {ANN}\n")));
    assert_eq!(shell.json("list", ""), json!([]));

    let told = shell.told();
    let actions: Vec<_> = told.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["overrides.set", "overrides.set", "overrides.set", "overrides.set", "overrides.removed"]);
    for (event, (before, after)) in
        told.iter().zip([(None, Some(1)), (Some(1), Some(2)), (Some(2), Some(3)), (Some(3), Some(4)), (Some(4), None)])
    {
        assert_eq!(
            (&event["category"], &event["actor"], &event["userId"]),
            (&json!("ADMIN"), &json!("cli"), &json!(ANN))
        );
        assert_eq!(event["about"]["principal"], json!({"type": "user", "id": ANN}));
        assert_eq!(event["about"]["before"]["configVersion"].as_u64(), before, "{event}");
        assert_eq!(event["about"]["after"]["configVersion"].as_u64(), after, "{event}");
    }
    assert_eq!(told[0]["about"]["after"]["overrides"], r#"{"limits":{"user-day":{"tokens":"1M"}}}"#);
}

#[test]
fn what_changes_nothing_is_neither_written_nor_told() {
    let shell = Shell::new();
    let text = "{ tools: { deny: [b], allow: [a] } }";
    shell.json("set group staff --file -", text);
    let again = shell.json("set group staff --file -", "tools:\n  allow: [a]\n  deny: [b]\n");
    assert_eq!(again["configVersion"], 1);
    assert_eq!(shell.told().len(), 1);
}

#[test]
fn a_change_that_was_not_seen_is_not_overwritten() {
    let shell = Shell::new();
    shell.json("set group staff --file - --if-version 0", "{ unrestricted: true }");
    shell.json("set group staff --priority 3 --if-version 1", "");
    let (exit, _, err) = shell.run("set group staff --priority 4 --if-version 1", "");
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("has version 2, not 1"), "{err}");
    let (exit, _, err) = shell.run("remove group staff --if-version 1", "");
    assert!(exit == Exit::Failed && err.contains("has version 2, not 1"), "{err}");
    assert_eq!(shell.json("show group staff", "")["priority"], 3);
}

#[test]
fn faults_are_told_with_their_lines_and_nothing_is_written() {
    let shell = Shell::new();
    let text = "limits:\n  all-day: { tokens: 1 }\nendpoints:\n  openai: { models: [x] }\n";
    for line in ["set user ann@example.edu --file -", "check user ann@example.edu --file -"] {
        let (exit, _, err) = shell.run(line, text);
        assert_eq!(exit, Exit::Usage, "{err}");
        assert!(err.contains("standard input:2:3") && err.contains("all of the role USER share"), "{err}");
        assert!(err.contains("standard input:4:3") && err.contains("openAI"), "{err}");
    }
    assert_eq!((shell.json("list", ""), shell.told().len()), (json!([]), 0));
    assert_eq!(shell.run("check user ann@example.edu --file -", "{ unrestricted: true }").0, Exit::Ok);
}

#[test]
fn all_overrides_are_checked_against_files_that_have_changed() {
    let shell = Shell::new();
    shell.json("set role USER --file -", "{ limits: { all-day: { tokens: 6M } } }");
    assert_eq!(shell.run("check", "").0, Exit::Ok);
    fs::write(shell.dir.path().join("policy.yaml"), "version: 1\n").unwrap();
    let (exit, _, err) = shell.run("check", "");
    assert_eq!(exit, Exit::Usage);
    assert!(
        err.contains("role USER:1:") && err.contains("limit-without-window") || err.contains("for how long"),
        "{err}"
    );
    // What cannot count is still switched off and removed, also where nobody can read the files.
    fs::write(shell.dir.path().join("policy.yaml"), "bad: [\n").unwrap();
    assert_eq!(shell.run("enable role USER", "").0, Exit::Usage);
    assert_eq!(shell.run("disable role USER", "").0, Exit::Ok);
    assert_eq!(shell.run("remove role USER", "").0, Exit::Ok);
}

#[test]
fn whoever_is_not_there_is_not_guessed() {
    let shell = Shell::new();
    for (line, exit, told) in [
        ("set user bob@example.edu --file -", Exit::Failed, "nobody in the directory has the address"),
        ("set user bob --file -", Exit::Usage, "24 hex digits"),
        ("set role USER --priority 3", Exit::Failed, "there is no override for the role USER"),
        ("show group staff", Exit::Failed, "there is no override for the group staff"),
        ("remove group staff", Exit::Failed, "there is no override for the group staff"),
        ("set role USER --file - --until 2026-11-21", Exit::Usage, "in the past"),
        ("set role USER --file - --until soon", Exit::Usage, "no moment"),
        ("set role USER --file nowhere.yaml", Exit::Usage, "nowhere.yaml cannot be read"),
    ] {
        let (found, _, err) = shell.run(line, "{ unrestricted: true }");
        assert!(found == exit && err.contains(told), "{line}: {found:?} {err}");
    }
    assert_eq!(shell.told().len(), 0);
}
