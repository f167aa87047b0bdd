//! What the strict gate refuses is answered, recorded and counted like every other refusal.

use std::net::IpAddr;

use http::header::{ALLOW, DATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};

use super::gate::GateFault;
use super::headers::Client;
use super::refusal::Refusal;
use super::visit::Visit;
use super::{Body, Spine, Upstream};

/// The methods that the gate lets in.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

impl<U: Upstream> Spine<U> {
    /// The answer to something that is no request, from the connection of `peer`. Its entry holds nothing that the client wrote:
    /// what could not be read cannot be told apart from an attempt on whoever reads the record.
    pub fn malformed(&self, fault: GateFault, peer: IpAddr) -> Response<Body<U>> {
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(b"-").unwrap_or_default();
        *request.uri_mut() = Uri::from_static("*");
        let (head, ()) = request.into_parts();
        let client = Client::of(peer, &HeaderMap::new(), &[]);
        let policy = self.parts.policy.load_full();
        let mut visit = Visit::arrive(&head, client, policy, &self.parts.clock, &self.parts.recorder);
        let refusal = Refusal::Gate(fault);
        let told = self.answer_of(&visit, &refusal);
        if let Some(entry) = visit.refused(&told, refusal.rules()) {
            self.parts.recorder.record(entry);
        }
        let mut answer = self.say(&visit, &refusal, told);
        if fault == GateFault::Method {
            answer.headers_mut().insert(ALLOW, METHODS);
        }
        // The engine, which dates all other answers, has no part in this one.
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&visit.at);
        if let Some(date) = date.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
            answer.headers_mut().insert(DATE, date);
        }
        answer
    }
}
