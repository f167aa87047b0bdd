//! The commands that run and end: exit codes, help, faults.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const ID: &str = "6b012e4109cc968f8a928bce";

fn tollgate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
    command.output().expect("the tollgate program")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_arguments_end_with_64_and_say_what_is_wrong() {
    for (arguments, told) in [
        (vec![], "Usage: tollgate <COMMAND>"),
        (vec!["nothing"], "unrecognized subcommand 'nothing'"),
        (vec!["check"], "--policies <DIR>"),
        (vec!["check", "--nothing"], "unexpected argument '--nothing'"),
        (vec!["check", "--policies", "policies/demo", "--format", "xml"], "invalid value 'xml'"),
        (vec!["test"], "--policies <DIR>"),
        (vec!["test", "--policies", "policies/demo", "--require-coverage", "--filter", "x"], "cannot be used with"),
        (vec!["serve", "--nothing"], "unexpected argument '--nothing'"),
        (vec!["demo", "--listen", "here"], "invalid value 'here'"),
        (vec!["explain", "--policies", "policies/demo", "--model", "o1"], "--endpoint"),
        (vec!["schema", "nothing"], "invalid value 'nothing'"),
        (vec!["migrate", "librechat.yaml"], "--to <DIR>"),
        (vec!["doctor", "--show-claims"], "--token <FILE>"),
        (vec!["users"], "Usage: tollgate users"),
        (vec!["users", "show", "me"], "24 hex digits"),
        (vec!["overrides"], "Usage: tollgate overrides"),
        (vec!["overrides", "set", "person", ID], "invalid value 'person'"),
        (vec!["overrides", "check", "user", ID], "--file"),
        (vec!["users", "set", ID, "--role", " USER"], "blank"),
        (vec!["users", "set", ID, "--group", "a", "--no-groups"], "cannot be used with"),
    ] {
        let ended = tollgate(&arguments);
        assert_eq!(ended.status.code(), Some(64), "{arguments:?}: {}", err(&ended));
        assert!(err(&ended).contains(told), "{arguments:?}: {}", err(&ended));
        assert_eq!(out(&ended), "", "{arguments:?}: standard output is for results");
    }
}

#[test]
fn every_command_has_help_with_examples_that_can_be_pasted() {
    for command in [
        "serve",
        "demo",
        "check",
        "explain",
        "test",
        "schema",
        "doctor",
        "migrate",
        "users",
        "overrides",
        "audit",
        "usage",
        "shadow",
    ] {
        let ended = tollgate(&[command, "--help"]);
        assert_eq!(ended.status.code(), Some(0), "{command}");
        let help = out(&ended);
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{command} has no examples:\n{help}"));
        let examples: Vec<_> = examples.lines().take_while(|line| !line.is_empty()).collect();
        assert!(!examples.is_empty(), "{command}");
        let mut goes_on = false;
        for line in examples {
            let starts = line.starts_with("  tollgate ") || line.starts_with("  JWT_SECRET=");
            assert!(starts || goes_on, "{command}: a line that was broken apart: {line}");
            goes_on = line.ends_with('\\');
        }
    }
    for arguments in [["users", "list", "--help"], ["users", "set", "--help"], ["users", "remove", "--help"]] {
        assert_eq!(tollgate(&arguments).status.code(), Some(0), "{arguments:?}");
    }
    let version = tollgate(&["--version"]);
    assert_eq!((version.status.code(), out(&version)), (Some(0), format!("tollgate {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn every_shipped_policy_is_free_of_faults() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let shipped = fs::read_dir(policies).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let mut count = 0;
    for entry in shipped {
        let ended = tollgate(&["check", "--policies", entry.path().to_str().unwrap()]);
        assert_eq!(ended.status.code(), Some(0), "{}: {}", entry.path().display(), err(&ended));
        assert!(out(&ended).starts_with("ok: "), "{}", out(&ended));
        count += 1;
    }
    assert!(count >= 5, "only {count} policies");
}

#[test]
fn schemas_are_printed_as_they_are_kept() {
    for (of, file) in [
        ("policy", "policies/policy.schema.json"),
        ("cases", "policies/cases.schema.json"),
        ("records", "docs/records.schema.json"),
    ] {
        let ended = tollgate(&["schema", of]);
        let kept = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a schema");
        assert_eq!((ended.status.code(), out(&ended)), (Some(0), kept), "{of}");
    }
}

#[test]
fn a_forks_file_becomes_a_policy_that_passes_check_and_test() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("a path").to_owned();
    let file = at("librechat.yaml");
    let fork = "version: 1.2.8\nbalance: { enabled: true }\nroles:\n  USER:\n    endpoints:\n      openAI: { models: [gpt-4o-mini, \"*\"] }\n      \
                google: { models: [] }\n      custom: { MindRoom: { models: [mindroom-basic] } }\n  ADMIN:\n\
                groups:\n  premium: { endpoints: { openAI: { models: [gpt-4o] } } }\n";
    fs::write(&file, fork).expect("a file");
    let ended = tollgate(&["migrate", &file, "--to", &at("new/policies")]);
    let told = out(&ended);
    assert_eq!(ended.status.code(), Some(0), "{told}{}", err(&ended));
    for part in [
        "2 roles, 1 group",
        "librechat.yaml:6: \"*\" is a name to the fork",
        "librechat.yaml:2: balance: LibreChat goes on",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let policies = at("new/policies");
    let checked = tollgate(&["check", "--policies", &policies]);
    assert_eq!((checked.status.code(), err(&checked)), (Some(0), String::new()), "{}", out(&checked));
    let tested = tollgate(&["test", "--policies", &policies]);
    assert_eq!(tested.status.code(), Some(0), "{}{}", out(&tested), err(&tested));
    for (group, model, code) in
        [("none", "gpt-4o-mini", 0), ("none", "gpt-4o", 2), ("premium", "gpt-4o", 0), ("premium", "gpt-4o-mini", 2)]
    {
        let asked = [
            "explain",
            "--policies",
            &policies,
            "--role",
            "USER",
            "--group",
            group,
            "--endpoint",
            "openAI",
            "--model",
            model,
        ];
        assert_eq!(tollgate(&asked).status.code(), Some(code), "{group} {model}");
    }
    let before = fs::read_to_string(dir.path().join("new/policies/policy.yaml")).expect("a policy");
    let again = tollgate(&["migrate", &file, "--to", &policies]);
    assert_eq!(again.status.code(), Some(64), "{}", err(&again));
    assert!(err(&again).contains("is there already"), "{}", err(&again));
    assert_eq!(fs::read_to_string(dir.path().join("new/policies/policy.yaml")).expect("a policy"), before);
    fs::write(&file, "apiKey: sk-hidden\nroles: { USER: { endpoints: { openai: { models: [a] } } } }\n")
        .expect("a file");
    let bad = tollgate(&["migrate", &file, "--to", &at("other")]);
    assert_eq!(bad.status.code(), Some(64));
    assert!(err(&bad).contains("librechat.yaml:2") && !err(&bad).contains("sk-hidden"), "{}", err(&bad));
    assert!(!dir.path().join("other").exists(), "nothing is written");
}

#[test]
fn the_cases_of_every_shipped_policy_hold() {
    for name in ["budget", "classroom", "company", "demo", "observe-only", "university"] {
        let policies = format!("policies/{name}");
        let ended = tollgate(&["test", "--policies", &policies, "--require-coverage"]);
        assert_eq!((ended.status.code(), err(&ended).as_str()), (Some(0), ""), "{name}:\n{}", out(&ended));
        assert!(out(&ended).contains(" decided by a case, 100 %\n\nok: "), "{}", out(&ended));
        let checked = tollgate(&["check", "--policies", &policies]);
        let told = format!("1 file with cases beside it, which were not run: tollgate test --policies {policies}\n");
        assert!(out(&checked).ends_with(&told), "{}", out(&checked));
    }
}

/// A policy whose cases fail, or cannot be read, is not served, in the words of `tollgate test`.
#[test]
fn nothing_is_served_with_a_policy_whose_cases_fail() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    fs::write(policies.join("p.yaml"), "version: 1\nroles: { USER: { endpoints: { openAI: { models: [a] } } } }\n")
        .unwrap();
    let cases = policies.join("p.test.yaml");
    let case = |verdict| {
        format!("version: 1\ncases: [{{ name: Who asks for b, caller: {{}}, asks: openAI|b, expect: {verdict} }}]\n")
    };
    // If the policy were taken, the port would not be had, and the program would end with 1.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let serve = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.env_clear().env("JWT_SECRET", "a-secret-of-enough-length-for-tests").current_dir(dir.path());
        command.args(["serve", "--upstream", "http://127.0.0.1:9", "--listen", &listen, "--policies"]).arg(&policies);
        command.output().unwrap()
    };
    fs::write(&cases, case("allow")).unwrap();
    let (served, tested) = (serve(), tollgate(&["test", "--policies", policies.to_str().unwrap()]));
    assert_eq!((served.status.code(), tested.status.code()), (Some(64), Some(1)), "{}", err(&served));
    let (failure, _) =
        out(&tested).split_once("\n\n").map(|(failure, rest)| (failure.to_owned(), rest.to_owned())).unwrap();
    assert!(failure.starts_with("FAILED  Who asks for b\n") && failure.contains("roles.USER.endpoints.openAI.models"));
    assert_eq!(err(&served), format!("{failure}\n\ntollgate: 1 case fails of the policy, which is not used\n"));

    fs::write(&cases, "version: 1\n").unwrap();
    let served = serve();
    assert_eq!(served.status.code(), Some(64));
    assert!(err(&served).contains("error[no-cases]: the file has no case"), "{}", err(&served));

    fs::write(&cases, case("deny")).unwrap();
    let served = serve();
    assert_eq!(served.status.code(), Some(1), "{}", err(&served));
    assert!(err(&served).contains(&listen), "the port is taken: {}", err(&served));
}

#[test]
fn check_tells_every_fault_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    fs::write(
        &file,
        "version: 1\nmode: enfroce\nroles:\n  USER:\n    endpoints: { openAI: { models: [] , deny: [1] } }\n    x: 1\n",
    )
    .unwrap();
    let ended = tollgate(&["check", "--policies", dir.path().to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(64));
    assert_eq!(out(&ended), "");
    for place in ["policy.yaml:2:", "policy.yaml:6:"] {
        assert!(err(&ended).contains(place), "{place}:\n{}", err(&ended));
    }
    let ended = tollgate(&["check", "--format", "json", "--policies", dir.path().to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(64));
    let told: Value = serde_json::from_str(&out(&ended)).unwrap();
    assert!(told["policy"].is_null());
    let lines: Vec<_> = told["faults"].as_array().unwrap().iter().map(|fault| fault["line"].clone()).collect();
    assert!(lines.contains(&json!(2)) && lines.contains(&json!(6)), "{told}");
    let nowhere = tollgate(&["check", "--policies", "no/such/directory"]);
    assert_eq!(nowhere.status.code(), Some(64));
    assert!(err(&nowhere).contains("no/such/directory"), "{}", err(&nowhere));
}

#[test]
fn explain_ends_with_2_for_a_model_that_is_denied() {
    let ask = |more: &[&str]| {
        let mut arguments = vec!["explain", "--policies", "policies/demo", "--endpoint", "openAI", "--model", "gpt-4o"];
        arguments.extend_from_slice(more);
        tollgate(&arguments)
    };
    for (more, code) in [
        (&["--role", "USER"][..], 2),
        (&["--role", "USER", "--group", "premium-openai"], 0),
        (&["--role", "ADMIN"], 0),
        (&["--role", "NOBODY"], 2),
    ] {
        let ended = ask(more);
        assert_eq!(ended.status.code(), Some(code), "{more:?}: {}", err(&ended));
        assert!(out(&ended).contains("gpt-4o"), "{more:?}: {}", out(&ended));
        let mut as_json = more.to_vec();
        as_json.extend(["--format", "json"]);
        let ended = ask(&as_json);
        assert_eq!(ended.status.code(), Some(code), "{more:?}");
        let told: Value = serde_json::from_str(&out(&ended)).unwrap();
        assert!(told["answer"].is_object(), "{told}");
    }
    let all = tollgate(&["explain", "--policies", "policies/demo"]);
    assert_eq!(all.status.code(), Some(0));
    assert!(out(&all).contains("gpt-4o-mini"), "{}", out(&all));
    let broken = tollgate(&["explain", "--policies", "no/such/directory"]);
    assert_eq!(broken.status.code(), Some(64));
}

#[test]
fn people_are_kept_shown_changed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let users = |arguments: &[&str]| {
        let mut all = vec!["users", "--data", data];
        all.extend_from_slice(arguments);
        tollgate(&all)
    };
    let missing = users(&["list"]);
    assert_eq!(missing.status.code(), Some(1), "a mistyped directory is no empty store");
    assert!(err(&missing).contains("there is no store in"), "{}", err(&missing));
    assert!(!Path::new(data).exists(), "and it is not made");
    let set = users(&[
        "set",
        ID,
        "--email",
        "Ann@Example.EDU",
        "--role",
        "USER",
        "--group",
        "b",
        "--group",
        "a",
        "--format",
        "json",
    ]);
    assert_eq!(set.status.code(), Some(0), "{}", err(&set));
    let ann = json!({"id": ID, "email": "ann@example.edu", "role": "USER", "groups": ["a", "b"]});
    assert_eq!(serde_json::from_str::<Value>(&out(&set)).unwrap(), ann);
    let list = users(&["list", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&out(&list)).unwrap(), json!([ann]));
    assert_eq!(users(&["set", ID, "--no-groups"]).status.code(), Some(0));
    let shown = users(&["show", &ID.to_uppercase(), "--format", "json"]);
    let shown: Value = serde_json::from_str(&out(&shown)).unwrap();
    assert_eq!((&shown["role"], &shown["groups"]), (&json!("USER"), &json!([])), "what is not named stays");
    assert!(out(&users(&["list"])).contains("ann@example.edu"));
    assert_eq!(users(&["remove", ID]).status.code(), Some(0));
    for arguments in [["remove", ID], ["show", ID]] {
        let nobody = users(&arguments);
        assert_eq!(nobody.status.code(), Some(1), "{arguments:?}");
        assert!(err(&nobody).contains("nobody has the id"), "{}", err(&nobody));
    }
}
