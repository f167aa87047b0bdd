//! A document of the collection of overrides: how it is written, and what can be read of one that somebody else has written.

use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, RawBsonRef, RawDocument, doc};
use serde_json::Value;

use crate::policy::overrides::{Kind, Principal};
use crate::store::overrides::{DEEPEST, LARGEST, Override, Unreadable, too_deep};

/// Most bytes that a document may have as BSON. What is small as JSON can be larger here, where each item of a list has a name, but not so
/// much larger.
pub(super) const LARGEST_BSON: usize = 16 * LARGEST;

/// The member that says how large a document is of which only a part was sent.
pub(super) const BYTES: &str = "_bytes";

pub(super) fn written(document: &Override, version: u64) -> Document {
    let date = |at: Timestamp| DateTime::from_millis(at.as_millisecond());
    // Members in the order of their names, so that a document that is written again says the same.
    let overrides = serde_json::from_str::<Value>(&document.text()).unwrap_or_default();
    let mut written = doc! {
        "principalType": document.principal.kind.as_str(),
        "principalId": &*document.principal.id,
        "priority": document.priority,
        "overrides": bson(&overrides),
        "isActive": document.is_active,
        "configVersion": signed(version),
        "updatedAt": date(document.updated_at),
    };
    let texts = [("updatedBy", &document.updated_by), ("note", &document.note)];
    for (name, text) in texts {
        if let Some(text) = text {
            written.insert(name, &**text);
        }
    }
    if let Some(end) = document.expires_at {
        written.insert("expiresAt", date(end));
    }
    written
}

/// Reads a document, whatever somebody else has made of it.
pub(super) fn read(document: &RawDocument) -> Result<Override, Unreadable> {
    bounded(document).and_then(|document| read_members(&document)).map_err(|why| unreadable(document, why))
}

/// The document, if it is no larger and no deeper than one can be: decoding goes as deep as what is decoded.
fn bounded(document: &RawDocument) -> Result<Document, String> {
    let told = document.get(BYTES).ok().flatten().and_then(|bytes| bytes.as_i32().map(i64::from).or(bytes.as_i64()));
    let bytes = told.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default().max(document.as_bytes().len());
    if bytes > LARGEST_BSON {
        return Err(format!("it has {bytes} bytes, and no override has more than {LARGEST_BSON}"));
    }
    if is_deeper(document, DEEPEST + 1)? {
        return Err(too_deep());
    }
    Document::try_from(document).map_err(|error| error.to_string())
}

/// Whether anything in it stands deeper than this. Asked without going deeper itself.
fn is_deeper(document: &RawDocument, most: usize) -> Result<bool, String> {
    let mut left = vec![(document, 1)];
    while let Some((document, depth)) = left.pop() {
        if depth > most {
            return Ok(true);
        }
        for member in document {
            let (_, value) = member.map_err(|error| error.to_string())?;
            let inner = match value {
                RawBsonRef::Document(inner) => inner,
                RawBsonRef::Array(items) => {
                    RawDocument::from_bytes(items.as_bytes()).map_err(|error| error.to_string())?
                }
                RawBsonRef::JavaScriptCodeWithScope(code) => code.scope,
                _ => continue,
            };
            left.push((inner, depth + 1));
        }
    }
    Ok(false)
}

/// What can be told of a document that cannot be read: whom it is about decides whom it refuses.
fn unreadable(document: &RawDocument, why: String) -> Unreadable {
    let text = |name| document.get_str(name).ok();
    let of = Kind::named(text("principalType").unwrap_or_default())
        .zip(text("principalId"))
        .map(|(kind, id)| Principal { kind, id: id.into() });
    let name = format!("{} {}", text("principalType").unwrap_or("?"), text("principalId").unwrap_or("?"));
    // What does not say plainly that it is switched off may be meant to count.
    let is_active = document.get_bool("isActive").unwrap_or(true);
    Unreadable { name: name.into(), why: why.into(), of, is_active }
}

fn read_members(document: &Document) -> Result<Override, String> {
    let text = |name: &str| document.get_str(name).map_err(|_| format!("\"{name}\" is no text"));
    let kind = text("principalType")?;
    let kind = Kind::named(kind).ok_or_else(|| format!("{kind:?} is neither role nor group nor user"))?;
    let date = |name: &str| -> Result<Option<Timestamp>, String> {
        match document.get(name) {
            None | Some(Bson::Null) => Ok(None),
            Some(Bson::DateTime(at)) => {
                Timestamp::from_millisecond(at.timestamp_millis()).map(Some).map_err(|error| error.to_string())
            }
            Some(_) => Err(format!("\"{name}\" is no date")),
        }
    };
    let plain = |name: &str| document.get_str(name).ok().map(Into::into);
    let number =
        |name: &str| document.get(name).and_then(whole).ok_or_else(|| format!("\"{name}\" is no whole number"));
    let priority = match document.get("priority") {
        Some(Bson::Int32(priority)) => Some(*priority),
        Some(Bson::Int64(priority)) => i32::try_from(*priority).ok(),
        Some(Bson::Double(priority)) if priority.fract() == 0.0 => format!("{priority:.0}").parse().ok(),
        _ => None,
    };
    let overrides = document.get_document("overrides").map_err(|_| "\"overrides\" is no document".to_owned())?;
    let Value::Object(overrides) = json(&Bson::Document(overrides.clone()))? else {
        return Err("\"overrides\" is no document".to_owned());
    };
    let read = Override {
        principal: Principal { kind, id: text("principalId")?.into() },
        priority: priority.ok_or("\"priority\" is no whole number")?,
        overrides,
        is_active: document.get_bool("isActive").map_err(|_| "\"isActive\" is neither true nor false")?,
        config_version: number("configVersion")?,
        updated_at: date("updatedAt")?.unwrap_or(Timestamp::UNIX_EPOCH),
        updated_by: plain("updatedBy"),
        note: plain("note"),
        expires_at: date("expiresAt")?,
    };
    read.check_size()?;
    Ok(read)
}

/// What a policy can say: anything else is nothing that was written by Tollgate.
fn json(value: &Bson) -> Result<Value, String> {
    Ok(match value {
        Bson::Null => Value::Null,
        Bson::Boolean(truth) => (*truth).into(),
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => (*number).into(),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            format!("{number:.0}").parse::<i64>().map_err(|error| error.to_string())?.into()
        }
        Bson::Double(number) => (*number).into(),
        Bson::String(text) => text.as_str().into(),
        Bson::Array(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Bson::Document(members) => {
            let members = members.iter().map(|(name, value)| Ok((name.clone(), json(value)?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
        other => return Err(format!("\"overrides\" has a value of the type {:?}", other.element_type())),
    })
}

fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(truth) => Bson::Boolean(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Bson::Int64(number),
            (None, Some(number)) => Bson::Double(number),
            (None, None) => Bson::String(number.to_string()),
        },
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(bson).collect()),
        Value::Object(members) => {
            Bson::Document(members.iter().map(|(name, value)| (name.clone(), bson(value))).collect())
        }
    }
}

pub(super) fn whole(value: &Bson) -> Option<u64> {
    match value {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        Bson::Double(number) if number.fract() == 0.0 && *number >= 0.0 => format!("{number:.0}").parse().ok(),
        _ => None,
    }
}

pub(super) fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
