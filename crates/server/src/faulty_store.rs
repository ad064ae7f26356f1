//! A store for tests that fails or panics as a test directs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use carryall_core::changes::{Changes, Setting};
use carryall_core::devices::Devices;
use carryall_core::ids::{
    AccessKeyId, DatasetName, Generation, IdentityId, PoolId, PoolIncarnation, RecordKey,
};
use carryall_core::model::{
    BulkPublish, DatasetRef, DeveloperKey, Head, Identity, IdentityRef, Pool, PoolRef, PoolUsage, Record,
    Sweep,
};
use carryall_core::outbox::{Event, Lane, LaneRef};
use carryall_core::store::{
    Answer, Committed, DatasetView, Figures, HeadView, Health, Listing, ListingRange, OwnerView, Reads,
    Reclaimed, RecordRange, Store, StoreError, WholeDataset,
};
use carryall_core::time::UnixMillis;
use carryall_core::tombstone::{OldestTombstones, Tombstone};
use carryall_store::{StoreOptions, StoreUrl};
use tokio::task::yield_now;

use crate::lock::Lock;

/// A call of the store that a test can make fail.
pub enum Call<'a> {
    /// A page of pools.
    Pools {
        /// The largest size of the page.
        max: usize,
    },
    /// A read of a lane.
    Lane,
    /// A scan for due lanes.
    LanesDue,
    /// A page of parked lanes.
    LanesParked,
    /// A read of an identity's heads.
    Heads(&'a IdentityRef),
    /// A page of sweeps.
    Sweeps,
    /// A slice of reclaiming.
    Reclaim,
}

type Plan = Box<dyn FnMut(Call<'_>) -> Result<(), StoreError> + Send>;

/// A memory store behind a plan of faults.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Lock<Plan>,
}

impl FaultyStore {
    /// A store that asks `plan` before each call.
    pub fn new(plan: impl FnMut(Call<'_>) -> Result<(), StoreError> + Send + 'static) -> Arc<Self> {
        let inner = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        Arc::new(Self { inner, plan: Lock::new(Box::new(plan)) })
    }

    fn after<'a, T: Send + 'a>(
        &self,
        call: Call<'_>,
        answer: impl FnOnce() -> Answer<'a, T>,
    ) -> Answer<'a, T> {
        let mut plan = self.plan.lock();
        match plan(call) {
            Ok(()) => answer(),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

/// Methods that pass on what they get.
macro_rules! pass {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $name<'a>(&'a self, $($arg: $type),*) -> Answer<'a, $answer> {
            self.inner.$name($($arg),*)
        }
    )*};
}

impl Reads for FaultyStore {
    pass! {
        pool(id: &'a PoolId) -> Option<Pool>;
        pool_usage(pool: &'a PoolRef) -> PoolUsage;
        identity(id: &'a IdentityId) -> Option<Identity>;
        identities(pool: &'a PoolRef, after: Option<&'a IdentityId>, max: usize) -> Vec<Identity>;
        head(at: &'a DatasetRef) -> HeadView;
        dataset(at: &'a DatasetRef, keys: &'a [RecordKey]) -> DatasetView;
        listing(at: &'a DatasetRef, range: ListingRange) -> Listing;
        whole_dataset(at: &'a DatasetRef) -> WholeDataset;
        records(at: &'a DatasetRef, generation: Generation, range: RecordRange) -> Option<Vec<Record>>;
        tombstones(at: &'a DatasetRef, generation: Generation, oldest: OldestTombstones) -> Option<Vec<Tombstone>>;
        devices(owner: &'a IdentityRef) -> Devices;
        heads_of_pool(pool: &'a PoolRef, after: Option<&'a (IdentityId, DatasetName)>, max: usize)
            -> Vec<(DatasetRef, Head)>;
        bulk_publish(pool: &'a PoolRef) -> Option<BulkPublish>;
        events(at: &'a LaneRef, max: usize, bytes_max: usize) -> Vec<Event>;
        key(id: &'a AccessKeyId) -> Option<DeveloperKey>;
    }

    fn pools<'a>(&'a self, after: Option<&'a PoolId>, max: usize) -> Answer<'a, Vec<Pool>> {
        self.after(Call::Pools { max }, || self.inner.pools(after, max))
    }

    fn heads<'a>(&'a self, owner: &'a IdentityRef) -> Answer<'a, OwnerView> {
        self.after(Call::Heads(owner), || self.inner.heads(owner))
    }

    fn lane<'a>(&'a self, at: &'a LaneRef) -> Answer<'a, Option<Lane>> {
        self.after(Call::Lane, || self.inner.lane(at))
    }

    fn lanes_due(
        &self,
        now: UnixMillis,
        latest: UnixMillis,
        after: Option<PoolIncarnation>,
        per_pool_max: usize,
        max: usize,
    ) -> Answer<'_, Vec<Lane>> {
        self.after(Call::LanesDue, || self.inner.lanes_due(now, latest, after, per_pool_max, max))
    }

    fn lanes_leased(&self, now: UnixMillis) -> Answer<'_, Vec<Lane>> {
        self.inner.lanes_leased(now)
    }

    fn lanes_parked<'a>(
        &'a self,
        pool: Option<&'a PoolRef>,
        after: Option<&'a LaneRef>,
        max: usize,
    ) -> Answer<'a, Vec<Lane>> {
        self.after(Call::LanesParked, || self.inner.lanes_parked(pool, after, max))
    }

    fn keys(&self) -> Answer<'_, Vec<DeveloperKey>> {
        self.inner.keys()
    }

    fn setting(&self, name: Setting) -> Answer<'_, Option<Vec<u8>>> {
        self.inner.setting(name)
    }

    fn sweeps(&self, now: UnixMillis, max: usize) -> Answer<'_, Vec<Sweep>> {
        self.after(Call::Sweeps, || self.inner.sweeps(now, max))
    }
}

impl Store for FaultyStore {
    /// Takes a moment, as any store but one in memory does: long enough for a caller to hang up.
    fn commit(&self, changes: Changes) -> Answer<'_, Committed> {
        Box::pin(async move {
            yield_now().await;
            self.inner.commit(changes).await
        })
    }

    fn reclaim(&self, rows_max: usize) -> Answer<'_, Reclaimed> {
        self.after(Call::Reclaim, || self.inner.reclaim(rows_max))
    }

    fn health(&self) -> Answer<'_, Health> {
        self.inner.health()
    }

    fn broken(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        self.inner.broken()
    }

    fn is_held_alone(&self) -> bool {
        self.inner.is_held_alone()
    }

    fn figures(&self) -> Figures {
        self.inner.figures()
    }
}
