//! One request from arrival to the head of its answer: what is known of it so far, and its entry in the record.
//!
//! The clock is read once, the policy taken once and kept. Whatever happens to the request, also when the client leaves, the
//! entry of a governed decision is written: at the latest when the visit is dropped.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use uuid::Uuid;

use super::headers::Client;
use super::refusal::Answer;
use crate::clock::Clock;
use crate::identity::Bearer;
use crate::librechat::routes::{Catalog, Class, Concern, Noted, Remote};
use crate::librechat::selection::TurnRequest;
use crate::librechat::veil::{veiled, without_ids};
use crate::policy::{Caller, Feature, Outcome, Part, RuleId, Snapshot, Target, Verdict};
use crate::record::entry::{Details, MOST_ALSO, Metadata, Response, TurnOutcome, id_at};
use crate::record::{About, Action, Audit, Category, Decision, Entry, Event, Happened, Recorder, Severity, Usage};

/// Most bytes of a `User-Agent` that are recorded.
const LONGEST_AGENT: usize = 256;

/// Most bytes of a path that are recorded.
const LONGEST_PATH: usize = 512;

/// Most query parameters whose names are recorded.
const MOST_QUERY_NAMES: usize = 32;

/// Status written for a caller who left before the answer (nginx' word for it; no client ever sees it).
const LEFT: u16 = 499;

/// A request being served.
pub(super) struct Visit<'a> {
    /// When it arrived.
    pub at: Timestamp,
    /// Its id.
    pub id: Uuid,
    /// The policy that decides everything about it.
    pub policy: Arc<Snapshot>,
    /// Who sent it, as far as the connection shows.
    pub client: Client,
    /// What LibreChat does there, once known.
    pub class: Option<Class>,
    /// The bearer of a good token, once checked.
    pub bearer: Option<Arc<Bearer>>,
    /// The id of the key of the remote-agent API that was shown instead of a token.
    pub key: Option<Arc<str>>,
    /// Who that is, once looked up.
    pub caller: Option<Arc<Caller>>,
    /// The id of the user whom LibreChat has let in with its answer.
    pub let_in: Option<Box<str>>,
    decided: Option<Decided>,
    /// The conversation that the request names.
    conversation: Option<Arc<str>>,
    /// The decision was written down before the request went on.
    told: bool,
    /// So it was, and what became of the request is still to be told: nothing else tells it.
    awaited: bool,
    turn: Option<TurnFacts>,
    method: Method,
    uri: Uri,
    agent: Option<HeaderValue>,
    /// The same moment, for durations.
    pub since: Instant,
    took: f64,
    clock: &'a Clock,
    recorder: &'a Recorder,
}

/// A decision of the policy.
struct Decided {
    decision: Decision,
    rules: Vec<RuleId>,
    /// Those of them that would have refused it.
    would_refuse: Vec<RuleId>,
    about: Metadata,
}

/// What a usage entry needs of an allowed turn.
struct TurnFacts {
    endpoint: Arc<str>,
    model: Arc<str>,
    agent: Option<Arc<str>>,
    models: Vec<Box<str>>,
    spec: Option<Arc<str>>,
    bytes: u64,
}

// === impl Visit ===

impl<'a> Visit<'a> {
    /// A request arrives.
    pub(super) fn arrive(
        head: &Parts,
        client: Client,
        policy: Arc<Snapshot>,
        clock: &'a Clock,
        recorder: &'a Recorder,
    ) -> Self {
        let at = clock.now();
        Self {
            at,
            id: id_at(at),
            policy,
            client,
            class: None,
            bearer: None,
            key: None,
            caller: None,
            let_in: None,
            decided: None,
            conversation: None,
            told: false,
            awaited: false,
            turn: None,
            method: head.method.clone(),
            uri: head.uri.clone(),
            agent: head.headers.get(header::USER_AGENT).cloned(),
            since: clock.tick(),
            took: 0.0,
            clock,
            recorder,
        }
    }

    /// The policy has decided: from here on there will be an entry.
    pub(super) fn decide(&mut self, verdict: &Verdict, about: Metadata) {
        let decision = match verdict.outcome {
            Outcome::Allow => Decision::Allow,
            Outcome::Shadowed(_) => Decision::Shadow,
            Outcome::Deny(_) => Decision::Deny,
        };
        let would_refuse = if decision == Decision::Shadow { verdict.because.clone() } else { Vec::new() };
        self.conversation.clone_from(&about.conversation_id);
        self.decided = Some(Decided { decision, rules: verdict.because.clone(), would_refuse, about });
    }

    /// These limits would have refused it: they are in shadow mode.
    pub(super) fn shadowed_by(&mut self, rules: Vec<RuleId>) {
        if let Some(decided) = &mut self.decided {
            decided.decision = Decision::Shadow;
            decided.rules.extend(rules.iter().cloned());
            decided.would_refuse.extend(rules);
        }
    }

    /// A turn goes to LibreChat: from here on there will be a usage entry.
    pub(super) fn start_turn(&mut self, asked: &TurnRequest) {
        let agents = Agents::of(&asked.targets);
        self.turn = Some(TurnFacts {
            endpoint: asked.endpoint.clone(),
            model: asked.model.clone().unwrap_or_else(|| agents.model.unwrap_or_default().into()),
            agent: agents.first.map(Into::into),
            models: agents.models,
            spec: asked.spec.clone(),
            bytes: asked.body.len() as u64,
        });
    }

    /// Seconds from the arrival to the head of the answer.
    pub(super) fn took(&self) -> f64 {
        self.took
    }

    /// The answer is there: milliseconds since the arrival.
    pub(super) fn answered(&mut self) -> f64 {
        self.took = self.clock.tick().saturating_duration_since(self.since).as_secs_f64();
        self.took * 1000.0
    }

    /// LibreChat's answer goes to the caller. `stream` is the id of the stream that a turn started.
    pub(super) fn forwarded(&mut self, status: StatusCode, stream: Option<Arc<str>>) {
        let outcome = if stream.is_some() { TurnOutcome::Started } else { TurnOutcome::Refused };
        self.finish(status, outcome, stream);
    }

    /// The answer to a turn goes to the caller, and is the turn itself.
    pub(super) fn running(&mut self, status: StatusCode, started: bool) {
        let outcome = if started { TurnOutcome::Started } else { TurnOutcome::Refused };
        self.finish(status, outcome, self.conversation.clone());
    }

    fn finish(&mut self, status: StatusCode, outcome: TurnOutcome, stream: Option<Arc<str>>) {
        let time = self.answered();
        if let Some(turn) = self.turn.take() {
            self.write_usage(turn, outcome, status.as_u16(), time, stream.clone());
        }
        if let Some(mut decided) = self.decided.take() {
            if decided.about.conversation_id.is_none() {
                decided.about.conversation_id = stream;
            }
            let response = Response { status: status.as_u16(), message: None, time };
            let (category, severity) = self.grade(status.as_u16(), decided.decision);
            self.recorder.record(self.audit(decided, category, severity, Some(response), None));
        }
        self.tell_answer(status.as_u16(), time);
    }

    /// Tells how a request was answered whose entry was written before that, unless a usage entry does.
    fn tell_answer(&mut self, status: u16, time: f64) {
        if !std::mem::take(&mut self.awaited) {
            return;
        }
        let (category, severity) = self.grade(status, Decision::Allow);
        let about = About::Answered { request: self.id, status, time };
        let event =
            Event::of_tollgate(self.clock.now(), Happened::Answered, Some(self.policy.shared_revision()), about);
        let user_id = self.bearer.as_ref().map(|bearer| (*bearer.user).into());
        self.recorder.record(Entry::Event(Box::new(Event { category, severity, user_id, ..event })));
    }

    /// The entry of the decision as it stands before LibreChat has answered, where there is one. It is the only one of this visit.
    pub(super) fn ahead(&mut self) -> Option<Entry> {
        let decided = self.decided.take()?;
        self.told = true;
        self.awaited = self.category() == Category::Admin;
        let severity = if decided.decision == Decision::Shadow { Severity::Warning } else { Severity::Info };
        Some(self.audit(decided, self.category(), severity, None, None))
    }

    /// What LibreChat's answer makes of a request that went on: whoever looks for refusals and failures looks for both sides'.
    fn grade(&self, status: u16, decision: Decision) -> (Category, Severity) {
        match status {
            401 | 403 => (Category::Security, Severity::Warning),
            500.. => (Category::System, Severity::Error),
            _ if decision == Decision::Shadow || self.came_to_nothing(status) => (self.category(), Severity::Warning),
            _ => (self.category(), Severity::Info),
        }
    }

    /// Of a request that went on.
    fn category(&self) -> Category {
        if self.class == Some(Class::Admin) {
            return Category::Admin;
        }
        match self.class.and_then(Class::noted).map(Noted::concern) {
            Some(Concern::Access) => Category::Auth,
            Some(Concern::Running) => Category::Admin,
            Some(Concern::Data) => Category::Data,
            None => Category::Api,
        }
    }

    /// Whether LibreChat turned away what was shown to it. It says so with 404, 422 and 429, too, or sends the browser of somebody who
    /// comes from an identity provider back to its own page of signing in, without a session (CONTRACT.md A.2).
    fn came_to_nothing(&self, status: u16) -> bool {
        let Some(noted) = self.class.and_then(Class::noted) else { return false };
        let sent_back = noted == Noted::SignIn && (300..400).contains(&status) && self.let_in.is_none();
        noted.concern() == Concern::Access && (status >= 400 || sent_back)
    }

    /// A refusal goes to the caller: its entry, unless the decision has one already.
    pub(super) fn refused(&mut self, answer: &Answer, rules: Vec<RuleId>) -> Option<Entry> {
        let time = self.answered();
        let status = answer.status.as_u16();
        if let Some(turn) = self.turn.take() {
            self.write_usage(turn, TurnOutcome::Failed, status, time, None);
        }
        if self.told {
            // Where it was refused because the decision could not be written down, there is nothing that this would be about.
            if answer.is_unrecorded() {
                self.awaited = false;
            }
            self.tell_answer(status, time);
            return None;
        }
        let response = Response { status, message: Some(answer.message.clone()), time };
        // A request that the policy allowed and LibreChat did not answer was still decided by the policy.
        let decided = match self.decided.take() {
            Some(decided) if decided.decision != Decision::Deny && answer.status.is_server_error() => {
                Decided { rules: if decided.rules.is_empty() { rules } else { decided.rules }, ..decided }
            }
            earlier => {
                let about = earlier.map(|decided| decided.about).unwrap_or_default();
                Decided { decision: Decision::Deny, rules, would_refuse: Vec::new(), about }
            }
        };
        Some(self.audit(decided, answer.category, answer.severity, Some(response), answer.told_inside()))
    }

    fn audit(
        &self,
        decided: Decided,
        category: Category,
        severity: Severity,
        response: Option<Response>,
        error: Option<Box<str>>,
    ) -> Entry {
        Entry::Audit(Box::new(Audit {
            id: self.id,
            request_id: self.id,
            timestamp: self.at,
            user_id: self
                .bearer
                .as_ref()
                .map(|bearer| bearer.user.clone())
                .or_else(|| self.let_in.as_deref().map(Arc::from)),
            role: self.caller.as_ref().map(|caller| caller.role.clone()),
            groups: self.caller.as_ref().map(|caller| Arc::clone(&caller.groups)),
            key_id: self.key.clone(),
            action: action(self.class),
            category,
            severity,
            decision: decided.decision,
            rules: decided.rules,
            would_refuse: decided.would_refuse,
            policy_revision: self.policy.shared_revision(),
            details: self.details(response, error),
            metadata: decided.about,
        }))
    }

    /// What is written of the request. Whatever the settings keep out of the record is left out here, and nowhere else.
    fn details(&self, response: Option<Response>, error: Option<Box<str>>) -> Details {
        let masks = self.recorder.masks();
        let address = || self.client.address.to_str().unwrap_or_default().into();
        let agent = self.agent.as_ref().filter(|_| !masks.no_user_agent());
        let path = veiled(self.uri.path());
        let path = if masks.no_ids_in_paths() { without_ids(&self.method, &path).into_owned().into() } else { path };
        Details {
            ip: masks.address(self.client.ip).unwrap_or_else(address),
            user_agent: agent.map(|agent| printable(agent.as_bytes(), LONGEST_AGENT)),
            method: method_name(&self.method),
            path: printable(path.as_bytes(), LONGEST_PATH),
            query: query_names(&self.uri),
            response,
            error,
        }
    }

    /// Hands over the usage entry of the turn to whoever follows it, as it stands if nothing more is learnt.
    pub(super) fn hand_over(&mut self) -> Option<Box<Usage>> {
        let turn = self.turn.take()?;
        self.usage(turn, TurnOutcome::Abandoned, LEFT, 0.0, self.conversation.clone())
    }

    /// Takes the usage entry back: the turn is not followed.
    pub(super) fn take_back(&mut self, entry: Option<Box<Usage>>) {
        self.turn = entry.map(|entry| TurnFacts {
            endpoint: entry.endpoint,
            model: entry.model,
            agent: entry.agent,
            models: entry.models,
            spec: entry.spec,
            bytes: entry.request_bytes,
        });
    }

    fn write_usage(&self, turn: TurnFacts, outcome: TurnOutcome, status: u16, time: f64, stream: Option<Arc<str>>) {
        if let Some(usage) = self.usage(turn, outcome, status, time, stream) {
            self.recorder.record(Entry::Usage(usage));
        }
    }

    fn usage(
        &self,
        turn: TurnFacts,
        outcome: TurnOutcome,
        status: u16,
        time: f64,
        stream: Option<Arc<str>>,
    ) -> Option<Box<Usage>> {
        let caller = self.caller.as_ref()?;
        Some(Box::new(Usage {
            id: id_at(self.at),
            request_id: self.id,
            timestamp: self.at,
            user_id: caller.user.clone(),
            role: caller.role.clone(),
            groups: (!caller.groups.is_empty()).then(|| Arc::clone(&caller.groups)),
            endpoint: turn.endpoint,
            model: turn.model,
            agent: turn.agent,
            models: turn.models,
            spec: turn.spec,
            conversation_id: stream,
            outcome,
            status,
            request_bytes: turn.bytes,
            time,
            spent: None,
        }))
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.turn.is_none() && self.decided.is_none() && !self.awaited {
            return;
        }
        // Still open: the caller left while LibreChat was being asked. The turn may run all the same.
        let time = self.answered();
        if let Some(turn) = self.turn.take() {
            self.write_usage(turn, TurnOutcome::Abandoned, LEFT, time, None);
        }
        if let Some(decided) = self.decided.take() {
            let response = Response { status: LEFT, message: None, time };
            let error = Some("the caller left".into());
            self.recorder.record(self.audit(decided, self.category(), Severity::Info, Some(response), error));
        }
        self.tell_answer(LEFT, time);
    }
}

/// The agents among the targets of a turn.
struct Agents<'a> {
    /// The one that the body asks for: the first one, which another model may stand before.
    first: Option<&'a str>,
    /// Its own model.
    model: Option<&'a str>,
    /// `endpoint|model` of all agents.
    models: Vec<Box<str>>,
}

impl<'a> Agents<'a> {
    fn of(targets: &'a [Target]) -> Self {
        let mut agents = Self { first: None, model: None, models: Vec::new() };
        for target in targets {
            let Target::Agent { agent, part } = target else { continue };
            agents.first = agents.first.or(Some(agent));
            if let Part::Model { model, .. } = part {
                agents.model = agents.model.or(Some(model));
                agents.models.push(part.to_string().into());
            }
        }
        agents
    }
}

/// What a decision about a turn is about.
pub(super) fn about_turn(asked: &TurnRequest) -> Metadata {
    let agent = Agents::of(&asked.targets).first;
    // What the body itself names stands in fields of its own.
    let own = usize::from(matches!(
        asked.targets.first(),
        Some(Target::Model { .. } | Target::Assistant { .. } | Target::Surface(_))
    ));
    Metadata {
        conversation_id: asked.conversation.clone(),
        endpoint: Some(asked.endpoint.clone()),
        model: asked.model.clone(),
        also: also(asked.targets.iter().skip(own), agent),
        agent: agent.map(Into::into),
        spec: asked.spec.clone(),
    }
}

/// What a decision about reading or writing an agent is about.
pub(super) fn about_agent(agent: &str, targets: &[Target]) -> Metadata {
    Metadata { also: also(targets.iter(), Some(agent)), agent: Some(agent.into()), ..Metadata::default() }
}

/// Everything that was judged but this agent itself.
fn also<'a>(targets: impl Iterator<Item = &'a Target>, agent: Option<&str>) -> Vec<Box<str>> {
    let also = targets.filter_map(|target| match target {
        Target::Model { endpoint, model } | Target::Assistant { endpoint, model } => {
            Some(format!("{endpoint}|{model}").into())
        }
        Target::Agent { agent: other, part: Part::Itself } if agent == Some(&**other) => None,
        Target::Agent { agent, part: Part::Itself } => Some(format!("agents|{agent}").into()),
        Target::Agent { part, .. } => Some(part.to_string().into()),
        Target::Tool(tool) => Some(format!("tool {tool}").into()),
        Target::Endpoint(endpoint) => Some(endpoint.clone()),
        Target::Feature(feature) => Some(feature.as_str().into()),
        Target::Surface(surface) => Some(surface.as_str().into()),
    });
    also.take(MOST_ALSO).collect()
}

/// The method's name: one of the few, or what somebody made up.
fn method_name(method: &Method) -> Cow<'static, str> {
    match *method {
        Method::GET => "GET".into(),
        Method::POST => "POST".into(),
        _ => method.to_string().into(),
    }
}

fn action(class: Option<Class>) -> Action {
    match class {
        Some(Class::Turn) => Action::ChatTurn,
        Some(Class::Catalog(Catalog::Models)) => Action::CatalogModels,
        Some(Class::Catalog(Catalog::Endpoints)) => Action::CatalogEndpoints,
        Some(Class::Catalog(Catalog::Config)) => Action::CatalogConfig,
        Some(Class::Catalog(Catalog::Agents)) => Action::CatalogAgents,
        Some(Class::Catalog(Catalog::Tools)) => Action::CatalogTools,
        Some(Class::Tool) => Action::Tool,
        Some(Class::Remote(Remote::Run)) => Action::RemoteRun,
        Some(Class::Remote(Remote::Models | Remote::Model)) => Action::RemoteModels,
        Some(Class::Remote(Remote::Answer)) => Action::RemoteAnswer,
        Some(Class::Agent(_)) => Action::Agents,
        Some(Class::Assistants(_)) => Action::Assistants,
        Some(Class::Feature(Feature::UserKeys)) => Action::UserKeys,
        Some(Class::Feature(Feature::Speech)) => Action::Speech,
        Some(Class::Admin) => Action::Admin,
        Some(Class::MyLimits) => Action::MyLimits,
        Some(Class::Noted(noted)) => noted_as(noted),
        Some(Class::Upload) => Action::Uploads,
        Some(Class::Pass | Class::Balance | Class::Stream | Class::Closed) | None => Action::Request,
    }
}

fn noted_as(noted: Noted) -> Action {
    match noted {
        Noted::SignIn => Action::SignIn,
        Noted::SignOut => Action::SignOut,
        Noted::Register => Action::Register,
        Noted::Password => Action::Password,
        Noted::SecondFactor => Action::SecondFactor,
        Noted::ApiKeys => Action::ApiKeys,
        Noted::Roles => Action::Roles,
        Noted::Account => Action::Account,
        Noted::Shares => Action::Shares,
        Noted::Conversations => Action::Conversations,
        Noted::Files => Action::Files,
        Noted::Permissions => Action::Permissions,
        Noted::Uploads => Action::Uploads,
    }
}

/// At most `longest` bytes as text, with everything that is not printable ASCII escaped, so that no entry can forge another.
fn printable(bytes: &[u8], longest: usize) -> Box<str> {
    let bytes = bytes.get(..longest).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        // Without a branch for each byte, so that many are looked at at once.
        Ok(text) if bytes.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~')) => text.into(),
        _ => bytes.escape_ascii().to_string().into(),
    }
}

/// The names of the query's parameters, without their values: values may be secrets.
fn query_names(uri: &Uri) -> Vec<Box<str>> {
    let Some(query) = uri.query() else { return Vec::new() };
    let name = |pair: &str| printable(pair.split('=').next().unwrap_or(pair).as_bytes(), 64);
    query.split('&').filter(|pair| !pair.is_empty()).take(MOST_QUERY_NAMES).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_printable_and_short() {
        assert_eq!(printable(b"Mozilla/5.0 (X11)", 256).as_ref(), "Mozilla/5.0 (X11)");
        assert_eq!(printable(b"a\r\nb\xff", 256).as_ref(), "a\\r\\nb\\xff");
        assert_eq!(printable(&[b'x'; 300], 256).len(), 256);
    }

    #[test]
    fn query_values_are_not_recorded() {
        let uri: Uri = "/api/config?token=secret&context=share&&flag".parse().unwrap();
        assert_eq!(query_names(&uri), ["token".into(), "context".into(), "flag".into()] as [Box<str>; 3]);
    }
}
