//! A receiver on its own socket, which records requests and gives a fixed answer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::SECRET;

/// The answer to each request.
#[derive(Clone)]
pub enum Reply {
    /// An answer with this status and body.
    Status(u16, Bytes),
    /// A redirect to this location.
    Redirect(String),
    /// No answer, for ever.
    Silence,
    /// The connection is closed.
    HangUp,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Status(status, Bytes::new())
    }
}

/// A request that arrived.
pub struct Received {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Verifies the signature as the documentation describes it for receivers.
    pub fn is_signed(&self) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let (timestamp, event_id) = (self.header("Carryall-Timestamp"), self.header("Carryall-Event-Id"));
        let signed = [format!("{timestamp}\n{event_id}\n").as_bytes(), &self.body].concat();
        let hex = self.header("Carryall-Signature").strip_prefix("v1=").unwrap();
        let tag: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        hmac::verify(&key, &signed, &tag).is_ok()
    }
}

/// A listening receiver; it ends with the test's runtime.
pub struct Receiver {
    pub origin: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(accept(listener, Arc::clone(&received), reply));
        Self { origin, received }
    }

    /// All requests so far, oldest first.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    /// The only request so far.
    pub fn only(&self) -> Received {
        let mut all = self.take();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

async fn accept(listener: TcpListener, received: Arc<Mutex<Vec<Received>>>, reply: Reply) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (received, reply) = (Arc::clone(&received), reply.clone());
        let service = service_fn(move |request| answer(request, Arc::clone(&received), reply.clone()));
        let serving =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
        tokio::spawn(serving);
    }
}

async fn answer(
    request: Request<Incoming>,
    received: Arc<Mutex<Vec<Received>>>,
    reply: Reply,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = head.uri.to_string();
    received.lock().unwrap().push(Received { method: head.method, target, headers: head.headers, body });
    match reply {
        Reply::Status(status, body) => Ok(Response::builder().status(status).body(Full::new(body))?),
        Reply::Redirect(to) => {
            Ok(Response::builder().status(307).header("Location", to).body(Full::default())?)
        }
        Reply::Silence => match std::future::pending::<Infallible>().await {},
        Reply::HangUp => Err("hung up".into()),
    }
}
