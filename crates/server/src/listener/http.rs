//! Connections: accepting them within a limit, bounding what one may send and how slowly, and letting those that are
//! open finish when the server stops. What a request means is decided in [`crate::request::pipeline`].

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use carryall_wire::codec::{self, Dialect};
use carryall_wire::fault::{Fault, FaultKind};
use http::header::{CONNECTION, CONTENT_TYPE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::listener::framing::{Received, Tapped};
use crate::live::{self, LiveBody};
use crate::metrics::ServerLimit;
use crate::request::cors;
use crate::request::exchange::{Arrival, Exchange};
use crate::request::pipeline;
use crate::request::probes::{self, Probe};
use crate::stop::told_to_stop;

/// Smallest read buffer of a connection, in bytes; large bodies arrive in pieces of at most this.
const BUFFER_BYTES_MIN: usize = 64 * 1024;
/// Pause after the operating system refuses a connection, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An answer that is whole, or one that goes on as things happen.
type Answered = Either<Full<Bytes>, LiveBody>;

/// The open side of the server.
pub struct Http {
    app: Arc<App>,
    builder: http1::Builder,
    tls: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

/// How stopping went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every connection had ended.
    Drained,
    /// Time ran out before.
    Abandoned,
}

impl Http {
    /// Serves with the limits of the settings until `stop` turns true.
    pub fn new(app: Arc<App>, tls: Option<TlsAcceptor>, stop: watch::Receiver<bool>) -> Arc<Self> {
        let config = &app.config;
        let connections = Arc::new(Semaphore::new(config.connections_max as usize));
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(config.header_seconds_max.into()))
            .max_header_size(config.header_bytes_max)
            .max_buf_size(config.header_bytes_max.max(BUFFER_BYTES_MIN))
            // Old clients look for `Date` in exactly this spelling.
            .title_case_headers(true);
        Arc::new(Self { app, builder, tls, connections, stop })
    }

    /// Accepts connections until told to stop, then waits for the open ones as long as the settings allow.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Stopped {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.accept(&listener) => {}
            () = told_to_stop(&mut stop) => {}
        }
        // Closed at once, so that a load balancer or a successor takes over the port.
        drop(listener);
        let config = &self.app.config;
        let all = self.connections.acquire_many(config.connections_max);
        match tokio::time::timeout(Duration::from_secs(config.shutdown_seconds_max.into()), all).await {
            Ok(_) => Stopped::Drained,
            Err(_) => Stopped::Abandoned,
        }
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            if self.connections.available_permits() == 0 {
                self.app.metrics.limit_hit(ServerLimit::Connections);
            }
            // Taken before accepting: what is beyond the limit waits in the operating system's own bounded queue.
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tokio::spawn(Arc::clone(self).connection(stream, peer, permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, _permit: OwnedSemaphorePermit) {
        let _counted = self.app.metrics.connection();
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "the connection ended as it began");
            return;
        }
        let Some(tls) = &self.tls else { return self.talk(stream, peer).await };
        let patience = Duration::from_secs(self.app.config.header_seconds_max.into());
        let mut stop = self.stop.clone();
        tokio::select! {
            shaken = tokio::time::timeout(patience, tls.accept(stream)) => match shaken {
                Ok(Ok(stream)) => self.talk(stream, peer).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
            },
            () = told_to_stop(&mut stop) => {}
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, peer: SocketAddr) {
        let received = Received::new(self.app.config.header_bytes_max);
        let stream = TokioIo::new(Tapped::new(stream, received.clone()));
        let service = service_fn(|request| self.request(request, peer, &received));
        let mut connection = pin!(self.builder.serve_connection(stream, service));
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = told_to_stop(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "the connection ended early");
        }
    }

    async fn request(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        received: &Received,
    ) -> Result<Response<Answered>, Infallible> {
        let arrival = Arrival { peer, received: Instant::now() };
        let two_lengths = request.headers().contains_key(TRANSFER_ENCODING)
            && !received.has_one_length(request.method().as_str(), &request.uri().to_string());
        received.clear();
        let response = if two_lengths {
            self.two_lengths(arrival).map(Either::Left)
        } else if let Some(probe) = Probe::of(request.method(), request.uri().path()) {
            probes::answer(&self.app, probe).await.map(Either::Left)
        } else if codec::changes(request.uri().path()).is_some()
            && !cors::is_preflight(request.method(), request.headers())
        {
            self.live(&request.into_parts().0, arrival).await
        } else {
            let _counted = self.app.metrics.request();
            pipeline::answer(&self.app, request, arrival).await.map(Either::Left)
        };
        received.clear();
        Ok(response)
    }

    async fn live(&self, head: &Parts, arrival: Arrival) -> Response<Answered> {
        let mut exchange = Exchange::begin(&self.app);
        match live::open(&self.app, head, arrival, self.stop.clone(), &mut exchange).await {
            Ok(response) => {
                exchange.channel_opened(&self.app, arrival);
                response.map(Either::Right)
            }
            Err(failure) => exchange.refuse(&self.app, &head.headers, failure, arrival).map(Either::Left),
        }
    }

    fn two_lengths(&self, arrival: Arrival) -> Response<Full<Bytes>> {
        let request_id = self.app.clock.uuid().to_string();
        tracing::info!(request_id, peer = %arrival.peer, "refused: two lengths in one request");
        let message = "A request may not have both Content-Length and Transfer-Encoding, and one with a \
                       Transfer-Encoding may not be sent before the answer to the one ahead of it.";
        let answer =
            codec::encode_fault(Dialect::Rest, &request_id, &Fault::new(FaultKind::Serialization, message));
        let outcome = FaultKind::Serialization.name(Dialect::Rest.service());
        self.app.metrics.record_request("", outcome, arrival.received.elapsed().as_secs_f64());
        let mut response = Response::new(Full::from(answer.body));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let error_type = answer.error_type.unwrap_or_default();
        for (name, value) in [("x-amzn-requestid", request_id), ("x-amzn-errortype", error_type)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}
