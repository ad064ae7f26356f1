//! One request from its head to its answer. Every check that a request passes stands here, in order:
//!
//! preflight → route → signature's scope, clock and key → body and its limits → room → signature → decode →
//! access → operation → encode → log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use carryall_wire::codec::{self, Answer, Dialect, Refused, Rejection, Route, Routed};
use carryall_wire::fault::Fault;
use carryall_wire::spec::{Access, OperationName, Service, Spec};
use http::header::{ALLOW, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;

use crate::app::App;
use crate::failure::{Failure, SignatureFailure};
use crate::metrics::ServerLimit;
use crate::ops::call::Call;
use crate::ops::{Handler, dispatch};
use crate::request::authenticate::{Signed, authenticate};
use crate::request::body;
use crate::request::cors;
use crate::request::probes::Probe;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// When its head was complete.
    pub received: Instant,
}

/// What is known of a request while it is being answered; the log line is made from it.
pub struct Exchange {
    /// Its id.
    pub request_id: String,
    /// What the log and the metrics call what was asked for, where no operation was.
    pub label: &'static str,
    /// Who signed, for the log.
    pub caller: Option<String>,
    dialect: Dialect,
    operation: Option<OperationName>,
    body_bytes: usize,
}

/// Answers a request. Whatever goes wrong becomes a well-formed answer with a request id.
pub async fn answer<B>(app: &Arc<App>, request: Request<B>, arrival: Arrival) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let (head, body) = request.into_parts();
    let mut exchange = Exchange::begin(app);
    if cors::is_preflight(&head.method, &head.headers) {
        return cors::preflight(&app.config.cors_allowed_origins, &head.headers);
    }
    match serve(app, &head, body, arrival, &mut exchange).await {
        Ok(answer) => {
            record(app, &exchange, &answer, None, arrival);
            respond(app, &head.headers, &exchange.request_id, answer, None)
        }
        Err(failure) => refuse(app, &head.headers, &exchange, failure, arrival),
    }
}

/// Tells the caller why a request was not done, and keeps a line of it.
pub fn refuse(
    app: &App,
    headers: &HeaderMap,
    exchange: &Exchange,
    failure: Failure,
    arrival: Arrival,
) -> Response<Full<Bytes>> {
    let spec = exchange.operation.map(OperationName::spec);
    let (failure, fault) = told(failure, exchange.dialect.service(), spec);
    let answer = codec::encode_fault(exchange.dialect, &exchange.request_id, &fault);
    record(app, exchange, &answer, Some(&failure), arrival);
    respond(app, headers, &exchange.request_id, answer, Some(&failure))
}

/// Keeps a line of a live channel that was opened.
pub fn opened(app: &App, exchange: &Exchange, arrival: Arrival) {
    let answer =
        Answer { status: StatusCode::OK.as_u16(), content_type: "", error_type: None, body: Vec::new() };
    record(app, exchange, &answer, None, arrival);
}

/// The checks up to the operation.
async fn serve<B>(
    app: &Arc<App>,
    head: &Parts,
    body: B,
    arrival: Arrival,
    exchange: &mut Exchange,
) -> Result<Answer, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let now = app.clock.now();
    let (path, query) = (head.uri.path(), head.uri.query());
    if Probe::at(path).is_some() {
        // A probe with a method that it takes never comes here.
        return Err(Failure::Rejected(Rejection::MethodNotAllowed { allow: Probe::ALLOW }));
    }
    let routed = codec::route(head.method.as_str(), path, query, &head.headers)
        .map_err(|refused| exchange.refuse(refused))?;
    exchange.dialect = routed.dialect();
    // A form's operation stands in its body: who must have signed it is known only afterwards.
    let signed = match &routed {
        Routed::Operation(route) => {
            exchange.operation = Some(route.operation);
            match route.spec().access {
                Access::Public => Ok(None),
                Access::Developer | Access::Identity | Access::Either | Access::AnySigned => {
                    Ok(Some(authenticate(app, head, routed.method(), routed.service(), now).await?))
                }
            }
        }
        Routed::Form(_) => authenticate(app, head, routed.method(), Service::Sts, now).await.map(Some),
    };

    let bytes_max = body::bytes_max(&app.config, &routed);
    let body = body::read(app, &head.headers, body, bytes_max).await?;
    exchange.body_bytes = body.len();
    // Only now: who sends slowly holds a connection, and none of the places for requests that are whole.
    let _room =
        app.requests.try_acquire().map_err(|_| Failure::Overloaded(ServerLimit::ConcurrentRequests))?;

    let route = match routed {
        Routed::Operation(route) => route,
        Routed::Form(form) => form.resolve(&body).map_err(|refused| exchange.refuse(refused))?,
    };
    exchange.dialect = route.dialect;
    exchange.operation = Some(route.operation);
    let caller = match (route.spec().access, signed) {
        (Access::Public, Ok(_) | Err(_)) => None,
        (Access::Developer | Access::Identity | Access::Either | Access::AnySigned, signed) => {
            let signed: Signed<'_> = signed?.ok_or(SignatureFailure::Missing)?;
            Some(signed.verify(&body)?)
        }
    };
    exchange.caller = caller.as_ref().map(crate::request::authenticate::describe);

    let call = Call { app, caller, now, source: arrival.peer.ip() };
    let seconds_max = app.config.request_seconds_max;
    let work = async { dispatch!(route.operation, run(&call, &route, &body, exchange)) };
    match tokio::time::timeout(Duration::from_secs(seconds_max.into()), work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::DeadlineExceeded { seconds_max }),
    }
}

/// The checks that depend on the operation, and the operation itself.
async fn run<O: Handler>(
    call: &Call<'_>,
    route: &Route<'_>,
    body: &[u8],
    exchange: &mut Exchange,
) -> Result<Answer, Failure> {
    let decoded = codec::decode::<O>(route, body)?;
    exchange.dialect = decoded.dialect;
    crate::ops::access::authorise(O::SPEC.access, call.caller.as_ref(), O::subject(&decoded.input))?;
    let output = O::handle(call, decoded.input).await?;
    codec::encode::<O>(decoded.dialect, &exchange.request_id, &output)
        .map_err(|error| Failure::Unmodelled(error.to_string()))
}

impl Exchange {
    /// Nothing is known but that a request came.
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

    fn refuse(&mut self, refused: Refused) -> Failure {
        self.dialect = refused.dialect;
        Failure::Rejected(refused.rejection)
    }
}

/// What the caller is told. An operation may fail only in the ways that its model, or the protocol, knows; anything
/// else is a bug of ours.
fn told(failure: Failure, service: Service, spec: Option<&Spec>) -> (Failure, Fault) {
    let fault = failure.fault(service, spec);
    let Some(spec) = spec.filter(|spec| !spec.allows(fault.kind)) else { return (failure, fault) };
    let bug =
        Failure::Unmodelled(format!("{} may not answer {:?}: {failure:?}", spec.name.as_str(), fault.kind));
    let fault = bug.fault(service, Some(spec));
    (bug, fault)
}

fn record(app: &App, exchange: &Exchange, answer: &Answer, failure: Option<&Failure>, arrival: Arrival) {
    let elapsed = arrival.received.elapsed();
    let operation = exchange.operation.map_or(exchange.label, OperationName::as_str);
    let outcome = answer.error_type.as_deref().map_or("ok", |name| name.trim_end_matches(':'));
    app.metrics.record_request(operation, outcome, elapsed.as_secs_f64());
    app.metrics.bytes(exchange.body_bytes, answer.body.len());
    if let Some(limit) = failure.and_then(Failure::limit) {
        app.metrics.limit_hit(limit);
    }
    let caller = exchange.caller.as_deref().unwrap_or("-");
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let (request_id, status, peer) = (&exchange.request_id, answer.status, arrival.peer);
    match failure {
        None => {
            tracing::info!(request_id, operation, caller, %peer, outcome, status, micros, "request");
        }
        Some(failure) => {
            let reason = failure.reason();
            if failure.is_ours() {
                tracing::error!(request_id, operation, caller, %peer, outcome, status, micros, reason, "request");
            } else {
                tracing::info!(request_id, operation, caller, %peer, outcome, status, micros, reason, "request");
            }
        }
    }
}

fn respond(
    app: &App,
    request: &HeaderMap,
    request_id: &str,
    answer: Answer,
    failure: Option<&Failure>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if let Ok(id) = HeaderValue::from_str(request_id) {
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
    if let Some(failure) = failure
        && failure.ends_connection()
    {
        headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    }
    cors::expose(&app.config.cors_allowed_origins, request, headers);
    response
}
