//! Connections: accepts them within a limit, bounds the size and slowness of their requests, and lets open
//! ones finish when the server stops. The meaning of a request is decided in [`crate::request::pipeline`].

use std::convert::Infallible;
use std::error::Error as _;
use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use carryall_core::time::UnixMillis;
use carryall_wire::codec;
use http::header::{CONNECTION, DATE, EXPECT};
use http::{HeaderValue, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::capacity::{Admitted, Busy, Place, Use};
use crate::config::LimitSettings;
use crate::failure::Failure;
use crate::listener::framing::{BodyEnd, Received, Tapped};
use crate::listener::outgoing::{Held, HeldBody, Outgoing, Pace, Paced};
use crate::listener::{drain, socket};
use crate::live::{self, LiveBody};
use crate::metrics::ServerLimit;
use crate::request::cors;
use crate::request::exchange::{Arrival, Exchange};
use crate::request::pipeline::{self, Answered};
use crate::request::probes::{self, Probe};
use crate::source::Source;
use crate::stop::told_to_stop;

/// The smallest read buffer of a connection, in bytes. Large bodies arrive in pieces of at most this size.
const BUFFER_BYTES_MIN: usize = 32 * 1024;
/// The time limit for the head of a request on a connection that only probes may use.
const PROBE_HEAD_TIME_MAX: Duration = Duration::from_secs(2);
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// The last second of the year 9999, since 1970.
const LAST_SECOND_OF_9999: u64 = 253_402_300_799;
/// The pause after the operating system refuses a connection, most likely because file descriptors have run
/// out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A complete answer, or a live channel.
type AnyBody = HeldBody<Either<Full<Bytes>, LiveBody>, Incoming>;

/// The serving side of the server.
pub struct Http {
    app: Arc<App>,
    builder: http1::Builder,
    probes_builder: http1::Builder,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
}

/// An accepted connection.
struct Connection<'a> {
    peer: SocketAddr,
    place: &'a Place,
    used_for: Use,
    received: Received,
    outgoing: Outgoing,
}

/// The outcome of stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every connection had ended.
    Drained,
    /// Connections were still open at the end of the time limit.
    Abandoned,
}

impl Http {
    /// Serves with the limits of the settings until `stop` turns true.
    pub fn new(app: Arc<App>, tls: Option<TlsAcceptor>, stop: watch::Receiver<bool>) -> Arc<Self> {
        let limits = &app.config.limits;
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(limits.header_seconds_max.get().into()))
            .max_header_size(limits.header_bytes_max)
            .max_buf_size(limits.header_bytes_max.max(BUFFER_BYTES_MIN))
            // The library's own date cannot be later than the year 9999, and panics there.
            .auto_date_header(false)
            // Old clients look for `Date` in exactly this spelling.
            .title_case_headers(true);
        let mut probes_builder = builder.clone();
        probes_builder.header_read_timeout(PROBE_HEAD_TIME_MAX).keep_alive(false);
        Arc::new(Self { app, builder, probes_builder, tls, stop })
    }

    /// Accepts connections until the server stops, then waits for the open ones as long as the settings
    /// allow.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Stopped {
        socket::prepare(&listener, pace(&self.app.config.limits).stall_max);
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.accept(&listener) => {}
            () = told_to_stop(&mut stop) => {}
        }
        // Closed at once, so that a load balancer or a successor can take over the port.
        drop(listener);
        let all = self.app.capacity.connections().drained();
        let seconds_max = self.app.config.limits.shutdown_seconds_max;
        match tokio::time::timeout(Duration::from_secs(seconds_max.into()), all).await {
            Ok(()) => Stopped::Drained,
            Err(_) => Stopped::Abandoned,
        }
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let capacity = &self.app.capacity;
        loop {
            capacity.connections().wait().await;
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Finds a slot for a connection. A connection without one is closed at once.
    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let (capacity, metrics) = (&self.app.capacity, &self.app.metrics);
        let is_proxy = capacity.proxies().contains(peer.ip());
        let source = (!is_proxy).then(|| Source::of(peer.ip()));
        let Some(admitted) = capacity.connections().admit(source) else {
            metrics.limit_hit(ServerLimit::ConnectionsPerSource);
            return;
        };
        if let Some(limit) = admitted.reached {
            metrics.limit_hit(limit);
        }
        tokio::spawn(Arc::clone(self).connection(stream, peer, admitted));
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
        let _counted = self.app.metrics.connection();
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "the connection ended as it began");
            return;
        }
        let Admitted { place, used_for, .. } = admitted;
        tokio::select! {
            () = self.shake_and_talk(stream, peer, &place, used_for) => {}
            () = place.given_away() => {
                tracing::debug!(%peer, "the connection waited longest for a head, and a newcomer took its place");
            }
        }
    }

    /// Performs the TLS handshake if TLS is set, then serves the connection.
    async fn shake_and_talk(&self, stream: TcpStream, peer: SocketAddr, place: &Place, used_for: Use) {
        let Some(tls) = &self.tls else { return self.talk(stream, peer, place, used_for).await };
        let patience = match used_for {
            Use::Any => Duration::from_secs(self.app.config.limits.header_seconds_max.get().into()),
            Use::Probes(_) => PROBE_HEAD_TIME_MAX,
        };
        let mut stop = self.stop.clone();
        tokio::select! {
            shaken = tokio::time::timeout(patience, Box::pin(tls.accept(stream))) => match shaken {
                Ok(Ok(stream)) => Box::pin(self.talk(stream, peer, place, used_for)).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
            },
            () = told_to_stop(&mut stop) => {}
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        peer: SocketAddr,
        place: &Place,
        used_for: Use,
    ) {
        let limits = &self.app.config.limits;
        let received = Received::new(limits.header_bytes_max);
        let outgoing = Outgoing::default();
        let stream = Tapped::new(stream, received.clone());
        let stream = TokioIo::new(Paced::new(stream, outgoing.clone(), pace(limits)));
        let connection = Connection { peer, place, used_for, received, outgoing };
        // In a separate box, so that a connection without a request does not hold room for one.
        let service = service_fn(|request| Box::pin(self.request(request, &connection)));
        let builder = match used_for {
            Use::Any => &self.builder,
            Use::Probes(_) => &self.probes_builder,
        };
        let mut served = pin!(builder.serve_connection(stream, service));
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            ended = served.as_mut() => ended,
            () = told_to_stop(&mut stop) => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = ended {
            if is_stall(&error) {
                self.app.metrics.limit_hit(ServerLimit::WriteStall);
            }
            tracing::debug!(%peer, %error, "the connection ended early");
        }
    }

    async fn request(
        &self,
        request: Request<Incoming>,
        connection: &Connection<'_>,
    ) -> Result<Response<AnyBody>, Infallible> {
        let Connection { peer, place, used_for, received, outgoing } = connection;
        // A newcomer has just taken the slot. The connection ends as soon as its task runs again.
        let Some(busy) = place.begin_request() else { return pending().await };
        let client = self.app.capacity.proxies().client(peer.ip(), request.headers());
        let arrival = Arrival { peer: *peer, client, received: Instant::now() };
        let asks_first = request.headers().contains_key(EXPECT);
        let framing = received.examine(&request);
        let has_body = !request.body().is_end_stream();
        // A client that asks first may never send its body, so the next request could be taken for it.
        let ends_unread = framing.end != BodyEnd::Known || asks_first;
        let answer = if let Some(message) = framing.refusal {
            Either::Left(self.refused(request, arrival, Failure::Misframed(message)))
        } else if let Some(probe) = Probe::of(request.method(), request.uri().path()) {
            let response = probes::answer(&self.app, probe).await;
            Either::Left(Answered { response, holding: None, unread: Some(request.into_body()) })
        } else if let Use::Probes(limit) = used_for {
            Either::Left(self.refused(request, arrival, Failure::Overloaded(*limit)))
        } else if codec::changes(request.uri().path()).is_some()
            && !cors::is_preflight(request.method(), request.headers())
        {
            self.live(request, arrival).await
        } else {
            let _counted = self.app.metrics.request();
            Either::Left(pipeline::answer(&self.app, request, arrival).await)
        };
        let is_channel = matches!(answer, Either::Right(_));
        let mut response = match answer {
            Either::Left(answered) => self.held(answered, ends_unread, busy, outgoing),
            Either::Right(channel) => channel.map(|body| {
                let held = Held::new(None, busy);
                HeldBody::new(Either::Right(body), held, None, 0, outgoing)
            }),
        };
        // A live channel leaves its request's body unread.
        if framing.end == BodyEnd::Unclear || (is_channel && has_body) {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        if let Ok(date) = HeaderValue::from_str(&http_date(self.app.clock.now())) {
            response.headers_mut().insert(DATE, date);
        }
        received.clear();
        Ok(response)
    }

    /// The answer with the resources that it holds until it is written, and the rest of the request to
    /// discard. `ends_unread` is true if the server could not tell the next request from that rest.
    fn held(
        &self,
        answered: Answered<Incoming>,
        ends_unread: bool,
        busy: Busy,
        outgoing: &Outgoing,
    ) -> Response<AnyBody> {
        let Answered { mut response, holding, unread } = answered;
        let body_bytes_max = self.app.config.limits.body_bytes_max;
        let unread = unread.filter(|body| !body.is_end_stream());
        let ends = |body: &Incoming| ends_unread || drain::ends_connection(body, body_bytes_max);
        if unread.as_ref().is_some_and(ends) {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        let held = Held::new(holding, busy);
        response.map(|body| HeldBody::new(Either::Left(body), held, unread, body_bytes_max, outgoing))
    }

    /// Refuses a request before anything of it is examined.
    fn refused(&self, request: Request<Incoming>, arrival: Arrival, failure: Failure) -> Answered<Incoming> {
        let (head, body) = request.into_parts();
        let exchange = Exchange::begin(&self.app);
        let response = exchange.refuse(&self.app, &head.headers, failure, arrival);
        Answered { response, holding: None, unread: Some(body) }
    }

    /// Opens a live channel, or refuses it.
    async fn live(
        &self,
        request: Request<Incoming>,
        arrival: Arrival,
    ) -> Either<Answered<Incoming>, Response<LiveBody>> {
        let (head, body) = request.into_parts();
        let mut exchange = Exchange::begin(&self.app);
        match live::open(&self.app, &head, arrival, self.stop.clone(), &mut exchange).await {
            Ok(response) => {
                exchange.channel_opened(&self.app, arrival);
                Either::Right(response)
            }
            Err(failure) => {
                let refused = exchange.refuse(&self.app, &head.headers, failure, arrival);
                Either::Left(Answered { response: refused, holding: None, unread: Some(body) })
            }
        }
    }
}

/// The time in the format of a `Date` header, which has four digits for the year.
fn http_date(now: UnixMillis) -> String {
    let seconds = u64::try_from(now.seconds()).unwrap_or(0).min(LAST_SECOND_OF_9999);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn pace(limits: &LimitSettings) -> Pace {
    let stall_max = Duration::from_secs(limits.write_stall_seconds_max.get().into());
    let bytes = u64::from(limits.answer_bytes_per_second_min.get()) * stall_max.as_secs();
    Pace { stall_max, bytes_min: usize::try_from(bytes).unwrap_or(usize::MAX) }
}

/// True if a connection ended because its peer did not take its data.
fn is_stall(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_beyond_the_year_9999_still_has_a_date() {
        assert_eq!(http_date(UnixMillis(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(UnixMillis(i64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(http_date(UnixMillis(-1)), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
