//! The rows of `transactions` that LibreChat writes when a run is over: what each call of a model used, exactly (CONTRACT.md
//! E.1, E.4).
//!
//! A call has a row for its prompt and, after it, one for its completion. Before LibreChat writes the rows it has taken them
//! from the user's balance, so that a row which is there is paid for. Rows say which model, but not of which endpoint.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::number;
use crate::policy::charges::Tokens;

/// What one run used, by the id of its response message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    runs: HashMap<Box<str>, Vec<Call>>,
    /// The calls of rows that name no message, the first one first: those of assistants' runs (`recordUsage` in LibreChat's
    /// `Threads/manage.js`, one for each run). They say in which conversation, and not of which run.
    pub nameless: Vec<Call>,
    /// Rows that cannot be believed, of which nothing is counted.
    pub unreadable: Vec<Unreadable>,
}

/// One call of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The model by LibreChat's account. With some settings of an agent another one was called (CONTRACT.md B.5.1).
    pub model: Box<str>,
    /// What it is for.
    pub context: Context,
    /// What it used.
    pub tokens: Tokens,
    /// The row that is not there (yet).
    pub missing: Option<Half>,
    /// The ids of its rows. A response that is edited and continued has those of several turns under one id.
    pub rows: Vec<Box<str>>,
}

/// One of the two rows of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// What the model was given.
    Prompt,
    /// What it wrote.
    Completion,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// The answer: `message`, and whatever has another name.
    Message,
    /// The title of the conversation, which is written beside the answer, and often after it: `title`.
    Title,
    /// A summary of what was said before: `summarization`.
    Summary,
    /// An answer that was stopped, which LibreChat charges 15 % more for: `incomplete`, `abort`.
    Stopped,
}

/// A row that cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transaction {id} of LibreChat cannot be read: {what}")]
pub struct Unreadable {
    /// Its id, where it has one.
    pub id: Box<str>,
    /// The response message that it is of: what this run used is not known then.
    pub message: Option<Box<str>>,
    /// What is wrong with it.
    pub what: &'static str,
}

/// A row.
struct Row<'a> {
    id: Box<str>,
    message: Option<&'a str>,
    model: &'a str,
    context: Context,
    used: Used,
}

/// What a row says was used.
enum Used {
    Prompt(Tokens),
    Completion(u64),
}

// === impl Ledger ===

impl Ledger {
    /// Reads rows, the oldest first: of one user, for LibreChat's names of conversations are not one person's. Rows that are not about
    /// a call (`credits`) are passed over.
    pub fn read<'a>(rows: impl IntoIterator<Item = &'a Map<String, Value>>, user: &str) -> Self {
        let mut ledger = Self::default();
        for fields in rows.into_iter().filter(|fields| id(fields, "user").as_deref() == Some(user)) {
            match Row::read(fields) {
                Ok(Some(row)) => ledger.add(&row),
                Ok(None) => {}
                Err(what) => ledger.unreadable.push(Unreadable {
                    id: id(fields, "_id").unwrap_or_default(),
                    message: id(fields, "messageId"),
                    what,
                }),
            }
        }
        ledger
    }

    /// The calls of the run with this response message, the first one first; none where LibreChat has written nothing (yet), or
    /// something that cannot be believed.
    pub fn of(&self, message: &str) -> Option<&[Call]> {
        let broken = self.unreadable.iter().any(|row| row.message.as_deref() == Some(message));
        self.runs.get(message).filter(|_| !broken).map(Vec::as_slice)
    }

    /// The response messages that there are rows of.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.runs.keys().map(AsRef::as_ref)
    }

    fn add(&mut self, row: &Row<'_>) {
        let calls = match row.message {
            Some(message) => self.runs.entry(message.into()).or_default(),
            None => &mut self.nameless,
        };
        let half = |tokens, missing| Call {
            model: row.model.into(),
            context: row.context,
            tokens,
            missing: Some(missing),
            rows: vec![row.id.clone()],
        };
        match row.used {
            Used::Prompt(tokens) => calls.push(half(tokens, Half::Completion)),
            Used::Completion(output) => {
                let waits = |call: &&mut Call| {
                    call.missing == Some(Half::Completion) && *call.model == *row.model && call.context == row.context
                };
                match calls.iter_mut().find(waits) {
                    Some(call) => {
                        (call.tokens.output, call.missing) = (output, None);
                        call.rows.push(row.id.clone());
                    }
                    None => calls.push(half(Tokens { output, ..Tokens::default() }, Half::Prompt)),
                }
            }
        }
    }
}

// === impl Call ===

impl Call {
    /// The endpoint that the call is charged under. A row does not say it: it is that of the turn's targets (endpoint and model)
    /// which has the model; where several have it, the first; where none has, as with titles by another model, the turn's
    /// first. None where the turn has no targets.
    pub fn endpoint<'a>(&self, targets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
        let mut first = None;
        for (endpoint, model) in targets {
            if model == &*self.model {
                return Some(endpoint);
            }
            first = first.or(Some(endpoint));
        }
        first
    }
}

/// Whether nothing of the answer is missing: each call has both its rows, and one of them is the answer's. A title may come
/// later.
pub fn is_complete(calls: &[Call]) -> bool {
    calls.iter().all(|call| call.missing.is_none()) && calls.iter().any(|call| call.context != Context::Title)
}

// === impl Row ===

impl<'a> Row<'a> {
    fn read(fields: &'a Map<String, Value>) -> Result<Option<Self>, &'static str> {
        let kind = fields.get("tokenType").and_then(Value::as_str).ok_or("it does not say its \"tokenType\"")?;
        if kind == "credits" {
            return Ok(None);
        }
        let id = id(fields, "_id").ok_or("it has no id")?;
        let model = text(fields, "model").ok_or("it names no \"model\"")?;
        let used = match kind {
            "prompt" => Used::Prompt(prompt(fields)?),
            "completion" => Used::Completion(taken(fields, "rawAmount")?.ok_or("it has no \"rawAmount\"")?),
            _ => return Err("its \"tokenType\" is neither \"prompt\" nor \"completion\""),
        };
        let context = match text(fields, "context") {
            Some("title") => Context::Title,
            Some("summarization") => Context::Summary,
            Some("incomplete" | "abort") => Context::Stopped,
            _ => Context::Message,
        };
        Ok(Some(Self { id, message: text(fields, "messageId"), model, context, used }))
    }
}

/// The tokens of a prompt: by what they cost where the row says it, else all as plain input.
fn prompt(fields: &Map<String, Value>) -> Result<Tokens, &'static str> {
    let all = taken(fields, "rawAmount")?;
    let parts = [taken(fields, "inputTokens")?, taken(fields, "writeTokens")?, taken(fields, "readTokens")?];
    if parts == [None; 3] {
        return Ok(Tokens { input: all.ok_or("it has no \"rawAmount\"")?, ..Tokens::default() });
    }
    let [input, cache_write, cached_input] = parts.map(Option::unwrap_or_default);
    let tokens = Tokens { input, cached_input, cache_write, output: 0 };
    match all {
        Some(all) if all != tokens.given() => Err("its \"rawAmount\" is not the sum of its parts"),
        _ => Ok(tokens),
    }
}

/// A number of tokens: LibreChat writes what is taken as a negative whole number, or 0. None where there is none.
fn taken(fields: &Map<String, Value>, name: &str) -> Result<Option<u64>, &'static str> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let taken = number::read(value).ok_or("a number of tokens is no number")?;
            number::count(-taken).map(Some).ok_or("a number of tokens is not whole, or adds instead of taking")
        }
    }
}

/// The text of a field; none where it is something else, or empty.
fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// An id: a text, or MongoDB's own kind.
fn id(fields: &Map<String, Value>, name: &str) -> Option<Box<str>> {
    let value = fields.get(name)?;
    value.as_str().or_else(|| value.get("$oid")?.as_str()).filter(|id| !id.is_empty()).map(Box::from)
}

#[cfg(test)]
mod tests;
