//! The same signed request sent again, as SDKs do when an answer was lost: no update is ever applied twice.

use carryall_acceptance::{Connection, Request, Server, Store};
use serde_json::json;

use crate::on_every_store;

on_every_store!(
    a_repeated_update_conflicts_and_applies_once,
    a_repeated_removal_conflicts_and_applies_once,
    a_repeated_reading_is_answered_again,
    a_repeated_deletion_finds_nothing,
    updates_repeated_at_the_same_moment_apply_once,
);

fn a_repeated_update_conflicts_and_applies_once(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let body = json!({
        "SyncSessionToken": api.session(&guest, "prefs"),
        "RecordPatches": [{ "Op": "replace", "Key": "k", "Value": "v", "SyncCount": 0 }],
    });
    let request = api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).json(&body));
    assert_eq!(api.send(&request).status, 200);
    for _ in 0..3 {
        assert_eq!(api.send(&request).outcome(), (409, "ResourceConflictException".to_owned()));
    }
    let listing = api.list(&guest, "prefs");
    assert_eq!((&listing["DatasetSyncCount"], &listing["Records"][0]["SyncCount"]), (&json!(1), &json!(1)));
}

fn a_repeated_removal_conflicts_and_applies_once(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "k", "v", 0);
    let body = json!({
        "SyncSessionToken": api.session(&guest, "prefs"),
        "RecordPatches": [{ "Op": "remove", "Key": "k", "SyncCount": 1 }],
    });
    let request = api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).json(&body));
    assert_eq!(api.send(&request).status, 200);
    assert_eq!(api.send(&request).status, 409);
    assert_eq!(api.list(&guest, "prefs")["DatasetSyncCount"], 2);
}

fn a_repeated_reading_is_answered_again(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let request = api.signed(&guest.caller, Request::new("GET", guest.records("prefs")));
    let (first, second) = (api.send(&request), api.send(&request));
    assert_eq!((first.status, second.status), (200, 200));
    assert_ne!(first.get("x-amzn-requestid"), second.get("x-amzn-requestid"));
}

fn a_repeated_deletion_finds_nothing(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "k", "v", 0);
    let request = api.signed(&guest.caller, Request::new("DELETE", guest.dataset("prefs")));
    assert_eq!(api.send(&request).status, 200);
    assert_eq!(api.send(&request).outcome(), (404, "ResourceNotFoundException".to_owned()));
    assert_eq!(api.list(&guest, "prefs")["DatasetSyncCount"], 2);
}

fn updates_repeated_at_the_same_moment_apply_once(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    for round in 0..20 {
        let body = json!({
            "SyncSessionToken": api.session(&guest, "prefs"),
            "RecordPatches": [{ "Op": "replace", "Key": format!("k-{round}"), "Value": "v", "SyncCount": 0 }],
        });
        let request = api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).json(&body));
        // All are sent before the first answer is read.
        let mut connections: Vec<Connection> =
            (0..4).map(|_| Connection::open(api.address).unwrap()).collect();
        for connection in &mut connections {
            connection.send(&request.bytes(api.address)).unwrap();
        }
        let mut statuses: Vec<u16> =
            connections.iter_mut().map(|connection| connection.answer().unwrap().status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409], "round {round}");
        assert_eq!(api.list(&guest, "prefs")["DatasetSyncCount"], round + 1);
    }
}

#[test]
fn an_update_repeated_after_a_restart_applies_once() {
    let mut server = Server::start(Store::Embedded);
    let api = server.api();
    let guest = api.new_user(&server.root());
    let body = json!({
        "SyncSessionToken": api.session(&guest, "prefs"),
        "RecordPatches": [{ "Op": "replace", "Key": "k", "Value": "v", "SyncCount": 0 }],
    });
    let request = api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).json(&body));
    assert_eq!(api.send(&request).status, 200);
    server.kill();
    server.restart();
    assert_eq!(api.send(&request).status, 409);
    assert_eq!(api.list(&guest, "prefs")["DatasetSyncCount"], 1);
}
