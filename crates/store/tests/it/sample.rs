//! Stores and values for the tests, and the few moves that every case makes.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use carryall_core::changes::{Changes, Expect, PutRecord, Stamp, UsageDelta, Write};
use carryall_core::ids::{
    DatasetName, Generation, IdentityEpoch, IdentityId, PoolId, PoolIncarnation, RecordKey, SyncCount,
    Version,
};
use carryall_core::model::{
    DatasetRef, Head, Holdings, Identity, IdentityRef, Life, Pool, PoolRef, Record, UsedSessions,
};
use carryall_core::store::{Committed, ListingRange, RecordCursor, RecordRange, Store, StoreError};
use carryall_core::time::UnixMillis;
use carryall_store::{StoreOptions, StoreUrl, open};

pub(crate) type AnyStore = Arc<dyn Store>;

pub(crate) fn open_memory() -> AnyStore {
    open(&StoreUrl::Memory, &StoreOptions::default()).unwrap()
}

pub(crate) fn open_embedded(dir: &Path) -> AnyStore {
    open(&StoreUrl::Embedded(dir.to_owned()), &StoreOptions::default()).unwrap()
}

/// Waits for one answer.
pub(crate) fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

/// Commits, and returns the outcome.
pub(crate) fn commit(
    store: &AnyStore,
    expect: Vec<Expect>,
    write: Vec<Write>,
) -> Result<Committed, StoreError> {
    wait(store.commit(Changes { expect, write }))
}

/// Commits what must not be refused.
pub(crate) fn must_write(store: &AnyStore, expect: Vec<Expect>, write: Vec<Write>) {
    must_commit(store, Changes { expect, write });
}

/// Commits what must not be refused.
pub(crate) fn must_commit(store: &AnyStore, changes: Changes) {
    assert_eq!(wait(store.commit(changes)), Ok(Committed::Done));
}

/// True if the store holds what is expected.
pub(crate) fn holds(store: &AnyStore, expect: Expect) -> bool {
    commit(store, vec![expect], vec![]).unwrap().is_done()
}

/// Two ids, `a` and `b`, each with its own incarnations.
pub(crate) fn pool_ref(id: &str, incarnation: u64) -> PoolRef {
    let own = u64::from(id.as_bytes()[0]) << 32;
    PoolRef {
        id: PoolId::parse(&format!("{id}:0")).unwrap(),
        incarnation: PoolIncarnation(own | incarnation),
    }
}

pub(crate) fn pool(at: PoolRef) -> Pool {
    Pool {
        at,
        version: Version(1),
        created: UnixMillis(5),
        name: "pool".into(),
        allow_guests: true,
        allow_classic_flow: None,
        login_providers: BTreeMap::new(),
        developer_provider: None,
        open_id_providers: Vec::new(),
        saml_providers: Vec::new(),
        user_pools: Vec::new(),
        tags: BTreeMap::new(),
        roles: BTreeMap::new(),
        role_mappings: None,
        push: None,
        streams: None,
        events: BTreeMap::new(),
    }
}

/// Creates the pool `a` in its first incarnation.
pub(crate) fn create_pool(store: &AnyStore) -> PoolRef {
    let at = pool_ref("a", 1);
    put_pool(store, &at);
    at
}

pub(crate) fn put_pool(store: &AnyStore, at: &PoolRef) {
    let expect = vec![Expect::NoPool(at.id.clone())];
    must_write(store, expect, vec![Write::PutPool(Box::new(pool(at.clone())))]);
}

pub(crate) fn remove_pool(store: &AnyStore, at: &PoolRef) {
    must_write(store, vec![Expect::Pool(at.clone())], vec![Write::RemovePool(at.clone())]);
}

pub(crate) fn owner(pool: &PoolRef, identity: &str) -> IdentityRef {
    IdentityRef { pool: pool.clone(), identity: IdentityId::parse(identity).unwrap() }
}

pub(crate) fn identity(at: IdentityRef) -> Identity {
    Identity { at, epoch: IdentityEpoch(1), created: UnixMillis(2), modified: UnixMillis(3) }
}

pub(crate) fn dataset(owner: &IdentityRef, name: &str) -> DatasetRef {
    DatasetRef { owner: owner.clone(), name: DatasetName::parse(name).unwrap() }
}

/// The dataset `prefs` of one identity of a new pool.
pub(crate) fn prefs(store: &AnyStore) -> DatasetRef {
    dataset(&owner(&create_pool(store), "a:1"), "prefs")
}

pub(crate) fn key(text: &str) -> RecordKey {
    RecordKey::from_stored(text)
}

pub(crate) fn life(records: u32, data_bytes: u64) -> Life {
    Life {
        created: UnixMillis(10),
        modified: UnixMillis(20),
        modified_by: "device".into(),
        records,
        tombstones: 0,
        tombstone_key_bytes: Some(0),
        tombstones_forgotten_through: SyncCount::ZERO,
        data_bytes,
    }
}

pub(crate) fn head(generation: u64, sync_count: u64, life: Option<Life>) -> Head {
    Head {
        generation: Generation(generation),
        sync_count: SyncCount(sync_count),
        deleted_at: SyncCount::ZERO,
        deleted_on: UnixMillis(0),
        used_sessions: UsedSessions::default(),
        life,
    }
}

pub(crate) fn record(at: &str, count: u64, value: Option<&str>) -> Record {
    Record {
        key: key(at),
        value: value.map(str::to_owned),
        sync_count: SyncCount(count),
        modified: UnixMillis(30),
        modified_by: "device".into(),
        device_modified: UnixMillis(40),
    }
}

/// A value to set, or none to remove the record.
pub(crate) type Patch<'a> = (&'a str, Option<&'a str>);

/// The commit of an update of `patches`, decided on the present state: a small stand-in for the rules.
pub(crate) fn update_of(store: &AnyStore, at: &DatasetRef, patches: &[Patch<'_>]) -> Changes {
    let keys: Vec<RecordKey> = patches.iter().map(|(text, _)| key(text)).collect();
    let view = wait(store.dataset(at, &keys)).unwrap();
    let before = view.head.clone().unwrap_or_else(|| view.holdings.floor.head());
    let count = before.sync_count.next();
    let mut after = Head { sync_count: count, deleted_on: UnixMillis(0), ..before.clone() };
    let mut bytes = 0;
    let mut records = Vec::new();
    let now = after.life.get_or_insert_with(|| life(0, 0));
    for ((text, value), stub) in patches.iter().zip(view.stubs) {
        let record = record(text, count.0, *value);
        bytes += record.data_bytes().cast_signed() - stub.map_or(0, |stub| stub.data_bytes.cast_signed());
        now.records -= u32::from(stub.is_some_and(|stub| !stub.removed));
        now.tombstones -= u32::from(stub.is_some_and(|stub| stub.removed));
        if let Some(bytes) = &mut now.tombstone_key_bytes {
            let was = stub.is_some_and(|stub| stub.removed);
            *bytes =
                *bytes + u64::from(value.is_none()) * text.len() as u64 - u64::from(was) * text.len() as u64;
        }
        now.records += u32::from(value.is_some());
        now.tombstones += u32::from(value.is_none());
        records.push(PutRecord { record, replaces: stub.map(|stub| stub.sync_count) });
    }
    now.data_bytes = now.data_bytes.saturating_add_signed(bytes);
    let usage = UsageDelta { data_bytes: bytes, sync_sessions: 0, modified: Some(UnixMillis(30)) };
    let mut expect = vec![
        Expect::Pool(at.owner.pool.clone()),
        Expect::Dataset(at.clone(), view.head.as_ref().map(Stamp::of)),
    ];
    let mut write = vec![
        Write::PutHead(at.clone(), after),
        Write::PutRecords { at: at.clone(), generation: before.generation, records },
        Write::AddUsage(at.owner.pool.clone(), usage),
    ];
    if before.life.is_none() {
        expect.push(Expect::Holdings(at.owner.clone(), view.holdings.version));
        let holdings = Holdings {
            version: view.holdings.version.next(),
            datasets: view.holdings.datasets + 1,
            ..view.holdings
        };
        write.push(Write::PutHoldings(at.owner.clone(), holdings));
    }
    Changes { expect, write }
}

pub(crate) fn update(store: &AnyStore, at: &DatasetRef, patches: &[Patch<'_>]) {
    must_commit(store, update_of(store, at, patches));
}

/// The date of every deletion.
pub(crate) const DELETED_ON: UnixMillis = UnixMillis(50);

/// The commit of the deletion of a dataset that exists.
pub(crate) fn deletion_of(store: &AnyStore, at: &DatasetRef) -> Changes {
    let view = wait(store.dataset(at, &[])).unwrap();
    let before = view.head.unwrap();
    let count = before.sync_count.next();
    let after = Head {
        generation: before.generation.next(),
        sync_count: count,
        deleted_at: count,
        deleted_on: DELETED_ON,
        used_sessions: UsedSessions::default(),
        life: None,
    };
    let bytes = before.life.as_ref().map_or(0, |life| life.data_bytes);
    let usage = UsageDelta { data_bytes: -bytes.cast_signed(), sync_sessions: 0, modified: Some(DELETED_ON) };
    let holdings = Holdings {
        version: view.holdings.version.next(),
        datasets: view.holdings.datasets.saturating_sub(1),
        deleted_names: view.holdings.deleted_names + 1,
        ..view.holdings
    };
    Changes {
        expect: vec![
            Expect::Pool(at.owner.pool.clone()),
            Expect::Dataset(at.clone(), Some(Stamp::of(&before))),
            Expect::Holdings(at.owner.clone(), view.holdings.version),
        ],
        write: vec![
            Write::PutHead(at.clone(), after),
            Write::ForgetRecords(at.clone(), before.generation),
            Write::AddUsage(at.owner.pool.clone(), usage),
            Write::PutHoldings(at.owner.clone(), holdings),
        ],
    }
}

pub(crate) fn delete(store: &AnyStore, at: &DatasetRef) {
    must_commit(store, deletion_of(store, at));
}

/// All records of a generation, unless it has ended.
pub(crate) fn records(store: &AnyStore, at: &DatasetRef, generation: u64) -> Option<Vec<Record>> {
    wait(store.records(at, Generation(generation), everything())).unwrap()
}

pub(crate) fn everything() -> RecordRange {
    RecordRange { after: RecordCursor::Count(SyncCount::ZERO), through: SyncCount(u64::MAX), max: None }
}

/// A listing of everything.
pub(crate) fn listed() -> ListingRange {
    ListingRange {
        after: RecordCursor::Count(SyncCount::ZERO),
        through: None,
        max: None,
        bytes_max: usize::MAX,
    }
}

/// Frees all that waits, in slices of `rows_max`; returns how many rows that were.
pub(crate) fn reclaim_all(store: &AnyStore, rows_max: usize) -> usize {
    let mut rows = 0;
    loop {
        let step = wait(store.reclaim(rows_max)).unwrap();
        assert!(step.rows <= rows_max, "a slice stays within its bound");
        rows += step.rows;
        if !step.more {
            return rows;
        }
    }
}
