//! One commit, between the queue and the batch: every expectation is tested and every row that the writes depend on
//! is read first, so that a commit which is refused, or cannot be read, has changed nothing (promise P3).

use std::collections::VecDeque;

use carryall_core::changes::{Changes, Expect, PutRecord, Stamp, UsageDelta, Write};
use carryall_core::ids::{Generation, IdentityId, PoolIncarnation, Version};
use carryall_core::model::{DatasetRef, Floor, Head, Holdings, IdentityRef, Pool, PoolRef};
use carryall_core::store::{Committed, StoreError};
use carryall_core::tombstone::Tombstone;

use super::apply_outbox::Waiting;
use super::heads::KnownHead;
use super::keys::{self, LifeId};
use super::rows;
use super::rows::head::StoredHead;
use super::rows::work::Unreachable;
use super::space::Space;
use super::writer::{PoolStamp, Writer};
use crate::commit_semantics::{folded, has_life, head_after, is_late, no_life};

/// The rows that were read and encoded ahead of the writes of one commit.
#[derive(Default)]
struct Prepared {
    /// Rows of the pools that are put, in their order.
    pools: VecDeque<Vec<u8>>,
    changed_floors: Vec<IdentityRef>,
    /// Identities that are removed from the pool that handed them out, and not from one that had them before.
    removed_identities: Vec<IdentityId>,
    /// Events that are named and wait already.
    waiting: Waiting,
}

impl Writer {
    /// Checks `changes` and adds them to the batch, or leaves the batch as it is.
    pub(super) fn admit(&mut self, changes: Changes) -> Result<Committed, StoreError> {
        for expect in &changes.expect {
            if !self.holds(expect)? {
                return Ok(Committed::Refused);
            }
        }
        let prepared = self.prepare(&changes)?;
        self.apply(changes, prepared);
        Ok(Committed::Done)
    }

    fn holds(&mut self, expect: &Expect) -> Result<bool, StoreError> {
        Ok(match expect {
            Expect::Pool(at) => self.pool(&at.id)?.is_some_and(|pool| pool.incarnation == at.incarnation),
            Expect::PoolVersion(at, version) => {
                let stamp = PoolStamp { incarnation: at.incarnation, version: *version };
                self.pool(&at.id)? == Some(stamp)
            }
            Expect::NoPool(id) => self.pool(id)?.is_none(),
            Expect::Dataset(at, stamp) => self.head(at)?.map(|stored| Stamp::of(&stored.head)) == *stamp,
            Expect::Holdings(owner, version) => self.holdings(owner)?.version == *version,
            Expect::NoIdentity(at) => self.pool_of_identity(&at.identity)?.is_none(),
            Expect::Identity(at) => self.pool_of_identity(&at.identity)?.as_ref() == Some(&at.pool),
            Expect::Devices(owner, version) => self.devices_version(owner)? == *version,
            Expect::BulkPublish(pool, version) => self.bulk_publish_version(pool)? == *version,
            Expect::Lane(at, due) => self.lane(at)?.is_some_and(|stored| stored.lane.state.due == *due),
            Expect::NoKey(id) => self.small(&keys::developer_key(id))?.is_none(),
            Expect::NoSetting(name) => self.small(&keys::setting(*name))?.is_none(),
        })
    }

    /// Returns true if the pool was removed, as of the members of the batch so far.
    pub(super) fn is_removed(&self, incarnation: PoolIncarnation) -> Result<bool, StoreError> {
        Ok(self.engine.any_pool_removed() && self.small(&keys::removed_pool(incarnation))?.is_some())
    }

    /// Reads the pool that handed the identity out; `None` if the pool was removed.
    fn pool_of_identity(&self, id: &IdentityId) -> Result<Option<PoolRef>, StoreError> {
        let row = self.small(&keys::pool_of_identity(id))?;
        match row.map(|row| rows::pool_ref::from_row(&row)).transpose()? {
            Some(pool) if !self.is_removed(pool.incarnation)? => Ok(Some(pool)),
            Some(_) | None => Ok(None),
        }
    }

    fn holdings(&self, owner: &IdentityRef) -> Result<Holdings, StoreError> {
        if self.is_removed(owner.pool.incarnation)? {
            return Ok(Holdings::default());
        }
        let row = self.small(&keys::holdings(owner))?;
        row.map_or_else(|| Ok(Holdings::default()), |row| rows::holdings::from_row(&row))
    }

    fn devices_version(&self, owner: &IdentityRef) -> Result<Version, StoreError> {
        if self.is_removed(owner.pool.incarnation)? {
            return Ok(Version::default());
        }
        let row = self.small(&keys::devices(owner))?;
        row.map_or_else(|| Ok(Version::default()), |row| rows::devices::version_from_row(&row))
    }

    fn bulk_publish_version(&self, pool: &PoolRef) -> Result<Version, StoreError> {
        if self.is_removed(pool.incarnation)? {
            return Ok(Version::default());
        }
        let row = self.small(&keys::bulk_publish(pool.incarnation))?;
        row.map_or_else(|| Ok(Version::default()), |row| Ok(rows::bulk_publish::from_row(&row)?.version))
    }

    /// Reads the head of `at` as of the members of the batch so far.
    fn head(&mut self, at: &DatasetRef) -> Result<Option<&StoredHead>, StoreError> {
        if self.is_removed(at.owner.pool.incarnation)? {
            return Ok(None);
        }
        if !self.overlay.keeps_head(at) {
            let known = if let Some(known) = self.engine.heads.peek(at) {
                known.as_ref().clone()
            } else {
                let row = self.engine.newest(Space::Small, &keys::head(at))?;
                let stored = row.map(|row| StoredHead::from_row(&row)).transpose()?;
                KnownHead { stored, floor: self.holdings(&at.owner)?.floor }
            };
            self.overlay.keep_head(at.clone(), known);
        }
        Ok(self.overlay.head(at))
    }

    /// Reads all that [`Self::apply`] needs, which then cannot fail.
    fn prepare(&mut self, changes: &Changes) -> Result<Prepared, StoreError> {
        let mut prepared = Prepared::default();
        for write in &changes.write {
            match write {
                Write::PutHead(at, _)
                | Write::RemoveHead(at)
                | Write::ForgetRecords(at, _)
                | Write::RemoveRecords { at, .. } => {
                    self.head(at)?;
                }
                Write::PutRecords { at, generation, .. } => {
                    let before = self.head(at)?.map(|stored| &stored.head);
                    if !has_life(head_after(changes, at, before), *generation) {
                        return Err(no_life(at, *generation));
                    }
                }
                Write::PutHoldings(owner, holdings) => {
                    if self.holdings(owner)?.floor != holdings.floor {
                        prepared.changed_floors.push(owner.clone());
                    }
                }
                Write::RemoveHoldings(owner) => {
                    if self.holdings(owner)?.floor != Floor::default() {
                        prepared.changed_floors.push(owner.clone());
                    }
                }
                Write::AddUsage(at, _) => self.load_usage(at.incarnation)?,
                Write::PutPool(pool) => prepared.pools.push_back(rows::pool::to_row(Pool::clone(pool))?),
                Write::RemovePool(at) => drop(self.pool(&at.id)?),
                Write::RemoveIdentity(at) => {
                    if self.pool_of_identity(&at.identity)?.as_ref() == Some(&at.pool) {
                        prepared.removed_identities.push(at.identity.clone());
                    }
                }
                Write::AppendEvent(event) => self.prepare_append(event, &mut prepared.waiting)?,
                Write::RemoveEvents(at, positions) => {
                    self.prepare_removal(at, positions, &mut prepared.waiting)?;
                }
                Write::SetLane { at, .. } => {
                    self.lane(at)?;
                }
                Write::PutIdentity(_)
                | Write::PutDevices(..)
                | Write::RemoveDevices(_)
                | Write::PutBulkPublish(..)
                | Write::PutSweep(_)
                | Write::RemoveSweep(_)
                | Write::PutKey(_)
                | Write::RemoveKey(_)
                | Write::PutSetting(..) => {}
            }
        }
        Ok(prepared)
    }

    pub(super) fn load_usage(&mut self, incarnation: PoolIncarnation) -> Result<(), StoreError> {
        if !self.usage.contains_key(&incarnation) {
            let row = self.small(&keys::usage(incarnation))?;
            let usage = row.map(|row| rows::usage::from_row(&row)).transpose()?.unwrap_or_default();
            self.usage.insert(incarnation, usage);
        }
        Ok(())
    }

    fn apply(&mut self, changes: Changes, mut prepared: Prepared) {
        self.overlay.changed_floors.extend(prepared.changed_floors.drain(..));
        for id in prepared.removed_identities.drain(..) {
            self.overlay.remove(Space::Small, keys::pool_of_identity(&id));
        }
        let (late, early): (Vec<Write>, Vec<Write>) = changes.write.into_iter().partition(is_late);
        for write in early.into_iter().chain(late) {
            self.apply_write(write, &mut prepared);
        }
    }

    fn apply_write(&mut self, write: Write, prepared: &mut Prepared) {
        match write {
            Write::PutHead(at, head) => self.put_head(&at, Some(head)),
            Write::RemoveHead(at) => self.put_head(&at, None),
            Write::ForgetRecords(at, generation) => self.forget_records(&at, generation),
            Write::PutRecords { at, records, .. } => self.put_records(&at, records),
            Write::RemoveRecords { at, generation, records } => self.remove_records(&at, generation, records),
            Write::PutHoldings(owner, holdings) => {
                self.put(keys::holdings(&owner), rows::holdings::to_row(&holdings));
            }
            Write::RemoveHoldings(owner) => self.remove(keys::holdings(&owner)),
            Write::AddUsage(at, delta) => self.add_usage(&at, &delta),
            Write::PutPool(pool) => self.put_pool(&pool, prepared.pools.pop_front()),
            Write::RemovePool(at) => self.remove_pool(&at),
            Write::PutIdentity(identity) => {
                let at = &identity.at;
                self.put(keys::identity(at), rows::identity::to_row(&identity));
                self.put(keys::pool_of_identity(&at.identity), rows::pool_ref::to_row(&at.pool));
            }
            Write::RemoveIdentity(at) => self.remove(keys::identity(&at)),
            Write::PutSweep(sweep) => {
                self.put(keys::sweep(&sweep), rows::sweep::to_row(&sweep));
                self.put(keys::sweep_mark(&sweep), rows::mark::to_row());
            }
            Write::RemoveSweep(sweep) => {
                self.remove(keys::sweep(&sweep));
                self.remove(keys::sweep_mark(&sweep));
            }
            Write::PutDevices(owner, devices) => {
                self.put(keys::devices(&owner), rows::devices::to_row(&devices));
            }
            Write::RemoveDevices(owner) => self.remove(keys::devices(&owner)),
            Write::PutBulkPublish(pool, bulk) => {
                self.put(keys::bulk_publish(pool.incarnation), rows::bulk_publish::to_row(&bulk));
            }
            Write::AppendEvent(event) => self.append_event(&event, &prepared.waiting),
            Write::RemoveEvents(at, positions) => self.remove_events(&at, &positions, &prepared.waiting),
            Write::SetLane { at, seen_first, first, state } => {
                self.overlay.lanes.set(&at, seen_first, first, state);
            }
            Write::PutKey(key) => self.put(keys::developer_key(&key.id), rows::developer_key::to_row(&key)),
            Write::RemoveKey(id) => self.remove(keys::developer_key(&id)),
            Write::PutSetting(name, value) => self.put(keys::setting(name), rows::setting::to_row(&value)),
        }
    }

    fn put(&mut self, key: Vec<u8>, row: Vec<u8>) {
        self.overlay.put(Space::Small, key, row);
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.overlay.remove(Space::Small, key);
    }

    fn add_usage(&mut self, at: &PoolRef, delta: &UsageDelta) {
        if let Some(usage) = self.usage.get_mut(&at.incarnation) {
            *usage = folded(*usage, delta);
            self.overlay.changed_usage.insert(at.incarnation);
        }
    }

    fn put_pool(&mut self, pool: &Pool, row: Option<Vec<u8>>) {
        if let Some(row) = row {
            self.put(keys::pool(&pool.at.id), row);
        }
        let stamp = PoolStamp { incarnation: pool.at.incarnation, version: pool.version };
        self.pools.insert(pool.at.id.clone(), Some(stamp));
    }

    /// Sets or drops a head. The records stay with it only while the same life continues.
    fn put_head(&mut self, at: &DatasetRef, head: Option<Head>) {
        let before = self.overlay.head(at);
        let old = before.and_then(|stored| stored.life);
        let continues = head.as_ref().is_some_and(|head| {
            head.life.is_some() && has_life(before.map(|stored| &stored.head), head.generation)
        });
        let life = if continues { old } else { None };
        if let Some(ended) = old.filter(|_| !continues) {
            self.enqueue(Unreachable::Life(ended));
        }
        self.overlay.set_head(at, head.map(|head| StoredHead { head, life }));
    }

    fn forget_records(&mut self, at: &DatasetRef, generation: Generation) {
        if let Some(stored) = self.overlay.head(at)
            && has_life(Some(&stored.head), generation)
            && let Some(ended) = stored.life
        {
            let head = stored.head.clone();
            self.enqueue(Unreachable::Life(ended));
            self.overlay.set_head(at, Some(StoredHead { head, life: None }));
        }
    }

    fn put_records(&mut self, at: &DatasetRef, records: Vec<PutRecord>) {
        let Some(stored) = self.overlay.head(at) else { return };
        let life = if let Some(life) = stored.life {
            life
        } else {
            let head = stored.head.clone();
            let life = LifeId(self.fresh_id());
            self.overlay.set_head(at, Some(StoredHead { head, life: Some(life) }));
            life
        };
        for PutRecord { record, replaces } in records {
            if let Some(count) = replaces {
                self.overlay.remove_log_row(keys::log_row(life, count, &record.key));
            }
            self.overlay.put(Space::Key, keys::key_row(life, &record.key), rows::stub::to_row(&record));
            let key = keys::log_row(life, record.sync_count, &record.key);
            self.overlay.put(Space::Log, key, rows::record::to_row(&record));
        }
    }

    fn remove_records(&mut self, at: &DatasetRef, generation: Generation, records: Vec<Tombstone>) {
        if let Some(stored) = self.overlay.head(at)
            && has_life(Some(&stored.head), generation)
            && let Some(life) = stored.life
        {
            for Tombstone { key, sync_count } in records {
                self.overlay.remove_log_row(keys::log_row(life, sync_count, &key));
                self.overlay.remove(Space::Key, keys::key_row(life, &key));
            }
        }
    }

    fn remove_pool(&mut self, at: &PoolRef) {
        if self
            .pools
            .get(&at.id)
            .is_some_and(|pool| pool.is_some_and(|pool| pool.incarnation == at.incarnation))
        {
            self.overlay.remove(Space::Small, keys::pool(&at.id));
            self.pools.insert(at.id.clone(), None);
        }
        self.engine.note_pool_removal();
        self.overlay.pool_removed = true;
        self.overlay.lanes.forget_pool(at.incarnation);
        self.overlay.put(Space::Small, keys::removed_pool(at.incarnation), rows::mark::to_row());
        self.enqueue(Unreachable::Pool(at.incarnation));
    }
}
