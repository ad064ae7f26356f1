//! Tombstones of one life of a dataset: reading the oldest, and removing single records.

use std::collections::BTreeMap;

use carryall_core::ids::RecordKey;
use carryall_core::model::Record;
use carryall_core::tombstone::{OldestTombstones, Tombstone};

type Records = BTreeMap<RecordKey, Record>;

pub(super) fn oldest(records: Option<&Records>, oldest: OldestTombstones) -> Vec<Tombstone> {
    let mut found: Vec<Tombstone> = records
        .into_iter()
        .flat_map(BTreeMap::values)
        .filter(|record| record.value.is_none())
        .map(|record| Tombstone { key: record.key.clone(), sync_count: record.sync_count })
        .collect();
    found.sort_by(|a, b| (a.sync_count, &a.key).cmp(&(b.sync_count, &b.key)));
    let mut key_bytes = 0;
    let enough = found.iter().enumerate().position(|(number, tombstone)| {
        let is_reached = oldest.is_reached(number, key_bytes);
        key_bytes += tombstone.key.as_str().len() as u64;
        is_reached
    });
    found.truncate(enough.unwrap_or(usize::MAX));
    found
}

pub(super) fn remove(records: Option<&mut Records>, removed: Vec<Tombstone>) {
    let Some(records) = records else { return };
    for Tombstone { key, sync_count } in removed {
        if records.get(&key).is_some_and(|record| record.sync_count == sync_count) {
            records.remove(&key);
        }
    }
}
