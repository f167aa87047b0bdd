use clap::Parser;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::cli::record::Terminal;
use crate::clock::Clock;
use crate::config::Environment;
use crate::lifecycle::House;
use crate::record::Kind;
use crate::store::{Filter, Ledger};

const ANN: &str = "6b012e4109cc968f8a928bce";
const BOB: &str = "6b012e4109cc968f8a928bc1";

#[derive(Debug, Parser)]
struct Tollgate {
    #[command(flatten)]
    users: Args,
}

/// A directory of people and what the command printed last.
struct Shell {
    dir: tempfile::TempDir,
}

/// Exit code, standard output, standard error.
type Printed = (Exit, String, String);

const DONE: Exit = Exit::Ok;
const FAILED: Exit = Exit::Failed;

impl Shell {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn users(&self, line: &str) -> Printed {
        run_args(&self.parse(line).unwrap(), &Environment::of([]))
    }

    /// What the record tells, the newest last: action, whom it was done to, and what.
    fn told(&self) -> Vec<(String, String, Value)> {
        let store = Embedded::open(&self.dir.path().join("data")).unwrap();
        let house = House::open().unwrap();
        let filter = Filter { kinds: vec![Kind::Audit], ..Filter::default() };
        let kept = house.wait_for(store.find(&filter, None, 99)).unwrap().lines;
        house.close();
        let mut events: Vec<Value> = kept.iter().map(|line| serde_json::from_str(&line.text).unwrap()).collect();
        // Each stands behind the ends of the instances before it.
        events.retain(|event| event["action"] != "records.linked");
        events.sort_by_key(|event| event["_id"].to_string());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let members = |event: &Value| {
            assert_eq!((&event["actor"], &event["category"]), (&json!("cli"), &json!("ADMIN")), "{event}");
            (text(&event["action"]), text(&event["userId"]), event["about"].clone())
        };
        events.iter().map(members).collect()
    }

    fn parse(&self, line: &str) -> Result<Args, clap::Error> {
        let data = self.dir.path().join("data");
        let words = ["users", "--data", data.to_str().unwrap()].into_iter().chain(line.split_whitespace());
        Tollgate::try_parse_from(words).map(|tollgate| tollgate.users)
    }
}

fn run_args(args: &Args, environment: &Environment) -> Printed {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(args, &mut desk(environment, &mut out, &mut err, &mut io::empty()));
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn desk<'a>(
    environment: &'a Environment,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    input: &'a mut dyn io::BufRead,
) -> Desk<'a> {
    let (terminal, clock) = (Terminal::default(), Clock::manual(Timestamp::UNIX_EPOCH));
    Desk { environment, out, err, input, terminal, clock, zone: TimeZone::UTC }
}

fn done(out: &str) -> Printed {
    (DONE, out.to_owned(), String::new())
}

#[test]
fn people_are_listed_in_columns_that_line_up() {
    let shell = Shell::new();
    shell.users(&format!("set {ANN} --email Ann@Example.EDU --role USER --group premium --group a --group a"));
    shell.users(&format!("set {BOB} --role ADMINISTRATOR"));
    let expected = "\
ID                        EMAIL            ROLE           GROUPS
6b012e4109cc968f8a928bce  ann@example.edu  USER           a, premium
6b012e4109cc968f8a928bc1  -                ADMINISTRATOR  -
";
    assert_eq!(shell.users("list"), done(expected));
}

#[test]
fn an_empty_list_says_what_to_do() {
    let shell = Shell::new();
    shell.users(&format!("set {ANN}"));
    shell.users(&format!("remove {ANN}"));
    let (code, out, _) = shell.users("list");
    assert_eq!(code, DONE);
    assert!(out.contains("tollgate users set --help"), "{out}");
    assert_eq!(shell.users("list --format json"), done("[]\n"));
}

#[test]
fn only_set_makes_a_store() {
    let shell = Shell::new();
    for line in ["list".to_owned(), format!("show {ANN}"), format!("remove {ANN}")] {
        let (code, _, err) = shell.users(&line);
        assert_eq!(code, FAILED, "{line}");
        assert!(err.contains("there is no store in ") && err.contains("--data"), "{err}");
        assert!(!shell.dir.path().join("data").exists(), "{line} made the directory");
    }
}

#[test]
fn set_changes_what_is_named_and_nothing_else() {
    let shell = Shell::new();
    let person = |line: &str| {
        let (code, out, err) = shell.users(&format!("--format json {line}"));
        assert_eq!((code, err.as_str()), (DONE, ""), "{line}");
        let person: Value = serde_json::from_str(&out).unwrap();
        (person["email"].clone(), person["role"].clone(), person["groups"].clone())
    };
    let set = format!("set {ANN}");
    assert_eq!(person(&format!("{set} --role USER")), (Value::Null, "USER".into(), json!([])));
    assert_eq!(person(&format!("{set} --group g")), (Value::Null, "USER".into(), json!(["g"])));
    assert_eq!(person(&format!("{set} --email a@b.c")), ("a@b.c".into(), "USER".into(), json!(["g"])));
    assert_eq!(person(&format!("{set} --group h")), ("a@b.c".into(), "USER".into(), json!(["h"])));
    assert_eq!(person(&format!("{set} --no-groups")), ("a@b.c".into(), "USER".into(), json!([])));
    assert_eq!(person(&format!("show {}", ANN.to_uppercase())), ("a@b.c".into(), "USER".into(), json!([])));
}

#[test]
fn an_account_at_an_identity_provider_is_given_and_taken_away() {
    let shell = Shell::new();
    let idp = "--issuer https://idp.example.edu/ --subject 3f2a9c";
    let (code, out, _) = shell.users(&format!("set {ANN} --role USER {idp}"));
    assert_eq!(code, DONE);
    assert!(out.ends_with("\naccount 3f2a9c of https://idp.example.edu\n"), "{out}");
    let shown = |line: &str| serde_json::from_str::<Value>(&shell.users(&format!("{line} --format json")).1).unwrap();
    let account = json!({"issuer": "https://idp.example.edu", "subject": "3f2a9c"});
    assert_eq!(shown(&format!("set {ANN} --role ADMIN"))["account"], account, "what is not named stays");
    let (code, _, err) = shell.users(&format!("set {BOB} {idp}"));
    assert_eq!(code, FAILED);
    assert!(err.contains(&format!("the person with the id {ANN} has this account")), "{err}");
    assert_eq!(shown(&format!("set {ANN} --no-account")).get("account"), None);
    assert_eq!(shown(&format!("set {BOB} {idp}"))["account"], account);
    for line in
        [format!("set {ANN} --issuer x"), format!("set {ANN} --subject x"), format!("set {ANN} {idp} --no-account")]
    {
        assert!(shell.parse(&line).is_err(), "{line}");
    }
}

#[test]
fn who_is_removed_is_nobody() {
    let shell = Shell::new();
    shell.users(&format!("set {ANN}"));
    assert_eq!(shell.users(&format!("remove {ANN}")), done(&format!("removed {ANN}\n")));
    for line in [format!("remove {ANN}"), format!("show {ANN}")] {
        let (code, out, err) = shell.users(&line);
        assert_eq!((code, out.as_str()), (FAILED, ""), "{line}");
        assert!(err.starts_with(&format!("error: nobody has the id {ANN}")), "{err}");
    }
}

#[test]
fn wrong_arguments_are_refused_with_the_reason() {
    let shell = Shell::new();
    let too_long = format!("show {ANN}0");
    for (line, reason) in [
        ("show ann", "has 24 hex digits"),
        (&*too_long, "has 24 hex digits"),
        ("set 6b012e4109cc968f8a928bce --role=", "must not be empty"),
        ("set 6b012e4109cc968f8a928bce --group a --no-groups", "cannot be used with"),
        ("set", "required arguments were not provided"),
        ("list --format yaml", "possible values: human, json"),
    ] {
        let error = shell.parse(line).unwrap_err().to_string();
        assert!(error.contains(reason), "{line}: {error}");
    }
    assert!(name(" USER").is_err() && name("a\tb").is_err() && name("a b").is_ok());
}

#[test]
fn a_store_that_fails_is_named() {
    let shell = Shell::new();
    std::fs::write(shell.dir.path().join("data"), "a file where a directory should be").unwrap();
    let (code, _, err) = shell.users(&format!("set {ANN}"));
    assert_eq!(code, FAILED);
    assert!(err.starts_with("error: embedded: ") && err.contains("the directory cannot be made"), "{err}");
}

#[test]
fn with_librechats_directory_configured_a_note_says_that_these_people_are_not_used() {
    let shell = Shell::new();
    shell.users(&format!("set {ANN}"));
    let environment = Environment::of([("MONGO_URI", "mongodb://127.0.0.1/LibreChat")]);
    let (code, _, err) = run_args(&shell.parse("list").unwrap(), &environment);
    assert_eq!(code, DONE);
    assert!(err.starts_with("note: MongoDB is configured"), "{err}");
}

#[test]
fn a_reader_that_has_heard_enough_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let shell = Shell::new();
    shell.users(&format!("set {ANN}"));
    let environment = Environment::of([]);
    let ended =
        run(&shell.parse("list").unwrap(), &mut desk(&environment, &mut Closed, &mut Vec::new(), &mut io::empty()));
    assert_eq!(ended, DONE);
}

#[test]
fn the_help_has_examples() {
    let help = Tollgate::try_parse_from(["users", "--help"]).unwrap_err().to_string();
    assert!(help.contains("tollgate users set 6b012e4109cc968f8a928bce --email"), "{help}");
}

#[test]
fn each_change_is_told_by_what_may_be_done_and_not_by_addresses() {
    let shell = Shell::new();
    let idp = "--issuer https://idp.example.edu/ --subject 3f2a9c";
    for line in [
        format!("set {ANN} --email ann@example.edu --role USER --group b --group a"),
        format!("set {ANN} --role USER"),
        format!("set {ANN} --role ADMIN --no-groups"),
        format!("set {ANN} --email ann@lab.test {idp}"),
        format!("set {ANN} {idp}"),
        format!("set {ANN} --no-account"),
        format!("set {BOB}"),
        format!("remove {ANN}"),
    ] {
        assert_eq!(shell.users(&line).0, DONE, "{line}");
    }
    let user = json!({"groups": ["a", "b"], "role": "USER"});
    let admin = json!({"groups": [], "role": "ADMIN"});
    let told = |action: &str, user: &str, about: Value| (action.to_owned(), user.to_owned(), about);
    let expected = [
        told("users.set", ANN, json!({"changed": ["email", "role", "groups"], "after": user})),
        told("users.set", ANN, json!({"changed": ["role", "groups"], "before": user, "after": admin})),
        told("users.set", ANN, json!({"changed": ["email", "account"], "before": admin, "after": admin})),
        told("users.set", ANN, json!({"changed": ["account"], "before": admin, "after": admin})),
        told("users.set", BOB, json!({"changed": [], "after": {"groups": []}})),
        told("users.removed", ANN, json!({"before": admin})),
    ];
    assert_eq!(shell.told(), expected, "what changes nothing is not told");
    for word in ["ann@", "idp.example.edu", "3f2a9c"] {
        assert!(!format!("{:?}", shell.told()).contains(word), "{word}");
    }
}

#[test]
fn a_change_that_fails_is_taken_back() {
    let shell = Shell::new();
    let idp = "--issuer https://idp.example.edu --subject 3f2a9c";
    assert_eq!(shell.users(&format!("set {ANN} {idp}")).0, DONE);
    assert_eq!(shell.users(&format!("set {BOB} {idp}")).0, FAILED);
    let [_, (_, second, about), (action, third, back)] = &shell.told()[..] else { panic!("{:?}", shell.told()) };
    assert_eq!((&**second, &**third, &**action), (BOB, BOB, "users.set"));
    assert_eq!(about["changed"], json!(["account"]));
    assert!(back["failed"].is_string() && back.as_object().unwrap().len() == 1, "{back}");
}

#[test]
fn without_a_record_nothing_is_changed() {
    let shell = Shell::new();
    assert_eq!(shell.users(&format!("set {ANN} --role USER")).0, DONE);
    let records = shell.dir.path().join("data/records");
    std::fs::write(records.join("signing.key"), "no key").unwrap();
    let missing = records.join("other.key");
    let other = format!("--signing-key {}", missing.display());
    for (line, why) in [
        (format!("set {ANN} --role ADMIN"), "is no signing key"),
        (format!("set {BOB}"), "is no signing key"),
        (format!("remove {ANN}"), "is no signing key"),
        (format!("set {ANN} --role ADMIN {other}"), "there is no signing key"),
        (format!("remove {ANN} {other}"), "there is no signing key"),
    ] {
        let (code, out, err) = shell.users(&line);
        assert_eq!((code, out.as_str()), (FAILED, ""), "{line}");
        assert!(err.starts_with("error: nothing was changed, for the record cannot tell of it: "), "{line}: {err}");
        assert!(err.contains(why), "{line}: {err}");
    }
    assert!(!missing.exists(), "a key that is named is not made");
    let people: Value = serde_json::from_str(&shell.users("list --format json").1).unwrap();
    assert_eq!(people, json!([{"id": ANN, "email": null, "role": "USER", "groups": []}]));
    assert_eq!(shell.told().len(), 1);
}

/// Settings that name no store leave nobody who could be told.
#[test]
fn where_the_record_is_no_store_one_has_to_be_named() {
    let shell = Shell::new();
    let data = shell.dir.path().join("data");
    let environment = Environment::of([("TOLLGATE_RECORDS", "stdout"), ("TOLLGATE_DATA", data.to_str().unwrap())]);
    let users = |line: &str| {
        let words = ["users"].into_iter().chain(line.split_whitespace());
        run_args(&Tollgate::try_parse_from(words).unwrap().users, &environment)
    };
    std::fs::create_dir_all(data.join("records")).unwrap();
    crate::record::heads::Signer::open_or_make(&data.join("records/signing.key")).unwrap();
    let (code, _, err) = users(&format!("set {ANN} --role USER"));
    assert_eq!(code, Exit::Usage, "{err}");
    assert!(err.contains("name one with --sink or --data"), "{err}");
    assert_eq!(users("list --format json").1, "[]\n");
    assert_eq!(users(&format!("set {ANN} --role USER --sink embedded")).0, DONE);
    assert_eq!(shell.told().len(), 1);
}
