//! Several devices change one dataset at the same time while others list it. Every count is taken once, and
//! no update is lost. The updates in the order of their counts lead to every state that a listing showed, and
//! to the state at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carryall_core::caller::Caller;
use carryall_core::ids::{IdentityEpoch, IdentityId};
use carryall_core::limits::Limits;
use carryall_core::model::{IdentityRef, PoolRef};
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
/// The number of devices that only list, until the others are done.
const READERS: usize = 3;
const COUNTER: &str = "counter";

/// A device of the identity, connected to one of the nodes.
#[derive(Clone)]
struct Device {
    app: Arc<App>,
    pool: PoolRef,
    number: u64,
}

/// The acts of one device: the records of each of its updates, its listings, and how often it deleted the
/// dataset.
#[derive(Default)]
struct Log {
    updates: Vec<Vec<Record>>,
    listings: Vec<Listing>,
    deletions: u64,
}

/// A listing in one page of the changes after `since`.
struct Listing {
    since: u64,
    count: u64,
    records: Vec<Record>,
}

impl Device {
    fn caller(&self) -> Caller {
        let at = IdentityRef { pool: self.pool.clone(), identity: IdentityId::parse(IDENTITY).unwrap() };
        Caller::Identity { at, epoch: IdentityEpoch(0) }
    }

    async fn list(&self, since: u64) -> sync::list_records::Output {
        let input = sync::list_records::Input {
            last_sync_count: Some(since.cast_signed()),
            identity_pool_id: Some(POOL.to_owned()),
            identity_id: Some(IDENTITY.to_owned()),
            dataset_name: Some("shared".to_owned()),
            ..sync::list_records::Input::default()
        };
        call::<sync::ListRecords>(&self.app, Some(self.caller()), NOW, input).await.unwrap()
    }

    /// Adds one to the counter, and writes or removes its own record, based on the listing.
    async fn update(&self, seen: &sync::list_records::Output) -> Result<Vec<Record>, Fault> {
        let own = format!("device {}", self.number);
        let patch = |key: &str, value: Option<String>| RecordPatch {
            op: Some(if value.is_some() { "replace" } else { "remove" }.to_owned()),
            key: Some(key.to_owned()),
            value,
            sync_count: Some(find(seen, key).map_or(0, |record| record.sync_count.cast_signed())),
            device_last_modified_date: None,
        };
        let written = find(seen, &own).is_none_or(|record| record.value.is_none());
        let counted: u64 =
            find(seen, COUNTER).and_then(|record| record.value.as_deref()).map_or(0, |v| v.parse().unwrap());
        let input = sync::update_records::Input {
            identity_pool_id: Some(POOL.to_owned()),
            identity_id: Some(IDENTITY.to_owned()),
            dataset_name: Some("shared".to_owned()),
            record_patches: Some(vec![
                patch(COUNTER, Some((counted + 1).to_string())),
                patch(&own, written.then(|| seen.dataset_sync_count.to_string())),
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
                let seen = self.list(0).await;
                // Lets other tasks run in between, on any thread.
                tokio::task::yield_now().await;
                let updated = self.update(&seen).await;
                log.listings.push(Listing::new(0, seen));
                match updated {
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

impl Device {
    /// Lists, in turns, all records and those that changed after its previous listing, until `stopped`.
    async fn watch(self, stopped: Arc<AtomicBool>) -> Vec<Listing> {
        let mut listings: Vec<Listing> = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let since = match listings.last() {
                Some(last) if last.since == 0 => last.count,
                Some(_) | None => 0,
            };
            listings.push(Listing::new(since, self.list(since).await));
            tokio::task::yield_now().await;
        }
        listings
    }
}

impl Listing {
    fn new(since: u64, seen: sync::list_records::Output) -> Self {
        assert_eq!(seen.next_token, None, "one page holds all");
        Self { since, count: seen.dataset_sync_count, records: seen.records }
    }

    /// Checks that the listing shows the dataset as it was at the listing's count.
    fn check(self, states: &[BTreeMap<String, Record>]) {
        let (since, count) = (self.since, self.count);
        let mut state = states[usize::try_from(count).unwrap()].clone();
        state.retain(|_, record| record.sync_count > since);
        assert_eq!(by_key(self.records), state, "listed after {since} at {count}");
    }
}

fn find<'a>(seen: &'a sync::list_records::Output, key: &str) -> Option<&'a Record> {
    seen.records.iter().find(|record| &*record.key == key)
}

/// `nodes` programs share the store. Writers within one wait for each other; writers of two meet in the
/// store.
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
    let stopped = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = devices
        .iter()
        .take(READERS)
        .map(|device| tokio::spawn(device.clone().watch(Arc::clone(&stopped))))
        .collect();
    let tasks: Vec<_> = devices.iter().map(|device| tokio::spawn(device.clone().work(deletes))).collect();
    let (mut taken, mut listings, mut deletions) = (BTreeMap::new(), Vec::new(), 0);
    for task in tasks {
        let log = task.await.unwrap();
        deletions += log.deletions;
        listings.extend(log.listings);
        for records in log.updates {
            let count = records[0].sync_count;
            assert!(records.iter().all(|record| record.sync_count == count));
            assert!(taken.insert(count, records).is_none(), "count {count} was taken twice");
        }
    }
    stopped.store(true, Ordering::Relaxed);
    for reader in readers {
        listings.extend(reader.await.unwrap());
    }
    let end = devices[0].list(0).await;
    assert_eq!(taken.len() as u64, DEVICES * UPDATES_PER_DEVICE);
    assert_eq!(end.dataset_sync_count, taken.len() as u64 + deletions, "counts that nobody took");
    listings.push(Listing::new(0, end));
    let states = replayed(&taken, taken.len() as u64 + deletions);
    for listing in listings {
        listing.check(&states);
    }
}

fn by_key(records: Vec<Record>) -> BTreeMap<String, Record> {
    records.into_iter().map(|record| (record.key.to_string(), record)).collect()
}

/// The states to which the updates lead in the order of their counts, by count; a count that no update took
/// is a deletion. Each update must have seen the state that the previous update left.
fn replayed(taken: &BTreeMap<u64, Vec<Record>>, last: u64) -> Vec<BTreeMap<String, Record>> {
    let mut state = BTreeMap::new();
    let mut states = vec![BTreeMap::new()];
    for count in 1..=last {
        let Some(records) = taken.get(&count) else {
            state.clear();
            states.push(BTreeMap::new());
            continue;
        };
        let counted = |records: &BTreeMap<String, Record>| {
            records.get(COUNTER).and_then(|record| record.value.as_deref()?.parse().ok()).unwrap_or(0_u64)
        };
        let before = counted(&state);
        state.extend(by_key(records.clone()));
        assert_eq!(counted(&state), before + 1, "the update with count {count} lost another one");
        states.push(state.clone());
    }
    states
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
