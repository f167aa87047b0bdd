//! Lines as log records of OpenTelemetry, for a collector: OTLP over HTTP, in its JSON encoding (opentelemetry-proto,
//! `collector/logs/v1`), one record for each line.
//!
//! A batch has arrived when the collector answers 200 and rejects no record of it. The protocol knows no record by an id: a collector
//! gets a batch again whose answer was lost, and line by line where it rejected some of it. Its readers go by `_id`.

use std::borrow::Cow;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::record::Line;
use crate::store::StoreError;

/// The sink's name in metrics and logs.
pub const NAME: &str = "otlp";

/// Who the records are from.
const SERVICE: &str = "tollgate";

/// The way to the collector.
#[async_trait]
pub trait Collector: Send + Sync {
    /// Posts a JSON document.
    ///
    /// # Errors
    /// Why there is no answer, without secrets; asking again may give one.
    async fn post(&self, document: Bytes) -> Result<Answer, String>;
}

/// What the collector answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// The sink.
pub struct Otlp(Box<dyn Collector>);

// === impl Otlp ===

impl Otlp {
    /// A sink that posts to this collector.
    pub fn new(collector: impl Collector + 'static) -> Self {
        Self(Box::new(collector))
    }

    /// Writes the lines, all at once.
    pub(super) async fn write(&self, lines: &[Line]) -> Result<(), StoreError> {
        let fault = |message: String, transient| StoreError { store: NAME, message, transient };
        let document = serde_json::to_vec(&export(lines)).map_err(|error| fault(error.to_string(), false))?;
        let answer = self.0.post(document.into()).await.map_err(|why| fault(why, true))?;
        if answer.status != 200 {
            let why = format!("the collector answers with status {}", answer.status);
            return Err(fault(why, is_about_the_way(answer.status)));
        }
        match rejected(&answer.body) {
            Ok(0) => Ok(()),
            // What it says of them may quote them, and stays unsaid.
            Ok(count) => Err(fault(format!("the collector rejects {count} of {} records", lines.len()), false)),
            Err(error) => Err(fault(format!("the collector's answer is none of OTLP: {error}"), true)),
        }
    }
}

/// Whether a status says nothing about the lines themselves, but about the collector, the way to it or the credentials: lines wait until
/// that is mended. OTLP calls 429, 502, 503 and 504 retryable; who asks at a wrong place or with an old token has not asked at all.
fn is_about_the_way(status: u16) -> bool {
    matches!(status, 300..=399 | 401 | 403..=405 | 407 | 408 | 429 | 502..=504)
}

/// How many records an answer rejects. An empty answer, or one without the member, rejects none.
fn rejected(body: &[u8]) -> serde_json::Result<u64> {
    if body.is_empty() {
        return Ok(0);
    }
    let Exported { partial_success } = serde_json::from_slice(body)?;
    match partial_success.unwrap_or_default().rejected_log_records {
        None => Ok(0),
        Some(Count::Number(count)) => Ok(count),
        Some(Count::Text(digits)) => digits.parse().map_err(serde::de::Error::custom),
    }
}

/// What is told of a line beside its text. Usage entries, heads and tombstones have neither.
#[derive(Default, Deserialize)]
struct Told<'a> {
    #[serde(default, borrow)]
    category: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    severity: Option<Cow<'a, str>>,
}

// === what is answered: ExportLogsServiceResponse ===

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    #[serde(default)]
    partial_success: Option<Partial>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Partial {
    rejected_log_records: Option<Count>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(Box<str>),
}

// === helpers ===

/// The document that brings these lines: an `ExportLogsServiceRequest`.
fn export(lines: &[Line]) -> Value {
    let own = [attribute("service.name", SERVICE), attribute("service.version", env!("CARGO_PKG_VERSION"))];
    let records: Vec<_> = lines.iter().map(record).collect();
    let scope = json!({"scope": {"name": "tollgate.record"}, "logRecords": records});
    json!({"resourceLogs": [{"resource": {"attributes": own}, "scopeLogs": [scope]}]})
}

fn record(line: &Line) -> Value {
    let Told { category, severity } = serde_json::from_str(&line.text).unwrap_or_default();
    let mut attributes = vec![attribute("kind", line.kind.as_str()), attribute("_id", &line.id.to_string())];
    attributes.extend(category.map(|category| attribute("category", &category)));
    attributes.extend(severity.as_deref().map(|severity| attribute("severity", severity)));
    let mut record = json!({
        // Numbers of 64 bits are texts in this encoding.
        "timeUnixNano": line.at.as_nanosecond().max(0).to_string(),
        "severityNumber": number(severity.as_deref()),
        "body": {"stringValue": &*line.text},
        "attributes": attributes,
    });
    if let (Some(severity), Some(record)) = (severity, record.as_object_mut()) {
        record.insert("severityText".to_owned(), severity.into());
    }
    record
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// OpenTelemetry's number of a severity (its log data model, "Severity Fields"); of lines without one, that of information.
fn number(severity: Option<&str>) -> u8 {
    match severity {
        Some("CRITICAL") => 21,
        Some("ERROR") => 17,
        Some("WARNING") => 13,
        _ => 9,
    }
}

#[cfg(test)]
mod tests;
