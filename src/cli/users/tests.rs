use clap::Parser;

use super::*;

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
type Printed = (u8, String, String);

impl Shell {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn users(&self, line: &str) -> Printed {
        run_args(&self.parse(line).unwrap())
    }

    fn parse(&self, line: &str) -> Result<Args, clap::Error> {
        let data = self.dir.path().join("data");
        let words = ["users", "--data", data.to_str().unwrap()].into_iter().chain(line.split_whitespace());
        Tollgate::try_parse_from(words).map(|tollgate| tollgate.users)
    }
}

fn run_args(args: &Args) -> Printed {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(args, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
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
    let args = Args { librechat_directory: true, ..shell.parse("list").unwrap() };
    let (code, _, err) = run_args(&args);
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
    assert_eq!(run(&shell.parse("list").unwrap(), &mut Closed, &mut Vec::new()), DONE);
}

#[test]
fn the_help_has_examples() {
    let help = Tollgate::try_parse_from(["users", "--help"]).unwrap_err().to_string();
    assert!(help.contains("tollgate users set 6b012e4109cc968f8a928bce --email"), "{help}");
}
