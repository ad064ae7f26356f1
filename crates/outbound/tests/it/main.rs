//! Self-hosted destinations over real sockets and real files. The acceptance tests use the AWS peers.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

mod files;
mod pushes;
mod receiver;
mod streams;
mod triggers;

use carryall_outbound::{HttpDestination, Outbound, OutboundSettings, Route, StreamDestination};

/// The secret of every signature in the tests.
const SECRET: &str = "a shared secret";
/// The time of the tests' clock.
const NOW_UNIX_S: u64 = 1_700_000_000;

/// Settings without routes, which send everything to AWS.
fn settings() -> OutboundSettings {
    OutboundSettings {
        region: "eu-west-1".to_owned(),
        large_objects: None,
        streams: Vec::new(),
        pushes: Vec::new(),
        triggers: Vec::new(),
    }
}

fn outbound(settings: OutboundSettings) -> Outbound {
    Outbound::new(settings, || NOW_UNIX_S)
}

fn http(url: &str) -> HttpDestination {
    HttpDestination::new(url, SECRET.into()).unwrap()
}

/// A route that matches everything.
fn every<D>(destination: D) -> Vec<Route<D>> {
    vec![Route { pool: Some("pool".to_owned()), name: None, destination }]
}

fn streaming_to(destination: StreamDestination) -> Outbound {
    outbound(OutboundSettings { streams: every(destination), ..settings() })
}

#[test]
fn making_it_needs_no_runtime() {
    let outbound = outbound(settings());
    assert!(outbound.large_objects(None).is_none());
    assert_eq!(outbound.stream("pool", "stream", None).message_bytes_max(), Some(1024 * 1024));
}
