//! The lanes that the present batch touches, decoded: however many members of the batch change one, it is read once,
//! and its row and its mark are written once.

use carryall_core::ids::PoolIncarnation;
use carryall_core::outbox::{Event, Lane, LaneRef, LaneState, Position};
use foldhash::HashMap;

use super::outbox_keys;
use super::rows;
use super::rows::lane::StoredLane;
use crate::commit_semantics::first_after;

/// Lanes as of the members of the batch so far.
#[derive(Default)]
pub(super) struct Lanes(HashMap<LaneRef, BatchLane>);

struct BatchLane {
    /// The lane in the engine.
    before: Option<StoredLane>,
    now: Option<StoredLane>,
}

impl Lanes {
    /// Returns true if the lane at `at`, or its absence, was kept.
    pub(super) fn keeps(&self, at: &LaneRef) -> bool {
        self.0.contains_key(at)
    }

    /// Keeps the lane that the engine holds at `at`, or its absence.
    pub(super) fn keep(&mut self, at: LaneRef, stored: Option<StoredLane>) {
        self.0.insert(at, BatchLane { before: stored.clone(), now: stored });
    }

    /// Returns the lane that was kept for `at`, if there is one.
    pub(super) fn get(&self, at: &LaneRef) -> Option<&StoredLane> {
        self.0.get(at)?.now.as_ref()
    }

    /// Adds an event to a lane that was kept; `is_new` is false if the event replaces one. Returns false if the lane
    /// was not kept.
    pub(super) fn append(&mut self, event: &Event, is_new: bool) -> bool {
        let Some(BatchLane { now, .. }) = self.0.get_mut(&event.lane) else { return false };
        let position = event.position;
        let stored = now.get_or_insert_with(|| StoredLane {
            lane: Lane {
                at: event.lane.clone(),
                events: 0,
                first: position,
                state: LaneState::due(event.at),
            },
            last: position,
        });
        stored.lane.events += u64::from(is_new);
        stored.lane.first = stored.lane.first.min(position);
        stored.last = stored.last.max(position);
        true
    }

    /// Takes this number of events off a lane. With the last one the lane is gone.
    pub(super) fn remove(&mut self, at: &LaneRef, events: u64) {
        let Some(BatchLane { now, .. }) = self.0.get_mut(at) else { return };
        let left = now.take().and_then(|mut stored| {
            stored.lane.events = stored.lane.events.saturating_sub(events);
            (stored.lane.events > 0).then_some(stored)
        });
        *now = left;
    }

    /// Sets the relay's part of an existing lane.
    pub(super) fn set(&mut self, at: &LaneRef, seen_first: Position, first: Position, state: LaneState) {
        if let Some(stored) = self.0.get_mut(at).and_then(|lane| lane.now.as_mut()) {
            stored.lane.first = first_after(stored.lane.first, seen_first, first);
            stored.lane.state = state;
        }
    }

    /// Forgets the lanes of a removed pool: their rows are freed with the pool.
    pub(super) fn forget_pool(&mut self, incarnation: PoolIncarnation) {
        self.0.retain(|at, _| at.dataset.owner.pool.incarnation != incarnation);
    }

    /// Returns the rows that must be put or removed, each once.
    pub(super) fn take_rows(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut rows = Vec::new();
        for (at, BatchLane { before, now }) in self.0.drain() {
            if before == now {
                continue;
            }
            let mark_of = |stored: &StoredLane| outbox_keys::mark(&at, stored.lane.state.due);
            let (old, new) = (before.as_ref().map(mark_of), now.as_ref().map(mark_of));
            if old != new {
                rows.extend(old.map(|mark| (mark, None)));
                rows.extend(new.map(|mark| (mark, Some(rows::mark::to_row()))));
            }
            rows.push((outbox_keys::lane(&at), now.map(|stored| stored.to_row())));
        }
        rows
    }
}
