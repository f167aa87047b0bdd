//! A line as a document and back: the same text, byte for byte.
//!
//! The document has the members of the text in their order (without `kind`, which the collection says), in the types that
//! queries need: ids as UUIDs, times as dates, money as decimals. A date has milliseconds. Where the text has more, the date
//! is the nearest (of `charged.until` the one after it, so that no window ends before its time), and [`EXACT`] keeps the
//! text. Whatever else would not come back the same is kept whole in [`TEXT`]; that is looked at for every line.

use jiff::Timestamp;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{self, Bson, DateTime, Decimal128, Document};
use mongodb::error::Error;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::plain;
use crate::json_text::escape;
use crate::record::{Kind, Line};

/// Times as the text has them, by their place in it (a JSON pointer, RFC 6901), where they are finer than their dates.
const EXACT: &str = "_exact";

/// The whole text, where the other members do not give it back.
const TEXT: &str = "_text";

/// Objects and lists within each other, of which a document may have 100.
const DEEPEST: usize = 60;

/// The line as a document of its kind's collection.
///
/// # Errors
/// Where the text is no JSON object.
pub(super) fn document(line: &Line) -> Result<Document, Error> {
    let members: Map<String, Value> = match serde_json::from_str(&line.text) {
        Ok(members) => members,
        // Deeper than anything here goes.
        Err(_) if Line::read(&line.text).is_ok() => Map::new(),
        Err(error) => return Err(Error::custom(format!("the line {} is not a JSON object: {error}", line.id))),
    };
    let mut typed = Typed::default();
    // The server puts it first in any case.
    typed.document.insert("_id", uuid(line.id));
    for (name, value) in &members {
        typed.add(name, value);
    }
    let Typed { mut document, exact } = typed;
    // By these it is found and ages, whatever the text says.
    document.insert("_id", uuid(line.id));
    document.insert("timestamp", DateTime::from_millis(line.at.as_millisecond()));
    if !exact.is_empty() {
        document.insert(EXACT, exact);
    }
    if text(line.kind, &document) != *line.text {
        document.remove(EXACT);
        document.insert(TEXT, &*line.text);
    }
    Ok(document)
}

/// The line that a document of this kind's collection keeps.
///
/// # Errors
/// Where the document has no `_id` that is a UUID, or no date `timestamp`: nothing of ours.
pub(super) fn line(kind: Kind, document: &Document) -> Result<Line, String> {
    let text = text(kind, document);
    Line::read(&text).map_err(|error| format!("it is no line of the record: {error}"))
}

/// An id as documents have it.
pub(super) fn uuid(id: Uuid) -> Bson {
    bson::Uuid::from_bytes(id.into_bytes()).into()
}

/// A document on its way.
#[derive(Default)]
struct Typed {
    document: Document,
    exact: Document,
}

// === impl Typed ===

impl Typed {
    fn add(&mut self, name: &str, value: &Value) {
        let typed = match (name, value) {
            ("kind" | "_id" | EXACT | TEXT, _) => return,
            _ if !fits(name) => return,
            ("requestId" | "instance" | "erased", Value::String(text)) => id(text),
            ("timestamp" | "settled", Value::String(text)) => {
                self.date(&format!("/{name}"), text, Timestamp::as_millisecond)
            }
            ("cost", Value::String(text)) => money(text),
            ("runs", Value::Array(runs)) => Some(runs.iter().map(run).collect()),
            ("charged", Value::Array(charges)) => {
                Some(charges.iter().enumerate().map(|(at, charge)| self.charge(at, charge)).collect())
            }
            _ => None,
        };
        self.document.insert(name, typed.unwrap_or_else(|| plainly(value, 1)));
    }

    /// A date that is asked for, and the text beside it where the date lacks something of it.
    fn date(&mut self, at: &str, text: &str, milliseconds: fn(Timestamp) -> i64) -> Option<Bson> {
        let milliseconds = milliseconds(text.parse().ok()?);
        if moment(milliseconds).as_deref() != Some(text) {
            self.exact.insert(at, text);
        }
        Some(DateTime::from_millis(milliseconds).into())
    }

    fn charge(&mut self, at: usize, charge: &Value) -> Bson {
        match plainly(charge, 2) {
            Bson::Document(mut typed) => {
                let until = charge.get("until").and_then(Value::as_str);
                if let Some(date) = until.and_then(|text| self.date(&format!("/charged/{at}/until"), text, rounded_up))
                {
                    typed.insert("until", date);
                }
                typed.into()
            }
            other => other,
        }
    }
}

// === helpers ===

/// The text that a document keeps.
fn text(kind: Kind, document: &Document) -> String {
    if let Some(Bson::String(text)) = document.get(TEXT) {
        return text.clone();
    }
    let exact = document.get_document(EXACT).ok();
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"kind\":");
    string(kind.as_str(), &mut out);
    for (name, value) in document.iter().filter(|(name, _)| *name != EXACT) {
        member(name, &mut out);
        match (exact, value) {
            (Some(exact), Bson::DateTime(_)) if let Ok(text) = exact.get_str(format!("/{name}")) => {
                string(text, &mut out)
            }
            (Some(exact), Bson::Array(charges)) if name == "charged" => write_charges(charges, exact, &mut out),
            _ => write(value, &mut out),
        }
    }
    out.push(b'}');
    // What is not UTF-8 was in no text.
    String::from_utf8(out).unwrap_or_default()
}

fn write_charges(charges: &[Bson], exact: &Document, out: &mut Vec<u8>) {
    write_list(charges.iter().enumerate(), out, |(at, charge), out| match charge {
        Bson::Document(charge) => {
            write_object(charge, out, |name, value, out| match exact.get_str(format!("/charged/{at}/{name}")) {
                Ok(text) => string(text, out),
                Err(_) => write(value, out),
            })
        }
        other => write(other, out),
    });
}

/// A value as JSON: what [`Typed`] made of texts becomes texts again.
fn write(value: &Bson, out: &mut Vec<u8>) {
    match value {
        Bson::String(text) => string(text, out),
        Bson::Array(items) => write_list(items.iter(), out, write),
        Bson::Document(document) => write_object(document, out, |_, value, out| write(value, out)),
        // Writing into memory cannot fail.
        leaf => drop(serde_json::to_writer(out, &json(leaf))),
    }
}

fn write_list<T>(items: impl Iterator<Item = T>, out: &mut Vec<u8>, each: impl Fn(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(item, out);
    }
    out.push(b']');
}

fn write_object(document: &Document, out: &mut Vec<u8>, each: impl Fn(&str, &Bson, &mut Vec<u8>)) {
    let begin = out.len();
    for (name, value) in document {
        member(name, out);
        each(name, value, out);
    }
    match out.get_mut(begin) {
        // The first member has no comma before it.
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// The name of a member, with the comma before it and the colon behind it.
fn member(name: &str, out: &mut Vec<u8>) {
    out.push(b',');
    string(name, out);
    out.push(b':');
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// A value that has no others in it.
fn json(value: &Bson) -> Value {
    let text = match value {
        Bson::Binary(binary) if binary.subtype == BinarySubtype::Uuid => {
            Uuid::from_slice(&binary.bytes).ok().map(|id| id.to_string())
        }
        Bson::DateTime(date) => moment(date.timestamp_millis()),
        Bson::Decimal128(money) => digits(&money.to_string()),
        _ => None,
    };
    text.map_or_else(|| plain::json(value.clone()), Value::from)
}

/// A value in the types that JSON has. What no document can have is left out.
fn plainly(value: &Value, depth: usize) -> Bson {
    match value {
        _ if depth > DEEPEST => Bson::Null,
        Value::Null => Bson::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => i32::try_from(whole).map_or(Bson::Int64(whole), Bson::Int32),
            None => number.as_f64().map_or(Bson::Null, Bson::Double),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(|item| plainly(item, depth + 1)).collect::<Vec<_>>().into(),
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| fits(name));
            members.map(|(name, value)| (name.clone(), plainly(value, depth + 1))).collect::<Document>().into()
        }
    }
}

/// Whether every server takes the name in every command.
fn fits(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('$') && !name.contains(['.', '\0'])
}

fn run(run: &Value) -> Bson {
    match plainly(run, 2) {
        Bson::Document(mut typed) => {
            if let Some(cost) = run.get("cost").and_then(Value::as_str).and_then(money) {
                typed.insert("cost", cost);
            }
            typed.into()
        }
        other => other,
    }
}

/// An id, unless it would come back as another text.
fn id(text: &str) -> Option<Bson> {
    let id: Uuid = text.parse().ok()?;
    (id.to_string() == text).then(|| uuid(id))
}

/// An amount of money, unless it would come back as another text.
fn money(text: &str) -> Option<Bson> {
    let amount: Decimal128 = text.parse().ok()?;
    (digits(&amount.to_string()).as_deref() == Some(text)).then_some(Bson::Decimal128(amount))
}

/// The moment as entries write it.
fn moment(milliseconds: i64) -> Option<String> {
    Timestamp::from_millisecond(milliseconds).ok().map(|moment| moment.to_string())
}

/// The first whole millisecond that is not before this moment.
fn rounded_up(at: Timestamp) -> i64 {
    let milliseconds = at.as_millisecond();
    let behind = Timestamp::from_millisecond(milliseconds).is_ok_and(|whole| whole < at);
    milliseconds.saturating_add(i64::from(behind))
}

/// A decimal without an exponent: `1.5E-7` is `0.00000015`. None for what is no number.
pub(super) fn digits(decimal: &str) -> Option<String> {
    let Some((number, exponent)) = decimal.split_once(['E', 'e']) else {
        return decimal.bytes().any(|byte| byte.is_ascii_digit()).then(|| decimal.to_owned());
    };
    let places = usize::try_from(exponent.parse::<i32>().ok()?.checked_neg()?).ok()?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Normalised: one digit before the point. What else there is, nobody wrote.
    let plain =
        whole.len() == 1 && places >= 1 && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    plain.then(|| format!("0.{:0>places$}{fraction}", whole))
}

#[cfg(test)]
mod tests;
