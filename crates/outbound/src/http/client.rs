//! One pooled client for all HTTP destinations. It makes one signed POST at a time, in a single attempt, with
//! every size and time bounded. It does not follow redirects, because a signed message is meant for the
//! receiver that the operator named.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::signature::sign;
use crate::answer_memory::{AnswerMemory, Granted};
use crate::cause::chain;
use crate::settings::HttpDestination;

/// The time limit for making a connection.
const CONNECT_MILLISECONDS_MAX: u64 = 3_000;
/// The number of idle connections that are kept open, for each destination.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// The time for which idle connections are kept.
const IDLE_MILLISECONDS_MAX: u64 = 30_000;

type Connections = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends signed requests. Nothing is loaded before the first.
pub(crate) struct HttpClient {
    connections: OnceLock<Result<Connections, String>>,
    unix_seconds: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// The contents and limits of a request.
pub(super) struct Post<'a> {
    pub(super) event_id: &'a str,
    pub(super) json: Bytes,
    pub(super) answer_bytes_max: usize,
    pub(super) answer_memory: Option<AnswerMemory>,
    pub(super) time_max: Duration,
}

/// An answer. Its body may be too large or cut off; many callers need only the status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Result<Bytes, BodyTrouble>,
}

/// The reason why an answer has no body.
pub(super) enum BodyTrouble {
    TooLarge,
    CutOff { cause: String },
}

/// The reason why there is no answer.
pub(super) enum NoAnswer {
    TimedOut {
        cause: String,
    },
    Unreached {
        cause: String,
    },
    /// The request cannot be built from the given values.
    Unmakeable {
        cause: String,
    },
}

impl HttpClient {
    pub(crate) fn new(unix_seconds: Box<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self { connections: OnceLock::new(), unix_seconds }
    }

    /// Makes one signed attempt.
    pub(super) async fn post(&self, to: &HttpDestination, post: Post<'_>) -> Result<Answer, NoAnswer> {
        let Post { event_id, json, answer_bytes_max, answer_memory, time_max } = post;
        let request = self.request(to, event_id, json)?;
        self.exchange(to, request, (answer_bytes_max, answer_memory), time_max).await
    }

    /// Checks that the destination answers at all, with any answer. Nothing is delivered.
    pub(super) async fn reach(&self, to: &HttpDestination, time_max: Duration) -> Result<(), String> {
        let request = Request::builder().method(Method::HEAD).uri(to.url.clone()).body(Full::default());
        let request = request.map_err(|error| chain(&error))?;
        match self.exchange(to, request, (0, None), time_max).await {
            Ok(_) => Ok(()),
            Err(
                NoAnswer::TimedOut { cause } | NoAnswer::Unreached { cause } | NoAnswer::Unmakeable { cause },
            ) => Err(cause),
        }
    }

    fn request(
        &self,
        to: &HttpDestination,
        event_id: &str,
        json: Bytes,
    ) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let timestamp = (self.unix_seconds)();
        Request::builder()
            .method(Method::POST)
            .uri(to.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("carryall-event-id", event_id)
            .header("carryall-timestamp", timestamp)
            .header("carryall-signature", sign(&to.secret, timestamp, event_id, &json))
            .body(Full::new(json))
            .map_err(|error| NoAnswer::Unmakeable { cause: chain(&error) })
    }

    async fn exchange(
        &self,
        to: &HttpDestination,
        request: Request<Full<Bytes>>,
        (answer_bytes_max, answer_memory): (usize, Option<AnswerMemory>),
        time_max: Duration,
    ) -> Result<Answer, NoAnswer> {
        let exchange = async {
            let unreached = |cause: &str| NoAnswer::Unreached { cause: format!("{}: {cause}", to.origin()) };
            let connections = self.connections.get_or_init(connections);
            let connections = connections.as_ref().map_err(|cause| unreached(cause))?;
            let answer = connections.request(request).await.map_err(|error| unreached(&chain(&error)))?;
            let status = answer.status();
            let body = answer.into_body();
            let body = match answer_memory {
                Some(memory) => read(Granted::new(body, memory), answer_bytes_max).await,
                None => read(body, answer_bytes_max).await,
            };
            Ok(Answer { status, body })
        };
        tokio::time::timeout(time_max, exchange).await.unwrap_or_else(|_| {
            let milliseconds_max = time_max.as_millis();
            Err(NoAnswer::TimedOut {
                cause: format!("{}: no answer within {milliseconds_max} ms", to.origin()),
            })
        })
    }
}

async fn read<B>(body: B, bytes_max: usize) -> Result<Bytes, BodyTrouble>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match Limited::new(body, bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyTrouble::TooLarge),
        Err(error) => Err(BodyTrouble::CutOff { cause: chain(&*error) }),
    }
}

fn connections() -> Result<Connections, String> {
    let tls = tls().map_err(|error| chain(&error))?;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Duration::from_millis(CONNECT_MILLISECONDS_MAX)));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_millis(IDLE_MILLISECONDS_MAX))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .build(connector))
}

/// TLS with the system's root certificates. A system without any can still reach plain HTTP; every
/// certificate is then unknown.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    let rooted = match builder.clone().with_native_roots() {
        Ok(rooted) => rooted,
        Err(_) => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(rooted.with_no_client_auth())
}
