use super::*;
use crate::record::{Durable, Mask, MaskIp, OnFull};
use crate::store::Keep;

use std::fs;

type Variables<'a> = &'a [(&'a str, &'a str)];

const SECRET: (&str, &str) = ("JWT_SECRET", "a-secret-of-enough-length-for-tests");

fn read(file: Option<&str>, environment: &[(&str, &str)], flags: Flags) -> Result<Settings, Report> {
    let directory = tempfile::tempdir().unwrap();
    let config = file.map(|text| {
        let path = directory.path().join("tollgate.yaml");
        fs::write(&path, text).unwrap();
        path
    });
    Settings::read(&Flags { config, ..flags }, &Environment::of(environment.iter().copied()))
}

fn with_policies() -> Flags {
    Flags { policies: Some("policies".into()), ..Flags::default() }
}

fn codes(result: Result<Settings, Report>) -> Vec<(&'static str, u32)> {
    let report = result.unwrap_err();
    report.faults().iter().map(|fault| (fault.code, fault.place.as_ref().map_or(0, |place| place.line))).collect()
}

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * 86_400))
}

#[test]
fn a_secret_and_a_policy_are_all_that_must_be_said() {
    let settings = read(None, &[SECRET], with_policies()).unwrap();
    assert_eq!(settings.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.admin.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.upstream, [Upstream { host: "127.0.0.1".to_owned(), port: 3080 }]);
    assert_eq!(settings.records.sinks, [SinkKind::Embedded]);
    let Records { spool, durable, on_full, signing_key, mask, keep, .. } = settings.records.clone();
    assert_eq!((spool, on_full, signing_key), (256 << 20, OnFull::Refuse, None));
    assert_eq!(mask, Mask::default());
    assert_eq!(durable, Durable { refusals: true, admin: true, turns: false });
    assert_eq!(keep, Keep { audit: days(90), usage: days(400), daily: None, heads: days(400) });
    assert_eq!(settings.unknown_routes, UnknownRoutes::Deny);
    assert!(settings.mongo.is_none() && settings.trusted_proxies.is_empty());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\nupstream: http://a:3\nthreads: 3\nlog: {level: debug}\n";
    let environment = [SECRET, ("TOLLGATE_LISTEN", "127.0.0.1:10"), ("TOLLGATE_ADMIN", "127.0.0.1:20")];
    let flags = Flags { listen: Some("127.0.0.1:100".to_owned()), ..with_policies() };
    let settings = read(Some(file), &environment, flags).unwrap();
    assert_eq!(settings.listen.port(), 100);
    assert_eq!(settings.admin.port(), 20);
    assert_eq!(settings.upstream[0].host, "a");
    assert_eq!(settings.threads, 3);
    assert_eq!(settings.log.level, tracing::Level::DEBUG);
}

#[test]
fn every_setting_can_be_written() {
    let file = "
listen: '[::1]:8080'
admin: 127.0.0.1:9091
upstream: http://librechat-0:3080, http://librechat-1:3080
policies: /etc/tollgate/policies
identity: { jwt_secret: sixteen-bytes-or-more, cache: 2s }
mongo: { uri: 'mongodb://mongo/LibreChat', database: gate }
store: { embedded: /var/lib/tollgate, redis: 'redis://:s3cret@redis:6379/1' }
replicas: { count: 3, independent: false }
records:
  sinks: [stdout, embedded, mongo, stdout, file, otlp]
  otlp: { url: 'https://logs.example.edu:4318/v1/logs', timeout: 5s, ca_file: /etc/ssl/own.pem }
  file: { path: /var/log/tollgate/records.jsonl, size: 1GiB, keep: 7 }
  queue: 1000
  spool: 2GiB
  durable: [turns, admin]
  on_full: drop
  signing_key: /run/secrets/tollgate.key
  mask: { ip: hash, user_agent: drop, path: ids }
  keep: { audit: 30d, usage: forever, daily: 3650d }
trusted_proxies: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32']
routes: { unknown: identified }
timeouts: { head: 10s, body: 20s, connect: 500ms, response: 2m, idle: 1h, write_stall: 15s, drain: 0s, limits: 100ms }
limits: { connections: 500 }
threads: 2
log: { level: warn, format: json }
";
    let headers = ("TOLLGATE_OTLP_HEADERS", "authorization=Bearer s3cret==, x-tenant=main");
    let settings = read(Some(file), &[headers], Flags::default()).unwrap();
    assert_eq!(settings.upstream.len(), 2);
    assert_eq!(settings.remember, Duration::from_secs(2));
    assert_eq!(settings.mongo.as_ref().unwrap().database, "gate");
    let kinds = [SinkKind::Stdout, SinkKind::Embedded, SinkKind::Mongo, SinkKind::File, SinkKind::Otlp];
    assert_eq!(settings.records.sinks, kinds);
    let file = settings.records.file.clone().unwrap();
    assert_eq!((file.path.to_str(), file.size, file.keep), (Some("/var/log/tollgate/records.jsonl"), 1 << 30, 7));
    let otlp = settings.records.otlp.clone().unwrap();
    assert_eq!(
        (otlp.url.to_string().as_str(), otlp.timeout),
        ("https://logs.example.edu:4318/v1/logs", Duration::from_secs(5))
    );
    assert_eq!(
        (otlp.headers["authorization"].as_bytes(), &otlp.headers["x-tenant"]),
        (&b"Bearer s3cret=="[..], &"main".parse::<http::HeaderValue>().unwrap())
    );
    assert_eq!((otlp.ca_file.unwrap().to_str(), otlp.insecure_http), (Some("/etc/ssl/own.pem"), false));
    assert_eq!(settings.trusted_proxies.len(), 3);
    assert_eq!(settings.unknown_routes, UnknownRoutes::Identified);
    assert_eq!(settings.timeouts.connect, Duration::from_millis(500));
    assert_eq!((settings.records.queue, settings.connections, settings.threads), (1000, 500, 2));
    let Records { spool, durable, on_full, signing_key, mask, keep, .. } = settings.records.clone();
    assert_eq!((spool, on_full), (2 << 30, OnFull::Drop));
    assert_eq!(mask, Mask { ip: MaskIp::Hash, no_user_agent: true, no_ids_in_paths: true });
    assert_eq!(durable, Durable { refusals: false, admin: true, turns: true });
    assert_eq!(signing_key.unwrap().to_str(), Some("/run/secrets/tollgate.key"));
    assert_eq!(keep, Keep { audit: days(30), usage: None, daily: days(3_650), heads: None });
    assert!(settings.log.json);
    assert_eq!(settings.redis.as_ref().unwrap().reveal(), "redis://:s3cret@redis:6379/1");
    assert_eq!(settings.replicas, Replicas { count: 3, independent: false });
    assert_eq!(settings.timeouts.limits, Duration::from_millis(100));
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn redis_is_named_by_our_own_variable_then_by_librechats_then_by_the_file() {
    let file = "store: { redis: redis://file }\n";
    let rows: [(&str, Variables<'_>, Option<&str>); 6] = [
        ("", &[], None),
        (file, &[], Some("redis://file")),
        (file, &[("REDIS_URI", "redis://librechat")], Some("redis://librechat")),
        (file, &[("REDIS_URI", "redis://librechat"), ("TOLLGATE_REDIS", "unix:///own")], Some("unix:///own")),
        (file, &[("REDIS_URI", "rediss://cluster"), ("TOLLGATE_REDIS", "off")], None),
        ("store: { redis: off }\n", &[], None),
    ];
    for (file, variables, expected) in rows {
        let environment: Vec<_> = [SECRET].into_iter().chain(variables.iter().copied()).collect();
        let settings = read(Some(file), &environment, with_policies()).unwrap();
        assert_eq!(settings.redis.as_ref().map(Secret::reveal), expected, "{file} {variables:?}");
        assert_eq!(settings.replicas, Replicas { count: 1, independent: false });
    }
}

#[test]
fn a_redis_that_cannot_be_used_is_a_fault_without_its_password() {
    for address in ["rediss://:s3cret@host", "valkeys://:s3cret@host", "http://:s3cret@host", ":s3cret@host", "on"] {
        let report = read(None, &[SECRET, ("REDIS_URI", address)], with_policies()).unwrap_err();
        let codes: Vec<_> = report.faults().iter().map(|fault| fault.code).collect();
        assert_eq!(codes, ["setting-redis"], "{address}");
        assert!(!report.to_string().contains("s3cret") && report.to_string().contains("TOLLGATE_REDIS"), "{report}");
    }
}

#[test]
fn balances_are_checked_and_shown_as_they_are_unless_told_otherwise() {
    let off = ("TOLLGATE_BALANCE", "off");
    for (file, variables, check, show_own) in [
        ("", &[SECRET][..], true, false),
        ("balance: { check: auto, show: librechat }", &[SECRET], true, false),
        ("balance: { check: off, show: tollgate }", &[SECRET], false, true),
        ("balance: { check: auto }", &[SECRET, off], false, false),
    ] {
        let settings = read(Some(file), variables, with_policies()).unwrap();
        assert_eq!(settings.balance, BalanceUse { check, show_own }, "{file} {variables:?}");
    }
    let faults = codes(read(Some("balance:\n  check: on\n  show: both\n"), &[SECRET], with_policies()));
    assert_eq!(faults, [("setting-choice", 2), ("setting-choice", 3)]);
}

#[test]
fn replicas_that_would_count_alone_have_to_be_told_so() {
    let redis = ("TOLLGATE_REDIS", "redis://host");
    let rows: [(&str, Variables<'_>, &[&str]); 9] = [
        ("replicas: { count: 1 }", &[], &[]),
        ("replicas: { count: 2 }", &[], &["replicas-uncounted"]),
        ("", &[("TOLLGATE_REPLICAS", "2")], &["replicas-uncounted"]),
        ("replicas: { count: 2 }", &[("TOLLGATE_REPLICAS", "1")], &[]),
        ("replicas: { count: 2 }", &[redis], &[]),
        ("replicas: { count: 2, independent: true }", &[], &[]),
        ("replicas: { count: 2, independent: false }", &[], &["replicas-uncounted"]),
        // The other fault is told alone: with the Redis that was meant there would be none.
        ("replicas: { count: 2 }", &[("TOLLGATE_REDIS", "host")], &["setting-redis"]),
        ("replicas: { count: 0, independent: perhaps }", &[], &["setting-choice", "setting-number"]),
    ];
    for (file, variables, expected) in rows {
        let environment: Vec<_> = [SECRET].into_iter().chain(variables.iter().copied()).collect();
        let mut found: Vec<_> = match read(Some(file), &environment, with_policies()) {
            Ok(_) => Vec::new(),
            Err(report) => report.faults().iter().map(|fault| fault.code).collect(),
        };
        found.sort_unstable();
        assert_eq!(found, expected, "{file} {variables:?}");
    }
}

#[test]
fn records_that_make_no_sense_are_faults() {
    for (written, code) in [
        ("spool: 15MiB", "setting-size"),
        ("spool: 2TiB", "setting-size"),
        ("spool: much", "setting-size"),
        ("spool: 99999999999999999TiB", "setting-size"),
        ("durable: [refusals, everything]", "setting-choice"),
        ("on_full: wait", "setting-choice"),
        ("mask: { ip: full }", "setting-choice"),
        ("mask: { user_agent: family }", "setting-choice"),
        ("mask: { path: none }", "setting-choice"),
        ("mask: { referer: drop }", "settings-invalid"),
        ("file: { size: 1KiB }", "setting-size"),
        ("file: { keep: some }", "setting-number"),
    ] {
        let file = format!("records: {{ {written} }}");
        assert_eq!(codes(read(Some(&file), &[SECRET], with_policies())), [(code, 1)], "{written}");
    }
    for written in ["spool: 16777216", "spool: 64 MiB", "durable: []"] {
        let settings = read(Some(&format!("records: {{ {written} }}")), &[SECRET], with_policies());
        assert!(settings.is_ok(), "{written}");
    }
}

#[test]
fn what_is_verified_is_kept_for_longer_than_an_entry_may_be_late() {
    let keep = |keep: &str| codes(read(Some(&format!("records: {{ keep: {{ {keep} }} }}\n")), &[], Flags::default()));
    let blamed = |text: &str| keep(text).iter().filter(|(code, _)| *code == "setting-keep").count();
    assert_eq!(blamed("audit: 2d, usage: 1d, heads: 2d, daily: 1d"), 3);
    assert_eq!(blamed("audit: 3d, usage: 3d, heads: 3d, daily: 1d"), 0);
    // Heads vouch for entries, and have to be there as long as these.
    for shorter in ["audit: 5d, usage: 3d, heads: 4d", "usage: forever, heads: 400d", "audit: 5d, heads: 399d"] {
        assert_eq!(blamed(shorter), 1, "{shorter}");
    }
    for as_long in
        ["audit: 5d, usage: 3d, heads: 5d", "audit: forever", "usage: 500d", "audit: forever, heads: forever"]
    {
        assert_eq!(blamed(as_long), 0, "{as_long}");
    }
}

#[test]
fn all_faults_come_at_once_with_their_lines() {
    let file = "listen: nonsense
upstream: https://librechat
trusted_proxies: [10.0.0.0/33]
timeouts: { drain: forever }
threads: 0
records: { sinks: [mongo, kafka], keep: { audit: 0d, usage: 90, daily: 12h, heads: +1d } }
routes: { unknown: maybe }
";
    let environment = [("JWT_SECRET", "short"), ("MONGO_URI", "postgres://x"), ("TOLLGATE_LISTN", "x")];
    let mut found = codes(read(Some(file), &environment, Flags::default()));
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("setting-address", 1),
            ("setting-choice", 7),
            ("setting-duration", 4),
            ("setting-keep", 6),
            ("setting-keep", 6),
            ("setting-keep", 6),
            ("setting-keep", 6),
            ("setting-missing", 0),
            ("setting-mongo", 0),
            ("setting-network", 3),
            ("setting-number", 5),
            ("setting-secret", 0),
            ("setting-sink", 6),
            ("setting-sink", 6),
            ("setting-unknown", 0),
            ("setting-upstream", 2),
        ]
    );
}

#[test]
fn unknown_keys_and_broken_files_are_faults() {
    assert_eq!(codes(read(Some("listn: 1\n"), &[SECRET], with_policies())), [("settings-invalid", 1)]);
    assert_eq!(codes(read(Some("timeouts: { drian: 1s }\n"), &[SECRET], with_policies())), [("settings-invalid", 1)]);
    assert_eq!(codes(read(Some("listen: [\n"), &[SECRET], with_policies())).len(), 1);
    let gone = Flags { config: Some("/nowhere/tollgate.yaml".into()), ..with_policies() };
    let report = Settings::read(&gone, &Environment::of([SECRET])).unwrap_err();
    assert_eq!(report.faults()[0].code, "settings-unreadable");
    assert!(read(Some("# nothing but words\n"), &[SECRET], with_policies()).is_ok());
}

#[test]
fn kubernetes_own_variables_are_no_settings() {
    let environment =
        [SECRET, ("TOLLGATE_SERVICE_HOST", "10.0.0.1"), ("TOLLGATE_PORT_8080_TCP", "tcp://10.0.0.1:8080")];
    assert!(read(None, &environment, with_policies()).is_ok());
}

const PROVIDER: [(&str, &str); 4] = [
    ("OPENID_REUSE_TOKENS", " TRUE "),
    ("OPENID_ISSUER", "https://idp.example.edu/realms/main/"),
    ("OPENID_CLIENT_ID", "librechat"),
    ("JWT_REFRESH_SECRET", "another-secret-of-enough-length"),
];

#[test]
fn librechats_own_variables_name_the_identity_provider() {
    let audience = ("OPENID_AUDIENCE", "api://a, ,api://b,");
    let oidc = read(None, &[&[SECRET, audience], &PROVIDER[..]].concat(), with_policies()).unwrap().oidc.unwrap();
    assert_eq!(&*oidc.trust.issuer, "https://idp.example.edu/realms/main/");
    assert_eq!(oidc.trust.audiences, ["librechat".into(), "api://a".into(), "api://b".into()] as [Box<str>; 3]);
    assert_eq!(oidc.trust.algorithms, [crate::identity::Algorithm::DEFAULT]);
    assert_eq!((oidc.trust.jwks_url, oidc.ca_file, oidc.insecure_http), (None, None, false));
    assert_eq!(oidc.refresh_secret.reveal(), "another-secret-of-enough-length");
    // LibreChat reuses tokens only where it is told to, whatever else it knows of the provider.
    for value in ["false", "False", ""] {
        let environment = [&[SECRET], &PROVIDER[1..], &[("OPENID_REUSE_TOKENS", value)]].concat();
        assert!(read(None, &environment, with_policies()).unwrap().oidc.is_none(), "{value:?}");
    }
}

#[test]
fn the_identity_provider_can_be_described_in_the_file() {
    let file = "identity: {jwt_refresh_secret: another-secret-of-enough-length}\noidc:\n  reuse_tokens: true\n  issuer: \
                https://login.microsoftonline.com/{tenantid}/v2.0\n  client_id: librechat\n  audiences: [api]\n  email_claim: mail\n  \
                algorithms: [ES256, PS512]\n  jwks_url: http://127.0.0.1:9/keys\n  ca_file: /etc/ca.pem\n";
    let oidc = read(Some(file), &[SECRET], with_policies()).unwrap().oidc.unwrap();
    assert_eq!(&*oidc.trust.issuer, "https://login.microsoftonline.com/{tenantid}/v2.0");
    assert_eq!(oidc.trust.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>(), ["ES256", "PS512"]);
    assert_eq!(oidc.trust.jwks_url.as_deref(), Some("http://127.0.0.1:9/keys"), "this machine needs no https");
    assert_eq!(oidc.trust.email_claim.as_deref(), Some("mail"));
    assert_eq!(oidc.ca_file, Some("/etc/ca.pem".into()));
}

#[test]
fn an_identity_provider_that_cannot_be_trusted_is_refused() {
    let with = |name: &'static str, value: &'static str| {
        let rest = PROVIDER.into_iter().filter(|(known, _)| *known != name);
        [SECRET].into_iter().chain(rest).chain([(name, value)]).collect::<Vec<_>>()
    };
    for (name, value, code) in [
        ("OPENID_REUSE_TOKENS", "1", "setting-choice"),
        ("OPENID_REUSE_TOKENS", "yes", "setting-choice"),
        ("OPENID_ISSUER", "", "setting-missing"),
        ("OPENID_ISSUER", "http://idp.example.edu", "setting-url"),
        ("OPENID_ISSUER", "idp.example.edu", "setting-url"),
        ("OPENID_ISSUER", "ftp://idp.example.edu", "setting-url"),
        ("OPENID_CLIENT_ID", "", "setting-missing"),
        ("JWT_REFRESH_SECRET", "", "setting-missing"),
        ("JWT_REFRESH_SECRET", "short", "setting-secret"),
    ] {
        assert_eq!(codes(read(None, &with(name, value), with_policies())), [(code, 0)], "{name}={value}");
    }
    let environment = [&[SECRET], &PROVIDER[..]].concat();
    for (file, code) in [
        ("oidc: {algorithms: [HS256]}", "setting-choice"),
        ("oidc: {algorithms: [none]}", "setting-choice"),
        ("oidc: {algorithms: [rs256]}", "setting-choice"),
        ("oidc: {algorithms: [ES512]}", "setting-choice"),
        ("oidc: {jwks_url: http://idp.example.edu/keys}", "setting-url"),
        ("oidc: {insecure_http: perhaps}", "setting-choice"),
        ("oidc: {client_secret: x}", "settings-invalid"),
    ] {
        assert_eq!(codes(read(Some(file), &environment, with_policies())), [(code, 1)], "{file}");
    }
    let file = "oidc: {jwks_url: http://idp.example.edu/keys, insecure_http: true}";
    assert!(read(Some(file), &environment, with_policies()).is_ok(), "said explicitly");
    // What the refresh secret is shows nowhere.
    let report = read(None, &with("OPENID_ISSUER", "x"), with_policies()).unwrap_err();
    assert!(!report.render_human(false).contains(PROVIDER[3].1));
    assert!(!format!("{:?}", read(None, &environment, with_policies()).unwrap()).contains(PROVIDER[3].1));
}

#[test]
fn upstreams_are_plain_hosts() {
    for (text, good) in [
        ("http://librechat:3080", true),
        ("http://librechat", true),
        ("http://[::1]:3080/", true),
        ("http://a:1,http://b:2", true),
        ("librechat:3080", false),
        ("https://librechat", false),
        ("http://librechat/chat", false),
        ("http://librechat?x", false),
        ("http://user:pass@librechat", false),
        ("ftp://librechat", false),
        ("", false),
        (",", false),
    ] {
        let flags = Flags { upstream: Some(text.to_owned()), ..with_policies() };
        assert_eq!(read(None, &[SECRET], flags).is_ok(), good, "{text:?}");
    }
}

#[test]
fn no_secret_reaches_a_message() {
    let canary = "canary-in-a-secret";
    let uri = format!("mongodb://user:{canary}@host/db");
    let file =
        format!("identity: {{ jwt_secret: {canary}, cache: never }}\nmongo: {{ uri: '{uri}' }}\nlistn: {canary}\n");
    for (file, environment) in [
        (Some(file.as_str()), vec![]),
        (Some("identity: { jwt_secret: canary-in-a-secret\n"), vec![]),
        (None, vec![("JWT_SECRET", canary), ("MONGO_URI", "canary-in-a-secret://x")]),
    ] {
        let report = read(file, &environment, Flags::default()).unwrap_err();
        let told = format!("{}{}{report:?}", report.render_human(false), report.render_json());
        assert!(!told.contains(canary), "{told}");
    }
    let url = format!("http://root:{canary}@db:3080");
    for file in [
        format!("upstream: {url}\nrecords: {{ sinks: ['{uri}'] }}\ntrusted_proxies: ['{uri}']\n"),
        format!("mongo:\n  '{uri}': x\n"),
        format!("listen: '{uri}'\nthreads: '{uri}'\ntimeouts: {{ drain: '{uri}' }}\nlog: {{ level: '{uri}' }}\n"),
    ] {
        let report = read(Some(&file), &[SECRET], Flags::default()).unwrap_err();
        let told = format!("{}{}", report.render_human(false), report.render_json());
        assert!(!told.contains(canary), "{told}");
    }
    let settings = read(None, &[("JWT_SECRET", canary), ("MONGO_URI", &uri)], with_policies()).unwrap();
    assert!(!format!("{settings:?}").contains(canary), "{settings:?}");
}

#[test]
fn a_collector_is_asked_in_secret_or_not_at_all() {
    let settings = |otlp: &str, headers: &str| {
        let file = format!("records: {{ sinks: [otlp], otlp: {otlp} }}\n");
        let variables = [SECRET, ("TOLLGATE_OTLP_HEADERS", headers)];
        read(Some(&file), &variables, with_policies())
    };
    for (otlp, headers, code) in [
        ("{}", "", "setting-missing"),
        ("{ url: 'http://logs.example.edu/v1/logs' }", "", "setting-url"),
        ("{ url: 'ftp://127.0.0.1/v1/logs' }", "", "setting-url"),
        ("{ url: /v1/logs }", "", "setting-url"),
        ("{ url: 'https://ann:s3cret@logs.example.edu/v1/logs' }", "", "setting-url"),
        ("{ url: 'https://logs.example.edu/', timeout: 30s }", "", "setting-duration"),
        ("{ url: 'https://logs.example.edu/' }", "s3cret", "setting-headers"),
        ("{ url: 'https://logs.example.edu/' }", "a b=s3cret", "setting-headers"),
        ("{ url: 'https://logs.example.edu/' }", "content-length=3", "setting-headers"),
    ] {
        let report = settings(otlp, headers).unwrap_err();
        assert_eq!(report.faults().iter().map(|fault| fault.code).collect::<Vec<_>>(), [code], "{otlp} {headers}");
        assert!(!report.to_string().contains("s3cret"), "{report}");
    }
    for otlp in ["{ url: 'http://127.0.0.1:4318/v1/logs' }", "{ url: 'http://logs:4318/v1/logs', insecure_http: true }"]
    {
        let read = settings(otlp, "").unwrap().records.otlp.unwrap();
        assert_eq!((read.timeout, read.headers.len()), (Duration::from_secs(10), 0));
    }
    // What nobody writes to needs no address.
    assert_eq!(read(Some("records: { sinks: [stdout] }\n"), &[SECRET], with_policies()).unwrap().records.otlp, None);
}
