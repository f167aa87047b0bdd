//! The parameter that bounds an answer, which each endpoint has under a name of its own, and how it is written.
//!
//! LibreChat picks the parameters of an endpoint by a schema and drops the others (its `parseCompactConvo`): `max_tokens` for
//! openAI, azureOpenAI and custom endpoints, `maxOutputTokens` for anthropic and google, and both `maxTokens` and
//! `maxOutputTokens` for bedrock, where the second wins. A custom endpoint can be set to the schema of another one
//! (`customParams.defaultParamsEndpoint`), which nobody can see from here: there every name is written, all with one value.
//!
//! A bound is only worth something where the turn makes one call of one model, with a prompt that is known. So a turn that
//! could do anything else is [`Unbounded`].

use bytes::Bytes;
use serde_json::Value;

use super::{Prompt, number};
use crate::librechat::json::{Canonical, Kind, Limits, read_strict};

/// All names that LibreChat knows for the bound of an answer, in any schema, client or provider. Those that the endpoint does
/// not read are taken out of the body.
const NAMES: [&str; 7] = [
    "max_tokens",
    "maxTokens",
    "maxOutputTokens",
    "max_output_tokens",
    "max_completion_tokens",
    "maxCompletionTokens",
    "max_tokens_to_sample",
];

/// How a variable in instructions begins. LibreChat puts the date there, or the name of the user, which may be long.
const VARIABLE: &str = "{{";

/// A turn whose answer is bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// The body to send to LibreChat, in canonical text.
    pub body: Bytes,
    /// Most tokens that the answer can have.
    pub output: u64,
}

/// Why a turn cannot be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbounded {
    /// A stored agent: its own parameters bound its answers, and it may answer several times.
    #[error("a stored agent may answer several times, with bounds of its own")]
    Agent,
    /// An assistant, or another endpoint without such a parameter.
    #[error("the endpoint has no parameter that bounds an answer")]
    Endpoint,
    /// A second conversation beside it, whose parameters LibreChat does not always take.
    #[error("a second conversation runs beside it")]
    Added,
    /// A model spec, which may replace the parameters and adds instructions that are not shown.
    #[error("a model spec adds parameters and instructions that are not shown")]
    Spec,
    /// Tools, artifacts or skills: each call of a tool is another call of the model.
    #[error("tools make the model answer several times")]
    Tools,
    /// Files: what is in them is not known.
    #[error("the size of files is not known")]
    Files,
    /// Messages before it that could not be read whole.
    #[error("what was said before could not be read whole")]
    History,
    /// A variable in the instructions, which stands for another text.
    #[error("the instructions hold a variable that stands for another text")]
    Variable,
    /// Nothing is left for an answer.
    #[error("nothing is left for an answer")]
    NothingLeft,
    /// The body cannot be read.
    #[error("the body cannot be read")]
    Unreadable,
}

/// Writes the bound of the answer into the body of a chat turn that has been judged: at most `most` tokens, or the caller's own
/// bound where that is smaller. `endpoint` is the one that was judged. What was said before is for the caller to look at:
/// files there, or messages that are missing, make a turn unbounded, too (see [`Unbounded::Files`], [`Unbounded::History`]).
///
/// # Errors
/// [`Unbounded`]
pub fn bound_output(body: &[u8], endpoint: &str, most: u64) -> Result<Bounded, Unbounded> {
    let names = names(endpoint)?;
    if most == 0 {
        return Err(Unbounded::NothingLeft);
    }
    let read = read_strict(body, Limits::CHAT).map_err(|_| Unbounded::Unreadable)?;
    is_simple(body, &read)?;
    let mut output = most;
    let mut text = Vec::with_capacity(body.len() + 64);
    for (key, value) in read.members() {
        let bound = NAMES.iter().any(|name| name.as_bytes() == key);
        if bound {
            let own = serde_json::from_slice::<Value>(value.raw()).ok().as_ref().and_then(number);
            let counts = names.iter().any(|name| name.as_bytes() == key);
            output = own.filter(|_| counts).map_or(output, |own| own.min(output));
            continue;
        }
        text.push(if text.is_empty() { b'{' } else { b',' });
        text.push(b'"');
        text.extend_from_slice(key);
        text.extend_from_slice(b"\":");
        text.extend_from_slice(value.raw());
    }
    for name in names {
        text.push(if text.is_empty() { b'{' } else { b',' });
        text.extend_from_slice(format!("\"{name}\":{output}").as_bytes());
    }
    text.push(b'}');
    Ok(Bounded { body: text.into(), output })
}

/// The caller's own bound, where the endpoint's schema picks it: of several names the largest, which is never too small.
pub(super) fn own(endpoint: &str, value: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    names(endpoint).ok()?.iter().filter_map(|name| value(name)).max()
}

/// The names under which LibreChat reads the bound for this endpoint.
fn names(endpoint: &str) -> Result<&'static [&'static str], Unbounded> {
    match endpoint {
        "openAI" | "azureOpenAI" => Ok(&["max_tokens"]),
        "anthropic" | "google" => Ok(&["maxOutputTokens"]),
        "bedrock" => Ok(&["maxTokens", "maxOutputTokens"]),
        "agents" => Err(Unbounded::Agent),
        "assistants" | "azureAssistants" => Err(Unbounded::Endpoint),
        _ => Ok(&["max_tokens", "maxTokens", "maxOutputTokens"]),
    }
}

/// Whether the turn is one call of one model with a prompt that is in the body and in the messages before it.
fn is_simple(body: &[u8], read: &Canonical) -> Result<(), Unbounded> {
    let prompt = Prompt::of_turn(body).map_err(|_| Unbounded::Unreadable)?;
    for (key, value) in read.members().filter(|(_, value)| value.kind() != Kind::Null) {
        match key {
            b"addedConvo" => return Err(Unbounded::Added),
            b"spec" => return Err(Unbounded::Spec),
            b"files" if value.raw() != b"[]" => return Err(Unbounded::Files),
            b"manualSkills" if value.raw() != b"[]" => return Err(Unbounded::Tools),
            b"artifacts" if value.raw() != b"\"\"" => return Err(Unbounded::Tools),
            _ => {}
        }
    }
    if prompt.tools > 0 || prompt.artifacts {
        return Err(Unbounded::Tools);
    }
    if !prompt.files.is_none() {
        return Err(Unbounded::Files);
    }
    if prompt.instructions.contains(VARIABLE) {
        return Err(Unbounded::Variable);
    }
    Ok(())
}
