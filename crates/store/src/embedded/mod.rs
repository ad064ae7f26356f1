//! The durable store in one directory, on a log-structured engine.
//!
//! Records stand in the order of their last change, so what a device has missed is one range ([`keys`]). One thread
//! writes ([`writer`]); it gathers what is waiting into one batch with one sync. Decoded heads are kept in memory
//! ([`heads`]). Events wait in lanes, each of which has one mark by which it is found ([`lanes`], [`outbox_keys`]).
//! Space is freed later, in slices ([`reclaim`]).
//!
//! Reads run on the caller's thread and are done when the method returns: out of cached blocks they take
//! microseconds, less than handing them to another thread would. The program runs more workers than there are cores,
//! so that other requests proceed while one waits for the disk.

mod acknowledged;
mod apply;
mod apply_outbox;
mod counters;
mod damage;
mod engine;
mod figures;
#[cfg(test)]
mod fuzz_body;
mod heads;
mod journal;
mod keys;
mod lanes;
mod layout;
mod manifests;
mod outbox_keys;
mod overlay;
mod read;
mod read_outbox;
mod reclaim;
mod rows;
mod space;
mod writer;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;

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
use tokio::sync::{Mutex, mpsc, oneshot};

use self::acknowledged::{Acknowledged, Found};
use self::engine::Engine;
use self::layout::Layout;
use self::writer::{Change, Request, Writer};
use crate::commit_semantics::ready;
use crate::dir_lock::DirLock;
use crate::error::OpenError;
use crate::options::StoreOptions;

/// The reason that is reported once the writer's thread is gone.
const WRITER_ENDED: &str = "the writer's thread has ended";

/// An open data directory.
pub(crate) struct EmbeddedStore {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    engine: Arc<Engine>,
    /// The key of the last work that reclaim has finished; one reclaim at a time.
    reclaimed: Mutex<Vec<u8>>,
    /// Dropped last: no other process may open the directory while the engine is closing.
    _lock: DirLock,
}

impl EmbeddedStore {
    pub(crate) fn open(lock: DirLock, options: &StoreOptions) -> Result<Self, OpenError> {
        let layout = Layout::of(lock.dir());
        let creation = layout.prepare()?;
        let guard = Found::read(&layout.acknowledged)?;
        let journals = journal::examine(&layout.engine, guard.number())?;
        // Before anything is changed: behind what looks like a torn end there may be more.
        guard.must_guard(&layout.acknowledged, journals.last)?;
        manifests::examine(&layout.engine, creation)?;
        journals.cut_torn_end()?;
        let engine = Arc::new(Engine::open(&layout.engine, options)?);
        let damaged = |what| OpenError::damaged(&layout.engine, what);
        let last = engine.last_batch().map_err(|error| damaged(error.to_string()))?;
        guard.must_guard(&layout.acknowledged, last)?;
        if last < guard.number() {
            let (first, known) = (last + 1, guard.number());
            return Err(damaged(format!("batches {first} to {known} of commits are missing")));
        }
        let acknowledged = Acknowledged::open(&layout.acknowledged, guard, last)?;
        layout.write_format()?;
        let mut writer =
            Writer::new(engine.clone(), acknowledged).map_err(|error| damaged(error.to_string()))?;
        writer.try_the_disk();
        let (requests, queue) = mpsc::channel(options.commits_waiting_max.max(1));
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let writer = thread
            .spawn(move || writer.run(queue))
            .map_err(|source| OpenError::io(lock.dir(), "starting the writer's thread for", source))?;
        Ok(Self {
            requests: Some(requests),
            writer: Some(writer),
            engine,
            reclaimed: Mutex::new(vec![keys::WORK]),
            _lock: lock,
        })
    }

    /// Hands a change to the writer and waits for its answer. The change is made even if the caller stops waiting.
    async fn write(&self, change: Change) -> Result<Committed, StoreError> {
        let ended = || StoreError::Unavailable { cause: WRITER_ENDED.to_owned() };
        let (answer, outcome) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(ended)?;
        requests.send(Request::Change(change, answer)).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }

    async fn reclaim_slice(&self, rows_max: usize) -> Result<Reclaimed, StoreError> {
        let mut reclaimed = self.reclaimed.lock().await;
        let mut after = reclaimed.clone();
        let slice = reclaim::plan(&self.engine, &mut after, rows_max.max(1))?;
        let outcome = slice.outcome();
        if !slice.is_empty() {
            // Rows that nothing can reach are freed without an expectation, so this is never refused.
            let _ = self.write(Change::Free(slice)).await?;
        }
        *reclaimed = after;
        Ok(outcome)
    }

    /// Asks the writer to look after the engine. The next answer has the result, so that no caller waits for a stalled
    /// disk. If the queue is full, the writer is about to learn the state from the commits.
    fn ask_for_a_look(&self) {
        if let Some(requests) = &self.requests
            && let Ok(place) = requests.try_reserve()
            && self.engine.wants_look()
        {
            place.send(Request::Look);
        }
    }

    fn waiting(&self) -> usize {
        self.requests.as_ref().map_or(0, |requests| requests.max_capacity() - requests.capacity())
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been reported where it happened.
            let _ = writer.join();
        }
    }
}

impl Reads for EmbeddedStore {
    fn pool<'a>(&'a self, id: &'a PoolId) -> Answer<'a, Option<Pool>> {
        ready(self.engine.read_pool(id))
    }

    fn pools<'a>(&'a self, after: Option<&'a PoolId>, max: usize) -> Answer<'a, Vec<Pool>> {
        ready(self.engine.read_pools(after, max))
    }

    fn pool_usage<'a>(&'a self, pool: &'a PoolRef) -> Answer<'a, PoolUsage> {
        ready(self.engine.read_pool_usage(pool))
    }

    fn identity<'a>(&'a self, id: &'a IdentityId) -> Answer<'a, Option<Identity>> {
        ready(self.engine.read_identity(id))
    }

    fn identities<'a>(
        &'a self,
        pool: &'a PoolRef,
        after: Option<&'a IdentityId>,
        max: usize,
    ) -> Answer<'a, Vec<Identity>> {
        ready(self.engine.read_identities(pool, after, max))
    }

    fn head<'a>(&'a self, at: &'a DatasetRef) -> Answer<'a, HeadView> {
        ready(self.engine.read_head(at))
    }

    fn dataset<'a>(&'a self, at: &'a DatasetRef, keys: &'a [RecordKey]) -> Answer<'a, DatasetView> {
        ready(self.engine.read_dataset(at, keys))
    }

    fn heads<'a>(&'a self, owner: &'a IdentityRef) -> Answer<'a, OwnerView> {
        ready(self.engine.read_heads(owner))
    }

    fn listing<'a>(&'a self, at: &'a DatasetRef, range: ListingRange) -> Answer<'a, Listing> {
        ready(self.engine.read_listing(at, &range))
    }

    fn whole_dataset<'a>(&'a self, at: &'a DatasetRef) -> Answer<'a, WholeDataset> {
        ready(self.engine.read_whole_dataset(at))
    }

    fn records<'a>(
        &'a self,
        at: &'a DatasetRef,
        generation: Generation,
        range: RecordRange,
    ) -> Answer<'a, Option<Vec<Record>>> {
        ready(self.engine.read_records(at, generation, &range))
    }

    fn tombstones<'a>(
        &'a self,
        at: &'a DatasetRef,
        generation: Generation,
        oldest: OldestTombstones,
    ) -> Answer<'a, Option<Vec<Tombstone>>> {
        ready(self.engine.read_tombstones(at, generation, oldest))
    }

    fn devices<'a>(&'a self, owner: &'a IdentityRef) -> Answer<'a, Devices> {
        ready(self.engine.read_devices(owner))
    }

    fn heads_of_pool<'a>(
        &'a self,
        pool: &'a PoolRef,
        after: Option<&'a (IdentityId, DatasetName)>,
        max: usize,
    ) -> Answer<'a, Vec<(DatasetRef, Head)>> {
        ready(self.engine.read_heads_of_pool(pool, after, max))
    }

    fn bulk_publish<'a>(&'a self, pool: &'a PoolRef) -> Answer<'a, Option<BulkPublish>> {
        ready(self.engine.read_bulk_publish(pool))
    }

    fn lane<'a>(&'a self, at: &'a LaneRef) -> Answer<'a, Option<Lane>> {
        ready(self.engine.read_lane(at))
    }

    fn lanes_due(
        &self,
        now: UnixMillis,
        latest: UnixMillis,
        after: Option<PoolIncarnation>,
        per_pool_max: usize,
        max: usize,
    ) -> Answer<'_, Vec<Lane>> {
        ready(self.engine.read_lanes_due(now, latest, after, per_pool_max, max))
    }

    fn lanes_leased(&self, now: UnixMillis) -> Answer<'_, Vec<Lane>> {
        ready(self.engine.read_lanes_leased(now))
    }

    fn lanes_parked<'a>(
        &'a self,
        pool: Option<&'a PoolRef>,
        after: Option<&'a LaneRef>,
        max: usize,
    ) -> Answer<'a, Vec<Lane>> {
        ready(self.engine.read_lanes_parked(pool, after, max))
    }

    fn events<'a>(&'a self, at: &'a LaneRef, max: usize, bytes_max: usize) -> Answer<'a, Vec<Event>> {
        ready(self.engine.read_events(at, max, bytes_max))
    }

    fn key<'a>(&'a self, id: &'a AccessKeyId) -> Answer<'a, Option<DeveloperKey>> {
        ready(self.engine.read_key(id))
    }

    fn keys(&self) -> Answer<'_, Vec<DeveloperKey>> {
        ready(self.engine.read_keys())
    }

    fn setting(&self, name: Setting) -> Answer<'_, Option<Vec<u8>>> {
        ready(self.engine.read_setting(name))
    }

    fn sweeps(&self, now: UnixMillis, max: usize) -> Answer<'_, Vec<Sweep>> {
        ready(self.engine.read_sweeps(now, max))
    }
}

impl Store for EmbeddedStore {
    fn commit(&self, changes: Changes) -> Answer<'_, Committed> {
        Box::pin(self.write(Change::Commit(changes)))
    }

    fn reclaim(&self, rows_max: usize) -> Answer<'_, Reclaimed> {
        Box::pin(self.reclaim_slice(rows_max))
    }

    fn health(&self) -> Answer<'_, Health> {
        self.ask_for_a_look();
        let ended = self.requests.as_ref().is_none_or(mpsc::Sender::is_closed);
        ready(Ok(if ended { Health::ReadOnly(WRITER_ENDED.to_owned()) } else { self.engine.health() }))
    }

    fn broken(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async {
            if let Some(requests) = &self.requests {
                requests.closed().await;
            }
            WRITER_ENDED.to_owned()
        })
    }

    fn is_held_alone(&self) -> bool {
        true
    }

    fn figures(&self) -> Figures {
        let figures = figures::of(&self.engine, self.waiting());
        self.ask_for_a_look();
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_whose_writer_has_ended_says_that_it_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let mut store = EmbeddedStore::open(lock, &StoreOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let whole = tokio::select! {
                biased;
                cause = store.broken() => Some(cause),
                () = tokio::task::yield_now() => None,
            };
            assert_eq!(whole, None);
        });
        // The end of a writer that panics: nobody receives what is sent to it.
        store.requests = Some(mpsc::channel(1).0);
        assert_eq!(runtime.block_on(store.broken()), WRITER_ENDED);
    }

    #[test]
    fn readiness_and_figures_do_not_wait_for_a_writer_that_is_stuck() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let mut store = EmbeddedStore::open(lock, &StoreOptions::default()).unwrap();
        let (requests, mut queue) = mpsc::channel(9);
        store.requests = Some(requests);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..20 {
            assert_eq!(runtime.block_on(store.health()), Ok(Health::Ready));
            assert!(!store.figures().is_empty());
        }
        assert!(matches!(queue.try_recv(), Ok(Request::Look)), "the writer is asked to look");
        assert!(queue.try_recv().is_err(), "and asked once");
    }
}
