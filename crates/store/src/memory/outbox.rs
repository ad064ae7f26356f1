//! The outbox of the reference store: every lane with its events, in one ordered map. Due and parked lanes are found by
//! looking at all lanes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound::{Excluded, Unbounded};

use carryall_core::ids::{DatasetName, IdentityId, PoolIncarnation};
use carryall_core::model::PoolRef;
use carryall_core::outbox::{Due, Event, Lane, LaneRef, LaneState, Position, Sink};
use carryall_core::time::UnixMillis;

use crate::commit_semantics::{event_bytes, first_after};

/// All lanes that have events.
#[derive(Default)]
pub(super) struct Outbox {
    lanes: BTreeMap<Place, Waiting>,
}

/// The place of a lane in the order of all lanes.
type Place = (PoolIncarnation, IdentityId, DatasetName, Sink);

/// A lane with its events, of which there is at least one.
struct Waiting {
    at: LaneRef,
    events: BTreeMap<Position, Event>,
    first: Position,
    state: LaneState,
}

impl Waiting {
    fn lane(&self) -> Lane {
        Lane {
            at: self.at.clone(),
            events: self.events.len() as u64,
            first: self.first,
            state: self.state.clone(),
        }
    }
}

fn place(at: &LaneRef) -> Place {
    let owner = &at.dataset.owner;
    (owner.pool.incarnation, owner.identity.clone(), at.dataset.name.clone(), at.sink.clone())
}

impl Outbox {
    pub(super) fn append(&mut self, event: Event) {
        let (position, at) = (event.position, event.at);
        let lane = match self.lanes.entry(place(&event.lane)) {
            Entry::Occupied(lane) => lane.into_mut(),
            Entry::Vacant(gap) => gap.insert(Waiting {
                at: event.lane.clone(),
                events: BTreeMap::new(),
                first: position,
                state: LaneState::due(at),
            }),
        };
        lane.first = lane.first.min(position);
        lane.events.insert(position, event);
    }

    pub(super) fn remove(&mut self, at: &LaneRef, positions: &[Position]) {
        let Entry::Occupied(mut lane) = self.lanes.entry(place(at)) else { return };
        lane.get_mut().events.retain(|position, _| !positions.contains(position));
        if lane.get().events.is_empty() {
            lane.remove();
        }
    }

    pub(super) fn set(&mut self, at: &LaneRef, seen_first: Position, first: Position, state: LaneState) {
        if let Some(lane) = self.lanes.get_mut(&place(at)) {
            (lane.first, lane.state) = (first_after(lane.first, seen_first, first), state);
        }
    }

    pub(super) fn remove_pool(&mut self, pool: &PoolRef) {
        self.lanes.retain(|_, lane| lane.at.dataset.owner.pool != *pool);
    }

    /// Events that wait in a pool, and their bytes.
    pub(super) fn waiting_in(&self, pool: &PoolRef) -> (u64, u64) {
        let lanes = self.lanes.values().filter(|lane| lane.at.dataset.owner.pool == *pool);
        let events = lanes.flat_map(|lane| lane.events.values());
        events.fold((0, 0), |(events, bytes), event| (events + 1, bytes + event_bytes(event) as u64))
    }

    pub(super) fn lane(&self, at: &LaneRef) -> Option<Lane> {
        self.lanes.get(&place(at)).map(Waiting::lane)
    }

    pub(super) fn is_due_as(&self, at: &LaneRef, due: Due) -> bool {
        self.lanes.get(&place(at)).is_some_and(|lane| lane.state.due == due)
    }

    pub(super) fn due(
        &self,
        now: UnixMillis,
        latest: UnixMillis,
        after: Option<PoolIncarnation>,
        per_pool_max: usize,
        max: usize,
    ) -> Vec<Lane> {
        let mut pools: BTreeMap<PoolIncarnation, Vec<(UnixMillis, &Waiting)>> = BTreeMap::new();
        for ((incarnation, ..), lane) in &self.lanes {
            if let Some(moment) = lane.state.due.moment()
                && lane.state.due.may_be_claimed(now, latest)
                && after.is_none_or(|after| *incarnation > after)
            {
                pools.entry(*incarnation).or_default().push((moment, lane));
            }
        }
        let mut found = Vec::new();
        for mut lanes in pools.into_values() {
            if found.len() >= max {
                break;
            }
            // Of those that are due at the same moment, the order of their places remains.
            lanes.sort_by_key(|(moment, _)| *moment);
            found.extend(lanes.into_iter().take(per_pool_max).map(|(_, lane)| lane.lane()));
        }
        found
    }

    pub(super) fn leased(&self, now: UnixMillis) -> Vec<Lane> {
        let holds = |lane: &&Waiting| match lane.state.due {
            Due::Leased { until, .. } => until > now,
            Due::At(_) | Due::Parked { .. } => false,
        };
        self.lanes.values().filter(holds).map(Waiting::lane).collect()
    }

    pub(super) fn parked(&self, pool: Option<&PoolRef>, after: Option<&LaneRef>, max: usize) -> Vec<Lane> {
        let start = after.map(place).map_or(Unbounded, Excluded);
        let rest = self.lanes.range((start, Unbounded)).map(|(_, lane)| lane);
        let asked = |lane: &&Waiting| pool.is_none_or(|pool| lane.at.dataset.owner.pool == *pool);
        rest.filter(asked)
            .filter(|lane| lane.state.due.moment().is_none())
            .take(max)
            .map(Waiting::lane)
            .collect()
    }

    pub(super) fn events(&self, at: &LaneRef, max: usize, bytes_max: usize) -> Vec<Event> {
        let Some(lane) = self.lanes.get(&place(at)) else { return Vec::new() };
        let mut bytes = 0;
        let fits = |(number, event): &(usize, &Event)| {
            bytes += event_bytes(event);
            *number == 0 || bytes <= bytes_max
        };
        let waiting = lane.events.range(lane.first..).map(|(_, event)| event).enumerate();
        waiting.take_while(fits).take(max).map(|(_, event)| event.clone()).collect()
    }
}
