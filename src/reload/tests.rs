use tempfile::TempDir;

use super::*;

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
