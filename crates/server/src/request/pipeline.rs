//! One request from its head to its answer. This file lists every check that a request passes, in order:
//!
//! preflight → route → signature's scope, clock and key → body and its limits → request slot → signature → decode →
//! access → operation → encode → log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carryall_wire::codec::{self, Answer, Rejection, Route, Routed};
use carryall_wire::spec::{Access, Service};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;

use crate::app::App;
use crate::failure::{Failure, SignatureFailure};
use crate::metrics::ServerLimit;
use crate::ops::access::{Subject, authorise};
use crate::ops::call::Call;
use crate::ops::{Handler, dispatch, dispatch_rows};
use crate::request::authenticate::{self, Signed, authenticate};
use crate::request::exchange::{Arrival, Exchange};
use crate::request::probes::Probe;
use crate::request::{body, cors};

/// Answers a request. Every failure becomes a well-formed answer with a request id.
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
        Ok(answer) => exchange.finish(app, &head.headers, answer, arrival),
        Err(failure) => exchange.refuse(app, &head.headers, failure, arrival),
    }
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
        // Probes with a method that they take have been answered before this point.
        return Err(Failure::Rejected(Rejection::MethodNotAllowed { allow: Probe::ALLOW }));
    }
    let routed = codec::route(head.method.as_str(), path, query, &head.headers)
        .map_err(|refused| exchange.not_routed(refused))?;
    exchange.dialect = routed.dialect();
    // A form names its operation in the body, so the access class of the operation is not known yet.
    let signed = match &routed {
        Routed::Operation(route) => {
            exchange.operation = Some(route.operation);
            match route.spec().access {
                Access::Public => Ok(None),
                Access::Developer | Access::Identity | Access::Either | Access::AnySigned => Ok(Some(
                    authenticate(&app.trust, &app.config, head, routed.method(), routed.service(), now)
                        .await?,
                )),
            }
        }
        Routed::Form(_) => {
            authenticate(&app.trust, &app.config, head, routed.method(), Service::Sts, now).await.map(Some)
        }
    };

    let bytes_max = body::bytes_max(&app.config, &routed);
    let body = body::read(app, &head.headers, body, bytes_max).await?;
    exchange.body_bytes = body.len();
    // Acquired only after the body has arrived, so that a slow sender occupies a connection but no request slot.
    let _room =
        app.requests.try_acquire().map_err(|_| Failure::Overloaded(ServerLimit::ConcurrentRequests))?;

    let route = match routed {
        Routed::Operation(route) => route,
        Routed::Form(form) => form.resolve(&body).map_err(|refused| exchange.not_routed(refused))?,
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
    exchange.caller = caller.as_ref().map(authenticate::describe);

    // Taken once the whole request is here, so that a slow sender's update is not dated before those that overtook it.
    let now = app.clock.now();
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
    authorise(O::SPEC.access, call.caller.as_ref(), Subject::of(&decoded.input))?;
    let output = O::handle(call, decoded.input).await?;
    codec::encode::<O>(decoded.dialect, &exchange.request_id, &output)
        .map_err(|error| Failure::Unmodelled(error.to_string()))
}
