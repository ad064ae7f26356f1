//! The port of a store. A store answers reads and applies one kind of write; it never decides.
//!
//! # Promises
//!
//! The suite in `carryall-store` tests each of these over every store.
//!
//! - **P1 Atomic.** All writes of a commit happen, or none.
//! - **P2 Checked.** Expectations are tested against the newest state in the same atomic step.
//! - **P3 Traceless.** A commit that is refused, or fails before anything is written, leaves nothing behind.
//! - **P4 Durable.** [`Committed::Done`] from a durable store means that the change survives the loss of the process
//!   and of power.
//! - **P5 Fresh.** A read that begins after [`Committed::Done`] sees the change. One that begins after
//!   [`Committed::Refused`] sees the state that the commit lost against.
//! - **P6 Safe to repeat.** If the outcome is unknown the answer is [`StoreError::Unavailable`]. Sending the
//!   same changes again cannot apply them twice: every commit has an expectation that its own success ends,
//!   or consists of puts that may be repeated.
//! - **P7 One moment.** Every read answers from one state of the store, whatever is written meanwhile. A page
//!   is ordered and complete: it has everything that matched in that state. A head and the records that come
//!   with it ([`Reads::listing`], [`Reads::whole_dataset`]) belong to the same state.
//! - **P8 Unreachable means invisible.** Records of an ended life and everything of a removed pool are never
//!   read again, however long [`Store::reclaim`] takes. Reclaiming changes no count and no usage.
//! - **P9 One holder.** A durable directory is open in one process at a time.
//! - **P10 Stops when unsure.** After a failed sync a store accepts no more commits and reports so in
//!   [`Health`]; reads continue.
//! - **P11 Lanes follow their events.** A lane of the outbox exists exactly as long as it holds events, which
//!   stand in the order of their positions. A due or leased lane is found by its time, a parked lane among
//!   the parked ones; each lane is in exactly one of the two. [`Lane::events`] and
//!   [`PoolUsage::events_waiting`](crate::model::PoolUsage::events_waiting) equal the numbers of waiting
//!   events.
//! - **P12 Removes exactly.** Records that a commit removes appear in no later read, neither as records nor
//!   as stubs; all others do. [`Reads::tombstones`] returns the oldest, and no fewer than requested if there
//!   are as many.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::changes::{Changes, NamedHead, Setting};
use crate::devices::Devices;
use crate::ids::{
    AccessKeyId, DatasetName, Generation, IdentityId, PoolId, PoolIncarnation, RecordKey, SyncCount,
};
use crate::model::{
    BulkPublish, DatasetRef, DeveloperKey, Head, Holdings, Identity, IdentityRef, Pool, PoolRef, PoolUsage,
    Record, RecordStub, Sweep,
};
use crate::outbox::{Event, Lane, LaneRef};
use crate::time::UnixMillis;
use crate::tombstone::{OldestTombstones, Tombstone};

/// The return type of a store's methods. It is boxed, so that the store can be chosen at start.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The reads of a store; the module's documentation has the promises.
pub trait Reads: Send + Sync + 'static {
    /// The pool with this id.
    fn pool<'a>(&'a self, id: &'a PoolId) -> Answer<'a, Option<Pool>>;

    /// Up to `max` pools in the order of their ids, starting after `after`.
    fn pools<'a>(&'a self, after: Option<&'a PoolId>, max: usize) -> Answer<'a, Vec<Pool>>;

    /// The usage of a pool; zeros for a pool without datasets.
    fn pool_usage<'a>(&'a self, pool: &'a PoolRef) -> Answer<'a, PoolUsage>;

    /// The identity with this id, in any pool: several operations name an identity without its pool, and ids
    /// are unique across pools. `None` if no pool issued it, if it was deleted, or if its pool was removed.
    fn identity<'a>(&'a self, id: &'a IdentityId) -> Answer<'a, Option<Identity>>;

    /// Up to `max` identities of a pool in the order of their ids, starting after `after`.
    fn identities<'a>(
        &'a self,
        pool: &'a PoolRef,
        after: Option<&'a IdentityId>,
        max: usize,
    ) -> Answer<'a, Vec<Identity>>;

    /// The head of a dataset name and the floor of its owner, which suffice to answer that nothing is new
    /// since a count.
    fn head<'a>(&'a self, at: &'a DatasetRef) -> Answer<'a, HeadView>;

    /// Everything on which a change of the dataset is decided, as one consistent view; `stubs` are in the
    /// order of `keys`.
    fn dataset<'a>(&'a self, at: &'a DatasetRef, keys: &'a [RecordKey]) -> Answer<'a, DatasetView>;

    /// All heads of an identity in the order of names, deleted names included, with its holdings, as one
    /// consistent view. The limits on datasets and deleted names bound it.
    fn heads<'a>(&'a self, owner: &'a IdentityRef) -> Answer<'a, OwnerView>;

    /// The head of a dataset name and records of its present life in the order of (count, key), as one
    /// consistent view. A dataset that does not exist has no records.
    fn listing<'a>(&'a self, at: &'a DatasetRef, range: ListingRange) -> Answer<'a, Listing>;

    /// A dataset with all its records, as one consistent view. A dataset that does not exist has no records.
    fn whole_dataset<'a>(&'a self, at: &'a DatasetRef) -> Answer<'a, WholeDataset>;

    /// Records of one life of a dataset in the order of (count, key); `None` if that life has ended.
    fn records<'a>(
        &'a self,
        at: &'a DatasetRef,
        generation: Generation,
        range: RecordRange,
    ) -> Answer<'a, Option<Vec<Record>>>;

    /// The oldest tombstones of one life of a dataset in the order of (count, key), as one consistent view;
    /// `None` if that life has ended. The limits on datasets bound it.
    fn tombstones<'a>(
        &'a self,
        at: &'a DatasetRef,
        generation: Generation,
        oldest: OldestTombstones,
    ) -> Answer<'a, Option<Vec<Tombstone>>>;

    /// The devices of an identity; an identity that registered none has an empty list at version zero.
    fn devices<'a>(&'a self, owner: &'a IdentityRef) -> Answer<'a, Devices>;

    /// Up to `max` heads of a pool in the order of (identity, name), deleted names included, starting after
    /// `after`.
    fn heads_of_pool<'a>(
        &'a self,
        pool: &'a PoolRef,
        after: Option<&'a (IdentityId, DatasetName)>,
        max: usize,
    ) -> Answer<'a, Vec<(DatasetRef, Head)>>;

    /// The latest bulk publication of a pool.
    fn bulk_publish<'a>(&'a self, pool: &'a PoolRef) -> Answer<'a, Option<BulkPublish>>;

    /// A lane of the outbox, if it holds events.
    fn lane<'a>(&'a self, at: &'a LaneRef) -> Answer<'a, Option<Lane>>;

    /// Lanes that may be claimed at `now` ([`Due::may_be_claimed`](crate::outbox::Due::may_be_claimed)): up
    /// to `per_pool_max` of each pool, in the order in which they are due, those beyond `latest` last. Pools
    /// come in the order of their incarnations, starting after `after`, as long as fewer than `max` lanes are
    /// found, so that one pool's backlog never hides another's. A lane that cannot be read is left out and
    /// counted in the figures, so that it does not keep the others from being found.
    fn lanes_due(
        &self,
        now: UnixMillis,
        latest: UnixMillis,
        after: Option<PoolIncarnation>,
        per_pool_max: usize,
        max: usize,
    ) -> Answer<'_, Vec<Lane>>;

    /// All lanes whose lease ends after `now`; the number of leases that relays hold at a time bounds it.
    fn lanes_leased(&self, now: UnixMillis) -> Answer<'_, Vec<Lane>>;

    /// Up to `max` parked lanes, of one pool or of all, in the order of (incarnation, identity, name, sink),
    /// starting after `after`.
    fn lanes_parked<'a>(
        &'a self,
        pool: Option<&'a PoolRef>,
        after: Option<&'a LaneRef>,
        max: usize,
    ) -> Answer<'a, Vec<Lane>>;

    /// The first `max` events of a lane. It returns fewer once keys and values of their records exceed
    /// `bytes_max`, but at least one if there is one.
    fn events<'a>(&'a self, at: &'a LaneRef, max: usize, bytes_max: usize) -> Answer<'a, Vec<Event>>;

    /// The developer key with this id.
    fn key<'a>(&'a self, id: &'a AccessKeyId) -> Answer<'a, Option<DeveloperKey>>;

    /// All developer keys, in the order of their ids.
    fn keys(&self) -> Answer<'_, Vec<DeveloperKey>>;

    /// The value of a named setting of the installation.
    fn setting(&self, name: Setting) -> Answer<'_, Option<Vec<u8>>>;

    /// Up to `max` sweeps that are due at `now`, oldest first.
    fn sweeps(&self, now: UnixMillis, max: usize) -> Answer<'_, Vec<Sweep>>;
}

/// A store, which reads and writes. Only code that also announces commits to the rest of the process should
/// hold one; other code reads through [`Reads`].
pub trait Store: Reads {
    /// Applies `changes` entirely, or not at all.
    fn commit(&self, changes: Changes) -> Answer<'_, Committed>;

    /// Frees up to `rows_max` unreachable rows, and reports whether more are waiting.
    fn reclaim(&self, rows_max: usize) -> Answer<'_, Reclaimed>;

    /// The health of the store: if it answers, and if it accepts writes.
    fn health(&self) -> Answer<'_, Health>;

    /// Waits until the store is broken for good, for example because one of its threads panicked, and returns
    /// the reason. A store that only stopped accepting writes is not broken: it still answers reads (promise
    /// P10).
    fn broken(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;

    /// True if this process has exclusive access (P9), so that leases left by an earlier process can be ended
    /// at once.
    fn is_held_alone(&self) -> bool;

    /// Figures for the metrics page, each with its name and unit.
    fn figures(&self) -> Figures;
}

/// The head of one dataset name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadView {
    /// The head, if the name has one.
    pub head: Option<Head>,
    /// The floor from which the owner's names without a head start.
    pub floor: crate::model::Floor,
}

impl HeadView {
    /// The head, or the one that a name without a head stands for.
    pub fn effective(&self) -> std::borrow::Cow<'_, Head> {
        match &self.head {
            Some(head) => std::borrow::Cow::Borrowed(head),
            None => std::borrow::Cow::Owned(self.floor.head()),
        }
    }
}

/// The facts on which a change of a dataset is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetView {
    /// The head, if the name has one.
    pub head: Option<Head>,
    /// The owner's holdings.
    pub holdings: Holdings,
    /// The stored records of the requested keys, in the order of the keys.
    pub stubs: Vec<Option<RecordStub>>,
}

/// All heads of one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerView {
    /// Heads in the order of names, deleted names included.
    pub heads: Vec<NamedHead>,
    /// The identity's holdings.
    pub holdings: Holdings,
}

/// A range of a dataset's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRange {
    /// The position after which to begin.
    pub after: RecordCursor,
    /// The highest count to return.
    pub through: SyncCount,
    /// The largest number of records to return; `None` for all of them.
    pub max: Option<usize>,
}

/// The records that a listing asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingRange {
    /// The position after which to begin.
    pub after: RecordCursor,
    /// The highest count to return; `None` for the head's.
    pub through: Option<SyncCount>,
    /// The largest number of records to return; `None` for all of them.
    pub max: Option<usize>,
    /// The largest number of bytes to load: keys, values, and [`Self::FRAME_BYTES`] for each record. The first
    /// record is returned even if it is larger.
    pub bytes_max: usize,
}

impl ListingRange {
    /// The bytes that a record counts for besides key and value: about its size as JSON without them.
    pub const FRAME_BYTES: usize = 192;

    /// True if a dataset with this head can have records in the range.
    pub fn may_match(&self, head: Option<&Head>) -> bool {
        let Some(head) = head.filter(|head| head.life.is_some()) else { return false };
        let through = self.through.map_or(head.sync_count, |through| through.min(head.sync_count));
        match &self.after {
            RecordCursor::Count(count) => *count < through,
            RecordCursor::Record(count, _) => *count <= through,
        }
    }
}

/// A head with records of its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The head of the name and the floor of its owner.
    pub head: HeadView,
    /// The records of the range.
    pub records: Vec<Record>,
    /// True if the range has more records than `max` and `bytes_max` admit.
    pub more: bool,
}

/// A dataset with all its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeDataset {
    /// The head, if the name has one.
    pub head: Option<Head>,
    /// The datasets and deleted names that the owner holds.
    pub holdings: Holdings,
    /// All records, tombstones included, in the order of (count, key).
    pub records: Vec<Record>,
}

/// A position in the order of (count, key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordCursor {
    /// After every record of this count.
    Count(SyncCount),
    /// After this record.
    Record(SyncCount, RecordKey),
}

/// The result of one step of reclaiming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// The number of freed rows.
    pub rows: usize,
    /// True if more rows are waiting.
    pub more: bool,
}

/// The health of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes are answered.
    Ready,
    /// Reads are answered; writes are stopped, with the reason.
    ReadOnly(String),
    /// Nothing is answered, with the reason.
    Down(String),
}

/// The counters and gauges of a store.
pub type Figures = Vec<Figure>;

/// A number of a store for the metrics page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The metric's name with its unit, without the product's prefix.
    pub name: &'static str,
    /// The help text, one sentence.
    pub help: &'static str,
    /// The kind of the metric.
    pub kind: FigureKind,
    /// The present value.
    pub value: f64,
}

/// The kind of a metric, in Prometheus' sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureKind {
    /// Only rises, until the process ends.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refused commit has changed nothing"]
pub enum Committed {
    /// Every expectation held, and all writes are made.
    Done,
    /// An expectation did not hold, and nothing is written: load and decide again.
    Refused,
}

impl Committed {
    /// True if the writes are made.
    pub fn is_done(self) -> bool {
        match self {
            Self::Done => true,
            Self::Refused => false,
        }
    }
}

/// The reason why a store could not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The store is unreachable or accepts no writes, or the outcome is unknown.
    Unavailable {
        /// The cause, for the log.
        cause: String,
    },
    /// Stored data is damaged: the value read cannot have been written.
    Corrupt {
        /// The damage, for the log.
        what: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { cause } => write!(f, "the store is unavailable: {cause}"),
            Self::Corrupt { what } => write!(f, "the store holds damaged data: {what}"),
        }
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Floor, Life, Writer};

    fn head(count: u64, alive: bool) -> Head {
        let floor = Floor { sync_count: SyncCount(count), ..Floor::default() };
        let life = alive.then(|| Life {
            created: UnixMillis(0),
            modified: UnixMillis(0),
            modified_by: Writer::from("d"),
            records: 1,
            tombstones: 0,
            tombstone_key_bytes: Some(0),
            tombstones_forgotten_through: SyncCount::ZERO,
            data_bytes: 1,
        });
        Head { life, ..floor.head() }
    }

    fn may_match(head: Option<&Head>, after: RecordCursor, through: Option<u64>) -> bool {
        let range = ListingRange { after, through: through.map(SyncCount), max: None, bytes_max: 1 };
        range.may_match(head)
    }

    #[test]
    fn only_a_dataset_that_exists_and_has_changed_after_the_start_may_have_records() {
        let (alive, deleted) = (head(5, true), head(5, false));
        let behind = |count| RecordCursor::Count(SyncCount(count));
        for (head, count, expected) in [
            (None, 0, false),
            (Some(&deleted), 0, false),
            (Some(&deleted), 3, false),
            (Some(&alive), 0, true),
            (Some(&alive), 4, true),
            (Some(&alive), 5, false),
            (Some(&alive), 9, false),
        ] {
            assert_eq!(may_match(head, behind(count), None), expected, "{head:?}, after {count}");
        }
    }

    #[test]
    fn a_later_page_ends_at_the_count_of_the_first_and_may_begin_within_one_count() {
        let alive = head(5, true);
        let key = RecordKey::from_stored("k");
        for (count, through, after_count, after_record) in [
            (3, Some(4), true, true),
            (4, Some(4), false, true),
            (5, Some(4), false, false),
            (5, Some(9), false, true),
            (5, None, false, true),
            (6, None, false, false),
        ] {
            let behind = RecordCursor::Count(SyncCount(count));
            assert_eq!(may_match(Some(&alive), behind, through), after_count, "{count}, {through:?}");
            let behind = RecordCursor::Record(SyncCount(count), key.clone());
            assert_eq!(may_match(Some(&alive), behind, through), after_record, "{count}, {through:?}");
        }
    }
}
