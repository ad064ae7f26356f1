//! Reads of the outbox and of what feeds it: lanes, events, devices, bulk publications.

use std::ops::Bound;

use carryall_core::devices::Devices;
use carryall_core::ids::{DatasetName, IdentityId, PoolIncarnation};
use carryall_core::model::{BulkPublish, DatasetRef, Head, IdentityRef, PoolRef};
use carryall_core::outbox::{Due, Event, Lane, LaneRef, LaneState};
use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;

use super::damage::Kind;
use super::engine::{Engine, View};
use super::read::{Read, beginning};
use super::rows::head::StoredHead;
use super::rows::lane::StoredLane;
use super::space::Space;
use super::{keys, outbox_keys, rows};
use crate::commit_semantics::event_bytes;

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
        let view = self.view();
        let stored = match view.lane(at) {
            Err(StoreError::Corrupt { what }) => self.remade_lane(&view, at, &what)?,
            stored => stored?,
        };
        Ok(stored.map(|stored| stored.lane))
    }

    /// Rebuilds a lane whose row is damaged from its events: due since the first of them, as if it had never been
    /// worked on. The row repeats what the events say, so its damage prevents no delivery, and the next commit that
    /// changes the lane writes it again.
    pub(super) fn remade_lane(&self, view: &View<'_>, at: &LaneRef, what: &str) -> Read<Option<StoredLane>> {
        self.damage.met(Kind::Lane, &outbox_keys::lane(at), what);
        let mut remade: Option<StoredLane> = None;
        let events = outbox_keys::events_of(at);
        for row in view.scan(Space::Small, Bound::Included(events.clone()), keys::successor(&events)) {
            let (key, row) = row?;
            let position =
                outbox_keys::position_of_event(&key).ok_or_else(|| damaged("an event has a damaged key"))?;
            let lane = if let Some(StoredLane { lane, .. }) = remade {
                Lane { events: lane.events + 1, ..lane }
            } else {
                let event = rows::event::from_row(at.clone(), &key, &row);
                let state = LaneState::due(event.map_or(UnixMillis(0), |event| event.at));
                Lane { at: at.clone(), events: 1, first: position, state }
            };
            remade = Some(StoredLane { lane, last: position });
        }
        Ok(remade)
    }

    /// Takes a few lanes of each pool and then seeks the next pool, so that it walks over no backlog.
    ///
    /// Marks that were removed leave tombstones at the front of a pool's range until the engine merges them away, and
    /// each scan begins there. Their number is bounded by the engine's merging, not by the events so far: ADR 11 has
    /// the figures.
    pub(super) fn read_lanes_due(
        &self,
        now: UnixMillis,
        latest: UnixMillis,
        after: Option<PoolIncarnation>,
        per_pool_max: usize,
        max: usize,
    ) -> Read<Vec<Lane>> {
        let view = self.view();
        let behind = |pool| keys::successor(&keys::pool_table(keys::DUE_MARK, pool));
        let mut start = after.map_or_else(|| vec![keys::DUE_MARK], behind);
        let mut found = Vec::new();
        while found.len() < max
            && let Some(pool) = view.next_pool_with_due_marks(&start)?
        {
            start = behind(pool);
            if !view.is_removed(pool)? {
                let by_now = (keys::pool_table(keys::DUE_MARK, pool), outbox_keys::due_after(pool, now));
                let too_late = (outbox_keys::due_after(pool, now.max(latest)), behind(pool));
                let ranges = [by_now, too_late].into_iter().filter(|(start, end)| start < end);
                let rows =
                    ranges.flat_map(|(start, end)| view.scan(Space::Small, Bound::Included(start), end));
                for row in rows.take(per_pool_max) {
                    found.extend(self.lane_of_mark(&view, &row?.0)?);
                }
            }
        }
        Ok(found)
    }

    /// Walks only what is due after `now`: leases that have not ended, and lanes that wait for their next attempt.
    pub(super) fn read_lanes_leased(&self, now: UnixMillis) -> Read<Vec<Lane>> {
        let view = self.view();
        let behind = |pool| keys::successor(&keys::pool_table(keys::DUE_MARK, pool));
        let mut start = vec![keys::DUE_MARK];
        let mut found = Vec::new();
        while let Some(pool) = view.next_pool_with_due_marks(&start)? {
            let later = Bound::Included(outbox_keys::due_after(pool, now));
            for row in view.scan(Space::Small, later, behind(pool)) {
                let lane = self.lane_of_mark(&view, &row?.0)?;
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
            found.extend(self.lane_of_mark(&view, &row?.0)?);
        }
        Ok(found)
    }

    /// Reads the lane that a mark stands for. Leaves a damaged one out of a listing.
    fn lane_of_mark(&self, view: &View<'_>, mark: &[u8]) -> Read<Option<Lane>> {
        Ok(self.readable(Kind::LaneMark, mark, view.lane_of_mark(mark))?.flatten())
    }

    /// Begins at the lane's first event, not at the beginning of its range, where delivered events have left
    /// tombstones that would have to be walked.
    pub(super) fn read_events(&self, at: &LaneRef, max: usize, bytes_max: usize) -> Read<Vec<Event>> {
        let view = self.view();
        let start = match view.lane(at) {
            Ok(None) => return Ok(Vec::new()),
            Ok(Some(stored)) => Bound::Included(outbox_keys::event(at, stored.lane.first)),
            Err(StoreError::Corrupt { .. }) => Bound::Included(outbox_keys::events_of(at)),
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
        };
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

    /// Reads the lane that a mark stands for, which always exists; `None` if its pool was removed, whose lanes may be
    /// freed before their marks.
    fn lane_of_mark(&self, mark: &[u8]) -> Read<Option<Lane>> {
        let (pool, key) =
            outbox_keys::lane_of_mark(mark).ok_or_else(|| damaged("a mark has a damaged key"))?;
        if self.is_removed(pool)? {
            return Ok(None);
        }
        let row = self.get(Space::Small, &key)?.ok_or_else(|| damaged("a mark stands for no lane"))?;
        Ok(Some(StoredLane::from_row(&key, &row)?.lane))
    }

    /// The first pool at or behind `start` whose lanes have due marks.
    fn next_pool_with_due_marks(&self, start: &[u8]) -> Read<Option<PoolIncarnation>> {
        let end = keys::successor(&[keys::DUE_MARK]);
        if start >= end.as_slice() {
            return Ok(None);
        }
        let Some(row) = self.scan(Space::Small, Bound::Included(start.to_vec()), end).next() else {
            return Ok(None);
        };
        outbox_keys::pool_of_due_mark(&row?.0).map(Some).ok_or_else(|| damaged("a mark has a damaged key"))
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::changes::{Changes, Expect, Write};
    use carryall_core::ids::{PoolId, SyncCount};
    use carryall_core::outbox::{EventBody, Position, Sink};
    use carryall_core::store::{Reads, Store};

    use super::*;
    use crate::dir_lock::DirLock;
    use crate::embedded::EmbeddedStore;
    use crate::options::StoreOptions;

    fn event(count: u64) -> Event {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(1) };
        let owner = IdentityRef { pool, identity: IdentityId::parse("a:1").unwrap() };
        let dataset = DatasetRef { owner, name: DatasetName::parse("n").unwrap() };
        let lane = LaneRef { dataset, sink: Sink::Stream };
        let (position, at) = (Position::change(SyncCount(count)), UnixMillis(10 * count.cast_signed()));
        Event { lane, position, at, body: EventBody::Deleted }
    }

    #[test]
    fn a_damaged_lane_row_holds_nothing_up_and_the_next_change_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let store = EmbeddedStore::open(lock, &StoreOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let commit = |expect, write| {
            let committed = runtime.block_on(store.commit(Changes { expect, write })).unwrap();
            assert!(committed.is_done());
        };
        let at = event(1).lane;
        commit(vec![], vec![Write::AppendEvent(event(1)), Write::AppendEvent(event(2))]);
        let whole = runtime.block_on(store.lane(&at)).unwrap().unwrap();
        let damage = || {
            let mut batch = store.engine.batch(1);
            batch.write(Space::Small, outbox_keys::lane(&at), Some(b"damage".to_vec()));
            batch.commit().unwrap();
        };

        damage();
        assert_eq!(runtime.block_on(store.lane(&at)), Ok(Some(whole.clone())));
        assert_eq!(store.engine.damage.logged(), [outbox_keys::lane(&at)].into());
        let events = runtime.block_on(store.events(&at, 9, usize::MAX));
        assert_eq!(events, Ok(vec![event(1), event(2)]));
        commit(vec![Expect::Lane(at.clone(), whole.state.due)], vec![Write::AppendEvent(event(3))]);
        let listed = runtime.block_on(store.lanes_due(UnixMillis(10), UnixMillis(10), None, 9, 9));
        assert_eq!(listed, Ok(vec![Lane { events: 3, ..whole }]), "the row is whole again");

        damage();
        let positions = [1, 2, 3].map(|count| event(count).position).to_vec();
        commit(vec![], vec![Write::RemoveEvents(at.clone(), positions)]);
        assert_eq!(runtime.block_on(store.lane(&at)), Ok(None));
        assert_eq!(runtime.block_on(store.lanes_due(UnixMillis(99), UnixMillis(99), None, 9, 9)), Ok(vec![]));
    }
}
