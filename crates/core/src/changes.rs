//! A write as plain data: the facts that must still hold, and the rows to put. Rules return these values, and
//! a store's `commit` applies them entirely or not at all.

use crate::devices::Devices;
use crate::ids::{AccessKeyId, DatasetName, Generation, PoolId, SyncCount, Version};
use crate::model::{
    BulkPublish, DatasetRef, DeveloperKey, Head, Holdings, Identity, IdentityRef, Pool, PoolRef, Record,
    Sweep,
};
use crate::outbox::{Due, Event, LaneRef, LaneState, Position};
use crate::time::UnixMillis;
use crate::tombstone::Tombstone;

/// An atomic change of a store: every expectation holds and every write is made, or nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The facts that the decision was based on.
    pub expect: Vec<Expect>,
    /// The writes, in order. No two writes of one commit put the same row.
    pub write: Vec<Write>,
}

/// A fact that must hold at the moment of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The pool exists in this incarnation.
    Pool(PoolRef),
    /// The pool exists in this incarnation, and its settings have not changed.
    PoolVersion(PoolRef, Version),
    /// No pool has this id.
    NoPool(PoolId),
    /// The head of the dataset name is unchanged; `None` means that it has no head.
    Dataset(DatasetRef, Option<Stamp>),
    /// The identity has neither created nor deleted a dataset since.
    Holdings(IdentityRef, Version),
    /// No identity has this id.
    NoIdentity(IdentityRef),
    /// The identity exists.
    Identity(IdentityRef),
    /// The identity's devices have not changed; an identity without devices is at version zero.
    Devices(IdentityRef, Version),
    /// The pool's bulk publication has not changed; a pool that never had one is at version zero.
    BulkPublish(PoolRef, Version),
    /// The lane holds events, and its due state is unchanged.
    Lane(LaneRef, Due),
    /// No developer key has this id.
    NoKey(AccessKeyId),
    /// The named setting is not stored.
    NoSetting(Setting),
}

/// Identifies one state of a dataset name: its counts never repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The head's generation.
    pub generation: Generation,
    /// The head's count.
    pub sync_count: SyncCount,
}

impl Stamp {
    /// The stamp of `head`.
    pub fn of(head: &Head) -> Self {
        Self { generation: head.generation, sync_count: head.sync_count }
    }
}

/// A typed put or removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the head of a dataset name.
    PutHead(DatasetRef, Head),
    /// Removes the head of a deleted dataset name.
    RemoveHead(DatasetRef),
    /// Puts records into the life of a dataset that began after `generation` deletions.
    PutRecords {
        /// The dataset.
        at: DatasetRef,
        /// Its generation.
        generation: Generation,
        /// The records, each key once.
        records: Vec<PutRecord>,
    },
    /// Removes single records, tombstones included, from the life of a dataset that began after `generation`
    /// deletions. In that life their keys are then as if they had never been used.
    RemoveRecords {
        /// The dataset.
        at: DatasetRef,
        /// Its generation.
        generation: Generation,
        /// The records, by key and by the count under which each is stored.
        records: Vec<Tombstone>,
    },
    /// Makes the records of one life of a dataset unreachable; their space is reclaimed later.
    ForgetRecords(DatasetRef, Generation),
    /// Sets the holdings of an identity.
    PutHoldings(IdentityRef, Holdings),
    /// Adds to a pool's usage.
    AddUsage(PoolRef, UsageDelta),
    /// Creates a pool or replaces its settings.
    PutPool(Box<Pool>),
    /// Removes a pool and everything in it; the space is reclaimed later.
    RemovePool(PoolRef),
    /// Creates an identity or replaces it.
    PutIdentity(Identity),
    /// Removes an identity; separate writes remove its datasets.
    RemoveIdentity(IdentityRef),
    /// Schedules a later clearing of an identity's data.
    PutSweep(Sweep),
    /// Removes a scheduled clearing.
    RemoveSweep(Sweep),
    /// Removes the holdings of an identity.
    RemoveHoldings(IdentityRef),
    /// Sets the devices of an identity.
    PutDevices(IdentityRef, Devices),
    /// Removes the devices of an identity.
    RemoveDevices(IdentityRef),
    /// Sets the state of a pool's bulk publication.
    PutBulkPublish(PoolRef, BulkPublish),
    /// Adds an event to the back of its lane, or replaces it if it is still waiting. An empty lane becomes
    /// due at the event's time; the due state of any other lane is unchanged.
    AppendEvent(Event),
    /// Removes events; missing ones are ignored. A lane without events no longer exists.
    RemoveEvents(LaneRef, Vec<Position>),
    /// Sets the relay's part of a lane, and the position from which events stand in it. Applied after the
    /// removals of the commit, and without effect if they emptied the lane.
    SetLane {
        /// The lane.
        at: LaneRef,
        /// The beginning of the lane when this was decided. If the lane begins earlier by now, that beginning
        /// stays, because an event was added there since.
        seen_first: Position,
        /// The position before which none of the events that the decision saw remains.
        first: Position,
        /// The next work on the lane.
        state: LaneState,
    },
    /// Stores a developer key.
    PutKey(DeveloperKey),
    /// Removes a developer key.
    RemoveKey(AccessKeyId),
    /// Stores a named setting of the installation.
    PutSetting(Setting, Vec<u8>),
}

/// The cached or queued state that a write invalidates in the process that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched<'a> {
    /// A pool's settings.
    Pool(&'a PoolId),
    /// A developer key.
    Key(&'a AccessKeyId),
    /// A lane that may have something to deliver now.
    Lane(&'a LaneRef),
    /// A dataset, which has reached this count.
    Dataset(&'a DatasetRef, SyncCount),
    /// Nothing that a process keeps outside the store.
    Nothing,
}

impl Write {
    /// The state that the write invalidates.
    pub fn touched(&self) -> Touched<'_> {
        match self {
            Self::PutPool(pool) => Touched::Pool(&pool.at.id),
            Self::RemovePool(pool) => Touched::Pool(&pool.id),
            Self::PutKey(key) => Touched::Key(&key.id),
            Self::RemoveKey(id) => Touched::Key(id),
            Self::AppendEvent(event) => Touched::Lane(&event.lane),
            Self::SetLane { at, .. } => Touched::Lane(at),
            Self::PutHead(at, head) => Touched::Dataset(at, head.sync_count),
            Self::RemoveHead(_)
            | Self::PutRecords { .. }
            | Self::RemoveRecords { .. }
            | Self::ForgetRecords(..)
            | Self::PutHoldings(..)
            | Self::RemoveHoldings(_)
            | Self::AddUsage(..)
            | Self::PutIdentity(_)
            | Self::RemoveIdentity(_)
            | Self::PutSweep(_)
            | Self::RemoveSweep(_)
            | Self::PutDevices(..)
            | Self::RemoveDevices(_)
            | Self::PutBulkPublish(..)
            | Self::RemoveEvents(..)
            | Self::PutSetting(..) => Touched::Nothing,
        }
    }
}

/// A record to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecord {
    /// The record after the write.
    pub record: Record,
    /// The count that the key had before; `None` if the key is new to this life of the dataset.
    pub replaces: Option<SyncCount>,
}

/// The amounts that a commit adds to a pool's usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageDelta {
    /// Bytes added, or removed if negative.
    pub data_bytes: i64,
    /// Sync sessions begun.
    pub sync_sessions: u64,
    /// The time at which data changed; `None` if it did not.
    pub modified: Option<UnixMillis>,
}

/// Facts about the installation that are stored beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// A value sealed under the master key, by which a start with a wrong master key is noticed.
    MasterKeyCheck,
}

impl Setting {
    /// The name under which stores keep the setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::MasterKeyCheck => "master-key-check",
        }
    }
}

/// A dataset name with its head.
pub type NamedHead = (DatasetName, Head);
