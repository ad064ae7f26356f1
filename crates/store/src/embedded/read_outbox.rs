//! Reads of the outbox and of what feeds it: lanes, events, devices, bulk publications.

use std::ops::Bound;

use carryall_core::devices::Devices;
use carryall_core::ids::{DatasetName, IdentityId, PoolId, PoolIncarnation};
use carryall_core::model::{BulkPublish, DatasetRef, Head, IdentityRef, PoolRef};
use carryall_core::outbox::{Due, Event, Lane, LaneRef, LaneState, Parked};
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
    ///
    /// Only the parked mark leads to a parked lane, so such a lane stays parked, as one that resumes by itself.
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
        if let Some(StoredLane { lane, .. }) = &mut remade
            && let Some(since) = lane.state.due.moment()
            && view.get(Space::Small, &outbox_keys::parked_mark(at))?.is_some()
        {
            let due = Due::Parked { why: Parked::SwitchedOff, since };
            let trouble = "the reason is lost, because the lane's row was damaged".to_owned();
            lane.state = LaneState { due, attempts: 0, trouble };
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

    /// Reads the lane that a mark stands for. Leaves a mark that leads nowhere out of a listing.
    fn lane_of_mark(&self, view: &View<'_>, mark: &[u8]) -> Read<Option<Lane>> {
        Ok(self.readable(Kind::LaneMark, mark, self.lane_at_mark(view, mark))?.flatten())
    }

    /// Reads the lane that a mark stands for, which always exists; `None` if its pool was removed, whose lanes may be
    /// freed before their marks. After a restart only its mark leads to a lane whose dataset does not change, so a
    /// damaged one is rebuilt here too. Its row no longer says which pool it belongs to.
    fn lane_at_mark(&self, view: &View<'_>, mark: &[u8]) -> Read<Option<Lane>> {
        let (pool, key) =
            outbox_keys::lane_of_mark(mark).ok_or_else(|| damaged("a mark has a damaged key"))?;
        if view.is_removed(pool)? {
            return Ok(None);
        }
        let row = view.get(Space::Small, &key)?.ok_or_else(|| damaged("a mark stands for no lane"))?;
        let stored = match StoredLane::from_row(&key, &row) {
            Err(StoreError::Corrupt { what }) => {
                let id =
                    view.pool_id(pool)?.ok_or_else(|| damaged("a damaged lane is of an unknown pool"))?;
                let at = outbox_keys::lane_from_key(&key, id);
                self.remade_lane(view, &at.ok_or_else(|| damaged("a mark has a damaged key"))?, &what)?
            }
            stored => Some(stored?),
        };
        Ok(stored.map(|stored| stored.lane))
    }

    /// Begins at the lane's first event, not at the beginning of its range, where delivered events have left
    /// tombstones that would have to be walked. Ends before a damaged event, which is an error only as the first: the
    /// events before it can be delivered.
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
            let event = match rows::event::from_row(at.clone(), &key, &row) {
                Err(StoreError::Corrupt { .. }) if !found.is_empty() => break,
                event => event?,
            };
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

    /// The id of the pool with this incarnation. Walks over all pools, because only damage makes anyone ask.
    fn pool_id(&self, incarnation: PoolIncarnation) -> Read<Option<PoolId>> {
        let prefix = vec![keys::POOL];
        let end = keys::successor(&prefix);
        for row in self.scan(Space::Small, Bound::Included(prefix), end) {
            match rows::pool::from_row(&row?.1) {
                Ok(pool) if pool.at.incarnation == incarnation => return Ok(Some(pool.at.id)),
                Ok(_) | Err(StoreError::Corrupt { .. }) => {}
                Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            }
        }
        Ok(None)
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
    use std::path::Path;

    use carryall_core::changes::{Changes, Expect, Write};
    use carryall_core::ids::{DeviceId, RecordKey, SyncCount};
    use carryall_core::model::{Record, Writer};
    use carryall_core::outbox::{EventBody, Position, Sink};
    use carryall_core::rules::set_identity_pool::Settings;
    use carryall_core::store::{Reads, Store};

    use super::*;
    use crate::dir_lock::DirLock;
    use crate::embedded::EmbeddedStore;
    use crate::options::StoreOptions;

    fn event_to(sink: Sink, count: u64) -> Event {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(1) };
        let owner = IdentityRef { pool, identity: IdentityId::parse("a:1").unwrap() };
        let dataset = DatasetRef { owner, name: DatasetName::parse("n").unwrap() };
        let (position, at) = (Position::change(SyncCount(count)), UnixMillis(10 * count.cast_signed()));
        Event { lane: LaneRef { dataset, sink }, position, at, body: EventBody::Deleted }
    }

    fn event(count: u64) -> Event {
        event_to(Sink::Stream, count)
    }

    fn open(dir: &Path) -> EmbeddedStore {
        EmbeddedStore::open(DirLock::acquire(dir).unwrap(), &StoreOptions::default()).unwrap()
    }

    fn commit(store: &EmbeddedStore, expect: Vec<Expect>, write: Vec<Write>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(store.commit(Changes { expect, write })).unwrap().is_done());
    }

    fn damage(store: &EmbeddedStore, key: Vec<u8>) {
        let mut batch = store.engine.batch(1);
        batch.write(Space::Small, key, Some(b"damage".to_vec()));
        batch.commit().unwrap();
    }

    fn lanes_due(store: &EmbeddedStore) -> Vec<Lane> {
        store.engine.read_lanes_due(UnixMillis(99), UnixMillis(99), None, 9, 9).unwrap()
    }

    #[test]
    fn a_damaged_lane_is_listed_after_a_restart_although_its_dataset_never_changes_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let pools = [(PoolId::parse("a:00").unwrap(), 2), (event(1).lane.dataset.owner.pool.id, 1)];
        let put = pools.map(|(id, incarnation)| {
            let at = PoolRef { id, incarnation: PoolIncarnation(incarnation) };
            Write::PutPool(Box::new(Settings::default().create(at, UnixMillis(0))))
        });
        commit(&store, vec![], put.to_vec());
        let parked = event_to(Sink::Device(DeviceId::parse("d").unwrap()), 1);
        let all = [event(1), event_to(Sink::Publication, 1), parked.clone()];
        commit(&store, vec![], all.clone().map(Write::AppendEvent).to_vec());
        let due = Due::Parked { why: Parked::Undeliverable, since: UnixMillis(50) };
        let (at, first) = (parked.lane.clone(), parked.position);
        let state = LaneState { due, attempts: 3, trouble: "refused".to_owned() };
        commit(&store, vec![], vec![Write::SetLane { at, seen_first: first, first, state }]);
        let before = lanes_due(&store);
        assert_eq!(before.len(), 2);
        drop(store);

        // Damaged after the start, because a start admits no rows but those of commits. Nothing commits before the
        // listing, which alone finds the lanes.
        let store = open(dir.path());
        for event in &all {
            damage(&store, outbox_keys::lane(&event.lane));
        }
        assert_eq!(lanes_due(&store), before);
        assert_eq!(store.engine.read_lanes_parked(None, None, 9).unwrap().len(), 1);
        let lane = store.engine.read_lanes_parked(None, None, 9).unwrap().remove(0);
        let resumes = Due::Parked { why: Parked::SwitchedOff, since: parked.at };
        assert_eq!((&lane.at, lane.state.due), (&parked.lane, resumes));
        assert_eq!(store.engine.damage.logged().len(), 3, "the lanes' rows, not their marks");
        // The next commit finds the lane as it was listed, and moves its mark.
        let (at, state) = (lane.at.clone(), LaneState::due(UnixMillis(60)));
        let retried = Write::SetLane { at: at.clone(), seen_first: first, first, state };
        commit(&store, vec![Expect::Lane(at, resumes)], vec![retried]);
        assert_eq!(store.engine.read_lanes_parked(None, None, 9), Ok(vec![]));
        assert_eq!(lanes_due(&store).len(), 3);
    }

    #[test]
    fn a_damaged_lane_row_holds_nothing_up_and_the_next_change_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let at = event(1).lane;
        commit(&store, vec![], vec![Write::AppendEvent(event(1)), Write::AppendEvent(event(2))]);
        let whole = runtime.block_on(store.lane(&at)).unwrap().unwrap();

        damage(&store, outbox_keys::lane(&at));
        assert_eq!(runtime.block_on(store.lane(&at)), Ok(Some(whole.clone())));
        assert_eq!(store.engine.damage.logged(), [outbox_keys::lane(&at)].into());
        let events = runtime.block_on(store.events(&at, 9, usize::MAX));
        assert_eq!(events, Ok(vec![event(1), event(2)]));
        commit(&store, vec![Expect::Lane(at.clone(), whole.state.due)], vec![Write::AppendEvent(event(3))]);
        assert_eq!(lanes_due(&store), [Lane { events: 3, ..whole }], "the row is whole again");

        damage(&store, outbox_keys::lane(&at));
        let positions = [1, 2, 3].map(|count| event(count).position).to_vec();
        commit(&store, vec![], vec![Write::RemoveEvents(at.clone(), positions)]);
        assert_eq!(runtime.block_on(store.lane(&at)), Ok(None));
        assert_eq!(lanes_due(&store), []);
    }

    /// An event with a record of two bytes.
    fn update(count: u64) -> Event {
        let record = Record {
            key: RecordKey::from_stored("k"),
            value: Some("v".to_owned()),
            sync_count: SyncCount(count),
            modified: UnixMillis(1),
            modified_by: Writer::from("w"),
            device_modified: UnixMillis(1),
        };
        Event { body: EventBody::Updated(vec![record]), ..event(count) }
    }

    #[test]
    fn a_damaged_event_can_be_dropped_and_holds_back_no_event_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let at = event(1).lane;
        commit(&store, vec![], [1, 2, 3].map(|count| Write::AppendEvent(update(count))).to_vec());
        damage(&store, outbox_keys::event(&at, event(2).position));
        let events = || store.engine.read_events(&at, 9, usize::MAX);
        let remove = |count| {
            commit(&store, vec![], vec![Write::RemoveEvents(at.clone(), vec![event(count).position])]);
        };
        let usage = || {
            let usage = store.engine.read_pool_usage(&at.dataset.owner.pool).unwrap();
            (usage.events_waiting, usage.events_bytes)
        };

        assert_eq!(events(), Ok(vec![update(1)]));
        remove(1);
        assert!(matches!(events(), Err(StoreError::Corrupt { .. })));
        remove(2);
        assert_eq!(events(), Ok(vec![update(3)]));
        assert_eq!(usage(), (1, 4), "the bytes of the damaged one are unknown");
        remove(3);
        assert_eq!(usage(), (0, 0));
        assert_eq!(lanes_due(&store), []);
    }
}
