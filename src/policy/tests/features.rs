//! What a policy opens and closes as a whole: assistants, keys of one's own, speech.

use super::explain::{explain, explain_model};
use super::*;

const LISTS: &str = "\
roles:
  USER: { endpoints: { assistants: { models: [mini, 'dear-*'], deny: [dear-x] }, openAI: { models: [gpt] } } }
  EMPTY: { endpoints: { assistants: { models: [] } } }
  NEARLY: { unrestricted: true, endpoints: { assistants: { deny: [dear-x] } } }
  CLOSED: { unrestricted: true, endpoints: { assistants: { deny: ['*'] } } }
  ADMIN: { unrestricted: true }
users: { a@b.c: { endpoints: { azureAssistants: { models: [azure] } } } }
";

fn assistant(endpoint: &str, model: &str) -> Target {
    Target::Assistant { endpoint: endpoint.into(), model: model.into() }
}

#[test]
fn assistants_are_judged_model_by_model_once_the_policy_opens_them() {
    let list = "roles.USER.endpoints.assistants.models";
    for (role, user, endpoint, model, closed, opened) in [
        ("USER", "", "assistants", "mini", "deny surface.assistants", format!("allow {list}")),
        ("USER", "", "assistants", "dear-y", "deny surface.assistants", format!("allow {list}")),
        ("USER", "", "assistants", "other", "deny surface.assistants", format!("deny {list}")),
        ("USER", "", "assistants", "mini ", "deny surface.assistants", format!("deny {list}")),
        (
            "USER",
            "",
            "assistants",
            "dear-x",
            "deny surface.assistants",
            "deny roles.USER.endpoints.assistants.deny".to_owned(),
        ),
        // Azure's are another endpoint, and openAI's models are not those of assistants.
        ("USER", "", "azureAssistants", "mini", "deny surface.assistants", "deny unlisted.endpoint".to_owned()),
        ("USER", "", "assistants", "gpt", "deny surface.assistants", format!("deny {list}")),
        (
            "USER",
            "a@b.c",
            "azureAssistants",
            "azure",
            "deny surface.assistants",
            "allow users.a@b.c.endpoints.azureAssistants.models".to_owned(),
        ),
        ("NEARLY", "", "assistants", "mini", "deny surface.assistants", "allow roles.NEARLY.unrestricted".to_owned()),
        (
            "NEARLY",
            "",
            "assistants",
            "dear-x",
            "deny surface.assistants",
            "deny roles.NEARLY.endpoints.assistants.deny".to_owned(),
        ),
        (
            "ADMIN",
            "",
            "assistants",
            "dear-x",
            "allow roles.ADMIN.unrestricted",
            "allow roles.ADMIN.unrestricted".to_owned(),
        ),
    ] {
        let caller = caller(role, &[], user);
        for (setting, expected) in [
            ("", closed),
            ("assistants: { enabled: false }\n", closed),
            ("assistants: {}\n", closed),
            ("assistants: { enabled: true }\n", opened.as_str()),
        ] {
            let snapshot = compile(&[source("p.yaml", &format!("version: 1\n{setting}{LISTS}"))]).unwrap().0;
            assert_eq!(answer(&snapshot, &caller, assistant(endpoint, model)), expected, "{setting}{role} {model}");
            let said = explain_model(&snapshot, &caller, endpoint, model);
            assert_eq!(said.is_denied(), expected.starts_with("deny"), "explain agrees: {setting}{role} {model}");
            assert_eq!(snapshot.view(&caller).judges_assistants(), setting.contains("true") && role != "ADMIN");
        }
    }
}

#[test]
fn assistants_stay_closed_to_whom_a_tool_may_be_denied() {
    // The tools of an assistant are stored at the provider: nobody here knows them.
    for limit in ["agents: { tools: { deny: [web_search] } }\n", "groups: { g: { tools: { deny: [dalle] } } }\n"] {
        let snapshot = policy(&format!("assistants: {{ enabled: true }}\n{limit}{LISTS}"));
        let user = caller("USER", &["g"], "");
        assert_eq!(answer(&snapshot, &user, assistant("assistants", "mini")), "deny surface.assistants", "{limit}");
        assert!(!snapshot.view(&user).surface(Surface::Assistants), "{limit}");
    }
}

#[test]
fn the_surface_itself_stays_closed_to_who_is_limited() {
    let snapshot = policy(&format!("assistants: {{ enabled: true }}\n{LISTS}"));
    let user = caller("USER", &[], "");
    assert_eq!(answer(&snapshot, &user, Target::Surface(Surface::Assistants)), "deny surface.assistants");
    assert!(snapshot.view(&user).surface(Surface::Assistants), "the catalogue shows what is judged by its models");
    assert!(!policy(LISTS).view(&user).surface(Surface::Assistants));
    let rules: Vec<_> = explain(&snapshot, &user).statements.iter().map(|said| said.rule.to_string()).collect();
    assert!(rules.contains(&"assistants.enabled".to_owned()), "{rules:?}");
}

#[test]
fn an_endpoint_is_open_if_any_model_of_it_may_be() {
    let snapshot = policy(&format!("assistants: {{ enabled: true }}\n{LISTS}"));
    let closed = policy(LISTS);
    let without = policy(
        "roles: { USER: { endpoints: { agents: { models: [] } } }, SOME: { endpoints: { agents: { models: [agent_x] } } } }",
    );
    for (snapshot, role, user, endpoint, expected) in [
        (&snapshot, "USER", "", "openAI", "allow roles.USER.endpoints.openAI.models"),
        (&snapshot, "USER", "", "google", "deny unlisted.endpoint"),
        (&snapshot, "USER", "", "assistants", "allow roles.USER.endpoints.assistants.models"),
        (&snapshot, "USER", "", "azureAssistants", "deny unlisted.endpoint"),
        (&snapshot, "USER", "a@b.c", "azureAssistants", "allow users.a@b.c.endpoints.azureAssistants.models"),
        (&snapshot, "EMPTY", "", "assistants", "deny roles.EMPTY.endpoints.assistants.models"),
        (&snapshot, "NEARLY", "", "assistants", "allow roles.NEARLY.unrestricted"),
        (&snapshot, "CLOSED", "", "assistants", "deny roles.CLOSED.endpoints.assistants.deny"),
        (&snapshot, "NOBODY", "", "openAI", "deny unlisted.role"),
        (&snapshot, "USER", "", "agents", "allow agents"),
        (&without, "USER", "", "agents", "deny roles.USER.endpoints.agents.models"),
        (&without, "SOME", "", "agents", "allow roles.SOME.endpoints.agents.models"),
        (&snapshot, "ADMIN", "", "agents", "allow roles.ADMIN.unrestricted"),
        (&closed, "USER", "", "assistants", "deny surface.assistants"),
        (&closed, "ADMIN", "", "assistants", "allow roles.ADMIN.unrestricted"),
    ] {
        let answered = answer(snapshot, &caller(role, &[], user), Target::Endpoint(endpoint.into()));
        assert_eq!(answered, expected, "{role} {user} {endpoint}");
    }
}

#[test]
fn keys_and_speech_are_open_unless_the_policy_closes_them() {
    for (feature, setting, rule) in [
        (Feature::UserKeys, "user_keys: deny\n", "user_keys"),
        (Feature::Speech, "system_models: { speech: deny }\n", "system_models.speech"),
    ] {
        let open = policy(LISTS);
        let closed = policy(&format!("{setting}{LISTS}"));
        let shadow = policy(&format!("mode: shadow\n{setting}{LISTS}"));
        let target = || Target::Feature(feature);
        for role in ["USER", "NEARLY", "NOBODY"] {
            let caller = caller(role, &[], "");
            assert_eq!(answer(&open, &caller, target()), format!("allow {rule}"), "{role}");
            assert_eq!(answer(&closed, &caller, target()), format!("deny {rule}"), "{role}");
            assert_eq!(answer(&shadow, &caller, target()), format!("shadowed {rule}"), "{role}");
        }
        let admin = caller("ADMIN", &[], "");
        assert_eq!(answer(&closed, &admin, target()), "allow roles.ADMIN.unrestricted");
    }
}
