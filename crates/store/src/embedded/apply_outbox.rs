//! The part of a commit that changes the outbox, in the same two steps as the rest: first the reads, which may fail,
//! then the changes, which cannot.

use std::sync::atomic::Ordering;

use carryall_core::ids::PoolIncarnation;
use carryall_core::model::PoolUsage;
use carryall_core::outbox::{Event, LaneRef, Position};
use carryall_core::store::StoreError;
use foldhash::HashMap;

use super::outbox_keys;
use super::rows;
use super::rows::lane::StoredLane;
use super::space::Space;
use super::writer::Writer;
use crate::commit_semantics::event_bytes;

/// Keys of the events that a commit names and the engine holds, with the bytes that each counts for.
#[derive(Default)]
pub(super) struct Waiting(HashMap<Vec<u8>, u64>);

impl Writer {
    /// Reads a lane as of the members of the batch so far; `None` if its pool was removed.
    pub(super) fn lane(&mut self, at: &LaneRef) -> Result<Option<&StoredLane>, StoreError> {
        if self.is_removed(at.dataset.owner.pool.incarnation)? {
            return Ok(None);
        }
        if !self.overlay.lanes.keeps(at) {
            let key = outbox_keys::lane(at);
            let row = self.engine.newest(Space::Small, &key);
            let stored = row.and_then(|row| row.map(|row| StoredLane::from_row(&key, &row)).transpose());
            let stored = match stored {
                // No earlier member of the batch has touched the lane, so the engine holds all its events.
                Err(StoreError::Corrupt { what }) => {
                    self.engine.remade_lane(&self.engine.view(), at, &what)?
                }
                stored => stored?,
            };
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
        if self.overlay.small(&key).is_none()
            && let Some(row) = self.engine.newest(Space::Small, &key)?
        {
            waiting.0.insert(key, rows::event::bytes_of_event(&row));
        }
        Ok(())
    }

    /// The bytes that the event with this key counts for, as of the writes so far; `None` if it is not there.
    fn bytes_waiting(&self, key: &[u8], waiting: &Waiting) -> Option<u64> {
        match self.overlay.small(key) {
            Some(row) => row.as_deref().map(rows::event::bytes_of_event),
            None => waiting.0.get(key).copied(),
        }
    }

    pub(super) fn append_event(&mut self, event: &Event, waiting: &Waiting) {
        let key = outbox_keys::event(&event.lane, event.position);
        let before = self.bytes_waiting(&key, waiting);
        if !self.overlay.lanes.append(event, before.is_none()) {
            return;
        }
        self.overlay.put(Space::Small, key, rows::event::to_row(event));
        let (events, bytes) = (u64::from(before.is_none()), event_bytes(event) as u64);
        self.count_events(event.lane.dataset.owner.pool.incarnation, |usage| {
            usage.events_waiting = usage.events_waiting.saturating_add(events);
            usage.events_bytes = usage.events_bytes.saturating_add(bytes).saturating_sub(before.unwrap_or(0));
        });
        self.engine.counters.events_appended.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn remove_events(&mut self, at: &LaneRef, positions: &[Position], waiting: &Waiting) {
        if self.overlay.lanes.get(at).is_none() {
            return;
        }
        let (mut removed, mut removed_bytes) = (0, 0_u64);
        for position in positions {
            let key = outbox_keys::event(at, *position);
            if let Some(bytes) = self.bytes_waiting(&key, waiting) {
                self.overlay.remove(Space::Small, key);
                removed += 1;
                // Damaged rows may say any number.
                removed_bytes = removed_bytes.saturating_add(bytes);
            }
        }
        if removed > 0 {
            self.overlay.lanes.remove(at, removed);
            self.count_events(at.dataset.owner.pool.incarnation, |usage| {
                usage.events_waiting = usage.events_waiting.saturating_sub(removed);
                // The bytes of damaged events are unknown; once no event waits, none of them are left.
                let left = usage.events_bytes.saturating_sub(removed_bytes);
                usage.events_bytes = if usage.events_waiting == 0 { 0 } else { left };
            });
            self.engine.counters.events_removed.fetch_add(removed, Ordering::Relaxed);
        }
    }

    fn count_events(&mut self, pool: PoolIncarnation, change: impl Fn(&mut PoolUsage)) {
        if let Some(usage) = self.usage.get_mut(&pool) {
            change(usage);
            self.overlay.changed_usage.insert(pool);
        }
    }
}
