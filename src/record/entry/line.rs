//! An entry as one JSON line, byte for byte what `serde_json` makes of it, in a fraction of the time.
//!
//! Two entries are written for each chat turn. The library looks at every byte of every name and text on its own, which was a
//! tenth of what a turn costs; here names are written as they are and texts by the word (`json_text`). A test holds both to
//! the same bytes.

use std::fmt::Display;
use std::io::Write as _;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::{Audit, Charged, Details, Entry, Event, Metadata, Response, RunUsed, Spent, TokensUsed, Usage};
use crate::json_text::escape;

/// Appends the entry and a line break.
///
/// # Errors
/// Where a number cannot be written as JSON.
pub(in crate::record) fn write(entry: &Entry, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut line = Line(out);
    match entry {
        Entry::Audit(audit) => line.audit(audit)?,
        Entry::Usage(usage) => line.usage(usage)?,
        Entry::Event(event) => line.event(event)?,
    }
    line.raw("}\n");
    Ok(())
}

/// The line so far. A member's `name` comes with what stands before and behind it: `,"name":`, and for text `,"name":"`.
struct Line<'a>(&'a mut Vec<u8>);

/// How moments are written: RFC 3339, UTC.
static MOMENTS: DateTimePrinter = DateTimePrinter::new();

// === impl Line ===

impl Line<'_> {
    fn audit(&mut self, audit: &Audit) -> serde_json::Result<()> {
        self.id(r#"{"kind":"audit","_id":""#, audit.id);
        self.id(r#","requestId":""#, audit.request_id);
        self.moment(r#","timestamp":""#, &audit.timestamp);
        self.maybe(r#","userId":""#, audit.user_id.as_deref());
        self.maybe(r#","role":""#, audit.role.as_deref());
        if let Some(groups) = &audit.groups {
            self.list(r#","groups":"#, groups.iter().map(|group| &**group));
        }
        self.maybe(r#","keyId":""#, audit.key_id.as_deref());
        self.value(r#","action":"#, &audit.action)?;
        self.value(r#","category":"#, &audit.category)?;
        self.value(r#","severity":"#, &audit.severity)?;
        self.value(r#","decision":"#, &audit.decision)?;
        self.list(r#","rules":"#, audit.rules.iter().map(|rule| rule.as_str()));
        if !audit.would_refuse.is_empty() {
            self.list(r#","wouldRefuse":"#, audit.would_refuse.iter().map(|rule| rule.as_str()));
        }
        self.text(r#","policyRevision":""#, &audit.policy_revision);
        self.details(&audit.details)?;
        self.metadata(&audit.metadata);
        Ok(())
    }

    fn event(&mut self, event: &Event) -> serde_json::Result<()> {
        self.id(r#"{"kind":"audit","_id":""#, event.id);
        self.moment(r#","timestamp":""#, &event.timestamp);
        self.maybe(r#","userId":""#, event.user_id.as_deref());
        self.maybe(r#","actor":""#, event.actor.as_deref());
        self.value(r#","action":"#, &event.action)?;
        self.value(r#","category":"#, &event.category)?;
        self.value(r#","severity":"#, &event.severity)?;
        self.maybe(r#","policyRevision":""#, event.policy_revision.as_deref());
        self.value(r#","about":"#, &event.about)
    }

    fn details(&mut self, details: &Details) -> serde_json::Result<()> {
        self.text(r#","details":{"ip":""#, &details.ip);
        self.maybe(r#","userAgent":""#, details.user_agent.as_deref());
        self.text(r#","method":""#, &details.method);
        self.text(r#","path":""#, &details.path);
        self.list_unless_empty(r#","query":"#, &details.query);
        if let Some(Response { status, message, time }) = &details.response {
            self.value(r#","response":{"status":"#, status)?;
            self.maybe(r#","message":""#, message.as_deref());
            self.value(r#","time":"#, time)?;
            self.raw("}");
        }
        self.maybe(r#","error":""#, details.error.as_deref());
        self.raw("}");
        Ok(())
    }

    fn metadata(&mut self, metadata: &Metadata) {
        self.raw(r#","metadata":{"#);
        let first = self.0.len();
        self.maybe(r#","conversationId":""#, metadata.conversation_id.as_deref());
        self.maybe(r#","endpoint":""#, metadata.endpoint.as_deref());
        self.maybe(r#","model":""#, metadata.model.as_deref());
        self.maybe(r#","agent":""#, metadata.agent.as_deref());
        self.maybe(r#","spec":""#, metadata.spec.as_deref());
        self.list_unless_empty(r#","also":"#, &metadata.also);
        // The first member has no comma before it.
        if self.0.get(first) == Some(&b',') {
            self.0.remove(first);
        }
        self.raw("}");
    }

    fn usage(&mut self, usage: &Usage) -> serde_json::Result<()> {
        self.id(r#"{"kind":"usage","_id":""#, usage.id);
        self.id(r#","requestId":""#, usage.request_id);
        self.moment(r#","timestamp":""#, &usage.timestamp);
        self.text(r#","userId":""#, &usage.user_id);
        self.text(r#","role":""#, &usage.role);
        if let Some(groups) = &usage.groups {
            self.list(r#","groups":"#, groups.iter().map(|group| &**group));
        }
        self.text(r#","endpoint":""#, &usage.endpoint);
        self.text(r#","model":""#, &usage.model);
        self.maybe(r#","agent":""#, usage.agent.as_deref());
        self.list_unless_empty(r#","models":"#, &usage.models);
        self.maybe(r#","spec":""#, usage.spec.as_deref());
        self.maybe(r#","conversationId":""#, usage.conversation_id.as_deref());
        self.value(r#","outcome":"#, &usage.outcome)?;
        self.value(r#","status":"#, &usage.status)?;
        self.value(r#","requestBytes":"#, &usage.request_bytes)?;
        self.value(r#","time":"#, &usage.time)?;
        match &usage.spent {
            Some(spent) => self.spent(spent),
            None => Ok(()),
        }
    }

    fn spent(&mut self, spent: &Spent) -> serde_json::Result<()> {
        self.tokens(r#","tokens":{"input":"#, &spent.tokens);
        if let Some(cost) = spent.cost {
            self.shown(r#","cost":""#, cost, "\"");
        }
        self.value(r#","source":"#, &spent.source)?;
        self.moment(r#","settled":""#, &spent.settled);
        if let Some(ended) = &spent.ended {
            self.value(r#","ended":"#, ended)?;
        }
        if let Some(first) = &spent.first_byte {
            self.value(r#","firstByte":"#, first)?;
        }
        if let Some(duration) = &spent.duration {
            self.value(r#","duration":"#, duration)?;
        }
        self.objects(r#","runs":"#, &spent.runs, Self::run);
        self.objects(r#","charged":"#, &spent.charged, Self::charge);
        Ok(())
    }

    fn run(&mut self, run: &RunUsed) {
        self.text(r#"{"endpoint":""#, &run.endpoint);
        self.text(r#","model":""#, &run.model);
        self.tokens(r#","tokens":{"input":"#, &run.tokens);
        if let Some(cost) = run.cost {
            self.shown(r#","cost":""#, cost, "\"");
        }
        self.raw("}");
    }

    fn tokens(&mut self, name: &'static str, tokens: &TokensUsed) {
        self.whole(name, tokens.input);
        self.whole(r#","cachedInput":"#, tokens.cached_input);
        self.whole(r#","cacheWrite":"#, tokens.cache_write);
        self.whole(r#","output":"#, tokens.output);
        self.raw("}");
    }

    fn charge(&mut self, charge: &Charged) {
        self.text(r#"{"counter":""#, &charge.counter);
        self.whole(r#","amount":"#, charge.amount);
        self.moment(r#","from":""#, &charge.from);
        self.moment(r#","until":""#, &charge.until);
        if let Some(window) = charge.window {
            self.whole(r#","window":"#, window);
        }
        if let Some(ceiling) = charge.ceiling {
            self.whole(r#","ceiling":"#, ceiling);
        }
        self.raw("}");
    }

    fn objects<T>(&mut self, name: &'static str, items: &[T], write: impl Fn(&mut Self, &T)) {
        let mut before = "[";
        for item in items {
            self.raw(if before == "[" { name } else { "" });
            self.raw(before);
            write(self, item);
            before = ",";
        }
        if !items.is_empty() {
            self.raw("]");
        }
    }

    /// A number, or a text where it takes more than 63 bits.
    fn whole(&mut self, name: &'static str, number: u64) {
        if i64::try_from(number).is_ok() {
            self.shown(name, number, "");
        } else {
            self.raw(name);
            self.shown("\"", number, "\"");
        }
    }

    /// What is shown in digits.
    fn shown(&mut self, name: &'static str, digits: impl Display, after: &'static str) {
        self.raw(name);
        // Writing into memory cannot fail.
        let _ = write!(&mut *self.0, "{digits}");
        self.raw(after);
    }

    #[inline]
    fn raw(&mut self, text: &'static str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.raw(name);
        escape(text, self.0);
        self.0.push(b'"');
    }

    fn maybe(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A text in which nothing needs an escape.
    fn word(&mut self, name: &'static str, word: &str) {
        self.raw(name);
        self.0.extend_from_slice(word.as_bytes());
        self.0.push(b'"');
    }

    fn moment(&mut self, name: &'static str, moment: &Timestamp) {
        self.raw(name);
        // Writing into memory cannot fail.
        let _ = MOMENTS.print_timestamp(moment, &mut *self.0);
        self.0.push(b'"');
    }

    fn id(&mut self, name: &'static str, id: Uuid) {
        let mut text = [0; Hyphenated::LENGTH];
        self.word(name, id.hyphenated().encode_lower(&mut text));
    }

    /// A number or a word of the record's own, the library's way.
    fn value(&mut self, name: &'static str, value: &impl Serialize) -> serde_json::Result<()> {
        self.raw(name);
        serde_json::to_writer(&mut *self.0, value)
    }

    fn list<'a>(&mut self, name: &'static str, texts: impl Iterator<Item = &'a str>) {
        self.raw(name);
        let mut before = "[\"";
        for text in texts {
            self.text(before, text);
            before = ",\"";
        }
        self.raw(if before == "[\"" { "[]" } else { "]" });
    }

    fn list_unless_empty(&mut self, name: &'static str, texts: &[Box<str>]) {
        if !texts.is_empty() {
            self.list(name, texts.iter().map(|text| &**text));
        }
    }
}
