//! Every fault: its code, its place, its words. And that all of them come at once.

use super::*;
use crate::report::{Report, Severity};

/// What is wrong with one file, as `code line:column`.
fn faults(text: &str) -> Vec<String> {
    let report = match compile(&[source("p.yaml", text)]) {
        Ok((_, warnings)) => warnings,
        Err(report) => report,
    };
    listed(&report)
}

pub(super) fn listed(report: &Report) -> Vec<String> {
    let place = |fault: &crate::report::Fault| {
        fault.place.as_ref().map_or(String::new(), |place| format!(" {}:{}", place.line, place.column))
    };
    report.faults().into_iter().map(|fault| format!("{}{}", fault.code, place(fault))).collect()
}

/// Faults of a file, by what it says after `version: 1`.
const CASES: &[(&str, &[&str])] = &[
    // What YAML itself forbids.
    ("roles: [", &["bad-yaml 2:8"]),
    ("roles: {}\n---\nroles: {}", &["bad-yaml 4:1"]),
    ("roles: !secret {}", &["bad-yaml 2:16"]),
    ("roles: *nobody", &["bad-yaml 2:8"]),
    ("roles: {}\nroles: {}", &["duplicate-key 3:1"]),
    ("roles: { USER: {}, USER: {} }", &["duplicate-key 2:20"]),
    // The shape.
    ("roles:", &["wrong-type 2:6"]),
    ("roles: [USER]", &["wrong-type 2:8"]),
    ("roles: { USER: all }", &["wrong-type 2:16"]),
    ("roles: { USER: { endpoints: openAI } }", &["wrong-type 2:29"]),
    ("roles: { USER: { endpoints: { openAI: [a] } } }", &["wrong-type 2:39"]),
    ("roles: { USER: { endpoints: { openAI: { models: a } } } }", &["wrong-type 2:49"]),
    (
        "roles: { USER: { endpoints: { openAI: { models: [1, true, [a], a] } } } }",
        &["wrong-type 2:50", "wrong-type 2:53", "wrong-type 2:59"],
    ),
    ("roles: { USER: { endpoints: { custom: [] } } }", &["wrong-type 2:39"]),
    ("roles: { USER: { unrestricted: 'yes' } }", &["wrong-type 2:32"]),
    ("messages: { model_denied: 1 }", &["wrong-type 2:27"]),
    ("rols: {}", &["unknown-key 2:1"]),
    ("roles: { USER: { endpoint: {} } }", &["unknown-key 2:18"]),
    ("roles: { USER: { endpoints: { openAI: { model: [a] } } } }", &["unknown-key 2:41"]),
    ("unlisted: { model: deny }", &["unknown-key 2:13"]),
    ("messages: { denied: x }", &["unknown-key 2:13"]),
    ("blocked: [ann@example.edu]", &["wrong-type 2:10"]),
    ("blocked: {}", &["says-nothing 2:1"]),
    ("blocked: { users: [] }", &["says-nothing 2:12"]),
    ("blocked: { roles: [USER] }", &["unknown-key 2:12"]),
    ("blocked: { users: ann@example.edu }", &["wrong-type 2:19"]),
    ("blocked: { users: [ann] }", &["user-key 2:20"]),
    // What looks like somebody and is nobody would block nobody.
    ("blocked: { users: ['*@example.edu'] }", &["wildcard-in-name 2:20"]),
    ("blocked: { users: ['65f0c1d2*'] }", &["wildcard-in-name 2:20"]),
    ("blocked: { users: ['Ann <ann@example.edu>'] }", &["user-key 2:20"]),
    ("blocked: { users: ['<ann@example.edu>'] }", &["user-key 2:20"]),
    ("blocked: { users: ['ann@example.edu bob@example.edu'] }", &["user-key 2:20"]),
    ("blocked: { users: ['ann@example.edu,bob@example.edu'] }", &["user-key 2:20"]),
    ("blocked: { users: ['@example.edu'] }", &["user-key 2:20"]),
    ("blocked: { users: ['ann@'] }", &["user-key 2:20"]),
    ("blocked: { users: [ann@example.edu, 65F0C1D2E3A4B5C6D7E8F901, o'neil+x@a-b.example.edu] }", &[]),
    ("blocked: { users: [ann@example.edu, Ann@Example.edu] }", &["duplicate-model 2:37"]),
    ("blocked: { groups: [a, a] }", &["duplicate-model 2:24"]),
    ("blocked: { groups: ['a*'] }", &["wildcard-in-name 2:21"]),
    ("blocked: { groups: [''] }", &["empty-name 2:21"]),
    ("email_domains: example.edu", &["wrong-type 2:16"]),
    ("email_domains: []", &["says-nothing 2:1"]),
    ("email_domains: ['*']", &["bad-domain 2:17"]),
    ("email_domains: ['@example.edu']", &["bad-domain 2:17"]),
    ("email_domains: ['']", &["bad-domain 2:17"]),
    ("email_domains: [example..edu]", &["bad-domain 2:17"]),
    ("email_domains: [exa mple.edu]", &["bad-domain 2:17"]),
    ("email_domains: ['*example.edu']", &["bad-domain 2:17"]),
    ("email_domains: ['a.*.edu']", &["bad-domain 2:17"]),
    ("email_domains: [münchen.de]", &["bad-domain 2:17"]),
    ("email_domains: [-example.edu]", &["bad-domain 2:17"]),
    ("email_domains: [example.edu, Example.EDU]", &["duplicate-model 2:30"]),
    ("email_domains: ['*.example.edu', a.example.edu]", &["redundant-model 2:34"]),
    ("email_domains: ['*.a.example.edu', '*.example.edu']", &["redundant-model 2:17"]),
    ("email_domains: [example.edu]\nusers: { ann@example.com: { unrestricted: true } }", &["shut-out 3:10"]),
    (
        "blocked: { users: [65f0c1d2e3a4b5c6d7e8f901] }\nusers: { 65F0C1D2E3A4B5C6D7E8F901: { unrestricted: true } }",
        &["shut-out 3:10"],
    ),
    ("blocked: { groups: [a] }\ngroups: { a: { unrestricted: true } }", &["shut-out 3:11"]),
    ("remote_api: false", &["wrong-type 2:13"]),
    ("remote_api: { enabled: 'no' }", &["wrong-type 2:24"]),
    ("remote_api: { enable: false }", &["unknown-key 2:15"]),
    ("remote_api: {}", &["says-nothing 2:1"]),
    ("turns: 1k", &["wrong-type 2:8"]),
    ("turns: {}", &["says-nothing 2:1"]),
    ("turns: { allowance: 1k }", &["unknown-key 2:10"]),
    ("turns: { output_allowance: many }", &["limit-amount 2:28"]),
    ("turns: { output_allowance: -1 }", &["limit-amount 2:28"]),
    ("turns: { output_allowance: 0 }", &["bad-value 2:28"]),
    ("turns: { strict_output: 0 }", &["bad-value 2:25"]),
    ("turns: { strict_output: 2M }", &["bad-value 2:25"]),
    ("turns: { output_allowance: 1.000001M }", &["bad-value 2:28"]),
    ("turns: { output_allowance: 1M }", &[]),
    ("mode: shdow", &["bad-value 2:7"]),
    ("mode: Enforce", &["bad-value 2:7"]),
    ("mode:", &["bad-value 2:1"]),
    ("unlisted: { endpoint: true, role: maybe }", &["bad-value 2:23", "bad-value 2:35"]),
    ("assistants: true", &["wrong-type 2:13"]),
    ("assistants: { enabled: 'yes' }", &["wrong-type 2:24"]),
    ("assistants: { enable: true }", &["unknown-key 2:15"]),
    ("user_keys: true", &["bad-value 2:12"]),
    ("user_keys: { deny: true }", &["bad-value 2:12"]),
    ("system_models: deny", &["wrong-type 2:16"]),
    ("system_models: { titles: deny, speech: denied }", &["unknown-key 2:18", "bad-value 2:40"]),
    (
        "roles: { USER: { endpoints: { assistants: { models: [a] }, agents: { models: [agent_a] } } } }",
        &["stays-closed 2:31"],
    ),
    (
        "assistants: { enabled: true }\nroles: { USER: { endpoints: { assistants: { models: [a] }, agents: { models: [agent_a] } } } }",
        &[],
    ),
    ("prices: { librechat: yes }", &["wrong-type 2:22"]),
    ("prices: { librechat: { input: 1, output: 1 } }", &["wrong-type 2:22"]),
    ("roles: { USER: { unrestricted: true, mode: off } }", &["bad-value 2:44"]),
    // Mappings of claims.
    ("role_mapping: { claim: a }", &["wrong-type 2:15"]),
    ("role_mapping:", &["wrong-type 2:1"]),
    ("role_mapping: []", &["empty-mapping 2:1"]),
    ("group_mapping: []", &["empty-mapping 2:1"]),
    ("role_mapping: [admin]", &["wrong-type 2:16"]),
    ("role_mapping: [{ claim: a, token: id, has: b }]", &["missing-key 2:16"]),
    ("group_mapping: [{}]", &["missing-key 2:17", "missing-key 2:17"]),
    ("group_mapping: [{ claim: a, token: refresh }]", &["bad-value 2:36"]),
    ("group_mapping: [{ claim: a, token: ID }]", &["bad-value 2:36"]),
    ("group_mapping: [{ claim: a, token: id, has: b }]", &["unknown-key 2:40"]),
    ("role_mapping: [{ claim: a, token: id, has: true, role: b }]", &["wrong-type 2:44"]),
    (
        "role_mapping: [{ claim: '', token: id, has: '', role: '' }]",
        &["empty-name 2:25", "empty-name 2:45", "empty-name 2:55"],
    ),
    ("group_mapping: [{ claim: a..b, token: id }]", &["bad-name 2:26"]),
    ("group_mapping: [{ claim: .a, token: id, strip: ' x' }]", &["bad-name 2:26", "bad-name 2:48"]),
    (
        "roles: { R: { unrestricted: true } }\nrole_mapping: [{ claim: a, token: id, has: 'x*', role: R }]",
        &["wildcard-in-name 3:44"],
    ),
    ("role_mapping: [{ claim: a, token: id, has: x, role: 'R*' }]", &["wildcard-in-name 2:53"]),
    ("role_mapping: [{ claim: a, token: id, has: x, role: R }]", &["role-without-entry 2:53"]),
    (
        "roles: { r: { unrestricted: true } }\nrole_mapping: [{ claim: a, token: id, has: x, role: R }]",
        &["role-without-entry 3:53"],
    ),
    ("unlisted: { role: allow }\nrole_mapping: [{ claim: a, token: id, has: x, role: R }]", &[]),
    (
        "roles: { R: { unrestricted: true }, S: { unrestricted: true } }\n\
         role_mapping: [{ claim: a, token: id, has: x, role: R }, { claim: a, token: id, has: x, role: S }]",
        &["defined-twice 3:67"],
    ),
    (
        "group_mapping: [{ claim: a, token: id }, { claim: a, token: access }, { claim: a, token: id }, { claim: a, token: id, strip: b }]",
        &["defined-twice 2:80"],
    ),
    // Names.
    ("roles: { '': { unrestricted: true } }", &["empty-name 2:10"]),
    ("roles: { 'USER ': { unrestricted: true } }", &["bad-name 2:10"]),
    ("groups: { \"a\\0b\": { unrestricted: true } }", &["bad-name 2:11"]),
    ("groups: { \"a\\u200bb\": { unrestricted: true } }", &["bad-name 2:11"]),
    ("roles: { '*': { unrestricted: true } }", &["wildcard-in-name 2:10"]),
    ("groups: { 'team-*': { unrestricted: true } }", &["wildcard-in-name 2:11"]),
    ("users: { '*@b.c': { unrestricted: true } }", &["wildcard-in-name 2:10"]),
    ("users: { ann: { unrestricted: true } }", &["user-key 2:10"]),
    ("users: { 'Ann <ann@b.c>': { unrestricted: true } }", &["user-key 2:10"]),
    ("users: { A@b.c: { unrestricted: true }, a@b.c: { unrestricted: true } }", &["defined-twice 2:41"]),
    ("roles: { USER: { endpoints: { openai: { models: [a] } } } }", &["unknown-endpoint 2:31"]),
    ("roles: { USER: { endpoints: { MindRoom: { models: [a] } } } }", &["unknown-endpoint 2:31"]),
    ("roles: { USER: { endpoints: { '*': { models: [a] } } } }", &["wildcard-in-name 2:31"]),
    ("roles: { USER: { endpoints: { custom: { openAI: { models: [a] } } } } }", &["builtin-under-custom 2:41"]),
    (
        "roles: { USER: { endpoints: { custom: { ' x': { models: [a] }, '': { models: [a] } } } } }",
        &["bad-name 2:41", "empty-name 2:64"],
    ),
    (
        "roles: { USER: { endpoints: { custom: { Ollama: { models: [a] }, ollama: { models: [a] } } } } }",
        &["defined-twice 2:66"],
    ),
    // Lists.
    (
        "roles: { USER: { endpoints: { openAI: { models: ['', ' a', \"b\\t\"] } } } }",
        &["empty-name 2:50", "bad-name 2:54", "bad-name 2:60"],
    ),
    ("roles: { USER: { endpoints: {} } }", &["empty-endpoints 2:18"]),
    ("roles: { USER: { endpoints: { custom: {} } } }", &["empty-endpoints 2:18"]),
    ("unlisted: { endpoint: allow }\nroles: { USER: { endpoints: {} } }", &[]),
    ("roles: { USER: { endpoints: { openAI: {} } } }", &["allows-nothing 2:10", "endpoint-says-nothing 2:31"]),
    ("roles: { USER: { endpoints: { openAI: { models: [a], deny: [] } } } }", &["empty-deny 2:54"]),
    ("users: { a@b.c: { endpoints: { openAI: { models: [] } } } }", &["allows-nothing 2:10", "hides-nothing 2:42"]),
    (
        "roles: { USER: { unrestricted: true, endpoints: { openAI: { models: [a] } } } }",
        &["unrestricted-with-models 2:61"],
    ),
    ("roles: { USER: { unrestricted: false, endpoints: { openAI: { models: [a] } } } }", &[]),
    ("roles: { USER: { unrestricted: true, endpoints: { openAI: { deny: [a] } } } }", &[]),
    ("roles: { USER: { endpoints: { openAI: { models: [a, b, a] } } } }", &["duplicate-model 2:56"]),
    ("roles: { USER: { endpoints: { openAI: { models: [b], deny: [a, a] } } } }", &["duplicate-model 2:64"]),
    (
        "roles: { USER: { endpoints: { openAI: { models: ['*', a, 'b*'] } } } }",
        &["redundant-model 2:55", "redundant-model 2:58"],
    ),
    ("roles: { USER: { endpoints: { openAI: { models: ['a**'] } } } }", &["redundant-model 2:50"]),
    (
        "roles: { USER: { endpoints: { openAI: { models: ['gpt-*-preview', o1, a], deny: ['*-preview', o1] } } } }",
        &["unreachable 2:50", "unreachable 2:67"],
    ),
    ("roles: { USER: { endpoints: { openAI: { models: ['gpt-*'], deny: ['*-preview'] } } } }", &[]),
    // Warnings.
    ("roles: { USER: {} }", &["allows-nothing 2:10"]),
    ("roles: { USER: { endpoints: { openAI: { models: [] } } } }", &["allows-nothing 2:10"]),
    ("roles: { USER: { endpoints: { openAI: { deny: [a] } } } }", &["allows-nothing 2:10"]),
    ("groups: { g: {} }", &["allows-nothing 2:11"]),
    ("groups: { g: { endpoints: { openAI: { deny: [a] } } } }", &[]),
    ("unlisted: { endpoint: allow }\nroles: { USER: }", &[]),
    (
        "roles: { USER: { endpoints: { openAI: { models: [a] }, assistants: { models: [a] } } } }",
        &["stays-closed 2:56"],
    ),
    (
        "roles: { USER: { endpoints: { openAI: { models: [a] }, agents: { models: [agent_x, gpt-4o, 'agent_*'] } } } }",
        &["not-an-agent 2:84"],
    ),
    ("groups: { g: { endpoints: { agents: { models: [] } } } }", &[]),
    ("users: { a@b.c: { endpoints: { agents: { models: [] } } } }", &[]),
    ("roles: { USER: { endpoints: { agents: { models: [agent_x] } } } }", &["allows-nothing 2:10"]),
    // Tools and agents.
    ("groups: { g: { tools: { deny: [dalle] } } }", &[]),
    ("roles: { USER: { tools: { deny: [dalle] } } }", &["allows-nothing 2:10"]),
    ("groups: { g: { tools: {} } }", &["says-nothing 2:16"]),
    ("groups: { g: { tools: [dalle] } }", &["wrong-type 2:23"]),
    ("groups: { g: { tools: { allow: dalle } } }", &["wrong-type 2:32"]),
    ("groups: { g: { tools: { models: [a] } } }", &["unknown-key 2:25"]),
    ("groups: { g: { tools: { deny: [] } } }", &["empty-deny 2:25"]),
    ("groups: { g: { tools: { allow: [a, a] } } }", &["duplicate-model 2:36"]),
    ("groups: { g: { tools: { allow: ['*', a] } } }", &["redundant-model 2:38"]),
    ("groups: { g: { tools: { allow: ['', ' a'] } } }", &["empty-name 2:33", "bad-name 2:37"]),
    ("groups: { g: { tools: { allow: [dalle], deny: ['d*'] } } }", &["unreachable 2:33"]),
    ("groups: { g: { unrestricted: true, tools: { allow: [a] } } }", &["unrestricted-with-models 2:45"]),
    ("groups: { g: { unrestricted: true, tools: { deny: [a] } } }", &[]),
    ("agents: { parameters: { allow: [seed] }, tools: { deny: [dalle, '*_mcp_x'] } }", &[]),
    ("agents: { parameters: {} }", &["says-nothing 2:11"]),
    ("agents: { tools: {} }", &["says-nothing 2:11"]),
    ("agents: { parameters: { allow: [] } }", &["says-nothing 2:25"]),
    ("agents: { tools: { deny: [] } }", &["empty-deny 2:20"]),
    ("agents: { tools: { allow: [a] } }", &["unknown-key 2:20"]),
    ("agents: { parameters: { deny: [a] } }", &["unknown-key 2:25"]),
    ("agents: { models: [a] }", &["unknown-key 2:11"]),
    ("agents: []", &["wrong-type 2:9"]),
    (
        "agents: { parameters: { allow: ['*', 'a*'] } }",
        &["wildcard-in-name 2:33", "redundant-model 2:38", "wildcard-in-name 2:38"],
    ),
    (
        "agents: { parameters: { allow: [modelKwargs, FALLBACKS, model] } }",
        &["harmful-parameter 2:33", "harmful-parameter 2:46", "harmful-parameter 2:57"],
    ),
    // Limits.
    ("limits: [{ id: a, requests: 60, per: user, window: 1m }]", &[]),
    ("limits: none", &["wrong-type 2:9"]),
    ("limits: []", &["says-nothing 2:1"]),
    ("limits: [a]", &["wrong-type 2:10"]),
    ("groups: { g: { limits: all } }", &["wrong-type 2:24"]),
    ("groups: { g: { limits: none } }", &[]),
    ("limits: [{}]", &["limit-measure 2:10", "missing-key 2:10", "missing-key 2:10"]),
    ("limits: [{ id: a, request: 60, per: user, window: 1m }]", &["unknown-key 2:19"]),
    ("limits: [{ id: a, requests: 60, per: user }]", &["limit-without-window 2:10"]),
    ("limits: [{ requests: 60, window: 1m }]", &["missing-key 2:10", "missing-key 2:10"]),
    ("limits: [{ id: a, per: user, window: 1m }]", &["limit-measure 2:10"]),
    ("limits: [{ id: a, requests: 60, tokens: 9, per: user, window: 1m }]", &["limit-measure 2:33"]),
    ("limits: [{ id: a, concurrent: 2, per: user }]", &[]),
    ("limits: [{ id: a, concurrent: 2, per: user, window: 1m }]", &["limit-window 2:53"]),
    ("limits: [{ id: a, concurrent: 2, per: user, timezone: UTC }]", &["limit-window 2:55"]),
    ("limits: [{ id: a, requests: 60, per: user, window: 1m, timezone: UTC }]", &["limit-window 2:66"]),
    ("limits: [{ id: a, requests: 60, per: user, window: 0s }]", &["limit-window 2:52"]),
    ("limits: [{ id: a, requests: 60, per: user, window: 60 }]", &["limit-window 2:52"]),
    ("limits: [{ id: a, requests: 60, per: user, window: year }]", &["limit-window 2:52"]),
    ("limits: [{ id: a, requests: 60, per: user, window: }]", &["limit-window 2:44"]),
    ("limits: [{ id: a, requests: 60, per: user, window: day, timezone: Mars/Base }]", &["unknown-timezone 2:67"]),
    ("limits: [{ id: a, requests: 60, per: user, window: day, timezone: europe/berlin }]", &["unknown-timezone 2:67"]),
    ("limits: [{ id: a, requests: 60, per: user, window: day, timezone: Asia/Kathmandu }]", &[]),
    ("limits: [{ id: a, requests: -1, per: user, window: 1m }]", &["limit-amount 2:29"]),
    ("limits: [{ id: a, requests: 1.5, per: user, window: 1m }]", &["limit-amount 2:29"]),
    ("limits: [{ id: a, requests: 0, per: user, window: 1m }]", &[]),
    ("limits: [{ id: a, tokens: lots, per: user, window: 1m }]", &["limit-amount 2:27"]),
    ("limits: [{ id: a, tokens: [9], per: user, window: 1m }]", &["limit-amount 2:27"]),
    ("limits: [{ id: a, cost: 100, per: user, window: day }]", &["limit-amount 2:25"]),
    ("limits: [{ id: a, cost: 100 EUR, per: user, window: day }]", &["limit-amount 2:25"]),
    ("limits: [{ id: a, cost: -5 USD, per: user, window: day }]", &["limit-amount 2:25"]),
    ("limits: [{ id: 'a:b', requests: 1, per: user, window: day }]", &["limit-id 2:16"]),
    ("limits: [{ id: '', requests: 1, per: user, window: day }]", &["limit-id 2:16"]),
    ("limits: [{ id: 1, requests: 1, per: user, window: day }]", &["wrong-type 2:16"]),
    (
        "limits: [{ id: a, requests: 1, per: user, window: day }]\ngroups: { g: { limits: [{ id: a, tokens: 1, per: group, window: day }] } }",
        &["defined-twice 2:16"],
    ),
    ("limits: [{ id: a, requests: 1, per: users, window: day }]", &["bad-value 2:37"]),
    ("limits: [{ id: a, requests: 1, per: role, window: day }]", &["limit-per 2:37"]),
    ("groups: { g: { limits: [{ id: a, requests: 1, per: global, window: day }] } }", &["limit-per 2:52"]),
    ("users: { a@b.c: { limits: [{ id: a, requests: 1, per: group, window: day }] } }", &["limit-per 2:55"]),
    (
        "unlisted: { endpoint: allow }\nroles: { R: { limits: [{ id: a, requests: 1, per: group, window: day }] } }",
        &["limit-per 3:51"],
    ),
    ("limits: [{ id: a, requests: 1, per: user, window: day, models: [] }]", &["empty-scope 2:56"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, endpoints: [] }]", &["empty-scope 2:56"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, models: [x, x] }]", &["duplicate-model 2:68"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, models: o1 }]", &["wrong-type 2:64"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, endpoints: [openai] }]", &["unknown-endpoint 2:68"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, endpoints: [custom] }]", &["unknown-endpoint 2:68"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, endpoints: ['*'] }]", &["wildcard-in-name 2:68"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, endpoints: [MindRoom, openAI] }]", &[]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, strict: true }]", &["limit-strict 2:64"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, strict: false }]", &[]),
    ("limits: [{ id: a, tokens: 1, per: user, window: day, strict: true }]", &[]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, warn_at: 0 }]", &["limit-amount 2:65"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, warn_at: 101 }]", &["limit-amount 2:65"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, mode: off }]", &["bad-value 2:62"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, on_failure: allow }]", &["bad-value 2:68"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, on_failure: {} }]", &["says-nothing 2:56"]),
    ("limits: [{ id: a, requests: 1, per: user, window: day, on_failure: { share: 5 } }]", &["unknown-key 2:70"]),
    (
        "limits: [{ id: a, requests: 1, per: user, window: day, on_failure: { local_share: x } }]",
        &["limit-amount 2:83"],
    ),
    (
        "limits: [{ id: a, requests: 5, per: user, window: 1m }, { id: b, requests: 5, per: user, window: 60s }]",
        &["unreachable-limit 2:63"],
    ),
    (
        "limits: [{ id: a, requests: 9, per: user, window: day }, { id: b, requests: 5, per: user, window: month }]",
        &["unreachable-limit 2:16"],
    ),
    ("limits: [{ id: a, requests: 4, per: user, window: day }, { id: b, requests: 5, per: user, window: month }]", &[]),
    (
        "limits: [{ id: a, requests: 9, per: user, window: week }, { id: b, requests: 5, per: user, window: month }]",
        &[],
    ),
    ("limits: [{ id: a, requests: 9, per: user, window: 1m }, { id: b, requests: 5, per: global, window: 1m }]", &[]),
    (
        "limits: [{ id: a, requests: 9, per: user, window: 1m }, { id: b, requests: 5, per: user, window: 1m, mode: shadow }]",
        &[],
    ),
    (
        "limits: [{ id: a, requests: 9, per: user, window: 1m, models: [x] }, { id: b, requests: 5, per: user, window: 1m }]",
        &[],
    ),
    (
        "limits: [{ id: a, requests: 1, per: user, window: day }]\nmode: no\ngroups: { g: { limits: [{ id: a }] } }",
        &["bad-value 3:7", "limit-measure 4:25", "missing-key 4:25"],
    ),
    (
        "roles: { USER: { endpoints: { openAI: { models: [gpt-4o, 'o1*'] } }, limits: [\
         { id: a, requests: 1, per: user, window: day, models: [gtp-4o, o1-mini, 'o*', gpt-5], endpoints: [openAI, google] }] } }",
        &["unreachable-limit 2:134", "unreachable-limit 2:157", "unreachable-limit 2:185"],
    ),
    (
        "roles: { USER: { endpoints: { openAI: { models: [a] } } } }\ngroups: { g: { unrestricted: true } }\n\
         limits: [{ id: a, requests: 1, per: user, window: day, models: [b] }]",
        &[],
    ),
    (
        "roles: { USER: { endpoints: { openAI: { models: [a] } } }, ADMIN: { unrestricted: true, limits: none } }\n\
         limits: [{ id: a, requests: 1, per: user, window: day, models: [b] }]",
        &["unreachable-limit 3:65"],
    ),
    // Prices.
    ("prices: []", &["wrong-type 2:9"]),
    ("prices: {}", &["says-nothing 2:1"]),
    ("prices: { a: 5 }", &["wrong-type 2:14"]),
    ("prices: { a: { input: 1, output: 2 }, default: { input: 0, output: 0.0 } }", &[]),
    ("prices: { a: { input: 1 } }", &["missing-key 2:11"]),
    ("prices: { default: {} }", &["missing-key 2:11", "missing-key 2:11"]),
    ("prices: { a: { input: 1, ouput: 2 } }", &["unknown-key 2:26"]),
    ("prices: { a: { input: -1, output: -0.5 } }", &["bad-price 2:23", "bad-price 2:35"]),
    ("prices: { a: { input: 1e3, output: x } }", &["bad-price 2:23", "bad-price 2:36"]),
    ("prices: { a: { input: '1', output: 1000000.1 } }", &["bad-price 2:23", "bad-price 2:36"]),
    ("prices: { a: { input: 0.1234567, output: 0.123456 } }", &["bad-price 2:23"]),
    ("prices: { a: { input: 1, output: }, '': { input: 1, output: 2 } }", &["bad-price 2:26", "empty-name 2:37"]),
    ("prices: { 'openai|a': { input: 1, output: 2 } }", &["unknown-endpoint 2:11"]),
    (
        "prices: { '|a': { input: 1, output: 2 }, 'x|': { input: 1, output: 2 } }",
        &["empty-name 2:11", "empty-name 2:42"],
    ),
    (
        "prices: { '*|a': { input: 1, output: 2 }, 'a**': { input: 1, output: 2 } }",
        &["wildcard-in-name 2:11", "redundant-model 2:43"],
    ),
    ("prices: { 'X|a': { input: 1, output: 2 }, 'x|a': { input: 1, output: 2 } }", &["defined-twice 2:43"]),
    ("limits: [{ id: a, cost: 5 USD, per: global, window: day }]", &[]),
    (
        "roles: { USER: { endpoints: { openAI: { models: [a, b, 'c-*'] } } } }\n\
         limits: [{ id: l, cost: 5 USD, per: global, window: day }]\n\
         prices: { a: { input: 1, output: 2 }, 'google|b': { input: 1, output: 2 }, c-1: { input: 1, output: 2 } }",
        &["without-price 2:53", "without-price 2:56"],
    ),
    (
        "roles: { USER: { endpoints: { openAI: { models: [a, b] } } } }\n\
         limits: [{ id: l, cost: 5 USD, per: global, window: day }]\nprices: { a: { input: -1, output: 2 }, '*': { input: 1 } }",
        &["bad-price 4:23", "missing-key 4:40"],
    ),
    (
        "roles: { USER: { unrestricted: true, limits: [{ id: l, cost: 5 USD, per: user, window: day }] } }",
        &["without-price 2:56"],
    ),
    // Defaults.
    ("defaults: []", &["wrong-type 2:11"]),
    ("defaults: { group: {} }", &["unknown-key 2:13"]),
    ("defaults: { user: {} }", &["says-nothing 2:13"]),
    ("defaults: { user: { rpm: 5 } }", &["unknown-key 2:21"]),
    ("defaults: { user: { requests_per_minute: 5, tokens_per_minute: -1 } }", &["limit-amount 2:64"]),
    ("defaults: { user: { budget: 5 USD } }", &["wrong-type 2:29"]),
    ("defaults: { user: { budget: { cost: 5 USD } } }", &["missing-key 2:21"]),
    ("defaults: { user: { budget: { cost: 5 USD, window: 30d, timezone: UTC } } }", &["limit-window 2:67"]),
    ("defaults: { user: { budget: { cost: 5 USD, window: month, per: user } } }", &["unknown-key 2:59"]),
    (
        "roles: { R: { unrestricted: true } }\ndefaults: { user: { budget: { cost: 5 USD, window: month } } }",
        &["without-price 3:21"],
    ),
    // Messages.
    ("messages: { model_denied: '{modle}' }", &["bad-placeholder 2:27"]),
    ("messages: { model_denied: '' }", &["bad-placeholder 2:27"]),
];

#[test]
fn every_fault_has_its_code_and_place() {
    let mut wrong = String::new();
    for (text, expected) in CASES {
        let found = faults(&format!("version: 1\n{text}\n"));
        if found != *expected {
            wrong.push_str(&format!("{text}\n  has {found:?}\n  not {expected:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_version_must_be_there_and_known() {
    for (text, expected) in [
        ("", "version-missing 0:0"),
        ("# nothing", "version-missing 0:0"),
        ("roles: {}", "version-missing 0:0"),
        ("version: 2", "version-unknown 1:10"),
        ("version: '1'", "version-unknown 1:10"),
        ("version:", "version-unknown 1:1"),
        ("[version]", "wrong-type 1:1"),
    ] {
        assert!(faults(text).contains(&expected.to_owned()), "{text}: {:?}", faults(text));
    }
}

#[test]
fn sizes_and_aliases_are_bounded() {
    let large = format!("version: 1\n#{}", "x".repeat(tree::LARGEST_FILE));
    assert_eq!(faults(&large), ["too-large 0:0"]);
    let mut bomb = "version: 1\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..9 {
        let list = format!("*a{}, ", i - 1).repeat(10);
        bomb.push_str(&format!("a{i}: &a{i} [{list}]\n"));
    }
    assert!(faults(&bomb)[0].starts_with("too-large "), "{:?}", faults(&bomb));
    let deep = format!("version: 1\nroles: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    let found = faults(&deep);
    assert!(found[0].starts_with("too-large ") || found[0].starts_with("bad-yaml "), "{found:?}");
}

#[test]
fn every_code_is_unique_kebab_case_and_has_a_case() {
    let read_elsewhere = [codes::UNREADABLE, codes::NO_FILES, codes::SUB_DIRECTORY, codes::CASE_FAILED];
    let tested_here = [
        codes::VERSION_MISSING,
        codes::VERSION_UNKNOWN,
        codes::TOO_LARGE,
        codes::BAD_DEFAULT,
        codes::TOO_MANY_LIMITS,
        codes::MANY_LIMITS,
        codes::OVERRIDE_LIMIT,
        codes::NOT_NAMED,
    ];
    let mut seen = std::collections::HashSet::new();
    for (code, description) in codes::ALL {
        assert!(seen.insert(code), "{code} is there twice");
        assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{code}");
        assert!(description.trim().ends_with('.'), "{code}: {description}");
        let tables = [CASES, super::cases::FILES, super::cases::CASES];
        let has_case = tables
            .into_iter()
            .flatten()
            .flat_map(|(_, faults)| *faults)
            .any(|fault| fault.split(' ').next() == Some(code));
        assert!(has_case || read_elsewhere.contains(code) || tested_here.contains(code), "{code} has no case");
    }
}

#[test]
fn warnings_are_described_as_such() {
    for (text, _) in CASES {
        let report = match compile(&[source("p.yaml", &format!("version: 1\n{text}\n"))]) {
            Ok((_, warnings)) => warnings,
            Err(report) => report,
        };
        for fault in report.faults() {
            let (_, description) = codes::ALL.iter().find(|(code, _)| *code == fault.code).expect("the code is listed");
            assert_eq!(fault.severity == Severity::Warning, description.contains("Warning:"), "{}", fault.code);
            assert!(
                !fault.message.ends_with('.') && !fault.message.starts_with(char::is_uppercase),
                "{}",
                fault.message
            );
        }
    }
}

#[test]
fn a_broken_file_does_not_hide_the_faults_of_the_others() {
    let report = compile(&[
        source("a.yaml", "version: 1\nroles: ["),
        source("b.yaml", "version: 1\nrols: {}\nmode: x\nroles: { USER: {} }\n"),
        source("c.yaml", "groups: { g: { endpoints: { openai: { models: [a, a] } } } }\n"),
    ])
    .unwrap_err();
    // Whether USER allows anything depends on a setting that may stand in a.yaml, so nothing is said about it.
    assert_eq!(
        listed(&report),
        [
            "bad-yaml 2:8",
            "unknown-key 2:1",
            "bad-value 3:7",
            "version-missing 0:0",
            "unknown-endpoint 1:29",
            "duplicate-model 1:51",
        ]
    );
    assert_eq!(report.summary(), "6 faults in 3 files");
}

#[test]
fn what_two_files_define_names_both_places() {
    let report = compile(&[
        source("a.yaml", "version: 1\nmode: shadow\nroles:\n  USER: { unrestricted: true }\n"),
        source("b.yaml", "version: 1\nmode: shadow\nroles:\n\n  USER: { unrestricted: true }\n"),
    ])
    .unwrap_err();
    let expected = "\
error[defined-twice]: the setting \"mode\" is defined twice, first at a.yaml:2:7
 --> b.yaml:2:7
  |
2 | mode: shadow
  |       ^^^^^^
  |
 ::: a.yaml:2:7
  |
2 | mode: shadow
  |       ------ first defined here
  |
  = help: remove one of the two, or write both as one

error[defined-twice]: role \"USER\" is defined twice, first at a.yaml:4:3
 --> b.yaml:5:3
  |
5 |   USER: { unrestricted: true }
  |   ^^^^
  |
 ::: a.yaml:4:3
  |
4 |   USER: { unrestricted: true }
  |   ---- first defined here
  |
  = help: remove one of the two, or write both as one

2 faults in 1 file
";
    assert_eq!(report.render_human(false), expected);
}

#[test]
fn faults_are_drawn_where_they_are_with_what_to_do() {
    let text = "\
version: 1
roles:
  USER:
    endpoints:
      openai:
        models: [gpt-4o, 'gpt-*-preview']
        deny: ['*-preview']
      MindRoom: { models: [mindroom-basic] }
    mode: shadwo
messages: { model_denied: 'Ask for {modle}' }
";
    let report = compile(&[source("policies/p.yaml", text)]).unwrap_err();
    let expected = "\
error[unknown-endpoint]: there is no built-in endpoint \"openai\"
 --> policies/p.yaml:5:7
  |
5 |       openai:
  |       ^^^^^^
  |
  = help: did you mean \"openAI\"?

error[unreachable]: \"gpt-*-preview\" is never allowed: \"*-preview\" denies all of it
 --> policies/p.yaml:6:26
  |
6 |         models: [gpt-4o, 'gpt-*-preview']
  |                          ^^^^^^^^^^^^^^^
  |
  = help: remove one of the two; a denial always wins

error[unknown-endpoint]: there is no built-in endpoint \"MindRoom\"
 --> policies/p.yaml:8:7
  |
8 |       MindRoom: { models: [mindroom-basic] }
  |       ^^^^^^^^
  |
  = help: if it is a custom endpoint, put it under \"custom:\"; built in are openAI, azureOpenAI, google, anthropic, bedrock, assistants, azureAssistants, agents

error[bad-value]: \"mode\" must be enforce or shadow
 --> policies/p.yaml:9:11
  |
9 |     mode: shadwo
  |           ^^^^^^
  |
  = help: did you mean \"shadow\"?

error[bad-placeholder]: unknown placeholder \"modle\"
  --> policies/p.yaml:10:27
   |
10 | messages: { model_denied: 'Ask for {modle}' }
   |                           ^^^^^^^^^^^^^^^^^
   |
   = help: did you mean {model}?

5 faults in 1 file
";
    assert_eq!(report.render_human(false), expected);
}

#[test]
fn a_fault_in_an_alias_is_blamed_on_what_it_repeats() {
    let text = "roles:\n  A: { endpoints: { openAI: &x { models: [a, a] } } }\n  B: { endpoints: { openAI: *x } }\n";
    assert_eq!(faults(&format!("version: 1\n{text}")), ["duplicate-model 3:46", "duplicate-model 3:46"]);
}

#[test]
fn faults_of_yaml_itself_are_said_in_one_plain_sentence() {
    for (text, expected) in [
        ("roles: [", "unclosed bracket '['"),
        ("roles: {}\n---\nroles: {}", "the file has more than one document"),
        ("roles: !secret {}", "a policy has no tag \"!secret\""),
        ("roles: *nobody", "this alias repeats an anchor that is not there"),
        ("roles: &x [*x]", "this alias repeats something that it is a part of"),
        ("roles: { <<: 1 }", "\"<<\" can merge mappings only"),
        ("? [a]\n: b", "a key must be plain text"),
        ("~: x", "a key must be plain text"),
        ("mode: !!int x", "the value does not fit its tag"),
        ("mode: a: b", "mapping values are not allowed in this context"),
        ("mode: \"a", "invalid indentation in multiline quoted scalar"),
        ("roles: {}\nroles: {}", "the key \"roles\" stands twice in the same mapping"),
    ] {
        let report = compile(&[source("p.yaml", &format!("version: 1\n{text}\n"))]).unwrap_err();
        let said: Vec<_> = report.faults().iter().map(|fault| fault.message.as_str()).collect();
        assert_eq!(said, [expected], "{text}");
        assert!(report.faults()[0].help.is_some(), "{text}");
    }
}
