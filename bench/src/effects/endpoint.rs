//! The destination of effects: an HTTP endpoint on a thread of this process that answers at once, and records
//! every event with the time of its first arrival. A stream's files are read into the same form.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::outcome::Outcome;

const EVENT_ID_MEMBER: &[u8] = b"\"eventId\":\"";

/// A hash of identity, dataset and count, which identifies one state of one dataset.
pub(crate) type StateKey = u64;

/// The key of a dataset's state.
pub(crate) fn state_key(identity: &str, dataset: &str, count: u64) -> StateKey {
    let mut hasher = DefaultHasher::new();
    (identity, dataset, count).hash(&mut hasher);
    hasher.finish()
}

/// The arrivals of one kind of event.
#[derive(Default)]
pub(crate) struct Told {
    /// First arrivals.
    pub(crate) first: HashMap<StateKey, Instant>,
    /// Arrivals after the first.
    pub(crate) repeated: u64,
}

impl Told {
    fn note(&mut self, key: StateKey, at: Instant) {
        let mut is_new = false;
        self.first.entry(key).or_insert_with(|| {
            is_new = true;
            at
        });
        self.repeated += u64::from(!is_new);
    }

    /// The number of `expected` events that never arrived.
    pub(crate) fn missing(&self, expected: &[StateKey]) -> u64 {
        expected.iter().map(|key| u64::from(!self.first.contains_key(key))).sum()
    }
}

/// Everything that arrived.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// Changes, at the stream.
    pub(crate) changes: Told,
    /// Datasets of a bulk publication, at the stream.
    pub(crate) snapshots: Told,
    /// Notices, at devices.
    pub(crate) notices: Told,
    /// Bytes of all bodies.
    pub(crate) bytes: u64,
    /// Records in all bodies.
    pub(crate) records: u64,
}

impl Arrivals {
    /// The number of different events.
    pub(crate) fn events(&self) -> usize {
        self.changes.first.len() + self.snapshots.first.len() + self.notices.first.len()
    }

    /// The number of events that arrived again.
    pub(crate) fn repeated(&self) -> u64 {
        self.changes.repeated + self.snapshots.repeated + self.notices.repeated
    }

    /// Records one message by its event's id.
    fn note(&mut self, event_id: &str, body: &[u8], at: Instant) -> Option<()> {
        let mut parts = event_id.splitn(6, '/').skip(2);
        let (identity, dataset) = (parts.next()?, parts.next()?);
        let key = state_key(identity, dataset, parts.next()?.parse().ok()?);
        // Values of records contain no braces here: the message has one pair of them, and each record
        // another.
        let objects: u64 = body.iter().map(|byte| u64::from(*byte == b'{')).sum();
        match parts.next()? {
            "stream" => self.changes.note(key, at),
            "bulk" => self.snapshots.note(key, at),
            _ => {
                self.notices.note(key, at);
                self.bytes += body.len() as u64;
                return Some(());
            }
        }
        self.bytes += body.len() as u64;
        self.records += objects.saturating_sub(1);
        Some(())
    }

    /// Reads a stream's file at `path`, and the files that it was rotated to.
    pub(crate) fn in_files(path: &Path) -> Outcome<Self> {
        let mut arrivals = Self::default();
        let at = Instant::now();
        let rotated = (1..).map(|number| path.with_added_extension(number.to_string()));
        for file in std::iter::once(path.to_owned()).chain(rotated) {
            if !file.exists() {
                break;
            }
            let content = std::fs::read(&file)?;
            for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let id = event_id_in(line).ok_or("a line of the stream's file has no event id")?;
                arrivals.note(id, line, at).ok_or("a line of the stream's file has a strange event id")?;
            }
        }
        Ok(arrivals)
    }
}

/// The event id of a stream's message. It is the last member, so the search starts at the end.
fn event_id_in(line: &[u8]) -> Option<&str> {
    let start = line.windows(EVENT_ID_MEMBER.len()).rposition(|window| window == EVENT_ID_MEMBER)?;
    let rest = &line[start + EVENT_ID_MEMBER.len()..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The endpoint; it answers until the process ends.
pub(crate) struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// True to answer 503 to everything.
    closed: AtomicBool,
    connections: AtomicU64,
    arrivals: Mutex<Arrivals>,
}

impl Shared {
    fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// Starts to listen.
    pub(crate) fn open() -> Outcome<Self> {
        let shared = Arc::new(Shared::default());
        let (report, listening) = mpsc::channel();
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(served, &report))
        });
        let address = listening.recv().map_err(|_| "the endpoint could not listen")?;
        Ok(Self { address, shared })
    }

    /// The endpoint's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses everything from now on, or accepts it again.
    pub(crate) fn set_closed(&self, closed: bool) {
        self.shared.closed.store(closed, Ordering::Relaxed);
    }

    /// The number of different events that arrived since the last [`Self::take`].
    pub(crate) fn events(&self) -> usize {
        self.shared.arrivals().events()
    }

    /// The arrivals since the previous call.
    pub(crate) fn take(&self) -> Arrivals {
        std::mem::take(&mut self.shared.arrivals())
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

async fn serve(shared: Arc<Shared>, report: &mpsc::Sender<SocketAddr>) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    report.send(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(answer(&shared, request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Empty<Bytes>> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Empty::new());
    let Ok(body) = body.collect().await else { return response };
    if shared.closed.load(Ordering::Relaxed) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    if head.method == Method::POST {
        let id = head.headers.get("carryall-event-id").and_then(|id| id.to_str().ok());
        let noted = id.and_then(|id| shared.arrivals().note(id, &body.to_bytes(), Instant::now()));
        if noted.is_none() {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_told_apart_by_kind_and_state_and_repeats_are_counted() {
        let mut arrivals = Arrivals::default();
        let now = Instant::now();
        for id in ["p/1/i/d/7/stream", "p/1/i/d/7/stream", "p/1/i/d/7/bulk", "p/1/i/d/8/device-a/b"] {
            arrivals.note(id, br#"{"kinesisSyncRecords":[{},{}]}"#, now).unwrap();
        }
        assert_eq!((arrivals.events(), arrivals.repeated(), arrivals.records), (3, 1, 6));
        let expected = [state_key("i", "d", 7), state_key("i", "d", 8)];
        assert_eq!(arrivals.changes.missing(&expected), 1);
        assert_eq!(arrivals.notices.missing(&expected), 1);
        assert!(arrivals.note("p/1/i", b"", now).is_none());
    }

    #[test]
    fn files_are_read_with_those_that_were_rotated_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("changes.ndjson");
        let line = |count: u64| format!("{{\"a\":[{{}}],\"eventId\":\"p/1/i/d/{count}/stream\"}}\n");
        std::fs::write(directory.path().join("changes.ndjson.1"), line(1) + &line(2)).unwrap();
        std::fs::write(&path, line(3)).unwrap();
        let arrivals = Arrivals::in_files(&path).unwrap();
        assert_eq!((arrivals.events(), arrivals.records), (3, 3));
    }
}
