//! The reference store: ordered maps behind one lock. It is what the promises look like when nothing else matters;
//! the other stores are compared with it. Nothing in it outlives the process.

mod outbox;
mod state;
mod tombstones;

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Bound::{Excluded, Unbounded};
use std::pin::Pin;
use std::sync::MutexGuard;

use carryall_core::changes::{Changes, Setting};
use carryall_core::devices::Devices;
use carryall_core::ids::{
    AccessKeyId, DatasetName, Generation, IdentityId, PoolId, PoolIncarnation, RecordKey, SyncCount,
};
use carryall_core::model::{
    BulkPublish, DatasetRef, DeveloperKey, Head, Holdings, Identity, IdentityRef, Pool, PoolRef, PoolUsage,
    Record, RecordStub, Sweep,
};
use carryall_core::outbox::{Event, Lane, LaneRef};
use carryall_core::store::{
    Answer, Committed, DatasetView, Figures, HeadView, Health, Listing, ListingRange, OwnerView, Reads,
    Reclaimed, RecordCursor, RecordRange, Store, WholeDataset,
};
use carryall_core::time::UnixMillis;
use carryall_core::tombstone::{OldestTombstones, Tombstone};

use self::outbox::Outbox;
use crate::commit_semantics::{has_life, listed_bytes, ready};
use crate::lock::Lock;

/// Everything in memory.
#[derive(Default)]
pub(crate) struct MemoryStore {
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    pools: BTreeMap<PoolId, Pool>,
    usage: BTreeMap<PoolRef, PoolUsage>,
    identities: BTreeMap<IdentityId, Identity>,
    holdings: BTreeMap<IdentityRef, Holdings>,
    heads: BTreeMap<IdentityRef, BTreeMap<DatasetName, Head>>,
    /// Records of the present life of each dataset that has one.
    records: BTreeMap<DatasetRef, BTreeMap<RecordKey, Record>>,
    sweeps: BTreeMap<(UnixMillis, PoolIncarnation, IdentityId), Sweep>,
    devices: BTreeMap<IdentityRef, Devices>,
    bulk_publishes: BTreeMap<PoolRef, BulkPublish>,
    outbox: Outbox,
    keys: BTreeMap<AccessKeyId, DeveloperKey>,
    settings: BTreeMap<Setting, Vec<u8>>,
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Reads for MemoryStore {
    fn pool<'a>(&'a self, id: &'a PoolId) -> Answer<'a, Option<Pool>> {
        ready(Ok(self.state().pools.get(id).cloned()))
    }

    fn pools<'a>(&'a self, after: Option<&'a PoolId>, max: usize) -> Answer<'a, Vec<Pool>> {
        let start = after.map_or(Unbounded, Excluded);
        ready(Ok(self
            .state()
            .pools
            .range((start, Unbounded))
            .take(max)
            .map(|(_, pool)| pool.clone())
            .collect()))
    }

    fn pool_usage<'a>(&'a self, pool: &'a PoolRef) -> Answer<'a, PoolUsage> {
        let state = self.state();
        let usage = state.usage.get(pool).copied().unwrap_or_default();
        let (events_waiting, events_bytes) = state.outbox.waiting_in(pool);
        ready(Ok(PoolUsage { events_waiting, events_bytes, ..usage }))
    }

    fn identity<'a>(&'a self, id: &'a IdentityId) -> Answer<'a, Option<Identity>> {
        ready(Ok(self.state().identities.get(id).cloned()))
    }

    fn identities<'a>(
        &'a self,
        pool: &'a PoolRef,
        after: Option<&'a IdentityId>,
        max: usize,
    ) -> Answer<'a, Vec<Identity>> {
        let state = self.state();
        let start = after.map_or(Unbounded, Excluded);
        let rest = state.identities.range((start, Unbounded)).map(|(_, identity)| identity);
        ready(Ok(rest.filter(|identity| identity.at.pool == *pool).take(max).cloned().collect()))
    }

    fn head<'a>(&'a self, at: &'a DatasetRef) -> Answer<'a, HeadView> {
        let state = self.state();
        ready(Ok(HeadView { head: state.head(at).cloned(), floor: state.holdings(&at.owner).floor }))
    }

    fn dataset<'a>(&'a self, at: &'a DatasetRef, keys: &'a [RecordKey]) -> Answer<'a, DatasetView> {
        let state = self.state();
        let records = state.records.get(at);
        let stub = |key| records.and_then(|records| records.get(key)).map(stub_of);
        ready(Ok(DatasetView {
            head: state.head(at).cloned(),
            holdings: state.holdings(&at.owner),
            stubs: keys.iter().map(stub).collect(),
        }))
    }

    fn heads<'a>(&'a self, owner: &'a IdentityRef) -> Answer<'a, OwnerView> {
        let state = self.state();
        let all = state.heads.get(owner).into_iter().flatten();
        let heads = all.map(|(name, head)| (name.clone(), head.clone())).collect();
        ready(Ok(OwnerView { heads, holdings: state.holdings(owner) }))
    }

    fn listing<'a>(&'a self, at: &'a DatasetRef, range: ListingRange) -> Answer<'a, Listing> {
        let state = self.state();
        let head = HeadView { head: state.head(at).cloned(), floor: state.holdings(&at.owner).floor };
        let matching = state.records(at, &range.after, range.through.unwrap_or(SyncCount(u64::MAX)));
        let mut bytes = 0;
        let fits = |(number, record): &(usize, &Record)| {
            bytes += listed_bytes(record);
            *number == 0 || bytes <= range.bytes_max
        };
        let taken = matching.iter().take(range.max.unwrap_or(usize::MAX)).enumerate().take_while(fits);
        let records: Vec<Record> = taken.map(|(_, record)| record.clone()).collect();
        let more = records.len() < matching.len();
        ready(Ok(Listing { head, records, more }))
    }

    fn whole_dataset<'a>(&'a self, at: &'a DatasetRef) -> Answer<'a, WholeDataset> {
        let state = self.state();
        ready(Ok(WholeDataset {
            head: state.head(at).cloned(),
            holdings: state.holdings(&at.owner),
            records: state.records(at, &RecordCursor::Count(SyncCount::ZERO), SyncCount(u64::MAX)),
        }))
    }

    fn records<'a>(
        &'a self,
        at: &'a DatasetRef,
        generation: Generation,
        range: RecordRange,
    ) -> Answer<'a, Option<Vec<Record>>> {
        let state = self.state();
        if !has_life(state.head(at), generation) {
            return ready(Ok(None));
        }
        let mut found = state.records(at, &range.after, range.through);
        found.truncate(range.max.unwrap_or(usize::MAX));
        ready(Ok(Some(found)))
    }

    fn tombstones<'a>(
        &'a self,
        at: &'a DatasetRef,
        generation: Generation,
        oldest: OldestTombstones,
    ) -> Answer<'a, Option<Vec<Tombstone>>> {
        let state = self.state();
        if !has_life(state.head(at), generation) {
            return ready(Ok(None));
        }
        ready(Ok(Some(tombstones::oldest(state.records.get(at), oldest))))
    }

    fn devices<'a>(&'a self, owner: &'a IdentityRef) -> Answer<'a, Devices> {
        ready(Ok(self.state().devices.get(owner).cloned().unwrap_or_default()))
    }

    fn heads_of_pool<'a>(
        &'a self,
        pool: &'a PoolRef,
        after: Option<&'a (IdentityId, DatasetName)>,
        max: usize,
    ) -> Answer<'a, Vec<(DatasetRef, Head)>> {
        let state = self.state();
        let of_pool = state.heads.iter().filter(|(owner, _)| owner.pool == *pool);
        let all =
            of_pool.flat_map(|(owner, heads)| heads.iter().map(move |(name, head)| (owner, name, head)));
        let rest = all.filter(|(owner, name, _)| {
            after.is_none_or(|(identity, behind)| (&owner.identity, *name) > (identity, behind))
        });
        let named = rest.map(|(owner, name, head)| {
            (DatasetRef { owner: owner.clone(), name: name.clone() }, head.clone())
        });
        ready(Ok(named.take(max).collect()))
    }

    fn bulk_publish<'a>(&'a self, pool: &'a PoolRef) -> Answer<'a, Option<BulkPublish>> {
        ready(Ok(self.state().bulk_publishes.get(pool).cloned()))
    }

    fn lane<'a>(&'a self, at: &'a LaneRef) -> Answer<'a, Option<Lane>> {
        ready(Ok(self.state().outbox.lane(at)))
    }

    fn lanes_due(
        &self,
        now: UnixMillis,
        latest: UnixMillis,
        after: Option<PoolIncarnation>,
        per_pool_max: usize,
        max: usize,
    ) -> Answer<'_, Vec<Lane>> {
        ready(Ok(self.state().outbox.due(now, latest, after, per_pool_max, max)))
    }

    fn lanes_leased(&self, now: UnixMillis) -> Answer<'_, Vec<Lane>> {
        ready(Ok(self.state().outbox.leased(now)))
    }

    fn lanes_parked<'a>(
        &'a self,
        pool: Option<&'a PoolRef>,
        after: Option<&'a LaneRef>,
        max: usize,
    ) -> Answer<'a, Vec<Lane>> {
        ready(Ok(self.state().outbox.parked(pool, after, max)))
    }

    fn events<'a>(&'a self, at: &'a LaneRef, max: usize, bytes_max: usize) -> Answer<'a, Vec<Event>> {
        ready(Ok(self.state().outbox.events(at, max, bytes_max)))
    }

    fn key<'a>(&'a self, id: &'a AccessKeyId) -> Answer<'a, Option<DeveloperKey>> {
        ready(Ok(self.state().keys.get(id).cloned()))
    }

    fn keys(&self) -> Answer<'_, Vec<DeveloperKey>> {
        ready(Ok(self.state().keys.values().cloned().collect()))
    }

    fn setting(&self, name: Setting) -> Answer<'_, Option<Vec<u8>>> {
        ready(Ok(self.state().settings.get(&name).cloned()))
    }

    fn sweeps(&self, now: UnixMillis, max: usize) -> Answer<'_, Vec<Sweep>> {
        let state = self.state();
        let due = state.sweeps.values().take_while(|sweep| sweep.not_before <= now);
        ready(Ok(due.take(max).cloned().collect()))
    }
}

impl Store for MemoryStore {
    fn commit(&self, changes: Changes) -> Answer<'_, Committed> {
        ready(self.state().commit(changes))
    }

    fn reclaim(&self, _rows_max: usize) -> Answer<'_, Reclaimed> {
        // What cannot be reached any more is dropped by the commit that makes it so.
        ready(Ok(Reclaimed::default()))
    }

    fn health(&self) -> Answer<'_, Health> {
        ready(Ok(Health::Ready))
    }

    fn broken(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(std::future::pending())
    }

    fn is_held_alone(&self) -> bool {
        true
    }

    fn figures(&self) -> Figures {
        Figures::new()
    }
}

fn stub_of(record: &Record) -> RecordStub {
    RecordStub {
        sync_count: record.sync_count,
        data_bytes: record.data_bytes(),
        removed: record.value.is_none(),
    }
}

fn sweep_place(sweep: &Sweep) -> (UnixMillis, PoolIncarnation, IdentityId) {
    (sweep.not_before, sweep.owner.pool.incarnation, sweep.owner.identity.clone())
}
