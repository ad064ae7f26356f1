//! What a commit does to the outbox, in the same two steps as everything else: read all that is needed, then change
//! what cannot fail any more.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use carryall_core::ids::PoolIncarnation;
use carryall_core::outbox::{Event, LaneRef, Position};
use carryall_core::store::StoreError;

use super::outbox_keys;
use super::outbox_rows::{self, StoredLane};
use super::rows::Space;
use super::writer::Writer;

/// Keys of events that a commit names and the engine holds.
#[derive(Default)]
pub(super) struct Waiting(HashSet<Vec<u8>>);

impl Writer {
    /// A lane as of the members of the batch so far; none of a removed pool.
    pub(super) fn lane(&mut self, at: &LaneRef) -> Result<Option<&StoredLane>, StoreError> {
        if self.is_removed(at.dataset.owner.pool.incarnation)? {
            return Ok(None);
        }
        if !self.overlay.lanes.keeps(at) {
            let key = outbox_keys::lane(at);
            let row = self.engine.newest(Space::Small, &key)?;
            let stored = row.map(|row| StoredLane::from_row(&key, &row)).transpose()?;
            self.overlay.lanes.keep(at.clone(), stored);
        }
        Ok(self.overlay.lanes.get(at))
    }

    /// Reads what [`Self::append_event`] needs. An event behind the last one of its lane cannot be there, so the
    /// ordinary append asks the engine for the lane alone.
    pub(super) fn prepare_append(&mut self, event: &Event, waiting: &mut Waiting) -> Result<(), StoreError> {
        self.load_usage(event.lane.dataset.owner.pool.incarnation)?;
        if self.lane(&event.lane)?.is_some_and(|stored| event.position <= stored.last) {
            self.note_waiting(&event.lane, event.position, waiting)?;
        }
        Ok(())
    }

    /// Reads what [`Self::remove_events`] needs.
    pub(super) fn prepare_removal(
        &mut self,
        at: &LaneRef,
        positions: &[Position],
        waiting: &mut Waiting,
    ) -> Result<(), StoreError> {
        if self.lane(at)?.is_some() {
            self.load_usage(at.dataset.owner.pool.incarnation)?;
            for position in positions {
                self.note_waiting(at, *position, waiting)?;
            }
        }
        Ok(())
    }

    fn note_waiting(
        &self,
        at: &LaneRef,
        position: Position,
        waiting: &mut Waiting,
    ) -> Result<(), StoreError> {
        let key = outbox_keys::event(at, position);
        if self.overlay.small(&key).is_none() && self.engine.holds(Space::Small, &key)? {
            waiting.0.insert(key);
        }
        Ok(())
    }

    fn is_waiting(&self, key: &[u8], waiting: &Waiting) -> bool {
        self.overlay.small(key).map_or_else(|| waiting.0.contains(key), Option::is_some)
    }

    pub(super) fn append_event(&mut self, event: &Event, waiting: &Waiting) {
        let key = outbox_keys::event(&event.lane, event.position);
        let is_new = !self.is_waiting(&key, waiting);
        if !self.overlay.lanes.append(event, is_new) {
            return;
        }
        self.overlay.put(Space::Small, key, outbox_rows::event_to_row(event));
        if is_new {
            self.count_events(event.lane.dataset.owner.pool.incarnation, |events| events.saturating_add(1));
            self.engine.counters.events_appended.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn remove_events(&mut self, at: &LaneRef, positions: &[Position], waiting: &Waiting) {
        if self.overlay.lanes.get(at).is_none() {
            return;
        }
        let mut removed = 0;
        for position in positions {
            let key = outbox_keys::event(at, *position);
            if self.is_waiting(&key, waiting) {
                self.overlay.remove(Space::Small, key);
                removed += 1;
            }
        }
        if removed > 0 {
            self.overlay.lanes.remove(at, removed);
            let pool = at.dataset.owner.pool.incarnation;
            self.count_events(pool, |events| events.saturating_sub(removed));
            self.engine.counters.events_removed.fetch_add(removed, Ordering::Relaxed);
        }
    }

    fn count_events(&mut self, pool: PoolIncarnation, change: impl Fn(u64) -> u64) {
        if let Some(usage) = self.usage.get_mut(&pool) {
            usage.events_waiting = change(usage.events_waiting);
            self.overlay.changed_usage.insert(pool);
        }
    }
}
