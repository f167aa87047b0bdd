use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::files::name;
use super::*;
use crate::policy::codes;

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn codes_of(report: &Report) -> Vec<&'static str> {
    report.faults().iter().map(|fault| fault.code).collect()
}

#[test]
fn only_visible_yaml_files_belong_to_a_policy() {
    for (name, expected) in [
        ("a.yaml", true),
        ("a.yml", true),
        ("a.b.yaml", true),
        ("a.test.yaml", false),
        ("a.test.yml", false),
        (".a.yaml", false),
        (".yaml", false),
        ("a.yaml.bak", false),
        ("a.json", false),
        ("yaml", false),
    ] {
        assert_eq!(is_policy_file(name), expected, "{name}");
    }
}

#[test]
fn files_are_read_in_the_order_of_their_names() {
    let directory = directory(&[
        ("b.yml", "version: 1\nroles: {USER: {unrestricted: true}}\n"),
        ("a.yaml", "version: 1\n"),
        ("a.test.yaml", "not: a policy\n"),
        ("notes.txt", "no"),
        (".hidden.yaml", "no"),
    ]);
    let (sources, report) = read(directory.path());
    assert!(report.is_empty(), "{report}");
    let names: Vec<_> = sources.iter().map(|source| name(&source.path)).collect();
    assert_eq!(names, ["a.yaml", "b.yml"]);
    let (snapshot, warnings) = load(directory.path()).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!((snapshot.counts().files, snapshot.counts().roles), (2, 1));
}

#[test]
fn a_single_file_is_a_policy_too() {
    let directory = directory(&[("a.yaml", "version: 1\n"), ("b.yaml", "broken: true")]);
    let (snapshot, _) = load(&directory.path().join("a.yaml")).unwrap();
    assert_eq!(snapshot.counts().files, 1);
}

#[test]
fn an_empty_directory_is_a_fault_with_help() {
    let report = load(directory(&[("a.test.yaml", "")]).path()).unwrap_err();
    assert_eq!(codes_of(&report), [codes::NO_FILES]);
    assert!(report.faults()[0].help.as_deref().unwrap().contains("version: 1"));
}

#[test]
fn a_directory_of_policies_names_the_first_one() {
    let directory = directory(&[("demo/demo.yaml", "version: 1\n")]);
    let report = load(directory.path()).unwrap_err();
    assert_eq!(codes_of(&report), [codes::NO_FILES]);
    assert!(report.faults()[0].help.as_deref().unwrap().contains("demo?"), "{report}");
}

#[test]
fn a_sub_directory_beside_the_files_is_a_warning() {
    let directory = directory(&[("a.yaml", "version: 1\n"), ("sub/b.yaml", "version: 1\n"), ("other/readme.txt", "")]);
    let (_, warnings) = load(directory.path()).unwrap();
    assert_eq!(codes_of(&warnings), [codes::SUB_DIRECTORY]);
}

#[test]
fn what_cannot_be_read_is_a_fault_and_the_rest_is_still_checked() {
    let directory = directory(&[("b.yaml", "version: 1\nrols: {}\n")]);
    fs::write(directory.path().join("a.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let report = load(directory.path()).unwrap_err();
    assert_eq!(codes_of(&report), [codes::UNREADABLE, codes::UNKNOWN_KEY]);

    let report = load(&directory.path().join("missing")).unwrap_err();
    assert_eq!(report.faults()[0].message, "there is no such file or directory");
}

#[test]
fn a_file_that_is_too_large_is_one_fault_of_that_file() {
    let directory = directory(&[("b.yaml", "version: 1\nrols: {}\n")]);
    fs::File::create(directory.path().join("a.yaml")).unwrap().set_len(1 << 30).unwrap();
    let report = load(directory.path()).unwrap_err();
    assert_eq!(codes_of(&report), [codes::TOO_LARGE, codes::UNKNOWN_KEY]);
}

/// Nobody writes into the pipe, and nobody waits for that: neither who checks nor who serves.
#[cfg(unix)]
#[test]
fn a_named_pipe_is_a_fault_wherever_it_lies() {
    for (pipe, policies) in [("z.yaml", ""), ("z.test.yaml", ""), ("p.test.yaml", "p.yaml"), ("z.yaml", "z.yaml")] {
        let directory = directory(&[("p.yaml", USERS)]);
        let made = std::process::Command::new("mkfifo").arg(directory.path().join(pipe)).status();
        assert!(made.unwrap().success());
        let policies = directory.path().join(policies);
        let rejected = tested(&policies).unwrap_err();
        assert!(rejected.report.faults()[0].message.contains("not a regular file"), "{pipe}: {}", rejected.report);
        if !is_case_file(pipe) {
            assert!(codes_of(&load(&policies).unwrap_err()).contains(&codes::UNREADABLE), "{pipe}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_mounted_config_map_is_read_once() {
    use std::os::unix::fs::symlink;

    let directory = directory(&[("..2024_01_01/policy.yaml", "version: 1\nmode: shadow\n")]);
    symlink("..2024_01_01", directory.path().join("..data")).unwrap();
    symlink("..data/policy.yaml", directory.path().join("policy.yaml")).unwrap();
    let (snapshot, warnings) = load(directory.path()).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(snapshot.counts().files, 1);

    symlink("nowhere", directory.path().join("dangling.yaml")).unwrap();
    let report = load(directory.path()).unwrap_err();
    assert_eq!(codes_of(&report), [codes::UNREADABLE]);
}

const USERS: &str = "version: 1\nroles: { USER: { endpoints: { openAI: { models: [small] } } } }\n";

fn case(name: &str, model: &str, verdict: &str) -> String {
    format!("version: 1\ncases: [{{ name: {name}, caller: {{}}, asks: openAI|{model}, expect: {verdict} }}]\n")
}

fn tested(policies: &Path) -> Result<Tested, Rejected> {
    load_tested(policies, &UserDefaults::default())
}

#[test]
fn files_of_cases_are_told_by_their_names() {
    for (name, expected) in [
        ("a.test.yaml", true),
        ("a.b.test.yml", true),
        ("a.yaml", false),
        (".a.test.yaml", false),
        (".test.yaml", false),
        ("a.test", false),
        ("a.test.yaml~", false),
    ] {
        assert_eq!(is_case_file(name), expected, "{name}");
        assert!(!(is_case_file(name) && is_policy_file(name)), "{name}");
    }
}

#[test]
fn a_policy_is_taken_whose_cases_hold() {
    let (one, two) = (case("one", "small", "allow"), case("two", "big", "deny"));
    let directory =
        directory(&[("p.yaml", USERS), ("b.test.yml", &two), ("a.test.yaml", &one), (".c.test.yaml", "no")]);
    let tested = tested(directory.path()).unwrap_or_else(|rejected| panic!("{rejected:?}"));
    let names: Vec<_> = tested.run.tried.iter().map(|tried| tried.case.name.to_string()).collect();
    assert_eq!((names, tested.run.files), (vec!["one".to_owned(), "two".to_owned()], 2));
    assert_eq!(tested.policy.counts().files, 1);
}

#[test]
fn a_policy_without_cases_is_taken() {
    let directory = directory(&[("p.yaml", USERS)]);
    let tested = tested(directory.path()).unwrap_or_else(|rejected| panic!("{rejected:?}"));
    assert_eq!((tested.run.files, tested.run.tried.len()), (0, 0));
}

#[test]
fn a_policy_whose_cases_fail_is_not_to_be_had() {
    let (one, two) = (case("one", "small", "allow"), case("two", "big", "allow"));
    let directory = directory(&[("p.yaml", USERS), ("a.test.yaml", &one), ("b.test.yaml", &two)]);
    let rejected = tested(directory.path()).unwrap_err();
    assert!(rejected.report.is_empty(), "{}", rejected.report);
    let failing: Vec<_> = rejected.run.failures().map(|tried| tried.case.name.to_string()).collect();
    assert_eq!(failing, ["two"]);
    let text = rejected.render_human(false, directory.path());
    assert!(text.starts_with("FAILED  two\n") && text.contains("! verdict    allow     deny\n"), "{text}");
}

#[test]
fn a_case_file_with_a_fault_keeps_the_policy_from_being_taken() {
    let directory = directory(&[("p.yaml", USERS), ("a.test.yaml", "version: 1\n")]);
    fs::write(directory.path().join("b.test.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let rejected = tested(directory.path()).unwrap_err();
    assert_eq!(codes_of(&rejected.report), [codes::NO_CASES, codes::UNREADABLE]);
    assert_eq!(rejected.run.tried.len(), 0);
    // One that cannot be read is enough.
    fs::write(directory.path().join("a.test.yaml"), case("one", "small", "allow")).unwrap();
    assert_eq!(codes_of(&tested(directory.path()).unwrap_err().report), [codes::UNREADABLE]);
}

#[test]
fn a_single_file_has_the_cases_of_its_own_name() {
    let (one, two) = (case("one", "small", "allow"), case("two", "small", "deny"));
    let directory = directory(&[("p.yaml", USERS), ("q.yaml", USERS), ("p.test.yaml", &one), ("q.test.yml", &two)]);
    let p = tested(&directory.path().join("p.yaml")).unwrap_or_else(|rejected| panic!("{rejected:?}"));
    assert_eq!((p.run.files, p.run.tried.len()), (1, 1));
    assert_eq!(tested(&directory.path().join("q.yaml")).unwrap_err().run.failures().count(), 1);
    assert_eq!(case_files(Path::new("Cargo.toml")).unwrap(), [""; 0].map(PathBuf::from));
}

#[cfg(unix)]
#[test]
fn a_mounted_config_map_brings_its_cases() {
    use std::os::unix::fs::symlink;

    let one = case("one", "big", "allow");
    let directory = directory(&[("..2024_01_01/p.yaml", USERS), ("..2024_01_01/p.test.yaml", &one)]);
    symlink("..2024_01_01", directory.path().join("..data")).unwrap();
    for name in ["p.yaml", "p.test.yaml"] {
        symlink(format!("..data/{name}"), directory.path().join(name)).unwrap();
    }
    assert_eq!(tested(directory.path()).unwrap_err().run.failures().count(), 1);
    // A link to nothing is a case that nobody can look at.
    symlink("nowhere", directory.path().join("q.test.yaml")).unwrap();
    assert_eq!(codes_of(&tested(directory.path()).unwrap_err().report), [codes::UNREADABLE]);
}
