//! `model_parameters`: open to whatever an author stores, and spread into the client of the model (CONTRACT.md B.5).
//!
//! `modelKwargs` there changes the model that is called, `fallbacks` adds others, and nobody has examined what all other
//! keys do. So the known ones are listed, and their values must be plain: a number, a text, a flag, nothing; texts in a list
//! for `stop` alone.

use serde_json::Value;

use super::{Fields, PARAMETERS, quoted, unjudged};
use crate::librechat::selection::is_region;
use crate::policy::words::Unjudged;

/// What a known parameter holds. LibreChat's reader for Bedrock drops all parameters, the model too, where one has another
/// type (CONTRACT.md B.5.4); other providers refuse it by themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Number,
    Text,
    Flag,
    /// A text, or a list of texts.
    Texts,
    /// The name of a region, which becomes part of a host name.
    Region,
}

/// The parameters that LibreChat's own client sets (CONTRACT.md B.5, "Proxy rule"). `model` is judged apart.
const KNOWN: &[(&str, Holds)] = &[
    ("temperature", Holds::Number),
    ("maxContextTokens", Holds::Number),
    ("max_context_tokens", Holds::Number),
    ("max_output_tokens", Holds::Number),
    ("maxOutputTokens", Holds::Number),
    ("max_tokens", Holds::Number),
    ("maxTokens", Holds::Number),
    ("top_p", Holds::Number),
    ("topP", Holds::Number),
    ("topK", Holds::Number),
    ("frequency_penalty", Holds::Number),
    ("presence_penalty", Holds::Number),
    ("stop", Holds::Texts),
    ("resendFiles", Holds::Flag),
    ("imageDetail", Holds::Text),
    ("reasoning_effort", Holds::Text),
    ("reasoning_summary", Holds::Text),
    ("verbosity", Holds::Text),
    ("useResponsesApi", Holds::Flag),
    ("web_search", Holds::Flag),
    ("disableStreaming", Holds::Flag),
    ("promptCache", Holds::Flag),
    ("thinking", Holds::Flag),
    ("thinkingBudget", Holds::Number),
    ("thinkingLevel", Holds::Text),
    ("thinkingDisplay", Holds::Text),
    ("effort", Holds::Text),
    ("region", Holds::Region),
    ("system", Holds::Text),
    ("fileTokenLimit", Holds::Number),
    ("modelLabel", Holds::Text),
    ("promptPrefix", Holds::Text),
    ("artifacts", Holds::Text),
    ("stream", Holds::Flag),
    ("greeting", Holds::Text),
    ("iconURL", Holds::Text),
];

/// Checks the parameters of an agent of this endpoint and model. `extra` names further keys that the operator knows to be
/// harmless; their values must be plain too.
///
/// # Errors
/// [`Unjudged`] naming the key at fault.
pub fn check(agent: &str, endpoint: &str, model: &str, value: &Value, extra: &[Box<str>]) -> Result<(), Unjudged> {
    let parameters: &Fields = match value {
        Value::Null => return Ok(()),
        Value::Object(parameters) => parameters,
        _ => return Err(unjudged(PARAMETERS, agent, "model_parameters is not an object")),
    };
    for (key, value) in parameters {
        if key == "model" {
            // LibreChat takes the model beside the parameters, but not in every place.
            if value.as_str() != Some(model) {
                return Err(unjudged(PARAMETERS, agent, "model_parameters.model is not the agent's own model"));
            }
            continue;
        }
        let known = KNOWN.iter().find(|(name, _)| name == key).map(|(_, holds)| *holds);
        let fits = match known {
            Some(holds) if endpoint == "bedrock" => fits_exactly(value, holds),
            Some(Holds::Region) => is_plain(value, false) && value.as_str().is_none_or(is_region),
            Some(holds) => is_plain(value, holds == Holds::Texts),
            None if extra.iter().any(|name| **name == **key) => is_plain(value, true),
            None => {
                let what = format!("model_parameters.{} is not a parameter that is known to be harmless", quoted(key));
                return Err(unjudged(PARAMETERS, agent, &what));
            }
        };
        if !fits {
            let what = format!("model_parameters.{} has a value of another type", quoted(key));
            return Err(unjudged(PARAMETERS, agent, &what));
        }
    }
    Ok(())
}

fn is_plain(value: &Value, list: bool) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => list && items.iter().all(Value::is_string),
        Value::Object(_) => false,
    }
}

fn fits_exactly(value: &Value, holds: Holds) -> bool {
    match holds {
        Holds::Number => value.is_number(),
        Holds::Text => value.is_string(),
        Holds::Flag => value.is_boolean(),
        Holds::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        Holds::Region => value.as_str().is_some_and(is_region),
    }
}
