//! The one thread that writes. It takes whatever commits are waiting, checks each against the state that the earlier
//! ones leave, writes them as one batch with one sync, publishes the new heads, and only then answers.
//!
//! A refusal waits for the sync too: the state that it lost against is not durable before, and a caller that reloads
//! after a conflict must find it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use carryall_core::changes::Changes;
use carryall_core::ids::{PoolId, PoolIncarnation, Version};
use carryall_core::model::PoolUsage;
use carryall_core::store::{Committed, StoreError};
use foldhash::HashMap;
use tokio::sync::{mpsc, oneshot};

use super::acknowledged::Acknowledged;
use super::engine::Engine;
use super::overlay::Overlay;
use super::reclaim::Slice;
use super::rows::work::{Unreachable, Work};
use super::space::Space;
use super::{keys, rows};

/// Members of one batch; more would make the first of them wait too long.
const BATCH_COMMITS_MAX: usize = 512;
/// Size at which a batch is written without waiting for more; the last member may exceed it.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pools whose stamp and usage the writer keeps in memory.
const POOLS_KNOWN_MAX: usize = 1024;
/// Internal ids that are set aside at a time, so that their counter is not written with every use.
const IDS_LEASED: u64 = 1024;

/// A question to the writer.
pub(super) enum Request {
    /// Make a change and report the outcome.
    Change(Change, oneshot::Sender<Result<Committed, StoreError>>),
    /// Look after the engine.
    Look,
}

/// A change of the store's rows.
pub(super) enum Change {
    /// A commit of the port.
    Commit(Changes),
    /// Rows that nothing can reach.
    Free(Slice),
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) engine: Arc<Engine>,
    pub(super) overlay: Overlay,
    /// Pools as of the members of the batch so far; bounded.
    pub(super) pools: HashMap<PoolId, Option<PoolStamp>>,
    /// Usage as of the members of the batch so far; bounded.
    pub(super) usage: HashMap<PoolIncarnation, PoolUsage>,
    acknowledged: Acknowledged,
    next_id: u64,
    leased_ids_end: u64,
}

/// The parts of a pool that commits name in their expectations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolStamp {
    pub(super) incarnation: PoolIncarnation,
    pub(super) version: Version,
}

/// A member of the batch that waits for its answer.
struct Waiting {
    outcome: Result<Committed, StoreError>,
    answer: oneshot::Sender<Result<Committed, StoreError>>,
}

impl Writer {
    /// Reads the counters that the last process left.
    pub(super) fn new(engine: Arc<Engine>, acknowledged: Acknowledged) -> Result<Self, StoreError> {
        let next_id = engine.newest_number(keys::NEXT_ID)?.unwrap_or(1);
        Ok(Self {
            engine,
            overlay: Overlay::default(),
            pools: HashMap::default(),
            usage: HashMap::default(),
            acknowledged,
            next_id,
            leased_ids_end: next_id,
        })
    }

    /// Writes a batch without members, if the store has commits: a disk that is still full, or takes no writes, shows
    /// at the start and not at the first commit. A failure stops the writes, as any other does.
    pub(super) fn try_the_disk(&mut self) {
        if self.acknowledged.number() > 0 {
            let mut overlay = Overlay::default();
            overlay.remove(Space::Small, keys::filler());
            // The engine keeps the cause.
            let _ = self.write(overlay, 0, 0);
        }
    }

    /// Works until all senders are gone.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut batch = Vec::from_iter(self.take(first));
            while batch.len() < BATCH_COMMITS_MAX
                && self.overlay.bytes() < BATCH_BYTES_MAX
                && let Ok(next) = requests.try_recv()
            {
                batch.extend(self.take(next));
            }
            self.finish(batch);
        }
    }

    fn take(&mut self, request: Request) -> Option<Waiting> {
        match request {
            Request::Change(change, answer) => Some(Waiting { outcome: self.make(change), answer }),
            Request::Look => {
                self.engine.look();
                None
            }
        }
    }

    fn make(&mut self, change: Change) -> Result<Committed, StoreError> {
        match self.engine.stopped() {
            Some(cause) => Err(stopped(cause)),
            None => match change {
                Change::Commit(changes) => self.admit(changes),
                Change::Free(slice) => self.free(slice).map(|()| Committed::Done),
            },
        }
    }

    /// Writes the batch and answers its members.
    fn finish(&mut self, batch: Vec<Waiting>) {
        let members = batch.iter().filter(|member| member.outcome == Ok(Committed::Done)).count();
        let overlay = std::mem::take(&mut self.overlay);
        let failed =
            if members > 0 { self.write(overlay, members, batch.len() - members).err() } else { None };
        for Waiting { outcome, answer } in batch {
            // The caller may have stopped waiting; the change is made all the same.
            let _ = answer.send(match &failed {
                Some(cause) => Err(stopped(cause)),
                None => outcome,
            });
        }
    }

    fn write(&mut self, mut overlay: Overlay, members: usize, refused: usize) -> Result<(), String> {
        let began = Instant::now();
        let heads = overlay.take_heads();
        overlay.settle_lanes();
        for incarnation in std::mem::take(&mut overlay.changed_usage) {
            if let Some(usage) = self.usage.get(&incarnation) {
                overlay.put(Space::Small, keys::usage(incarnation), rows::usage::to_row(usage));
            }
        }
        let number = self.acknowledged.number() + 1;
        overlay.put(Space::Small, keys::BATCH_NUMBER.to_vec(), rows::number::to_row(number));
        let rows = overlay.take_rows();
        let mut batch = self.engine.batch(rows.len());
        for (space, key, row) in rows {
            batch.write(space, key, row);
        }
        batch
            .commit()
            .and_then(|()| self.acknowledged.set(number).map_err(|error| error.to_string()))
            .map_err(|cause| self.engine.stop(cause).to_owned())?;
        for (at, known) in heads {
            if overlay.changed_floors.contains(&at.owner) {
                continue;
            }
            self.engine.heads.publish(at, known);
        }
        for owner in &overlay.changed_floors {
            self.engine.heads.forget(owner);
        }
        if overlay.pool_removed {
            self.engine.heads.forget_all();
        }
        if self.pools.len() > POOLS_KNOWN_MAX || self.usage.len() > POOLS_KNOWN_MAX {
            self.pools.clear();
            self.usage.clear();
        }
        self.engine.counters.batch(members, refused, began.elapsed());
        self.engine.note_journal_bytes();
        Ok(())
    }

    /// Returns an internal id that was never used.
    pub(super) fn fresh_id(&mut self) -> u64 {
        if self.next_id == self.leased_ids_end {
            self.leased_ids_end += IDS_LEASED;
            let row = rows::number::to_row(self.leased_ids_end);
            self.overlay.put(Space::Small, keys::NEXT_ID.to_vec(), row);
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Reads a small row as of the members of the batch so far.
    pub(super) fn small(&self, key: &[u8]) -> Result<Option<fjall::UserValue>, StoreError> {
        match self.overlay.small(key) {
            Some(row) => Ok(row.as_deref().map(Into::into)),
            None => self.engine.newest(Space::Small, key),
        }
    }

    /// Reads the stamp of a pool as of the members of the batch so far.
    pub(super) fn pool(&mut self, id: &PoolId) -> Result<Option<PoolStamp>, StoreError> {
        if let Some(known) = self.pools.get(id) {
            return Ok(*known);
        }
        let pool = self.small(&keys::pool(id))?.map(|row| rows::pool::from_row(&row)).transpose()?;
        let stamp = pool.map(|pool| PoolStamp { incarnation: pool.at.incarnation, version: pool.version });
        self.pools.insert(id.clone(), stamp);
        Ok(stamp)
    }

    fn free(&mut self, slice: Slice) -> Result<(), StoreError> {
        let mut identities = Vec::new();
        for (incarnation, id) in &slice.identities {
            let key = keys::pool_of_identity(id);
            let pool = self.small(&key)?.map(|row| rows::pool_ref::from_row(&row)).transpose()?;
            if pool.is_some_and(|pool| pool.incarnation == *incarnation) {
                identities.push(key);
            }
        }
        for key in identities {
            self.overlay.remove(Space::Small, key);
        }
        self.engine.counters.reclaimed_rows.fetch_add(slice.rows as u64, Ordering::Relaxed);
        for place in slice.remove {
            self.overlay.remove(place.space, place.key);
        }
        for (key, row) in slice.put {
            self.overlay.put(Space::Small, key, row);
        }
        for life in slice.lives {
            self.enqueue(Unreachable::Life(life));
        }
        Ok(())
    }

    /// Queues unreachable rows for reclaim.
    pub(super) fn enqueue(&mut self, what: Unreachable) {
        let id = self.fresh_id();
        let work = Work { what, after: None };
        self.overlay.put(Space::Small, keys::work(id), work.to_row());
    }
}

fn stopped(cause: &str) -> StoreError {
    StoreError::Unavailable { cause: format!("writes have stopped: {cause}") }
}
