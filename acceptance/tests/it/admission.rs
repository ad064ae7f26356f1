//! One caller cannot take the server away from others: connections, bodies, and turns at a dataset.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;

use carryall_acceptance::api::succeeded;
use carryall_acceptance::peers::until;
use carryall_acceptance::{Api, Connection, Guest, Request, Response, Server, Store};
use serde_json::json;

const UNSIGNED_BODY_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
const MIB: usize = 1024 * 1024;

/// An address of this machine.
pub(crate) fn source(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, number))
}

fn asked(api: Api, from: u8, target: &str) -> (Connection, Response) {
    let mut connection = Connection::open_from(source(from), api.address).unwrap();
    let answer = connection.exchange(&Request::new("GET", target)).unwrap();
    (connection, answer)
}

/// A connection with an open live channel, whose slot no other connection can take; `None` if the server accepts no
/// more from that source.
pub(crate) fn place(api: Api, guest: &Guest, from: u8) -> Option<Connection> {
    let request = Request::new("GET", format!("{}/changes", guest.dataset("prefs")));
    let mut connection = Connection::open_from(source(from), api.address).unwrap();
    let head = connection.begin(&api.signed(&guest.caller, request)).unwrap();
    assert!(matches!(head.status, 200 | 503), "{}", head.status);
    (head.status == 200).then_some(connection)
}

/// `count` open connections. It waits, because the server may not have noticed yet that an earlier one is
/// closed.
pub(crate) fn places(api: Api, guest: &Guest, from: u8, count: usize) -> Vec<Connection> {
    (0..count)
        .map(|number| until(&format!("place {number} from {from}"), || place(api, guest, from)))
        .collect()
}

/// A server with so few connections, where one identity may open a live channel on each.
pub(crate) fn with_connections(limits: &str) -> Server {
    let live = "[live]\nsubscribers_per_identity_max = 64\nheartbeat_seconds = 1\n";
    Server::start_configured(Store::Memory, Some(&format!("{live}[limits]\n{limits}")))
}

#[test]
fn probes_are_answered_while_every_other_connection_is_taken() {
    let server = with_connections("connections_max = 8\nconnections_per_source_max = 8\n");
    let api = server.api();
    let guest = api.new_user(&server.root());
    let held = places(api, &guest, 1, 8);
    for from in [1, 2] {
        for probe in ["/health/live", "/health/ready"] {
            assert_eq!(asked(api, from, probe).1.status, 200, "{probe} from {from}");
        }
        assert!(place(api, &guest, from).is_none(), "there is a ninth connection, from {from}");
    }
    drop(held);
    places(api, &guest, 2, 8);
}

#[test]
fn a_source_has_a_quarter_of_the_connections() {
    let server = with_connections("connections_max = 16\n");
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut held = places(api, &guest, 1, 4);
    assert!(place(api, &guest, 1).is_none(), "there is a fifth connection from one source");
    assert_eq!(asked(api, 1, "/health/ready").1.status, 200);
    let others = places(api, &guest, 2, 4);
    assert!(place(api, &guest, 2).is_none(), "there is a fifth connection from the other source");
    held.pop();
    held.extend(places(api, &guest, 1, 1));
    drop(others);
}

/// A connection that has sent half of a head.
fn half_head(api: Api, from: u8) -> Connection {
    let mut connection = Connection::open_from(source(from), api.address).unwrap();
    // The server may have closed it already, for the next one.
    let _ = connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-Amz-");
    connection
}

#[test]
fn half_sent_heads_from_many_sources_keep_no_caller_out() {
    let server =
        with_connections("connections_max = 32\nprobe_connections_max = 4\nheader_seconds_max = 600\n");
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut channel = place(api, &guest, 1).unwrap();
    let attackers = || (2..=9).flat_map(|from| (0..16).map(move |_| half_head(api, from)));
    let mut held: Vec<Connection> = attackers().collect();
    for (count, from) in (2..=9).cycle().take(40).enumerate() {
        api.put(&guest, "prefs", "k", "v", count as u64);
        held.push(half_head(api, from));
        assert_eq!(asked(api, 1, "/health/ready").1.status, 200);
        held.push(half_head(api, from));
    }
    let mut told = Vec::new();
    while !told.windows(6).any(|bytes| bytes == b"id: 40") {
        told.extend(channel.chunk().unwrap().expect("the channel stays open"));
    }
    drop(held);
}

/// An unsigned GetId whose body has exactly this many bytes, most of them in an ignored member.
fn padded(operation: &str, member: &str, id: &str, bytes: usize) -> Request {
    let start = format!("{{\"{member}\":\"{id}\",\"Unknown\":\"");
    let body = format!("{start}{}\"}}", "a".repeat(bytes - start.len() - 2));
    Request::new("POST", "/")
        .header("X-Amz-Target", format!("AWSCognitoIdentityService.{operation}"))
        .header("Content-Type", "application/x-amz-json-1.1")
        .body(body)
}

#[test]
fn unsigned_operations_take_64_kibibytes() {
    let server = Server::start(Store::Memory);
    let api = server.api();
    let guest = api.new_user(&server.root());
    for (operation, member, id) in [
        ("GetId", "IdentityPoolId", &guest.pool),
        ("GetCredentialsForIdentity", "IdentityId", &guest.identity),
        ("GetOpenIdToken", "IdentityId", &guest.identity),
    ] {
        succeeded(&api.send(&padded(operation, member, id, UNSIGNED_BODY_BYTES_MAX)));
        let larger = api.send(&padded(operation, member, id, UNSIGNED_BODY_BYTES_MAX + 1));
        assert_eq!(larger.outcome(), (413, "RequestEntityTooLargeException".to_owned()), "{operation}");
    }
}

/// Sends all of a request but its last byte. The server may close earlier if it refuses the request.
fn all_but_the_last_byte(api: Api, from: u8, request: &Request) -> Connection {
    let bytes = request.bytes(api.address);
    let mut connection = Connection::open_from(source(from), api.address).unwrap();
    let _ = connection.send(&bytes[..bytes.len() - 1]);
    connection
}

fn update(api: Api, guest: &Guest, dataset: &str, body: impl Into<Vec<u8>>) -> Request {
    api.signed(&guest.caller, Request::new("POST", guest.dataset(dataset)).body(body))
}

#[test]
fn slow_bodies_of_one_source_refuse_nobody_elses() {
    let server =
        Server::start_configured(Store::Memory, Some("[limits]\nadmission_wait_milliseconds_max = 50\n"));
    let api = server.api();
    let other = api.new_user(&server.root());
    // One address can name any number of callers before a signature is verified.
    let slow: Vec<Guest> = (0..4).map(|_| api.new_user(&server.root())).collect();
    let unsigned = |bytes| padded("GetId", "IdentityPoolId", &slow[0].pool, bytes);
    let mut held: Vec<Connection> = Vec::new();
    held.extend((0..66).map(|_| all_but_the_last_byte(api, 2, &unsigned(MIB))));
    // More than the reserve for small bodies holds.
    held.extend((0..300).map(|_| all_but_the_last_byte(api, 2, &unsigned(UNSIGNED_BODY_BYTES_MAX))));
    for guest in &slow {
        let large = update(api, guest, "prefs", vec![b' '; BODY_BYTES_MAX]);
        held.extend((0..2).map(|_| all_but_the_last_byte(api, 2, &large)));
        let small = update(api, guest, "prefs", vec![b' '; UNSIGNED_BODY_BYTES_MAX]);
        held.extend((0..64).map(|_| all_but_the_last_byte(api, 2, &small)));
    }
    for (count, length) in [200, 200_000].into_iter().cycle().take(20).enumerate() {
        api.put(&other, "prefs", "k", &"v".repeat(length), count as u64);
        api.new_guest(&other.pool);
    }
    drop(held);
}

#[test]
fn a_body_below_the_lowest_rate_is_cut_off() {
    // The body's time limit is long enough not to end it.
    let rate = "[limits]\nbody_bytes_per_second_min = 1000000\nrequest_seconds_max = 600\n";
    let server = Server::start_configured(Store::Memory, Some(rate));
    let api = server.api();
    let guest = api.new_user(&server.root());
    let request = update(api, &guest, "prefs", vec![b' '; MIB]);
    let mut connection = Connection::open(api.address).unwrap();
    let bytes = request.bytes(api.address);
    connection.send(&bytes[..bytes.len() / 2]).unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!(answer.outcome(), (408, "RequestTimeoutException".to_owned()), "{}", answer.text());
    connection.read_to_close().unwrap();
}

#[test]
fn updates_of_a_hot_dataset_are_refused_and_hold_up_nobody_else() {
    const UPDATES: usize = 200;
    const ONE_WAITS: &str = "[limits]\nupdates_waiting_per_dataset_max = 1\nrequests_per_caller_max = 1000\n";
    let server = Server::start_configured(Store::Embedded, Some(ONE_WAITS));
    let api = server.api();
    let (hot, other) = (api.new_user(&server.root()), api.new_user(&server.root()));
    let requests: Vec<Vec<u8>> = (0..UPDATES)
        .map(|number| {
            let patch = json!({ "Op": "replace", "Key": format!("k{number}"), "Value": "v", "SyncCount": 0 });
            let token = api.session(&hot, "prefs");
            let body = json!({ "SyncSessionToken": token, "RecordPatches": [patch] }).to_string();
            update(api, &hot, "prefs", body).bytes(api.address)
        })
        .collect();
    let mut waiting: Vec<Connection> = Vec::with_capacity(UPDATES);
    for request in &requests {
        let mut connection = Connection::open(api.address).unwrap();
        connection.send(&request[..request.len() - 1]).unwrap();
        waiting.push(connection);
    }
    let outcomes: Vec<(u16, String)> = thread::scope(|scope| {
        let others = scope.spawn(|| {
            for count in 0..20 {
                api.put(&other, "prefs", "k", "v", count);
            }
        });
        for (connection, request) in waiting.iter_mut().zip(&requests) {
            connection.send(&request[request.len() - 1..]).unwrap();
        }
        let outcomes = waiting.iter_mut().map(|connection| connection.answer().unwrap().outcome()).collect();
        others.join().unwrap();
        outcomes
    });
    let throttled = (429, "TooManyRequestsException".to_owned());
    assert!(
        outcomes.iter().all(|outcome| *outcome == (200, String::new()) || *outcome == throttled),
        "{outcomes:?}"
    );
    let applied = outcomes.iter().filter(|(status, _)| *status == 200).count();
    assert!(applied > 0 && applied < UPDATES, "{applied} of {UPDATES} updates were applied");
    assert_eq!(api.list(&hot, "prefs")["DatasetSyncCount"], applied);
}
