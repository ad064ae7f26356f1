//! An HTTP server that records requests and answers as the test directs. It stands for any target of the
//! server's HTTP calls, and serves pages to the browser.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;

use super::door::{Door, locked};
use super::polling::ARRIVAL_SECONDS_MAX;
use crate::http::{Request, read_request};

/// An answer of the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers; the framing is added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The delay between request and answer.
    pub delay_milliseconds: u64,
}

impl Answer {
    /// An answer of this status, at once, without headers and body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), delay_milliseconds: 0 }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With this delay.
    #[must_use]
    pub fn after_milliseconds(mut self, delay_milliseconds: u64) -> Self {
        self.delay_milliseconds = delay_milliseconds;
        self
    }

    /// The bytes of the answer.
    pub(super) fn bytes(&self, connection: &str) -> Vec<u8> {
        let length = self.body.len();
        let mut head = format!("HTTP/1.1 {} Answer\r\nContent-Length: {length}\r\n", self.status);
        write!(head, "Connection: {connection}\r\n").expect("write to a string");
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("write to a string");
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// A request that the receiver received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request: method, path and query, headers as spelled by the client, body.
    pub request: Request,
    /// The time at which it was complete.
    pub at: Instant,
}

impl Received {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.request.target.split('?').next().unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.request.body).expect("a request of JSON")
    }

    /// True if one of the `v1` signatures of `Carryall-Signature` is the HMAC-SHA256, under this secret, of
    /// `Carryall-Timestamp`, a line feed, `Carryall-Event-Id`, a line feed and the body.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let request = &self.request;
        let [Some(timestamp), Some(event_id), Some(signatures)] =
            ["carryall-timestamp", "carryall-event-id", "carryall-signature"].map(|name| request.get(name))
        else {
            return false;
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = [format!("{timestamp}\n{event_id}\n").as_bytes(), &request.body].concat();
        let expected = hmac::sign(&key, &signed)
            .as_ref()
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        signatures.split(',').any(|one| one.trim().strip_prefix("v1=") == Some(&expected))
    }
}

#[derive(Debug, Default)]
struct Script {
    received: Vec<Received>,
    next: VecDeque<Answer>,
    always: HashMap<String, Answer>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    arrived: Condvar,
    /// Notified when the receiver ends; until then waiting here lets time pass.
    gone: (Mutex<bool>, Condvar),
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    door: Door,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Starts a receiver that answers everything with an empty 200.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let of_door = Arc::clone(&shared);
        let door = Door::open(move |connection| {
            // A client may hang up early.
            let _ = serve(connection, &of_door);
        });
        Self { door, shared }
    }

    /// The receiver's address.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Queues an answer for the next request that has none; answers are used in the order of the calls.
    pub fn answer_next(&self, answer: Answer) {
        locked(&self.shared.script).next.push_back(answer);
    }

    /// Answers every request for this path with `answer`, before any queued answer.
    pub fn answer_path(&self, path: &str, answer: Answer) {
        locked(&self.shared.script).always.insert(path.to_owned(), answer);
    }

    /// Refuses connections from now on, or accepts them again.
    pub fn refuse(&self, refusing: bool) {
        self.door.refuse(refusing);
    }

    /// The requests so far, in order.
    pub fn received(&self) -> Vec<Received> {
        locked(&self.shared.script).received.clone()
    }

    /// Waits until this many requests have arrived, and returns all of them; fails the test if they do not
    /// arrive.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_for_of(count, |_| true)
    }

    /// Waits for posted requests alone: the server also probes with HEAD whether the receiver is there.
    pub fn wait_for_posts(&self, count: usize) -> Vec<Received> {
        self.wait_for_of(count, |one| one.request.method == "POST")
    }

    fn wait_for_of(&self, count: usize, of: impl Fn(&Received) -> bool) -> Vec<Received> {
        let limit = Duration::from_secs(ARRIVAL_SECONDS_MAX);
        let script = locked(&self.shared.script);
        let chosen = |script: &Script| -> Vec<Received> {
            script.received.iter().filter(|one| of(one)).cloned().collect()
        };
        let waited =
            self.shared.arrived.wait_timeout_while(script, limit, |script| chosen(script).len() < count);
        let received = waited.map(|(script, _)| chosen(&script)).unwrap_or_default();
        assert!(received.len() >= count, "{} of {count} requests came: {received:?}", received.len());
        received
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        *locked(&self.shared.gone.0) = true;
        self.shared.gone.1.notify_all();
    }
}

fn serve(connection: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(connection);
    while let Some(request) = read_request(&mut stream)? {
        let last = request.get("connection").is_some_and(|wish| wish.eq_ignore_ascii_case("close"));
        let received = Received { request, at: Instant::now() };
        let mut script = locked(&shared.script);
        let answer = script.always.get(received.path()).cloned();
        let answer = answer.or_else(|| script.next.pop_front()).unwrap_or_else(|| Answer::status(200));
        script.received.push(received);
        drop(script);
        shared.arrived.notify_all();
        pass_time(&shared.gone, answer.delay_milliseconds);
        stream.get_mut().write_all(&answer.bytes(if last { "close" } else { "keep-alive" }))?;
        if last {
            break;
        }
    }
    stream.get_mut().shutdown(Shutdown::Both)
}

/// Waits for the delay of an answer, or until the receiver ends.
pub(super) fn pass_time((gone, told): &(Mutex<bool>, Condvar), milliseconds: u64) {
    let delay = Duration::from_millis(milliseconds);
    let _ = told.wait_timeout_while(locked(gone), delay, |gone| !*gone);
}
