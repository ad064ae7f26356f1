//! Refusals that are known before a body is read arrive: Node's HTTP client, boto3 and a plain socket see the
//! fault and never a reset, whatever the size of the body, with and without keep-alive.
//!
//! `CARRYALL_EARLY_REFUSAL_TRIES` sets the number of tries for each refusal and size; the default is some
//! dozens.

use std::io;

use carryall_acceptance::{
    Api, Caller, Connection, Guest, Request, Script, Server, ServerSettings, Signing, Store,
};
use serde_json::{Value, json};

use crate::admission::source;

const TRIES: usize = 24;
const SMALL_BYTES: usize = 2;
const MIDDLE_BYTES: usize = 200_000;
/// A size above the server's limit.
const LARGE_BYTES: usize = 9_000_000;

/// The master key that sealed [`expired`]: 32 bytes of 7.
const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// Credentials that expired in November 2023, sealed with [`MASTER_KEY`] in the first version of their
/// layout.
fn expired() -> Caller {
    Caller {
        access_key_id: "ASIAYY6LKRRWCYEREEVN".to_owned(),
        secret_access_key: "IXOT2W893IkFDf+A5VGMZ21ZVdPeZUJEgUPcedSr".to_owned(),
        session_token: Some(
            "AQABAgMEBQYHCAkKC9xfNjZ3XnLySgtSSb752xN9MtRxgsWXDBoi82S0kI3dT4nXTH0MPAtWSyj9glkERkTtjdXao0JaP-x0N5Rl\
             afFaRi3LabPsZZ32bfdq0Jywhops1dvjwFX2UuayTsnDVjIp8cHDtxtq9eky8kst5cm3-THPeVsiZ8oOkxI38y7Q3PIJKOlMSs_S\
             v9mYb41NOIUD--Yuo429bWf7s642lNkE1i41lzZT8IFYBCN1v8I8ejHXaP4QM7MgRkOHTK28-VKI5VaMat-awo34SWy6F3uyrDi4\
             61FEYMT-OwdC"
                .to_owned(),
        ),
    }
}

fn tries() -> usize {
    let asked = std::env::var("CARRYALL_EARLY_REFUSAL_TRIES").ok();
    asked.map_or(TRIES, |tries| tries.parse().unwrap())
}

fn start() -> Server {
    Server::start_with(Store::Memory, ServerSettings::default().variable("CARRYALL_MASTER_KEY", MASTER_KEY))
}

/// A refusal that is known before the body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    UnknownKey,
    Expired,
    Clock,
    Scope,
    TooLarge,
    TooLargeUnsigned,
}

impl Refusal {
    /// The sizes of bodies to try.
    fn sizes(self) -> &'static [usize] {
        match self {
            Self::UnknownKey | Self::Expired | Self::Clock | Self::Scope => {
                &[SMALL_BYTES, MIDDLE_BYTES, LARGE_BYTES]
            }
            Self::TooLarge => &[LARGE_BYTES],
            Self::TooLargeUnsigned => &[MIDDLE_BYTES, LARGE_BYTES],
        }
    }

    fn outcome(self) -> (u16, &'static str) {
        match self {
            Self::UnknownKey => (403, "UnrecognizedClientException"),
            Self::Expired => (403, "ExpiredTokenException"),
            Self::Clock | Self::Scope => (403, "InvalidSignatureException"),
            Self::TooLarge | Self::TooLargeUnsigned => (413, "RequestEntityTooLargeException"),
        }
    }

    /// A request with a body of `bytes` bytes that gets this refusal, signed now.
    fn request(self, api: Api, guest: &Guest, bytes: usize) -> Request {
        let update = Request::new("POST", guest.dataset("prefs")).body(vec![b' '; bytes]);
        let signing = |caller| Signing::by(caller, "cognito-sync");
        match self {
            Self::UnknownKey => {
                let caller = Caller::developer("AKIAUNKNOWNUNKNOWN00", "secret");
                signing(&caller).headers(update, api.address)
            }
            Self::Expired => signing(&expired()).headers(update, api.address),
            Self::Clock => signing(&guest.caller).off_by_seconds(-900).headers(update, api.address),
            Self::Scope => signing(&guest.caller).region("eu-west-1").headers(update, api.address),
            Self::TooLarge => signing(&guest.caller).headers(update, api.address),
            Self::TooLargeUnsigned => Request::new("POST", "/")
                .header("X-Amz-Target", "AWSCognitoIdentityService.GetId")
                .header("Content-Type", "application/x-amz-json-1.1")
                .body(vec![b' '; bytes]),
        }
    }
}

const REFUSALS: [Refusal; 6] = [
    Refusal::UnknownKey,
    Refusal::Expired,
    Refusal::Clock,
    Refusal::Scope,
    Refusal::TooLarge,
    Refusal::TooLargeUnsigned,
];

fn every_refusal(mut act: impl FnMut(Refusal, usize)) {
    for refusal in REFUSALS {
        for bytes in refusal.sizes() {
            act(refusal, *bytes);
        }
    }
}

/// The sending behaviour of a client.
#[derive(Clone, Copy, Debug)]
struct Manner {
    keep_alive: bool,
    /// True to send the body only after the answer has begun to arrive, as a slow network would.
    apart: bool,
}

impl Manner {
    /// Every combination in turn.
    fn of(attempt: usize) -> Self {
        Self { keep_alive: attempt.is_multiple_of(2), apart: attempt % 4 >= 2 }
    }
}

/// Sends one request over a plain socket. Any failure to send or receive is an error, a reset after the
/// answer included.
fn exchange(
    kept: Option<Connection>,
    api: Api,
    request: &Request,
    manner: Manner,
    outcome: (u16, &str),
) -> io::Result<Option<Connection>> {
    let mut connection = match kept {
        Some(connection) => connection,
        None => Connection::open(api.address)?,
    };
    let request =
        if manner.keep_alive { request.clone() } else { request.clone().header("Connection", "close") };
    if manner.apart {
        connection.send(&request.head(api.address))?;
        connection.wait_readable()?;
        connection.send(&request.body)?;
    } else {
        connection.send(&request.bytes(api.address))?;
    }
    let answer = connection.answer()?;
    assert_eq!(answer.outcome(), (outcome.0, outcome.1.to_owned()), "{}", answer.text());
    let closes = answer.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    if manner.keep_alive && !closes {
        return Ok(Some(connection));
    }
    connection.read_to_close()?;
    Ok(None)
}

#[test]
fn a_plain_socket_sees_every_early_refusal() {
    let server = start();
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut failed = Vec::new();
    every_refusal(|refusal, bytes| {
        let request = refusal.request(api, &guest, bytes);
        let mut kept = None;
        for attempt in 0..tries() {
            let manner = Manner::of(attempt);
            kept = match exchange(kept, api, &request, manner, refusal.outcome()) {
                Ok(kept) => kept,
                Err(error) => {
                    failed.push(format!("{refusal:?}, {bytes} bytes, {manner:?}: {error}"));
                    None
                }
            };
        }
    });
    assert!(failed.is_empty(), "{} tries failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn the_http_client_of_node_sees_every_early_refusal() {
    let server = start();
    let api = server.api();
    let guest = api.new_user(&server.root());
    // One run each: a signature older than five minutes would be refused for its age.
    every_refusal(|refusal, bytes| {
        let request = refusal.request(api, &guest, bytes);
        run_node(&server, &format!("{refusal:?}, {bytes} bytes"), &request, refusal.outcome());
    });
}

/// Sends the request again and again with the HTTP client of Node.
fn run_node(server: &Server, case: &str, request: &Request, (status, error): (u16, &str)) {
    let headers: Vec<Value> = request.headers.iter().map(|(name, value)| json!([name, value])).collect();
    let described = json!({
        "case": case, "method": request.method, "target": request.target, "headers": headers,
        "bytes": request.body.len(), "status": status, "error": error, "tries": tries(),
    });
    Script::Node("early_refusals.mjs").run_with(server, &[("CARRYALL_REFUSAL", &described.to_string())]);
}

#[test]
fn boto3_sees_every_early_refusal() {
    let expired = expired();
    let variables = [
        ("CARRYALL_TRIES", &*tries().to_string()),
        ("CARRYALL_EXPIRED_KEY", &expired.access_key_id),
        ("CARRYALL_EXPIRED_SECRET", &expired.secret_access_key),
        ("CARRYALL_EXPIRED_TOKEN", expired.session_token.as_deref().unwrap_or_default()),
    ];
    Script::Python("early_refusals.py").run_with(&start(), &variables);
}

/// Memory for a single body.
const ONE_BODY: &str = "[limits]\nbody_bytes_max = 16777216\nbodies_in_flight_bytes_max = 22369622\n\
                        body_bytes_per_second_min = 1\nrequest_seconds_max = 3600\nadmission_wait_milliseconds_max = 1\n";
/// The size of that body.
const HELD_BYTES: usize = 16_777_216;
/// The refusal of any other body that is not small.
const USED_UP: (u16, &str) = (503, "ServiceUnavailableException");

/// A server whose memory for bodies is held by a slow sender until this is dropped.
struct UsedUp {
    server: Server,
    guest: Guest,
    _slow: Connection,
}

impl UsedUp {
    fn start() -> Self {
        let server = Server::start_configured(Store::Memory, Some(ONE_BODY));
        let api = server.api();
        let (holder, guest) = (api.new_user(&server.root()), api.new_user(&server.root()));
        let held = Self::update(api, &holder, HELD_BYTES).bytes(api.address);
        let mut slow = Connection::open_from(source(2), api.address).unwrap();
        slow.send(&held[..held.len() - 1]).unwrap();
        // Sent bytes are paid for only once they are read.
        carryall_acceptance::peers::until("the budget is used up", || {
            let refused = api.send(&Self::update(api, &guest, LARGE_BYTES)).outcome();
            (refused == (USED_UP.0, USED_UP.1.to_owned())).then_some(())
        });
        Self { server, guest, _slow: slow }
    }

    /// An update with a body of `bytes` bytes, signed now.
    fn update(api: Api, guest: &Guest, bytes: usize) -> Request {
        api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).body(vec![b' '; bytes]))
    }
}

#[test]
fn a_plain_socket_is_answered_when_the_memory_for_bodies_is_used_up() {
    let used_up = UsedUp::start();
    let api = used_up.server.api();
    for bytes in [MIDDLE_BYTES, LARGE_BYTES] {
        let mut kept = None;
        for attempt in 0..tries() {
            let request = UsedUp::update(api, &used_up.guest, bytes);
            // The answer arrives only after part of the body has.
            let manner = Manner { apart: false, ..Manner::of(attempt) };
            kept = exchange(kept, api, &request, manner, USED_UP)
                .unwrap_or_else(|error| panic!("{bytes} bytes, {manner:?}: {error}"));
        }
    }
}

#[test]
fn the_http_client_of_node_is_answered_when_the_memory_for_bodies_is_used_up() {
    let used_up = UsedUp::start();
    for bytes in [MIDDLE_BYTES, LARGE_BYTES] {
        let request = UsedUp::update(used_up.server.api(), &used_up.guest, bytes);
        run_node(&used_up.server, &format!("memory used up, {bytes} bytes"), &request, USED_UP);
    }
}

#[test]
fn boto3_is_answered_when_the_memory_for_bodies_is_used_up() {
    let variables = [("CARRYALL_TRIES", &*tries().to_string())];
    Script::Python("memory_used_up.py").run_with(&UsedUp::start().server, &variables);
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_send_or_is_refused() {
    let server = start();
    let api = server.api();
    let guest = api.new_user(&server.root());
    let body = json!({
        "SyncSessionToken": api.session(&guest, "prefs"),
        "RecordPatches": [{ "Op": "replace", "Key": "k", "Value": "v".repeat(MIDDLE_BYTES), "SyncCount": 0 }],
    });
    let update = api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).json(&body));
    let update = update.header("Expect", "100-continue");
    let mut connection = Connection::open(api.address).unwrap();
    connection.send(&update.head(api.address)).unwrap();
    assert_eq!(connection.interim_or_final().unwrap().status, 100);
    connection.send(&update.body).unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    every_refusal(|refusal, bytes| {
        let (status, error) = refusal.outcome();
        let request = refusal.request(api, &guest, bytes).header("Expect", "100-continue");
        let refused = || {
            let mut connection = Connection::open(api.address).unwrap();
            connection.send(&request.head(api.address)).unwrap();
            connection
        };
        let answered = |connection: &mut Connection, what: &str| {
            let answer = connection.interim_or_final().unwrap();
            assert_eq!(answer.outcome(), (status, error.to_owned()), "{refusal:?}, {bytes} bytes, {what}");
            assert_eq!(answer.get("connection"), Some("close"), "{refusal:?}, {bytes} bytes, {what}");
        };
        answered(&mut refused(), "not sent");
        // A client may still send its body after it has waited long enough.
        let mut sending = refused();
        sending.send(&request.body).unwrap();
        answered(&mut sending, "sent");
        sending.read_to_close().unwrap_or_else(|error| panic!("{refusal:?}, {bytes} bytes: {error}"));
    });
}
