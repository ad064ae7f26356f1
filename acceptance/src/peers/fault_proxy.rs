//! A proxy before a peer, for faults that no peer produces: errors of a service under load, lost answers,
//! silence, slowness, refused connections. It passes requests on byte for byte, so that signatures stay
//! valid.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;

use super::door::{Door, locked};
use super::polling::ARRIVAL_SECONDS_MAX;
use super::receiver::{Answer, pass_time};
use crate::http::{Request, read_request};

/// The treatment of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer's answer is passed back.
    None,
    /// The peer is not called; this is the answer.
    Answer(Answer),
    /// The peer is called, and its answer is dropped: the connection is closed once the peer has answered.
    LoseAnswer,
    /// The peer is not called, and no answer is sent; the connection stays open until the fault changes.
    Silence,
    /// The peer's answer is passed back after a delay.
    Slow {
        /// The delay.
        delay_milliseconds: u64,
    },
    /// The peer is not called; the connection is closed without an answer.
    HangUp,
}

impl Fault {
    /// The error of a JSON service, such as Kinesis or Lambda.
    pub fn json_error(status: u16, name: &str) -> Self {
        let body = json!({ "__type": name, "message": "said by the fault proxy" }).to_string();
        let answer = Answer::status(status)
            .header("Content-Type", "application/x-amz-json-1.1")
            .header("x-amzn-ErrorType", name)
            .header("x-amzn-RequestId", REQUEST_ID);
        Self::Answer(answer.body(body))
    }

    /// The error of an XML service, such as SNS or STS.
    pub fn xml_error(status: u16, code: &str) -> Self {
        let blame = if status < 500 { "Sender" } else { "Receiver" };
        let body = format!(
            "<ErrorResponse><Error><Type>{blame}</Type><Code>{code}</Code><Message>said by the fault proxy</Message></Error>\
             <RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
        );
        Self::Answer(Answer::status(status).header("Content-Type", "text/xml").body(body))
    }
}

/// The request id of the proxy's own answers.
const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// A fault, and the number of requests for which it still applies.
#[derive(Debug)]
struct Planned {
    fault: Fault,
    requests_left: Option<usize>,
}

#[derive(Debug, Default)]
struct Plan {
    /// Faults by operation, including [`FaultProxy::ANY`].
    faults: HashMap<String, Planned>,
    counts: BTreeMap<String, usize>,
    /// The connections that get no answer.
    silent: Vec<TcpStream>,
}

impl Plan {
    fn fault_of(&mut self, operation: &str) -> Fault {
        let name = if self.faults.contains_key(operation) { operation } else { FaultProxy::ANY };
        let Some(planned) = self.faults.get_mut(name) else { return Fault::None };
        let fault = planned.fault.clone();
        if let Some(left) = &mut planned.requests_left {
            *left -= 1;
            if *left == 0 {
                self.faults.remove(name);
            }
        }
        fault
    }
}

#[derive(Debug)]
struct Shared {
    peer: SocketAddr,
    plan: Mutex<Plan>,
    counted: Condvar,
    gone: (Mutex<bool>, Condvar),
}

/// A running proxy.
#[derive(Debug)]
pub struct FaultProxy {
    door: Door,
    shared: Arc<Shared>,
}

impl FaultProxy {
    /// The name for all operations that have no fault by name.
    pub const ANY: &str = "";

    /// Starts a proxy before this peer that passes everything on.
    pub fn before(peer: SocketAddr) -> Self {
        let (plan, counted) = <(Mutex<Plan>, Condvar)>::default();
        let shared = Arc::new(Shared { peer, plan, counted, gone: <(Mutex<bool>, Condvar)>::default() });
        let of_door = Arc::clone(&shared);
        let door = Door::open(move |connection| {
            // The end of its connection informs the other side, whichever side broke it.
            let _ = serve(connection, &of_door);
        });
        Self { door, shared }
    }

    /// The proxy's address.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// The proxy's base URL, for use in place of the peer's.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Applies this fault to every request from now on, and forgets faults of single operations.
    pub fn set(&self, fault: Fault) {
        self.plan(|plan| plan.faults.clear());
        self.set_for(Self::ANY, fault);
    }

    /// Applies this fault to requests for one operation, in the naming of [`Self::counts`], from now on.
    pub fn set_for(&self, operation: &str, fault: Fault) {
        self.insert(operation, Planned { fault, requests_left: None });
    }

    /// Applies this fault to the next requests for one operation; later ones are treated as all others.
    pub fn set_for_next(&self, requests: usize, operation: &str, fault: Fault) {
        assert!(requests > 0, "no requests to fail");
        self.insert(operation, Planned { fault, requests_left: Some(requests) });
    }

    /// Refuses connections from now on, or accepts them again.
    pub fn refuse(&self, refusing: bool) {
        self.door.refuse(refusing);
        if refusing {
            self.door.hang_up();
        }
    }

    /// The number of requests for each operation, whatever their treatment. The name of an operation is the
    /// last part of `X-Amz-Target`, the form's `Action`, or else method and path.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        locked(&self.shared.plan).counts.clone()
    }

    /// The number of requests for one operation.
    pub fn count(&self, operation: &str) -> usize {
        locked(&self.shared.plan).counts.get(operation).copied().unwrap_or_default()
    }

    /// Waits until this many requests for one operation have arrived; fails the test if they do not.
    pub fn wait_for(&self, operation: &str, count: usize) {
        let limit = Duration::from_secs(ARRIVAL_SECONDS_MAX);
        let plan = locked(&self.shared.plan);
        let seen = |plan: &Plan| plan.counts.get(operation).copied().unwrap_or_default();
        let waited = self.shared.counted.wait_timeout_while(plan, limit, |plan| seen(plan) < count);
        let counts = waited.map(|(plan, _)| plan.counts.clone()).unwrap_or_default();
        assert!(self.count(operation) >= count, "not {count} requests for {operation}: {counts:?}");
    }

    fn insert(&self, operation: &str, planned: Planned) {
        self.plan(|plan| {
            plan.faults.insert(operation.to_owned(), planned);
        });
    }

    fn plan(&self, change: impl FnOnce(&mut Plan)) {
        let mut plan = locked(&self.shared.plan);
        change(&mut plan);
        for connection in plan.silent.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        *locked(&self.shared.gone.0) = true;
        self.shared.gone.1.notify_all();
    }
}

/// Serves one request and ends the connection, so that no client retries by itself because a connection that
/// it kept alive was closed.
fn serve(connection: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut client = BufReader::new(connection);
    let Some(request) = read_request(&mut client)? else { return Ok(()) };
    let operation = operation(&request);
    let fault = {
        let mut plan = locked(&shared.plan);
        let fault = plan.fault_of(&operation);
        if fault == Fault::Silence {
            plan.silent.push(client.get_ref().try_clone()?);
        }
        *plan.counts.entry(operation).or_default() += 1;
        fault
    };
    shared.counted.notify_all();
    match fault {
        Fault::None => client.get_mut().write_all(&asked(shared.peer, request)?)?,
        Fault::Answer(answer) => {
            pass_time(&shared.gone, answer.delay_milliseconds);
            client.get_mut().write_all(&answer.bytes("close"))?;
        }
        Fault::LoseAnswer => drop(asked(shared.peer, request)?),
        Fault::Silence => {
            // Ends with the client, or when the fault changes.
            let _ = client.read(&mut [0])?;
        }
        Fault::Slow { delay_milliseconds } => {
            let answer = asked(shared.peer, request)?;
            pass_time(&shared.gone, delay_milliseconds);
            client.get_mut().write_all(&answer)?;
        }
        Fault::HangUp => {}
    }
    client.get_mut().shutdown(Shutdown::Both)
}

/// The bytes of the peer's answer.
fn asked(peer: SocketAddr, request: Request) -> io::Result<Vec<u8>> {
    let request = request.without("connection").without("expect").header("Connection", "close");
    let mut connection = TcpStream::connect(peer)?;
    connection.set_read_timeout(Some(Duration::from_secs(ARRIVAL_SECONDS_MAX)))?;
    connection.write_all(&request.bytes(peer))?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer)
}

fn operation(request: &Request) -> String {
    if let Some(target) = request.get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    let form = String::from_utf8_lossy(&request.body);
    match form.split('&').find_map(|field| field.strip_prefix("Action=")) {
        Some(action) => action.to_owned(),
        None => format!("{} {}", request.method, request.target.split('?').next().unwrap_or_default()),
    }
}
