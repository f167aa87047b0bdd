use clap::Parser;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::cli::record::Terminal;
use crate::clock::Clock;
use crate::config::Environment;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn run_with(policy: &str, arguments: &[&str]) -> (Exit, String, String) {
    run_in(&Environment::default(), policy, arguments)
}

fn run_in(environment: &Environment, policy: &str, arguments: &[&str]) -> (Exit, String, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("p.yaml"), policy).unwrap();
    let path = directory.path().to_str().unwrap();
    let cli = Cli::try_parse_from(["explain", "--policies", path].iter().chain(arguments)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(
        &cli.args,
        &mut Desk {
            environment,
            out: &mut out,
            err: &mut err,
            input: &mut io::empty(),
            terminal: Terminal::default(),
            clock: Clock::manual(Timestamp::UNIX_EPOCH),
            zone: TimeZone::UTC,
        },
    );
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

const POLICY: &str = r#"version: 1
roles:
  USER:
    endpoints:
      openAI: { models: [gpt-4o-mini], deny: ["*-preview"] }
      google: { models: [] }
groups:
  premium-openai:
    endpoints:
      openAI: { models: [gpt-4o] }
users:
  ann@example.edu:
    endpoints:
      google: { models: [gemini] }
"#;

#[test]
fn the_table_lines_up_and_says_which_rule() {
    let (exit, out, err) = run_with(POLICY, &["--group", "premium-openai", "--user", "Ann@example.edu"]);
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""));
    let revision = out.lines().find_map(|line| line.strip_prefix("revision  ")).unwrap().to_owned();
    let expected = "\
user      ann@example.edu
role      USER
groups    premium-openai
mode      enforce
revision  REVISION

WHAT                EFFECT  MODELS       RULE
google              allows  gemini       users.ann@example.edu.endpoints.google.models
google              unused  -            roles.USER.endpoints.google.models
openAI              allows  gpt-4o       groups.premium-openai.endpoints.openAI.models
openAI              denies  *-preview    roles.USER.endpoints.openAI.deny
openAI              unused  gpt-4o-mini  roles.USER.endpoints.openAI.models
everything else     denies  -            unlisted.endpoint
(agents)            allows  -            agents
(tools)             allows  -            tools
(unchecked agents)  denies  -            surface.agents
(remote-agent API)  allows  -            remote_api.enabled
(assistants)        denies  -            surface.assistants
(user keys)         allows  -            user_keys
(speech services)   allows  -            system_models.speech
";
    assert_eq!(out.replace(&revision, "REVISION"), expected);
}

#[test]
fn a_hidden_endpoint_is_said_to_be_hidden() {
    let (_, out, _) = run_with(POLICY, &[]);
    assert!(out.contains("google              hides   -"), "{out}");
    assert!(out.contains("user      any\n") && out.contains("groups    none\n"), "{out}");
}

#[test]
fn a_denied_model_ends_with_2() {
    for (arguments, exit, line) in [
        (
            &["--model", "gpt-4o-mini"][..],
            Exit::Ok,
            "gpt-4o-mini of openAI: allowed by roles.USER.endpoints.openAI.models",
        ),
        (&["--model", "gpt-4o"], Exit::Denied, "gpt-4o of openAI: denied by roles.USER.endpoints.openAI.models"),
        (&["--model", "o1-preview"], Exit::Denied, "o1-preview of openAI: denied by roles.USER.endpoints.openAI.deny"),
        (
            &["--model", "gpt-4o", "--group", "premium-openai"],
            Exit::Ok,
            "gpt-4o of openAI: allowed by groups.premium-openai.endpoints.openAI.models",
        ),
        (&["--model", "gpt-4o", "--role", "GUEST"], Exit::Denied, "gpt-4o of openAI: denied by unlisted.role"),
    ] {
        let (ended, out, _) = run_with(POLICY, &[&["--endpoint", "openAI"], arguments].concat());
        assert_eq!((ended, out.lines().last()), (exit, Some(line)));
    }
}

#[test]
fn shadow_mode_says_what_would_be_denied_and_ends_with_0() {
    let (exit, out, _) = run_with(&format!("{POLICY}mode: shadow\n"), &["--endpoint", "openAI", "--model", "o1"]);
    assert_eq!(exit, Exit::Ok);
    assert!(out.contains("mode      shadow"), "{out}");
    assert!(
        out.ends_with(
            "o1 of openAI: would be denied by roles.USER.endpoints.openAI.models, but shadow mode lets it pass\n"
        ),
        "{out}"
    );
}

#[test]
fn json_has_the_statements_and_the_answer() {
    let (exit, out, _) = run_with(POLICY, &["--endpoint", "openAI", "--model", "gpt-4o", "--format", "json"]);
    assert_eq!(exit, Exit::Denied);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["role"], "USER");
    assert_eq!(
        value["statements"][1],
        serde_json::json!({
            "subject": {"endpoint": "openAI"}, "effect": "allows", "models": ["gpt-4o-mini"],
            "rule": "roles.USER.endpoints.openAI.models",
        })
    );
    assert_eq!(value["answer"]["verdict"], "denied");
    assert_eq!(value["answer"]["rules"], serde_json::json!(["roles.USER.endpoints.openAI.models"]));
}

#[test]
fn a_policy_with_faults_explains_nothing() {
    let (exit, out, err) = run_with("version: 1\nrols: {}\n", &[]);
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    assert!(err.contains("unknown-key"), "{err}");
}

#[test]
fn a_model_is_asked_about_together_with_its_endpoint() {
    for arguments in [["--model", "gpt-4o"], ["--endpoint", "openAI"]] {
        let parsed = Cli::try_parse_from(["explain", "--policies", "p"].iter().chain(&arguments));
        assert!(parsed.is_err(), "{arguments:?}");
    }
}

#[test]
fn claims_tell_role_and_groups() {
    let policy = r#"version: 1
roles: { USER: { unrestricted: true }, ADMIN: { unrestricted: true }, STAFF: { unrestricted: true } }
role_mapping:
  - { claim: "cognito:groups", token: id, has: admins, role: ADMIN }
  - { claim: scope, token: access, has: staff, role: STAFF }
group_mapping:
  - { claim: realm_access.roles, token: userinfo, strip: tg- }
"#;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("claims.json");
    let explained = |claims: &str| {
        std::fs::write(&file, claims).unwrap();
        run_with(policy, &["--claims", file.to_str().unwrap(), "--group", "lab"])
    };
    let all = r#"{"id": {"cognito:groups": ["admins"]}, "access": {"scope": "staff"},
                  "userinfo": {"realm_access": {"roles": ["tg-premium", "other", "tg-lab"]}}}"#;
    for (claims, told) in [
        (all, "role      ADMIN\ngroups    lab, premium\n"),
        (r#"{"access": {"scope": "openid staff"}}"#, "role      STAFF\ngroups    lab\n"),
        (r#"{"access": {"cognito:groups": ["admins"]}, "id": {"scope": "staff"}}"#, "role      USER\ngroups    lab\n"),
        ("{}", "role      USER\ngroups    lab\n"),
    ] {
        let (exit, out, err) = explained(claims);
        assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{claims}");
        assert!(out.contains(told), "{claims}: {out}");
    }
    for claims in [r#"{"cognito:groups": ["admins"]}"#, r#"{"id": []}"#, "[]", "", r#"{"id": {"a": 1, "a": 2}}"#] {
        let (exit, out, err) = explained(claims);
        assert_eq!((exit, out.as_str()), (Exit::Usage, ""), "{claims}");
        assert!(err.contains("claims.json cannot be read: ") && err.contains("\"userinfo\": {...}"), "{err}");
    }
    let (exit, _, err) = run_with(policy, &["--claims", "/nowhere.json"]);
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("/nowhere.json cannot be read"), "{err}");
}

#[test]
fn limits_are_listed_with_what_they_do() {
    let policy = r#"version: 1
roles:
  USER:
    unrestricted: true
    limits:
      - { id: rpm, requests: 60, per: user, window: 60s }
      - { id: day, tokens: 500k, per: user, window: day, timezone: Europe/Berlin }
      - { id: dear, messages: 0, per: user, window: day, models: ["o1*", gpt-5], endpoints: [openAI] }
      - { id: parallel, concurrent: 2, per: user, mode: shadow }
users:
  ann@example.edu:
    limits: [{ id: ann-day, tokens: 2M, per: user, window: day, strict: true, on_failure: { local_share: 25 } }]
limits: [{ id: all, output_tokens: 1M, per: global, window: month, endpoints: [google] }]
"#;
    let (exit, out, _) = run_with(policy, &["--role", "USER", "--user", "ann@example.edu"]);
    assert_eq!(exit, Exit::Ok);
    let (_, limits) = out.split_once("roles.USER.unrestricted\n\n").unwrap();
    let expected = "\
LIMIT                  WINDOW               PER     ABOUT                 EFFECT   RULE
2000000 tokens         day (UTC)            user    everything            limits   users.ann@example.edu.limits.ann-day
500000 tokens          day (Europe/Berlin)  user    everything            unused   roles.USER.limits.day
0 messages             day (UTC)            user    gpt-5, o1* of openAI  closes   roles.USER.limits.dear
2 concurrent           -                    user    everything            records  roles.USER.limits.parallel
60 requests            1m                   user    everything            limits   roles.USER.limits.rpm
1000000 output_tokens  month (UTC)          global  all of google         limits   limits.all
";
    assert_eq!(limits, expected, "{out}");
    let (_, out, _) = run_with(policy, &["--role", "USER", "--user", "ann@example.edu", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let ann = serde_json::json!({
        "id": "ann-day", "measure": "tokens", "amount": "2000000", "per": "user", "window": "day", "timezone": "UTC",
        "models": [], "endpoints": [], "effect": "limits", "strict": true, "warn_at": 80, "local_share": 25,
        "rule": "users.ann@example.edu.limits.ann-day",
    });
    assert_eq!(value["limits"][0], ann);
    assert_eq!(value["limits"].as_array().unwrap().len(), 6);
}

#[test]
fn a_model_is_told_with_its_limits_and_its_price() {
    let policy = r#"version: 1
roles:
  USER:
    endpoints: { openAI: { models: [gpt-4o, o1] } }
    limits:
      - { id: purse, cost: 5 USD, per: user, window: month }
      - { id: quiet, requests: 5, per: user, window: 1m, mode: shadow }
      - { id: o1, messages: 5, per: user, window: day, models: [o1] }
prices: { o1: { input: 15, output: 60, cached_input: 7.5 }, gpt-4o: { input: 2.5, output: 10 } }
"#;
    let environment = Environment::of([("DEFAULT_USER_RPM_LIMIT", "60")]);
    let asked = ["--endpoint", "openAI", "--model", "o1"];
    let (exit, out, _) = run_in(&environment, policy, &asked);
    assert_eq!(exit, Exit::Ok);
    let expected = "
o1 of openAI: allowed by roles.USER.endpoints.openAI.models
limits: roles.USER.limits.o1, roles.USER.limits.purse, defaults.user.requests_per_minute, roles.USER.limits.quiet
price: cache_write 15, cached_input 7.5, input 15, output 60 (USD for a million tokens)
";
    assert!(out.ends_with(expected), "{out}");
    let (_, out, _) = run_in(&environment, policy, &[&asked[..], &["--format", "json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["answer"]["limits"].as_array().unwrap().len(), 4);
    assert_eq!(value["answer"]["price"]["cached_input"], "7.5");

    let (exit, _, err) = run_in(&Environment::of([("DEFAULT_USER_RPM_LIMIT", "many")]), policy, &asked);
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("error[bad-default]: DEFAULT_USER_RPM_LIMIT cannot be \"many\""), "{err}");
}

#[test]
fn a_limit_of_0_denies_the_model_as_it_does_in_service() {
    let policy = |more: &str| {
        format!(
            "version: 1\n{more}roles:\n  USER:\n    endpoints: {{ openAI: {{ models: [gpt-4o, o1] }} }}\n    limits:\n      \
             - {{ id: closed, requests: 0, per: user, window: day, models: [o1] }}\n"
        )
    };
    let of = |policy: &str, model: &str| {
        let (exit, out, _) = run_with(policy, &["--endpoint", "openAI", "--model", model]);
        let answer = out.lines().find(|line| line.contains(" of openAI: ")).map(str::to_owned);
        (exit, answer.unwrap_or(out))
    };
    let list = "roles.USER.endpoints.openAI.models";
    let closed = "roles.USER.limits.closed";
    assert_eq!(of(&policy(""), "o1"), (Exit::Denied, format!("o1 of openAI: denied by {closed}")));
    assert_eq!(of(&policy(""), "gpt-4o"), (Exit::Ok, format!("gpt-4o of openAI: allowed by {list}")));
    let shadow = format!("o1 of openAI: would be denied by {closed}, but shadow mode lets it pass");
    assert_eq!(of(&policy("mode: shadow\n"), "o1"), (Exit::Ok, shadow.clone()));
    assert_eq!(of(&policy("").replace("per: user", "per: user, mode: shadow"), "o1"), (Exit::Ok, shadow));
    let (exit, out, _) = run_with(
        &policy("").replace("version: 1", "version: 1\nblocked: { users: [ann@example.edu] }"),
        &["--role", "USER", "--user", "ann@example.edu", "--endpoint", "openAI", "--model", "gpt-4o"],
    );
    assert_eq!(exit, Exit::Denied);
    assert!(out.contains("gpt-4o of openAI: denied by blocked.users\n"), "{out}");
}
