//! The rows of the memory store, and the changes that commits make to them.

use std::collections::BTreeMap;

use carryall_core::changes::{Changes, Expect, PutRecord, Stamp, Write};
use carryall_core::ids::{SyncCount, Version};
use carryall_core::model::{DatasetRef, Head, Holdings, IdentityRef, PoolRef, Record};
use carryall_core::store::{Committed, RecordCursor, StoreError};

use super::{State, sweep_place, tombstones};
use crate::commit_semantics::{folded, has_life, head_after, is_late, no_life};

impl State {
    pub(super) fn head(&self, at: &DatasetRef) -> Option<&Head> {
        self.heads.get(&at.owner)?.get(&at.name)
    }

    /// The records of a dataset behind `after` up to `through`, in the order of (count, key).
    pub(super) fn records(&self, at: &DatasetRef, after: &RecordCursor, through: SyncCount) -> Vec<Record> {
        let all = self.records.get(at).into_iter().flat_map(BTreeMap::values);
        let matching = all.filter(|record| record.sync_count <= through).filter(|record| match after {
            RecordCursor::Count(count) => record.sync_count > *count,
            RecordCursor::Record(count, key) => (record.sync_count, &record.key) > (*count, key),
        });
        let mut found: Vec<Record> = matching.cloned().collect();
        found.sort_by(|a, b| (a.sync_count, &a.key).cmp(&(b.sync_count, &b.key)));
        found
    }

    pub(super) fn has_identity(&self, at: &IdentityRef) -> bool {
        self.identities.get(&at.identity).is_some_and(|identity| identity.at == *at)
    }

    pub(super) fn holdings(&self, owner: &IdentityRef) -> Holdings {
        self.holdings.get(owner).copied().unwrap_or_default()
    }

    pub(super) fn commit(&mut self, changes: Changes) -> Result<Committed, StoreError> {
        if !changes.expect.iter().all(|expect| self.holds(expect)) {
            return Ok(Committed::Refused);
        }
        for write in &changes.write {
            if let Write::PutRecords { at, generation, .. } = write
                && !has_life(head_after(&changes, at, self.head(at)), *generation)
            {
                return Err(no_life(at, *generation));
            }
        }
        self.apply(changes);
        Ok(Committed::Done)
    }

    fn holds(&self, expect: &Expect) -> bool {
        let pool_version =
            |at: &PoolRef| self.pools.get(&at.id).filter(|pool| pool.at == *at).map(|p| p.version);
        match expect {
            Expect::Pool(at) => pool_version(at).is_some(),
            Expect::PoolVersion(at, version) => pool_version(at) == Some(*version),
            Expect::NoPool(id) => !self.pools.contains_key(id),
            Expect::Dataset(at, stamp) => self.head(at).map(Stamp::of) == *stamp,
            Expect::Holdings(owner, version) => self.holdings(owner).version == *version,
            Expect::NoIdentity(at) => !self.identities.contains_key(&at.identity),
            Expect::Identity(at) => self.has_identity(at),
            Expect::Devices(owner, version) => {
                self.devices.get(owner).map_or(Version::default(), |devices| devices.version) == *version
            }
            Expect::BulkPublish(pool, version) => {
                self.bulk_publishes.get(pool).map_or(Version::default(), |bulk| bulk.version) == *version
            }
            Expect::Lane(at, due) => self.outbox.is_due_as(at, *due),
            Expect::NoKey(id) => !self.keys.contains_key(id),
            Expect::NoSetting(name) => !self.settings.contains_key(name),
        }
    }

    fn apply(&mut self, changes: Changes) {
        let (late, early): (Vec<Write>, Vec<Write>) = changes.write.into_iter().partition(is_late);
        for write in early.into_iter().chain(late) {
            self.write(write);
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::PutHead(at, head) => self.put_head(at, head),
            Write::RemoveHead(at) => {
                self.records.remove(&at);
                self.heads.entry(at.owner).or_default().remove(&at.name);
            }
            Write::PutRecords { at, generation: _, records } => {
                let life = self.records.entry(at).or_default();
                life.extend(records.into_iter().map(|PutRecord { record, .. }| (record.key.clone(), record)));
            }
            Write::RemoveRecords { at, generation, records } => {
                if has_life(self.head(&at), generation) {
                    tombstones::remove(self.records.get_mut(&at), records);
                }
            }
            Write::ForgetRecords(at, generation) => {
                if has_life(self.head(&at), generation) {
                    self.records.remove(&at);
                }
            }
            Write::PutHoldings(owner, holdings) => drop(self.holdings.insert(owner, holdings)),
            Write::RemoveHoldings(owner) => drop(self.holdings.remove(&owner)),
            Write::AddUsage(pool, delta) => {
                let usage = self.usage.entry(pool).or_default();
                *usage = folded(*usage, &delta);
            }
            Write::PutPool(pool) => drop(self.pools.insert(pool.at.id.clone(), *pool)),
            Write::RemovePool(at) => self.remove_pool(&at),
            Write::PutIdentity(identity) => {
                self.identities.insert(identity.at.identity.clone(), identity);
            }
            Write::RemoveIdentity(at) => {
                if self.has_identity(&at) {
                    self.identities.remove(&at.identity);
                }
            }
            Write::PutSweep(sweep) => drop(self.sweeps.insert(sweep_place(&sweep), sweep)),
            Write::RemoveSweep(sweep) => drop(self.sweeps.remove(&sweep_place(&sweep))),
            Write::PutDevices(owner, devices) => drop(self.devices.insert(owner, devices)),
            Write::RemoveDevices(owner) => drop(self.devices.remove(&owner)),
            Write::PutBulkPublish(pool, bulk) => drop(self.bulk_publishes.insert(pool, bulk)),
            Write::AppendEvent(event) => self.outbox.append(event),
            Write::RemoveEvents(at, positions) => self.outbox.remove(&at, &positions),
            Write::SetLane { at, seen_first, first, state } => {
                self.outbox.set(&at, seen_first, first, state);
            }
            Write::PutKey(key) => drop(self.keys.insert(key.id.clone(), key)),
            Write::RemoveKey(id) => drop(self.keys.remove(&id)),
            Write::PutSetting(name, value) => drop(self.settings.insert(name, value)),
        }
    }

    fn put_head(&mut self, at: DatasetRef, head: Head) {
        if !(head.life.is_some() && has_life(self.head(&at), head.generation)) {
            self.records.remove(&at);
        }
        self.heads.entry(at.owner).or_default().insert(at.name, head);
    }

    fn remove_pool(&mut self, at: &PoolRef) {
        if self.pools.get(&at.id).is_some_and(|pool| pool.at == *at) {
            self.pools.remove(&at.id);
        }
        self.usage.remove(at);
        self.identities.retain(|_, identity| identity.at.pool != *at);
        self.holdings.retain(|owner, _| owner.pool != *at);
        self.heads.retain(|owner, _| owner.pool != *at);
        self.records.retain(|dataset, _| dataset.owner.pool != *at);
        self.sweeps.retain(|_, sweep| sweep.owner.pool != *at);
        self.devices.retain(|owner, _| owner.pool != *at);
        self.bulk_publishes.remove(at);
        self.outbox.remove_pool(at);
    }
}
