//! Every semantic sentence of `policies/README.md`, with the deciding rule.

use super::*;

/// Role, groups, user, endpoint, model, and the answer with its rule.
type Case<'a> = (&'a str, &'a [&'a str], &'a str, &'a str, &'a str, &'a str);

#[track_caller]
fn hold(text: &str, cases: &[Case<'_>]) {
    let snapshot = policy(text);
    for (role, groups, user, endpoint, name, expected) in cases {
        let caller = caller(role, groups, user);
        assert_eq!(
            answer(&snapshot, &caller, model(endpoint, name)),
            *expected,
            "{role} {groups:?} {user:?} asks for {name} of {endpoint}"
        );
        let shown = snapshot.view(&caller).model(endpoint, name);
        assert_eq!(shown, expected.starts_with("allow"), "what is allowed is shown: {name} of {endpoint} to {role}");
    }
}

#[test]
fn an_empty_policy_denies_every_model_to_everybody() {
    hold(
        "",
        &[
            ("USER", &[], "", "openAI", "gpt-4o", "deny unlisted.role"),
            ("ADMIN", &["g"], "a@b", "openAI", "", "deny unlisted.role"),
        ],
    );
}

#[test]
fn a_role_has_what_its_lists_name() {
    hold(
        r#"
roles:
  USER:
    endpoints:
      openAI: { models: [gpt-4o-mini, "gpt-4.1-*"] }
      google: { models: [] }
      custom: { MindRoom: { models: [mindroom-basic] } }
  ADMIN: { unrestricted: true }
"#,
        &[
            ("USER", &[], "", "openAI", "gpt-4o-mini", "allow roles.USER.endpoints.openAI.models"),
            ("USER", &[], "", "openAI", "gpt-4.1-nano", "allow roles.USER.endpoints.openAI.models"),
            ("USER", &[], "", "openAI", "gpt-4o", "deny roles.USER.endpoints.openAI.models"),
            ("USER", &[], "", "openAI", "GPT-4o-mini", "deny roles.USER.endpoints.openAI.models"),
            ("USER", &[], "", "openAI", "gpt-4o-mini ", "deny roles.USER.endpoints.openAI.models"),
            ("USER", &[], "", "openai", "gpt-4o-mini", "deny unlisted.endpoint"),
            ("USER", &[], "", "google", "gemini", "deny roles.USER.endpoints.google.models"),
            ("USER", &[], "", "MindRoom", "mindroom-basic", "allow roles.USER.endpoints.custom.MindRoom.models"),
            ("USER", &[], "", "MindRoom", "mindroom-pro", "deny roles.USER.endpoints.custom.MindRoom.models"),
            ("USER", &[], "", "anthropic", "claude", "deny unlisted.endpoint"),
            ("user", &[], "", "openAI", "gpt-4o-mini", "deny unlisted.role"),
            ("ADMIN", &[], "", "anything", "at all", "allow roles.ADMIN.unrestricted"),
        ],
    );
}

#[test]
fn a_denial_wins_at_every_level() {
    hold(
        r#"
roles:
  USER: { endpoints: { openAI: { models: ["*"], deny: ["*-preview"] } } }
  ADMIN: { unrestricted: true, endpoints: { bedrock: { deny: ["*"] } } }
groups:
  all: { unrestricted: true, endpoints: { openAI: { deny: [o1-pro] } } }
  closed: { endpoints: { openAI: { deny: [gpt-4o] } } }
users:
  ann@example.edu: { unrestricted: true, endpoints: { google: { deny: ["*"] } } }
"#,
        &[
            ("USER", &[], "", "openAI", "o1", "allow roles.USER.endpoints.openAI.models"),
            ("USER", &[], "", "openAI", "o1-preview", "deny roles.USER.endpoints.openAI.deny"),
            ("USER", &["all"], "", "openAI", "o1-preview", "deny roles.USER.endpoints.openAI.deny"),
            ("USER", &["all"], "", "openAI", "o1-pro", "deny groups.all.endpoints.openAI.deny"),
            ("USER", &["all", "closed"], "", "openAI", "gpt-4o", "deny groups.closed.endpoints.openAI.deny"),
            ("USER", &["all"], "", "openAI", "gpt-4o", "allow groups.all.unrestricted"),
            ("ADMIN", &[], "", "bedrock", "x", "deny roles.ADMIN.endpoints.bedrock.deny"),
            ("ADMIN", &[], "", "openAI", "x", "allow roles.ADMIN.unrestricted"),
            ("ADMIN", &[], "ann@example.edu", "google", "x", "deny users.ann@example.edu.endpoints.google.deny"),
            ("USER", &[], "ann@example.edu", "openAI", "o1-preview", "deny roles.USER.endpoints.openAI.deny"),
            ("USER", &[], "ann@example.edu", "openAI", "o1", "allow users.ann@example.edu.unrestricted"),
        ],
    );
}

#[test]
fn groups_stand_in_for_the_role_and_unite() {
    hold(
        r"
roles:
  USER: { endpoints: { openAI: { models: [gpt-4o-mini] }, google: { models: [gemini] } } }
groups:
  writers: { endpoints: { openAI: { models: [gpt-4o] } } }
  thinkers: { endpoints: { openAI: { models: [o1] }, anthropic: { models: [claude-opus-4] } } }
  closed: { endpoints: { openAI: { models: [] } } }
  less: { endpoints: { openAI: { deny: [gpt-4o-mini] } } }
",
        &[
            ("USER", &["writers"], "", "openAI", "gpt-4o", "allow groups.writers.endpoints.openAI.models"),
            ("USER", &["writers"], "", "openAI", "gpt-4o-mini", "deny groups.writers.endpoints.openAI.models"),
            ("USER", &["writers"], "", "google", "gemini", "deny unlisted.endpoint"),
            ("USER", &["writers", "thinkers"], "", "openAI", "gpt-4o", "allow groups.writers.endpoints.openAI.models"),
            ("USER", &["writers", "thinkers"], "", "openAI", "o1", "allow groups.thinkers.endpoints.openAI.models"),
            (
                "USER",
                &["writers", "thinkers"],
                "",
                "anthropic",
                "claude-opus-4",
                "allow groups.thinkers.endpoints.anthropic.models",
            ),
            (
                "USER",
                &["writers", "thinkers"],
                "",
                "openAI",
                "gpt-4o-mini",
                "deny groups.writers.endpoints.openAI.models",
            ),
            ("USER", &["closed"], "", "openAI", "gpt-4o-mini", "deny groups.closed.endpoints.openAI.models"),
            ("USER", &["closed", "writers"], "", "openAI", "gpt-4o", "allow groups.writers.endpoints.openAI.models"),
            ("USER", &["stranger", "Writers"], "", "openAI", "gpt-4o-mini", "allow roles.USER.endpoints.openAI.models"),
            // A group that only takes away leaves the role in place.
            ("USER", &["less"], "", "google", "gemini", "allow roles.USER.endpoints.google.models"),
            ("USER", &["less"], "", "openAI", "gpt-4o-mini", "deny groups.less.endpoints.openAI.deny"),
            ("USER", &["less"], "", "openAI", "gpt-4o", "deny roles.USER.endpoints.openAI.models"),
            // A group stands in for a role without an entry, too.
            ("GUEST", &["writers"], "", "openAI", "gpt-4o", "allow groups.writers.endpoints.openAI.models"),
            ("GUEST", &["less"], "", "openAI", "gpt-4o", "deny unlisted.role"),
        ],
    );
}

#[test]
fn a_caller_may_be_in_more_groups_than_fit_the_inline_list() {
    let names: Vec<String> = (0..20).map(|i| format!("g{i}")).collect();
    let entries: String = names
        .iter()
        .map(|name| format!("  {name}: {{ endpoints: {{ openAI: {{ models: [m-{name}] }} }} }}\n"))
        .collect();
    let snapshot = policy(&format!("groups:\n{entries}"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let caller = caller("USER", &names, "");
    for name in &names {
        let expected = format!("allow groups.{name}.endpoints.openAI.models");
        assert_eq!(answer(&snapshot, &caller, model("openAI", &format!("m-{name}"))), expected);
    }
    assert_eq!(answer(&snapshot, &caller, model("openAI", "m")), "deny groups.g0.endpoints.openAI.models");
}

#[test]
fn a_users_own_models_are_added() {
    let id = "65f0c1d2e3a4b5c6d7e8f901";
    let text = format!(
        "
roles:
  USER: {{ endpoints: {{ openAI: {{ models: [gpt-4o-mini] }} }} }}
groups:
  writers: {{ endpoints: {{ openAI: {{ models: [gpt-4o] }} }} }}
users:
  Ann@Example.edu: {{ endpoints: {{ openAI: {{ models: [o1] }}, google: {{ models: [gemini] }} }} }}
  {upper}: {{ endpoints: {{ openAI: {{ models: [o3], deny: [gpt-4o-mini] }} }} }}
",
        upper = id.to_uppercase()
    );
    let by_id_denied = format!("deny users.{id}.endpoints.openAI.deny");
    let by_id_allowed = format!("allow users.{id}.endpoints.openAI.models");
    hold(
        &text,
        &[
            ("USER", &[], "ann@example.edu", "openAI", "o1", "allow users.ann@example.edu.endpoints.openAI.models"),
            ("USER", &[], "ann@example.edu", "openAI", "gpt-4o-mini", "allow roles.USER.endpoints.openAI.models"),
            (
                "USER",
                &["writers"],
                "ann@example.edu",
                "openAI",
                "o1",
                "allow users.ann@example.edu.endpoints.openAI.models",
            ),
            (
                "USER",
                &["writers"],
                "ann@example.edu",
                "openAI",
                "gpt-4o",
                "allow groups.writers.endpoints.openAI.models",
            ),
            (
                "USER",
                &["writers"],
                "ann@example.edu",
                "openAI",
                "gpt-4o-mini",
                "deny groups.writers.endpoints.openAI.models",
            ),
            ("USER", &[], "ann@example.edu", "google", "gemini", "allow users.ann@example.edu.endpoints.google.models"),
            ("USER", &[], "ann@example.edu", "google", "other", "deny unlisted.endpoint"),
            (
                "GUEST",
                &[],
                "ann@example.edu",
                "google",
                "gemini",
                "allow users.ann@example.edu.endpoints.google.models",
            ),
            ("GUEST", &[], "ann@example.edu", "google", "other", "deny unlisted.role"),
            ("USER", &[], "bob@example.edu", "google", "gemini", "deny unlisted.endpoint"),
            ("USER", &[], id, "openAI", "o3", &by_id_allowed),
            ("USER", &[], id, "openAI", "gpt-4o-mini", &by_id_denied),
        ],
    );
    let both = Caller { user: id.into(), ..caller("USER", &[], "ann@example.edu") };
    let snapshot = policy(&text);
    assert_eq!(answer(&snapshot, &both, model("openAI", "o1")), "allow users.ann@example.edu.endpoints.openAI.models");
    assert_eq!(answer(&snapshot, &both, model("openAI", "o3")), by_id_allowed);
}

#[test]
fn what_is_not_named_follows_unlisted() {
    let text = |endpoint: &str, role: &str| {
        format!(
            "
unlisted: {{ endpoint: {endpoint}, role: {role} }}
roles:
  USER: {{ endpoints: {{ openAI: {{ models: [gpt-4o-mini] }} }} }}
users:
  ann@example.edu: {{ endpoints: {{ google: {{ models: [gemini] }} }} }}
"
        )
    };
    for (endpoint, role) in [("allow", "allow"), ("allow", "deny"), ("deny", "allow"), ("deny", "deny")] {
        let by_endpoint = format!("{endpoint} unlisted.endpoint");
        let by_role = format!("{role} unlisted.role");
        hold(
            &text(endpoint, role),
            &[
                ("USER", &[], "", "openAI", "gpt-4o", "deny roles.USER.endpoints.openAI.models"),
                ("USER", &[], "", "google", "gemini", &by_endpoint),
                ("GUEST", &[], "", "openAI", "gpt-4o", &by_role),
                ("GUEST", &[], "", "google", "gemini", &by_role),
                // A user's own list adds to what is allowed to all; it never becomes a limit.
                ("USER", &[], "ann@example.edu", "google", "other", &by_endpoint),
                (
                    "USER",
                    &[],
                    "ann@example.edu",
                    "google",
                    "gemini",
                    "allow users.ann@example.edu.endpoints.google.models",
                ),
            ],
        );
    }
}

#[test]
fn every_spelling_of_ollama_is_the_one_that_librechat_writes() {
    hold(
        "roles: { USER: { endpoints: { custom: { Ollama: { models: [llama3] } } } } }",
        &[
            ("USER", &[], "", "ollama", "llama3", "allow roles.USER.endpoints.custom.Ollama.models"),
            ("USER", &[], "", "Ollama", "llama3", "deny unlisted.endpoint"),
        ],
    );
}

#[test]
fn aliases_and_merge_keys_mean_what_they_repeat() {
    hold(
        "
roles:
  USER: &user { endpoints: &endpoints { openAI: &small { models: [gpt-4o-mini] } } }
  TRAINEE: *user
  GUEST: { endpoints: { <<: *endpoints, google: { models: [gemini] } } }
",
        &[
            ("TRAINEE", &[], "", "openAI", "gpt-4o-mini", "allow roles.TRAINEE.endpoints.openAI.models"),
            ("GUEST", &[], "", "openAI", "gpt-4o-mini", "allow roles.GUEST.endpoints.openAI.models"),
            ("GUEST", &[], "", "google", "gemini", "allow roles.GUEST.endpoints.google.models"),
        ],
    );
}

#[test]
fn all_targets_must_be_allowed_and_the_first_refused_one_decides() {
    let snapshot = policy("roles: { USER: { endpoints: { openAI: { models: [a, b] }, google: { models: [] } } } }");
    let user = caller("USER", &[], "");
    let ask = |targets: &[Target]| decide(&snapshot, &Ask { caller: &user, targets });

    let verdict = ask(&[]);
    assert_eq!((verdict.outcome, verdict.because.len()), (Outcome::Allow, 0), "a request that reaches no model passes");

    let verdict = ask(&[model("openAI", "a"), model("openAI", "b")]);
    assert_eq!((&verdict.outcome, verdict.because.len()), (&Outcome::Allow, 2), "one rule for each target");

    let verdict = ask(&[model("openAI", "a"), model("google", "x"), model("anthropic", "y")]);
    let reason = Reason::Model { endpoint: "google".into(), model: "x".into() };
    assert_eq!(verdict.outcome, Outcome::Deny(reason));
    assert_eq!(verdict.because, [RuleId::new("roles.USER.endpoints.google.models")]);
    assert!(!verdict.goes_on());
}

#[test]
fn shadow_mode_refuses_and_hides_nothing_but_says_so() {
    let snapshot = policy("mode: shadow\nroles: { USER: { endpoints: { openAI: { models: [a] } } } }");
    let user = caller("USER", &[], "");
    assert_eq!(answer(&snapshot, &user, model("openAI", "a")), "allow roles.USER.endpoints.openAI.models");
    assert_eq!(answer(&snapshot, &user, model("openAI", "b")), "shadowed roles.USER.endpoints.openAI.models");
    assert_eq!(answer(&snapshot, &user, Target::Surface(Surface::Agents)), "shadowed surface.agents");
    let verdict = decide(&snapshot, &Ask { caller: &user, targets: &[model("google", "x")] });
    assert!(verdict.goes_on());
    assert_eq!(verdict.outcome, Outcome::Shadowed(Reason::Model { endpoint: "google".into(), model: "x".into() }));
    let view = snapshot.view(&user);
    assert!(view.model("openAI", "b") && view.surface(Surface::Assistants) && view.everything());
}

#[test]
fn surfaces_are_open_only_to_callers_without_any_restriction() {
    let open = "unlisted: { endpoint: allow, role: allow }\n";
    for (text, role, groups, user, expected) in [
        ("roles: { ADMIN: { unrestricted: true } }", "ADMIN", &[][..], "", "allow roles.ADMIN.unrestricted"),
        ("groups: { g: { unrestricted: true } }", "USER", &["g"], "", "allow groups.g.unrestricted"),
        ("users: { a@b.c: { unrestricted: true } }", "USER", &[], "a@b.c", "allow users.a@b.c.unrestricted"),
        (
            "roles: { ADMIN: { unrestricted: true, endpoints: { openAI: { deny: [x] } } } }",
            "ADMIN",
            &[],
            "",
            "deny surface.agents",
        ),
        (
            "roles: { ADMIN: { unrestricted: true } }\ngroups: { g: { endpoints: { openAI: { deny: [x] } } } }",
            "ADMIN",
            &["g"],
            "",
            "deny surface.agents",
        ),
        ("roles: { USER: { endpoints: { openAI: { models: ['*'] } } } }", "USER", &[], "", "deny surface.agents"),
        ("", "USER", &[], "", "deny surface.agents"),
        (open, "USER", &["g"], "", "allow unlisted.role"),
        (&format!("{open}roles: {{ USER: }}"), "USER", &[], "", "allow unlisted.endpoint"),
        (
            &format!("{open}roles: {{ USER: {{ endpoints: {{ openAI: {{ models: [x] }} }} }} }}"),
            "USER",
            &[],
            "",
            "deny surface.agents",
        ),
        (
            &format!("{open}roles: {{ USER: {{ endpoints: {{ openAI: {{ models: ['*'] }} }} }} }}"),
            "USER",
            &[],
            "",
            "allow unlisted.endpoint",
        ),
        (
            &format!("{open}users: {{ a@b.c: {{ endpoints: {{ openAI: {{ deny: [x] }} }} }} }}"),
            "USER",
            &[],
            "a@b.c",
            "deny surface.agents",
        ),
        (
            &format!("{open}users: {{ a@b.c: {{ endpoints: {{ openAI: {{ models: [x] }} }} }} }}"),
            "USER",
            &[],
            "a@b.c",
            "allow unlisted.role",
        ),
    ] {
        let snapshot = policy(text);
        let caller = caller(role, groups, user);
        assert_eq!(answer(&snapshot, &caller, Target::Surface(Surface::Agents)), expected, "{text}");
        let view = snapshot.view(&caller);
        let is_open = expected.starts_with("allow");
        assert_eq!((view.surface(Surface::Assistants), view.everything()), (is_open, is_open), "{text}");
    }
}

#[test]
fn each_surface_has_its_rule() {
    let snapshot = policy("");
    for (surface, expected) in
        [(Surface::Agents, "deny surface.agents"), (Surface::Assistants, "deny surface.assistants")]
    {
        assert_eq!(answer(&snapshot, &caller("USER", &[], ""), Target::Surface(surface)), expected);
    }
}

#[test]
fn the_remote_api_is_open_to_all_or_closed_to_all() {
    let entries = "roles: { ADMIN: { unrestricted: true } }";
    for (text, expected) in [
        ("", "allow remote_api.enabled"),
        (entries, "allow remote_api.enabled"),
        ("remote_api: { enabled: true }", "allow remote_api.enabled"),
        ("remote_api: { enabled: false }", "deny remote_api.enabled"),
        (&format!("{entries}\nremote_api: {{ enabled: false }}"), "deny remote_api.enabled"),
        ("mode: shadow\nremote_api: { enabled: false }", "shadowed remote_api.enabled"),
    ] {
        let snapshot = policy(text);
        for role in ["USER", "ADMIN"] {
            let target = Target::Surface(Surface::RemoteApi);
            assert_eq!(answer(&snapshot, &caller(role, &[], ""), target), expected, "{role}: {text}");
        }
    }
}

#[test]
fn the_message_is_the_operators_or_a_general_one() {
    let snapshot = policy("messages: { model_denied: 'Ask for {model} of {endpoint}, {role}.' }");
    assert_eq!(snapshot.message_model_denied("openAI", "g{pt}\n4", "USER"), "Ask for g(pt)\u{fffd}4 of openAI, USER.");
    assert!(
        policy("").message_model_denied("openAI", "gpt-4o", "USER").starts_with("You do not have access to gpt-4o.")
    );
}

#[test]
fn the_message_of_a_reached_limit_is_the_operators_or_none() {
    let snapshot = policy("messages: { limit_reached: '{limit}: {amount} {window}. Back {resets_at}.' }");
    let told = snapshot.message_limit_reached("rpm", "60 requests", "per hour", "at {noon}\n");
    assert_eq!(told.as_deref(), Some("rpm: 60 requests per hour. Back at (noon)\u{fffd}."));
    assert_eq!(policy("").message_limit_reached("rpm", "", "", ""), None);
    let text = "version: 1\nmessages: { limit_reached: 'No {model}.' }";
    let report = compile(&[source("policy.yaml", text)]).unwrap_err();
    assert_eq!(report.faults().iter().map(|fault| fault.code).collect::<Vec<_>>(), ["bad-placeholder"]);
}

#[test]
fn files_are_one_policy() {
    let sources = [
        source(
            "a.yaml",
            "version: 1\nroles: { USER: { endpoints: { openAI: { models: [a] } } } }\nunlisted: { role: allow }\n",
        ),
        source(
            "b.yaml",
            "version: 1\ngroups: { g: { endpoints: { openAI: { models: [b] } } } }\nunlisted: { endpoint: allow }\n",
        ),
    ];
    let (snapshot, warnings) = compile(&sources).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(snapshot.counts(), Counts { files: 2, roles: 1, groups: 1, users: 0, limits: 0, prices: 0 });
    assert_eq!(
        answer(&snapshot, &caller("USER", &["g"], ""), model("openAI", "b")),
        "allow groups.g.endpoints.openAI.models"
    );
    assert_eq!(answer(&snapshot, &caller("GUEST", &[], ""), model("openAI", "b")), "allow unlisted.role");
    assert_eq!(answer(&snapshot, &caller("USER", &[], ""), model("google", "b")), "allow unlisted.endpoint");
}

#[test]
fn the_revision_is_a_hash_of_what_the_files_say() {
    let revision = |sources: &[Source]| compile(sources).unwrap().0.revision().to_owned();
    let one = revision(&[source("a.yaml", "version: 1\n")]);
    assert_eq!(one.len(), 12);
    assert!(one.chars().all(|c| c.is_ascii_hexdigit()));
    assert_eq!(one, revision(&[source("/elsewhere/b.yaml", "version: 1\n")]), "the place does not count");
    assert_ne!(one, revision(&[source("a.yaml", "version: 1 \n")]));
    assert_ne!(
        revision(&[source("a.yaml", "version: 1\n#ab"), source("b.yaml", "version: 1\n")]),
        revision(&[source("a.yaml", "version: 1\n#a"), source("b.yaml", "bversion: 1\n".trim_start_matches('b'))]),
    );
}

#[test]
fn a_snapshot_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Snapshot>();
}

#[test]
fn an_answer_that_is_to_come_is_allowed_a_thousand_tokens_unless_the_policy_says_otherwise() {
    for (text, allowance) in [
        ("", 1_000),
        ("turns: { strict_output: 8k }", 1_000),
        ("turns: { output_allowance: 1 }", 1),
        ("turns: { output_allowance: 2.5k }", 2_500),
        ("turns: { output_allowance: 1M }", 1_000_000),
    ] {
        assert_eq!(policy(text).output_allowance(), allowance, "{text}");
    }
}
