//! Answers of the assistants API, narrowed to what the caller may see (CONTRACT.md C.1).
//!
//! A list loses the assistants whose model is hidden; the answer about one assistant loses the name of the model.

use bytes::Bytes;
use serde_json::Value;

use super::{ENDPOINTS, Part};
use crate::librechat::catalog::Misshapen;
use crate::policy::words::Sight;

/// What a caller may see of one endpoint's models, or of both where the request names none.
struct Models<'a> {
    endpoint: Option<&'a str>,
    sight: &'a dyn Sight,
}

/// Whether the answer of a part holds models.
pub fn names_models(part: Part) -> bool {
    !matches!(part, Part::Chat | Part::Abort | Part::Tools)
}

/// Narrows an answer. An empty one is passed on: LibreChat answers so if it lists nothing.
///
/// # Errors
/// [`Misshapen`] if it is not what LibreChat 0.8.6 answers.
pub fn narrow(part: Part, endpoint: Option<&str>, body: &Bytes, sight: &dyn Sight) -> Result<Bytes, Misshapen> {
    if body.is_empty() || sight.everything() {
        return Ok(body.clone());
    }
    let mut answer: Value = serde_json::from_slice(body).map_err(|_| misshapen("it is not JSON"))?;
    let models = Models { endpoint, sight };
    match part {
        Part::List => {
            let list = answer.get_mut("data").and_then(Value::as_array_mut);
            let list = list.ok_or(misshapen("it has no list \"data\""))?;
            list.retain(|assistant| assistant.get("model").is_some_and(|model| models.shows(model)));
        }
        Part::Documents => {
            let list = answer.as_array_mut().ok_or(misshapen("it is not a list"))?;
            list.retain(|document| document.get("model").is_none_or(|model| models.shows(model)));
        }
        _ => {}
    }
    models.withhold(&mut answer);
    serde_json::to_vec(&answer).map(Bytes::from).map_err(|_| misshapen("it cannot be written again"))
}

fn misshapen(what: &'static str) -> Misshapen {
    Misshapen { answer: "/api/assistants", what }
}

// === impl Models ===

impl Models<'_> {
    fn shows(&self, model: &Value) -> bool {
        let shown = |model: &str| match self.endpoint {
            Some(endpoint) => self.sight.model(endpoint, model),
            None => ENDPOINTS.iter().all(|endpoint| self.sight.model(endpoint, model)),
        };
        model.as_str().is_some_and(shown)
    }

    /// Takes every member `model` that is hidden out of the answer, at any depth: an action's answer holds an assistant.
    fn withhold(&self, value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|value| self.withhold(value)),
            Value::Object(members) => {
                // `shift_remove` keeps LibreChat's order.
                if members.get("model").is_some_and(|model| !model.is_null() && !self.shows(model)) {
                    members.shift_remove("model");
                }
                members.values_mut().for_each(|value| self.withhold(value));
            }
            _ => {}
        }
    }
}
