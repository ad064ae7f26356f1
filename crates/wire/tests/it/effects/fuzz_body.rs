//! The body of a fuzz target: arbitrary answers of a sync trigger's function, and arbitrary paths and queries
//! of live channels. Nothing may panic, an error must have a short text, and a decoded value must decode to
//! the same when it is encoded and decoded again.

use std::collections::BTreeMap;

use carryall_wire::codec;
use carryall_wire::effects::sync_trigger::{EventRecord, SyncTriggerEvent};

fn event(records: BTreeMap<String, EventRecord>) -> SyncTriggerEvent {
    SyncTriggerEvent::new("us-east-1", "us-east-1:0", "us-east-1:1", "prefs", records)
}

/// An answer as received.
pub fn read_answer(bytes: &[u8]) {
    match event(BTreeMap::new()).read_answer(bytes) {
        Ok(records) => read_again(records),
        Err(trouble) => assert!(trouble.to_string().len() < bytes.len() + 200, "{trouble}"),
    }
}

/// An answer with a valid envelope and arbitrary records.
pub fn read_records(bytes: &[u8]) {
    let mut answer = serde_json::to_value(event(BTreeMap::new())).expect("an event has a form");
    let Ok(records) = serde_json::from_slice(bytes) else { return read_answer(bytes) };
    answer["datasetRecords"] = records;
    read_answer(answer.to_string().as_bytes());
}

/// The decoded records, sent to a function that changes nothing, must decode to the same.
fn read_again(records: BTreeMap<String, Option<String>>) {
    let shown = records.iter().map(|(key, value)| (key.clone(), EventRecord::new(None, value.clone())));
    let event = event(shown.collect());
    let answer = serde_json::to_vec(&event).expect("an event has a form");
    assert_eq!(event.read_answer(&answer), Ok(records));
}

/// A path with a query.
pub fn read_path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = format!("/identitypools/{path}/changes");
    if let Some(Ok(changes)) = codec::changes(&path) {
        for label in [&changes.identity_pool_id, &changes.identity_id, &changes.dataset_name] {
            assert!(!label.is_empty() && !matches!(&**label, "." | ".."), "{path}");
        }
    }
    if let Ok(Some(count)) = codec::last_sync_count(query) {
        assert_eq!(codec::last_sync_count(&format!("lastSyncCount={count}")), Ok(Some(count)));
    }
}
