//! Estimates: of captured chats against what LibreChat gave to the provider, and rule by rule.

use std::sync::Mutex;

use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::counted::tokens_of;
use super::*;
use crate::librechat::agents;
use crate::librechat::prompt::history::History;
use crate::librechat::prompt::{Added, Thread};
use crate::librechat::selection::select_turn;
use crate::librechat::tools;
use crate::meter::tokens::PER_MESSAGE;
use crate::policy::words::{Surface, Tool};
use crate::store::{ApiKey, Fields};

const ALLOWANCE: u64 = 1_000;

fn model(model: &str) -> Target {
    Target::Model { endpoint: "openAI".into(), model: model.into() }
}

fn part(agent: &str, part: Part) -> Target {
    Target::Agent { agent: agent.into(), part }
}

fn runs(agent: &str, model: &str) -> Target {
    part(agent, Part::Model { endpoint: "openAI".into(), model: model.into() })
}

fn given<'a>(prompt: &'a Prompt, targets: &'a [Target]) -> Given<'a> {
    Given { prompt, history: &[], targets, briefs: &[] }
}

fn hello() -> Prompt {
    Prompt { text: "hello world".to_owned(), ..Prompt::default() }
}

/// `model input+output`, in order.
fn told(given: &Given<'_>) -> Vec<String> {
    let told = |one: &Estimated| format!("{} {}+{}", one.model, one.tokens.input, one.tokens.output);
    estimate(given, ALLOWANCE).iter().map(told).collect()
}

fn lines(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("tests/captures/{file}")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the model is given by a captured call, by OpenAI's recipe: 3 tokens for each message, its role and its text, and 3 for the
/// answer's beginning; tools as the JSON that describes them.
fn counted(call: &Value) -> u64 {
    let tokenizer = Tokenizer::of(call["model"].as_str().unwrap());
    let text = |content: &Value| match content {
        Value::String(text) => tokenizer.count(text),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).map(|text| tokenizer.count(text)).sum()
        }
        _ => 0,
    };
    call["messages"].as_array().unwrap().iter().map(|message| 4 + text(&message["content"])).sum::<u64>()
        + 3
        + call.get("tools").map_or(0, |tools| tokenizer.count(&tools.to_string()))
}

#[test]
fn captured_chats_take_no_more_than_estimated_and_little_less() {
    let exchanges = lines("base.jsonl");
    let mut compared = 0;
    for captured in lines("prompts.jsonl") {
        let name = captured["name"].as_str().unwrap();
        let place = exchanges.iter().position(|exchange| exchange["name"] == *name).unwrap();
        let body = serde_json::to_vec(&exchanges[place]["request"]["body"]).unwrap();
        let mut asked = select_turn(&body).unwrap();
        asked.targets.extend(tools::of_turn(&asked.body).unwrap());
        let prompt = Prompt::of_turn(&asked.body).unwrap();
        // The conversation as it was: what the streams before it said at their ends.
        let history = History::of_documents(&said_before(&exchanges[..place], prompt.thread.as_ref()));
        let branch = prompt.thread.as_ref().map(|thread| history.branch(thread.head.as_deref())).unwrap_or_default();
        let given = Given { prompt: &prompt, history: &branch, targets: &asked.targets, briefs: &[] };
        let estimated = estimate(&given, ALLOWANCE);
        for call in captured["calls"].as_array().unwrap() {
            let of = estimated.iter().find(|estimated| call["model"] == *estimated.model);
            let input = of.unwrap_or_else(|| panic!("{name}: {}", call["model"])).tokens.input;
            let (exact, messages) = (counted(call), call["messages"].as_array().unwrap().len() as u64);
            // An edited part replaces one of the answer; which one, and whether at all, is LibreChat's to say: both count.
            let replaced = branch.first().filter(|_| prompt.edits);
            let replaced = replaced.map_or(0, |said| Tokenizer::of("gpt-4o-mini").count(&said.text) + PER_MESSAGE);
            let known = tokens_of(prompt.files) + prompt.tools * TOOL + replaced;
            // Eight for each message stand where four do, and three at the end.
            let most = exact + 8 * messages + known;
            assert!((exact..=most).contains(&input), "{name}: {input} is not in {exact}..={most}");
            compared += 1;
            if let Ok(bound) = input_at_most(&given, std::str::from_utf8(&asked.body).unwrap(), true) {
                assert!(bound >= input, "{name}: strict {bound}, estimated {input}");
            }
        }
    }
    assert!(compared >= 18, "{compared} calls");
}

/// The messages of a conversation, by the final events of the streams before.
fn said_before(exchanges: &[Value], thread: Option<&Thread>) -> Vec<Fields> {
    let Some(thread) = thread else { return Vec::new() };
    let mut messages = Vec::new();
    for event in exchanges.iter().filter_map(|exchange| exchange["response"]["sse"].as_array()).flatten() {
        let Some((_, data)) = event.as_str().and_then(|event| event.split_once("data: ")) else { continue };
        let Ok(data) = serde_json::from_str::<Value>(data.trim()) else { continue };
        for message in [&data["requestMessage"], &data["responseMessage"]] {
            if data["final"] == true && message["conversationId"] == *thread.conversation {
                messages.push(message.as_object().unwrap().clone());
            }
        }
    }
    messages
}

#[test]
fn each_model_that_is_named_gets_the_whole_prompt() {
    let tool = || Target::Tool(Tool::Named("dalle".into()));
    for (targets, expected) in [
        (vec![model("gpt-4o")], &["gpt-4o 10+1000"][..]),
        // A spec that stands for the same model does not run it twice; one for another may.
        (vec![model("gpt-4o"), model("gpt-4o")], &["gpt-4o 10+1000"]),
        (vec![model("gpt-4o"), model("o1"), tool()], &["gpt-4o 10+1000", "o1 10+1000"]),
        (
            vec![
                part("a", Part::Itself),
                runs("a", "gpt-4o"),
                runs("a", "o1"),
                part("a", Part::Tool(Tool::Named("x".into()))),
            ],
            &["gpt-4o 10+1000", "o1 10+1000"],
        ),
        (vec![runs("a", "gpt-4o"), runs("b", "gpt-4o")], &["gpt-4o 10+1000", "gpt-4o 10+1000"]),
        (vec![Target::Surface(Surface::RemoteApi), runs("a", "gpt-4o")], &["gpt-4o 10+1000"]),
        (vec![Target::Assistant { endpoint: "assistants".into(), model: "gpt-4".into() }], &["gpt-4 10+1000"]),
        // Without a factor two tokens, with it three.
        (vec![model("claude-sonnet-4")], &["claude-sonnet-4 11+1000"]),
        (vec![agents::named("agent_x")], &[]),
        (vec![], &[]),
    ] {
        assert_eq!(told(&given(&hello(), &targets)), expected, "{targets:?}");
    }
}

#[test]
fn a_second_conversation_counts_again() {
    let second = |runs| Prompt { added: Some(Added { runs, instructions: String::new() }), ..hello() };
    let same = second(Second::Model { endpoint: "openAI".into(), model: "gpt-4o".into() });
    assert_eq!(told(&given(&same, &[model("gpt-4o"), model("gpt-4o")])), ["gpt-4o 10+1000", "gpt-4o 10+1000"]);
    assert_eq!(told(&given(&same, &[model("o1"), model("gpt-4o")])), ["o1 10+1000", "gpt-4o 10+1000"]);
    let agent = second(Second::Agent("a".into()));
    let (itself, runs_it) = (part("a", Part::Itself), runs("a", "gpt-4o"));
    assert_eq!(told(&given(&agent, &[itself, runs_it])), ["gpt-4o 10+1000", "gpt-4o 10+1000"]);
    let with_instructions = Added {
        runs: Second::Model { endpoint: "openAI".into(), model: "o1".into() },
        instructions: "hello world".to_owned(),
    };
    let with_instructions = Prompt { added: Some(with_instructions), ..hello() };
    assert_eq!(told(&given(&with_instructions, &[model("gpt-4o"), model("o1")])), ["gpt-4o 20+1000", "o1 20+1000"]);
}

#[test]
fn an_agent_gets_its_instructions_its_tools_and_its_own_bounds() {
    let targets = [part("a", Part::Itself), runs("a", "gpt-4o"), runs("a", "o1")];
    let brief = |more: Value| {
        let mut fields = json!({"id": "a"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Brief::of_agent(fields.as_object().unwrap())
    };
    for (brief, expected) in [
        (brief(json!({})), ["gpt-4o 10+1000", "o1 10+1000"]),
        (brief(json!({"instructions": "hello world"})), ["gpt-4o 20+1000", "o1 20+1000"]),
        (brief(json!({"tools": ["x", "y"]})), ["gpt-4o 510+1000", "o1 510+1000"]),
        (brief(json!({"artifacts": "default"})), ["gpt-4o 7010+1000", "o1 7010+1000"]),
        // The bound of the agent does not hold for those that it hands over to.
        (brief(json!({"model_parameters": {"max_tokens": 50}})), ["gpt-4o 10+50", "o1 10+1000"]),
        (brief(json!({"model_parameters": {"max_tokens": 5_000}})), ["gpt-4o 10+1000", "o1 10+1000"]),
        (
            Brief { agent: "another".into(), instructions: "hello".into(), ..Brief::default() },
            ["gpt-4o 10+1000", "o1 10+1000"],
        ),
    ] {
        // What the body says of the answer and of the whole prompt is not for agents.
        let prompt = Prompt { output: Some(7), context: Some(1), ..hello() };
        let told = told(&Given { briefs: std::slice::from_ref(&brief), ..given(&prompt, &targets) });
        assert_eq!(told, expected, "{brief:?}");
    }
}

#[test]
fn the_callers_own_bound_counts_where_it_is_smaller() {
    for (output, expected) in [(None, 1_000), (Some(7), 7), (Some(1_000), 1_000), (Some(9_000), 1_000)] {
        let prompt = Prompt { output, ..hello() };
        let estimated = estimate(&given(&prompt, &[model("gpt-4o"), model("o1")]), ALLOWANCE);
        assert_eq!((estimated[0].tokens.output, estimated[1].tokens.output), (expected, 1_000), "{output:?}");
    }
}

#[test]
fn what_was_said_before_counts_from_the_newest_as_far_as_the_caller_lets_it() {
    let documents: Vec<Fields> = [("1", "", 100), ("2", "1", 50), ("3", "2", 20)]
        .into_iter()
        .map(|(id, parent, tokens)| {
            let text = "x".repeat(tokens * 4);
            let message = json!({"messageId": id, "parentMessageId": parent, "text": text, "tokenCount": tokens});
            message.as_object().unwrap().clone()
        })
        .collect();
    let history = History::of_documents(&documents);
    let branch = history.branch(Some("3"));
    for (context, input) in [
        (None, 10 + 28 + 58 + 108),
        (Some(204), 10 + 28 + 58 + 108),
        (Some(203), 10 + 28 + 58),
        (Some(95), 10 + 28),
        (Some(37), 10),
        (Some(1), 10),
    ] {
        let prompt = Prompt { context, ..hello() };
        let targets = [model("gpt-4o"), model("o1"), runs("a", "gpt-4o"), runs("a", "o1")];
        let brief = Brief { agent: "a".into(), context, ..Brief::default() };
        let given = Given { history: &branch, briefs: &[brief], ..given(&prompt, &targets) };
        let inputs: Vec<u64> = estimate(&given, ALLOWANCE).iter().map(|one| one.tokens.input).collect();
        // The caller bounds the body's own model, and the author the agent itself.
        assert_eq!(inputs, [input, 204, input, 204], "{context:?}");
    }
}

#[test]
fn a_message_without_a_count_is_counted_and_files_before_it_too() {
    let message =
        json!({"messageId": "1", "text": "hello world", "files": [{"type": "image/png"}, {"type": "text/csv"}]});
    let history = History::of_documents(&[message.as_object().unwrap().clone()]);
    let (prompt, targets, branch) = (hello(), [model("gpt-4o"), model("unheard-of")], history.branch(Some("1")));
    let given = Given { history: &branch, ..given(&prompt, &targets) };
    let files = IMAGE + FILE;
    assert_eq!(
        told(&given),
        [format!("gpt-4o {}+1000", 10 + 10 + files), format!("unheard-of {}+1000", 11 + 11 + files)]
    );
}

#[test]
fn an_edited_answer_brings_its_question_with_it() {
    let message = json!({"messageId": "1", "text": "hello world"});
    let history = History::of_documents(&[message.as_object().unwrap().clone()]);
    let (targets, branch) = ([model("gpt-4o")], history.branch(Some("1")));
    let prompt = Prompt { edits: true, edited: "hello world".to_owned(), ..hello() };
    assert_eq!(told(&Given { history: &branch, ..given(&prompt, &targets) }), ["gpt-4o 20+1000"], "not the text again");
    assert_eq!(told(&given(&prompt, &targets)), ["gpt-4o 12+1000"], "unless there is nothing before it");
}

#[test]
fn nobody_makes_counting_take_long() {
    let targets = [model("gpt-4o"), model("claude-sonnet-4")];
    let long = "a b ".repeat(MOST_COUNTED / 4);
    let exact = Tokenizer::of("gpt-4o").count(&long);
    let more = |text: &str| {
        // The new text is counted before what was said, and each message only if it still fits.
        let messages =
            [json!({"messageId": "1", "text": text}), json!({"messageId": "2", "parentMessageId": "1", "text": "x"})];
        let documents: Vec<Fields> = messages.iter().map(|message| message.as_object().unwrap().clone()).collect();
        let history = History::of_documents(&documents);
        let (prompt, branch) = (Prompt { text: long.clone(), ..Prompt::default() }, history.branch(Some("2")));
        let inputs = estimate(&Given { history: &branch, ..given(&prompt, &targets) }, ALLOWANCE);
        inputs.into_iter().map(|one| one.tokens.input).collect::<Vec<_>>()
    };
    let all = 3 * PER_MESSAGE;
    assert_eq!(more("")[0], exact + all, "the last byte that is counted");
    let beyond = more(&"漢".repeat(1_000_000));
    assert_eq!(beyond, [exact + 1_500_000 + all, (exact + 1_500_000) * 135 / 100 + 1 + all][..]);
}

#[test]
fn what_is_not_known_is_allowed_for() {
    let targets = [model("gpt-4o")];
    for (prompt, more) in [
        (Prompt { files: Files { images: 2, others: 1 }, ..hello() }, 2 * IMAGE + FILE),
        (Prompt { tools: 3, ..hello() }, 3 * TOOL),
        (Prompt { artifacts: true, ..hello() }, ARTIFACTS),
        (Prompt { instructions: "hello world".to_owned(), ..hello() }, 10),
        (Prompt { tools: u64::MAX, ..hello() }, u64::MAX),
    ] {
        let input = estimate(&given(&prompt, &targets), ALLOWANCE)[0].tokens.input;
        assert_eq!(input, more.saturating_add(10), "{prompt:?}");
    }
}

#[test]
fn a_strict_bound_is_told_only_where_everything_is_known() {
    let body = r#"{"text":"hello world"}"#;
    let around = 3 * AROUND_AT_MOST + body.len() as u64;
    let bound = |targets: &[Target], whole| input_at_most(&given(&hello(), targets), body, whole);
    for (targets, whole, expected) in [
        (vec![model("gpt-4o")], true, Ok(around)),
        (vec![model("gpt-4o"), model("gpt-4o")], true, Ok(around)),
        (vec![model("gpt-4o")], false, Err(Unbounded::History)),
        (vec![model("gpt-4o"), model("o1")], true, Err(Unbounded::Added)),
        (vec![model("gpt-4o"), Target::Tool(Tool::Named("dalle".into()))], true, Err(Unbounded::Tools)),
        (vec![runs("a", "gpt-4o")], true, Err(Unbounded::Agent)),
        (vec![Target::Surface(Surface::Assistants)], true, Err(Unbounded::Endpoint)),
        (vec![], true, Err(Unbounded::Endpoint)),
    ] {
        assert_eq!(bound(&targets, whole), expected, "{targets:?} {whole}");
    }
    for (files, before, expected) in [
        (Files::default(), json!({"text": "hello"}), Ok(around + 5 + AROUND_AT_MOST)),
        // What LibreChat has counted does not matter here.
        (Files::default(), json!({"text": "hello", "tokenCount": 1}), Ok(around + 5 + AROUND_AT_MOST)),
        (Files { images: 0, others: 1 }, json!({"text": "hello"}), Err(Unbounded::Files)),
        (Files::default(), json!({"content": [{"type": "image_file"}]}), Err(Unbounded::Files)),
    ] {
        let mut message = before.as_object().unwrap().clone();
        message.insert("messageId".to_owned(), json!("1"));
        let history = History::of_documents(&[message]);
        let (prompt, targets, branch) = (Prompt { files, ..hello() }, [model("gpt-4o")], history.branch(Some("1")));
        let given = Given { history: &branch, ..given(&prompt, &targets) };
        assert_eq!(input_at_most(&given, body, true), expected, "{before}");
    }
}

/// A store that knows one agent and what it was asked.
#[derive(Default)]
struct One {
    asked: Mutex<Vec<Vec<Box<str>>>>,
}

#[async_trait]
impl Agents for One {
    async fn agents(&self, _ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        Ok(Vec::new())
    }
    async fn briefs(&self, ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        self.asked.lock().unwrap().push(ids.to_vec());
        Ok(vec![json!({"id": "a", "instructions": "short"}).as_object().unwrap().clone()])
    }
    async fn versions(&self, _id: &str, _index: u32) -> Result<Vec<Fields>, StoreError> {
        Ok(Vec::new())
    }
    async fn api_key(&self, _hash: &str) -> Result<Option<ApiKey>, StoreError> {
        Ok(None)
    }
}

#[test]
fn agents_are_asked_for_once_and_only_where_one_is_named() {
    let store = One::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = |targets: &[Target]| runtime.block_on(briefs(&store, targets)).unwrap();
    assert_eq!(ask(&[model("gpt-4o")]), []);
    assert!(store.asked.lock().unwrap().is_empty());
    let found = ask(&[part("a", Part::Itself), runs("a", "gpt-4o"), runs("b", "o1"), model("o1")]);
    assert_eq!(found, [Brief { agent: "a".into(), instructions: "short".into(), ..Brief::default() }]);
    assert_eq!(*store.asked.lock().unwrap(), [vec![Box::from("a"), Box::from("b")]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_strict_bound_is_below_what_the_model_would_count(
        text in "\\PC{0,200}", before in prop::collection::vec("\\PC{0,200}", 0..5),
    ) {
        let documents: Vec<Fields> = before.iter().enumerate().map(|(place, text)| {
            let parent = place.checked_sub(1).map_or(String::new(), |before| before.to_string());
            let message = json!({"messageId": place.to_string(), "parentMessageId": parent, "text": text});
            message.as_object().unwrap().clone()
        }).collect();
        let history = History::of_documents(&documents);
        let head = before.len().saturating_sub(1).to_string();
        let branch = history.branch(Some(&head));
        let body = serde_json::to_string(&json!({"endpoint": "openAI", "model": "gpt-4o", "text": text})).unwrap();
        let prompt = Prompt::of_turn(body.as_bytes()).unwrap();
        let targets = [model("gpt-4o")];
        let given = Given { prompt: &prompt, history: &branch, targets: &targets, briefs: &[] };
        let bound = input_at_most(&given, &body, true).unwrap();
        prop_assert_eq!(branch.len(), before.len());
        prop_assert!(bound >= estimate(&given, ALLOWANCE)[0].tokens.input);
        let all = Tokenizer::of("gpt-4o");
        let counted: u64 = before.iter().chain([&text]).map(|text| all.count(text) + PER_MESSAGE).sum();
        prop_assert!(bound >= counted);
    }
}
