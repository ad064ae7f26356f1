//! Decoded heads in memory, so that "nothing new since N" and the writer's checks need no engine read.
//!
//! Only the writer changes an entry, once its batch is on disk and before the batch is acknowledged. A reader that
//! found no entry may add the head that it then reads from the engine, but only if nothing was published to that shard
//! in between: an old head added late would answer "nothing new" for ever.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};

use carryall_core::model::{DatasetRef, Floor, Head, IdentityRef};
use carryall_core::store::HeadView;
use lru::LruCache;

use super::rows::head::StoredHead;
use crate::lock::Lock;

/// A publication turns away the readers that are filling a gap in the same shard; with this many shards that is rare.
const SHARDS: usize = 64;

/// The state of a dataset name in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownHead {
    pub(super) stored: Option<StoredHead>,
    pub(super) floor: Floor,
}

impl KnownHead {
    pub(super) fn head(&self) -> Option<&Head> {
        self.stored.as_ref().map(|stored| &stored.head)
    }

    pub(super) fn view(&self) -> HeadView {
        HeadView { head: self.stored.as_ref().map(|stored| stored.head.clone()), floor: self.floor }
    }
}

/// The bounded map. All names of one owner are in one shard, since a floor concerns them all.
pub(super) struct Heads {
    shards: Box<[Lock<Shard>]>,
    shard_entries_max: usize,
    hasher: RandomState,
    hits: AtomicU64,
    misses: AtomicU64,
}

struct Shard {
    publications: u64,
    entries: LruCache<DatasetRef, Arc<KnownHead>>,
}

/// The answer of a lookup.
pub(super) enum Lookup {
    /// The head as of the last acknowledged commit.
    Known(Arc<KnownHead>),
    /// Not in memory. A head that is read from the engine from now on may be offered with this gap.
    Unknown(Gap),
}

/// The state of a shard before an engine read.
pub(super) struct Gap {
    publications: u64,
}

impl Heads {
    pub(super) fn new(entries_max: usize) -> Self {
        let shard = || Lock::new(Shard { publications: 0, entries: LruCache::unbounded() });
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            shard_entries_max: entries_max.div_ceil(SHARDS),
            hasher: RandomState::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    fn shard(&self, owner: &IdentityRef) -> MutexGuard<'_, Shard> {
        // The remainder is below the number of shards, which a usize holds.
        let index =
            usize::try_from(self.hasher.hash_one(owner) % self.shards.len() as u64).unwrap_or_default();
        self.shards[index].lock()
    }

    /// Looks up a head for a reader, and counts the lookup.
    pub(super) fn look_up(&self, at: &DatasetRef) -> Lookup {
        let mut shard = self.shard(&at.owner);
        if let Some(known) = shard.entries.get(at) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Lookup::Known(known.clone());
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        Lookup::Unknown(Gap { publications: shard.publications })
    }

    /// Adds a head that a reader read, unless something was published in between.
    pub(super) fn fill(&self, at: &DatasetRef, gap: &Gap, known: KnownHead) {
        let mut shard = self.shard(&at.owner);
        if shard.publications == gap.publications {
            shard.put(at.clone(), known, self.shard_entries_max);
        }
    }

    /// Replaces an older head that is in memory: a reader may see a batch that is on disk just before it is published,
    /// and the head in memory must not fall behind what that reader has answered. `found` is what the reader had found
    /// in memory before it read `known`.
    pub(super) fn raise(&self, at: &DatasetRef, found: &Arc<KnownHead>, known: KnownHead) {
        let mut shard = self.shard(&at.owner);
        let is_older = |present: &Arc<KnownHead>| match (present.head(), known.head()) {
            _ if Arc::ptr_eq(present, found) => true,
            (Some(present), Some(head)) => present.sync_count < head.sync_count,
            // A name without a head may have lost it since the reader read it.
            (None, _) | (_, None) => false,
        };
        if shard.entries.peek(at).is_some_and(is_older) {
            shard.put(at.clone(), known, self.shard_entries_max);
        }
    }

    /// Looks up a head for the writer, whose own last publication is always the newest state.
    pub(super) fn peek(&self, at: &DatasetRef) -> Option<Arc<KnownHead>> {
        self.shard(&at.owner).entries.peek(at).cloned()
    }

    /// Publishes the head of `at` as of a batch that is on disk.
    pub(super) fn publish(&self, at: DatasetRef, known: KnownHead) {
        let mut shard = self.shard(&at.owner);
        shard.publications += 1;
        shard.put(at, known, self.shard_entries_max);
    }

    /// Forgets the heads of `owner`.
    pub(super) fn forget(&self, owner: &IdentityRef) {
        let mut shard = self.shard(owner);
        shard.publications += 1;
        // A walk over the shard costs microseconds, and only a deletion asks for it.
        let of_owner = shard.entries.iter().filter(|(at, _)| at.owner == *owner);
        let forgotten: Vec<DatasetRef> = of_owner.map(|(at, _)| at.clone()).collect();
        for at in &forgotten {
            shard.entries.pop(at);
        }
    }

    /// Forgets all heads.
    pub(super) fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.publications += 1;
            shard.entries.clear();
        }
    }

    /// The number of entries in memory.
    pub(super) fn entries(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }

    /// The numbers of lookups that found an entry, and that did not.
    pub(super) fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }
}

impl Shard {
    fn put(&mut self, at: DatasetRef, known: KnownHead, entries_max: usize) {
        self.entries.put(at, Arc::new(known));
        while self.entries.len() > entries_max {
            self.entries.pop_lru();
        }
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::{DatasetName, IdentityId, PoolId, PoolIncarnation, SyncCount};
    use carryall_core::model::PoolRef;

    use super::*;

    fn at(name: &str) -> DatasetRef {
        at_of("a:1", name)
    }

    fn at_of(identity: &str, name: &str) -> DatasetRef {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(1) };
        let owner = IdentityRef { pool, identity: IdentityId::parse(identity).unwrap() };
        DatasetRef { owner, name: DatasetName::parse(name).unwrap() }
    }

    fn known(count: u64) -> KnownHead {
        let floor = Floor { sync_count: SyncCount(count), ..Floor::default() };
        KnownHead { stored: None, floor }
    }

    fn found(heads: &Heads, name: &str) -> Option<KnownHead> {
        match heads.look_up(&at(name)) {
            Lookup::Known(known) => Some(known.as_ref().clone()),
            Lookup::Unknown(_) => None,
        }
    }

    fn gap(heads: &Heads, name: &str) -> Gap {
        match heads.look_up(&at(name)) {
            Lookup::Known(known) => panic!("{known:?} is known"),
            Lookup::Unknown(gap) => gap,
        }
    }

    #[test]
    fn a_reader_fills_a_gap_in_quiet_times() {
        let heads = Heads::new(1000);
        let gap = gap(&heads, "a");
        heads.fill(&at("a"), &gap, known(1));
        assert_eq!(found(&heads, "a"), Some(known(1)));
    }

    #[test]
    fn a_reader_that_was_overtaken_fills_nothing() {
        let heads = Heads::new(1000);
        let before = gap(&heads, "a");
        heads.publish(at("a"), known(2));
        heads.fill(&at("a"), &before, known(1));
        assert_eq!(found(&heads, "a"), Some(known(2)));

        let before = gap(&heads, "b");
        heads.forget(&at("b").owner);
        heads.fill(&at("b"), &before, known(1));
        assert_eq!(found(&heads, "b"), None);

        let before = gap(&heads, "c");
        heads.forget_all();
        heads.fill(&at("c"), &before, known(1));
        assert_eq!(found(&heads, "c"), None);
    }

    /// The head of an existing dataset without records.
    fn existing(count: u64) -> KnownHead {
        let floor = Floor::default();
        let head = Head { sync_count: SyncCount(count), ..floor.head() };
        KnownHead { stored: Some(StoredHead { head, life: None }), floor }
    }

    fn look_up(heads: &Heads, name: &str) -> Arc<KnownHead> {
        match heads.look_up(&at(name)) {
            Lookup::Known(known) => known,
            Lookup::Unknown(_) => panic!("{name} is not known"),
        }
    }

    #[test]
    fn a_reader_ahead_of_a_publication_replaces_only_what_is_older() {
        let heads = Heads::new(1000);
        heads.publish(at("a"), existing(5));
        let five = look_up(&heads, "a");
        heads.raise(&at("a"), &five, existing(6));
        assert_eq!(found(&heads, "a"), Some(existing(6)));
        heads.raise(&at("a"), &five, existing(7));
        assert_eq!(found(&heads, "a"), Some(existing(7)), "a second reader, further ahead");
        heads.raise(&at("a"), &five, existing(6));
        assert_eq!(found(&heads, "a"), Some(existing(7)));

        let seven = look_up(&heads, "a");
        heads.raise(&at("a"), &seven, known(8));
        assert_eq!(found(&heads, "a"), Some(known(8)), "the head was dropped");
    }

    #[test]
    fn a_slow_reader_does_not_bring_back_the_head_of_a_deleted_identity() {
        let heads = Heads::new(1000);
        heads.publish(at("a"), existing(5));
        let older = look_up(&heads, "a");
        heads.publish(at("a"), existing(6));
        heads.forget(&at("a").owner);
        let gap = gap(&heads, "a");
        heads.fill(&at("a"), &gap, known(7));
        heads.raise(&at("a"), &older, existing(6));
        assert_eq!(found(&heads, "a"), Some(known(7)));
    }

    #[test]
    fn forgetting_one_owner_keeps_the_heads_of_all_others() {
        let heads = Heads::new(SHARDS * 100);
        // So many that each shard has several.
        let owners: Vec<String> = (0..SHARDS * 4).map(|number| format!("a:{number:x}")).collect();
        for owner in &owners {
            heads.publish(at_of(owner, "a"), known(1));
            heads.publish(at_of(owner, "b"), known(1));
        }
        let mut gaps = Vec::new();
        for (number, owner) in owners.iter().take(10).enumerate() {
            let Lookup::Unknown(gap) = heads.look_up(&at_of(owner, "c")) else { panic!("c is unknown") };
            gaps.push(gap);
            heads.forget(&at_of(owner, "a").owner);
            assert_eq!(heads.entries(), 2 * (owners.len() - number - 1));
        }
        for (owner, gap) in owners.iter().zip(&gaps) {
            heads.fill(&at_of(owner, "c"), gap, known(1));
            assert!(heads.peek(&at_of(owner, "c")).is_none(), "a reader that was overtaken fills nothing");
        }
    }

    #[test]
    fn the_map_stays_within_its_bound() {
        let heads = Heads::new(SHARDS * 2);
        for name in ["a", "b", "c"] {
            heads.publish(at(name), known(1));
        }
        assert_eq!(heads.entries(), 2, "one owner's names share a shard of two");
        assert_eq!(found(&heads, "a"), None, "the least recently used entry went");
        assert_eq!(found(&heads, "c"), Some(known(1)));
    }
}
