//! One request from its head to its answer. This file lists every check that a request passes, in order:
//!
//! preflight → route → signature's scope, clock and key → body within its bounds → signature → admission → decode →
//! access → operation → encode → log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carryall_wire::codec::{self, Answer, Rejection, Route, Routed};
use carryall_wire::names::Names;
use carryall_wire::spec::{Access, Service};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;

use crate::app::App;
use crate::capacity::{Holding, SMALL_BYTES_MAX, off_the_worker};
use crate::failure::{Failure, SignatureFailure};
use crate::ops::access::{Subject, admit_update, authorise};
use crate::ops::call::Call;
use crate::ops::{Handler, dispatch, dispatch_rows};
use crate::request::authenticate::{self, Signed, authenticate};
use crate::request::exchange::{Arrival, Exchange};
use crate::request::probes::Probe;
use crate::request::{body, cors};
use crate::source::Source;

/// An answer, with the resources that have to outlive it.
pub struct Answered<B> {
    /// The answer.
    pub response: Response<Full<Bytes>>,
    /// The permits and memory that the request holds until its answer is written.
    pub holding: Option<Holding>,
    /// The rest of a request that was answered before its body was read.
    pub unread: Option<B>,
}

/// Answers a request. Every failure becomes a well-formed answer with a request id.
pub async fn answer<B>(app: &Arc<App>, request: Request<B>, arrival: Arrival) -> Answered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let (head, body) = request.into_parts();
    let mut body = (!body.is_end_stream()).then_some(body);
    let mut exchange = Exchange::begin(app);
    if cors::is_preflight(&head.method, &head.headers) {
        let response = cors::preflight(&app.config.cors_allowed_origins, &head.headers);
        return Answered { response, holding: None, unread: body };
    }
    let (response, holding) = match serve(app, &head, &mut body, arrival, &mut exchange).await {
        Ok((answer, holding)) => (exchange.finish(app, &head.headers, answer, arrival), Some(holding)),
        Err(failure) => (exchange.refuse(app, &head.headers, failure, arrival), None),
    };
    Answered { response, holding, unread: body }
}

/// The checks up to the operation. `body` is `None` afterwards if it was read whole.
async fn serve<B>(
    app: &Arc<App>,
    head: &Parts,
    body: &mut Option<B>,
    arrival: Arrival,
    exchange: &mut Exchange,
) -> Result<(Answer, Holding), Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let now = app.clock.now();
    let (path, query) = (head.uri.path(), head.uri.query());
    if Probe::at(path).is_some() {
        // Probes with an accepted method have been answered before this point.
        return Err(Failure::Rejected(Rejection::MethodNotAllowed { allow: Probe::ALLOW }));
    }
    let routed = codec::route(head.method.as_str(), path, query, &head.headers)
        .map_err(|refused| exchange.not_routed(refused))?;
    exchange.dialect = routed.dialect();
    // A form names its operation in the body, so the operation's access class is not known yet.
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

    let source = Source::of(arrival.client);
    let bounds = body::Bounds::of(&app.config, &routed);
    let mut patience = app.capacity.patience();
    let payer = body::Payer { source, patience: &mut patience };
    let body = body::read(&app.capacity, &head.headers, body, payer, bounds).await?;
    exchange.body_bytes = body.len();

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
            Some(body.work(|| signed.verify(&body))?)
        }
    };
    exchange.caller = caller.as_ref().map(authenticate::describe);

    // Read once the whole request is here, so that the update of a slow sender is not dated before those that
    // overtook it.
    let now = app.clock.now();
    // Admitted only after the body has arrived, so that a slow sender occupies a connection but no request slot.
    let holding = app.capacity.admit(caller.as_ref(), source, patience).await?;

    let call = Call::new(app, caller, now, source, holding);
    let seconds_max = app.config.limits.request_seconds_max.get();
    let work = async { dispatch!(route.operation, run(&call, &route, body, exchange)) };
    match tokio::time::timeout(Duration::from_secs(seconds_max.into()), work).await {
        Ok(answer) => Ok((answer?, call.into_holding())),
        Err(_) => Err(Failure::DeadlineExceeded { seconds_max }),
    }
}

/// The checks that depend on the operation, and the operation itself.
async fn run<O: Handler>(
    call: &Call<'_>,
    route: &Route<'_>,
    body: body::Read,
    exchange: &mut Exchange,
) -> Result<Answer, Failure> {
    let allow_developer_updates = call.app.config.allow_developer_updates;
    admit_update(O::SPEC.name, call.caller.as_ref(), allow_developer_updates)?;
    if route.identity().is_some() {
        // The path names the subject, so a caller without access costs no decoding.
        authorise(O::SPEC.access, call.caller.as_ref(), Subject::of(route))?;
    }
    let decoded = body.work(|| codec::decode::<O>(route, &body))?;
    // The bytes are freed; their charge now pays for the decoded input.
    let _paid = body.into_paid();
    exchange.dialect = decoded.dialect;
    authorise(O::SPEC.access, call.caller.as_ref(), Subject::of(&decoded.input))?;
    let output = O::handle(call, decoded.input).await?;
    let json_bytes = O::json_bytes(&output);
    let answer_bytes = json_bytes.unwrap_or(0);
    call.pay_answer(answer_bytes).await?;
    let encode = || codec::encode::<O>(decoded.dialect, &exchange.request_id, &output, json_bytes);
    let encoded = if answer_bytes > SMALL_BYTES_MAX { off_the_worker(encode) } else { encode() };
    call.built().await;
    encoded.map_err(|error| Failure::Unmodelled(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use carryall_core::caller::Caller;
    use carryall_core::ids::AccessKeyId;
    use carryall_core::refusal::Refusal;
    use carryall_store::{StoreOptions, StoreUrl};
    use carryall_wire::ops::sync::UpdateRecords;
    use http::HeaderMap;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, Settings};
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    const DATASET: &str = "/identitypools/us-east-1:0/identities/us-east-1:1/datasets/d";

    #[tokio::test]
    async fn an_update_by_a_developer_key_is_refused_before_its_body_is_decoded() {
        let clock = Clock::system();
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let config = Config::check(Settings::default()).unwrap();
        let root = RootKey::generate(&clock);
        let app = App::open(config, store, &MasterKey::generate(&clock), root, clock).await.ok().unwrap();
        let headers = HeaderMap::new();
        let routed = codec::route("POST", DATASET, None, &headers).ok();
        let Some(Routed::Operation(route)) = routed else { panic!("no operation") };
        let caller = Caller::Developer { key: AccessKeyId::parse("AKIA0000000000000000").unwrap() };
        let source = Source::of(Ipv4Addr::LOCALHOST.into());
        let mut patience = app.capacity.patience();
        let holding = app.capacity.admit(Some(&caller), source, patience).await.ok().unwrap();
        let call = Call::new(&app, Some(caller), app.clock.now(), source, holding);
        let mut unread = Some(Full::<Bytes>::from("no JSON"));
        let bounds = body::Bounds { bytes_max: 100, seconds_max: 30, bytes_per_second_min: 1 };
        let payer = body::Payer { source, patience: &mut patience };
        let body = body::read(&app.capacity, &headers, &mut unread, payer, bounds).await;
        let mut exchange = Exchange::begin(&app);
        let refused = run::<UpdateRecords>(&call, &route, body.ok().unwrap(), &mut exchange).await.err();
        assert!(matches!(refused, Some(Failure::Refused(Refusal::DeveloperUpdates))), "{refused:?}");
    }
}
