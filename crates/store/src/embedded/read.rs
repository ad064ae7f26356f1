//! Reads. Each takes one view of the engine, so its answer is the state of one moment.

use std::ops::Bound;

use carryall_core::changes::{Setting, Stamp};
use carryall_core::ids::{AccessKeyId, DatasetName, Generation, IdentityId, PoolId, RecordKey, SyncCount};
use carryall_core::model::{
    DatasetRef, DeveloperKey, Holdings, Identity, IdentityRef, Pool, PoolRef, PoolUsage, Record, Sweep,
};
use carryall_core::store::{
    DatasetView, HeadView, Listing, ListingRange, OwnerView, RecordCursor, RecordRange, StoreError,
    WholeDataset,
};
use carryall_core::time::UnixMillis;
use carryall_core::tombstone::{OldestTombstones, Tombstone};

use super::damage::Kind;
use super::engine::{Engine, View};
use super::heads::{KnownHead, Lookup};
use super::keys::{self, LifeId};
use super::rows;
use super::rows::head::StoredHead;
use super::space::Space;
use crate::commit_semantics::{has_life, listed_bytes};

pub(super) type Read<T> = Result<T, StoreError>;

/// The part of a key behind `prefix`, as an id.
fn tail<T>(key: &[u8], prefix: usize, parse: impl Fn(&str) -> Option<T>) -> Read<T> {
    let text = key.get(prefix..).and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(parse).ok_or_else(|| StoreError::Corrupt { what: "a row has a damaged key".to_owned() })
}

/// Where a listing begins: behind `after`, or at the first key with `prefix`.
pub(super) fn beginning(prefix: &[u8], after: Option<Vec<u8>>) -> Bound<Vec<u8>> {
    after.map_or_else(|| Bound::Included(prefix.to_vec()), Bound::Excluded)
}

impl Engine {
    pub(super) fn read_pool(&self, id: &PoolId) -> Read<Option<Pool>> {
        self.view().get(Space::Small, &keys::pool(id))?.map(|row| rows::pool::from_row(&row)).transpose()
    }

    pub(super) fn read_pools(&self, after: Option<&PoolId>, max: usize) -> Read<Vec<Pool>> {
        let prefix = vec![keys::POOL];
        let start = beginning(&prefix, after.map(keys::pool));
        let rows = self.view().scan(Space::Small, start, keys::successor(&prefix));
        rows.take(max).map(|row| rows::pool::from_row(&row?.1)).collect()
    }

    pub(super) fn read_pool_usage(&self, pool: &PoolRef) -> Read<PoolUsage> {
        let row = self.view().get_in_pool(pool.incarnation, &keys::usage(pool.incarnation))?;
        row.map_or_else(|| Ok(PoolUsage::default()), |row| rows::usage::from_row(&row))
    }

    pub(super) fn read_identity(&self, id: &IdentityId) -> Read<Option<Identity>> {
        let view = self.view();
        let Some(row) = view.get(Space::Small, &keys::pool_of_identity(id))? else { return Ok(None) };
        let at = IdentityRef { pool: rows::pool_ref::from_row(&row)?, identity: id.clone() };
        let row = view.get_in_pool(at.pool.incarnation, &keys::identity(&at))?;
        row.map(|row| rows::identity::from_row(at, &row)).transpose()
    }

    pub(super) fn read_identities(
        &self,
        pool: &PoolRef,
        after: Option<&IdentityId>,
        max: usize,
    ) -> Read<Vec<Identity>> {
        let view = self.view();
        if view.is_removed(pool.incarnation)? {
            return Ok(Vec::new());
        }
        let prefix = keys::identities_of(pool);
        let behind =
            |id: &IdentityId| keys::identity(&IdentityRef { pool: pool.clone(), identity: id.clone() });
        let start = beginning(&prefix, after.map(behind));
        let rows = view.scan(Space::Small, start, keys::successor(&prefix));
        rows.take(max)
            .map(|row| {
                let (key, row) = row?;
                let identity = tail(&key, prefix.len(), |text| IdentityId::parse(text).ok())?;
                rows::identity::from_row(IdentityRef { pool: pool.clone(), identity }, &row)
            })
            .collect()
    }

    /// Reads a head from memory, or from the engine into memory.
    pub(super) fn read_head(&self, at: &DatasetRef) -> Read<HeadView> {
        match self.heads.look_up(at) {
            Lookup::Known(known) => Ok(known.view()),
            Lookup::Unknown(gap) => {
                let view = self.view();
                let known = KnownHead { stored: view.head(at)?, floor: view.holdings(&at.owner)?.floor };
                let answer = known.view();
                self.heads.fill(at, &gap, known);
                Ok(answer)
            }
        }
    }

    pub(super) fn read_dataset(&self, at: &DatasetRef, asked: &[RecordKey]) -> Read<DatasetView> {
        let view = self.view();
        let stored = view.head(at)?;
        let life = stored.as_ref().and_then(|stored| stored.life);
        let stub = |key: &RecordKey| {
            let Some(life) = life else { return Ok(None) };
            let row = view.get(Space::Key, &keys::key_row(life, key))?;
            row.map(|row| rows::stub::from_row(&row)).transpose()
        };
        Ok(DatasetView {
            holdings: view.holdings(&at.owner)?,
            stubs: asked.iter().map(stub).collect::<Read<_>>()?,
            head: stored.map(|stored| stored.head),
        })
    }

    pub(super) fn read_heads(&self, owner: &IdentityRef) -> Read<OwnerView> {
        let view = self.view();
        if view.is_removed(owner.pool.incarnation)? {
            return Ok(OwnerView::default());
        }
        let prefix = keys::heads_of(owner, 0);
        let rows = view.scan(Space::Small, Bound::Included(prefix.clone()), keys::successor(&prefix));
        let heads = rows.map(|row| {
            let (key, row) = row?;
            let name = tail(&key, prefix.len(), |text| DatasetName::parse(text).ok())?;
            Ok((name, StoredHead::from_row(&row)?.head))
        });
        Ok(OwnerView { heads: heads.collect::<Read<_>>()?, holdings: view.holdings(owner)? })
    }

    /// Reads one range of the log in one view: a record that moves to a higher count meanwhile is still at its old one,
    /// and rows of a life that ends meanwhile are still there.
    pub(super) fn read_records(
        &self,
        at: &DatasetRef,
        generation: Generation,
        range: &RecordRange,
    ) -> Read<Option<Vec<Record>>> {
        let view = self.view();
        let stored = match view.head(at)? {
            Some(stored) if has_life(Some(&stored.head), generation) => stored,
            Some(_) | None => return Ok(None),
        };
        let Some(life) = stored.life else { return Ok(Some(Vec::new())) };
        let rows = view.log(life, &range.after, range.through).take(range.max.unwrap_or(usize::MAX));
        rows.collect::<Read<Vec<_>>>().map(Some)
    }

    /// Needs no engine read if the head in memory shows that nothing matches.
    pub(super) fn read_listing(&self, at: &DatasetRef, range: &ListingRange) -> Read<Listing> {
        let known = self.heads.look_up(at);
        if let Lookup::Known(known) = &known
            && !range.may_match(known.head())
        {
            return Ok(Listing { head: known.view(), records: Vec::new(), more: false });
        }
        let view = self.view();
        let stored = view.head(at)?;
        let life = stored.as_ref().and_then(|stored| stored.life);
        let head = self.head_of_view(at, &view, known, stored)?;
        let (mut records, mut bytes, mut more) = (Vec::new(), 0, false);
        if let Some(life) = life.filter(|_| range.may_match(head.head.as_ref())) {
            for record in view.log(life, &range.after, range.through.unwrap_or(SyncCount(u64::MAX))) {
                let record = record?;
                bytes += listed_bytes(&record);
                let is_full = range.max.is_some_and(|max| records.len() >= max);
                if is_full || (!records.is_empty() && bytes > range.bytes_max) {
                    more = true;
                    break;
                }
                records.push(record);
            }
        }
        Ok(Listing { head, records, more })
    }

    /// Completes the head of `view` with the floor of its owner, and adds it to the heads in memory if they lack it.
    fn head_of_view(
        &self,
        at: &DatasetRef,
        view: &View<'_>,
        known: Lookup,
        stored: Option<StoredHead>,
    ) -> Read<HeadView> {
        let stamp = |stored: &StoredHead| Stamp::of(&stored.head);
        if let Lookup::Known(known) = &known
            && known.stored.as_ref().map(stamp) == stored.as_ref().map(stamp)
        {
            // Nothing of the dataset has changed since the look into memory, so the whole answer is of that moment.
            return Ok(HeadView { head: stored.map(|stored| stored.head), floor: known.floor });
        }
        let fresh = KnownHead { stored, floor: view.holdings(&at.owner)?.floor };
        let answer = fresh.view();
        match known {
            Lookup::Known(found) => self.heads.raise(at, &found, fresh),
            Lookup::Unknown(gap) => self.heads.fill(at, &gap, fresh),
        }
        Ok(answer)
    }

    pub(super) fn read_whole_dataset(&self, at: &DatasetRef) -> Read<WholeDataset> {
        let view = self.view();
        let stored = view.head(at)?;
        let after = RecordCursor::Count(SyncCount::ZERO);
        let records = match stored.as_ref().and_then(|stored| stored.life) {
            Some(life) => view.log(life, &after, SyncCount(u64::MAX)).collect::<Read<_>>()?,
            None => Vec::new(),
        };
        let holdings = view.holdings(&at.owner)?;
        Ok(WholeDataset { head: stored.map(|stored| stored.head), holdings, records })
    }

    /// Reads from the front of the log. A walk over it is paid for by many removals.
    pub(super) fn read_tombstones(
        &self,
        at: &DatasetRef,
        generation: Generation,
        oldest: OldestTombstones,
    ) -> Read<Option<Vec<Tombstone>>> {
        let view = self.view();
        let stored = match view.head(at)? {
            Some(stored) if has_life(Some(&stored.head), generation) => stored,
            Some(_) | None => return Ok(None),
        };
        let Some(life) = stored.life else { return Ok(Some(Vec::new())) };
        let prefix = keys::life(life);
        let rows = view.scan(Space::Log, Bound::Included(prefix.clone()), keys::successor(&prefix));
        let (mut found, mut key_bytes) = (Vec::new(), 0);
        for row in rows {
            if oldest.is_reached(found.len(), key_bytes) {
                break;
            }
            let (key, row) = row?;
            if let Some(tombstone) = rows::record::tombstone_from_row(&key, &row)? {
                key_bytes += tombstone.key.as_str().len() as u64;
                found.push(tombstone);
            }
        }
        Ok(Some(found))
    }

    pub(super) fn read_key(&self, id: &AccessKeyId) -> Read<Option<DeveloperKey>> {
        let row = self.view().get(Space::Small, &keys::developer_key(id))?;
        row.map(|row| rows::developer_key::from_row(id.clone(), &row)).transpose()
    }

    pub(super) fn read_keys(&self) -> Read<Vec<DeveloperKey>> {
        let prefix = vec![keys::DEVELOPER_KEY];
        let end = keys::successor(&prefix);
        let rows = self.view().scan(Space::Small, Bound::Included(prefix), end);
        rows.map(|row| {
            let (key, row) = row?;
            rows::developer_key::from_row(tail(&key, 1, |text| AccessKeyId::parse(text).ok())?, &row)
        })
        .collect()
    }

    pub(super) fn read_setting(&self, name: Setting) -> Read<Option<Vec<u8>>> {
        let row = self.view().get(Space::Small, &keys::setting(name))?;
        row.map(|row| rows::setting::from_row(&row)).transpose()
    }

    pub(super) fn read_sweeps(&self, now: UnixMillis, max: usize) -> Read<Vec<Sweep>> {
        let view = self.view();
        let rows = view.scan(Space::Small, Bound::Included(vec![keys::SWEEP]), keys::sweeps_after(now));
        let mut due = Vec::new();
        for row in rows {
            if due.len() >= max {
                break;
            }
            let (key, row) = row?;
            let sweep = self.readable(Kind::Sweep, &key, rows::sweep::from_row(&key, &row))?;
            let Some(sweep) = sweep else { continue };
            if !view.is_removed(sweep.owner.pool.incarnation)? {
                due.push(sweep);
            }
        }
        Ok(due)
    }
}

impl View<'_> {
    /// The records of a life behind `after` up to `through`, in the order of (count, key).
    fn log(
        &self,
        life: LifeId,
        after: &RecordCursor,
        through: SyncCount,
    ) -> impl Iterator<Item = Read<Record>> + use<> {
        let start = match after {
            RecordCursor::Count(SyncCount(u64::MAX)) => None,
            RecordCursor::Count(count) => Some(Bound::Included(keys::log_from(life, count.next(), 0))),
            RecordCursor::Record(count, key) => Some(Bound::Excluded(keys::log_row(life, *count, key))),
        };
        let end = match through {
            SyncCount(u64::MAX) => keys::successor(&keys::life(life)),
            through => keys::log_from(life, through.next(), 0),
        };
        // The engine takes no range that ends before it begins.
        let start = start.filter(|start| match start {
            Bound::Included(start) | Bound::Excluded(start) => *start < end,
            Bound::Unbounded => true,
        });
        let rows = start.map(|start| self.scan(Space::Log, start, end));
        rows.into_iter().flatten().map(|row| {
            let (key, row) = row?;
            rows::record::from_row(&key, &row)
        })
    }

    fn head(&self, at: &DatasetRef) -> Read<Option<StoredHead>> {
        let row = self.get_in_pool(at.owner.pool.incarnation, &keys::head(at))?;
        row.map(|row| StoredHead::from_row(&row)).transpose()
    }

    fn holdings(&self, owner: &IdentityRef) -> Read<Holdings> {
        let row = self.get_in_pool(owner.pool.incarnation, &keys::holdings(owner))?;
        row.map_or_else(|| Ok(Holdings::default()), |row| rows::holdings::from_row(&row))
    }
}
