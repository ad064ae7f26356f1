//! The facts about one request, its answer as an HTTP response, and its line in the log.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use carryall_wire::codec::{self, Answer, Dialect, Refused};
use carryall_wire::spec::{OperationName, Service, Spec};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::app::App;
use crate::failure::{Blame, Failure, Verdict};
use crate::metrics::OK;
use crate::request::cors;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The place and time at which a request arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The address of the connection's peer.
    pub peer: SocketAddr,
    /// The address of the client: the peer's, or the one that a trusted proxy names.
    pub client: IpAddr,
    /// The time at which its head was complete.
    pub received: Instant,
}

/// The facts about a request from which its answer and its log line are made. They become known one by one.
pub struct Exchange {
    /// The request's id.
    pub request_id: String,
    /// The name in the log and the metrics for a request without an operation.
    pub label: &'static str,
    /// The signer, for the log.
    pub caller: Option<String>,
    /// The dialect of the answer.
    pub dialect: Dialect,
    /// The operation, once it is known.
    pub operation: Option<OperationName>,
    /// The size of the body that was read, in bytes.
    pub body_bytes: usize,
}

impl Exchange {
    /// The facts about a request of which nothing has been read.
    pub fn begin(app: &App) -> Self {
        Self {
            request_id: app.clock.uuid().to_string(),
            label: "unknown",
            caller: None,
            dialect: Dialect::Rest,
            operation: None,
            body_bytes: 0,
        }
    }

    /// The failure of a request without an operation. Its answer has the dialect that the request seems to
    /// use.
    pub fn not_routed(&mut self, refused: Refused) -> Failure {
        self.dialect = refused.dialect;
        Failure::Rejected(refused.rejection)
    }

    /// Logs the request and turns the operation's answer into a response.
    pub fn finish(
        &self,
        app: &App,
        headers: &HeaderMap,
        answer: Answer,
        arrival: Arrival,
    ) -> Response<Full<Bytes>> {
        self.record(app, answer.status, OK, answer.body.len(), None, arrival);
        self.respond(app, headers, answer, None)
    }

    /// Logs the request and turns its failure into a response.
    pub fn refuse(
        &self,
        app: &App,
        headers: &HeaderMap,
        failure: Failure,
        arrival: Arrival,
    ) -> Response<Full<Bytes>> {
        let spec = self.operation.map(OperationName::spec);
        let (failure, verdict) = modelled(failure, self.dialect.service(), spec);
        let answer = codec::encode_fault(self.dialect, &self.request_id, &verdict.fault);
        let outcome = answer.error_type.as_deref().map_or(OK, |name| name.trim_end_matches(':'));
        self.record(app, answer.status, outcome, answer.body.len(), Some(&verdict), arrival);
        self.respond(app, headers, answer, Some(&failure))
    }

    /// Logs that the request opened a live channel.
    pub fn channel_opened(&self, app: &App, arrival: Arrival) {
        self.record(app, StatusCode::OK.as_u16(), OK, 0, None, arrival);
    }

    /// Writes the request's line in the log and counts it.
    fn record(
        &self,
        app: &App,
        status: u16,
        outcome: &str,
        answer_bytes: usize,
        verdict: Option<&Verdict>,
        arrival: Arrival,
    ) {
        let elapsed = arrival.received.elapsed();
        let operation = self.operation.map_or(self.label, OperationName::as_str);
        app.metrics.record_request(operation, outcome, elapsed.as_secs_f64());
        app.metrics.bytes(self.body_bytes, answer_bytes);
        if let Some(limit) = verdict.and_then(|verdict| verdict.limit) {
            app.metrics.limit_hit(limit);
        }
        let caller = self.caller.as_deref().unwrap_or("-");
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let (request_id, peer) = (&self.request_id, arrival.peer);
        match verdict.map(|verdict| (verdict.blame, &verdict.reason)) {
            None => {
                tracing::info!(request_id, operation, caller, %peer, outcome, status, micros, "request");
            }
            Some((Blame::Caller, reason)) => {
                tracing::info!(request_id, operation, caller, %peer, outcome, status, micros, reason, "request");
            }
            Some((Blame::Server, reason)) => {
                tracing::error!(request_id, operation, caller, %peer, outcome, status, micros, reason, "request");
            }
        }
    }

    fn respond(
        &self,
        app: &App,
        request: &HeaderMap,
        answer: Answer,
        failure: Option<&Failure>,
    ) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(answer.body)));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(Ok(name)) = answer.error_type.as_deref().map(HeaderValue::from_str) {
            headers.insert(ERROR_TYPE, name);
        }
        if let Some(Failure::Rejected(rejection)) = failure
            && let Some(allow) = rejection.allow()
        {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if failure.is_some_and(Failure::ends_connection) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        cors::expose(&app.config.cors_allowed_origins, request, headers);
        response
    }
}

/// The failure and its verdict. An operation may fail only with faults of its model or of the protocol. Any
/// other failure is a bug, and is replaced by one.
fn modelled(failure: Failure, service: Service, spec: Option<&Spec>) -> (Failure, Verdict) {
    let verdict = failure.verdict(service, spec);
    let kind = verdict.fault.kind;
    let Some(spec) = spec.filter(|spec| !spec.allows(kind)) else { return (failure, verdict) };
    let bug = Failure::Unmodelled(format!("{} may not answer {kind:?}: {failure:?}", spec.name.as_str()));
    let verdict = bug.verdict(service, Some(spec));
    (bug, verdict)
}
