//! Several devices change one dataset at the same time. Whatever happens in between, every count is taken once, no
//! update is lost, and what is there at the end is what the updates make in the order of their counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use carryall_core::ids::{IdentityEpoch, IdentityId};
use carryall_core::limits::Limits;
use carryall_core::model::{Caller, IdentityRef, PoolRef};
use carryall_core::time::UnixMillis;
use carryall_wire::fault::{Fault, FaultKind};
use carryall_wire::ops::sync::{self, update_records::RecordPatch};
use carryall_wire::shapes::Record;

use super::installation::{Home, app, call, create_pool, master_key, settings};
use crate::app::App;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const POOL: &str = "us-east-1:0";
const IDENTITY: &str = "us-east-1:1";
const DEVICES: u64 = 6;
const UPDATES_PER_DEVICE: u64 = 12;
const COUNTER: &str = "counter";

/// A device of the one identity, talking to one of the nodes.
#[derive(Clone)]
struct Device {
    app: Arc<App>,
    pool: PoolRef,
    number: u64,
}

/// What one device did: the records of each of its updates, and how often it deleted the dataset.
#[derive(Default)]
struct Log {
    updates: Vec<Vec<Record>>,
    deletions: u64,
}

impl Device {
    fn caller(&self) -> Caller {
        let at = IdentityRef { pool: self.pool.clone(), identity: IdentityId::parse(IDENTITY).unwrap() };
        Caller::Identity { at, epoch: IdentityEpoch(0) }
    }

    async fn list(&self) -> sync::list_records::Output {
        let input = sync::list_records::Input {
            identity_pool_id: Some(POOL.to_owned()),
            identity_id: Some(IDENTITY.to_owned()),
            dataset_name: Some("shared".to_owned()),
            ..sync::list_records::Input::default()
        };
        call::<sync::ListRecords>(&self.app, Some(self.caller()), NOW, input).await.unwrap()
    }

    /// Adds one to the counter and writes a record of its own, as the listing says that they are.
    async fn update(&self, seen: &sync::list_records::Output) -> Result<Vec<Record>, Fault> {
        let own = format!("device {}", self.number);
        let patch = |key: &str, value: String| RecordPatch {
            op: Some("replace".to_owned()),
            key: Some(key.to_owned()),
            value: Some(value),
            sync_count: Some(find(seen, key).map_or(0, |record| record.sync_count.cast_signed())),
            device_last_modified_date: None,
        };
        let counted: u64 =
            find(seen, COUNTER).and_then(|record| record.value.as_deref()).map_or(0, |v| v.parse().unwrap());
        let input = sync::update_records::Input {
            identity_pool_id: Some(POOL.to_owned()),
            identity_id: Some(IDENTITY.to_owned()),
            dataset_name: Some("shared".to_owned()),
            record_patches: Some(vec![
                patch(COUNTER, (counted + 1).to_string()),
                patch(&own, seen.dataset_sync_count.to_string()),
            ]),
            sync_session_token: Some(seen.sync_session_token.clone()),
            ..sync::update_records::Input::default()
        };
        call::<sync::UpdateRecords>(&self.app, Some(self.caller()), NOW, input).await.map(|told| told.records)
    }

    async fn delete(&self) -> bool {
        let input = sync::delete_dataset::Input {
            identity_pool_id: Some(POOL.to_owned()),
            identity_id: Some(IDENTITY.to_owned()),
            dataset_name: Some("shared".to_owned()),
        };
        match call::<sync::DeleteDataset>(&self.app, Some(self.caller()), NOW, input).await {
            Ok(_) => true,
            Err(fault) => {
                let others_came_first =
                    matches!(fault.kind, FaultKind::ResourceNotFound | FaultKind::TooManyRequests);
                assert!(others_came_first, "{fault:?}");
                false
            }
        }
    }

    async fn work(self, deletes: bool) -> Log {
        let mut log = Log::default();
        for round in 0..UPDATES_PER_DEVICE {
            loop {
                let seen = self.list().await;
                // Lets others in between, on whichever thread.
                tokio::task::yield_now().await;
                match self.update(&seen).await {
                    Ok(records) => break log.updates.push(records),
                    Err(fault) => {
                        let stale =
                            matches!(fault.kind, FaultKind::ResourceConflict | FaultKind::TooManyRequests);
                        assert!(stale, "{fault:?}");
                    }
                }
            }
            if deletes && round % 4 == 3 && self.delete().await {
                log.deletions += 1;
            }
        }
        log
    }
}

fn find<'a>(seen: &'a sync::list_records::Output, key: &str) -> Option<&'a Record> {
    seen.records.iter().find(|record| &*record.key == key)
}

/// `nodes` programs share the store; within one they wait for each other, between two they meet in the store.
async fn interleave(home: Home, nodes: usize, deletes: bool) {
    let (store, master) = (home.open(), master_key());
    let mut apps = Vec::new();
    for _ in 0..nodes {
        apps.push(app(Arc::clone(&store), &master, settings(&Limits::default(), false)).await);
    }
    let (pool, _) = create_pool(&apps[0], POOL).await.unwrap();
    let devices: Vec<Device> = (0..DEVICES)
        .zip(apps.iter().cycle())
        .map(|(number, app)| Device { app: Arc::clone(app), pool: pool.clone(), number })
        .collect();
    let tasks: Vec<_> = devices.iter().map(|device| tokio::spawn(device.clone().work(deletes))).collect();
    let (mut taken, mut deletions) = (BTreeMap::new(), 0);
    for task in tasks {
        let log = task.await.unwrap();
        deletions += log.deletions;
        for records in log.updates {
            let count = records[0].sync_count;
            assert!(records.iter().all(|record| record.sync_count == count));
            assert!(taken.insert(count, records).is_none(), "count {count} was taken twice");
        }
    }
    let end = devices[0].list().await;
    assert_eq!(taken.len() as u64, DEVICES * UPDATES_PER_DEVICE);
    assert_eq!(end.dataset_sync_count, taken.len() as u64 + deletions, "counts that nobody took");
    assert_eq!(replayed(&taken, end.dataset_sync_count), by_key(end.records));
}

fn by_key(records: Vec<Record>) -> BTreeMap<String, Record> {
    records.into_iter().map(|record| (record.key.to_string(), record)).collect()
}

/// What the updates make in the order of their counts; a count that no update took is a deletion. On the way, each
/// update must have seen what the one before it left.
fn replayed(taken: &BTreeMap<u64, Vec<Record>>, last: u64) -> BTreeMap<String, Record> {
    let mut state = BTreeMap::new();
    for count in 1..=last {
        let Some(records) = taken.get(&count) else {
            state.clear();
            continue;
        };
        let counted = |records: &BTreeMap<String, Record>| {
            records.get(COUNTER).and_then(|record| record.value.as_deref()?.parse().ok()).unwrap_or(0_u64)
        };
        let before = counted(&state);
        state.extend(by_key(records.clone()));
        assert_eq!(counted(&state), before + 1, "the update with count {count} lost another one");
    }
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_of_many_devices_fall_into_one_order_in_memory() {
    for (nodes, deletes) in [(1, false), (3, false), (1, true), (3, true)] {
        interleave(Home::memory(), nodes, deletes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_of_many_devices_fall_into_one_order_in_the_embedded_store() {
    for (nodes, deletes) in [(1, true), (3, true)] {
        interleave(Home::embedded(), nodes, deletes).await;
    }
}
