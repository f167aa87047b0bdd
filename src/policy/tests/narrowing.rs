//! What narrows: tools by their names, agents by their ids, and all that an agent runs.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

fn tool(name: &str) -> Target {
    Target::Tool(Tool::Named(name.into()))
}

fn server(name: &str) -> Target {
    Target::Tool(Tool::Ending(format!("_mcp_{name}").into()))
}

fn part(part: Part) -> Target {
    Target::Agent { agent: "agent_x".into(), part }
}

fn member(endpoint: &str, model: &str) -> Target {
    part(Part::Model { endpoint: endpoint.into(), model: model.into() })
}

fn unjudged() -> Target {
    part(Part::Unjudged(Unjudged { code: "agent.parameters", detail: "modelKwargs".into() }))
}

/// A role that may use one model, with more in its entry, and sections after it.
fn limited(more: &str, sections: &str) -> Snapshot {
    policy(&format!("roles: {{ USER: {{ endpoints: {{ openAI: {{ models: [mini] }} }}{more} }} }}\n{sections}"))
}

#[test]
fn tools_are_allowed_until_a_list_says_otherwise() {
    let user = caller("USER", &["g"], "a@b.c");
    let both = "groups: { g: { tools: { allow: [web_search] } } }\nusers: { a@b.c: { tools: { allow: [flux] } } }";
    for (more, sections, name, expected) in [
        ("", "", "dalle", "allow tools"),
        (", tools: { deny: [dalle] }", "", "dalle", "deny roles.USER.tools.deny"),
        (", tools: { deny: [dalle] }", "", "flux", "allow tools"),
        (", tools: { deny: ['da*'] }", "", "dalle", "deny roles.USER.tools.deny"),
        (", tools: { allow: [flux] }", "", "flux", "allow roles.USER.tools.allow"),
        (", tools: { allow: [flux] }", "", "dalle", "deny roles.USER.tools.allow"),
        (", tools: { allow: [] }", "", "flux", "deny roles.USER.tools.allow"),
        // Case and white space count.
        (", tools: { deny: [dalle] }", "", "Dalle", "allow tools"),
        // A group's list stands in for the role's; a user's is added; both without regard to models.
        (", tools: { allow: [dalle] }", both, "web_search", "allow groups.g.tools.allow"),
        (", tools: { allow: [dalle] }", both, "flux", "allow users.a@b.c.tools.allow"),
        (", tools: { allow: [dalle] }", both, "dalle", "deny groups.g.tools.allow"),
        (
            ", tools: { allow: [dalle] }",
            "groups: { g: { tools: { deny: [x] } } }",
            "dalle",
            "allow roles.USER.tools.allow",
        ),
        // A denial wins wherever it stands.
        (", tools: { deny: [flux] }", both, "flux", "deny roles.USER.tools.deny"),
        ("", "agents: { tools: { deny: [flux] } }", "flux", "deny agents.tools.deny"),
        (", tools: { allow: [flux] }", "agents: { tools: { deny: ['*'] } }", "flux", "deny agents.tools.deny"),
    ] {
        let snapshot = limited(more, sections);
        assert!(snapshot.limits_tools() || (more, sections) == ("", ""), "{more} {sections}");
        assert_eq!(answer(&snapshot, &user, tool(name)), expected, "{name}: {more} {sections}");
        let of_agent = part(Part::Tool(Tool::Named(name.into())));
        assert_eq!(answer(&snapshot, &user, of_agent), expected, "{name} of an agent: {more} {sections}");
    }
}

#[test]
fn unrestricted_lifts_lists_of_tools_but_no_denial() {
    let text = "roles: { ADMIN: { unrestricted: true, tools: { deny: [dalle] } } }
groups: { g: { tools: { allow: [flux] } } }
agents: { tools: { deny: [sd] } }";
    let (snapshot, admin) = (policy(text), caller("ADMIN", &["g"], ""));
    for (name, expected) in [
        ("web_search", "allow roles.ADMIN.unrestricted"),
        ("dalle", "deny roles.ADMIN.tools.deny"),
        ("sd", "deny agents.tools.deny"),
    ] {
        assert_eq!(answer(&snapshot, &admin, tool(name)), expected, "{name}");
    }
}

#[test]
fn a_whole_server_is_denied_with_any_of_its_tools_and_allowed_with_all() {
    let user = caller("USER", &[], "");
    for (lists, expected) in [
        ("deny: ['*_mcp_github']", "deny roles.USER.tools.deny"),
        ("deny: [delete_mcp_github]", "deny roles.USER.tools.deny"),
        // It could have a tool of such a name.
        ("deny: ['delete*']", "deny roles.USER.tools.deny"),
        ("deny: ['*hub']", "deny roles.USER.tools.deny"),
        ("deny: ['*_mcp_gitlab']", "allow tools"),
        ("deny: [dalle]", "allow tools"),
        ("allow: ['*_mcp_github']", "allow roles.USER.tools.allow"),
        ("allow: ['*hub']", "allow roles.USER.tools.allow"),
        ("allow: ['*']", "allow roles.USER.tools.allow"),
        ("allow: [search_mcp_github]", "deny roles.USER.tools.allow"),
        ("allow: ['search*_mcp_github']", "deny roles.USER.tools.allow"),
        ("allow: ['sys__all__sys_mcp_github']", "deny roles.USER.tools.allow"),
    ] {
        let snapshot = limited(&format!(", tools: {{ {lists} }}"), "");
        assert_eq!(answer(&snapshot, &user, server("github")), expected, "{lists}");
    }
}

#[test]
fn what_an_agent_runs_is_judged_like_what_a_chat_names() {
    let (snapshot, user) = (limited("", ""), caller("USER", &[], ""));
    assert_eq!(answer(&snapshot, &user, part(Part::Itself)), "allow agents");
    assert_eq!(answer(&snapshot, &user, member("openAI", "mini")), "allow roles.USER.endpoints.openAI.models");
    assert_eq!(answer(&snapshot, &user, member("openAI", "dear")), "deny roles.USER.endpoints.openAI.models");
    assert_eq!(answer(&snapshot, &user, member("google", "mini")), "deny unlisted.endpoint");
    let verdict = decide(&snapshot, &Ask { caller: &user, targets: &[part(Part::Itself), member("openAI", "dear")] });
    let reason = Reason::Agent {
        agent: "agent_x".into(),
        part: Part::Model { endpoint: "openAI".into(), model: "dear".into() },
    };
    assert_eq!(verdict.outcome, Outcome::Deny(reason), "the reason names the agent that was named");
}

#[test]
fn what_cannot_be_judged_is_for_those_whom_nothing_limits() {
    for (text, expected) in [
        ("roles: { USER: { unrestricted: true } }", "allow roles.USER.unrestricted"),
        ("roles: { USER: { unrestricted: true, tools: { deny: [dalle] } } }", "deny agent.parameters"),
        ("roles: { USER: { unrestricted: true } }\nagents: { tools: { deny: [dalle] } }", "deny agent.parameters"),
        ("unlisted: { endpoint: allow, role: allow }", "allow unlisted.role"),
        (
            "unlisted: { endpoint: allow, role: allow }\nroles: { USER: { tools: { allow: [dalle] } } }",
            "deny agent.parameters",
        ),
        ("roles: { USER: { endpoints: { openAI: { models: ['*'] } } } }", "deny agent.parameters"),
        ("", "deny agent.parameters"),
        ("mode: shadow", "shadowed agent.parameters"),
    ] {
        let snapshot = policy(text);
        assert_eq!(answer(&snapshot, &caller("USER", &[], ""), unjudged()), expected, "{text}");
    }
    // The same for the parts of LibreChat that use tools; agents that are only written are judged when they are used.
    let snapshot = policy("roles: { USER: { unrestricted: true, tools: { deny: [dalle] } } }");
    for (surface, expected) in [
        (Surface::Agents, "allow roles.USER.unrestricted"),
        (Surface::RemoteApi, "allow remote_api.enabled"),
        (Surface::Assistants, "deny surface.assistants"),
    ] {
        assert_eq!(answer(&snapshot, &caller("USER", &[], ""), Target::Surface(surface)), expected);
    }
}

#[test]
fn a_custom_endpoint_of_an_agent_is_judged_under_every_spelling_of_it() {
    let open = "unlisted: { endpoint: allow, role: allow }\n";
    let snapshot =
        policy(&format!("{open}roles: {{ USER: {{ endpoints: {{ custom: {{ xai: {{ deny: [grok] }} }} }} }} }}"));
    let user = caller("USER", &[], "");
    for (endpoint, model, expected) in [
        ("xai", "grok", "deny roles.USER.endpoints.custom.xai.deny"),
        ("XAI", "grok", "deny roles.USER.endpoints.custom.xai.deny"),
        ("XAI", "other", "allow unlisted.endpoint"),
        ("yai", "grok", "allow unlisted.endpoint"),
    ] {
        assert_eq!(answer(&snapshot, &user, member(endpoint, model)), expected, "{endpoint} {model}");
    }
    // A chat names its endpoint exactly: another spelling is another endpoint, which LibreChat does not have.
    assert_eq!(answer(&snapshot, &user, model("XAI", "grok")), "allow unlisted.endpoint");
}

#[test]
fn agents_are_listed_by_their_ids() {
    let group = "groups: { g: { endpoints: { agents: { models: [agent_x] } } } }";
    for (endpoints, sections, groups, expected, shown) in [
        ("", "", &[][..], "allow agents", true),
        (", agents: { models: [] }", "", &[], "deny roles.USER.endpoints.agents.models", false),
        (", agents: { deny: ['*'] }", "", &[], "deny roles.USER.endpoints.agents.deny", false),
        (", agents: { deny: [agent_x] }", "", &[], "deny roles.USER.endpoints.agents.deny", true),
        (", agents: { models: [agent_x] }", "", &[], "allow roles.USER.endpoints.agents.models", true),
        (", agents: { models: [agent_y] }", "", &[], "deny roles.USER.endpoints.agents.models", true),
        (", agents: { models: [] }", group, &["g"], "allow groups.g.endpoints.agents.models", true),
        (", agents: { models: [] }", group, &["h"], "deny roles.USER.endpoints.agents.models", false),
    ] {
        let text =
            format!("roles: {{ USER: {{ endpoints: {{ openAI: {{ models: [mini] }}{endpoints} }} }} }}\n{sections}");
        let (snapshot, user) = (policy(&text), caller("USER", groups, ""));
        assert_eq!(answer(&snapshot, &user, part(Part::Itself)), expected, "{text}");
        assert_eq!(snapshot.view(&user).agents(), shown, "{text}");
        // A list of agents gives no models and takes none.
        assert_eq!(
            answer(&snapshot, &user, member("openAI", "mini")),
            "allow roles.USER.endpoints.openAI.models",
            "{text}"
        );
    }
    assert!(
        policy("mode: shadow\nroles: { USER: { endpoints: { agents: { models: [] } } } }")
            .view(&caller("USER", &[], ""))
            .agents()
    );
}

#[test]
fn parameters_are_those_that_the_policy_adds() {
    assert_eq!(policy("").agent_parameters(), [] as [Box<str>; 0]);
    let snapshot = policy("agents: { parameters: { allow: [service_tier, seed] } }");
    assert_eq!(snapshot.agent_parameters(), [Box::from("service_tier"), Box::from("seed")]);
    let twice = [
        source("a.yaml", "version: 1\nagents: { parameters: { allow: [seed] }, tools: { deny: [a] } }\n"),
        source("b.yaml", "version: 1\nagents: { parameters: { allow: [user] }, tools: { deny: [b] } }\n"),
    ];
    let report = compile(&twice).unwrap_err().to_string();
    for setting in ["agents.parameters.allow", "agents.tools.deny"] {
        assert!(report.contains(&format!("\"{setting}\" is defined twice, first at a.yaml:2")), "{report}");
    }
}

#[test]
fn tools_are_explained() {
    let text = "roles: { USER: { unrestricted: false, endpoints: { openAI: { models: [mini] } }, tools: { allow: [a], deny: [b] } } }
groups: { g: { tools: { allow: [c] } } }
agents: { tools: { deny: [d] } }";
    let rows = |groups: &[&str]| {
        let explained = explain::explain(&policy(text), &caller("USER", groups, ""));
        let about = explained.statements.into_iter().filter(|statement| statement.subject == explain::Subject::Tools);
        about.map(|row| format!("{:?} {} {}", row.effect, row.models.join(","), row.rule)).collect::<Vec<_>>()
    };
    let denied = ["Denies b roles.USER.tools.deny", "Denies d agents.tools.deny"];
    assert_eq!(rows(&[]), [&denied[..], &["Allows a roles.USER.tools.allow"]].concat());
    let stands_in = ["Allows c groups.g.tools.allow", "Unused a roles.USER.tools.allow"];
    assert_eq!(rows(&["g"]), [&denied[..], &stands_in].concat());
}

#[test]
fn a_list_of_agents_is_unused_only_where_a_group_has_one() {
    let text = "roles: { USER: { endpoints: { agents: { models: [agent_x] }, openAI: { models: [mini] } } } }
groups: { g: { endpoints: { openAI: { models: [small] } } }, h: { endpoints: { agents: { models: [] } } } }";
    let row = |groups: &[&str]| {
        let explained = explain::explain(&policy(text), &caller("USER", groups, ""));
        let mut rows = explained.statements.into_iter();
        rows.find(|row| row.rule.as_str() == "roles.USER.endpoints.agents.models").map(|row| row.effect)
    };
    for (groups, effect) in
        [(&[][..], explain::Effect::Allows), (&["g"], explain::Effect::Allows), (&["h"], explain::Effect::Unused)]
    {
        assert_eq!(row(groups), Some(effect), "{groups:?}");
    }
}

/// What an entry says of tools: its allowed and its denied ones.
type Lists = (Option<Vec<String>>, Option<Vec<String>>);

const PATTERNS: [&str; 6] = ["a", "b", "c_mcp_s", "*_mcp_s", "a*", "*"];
const TOOLS: [&str; 5] = ["a", "b", "c_mcp_s", "d_mcp_s", "other"];

fn list(smallest: usize) -> impl Strategy<Value = Vec<String>> {
    btree_set(proptest::sample::select(&PATTERNS[..]), smallest..3).prop_map(|set| {
        // The star alone, where it is: beside it all else would be a fault.
        if set.contains("*") { vec!["*".to_owned()] } else { set.into_iter().map(str::to_owned).collect() }
    })
}

fn lists() -> impl Strategy<Value = Lists> {
    (option::weighted(0.6, list(0)), option::weighted(0.3, list(1))).prop_map(|(allow, deny)| {
        let reachable = |name: &String| !deny.iter().flatten().any(|deny| pattern::covers(deny, name));
        (allow.map(|allow| allow.into_iter().filter(reachable).collect()), deny)
    })
}

fn entries(names: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<&'static str, Lists>> {
    btree_map(proptest::sample::select(names), lists(), 0..=names.len())
}

fn written(entries: &BTreeMap<&'static str, Lists>) -> serde_json::Value {
    let entry = |(allow, deny): &Lists| {
        let lists = [("allow", allow), ("deny", deny)].into_iter();
        let tools: serde_json::Map<_, _> =
            lists.filter_map(|(key, list)| Some((key.to_owned(), list.clone()?.into()))).collect();
        if tools.is_empty() { serde_json::json!({}) } else { serde_json::json!({"tools": tools}) }
    };
    entries.iter().map(|(name, lists)| ((*name).to_owned(), entry(lists))).collect::<serde_json::Map<_, _>>().into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Against the sentences of `policies/README.md`, tried out one after another.
    #[test]
    fn tools_follow_the_page(
        roles in entries(&["USER"]), groups in entries(&["g", "h"]), users in entries(&["a@b.c"]),
        global in option::weighted(0.3, list(1)), member_of in vec(proptest::sample::select(&["g", "h"][..]), 0..3),
    ) {
        let mut text = serde_json::json!({
            "version": 1, "unlisted": {"endpoint": "allow", "role": "allow"},
            "roles": written(&roles), "groups": written(&groups), "users": written(&users),
        });
        if let Some(global) = &global {
            text["agents"] = serde_json::json!({"tools": {"deny": global}});
        }
        let text = text.to_string();
        let snapshot = compile(&[source("p.yaml", &text)]).unwrap_or_else(|report| panic!("{report}\n{text}")).0;
        let caller = caller("USER", &member_of, "a@b.c");
        let mine: Vec<&Lists> = member_of.iter().filter_map(|group| groups.get(group)).collect();
        let all: Vec<&Lists> = users.values().chain(mine.iter().copied()).chain(roles.values()).collect();
        for name in TOOLS {
            let on = |list: &Vec<String>| list.iter().any(|pattern| pattern::covers(pattern, name));
            let denied = all.iter().filter_map(|lists| lists.1.as_ref()).chain(&global).any(on);
            let of_groups: Vec<_> = mine.iter().filter_map(|lists| lists.0.as_ref()).collect();
            let base = if of_groups.is_empty() { roles.values().filter_map(|lists| lists.0.as_ref()).collect() } else { of_groups };
            let counting: Vec<_> = users.values().filter_map(|lists| lists.0.as_ref()).chain(base).collect();
            let expected = !denied && (counting.is_empty() || counting.into_iter().any(on));
            let verdict = decide(&snapshot, &Ask { caller: &caller, targets: &[tool(name)] });
            prop_assert_eq!(verdict.goes_on(), expected, "{} in {}", name, text);
        }
        // A whole server is never allowed where one of its tools is not.
        let whole = decide(&snapshot, &Ask { caller: &caller, targets: &[server("s")] });
        let tools = ["c_mcp_s", "d_mcp_s"].map(tool);
        prop_assert!(!whole.goes_on() || decide(&snapshot, &Ask { caller: &caller, targets: &tools }).goes_on(), "{text}");
    }

    /// An agent is refused exactly if some member is, whatever the order.
    #[test]
    fn an_agent_is_refused_if_and_only_if_a_member_is(models in vec(proptest::sample::select(&["mini", "small", "dear"][..]), 0..6)) {
        let snapshot = policy("roles: { USER: { endpoints: { openAI: { models: [mini, small] } } } }");
        let caller = caller("USER", &[], "");
        let targets: Vec<Target> =
            std::iter::once(part(Part::Itself)).chain(models.iter().map(|model| member("openAI", model))).collect();
        let verdict = decide(&snapshot, &Ask { caller: &caller, targets: &targets });
        prop_assert_eq!(verdict.goes_on(), !models.contains(&"dear"));
    }
}
