use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::policy::words::Tool;

/// Sees the listed `endpoint|model` pairs and surfaces.
#[derive(Default)]
struct Eyes {
    models: Vec<&'static str>,
    surfaces: Vec<Surface>,
    agents: bool,
    tools: Vec<&'static str>,
    everything: bool,
}

impl Sight for Eyes {
    fn model(&self, endpoint: &str, model: &str) -> bool {
        self.models.contains(&format!("{endpoint}|{model}").as_str())
    }

    fn surface(&self, surface: Surface) -> bool {
        self.surfaces.contains(&surface)
    }

    fn agents(&self) -> bool {
        self.agents
    }

    fn target(&self, target: &Target) -> bool {
        matches!(target, Target::Tool(Tool::Named(name)) if self.tools.contains(&&**name))
    }

    fn everything(&self) -> bool {
        self.everything
    }
}

fn sees(models: &[&'static str]) -> Eyes {
    Eyes { models: models.to_vec(), ..Eyes::default() }
}

fn body(value: &Value) -> Bytes {
    value.to_string().into()
}

fn offered() -> Value {
    json!({
        "openAI": ["gpt-4o-mini", "gpt-4o", "o1"], "google": [], "anthropic": ["claude-opus-4-8"],
        "assistants": ["gpt-4o-mini"], "azureAssistants": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic", "mindroom-pro"],
    })
}

fn models() -> ModelsAnswer {
    ModelsAnswer::read(&body(&offered())).unwrap()
}

#[test]
fn models_keep_their_order_and_empty_endpoints_go() {
    let all_assistants = ["assistants|gpt-4o-mini", "azureAssistants|gpt-4o-mini"];
    let eyes =
        sees(&["MindRoom|mindroom-pro", "openAI|o1", "openAI|gpt-4o-mini", all_assistants[0], all_assistants[1]]);
    assert_eq!(
        filter_models(&body(&offered()), &eyes).unwrap(),
        r#"{"openAI":["gpt-4o-mini","o1"],"MindRoom":["mindroom-pro"]}"#
    );
    let eyes = Eyes { models: all_assistants.to_vec(), surfaces: vec![Surface::Assistants], ..Eyes::default() };
    assert_eq!(
        filter_models(&body(&offered()), &eyes).unwrap(),
        r#"{"assistants":["gpt-4o-mini"],"azureAssistants":["gpt-4o-mini"]}"#
    );
    assert_eq!(filter_models(&body(&offered()), &sees(&[])).unwrap(), "{}");
}

#[test]
fn endpoints_stay_if_a_model_that_librechat_offers_there_is_allowed() {
    let endpoints = json!({
        "openAI": {"userProvide": false, "order": 0}, "anthropic": null, "google": {"order": 1}, "Own": {"order": 2},
        "agents": {"order": 3, "allowedProviders": ["openAI", "MindRoom", "agents"], "capabilities": ["ocr"]},
        "assistants": {"order": 4, "retrievalModels": ["gpt-4o", "gpt-4o-mini"], "version": 2},
        "MindRoom": {"order": 5, "type": "custom", "temperature": 0.1},
    });
    // `Own|x` is allowed, but LibreChat offers no such model.
    let mut eyes = sees(&["MindRoom|mindroom-basic", "Own|x", "assistants|gpt-4o-mini", "google|x"]);
    assert_eq!(
        filter_endpoints(&body(&endpoints), Some(&models()), &eyes).unwrap(),
        r#"{"MindRoom":{"order":5,"type":"custom","temperature":0.1}}"#
    );
    (eyes.agents, eyes.surfaces) = (true, vec![Surface::Assistants]);
    assert_eq!(
        filter_endpoints(&body(&endpoints), Some(&models()), &eyes).unwrap(),
        concat!(
            r#"{"agents":{"order":3,"allowedProviders":["MindRoom","agents"],"capabilities":["ocr"]},"#,
            r#""assistants":{"order":4,"retrievalModels":["gpt-4o-mini"],"version":2},"#,
            r#""MindRoom":{"order":5,"type":"custom","temperature":0.1}}"#
        )
    );
    assert_eq!(
        filter_endpoints(&body(&json!({"openAI": {}, "agents": {}})), None, &eyes).unwrap(),
        r#"{"agents":{}}"#,
        "without the models no endpoint can be shown to have an allowed one"
    );
    let eyes = sees(&["anthropic|claude-opus-4-8"]);
    assert_eq!(filter_endpoints(&body(&endpoints), Some(&models()), &eyes).unwrap(), r#"{"anthropic":null}"#);
}

#[test]
fn specs_stay_by_their_preset_and_the_rest_of_the_config_is_untouched() {
    let config = json!({
        "appTitle": "LibreChat", "interface": {"modelSelect": false, "agents": {"use": true}}, "socialLogins": [],
        "modelSpecs": {"enforce": true, "list": [
            {"name": "fast", "label": "Fast", "preset": {"endpoint": "openAI", "model": "gpt-4o-mini"}, "default": true},
            {"name": "smart", "preset": {"endpoint": "openAI", "model": "gpt-4o"}},
            {"name": "agent", "preset": {"endpoint": "agents", "agent_id": "agent_x"}},
            {"name": "helper", "preset": {"endpoint": "assistants", "model": "gpt-4o-mini", "assistant_id": "asst_x"}},
            {"name": "dear helper", "preset": {"endpoint": "assistants", "model": "gpt-4o", "assistant_id": "asst_x"}},
            {"name": "any helper", "preset": {"endpoint": "assistants", "assistant_id": "asst_x"}},
            {"name": "bare", "preset": {"endpoint": "openAI"}},
        ], "addedEndpoints": ["openAI", "MindRoom", "agents"], "prioritize": true},
        "balance": {"startBalance": 20000000},
    });
    assert!(config_needs_models(&body(&config)));
    let mut eyes = sees(&["openAI|gpt-4o-mini"]);
    let filtered = filter_config(&body(&config), Some(&models()), &eyes).unwrap();
    assert_eq!(
        filtered,
        concat!(
            r#"{"appTitle":"LibreChat","interface":{"modelSelect":false,"agents":{"use":true}},"socialLogins":[],"#,
            r#""modelSpecs":{"enforce":true,"list":[{"name":"fast","label":"Fast","preset":{"endpoint":"openAI","#,
            r#""model":"gpt-4o-mini"},"default":true}],"addedEndpoints":["openAI"],"prioritize":true},"#,
            r#""balance":{"startBalance":20000000}}"#
        )
    );
    eyes.agents = true;
    let filtered: Value = serde_json::from_slice(&filter_config(&body(&config), None, &eyes).unwrap()).unwrap();
    assert_eq!(filtered["modelSpecs"]["list"].as_array().unwrap().len(), 2);
    assert_eq!(filtered["modelSpecs"]["addedEndpoints"], json!(["agents"]));
    // Assistants by their model, and none that names no model.
    let eyes = Eyes { surfaces: vec![Surface::Assistants], ..sees(&["assistants|gpt-4o-mini"]) };
    let filtered: Value = serde_json::from_slice(&filter_config(&body(&config), None, &eyes).unwrap()).unwrap();
    let names: Vec<_> = filtered["modelSpecs"]["list"].as_array().unwrap().iter().map(|spec| &spec["name"]).collect();
    assert_eq!(names, ["helper"]);
    let blind = filter_config(&body(&config), None, &sees(&["assistants|gpt-4o-mini"])).unwrap();
    assert!(!blind.windows(6).any(|window| window == b"helper"), "{blind:?}");
}

#[test]
fn a_config_without_specs_passes_as_it_is() {
    for config in [json!({"appTitle": "x", "n": 1.0}), json!({"modelSpecs": null, "a": 1})] {
        assert!(!config_needs_models(&body(&config)));
        assert_eq!(filter_config(&body(&config), None, &sees(&[])).unwrap(), body(&config));
    }
}

#[test]
fn who_sees_everything_gets_the_same_bytes() {
    let eyes = Eyes { everything: true, ..Eyes::default() };
    let odd = Bytes::from_static(b" { \"x\" : 1 } ");
    for filtered in [filter_models(&odd, &eyes), filter_endpoints(&odd, None, &eyes), filter_config(&odd, None, &eyes)]
    {
        assert_eq!(filtered.unwrap(), odd);
    }
}

#[test]
fn an_answer_of_another_shape_is_never_passed_on() {
    let eyes = Eyes {
        surfaces: vec![Surface::Assistants],
        agents: true,
        ..sees(&["openAI|gpt-4o", "assistants|gpt-4o-mini"])
    };
    let with = |value: Value| body(&value);
    let html = Bytes::from_static(b"<!doctype html>");
    for odd in [html.clone(), with(json!([])), with(json!({"openAI": {"gpt-4o": 1}})), with(json!({"openAI": [1]}))] {
        assert_eq!(filter_models(&odd, &eyes).unwrap_err().answer, "GET /api/models", "{odd:?}");
    }
    for odd in [
        html.clone(),
        with(json!(["openAI"])),
        with(json!({"agents": ["gpt-4o"]})),
        with(json!({"agents": "gpt-4o"})),
        with(json!({"agents": {"allowedProviders": "openAI"}})),
        with(json!({"assistants": {"retrievalModels": [{"name": "gpt-4o"}]}})),
    ] {
        let fault = filter_endpoints(&odd, Some(&models()), &eyes).unwrap_err();
        assert_eq!(fault.answer, "GET /api/endpoints", "{odd:?}");
    }
    for odd in [
        html,
        with(json!([])),
        with(json!({"modelSpecs": []})),
        with(json!({"modelSpecs": {"list": {}}})),
        with(json!({"modelSpecs": {"list": ["gpt-4o"]}})),
        with(json!({"modelSpecs": {"list": [{"name": "x"}]}})),
        with(json!({"modelSpecs": {"list": [{"preset": {"endpoint": 1}}]}})),
        with(json!({"modelSpecs": {"addedEndpoints": {"openAI": 1}}})),
    ] {
        assert_eq!(filter_config(&odd, Some(&models()), &eyes).unwrap_err().answer, "GET /api/config", "{odd:?}");
    }
}

#[test]
fn only_tools_that_may_be_used_are_offered() {
    let tools = json!([
        {"name": "Images", "pluginKey": "dalle"}, {"name": "Run", "pluginKey": "execute_code"},
        // One of a toolkit brings the other, which is denied.
        {"name": "Make", "pluginKey": "image_gen_oai"},
    ]);
    let eyes = Eyes { tools: vec!["execute_code", "image_gen_oai"], everything: true, ..Eyes::default() };
    let expected = json!([{"name": "Run", "pluginKey": "execute_code"}]);
    assert_eq!(filter_tools(&body(&tools), &eyes).unwrap(), body(&expected), "also for who may use every model");
    for wrong in [json!({}), json!([5]), json!([{"name": "Run"}])] {
        assert!(filter_tools(&body(&wrong), &eyes).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_hidden_name_is_in_any_answer(visible in prop::collection::vec(any::<bool>(), 6)) {
        const ALL: [(&str, &str, &str); 6] = [
            ("openAI", "m-one", "openAI|m-one"), ("openAI", "m-two", "openAI|m-two"), ("Room", "m-three", "Room|m-three"),
            ("Room", "m-four", "Room|m-four"), ("Hall", "m-five", "Hall|m-five"), ("bedrock", "m-six", "bedrock|m-six"),
        ];
        let seen = || ALL.iter().zip(&visible).filter(|(_, visible)| **visible).map(|(pair, _)| pair);
        let eyes = sees(&seen().map(|(.., both)| *both).collect::<Vec<_>>());
        let mut offered = Object::new();
        for (endpoint, model, _) in ALL {
            let list = offered.entry(endpoint).or_insert_with(|| json!([]));
            list.as_array_mut().unwrap().push(json!(model));
        }
        let models = ModelsAnswer::read(&body(&offered.clone().into())).unwrap();
        let endpoints: Value = offered.keys().map(|endpoint| (endpoint.clone(), json!({"order": 1}))).collect::<Object>().into();
        let specs: Vec<Value> = ALL.iter().map(|(endpoint, model, both)| {
            json!({"name": both, "preset": {"endpoint": endpoint, "model": model}})
        }).collect();
        let names: Vec<&str> = offered.keys().map(String::as_str).collect();
        let config = json!({"modelSpecs": {"list": specs, "addedEndpoints": names}});
        let answers = [
            filter_models(&body(&offered.clone().into()), &eyes).unwrap(),
            filter_endpoints(&body(&endpoints), Some(&models), &eyes).unwrap(),
            filter_config(&body(&config), Some(&models), &eyes).unwrap(),
        ];
        for (index, answer) in answers.iter().enumerate() {
            let text = std::str::from_utf8(answer).unwrap();
            for (endpoint, model, _) in ALL {
                let endpoint_seen = seen().any(|(name, ..)| *name == endpoint);
                prop_assert_eq!(text.contains(&format!("\"{endpoint}\"")), endpoint_seen, "{}", text);
                if index != 1 {
                    let model_seen = seen().any(|(_, name, _)| *name == model);
                    prop_assert_eq!(text.contains(model), model_seen, "{}", text);
                }
            }
        }
    }
}
