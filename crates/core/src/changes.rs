//! A write as plain data: what must still be true, and what to put. Rules make these values, a store's `commit`
//! takes them whole or not at all.

use crate::devices::Devices;
use crate::ids::{AccessKeyId, DatasetName, Generation, PoolId, SyncCount, Version};
use crate::model::{
    BulkPublish, DatasetRef, DeveloperKey, Head, Holdings, Identity, IdentityRef, Pool, PoolRef, Record,
    Sweep,
};
use crate::outbox::{Due, Event, LaneRef, LaneState, Position};
use crate::time::UnixMillis;
use crate::tombstone::Tombstone;

/// One atomic change of a store: every expectation holds and every write is made, or nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What the decision was based on.
    pub expect: Vec<Expect>,
    /// What it puts, in order; no two writes of one commit put the same row.
    pub write: Vec<Write>,
}

/// A fact that must hold at the moment of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The pool exists in this incarnation.
    Pool(PoolRef),
    /// The pool exists in this incarnation and its settings have not changed.
    PoolVersion(PoolRef, Version),
    /// No pool has this id.
    NoPool(PoolId),
    /// The dataset name stands where it stood; `None` means that it has no head.
    Dataset(DatasetRef, Option<Stamp>),
    /// The identity has created and deleted no dataset since.
    Holdings(IdentityRef, Version),
    /// No identity has this id.
    NoIdentity(IdentityRef),
    /// The identity exists.
    Identity(IdentityRef),
    /// The identity's devices have not changed; an identity without any is at version zero.
    Devices(IdentityRef, Version),
    /// The pool's bulk publication has not changed; a pool that never had one is at version zero.
    BulkPublish(PoolRef, Version),
    /// The lane holds events and is due as it was.
    Lane(LaneRef, Due),
    /// No developer key has this id.
    NoKey(AccessKeyId),
    /// The named setting is not stored.
    NoSetting(Setting),
}

/// What tells one state of a dataset name from every other: its counts never repeat.
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

/// One typed put or removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the head of a dataset name.
    PutHead(DatasetRef, Head),
    /// Drops the head of a deleted dataset name.
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
    /// Drops single records, tombstones included, from the life of a dataset that began after `generation` deletions.
    /// Their keys are then as if they had never been used in that life.
    RemoveRecords {
        /// The dataset.
        at: DatasetRef,
        /// Its generation.
        generation: Generation,
        /// The records, by key and the count under which each is stored.
        records: Vec<Tombstone>,
    },
    /// Makes the records of one life of a dataset unreachable; their space is reclaimed later.
    ForgetRecords(DatasetRef, Generation),
    /// Sets what an identity holds.
    PutHoldings(IdentityRef, Holdings),
    /// Adds to a pool's usage.
    AddUsage(PoolRef, UsageDelta),
    /// Creates a pool or replaces its settings.
    PutPool(Box<Pool>),
    /// Removes a pool with everything in it; the space is reclaimed later.
    RemovePool(PoolRef),
    /// Creates an identity or replaces it.
    PutIdentity(Identity),
    /// Removes an identity; its datasets are removed by writes of their own.
    RemoveIdentity(IdentityRef),
    /// Asks for an identity's data to be cleared once more later.
    PutSweep(Sweep),
    /// Ends such a request.
    RemoveSweep(Sweep),
    /// Drops what is kept of an identity's holdings.
    RemoveHoldings(IdentityRef),
    /// Sets the devices of an identity.
    PutDevices(IdentityRef, Devices),
    /// Drops the devices of an identity.
    RemoveDevices(IdentityRef),
    /// Sets the state of a pool's bulk publication.
    PutBulkPublish(PoolRef, BulkPublish),
    /// Adds an event to the back of its lane, or puts it once more where it still waits. A lane that was empty becomes
    /// due at the event's time; one that was not stays as it is.
    AppendEvent(Event),
    /// Removes events; those that are not there count for nothing. A lane without events is gone.
    RemoveEvents(LaneRef, Vec<Position>),
    /// Sets the relay's part of a lane, and from where on events stand in it. Made after the commit's removals, and of
    /// no effect if they emptied the lane.
    SetLane {
        /// The lane.
        at: LaneRef,
        /// Where the lane began when this was decided. If it begins earlier by now, that place stays: an event was added
        /// there since.
        seen_first: Position,
        /// No event that was there then stands before this place any more.
        first: Position,
        /// What is to be done with it next.
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

/// A record on its way into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecord {
    /// The record as it will be.
    pub record: Record,
    /// The count that the key had before; `None` if the key is new to this life of the dataset.
    pub replaces: Option<SyncCount>,
}

/// What a commit adds to a pool's usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageDelta {
    /// Bytes added, or removed if negative.
    pub data_bytes: i64,
    /// Sync sessions begun.
    pub sync_sessions: u64,
    /// When data changed; `None` if it did not.
    pub modified: Option<UnixMillis>,
}

/// Facts about the installation that are stored beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// A value sealed under the master key, so that another key is noticed at start.
    MasterKeyCheck,
}

impl Setting {
    /// The name under which stores keep it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MasterKeyCheck => "master-key-check",
        }
    }
}

/// A dataset name with its head.
pub type NamedHead = (DatasetName, Head);
