//! Reads of the outbox and of what feeds it: lanes, events, devices, bulk publications.

use std::ops::Bound;
use std::sync::atomic::Ordering;

use carryall_core::devices::Devices;
use carryall_core::ids::{DatasetName, IdentityId, PoolIncarnation};
use carryall_core::model::{BulkPublish, DatasetRef, Head, IdentityRef, PoolRef};
use carryall_core::outbox::{Due, Event, Lane, LaneRef};
use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;

use super::engine::{Engine, View};
use super::read::{Read, beginning};
use super::rows::head::StoredHead;
use super::rows::lane::StoredLane;
use super::space::Space;
use super::{keys, outbox_keys, rows};
use crate::meaning::event_bytes;

fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}

impl Engine {
    pub(super) fn read_devices(&self, owner: &IdentityRef) -> Read<Devices> {
        let row = self.view().get_in_pool(owner.pool.incarnation, &keys::devices(owner))?;
        row.map_or_else(|| Ok(Devices::default()), |row| rows::devices::from_row(&row))
    }

    pub(super) fn read_heads_of_pool(
        &self,
        pool: &PoolRef,
        after: Option<&(IdentityId, DatasetName)>,
        max: usize,
    ) -> Read<Vec<(DatasetRef, Head)>> {
        let view = self.view();
        if view.is_removed(pool.incarnation)? {
            return Ok(Vec::new());
        }
        let dataset = |(identity, name): (IdentityId, DatasetName)| DatasetRef {
            owner: IdentityRef { pool: pool.clone(), identity },
            name,
        };
        let prefix = keys::pool_table(keys::HEAD, pool.incarnation);
        let start = beginning(&prefix, after.map(|after| keys::head(&dataset(after.clone()))));
        let rows = view.scan(Space::Small, start, keys::successor(&prefix));
        rows.take(max)
            .map(|row| {
                let (key, row) = row?;
                let parts = keys::parts_of_head(&key).ok_or_else(|| damaged("a head has a damaged key"))?;
                Ok((dataset(parts), StoredHead::from_row(&row)?.head))
            })
            .collect()
    }

    pub(super) fn read_bulk_publish(&self, pool: &PoolRef) -> Read<Option<BulkPublish>> {
        let row = self.view().get_in_pool(pool.incarnation, &keys::bulk_publish(pool.incarnation))?;
        row.map(|row| rows::bulk_publish::from_row(&row)).transpose()
    }

    pub(super) fn read_lane(&self, at: &LaneRef) -> Read<Option<Lane>> {
        Ok(self.view().lane(at)?.map(|stored| stored.lane))
    }

    /// Goes from pool to pool: behind what it takes of one, it seeks the next, so that nobody's backlog is walked.
    ///
    /// Marks that were removed leave tombstones at the front of a pool's range until the engine merges them away, and
    /// each scan begins there: some ten thousands of them cost tens of milliseconds in an unoptimised build. That is
    /// acceptable, since the relay scans rarely.
    pub(super) fn read_lanes_due(
        &self,
        now: UnixMillis,
        after: Option<PoolIncarnation>,
        per_pool_max: usize,
        max: usize,
    ) -> Read<Vec<Lane>> {
        let view = self.view();
        let behind = |pool| keys::successor(&keys::pool_table(keys::DUE_MARK, pool));
        let mut start = after.map_or_else(|| vec![keys::DUE_MARK], behind);
        let mut found = Vec::new();
        while found.len() < max
            && let Some((pool, earliest)) = view.next_pool_with_due_marks(&start)?
        {
            if earliest <= now && !view.is_removed(pool)? {
                let marks = Bound::Included(keys::pool_table(keys::DUE_MARK, pool));
                let rows = view.scan(Space::Small, marks, outbox_keys::due_after(pool, now));
                for row in rows.take(per_pool_max) {
                    found.extend(self.readable(view.lane_of_mark(&row?.0))?);
                }
            }
            start = behind(pool);
        }
        Ok(found)
    }

    /// Walks only what is due after `now`: leases that have not ended, and lanes that wait for their next attempt.
    pub(super) fn read_lanes_leased(&self, now: UnixMillis) -> Read<Vec<Lane>> {
        let view = self.view();
        let behind = |pool| keys::successor(&keys::pool_table(keys::DUE_MARK, pool));
        let mut start = vec![keys::DUE_MARK];
        let mut found = Vec::new();
        while let Some((pool, _)) = view.next_pool_with_due_marks(&start)? {
            let later = Bound::Included(outbox_keys::due_after(pool, now));
            for row in view.scan(Space::Small, later, behind(pool)) {
                let lane = self.readable(view.lane_of_mark(&row?.0))?;
                found.extend(lane.filter(|lane| matches!(lane.state.due, Due::Leased { .. })));
            }
            start = behind(pool);
        }
        Ok(found)
    }

    pub(super) fn read_lanes_parked(
        &self,
        pool: Option<&PoolRef>,
        after: Option<&LaneRef>,
        max: usize,
    ) -> Read<Vec<Lane>> {
        let view = self.view();
        let table = |pool: &PoolRef| keys::pool_table(keys::PARKED_MARK, pool.incarnation);
        let prefix = pool.map_or_else(|| vec![keys::PARKED_MARK], table);
        let end = keys::successor(&prefix);
        let start = beginning(&prefix, after.map(outbox_keys::parked_mark));
        let mut found = Vec::new();
        for row in view.scan(Space::Small, start, end) {
            if found.len() >= max {
                break;
            }
            found.extend(self.readable(view.lane_of_mark(&row?.0))?);
        }
        Ok(found)
    }

    /// Leaves a damaged lane out of a listing, and counts it.
    fn readable(&self, lane: Read<Option<Lane>>) -> Read<Option<Lane>> {
        match lane {
            Err(StoreError::Corrupt { .. }) => {
                self.counters.damaged_lanes.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            lane @ (Ok(_) | Err(StoreError::Unavailable { .. })) => lane,
        }
    }

    /// Begins at the lane's first event, not at the beginning of its range, where delivered events have left
    /// tombstones that would have to be walked.
    pub(super) fn read_events(&self, at: &LaneRef, max: usize, bytes_max: usize) -> Read<Vec<Event>> {
        let view = self.view();
        let Some(stored) = view.lane(at)? else { return Ok(Vec::new()) };
        let start = Bound::Included(outbox_keys::event(at, stored.lane.first));
        let rows = view.scan(Space::Small, start, keys::successor(&outbox_keys::events_of(at)));
        let mut bytes = 0;
        let mut found = Vec::new();
        for row in rows.take(max) {
            let (key, row) = row?;
            let event = rows::event::from_row(at.clone(), &key, &row)?;
            bytes += event_bytes(&event);
            if !found.is_empty() && bytes > bytes_max {
                break;
            }
            found.push(event);
        }
        Ok(found)
    }
}

impl View<'_> {
    fn lane(&self, at: &LaneRef) -> Read<Option<StoredLane>> {
        let key = outbox_keys::lane(at);
        let row = self.get_in_pool(at.dataset.owner.pool.incarnation, &key)?;
        row.map(|row| StoredLane::from_row(&key, &row)).transpose()
    }

    /// The lane that a mark stands for, which is always there; nothing if its pool was removed, whose lanes may be freed
    /// before their marks.
    fn lane_of_mark(&self, mark: &[u8]) -> Read<Option<Lane>> {
        let (pool, key) =
            outbox_keys::lane_of_mark(mark).ok_or_else(|| damaged("a mark has a damaged key"))?;
        if self.is_removed(pool)? {
            return Ok(None);
        }
        let row = self.get(Space::Small, &key)?.ok_or_else(|| damaged("a mark stands for no lane"))?;
        Ok(Some(StoredLane::from_row(&key, &row)?.lane))
    }

    /// The first pool at or behind `start` whose lanes have due marks, and the earliest moment among them.
    fn next_pool_with_due_marks(&self, start: &[u8]) -> Read<Option<(PoolIncarnation, UnixMillis)>> {
        let end = keys::successor(&[keys::DUE_MARK]);
        if start >= end.as_slice() {
            return Ok(None);
        }
        let Some(row) = self.scan(Space::Small, Bound::Included(start.to_vec()), end).next() else {
            return Ok(None);
        };
        let parts = outbox_keys::parts_of_due_mark(&row?.0);
        parts.map(Some).ok_or_else(|| damaged("a mark has a damaged key"))
    }
}
