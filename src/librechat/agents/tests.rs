//! Documents of the captures, documents that nobody should have written, and graphs.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::policy::words::{Part, Tool};

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        other => panic!("not a document: {other}"),
    }
}

/// An agent `agent_<name>` that runs the model of the same name.
fn agent(name: &str, rest: Value) -> Fields {
    let mut agent = fields(json!({"id": format!("agent_{name}"), "provider": "openAI", "model": name, "tools": []}));
    agent.extend(fields(rest));
    agent
}

fn read(rest: Value) -> Result<Agent, Unjudged> {
    Agent::read(&agent("x", rest), &[])
}

/// Follows an agent through these documents, and how many questions that took.
fn follow(first: &str, documents: &[Fields]) -> (Vec<Part>, usize) {
    let mut closure = Closure::of(first);
    let mut questions = 0;
    while !closure.wanted().is_empty() {
        questions += 1;
        let found: Vec<Fields> = documents
            .iter()
            .filter(|document| closure.wanted().iter().any(|id| document["id"] == **id))
            .cloned()
            .collect();
        closure.take(&found, &[]);
    }
    (closure.parts(), questions)
}

fn model(model: &str) -> Part {
    Part::Model { endpoint: "openAI".into(), model: model.into() }
}

/// The code of the part that cannot be judged.
fn fault(parts: &[Part]) -> Option<&'static str> {
    parts.iter().find_map(|part| match part {
        Part::Unjudged(unjudged) => Some(unjudged.code),
        _ => None,
    })
}

#[test]
fn captured_agents_are_read() {
    let captured: Vec<Value> = serde_json::from_str(include_str!("../../../tests/captures/mongo/agents.json")).unwrap();
    let read: Vec<_> = captured
        .into_iter()
        .map(|document| Agent::read(&fields(document), &[]).unwrap())
        .map(|agent| (agent.id.to_string(), format!("{}|{}", agent.endpoint, agent.model), agent.next))
        .collect();
    let four = Box::<str>::from("agent_3jQ3rziVxJnmR5ZaSC0E0");
    let edges = "agent_CQR3f0jzgHjoOVQSE-t3J";
    assert_eq!(
        read,
        [
            (edges.to_owned(), "openAI|gpt-4o-mini".to_owned(), vec![edges.into(), four.clone()]),
            ("agent_2e0dWO0UHx4Fs39weJxgy".to_owned(), "openAI|gpt-4o-mini".to_owned(), vec![four]),
            ("agent_KSanA-HAksc9ySO-iSa2B".to_owned(), "MindRoom|mindroom-pro".to_owned(), vec![]),
        ]
    );
}

#[test]
fn every_way_to_another_agent_is_found() {
    for (rest, expected) in [
        (json!({"edges": [{"from": "agent_a", "to": "agent_b"}]}), vec!["agent_a", "agent_b"]),
        (
            json!({"edges": [{"from": ["agent_a", "agent_b"], "to": ["agent_c"]}]}),
            vec!["agent_a", "agent_b", "agent_c"],
        ),
        (json!({"edges": [{"from": ["agent_a"]}, {"to": "agent_b"}]}), vec!["agent_a", "agent_b"]),
        (json!({"agent_ids": ["agent_a"]}), vec!["agent_a"]),
        (json!({"agent_ids": "agent_a"}), vec!["agent_a"]),
        // LibreChat follows these only while sub-agents are enabled; who enables them must not enable a model.
        (json!({"subagents": {"enabled": false, "agent_ids": ["agent_a"]}}), vec!["agent_a"]),
        (json!({"subagents": {"agent_ids": "agent_a", "allowSelf": true}}), vec!["agent_a"]),
        (json!({"edges": null, "agent_ids": null, "subagents": null}), vec![]),
        (json!({"edges": [{}], "agent_ids": [""], "subagents": {}}), vec![]),
    ] {
        let next = read(rest.clone()).unwrap().next;
        assert_eq!(next.iter().map(|id| &**id).collect::<Vec<_>>(), expected, "{rest}");
    }
}

#[test]
fn a_document_of_other_types_is_not_judged() {
    for (rest, code) in [
        (json!({"id": 5}), DOCUMENT),
        (json!({"id": ["agent_x"]}), DOCUMENT),
        (json!({"id": ""}), DOCUMENT),
        (json!({"edges": {}}), DOCUMENT),
        (json!({"edges": "agent_a"}), DOCUMENT),
        (json!({"edges": ["agent_a"]}), DOCUMENT),
        (json!({"edges": [{"to": 5}]}), DOCUMENT),
        (json!({"edges": [{"to": [["agent_a"]]}]}), DOCUMENT),
        (json!({"edges": [{"from": {"id": "agent_a"}}]}), DOCUMENT),
        (json!({"agent_ids": {"0": "agent_a"}}), DOCUMENT),
        (json!({"agent_ids": [5]}), DOCUMENT),
        (json!({"agent_ids": [" agent_a"]}), DOCUMENT),
        (json!({"subagents": ["agent_a"]}), DOCUMENT),
        (json!({"subagents": {"agent_ids": 5}}), DOCUMENT),
        (json!({"tools": "dalle"}), DOCUMENT),
        (json!({"tools": [{"name": "dalle"}]}), DOCUMENT),
        (json!({"artifacts": true}), DOCUMENT),
        (json!({"skills": {}}), DOCUMENT),
        (json!({"skills_enabled": "true"}), DOCUMENT),
        (json!({"model": null}), MODEL),
        (json!({"model": ["gpt-4o"]}), MODEL),
        (json!({"model": {"$oid": "6b012e6509cc968f8a92904c"}}), MODEL),
        (json!({"model": ""}), MODEL),
        (json!({"model": "gpt-4o "}), MODEL),
        (json!({"provider": null}), PROVIDER),
        (json!({"provider": ["openAI"]}), PROVIDER),
        (json!({"provider": ""}), PROVIDER),
        (json!({"provider": "agents"}), PROVIDER),
        (json!({"provider": "Agents"}), PROVIDER),
        (json!({"provider": "assistants"}), PROVIDER),
        (json!({"provider": "azureAssistants"}), PROVIDER),
    ] {
        assert_eq!(read(rest.clone()).unwrap_err().code, code, "{rest}");
    }
    for field in ["id", "provider", "model"] {
        let mut document = agent("x", json!({}));
        document.remove(field);
        assert!(Agent::read(&document, &[]).is_err(), "without {field}");
    }
}

#[test]
fn a_provider_is_the_endpoint_that_librechat_takes_it_for() {
    for (provider, endpoint) in [
        ("openAI", "openAI"),
        ("OPENAI", "openAI"),
        ("azureOpenAI", "azureOpenAI"),
        ("AzureOpenAI", "azureOpenAI"),
        ("Anthropic", "anthropic"),
        ("GOOGLE", "google"),
        ("vertexai", "google"),
        ("VERTEXAI", "google"),
        ("Bedrock", "bedrock"),
        ("Ollama", "ollama"),
        ("MindRoom", "MindRoom"),
        ("XAI", "XAI"),
    ] {
        let read = read(json!({"provider": provider})).unwrap();
        assert_eq!(&*read.endpoint, endpoint, "{provider}");
    }
}

#[test]
fn only_plain_values_of_known_parameters_are_accepted() {
    for parameters in [
        json!({}),
        json!(null),
        json!({"model": "x", "temperature": 0.5, "max_tokens": null, "resendFiles": true, "reasoning_effort": "low"}),
        json!({"stop": ["a", "b"], "top_p": 1, "promptPrefix": "{\"model\":\"gpt-5\"}", "thinking": false}),
        json!({"stop": "a", "maxContextTokens": "", "region": "eu-west-1"}),
    ] {
        read(json!({"model_parameters": parameters})).unwrap_or_else(|fault| panic!("{parameters}: {fault:?}"));
    }
    for (parameters, named) in [
        (json!({"modelKwargs": {"model": "gpt-5-pro"}}), "modelKwargs"),
        (json!({"modelKwargs": null}), "modelKwargs"),
        (json!({"fallbacks": [{"provider": "openAI", "clientOptions": {"model": "gpt-5"}}]}), "fallbacks"),
        (json!({"fallbacks": []}), "fallbacks"),
        (json!({"configuration": {"baseURL": "https://elsewhere.test"}}), "configuration"),
        (json!({"apiKey": "k"}), "apiKey"),
        (json!({"modelName": "gpt-5"}), "modelName"),
        (json!({"additionalModelRequestFields": {"thinking": {"budget_tokens": {}}}}), "additionalModelRequestFields"),
        (json!({"model": "gpt-5"}), "model"),
        (json!({"model": null}), "model"),
        (json!({"model": ["x"]}), "model"),
        (json!({"temperature": {"model": "gpt-5"}}), "temperature"),
        (json!({"temperature": {"$numberDouble": "NaN"}}), "temperature"),
        (json!({"temperature": [1]}), "temperature"),
        (json!({"promptPrefix": ["a"]}), "promptPrefix"),
        (json!({"stop": [["a"]]}), "stop"),
        (json!({"stop": [1]}), "stop"),
        (json!({"region": "eu.elsewhere.test/"}), "region"),
        (json!({"Temperature": 1}), "Temperature"),
        (json!({"temperature ": 1}), "temperature "),
        (json!({"": 1}), ""),
        (json!([]), "model_parameters"),
        (json!("modelKwargs"), "model_parameters"),
    ] {
        let fault = read(json!({"model_parameters": parameters})).unwrap_err();
        assert_eq!(fault.code, PARAMETERS, "{parameters}");
        assert!(
            fault.detail.starts_with("agent_x: ") && fault.detail.contains(named),
            "{parameters}: {}",
            fault.detail
        );
    }
}

#[test]
fn bedrock_takes_another_model_where_a_type_is_wrong() {
    let bedrock = |parameters: &Value| read(json!({"provider": "Bedrock", "model_parameters": parameters}));
    let exact = json!({"temperature": 0.5, "maxTokens": 5, "stop": ["a"], "thinking": true, "region": "eu-west-1"});
    bedrock(&exact).unwrap();
    for parameters in [
        json!({"temperature": "hot"}),
        json!({"temperature": null}),
        json!({"thinking": "yes"}),
        json!({"stop": "a"}),
        json!({"promptPrefix": 5}),
        json!({"region": null}),
    ] {
        assert_eq!(bedrock(&parameters).unwrap_err().code, PARAMETERS, "{parameters}");
    }
}

#[test]
fn the_operator_may_add_parameters_with_plain_values() {
    let extra = [Box::from("service_tier"), Box::from("modelKwargs")];
    let with = |parameters: Value| Agent::read(&agent("x", json!({"model_parameters": parameters})), &extra);
    with(json!({"service_tier": "flex"})).unwrap();
    // Whatever the operator writes, an object does not pass.
    assert_eq!(with(json!({"modelKwargs": {"model": "gpt-5"}})).unwrap_err().code, PARAMETERS);
    assert_eq!(with(json!({"service-tier": "flex"})).unwrap_err().code, PARAMETERS);
}

#[test]
fn what_a_fault_quotes_is_short_and_printable() {
    let key = format!("a\nb{}", "x".repeat(10_000));
    let fault = read(json!({"model_parameters": {key: 1}})).unwrap_err();
    assert!(fault.detail.len() < 250 && !fault.detail.contains(char::is_control), "{}", fault.detail);
}

#[test]
fn tools_are_named_and_whole_servers_too() {
    let named = |name: &str| Tool::Named(name.into());
    let tools = json!(["dalle", "search_mcp_github", "sys__all__sys_mcp_github", "sys__server__sys_mcp_a_mcp_b"]);
    let read = read(json!({"tools": tools, "artifacts": "default", "skills": ["s"]})).unwrap();
    assert_eq!(
        read.tools,
        [
            named("dalle"),
            named("search_mcp_github"),
            Tool::Ending("_mcp_github".into()),
            // Two servers could be meant, so that it stands for any tool.
            Tool::Ending("".into()),
            named("artifacts"),
            named("skills"),
        ]
    );
}

#[test]
fn tools_that_bring_others_stand_for_all_of_them() {
    let named = |name: &str| Tool::Named(name.into());
    for (rest, expected) in [
        (json!({"tools": ["image_gen_oai"]}), vec![named("image_gen_oai"), named("image_edit_oai")]),
        (json!({"tools": ["image_edit_oai"]}), vec![named("image_gen_oai"), named("image_edit_oai")]),
        // A skill names tools that it adds to the turn.
        (json!({"skills_enabled": true}), vec![named("skills"), Tool::Ending("".into())]),
        (json!({"skills_enabled": true, "skills": []}), vec![named("skills"), Tool::Ending("".into())]),
        (json!({"skills_enabled": false}), vec![]),
        (json!({"skills_enabled": null}), vec![]),
    ] {
        assert_eq!(read(rest.clone()).unwrap().tools, expected, "{rest}");
    }
}

#[test]
fn an_agent_is_all_that_it_can_reach() {
    let documents = [
        agent("a", json!({"edges": [{"from": "agent_a", "to": "agent_b"}], "tools": ["dalle"]})),
        agent("b", json!({"edges": [{"from": ["agent_c"], "to": "agent_gone"}], "tools": ["dalle", "flux"]})),
        agent("c", json!({"subagents": {"agent_ids": ["agent_d", "agent_a"]}})),
        agent("d", json!({"agent_ids": ["agent_d"], "model": "a"})),
        agent("e", json!({})),
    ];
    let tool = |name: &str| Part::Tool(Tool::Named(name.into()));
    let expected = vec![Part::Itself, model("a"), model("b"), model("c"), tool("dalle"), tool("flux")];
    assert_eq!(follow("agent_a", &documents), (expected, 4), "cycles end, a missing member is passed over");
    assert_eq!(follow("agent_e", &documents).0, [Part::Itself, model("e")]);
}

#[test]
fn what_is_not_there_or_not_looked_up_is_not_judged() {
    assert_eq!(fault(&follow("agent_gone", &[]).0), Some(MISSING));
    assert_eq!(fault(&Closure::of("agent_a").parts()), Some(UNRESOLVED));
    let mut closure = Closure::of("agent_a");
    closure.take(&[agent("a", json!({"agent_ids": ["agent_b"]}))], &[]);
    assert_eq!(fault(&closure.parts()), Some(UNRESOLVED), "the next level is still open");
    let mut closure = Closure::of("agent_a");
    closure.take(&[agent("a", json!({})), agent("b", json!({}))], &[]);
    assert_eq!(fault(&closure.parts()), Some(DOCUMENT), "another agent's document");
}

#[test]
fn one_id_of_several_tenants_is_all_of_them() {
    let documents = [agent("a", json!({})), agent("a", json!({"model": "dear"}))];
    assert_eq!(follow("agent_a", &documents).0, [Part::Itself, model("a"), model("dear")]);
}

#[test]
fn a_graph_has_bounds() {
    let star = |leaves: usize| -> Vec<Fields> {
        let ids: Vec<String> = (0..leaves).map(|leaf| format!("agent_{leaf}")).collect();
        let mut documents = vec![agent("a", json!({"agent_ids": ids}))];
        documents.extend((0..leaves).map(|leaf| agent(&leaf.to_string(), json!({}))));
        documents
    };
    let (parts, questions) = follow("agent_a", &star(MOST_AGENTS - 1));
    assert_eq!((fault(&parts), parts.len(), questions), (None, MOST_AGENTS + 1, 2));
    let (parts, questions) = follow("agent_a", &star(MOST_AGENTS));
    assert_eq!((fault(&parts), questions), (Some(TOO_MANY), 1), "refused before the 51 are asked for");
    // Ids that lead nowhere count as well: each would be looked up.
    assert_eq!(fault(&follow("agent_a", &star(MOST_AGENTS)[..1]).0), Some(TOO_MANY));

    let chain = |length: usize| -> Vec<Fields> {
        let next = |n: usize| json!({"edges": [{"from": format!("agent_{n}"), "to": format!("agent_{}", n + 1)}]});
        (0..length).map(|n| agent(&n.to_string(), if n + 1 < length { next(n) } else { json!({}) })).collect()
    };
    assert_eq!(fault(&follow("agent_0", &chain(MOST_LEVELS)).0), None);
    let (parts, questions) = follow("agent_0", &chain(MOST_LEVELS + 1));
    assert_eq!((fault(&parts), questions), (Some(TOO_DEEP), MOST_LEVELS));
}

/// The nodes of a graph: for each its links by kind, and whether its document is there.
fn graphs() -> impl Strategy<Value = Vec<(Vec<(u8, usize)>, bool)>> {
    let links = proptest::collection::vec((0..5_u8, 0..10_usize), 0..4);
    proptest::collection::vec((links, proptest::bool::weighted(0.9)), 1..10)
}

proptest! {
    #[test]
    fn exactly_the_reachable_agents_are_judged(graph in graphs()) {
        let id = |n: &usize| format!("agent_{n}");
        let documents: Vec<Fields> = graph.iter().enumerate().filter(|(n, (_, there))| *there || *n == 0).map(|(n, (links, _))| {
            let of = |kind: u8| links.iter().filter(|link| link.0 == kind).map(|link| id(&link.1)).collect::<Vec<_>>();
            let mut edges: Vec<Value> = of(0).iter().map(|to| json!({"from": id(&n), "to": to})).collect();
            edges.push(json!({"from": of(1), "to": [id(&n)]}));
            edges.push(json!({"from": id(&n), "to": of(2)}));
            agent(&n.to_string(), json!({"edges": edges, "agent_ids": of(3), "subagents": {"agent_ids": of(4)}}))
        }).collect();
        // The definition, tried out: add neighbours until nothing changes.
        let there = |n: usize| graph.get(n).is_some_and(|(_, there)| *there || n == 0);
        let mut reached = vec![0];
        loop {
            let more: Vec<usize> = reached.iter().flat_map(|n: &usize| graph[*n].0.iter().map(|link| link.1))
                .filter(|n| there(*n) && !reached.contains(n)).collect();
            let Some(n) = more.first() else { break };
            reached.push(*n);
        }
        let mut judged: Vec<Part> = follow("agent_0", &documents).0;
        let mut expected: Vec<Part> = reached.iter().map(|n| model(&n.to_string())).collect();
        expected.push(Part::Itself);
        let order = |part: &Part| part.to_string();
        judged.sort_by_key(order);
        expected.sort_by_key(order);
        prop_assert_eq!(judged, expected);
    }
}
