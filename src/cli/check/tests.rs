use super::*;

fn run_on(text: &str, format: Format) -> (Exit, String, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("p.yaml"), text).unwrap();
    let args = Args { policies: Some(directory.path().to_owned()), config: None, format, colour: false };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(&args, &Environment::default(), &mut out, &mut err);
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

const GOOD: &str = "version: 1
roles: { USER: { unrestricted: true }, ADMIN: { unrestricted: true } }
groups: { g: { unrestricted: true } }
";

#[test]
fn a_good_policy_is_one_line() {
    let (exit, out, err) = run_on(GOOD, Format::Human);
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""));
    let (line, revision) = out.trim_end().split_once(", revision ").unwrap();
    assert_eq!(line, "ok: 1 file, 2 roles, 1 group, 0 users, 0 limits, mode enforce");
    assert_eq!(revision.len(), 12);
}

#[test]
fn faults_go_to_standard_error_and_end_with_64() {
    let (exit, out, err) = run_on("version: 1\nrols: {}\nmode: no\n", Format::Human);
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    assert!(err.contains("error[unknown-key]: unknown key \"rols\"") && err.contains("p.yaml:2:1"), "{err}");
    assert!(err.contains("help: did you mean \"roles\"?"), "{err}");
    assert!(err.ends_with("2 faults in 1 file\n"), "{err}");
}

#[test]
fn warnings_do_not_stop_a_policy() {
    let (exit, out, err) = run_on("version: 1\nroles: { USER: {} }\n", Format::Human);
    assert_eq!(exit, Exit::Ok);
    assert!(err.contains("warning[allows-nothing]") && out.starts_with("ok: "), "{err}{out}");
}

#[test]
fn json_goes_to_standard_output() {
    let limited = "limits: [{ id: a, requests: 9, per: global, window: 1m }]\n\
        prices: { x: { input: 1, output: 1 }, y: { input: 1, output: 1 } }\n";
    let (exit, out, err) = run_on(&format!("{GOOD}{limited}"), Format::Json);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""));
    assert_eq!(value["policy"]["roles"], 2);
    assert_eq!((&value["policy"]["limits"], &value["policy"]["prices"]), (&1.into(), &2.into()));
    assert_eq!(value["policy"]["mode"], "enforce");
    assert_eq!(value["faults"], serde_json::json!([]));

    let (exit, out, err) = run_on("version: 1\nmode: no\n", Format::Json);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, err.as_str()), (Exit::Usage, ""));
    assert!(value["policy"].is_null());
    assert_eq!(value["faults"][0]["code"], "bad-value");
    assert_eq!((&value["faults"][0]["line"], &value["faults"][0]["column"]), (&2.into(), &7.into()));
}

#[test]
fn a_closed_pipe_is_a_failure_not_a_panic() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("p.yaml"), GOOD).unwrap();
    let args = Args { policies: Some(directory.path().to_owned()), config: None, format: Format::Human, colour: false };
    assert_eq!(run(&args, &Environment::default(), &mut Closed, &mut Closed), Exit::Failed);
}

#[test]
fn settings_are_checked_with_the_policy_they_name() {
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("policy.yaml");
    std::fs::write(&policy, GOOD).unwrap();
    let config = directory.path().join("tollgate.yaml");
    let checked = |settings: String| {
        std::fs::write(&config, settings).unwrap();
        let args = Args { policies: None, config: Some(config.clone()), format: Format::Human, colour: false };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = run(&args, &Environment::default(), &mut out, &mut err);
        (exit, String::from_utf8(out).unwrap() + &String::from_utf8(err).unwrap())
    };
    let (exit, told) = checked(format!("policies: {}\n", policy.display()));
    assert_eq!(exit, Exit::Ok, "{told}");
    assert!(told.starts_with("ok: 1 file, 2 roles"), "{told}");
    let (exit, told) = checked(format!("policies: {}\nlisten: nowhere\n", policy.display()));
    assert_eq!(exit, Exit::Usage, "{told}");
    assert!(told.contains("error[setting-address]") && told.contains("tollgate.yaml:2:9"), "{told}");
}
