use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

const POLICY: &str = "version: 1
roles:
  USER:
    endpoints: { openAI: { models: [small] } }
    limits: [{ id: day, requests: 5, per: user, window: day }]
  ADMIN: { unrestricted: true }
";

const CASES: &str = "version: 1
now: 2026-11-23T09:00:00Z
callers: { ann: { role: USER } }
cases:
  - { name: Small, caller: ann, asks: openAI|small, expect: allow }
  - { name: Big, caller: ann, asks: openAI|big, expect: deny }
  - { name: Used up, caller: ann, asks: openAI|small, used: { day: 5 }, expect: limit }
";

fn run_with(files: &[(&str, &str)], arguments: &[&str]) -> (Exit, String, String) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let cli = Cli::try_parse_from(["test", "--policies", path].iter().chain(arguments)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(&cli.args, &Environment::default(), &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(path, "DIR");
    (exit, text(out), text(err))
}

#[test]
fn cases_that_hold_are_one_line() {
    let (exit, out, err) = run_with(&[("p.yaml", POLICY), ("p.test.yaml", CASES)], &[]);
    assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Ok, "ok: 3 cases in 1 file hold\n", ""));
}

#[test]
fn no_case_file_is_no_fault() {
    let (exit, out, err) = run_with(&[("p.yaml", POLICY)], &[]);
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""));
    assert_eq!(out, "no cases: write them into a file *.test.yaml beside the policy\n");
    // But no rule is decided then.
    assert_eq!(run_with(&[("p.yaml", POLICY)], &["--require-coverage"]).0, Exit::Failed);
}

#[test]
fn a_case_that_fails_is_shown_and_ends_with_1() {
    let wrong = CASES.replace("openAI|big, expect: deny", "openAI|big, expect: allow");
    let (exit, out, err) = run_with(&[("p.yaml", POLICY), ("p.test.yaml", &wrong)], &[]);
    assert_eq!((exit, err.as_str()), (Exit::Failed, ""));
    let expected = "\
FAILED  Big
  DIR/p.test.yaml:6:13
  asked      openAI|big by ann (role USER), at 2026-11-23T09:00:00+00:00
             expected  got
! verdict    allow     deny
  rule       any       roles.USER.endpoints.openAI.models
  resets at  any       none
  see        tollgate explain --policies DIR --role USER --endpoint openAI --model big

1 case fails, of 3 cases in 1 file
";
    assert_eq!(out, expected);
}

#[test]
fn faults_end_with_64_and_stand_on_standard_error() {
    let (exit, out, err) = run_with(&[("p.yaml", POLICY), ("p.test.yaml", "version: 1\ncases: [{}]\n")], &[]);
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    assert!(err.contains("error[missing-key]") && err.contains("p.test.yaml:2:9"), "{err}");
    let (exit, _, err) = run_with(&[("p.yaml", "version: 1\nrols: {}\n"), ("p.test.yaml", CASES)], &[]);
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("error[unknown-key]"), "{err}");
}

#[test]
fn a_filter_chooses_by_name_and_must_meet_a_case() {
    let files = [("p.yaml", POLICY), ("p.test.yaml", &*CASES.replace("big, expect: deny", "big, expect: allow"))];
    let (exit, out, _) = run_with(&files, &["--filter", "SMALL"]);
    assert_eq!((exit, out.as_str()), (Exit::Ok, "ok: 1 case in 1 file holds\n"));
    let (exit, out, _) = run_with(&files, &["--filter", "smal1"]);
    assert_eq!((exit, out.as_str()), (Exit::Usage, "no case has this text in its name\n"));
}

#[test]
fn coverage_names_what_no_case_decides() {
    let files = [("p.yaml", POLICY), ("p.test.yaml", CASES)];
    let (exit, out, _) = run_with(&files, &["--coverage"]);
    let expected = "\
RULE                                WRITTEN AT       CASES
roles.USER.endpoints.openAI.models  DIR/p.yaml:4:28      2
roles.USER.limits.day               DIR/p.yaml:5:20      1
roles.ADMIN.unrestricted            DIR/p.yaml:6:26   none
2 of 3 rules decided by a case, 66 %

ok: 3 cases in 1 file hold
";
    let widths = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!((exit, widths(&out)), (Exit::Ok, widths(expected)));
    let (exit, out, _) = run_with(&files, &["--require-coverage"]);
    assert_eq!((exit, widths(&out)), (Exit::Failed, widths(expected)));

    let more = format!("{CASES}  - {{ name: Admin, caller: {{ role: ADMIN }}, asks: a|b, expect: allow }}\n");
    let (exit, out, _) = run_with(&[("p.yaml", POLICY), ("p.test.yaml", &more)], &["--require-coverage"]);
    assert_eq!(exit, Exit::Ok);
    assert!(out.contains("3 of 3 rules decided by a case, 100 %"), "{out}");
}

#[test]
fn json_has_every_case_with_what_came_out() {
    let wrong = CASES.replace("openAI|big, expect: deny", "openAI|big, expect: allow");
    let files = [("p.yaml", POLICY), ("p.test.yaml", &*wrong)];
    let (exit, out, err) = run_with(&files, &["--format", "json", "--coverage"]);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, err.as_str()), (Exit::Failed, ""));
    assert_eq!(value["summary"], json!({ "files": 1, "cases": 3, "hold": 2, "fail": 1 }));
    assert_eq!(value["faults"], json!([]));
    let big = &value["cases"][1];
    assert_eq!((&big["name"], &big["holds"], &big["line"]), (&json!("Big"), &json!(false), &json!(6)));
    assert_eq!(big["rows"][0], json!({ "what": "verdict", "expected": "allow", "got": "deny", "differs": true }));
    assert_eq!(
        value["coverage"][2],
        json!({ "rule": "roles.ADMIN.unrestricted", "file": "DIR/p.yaml", "line": 6, "cases": 0 })
    );

    let (exit, out, _) = run_with(&[("p.yaml", POLICY), ("p.test.yaml", "version: 1\n")], &["--format", "json"]);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(exit, Exit::Usage);
    assert_eq!((&value["cases"], &value["coverage"], &value["summary"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(value["faults"][0]["code"], "no-cases");
}
