//! The moves of the outbox for the comparison of the stores, and what is compared after each.

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::ids::{PoolIncarnation, SyncCount, Version};
use carryall_core::model::{BulkPublishStatus, DatasetRef, IdentityRef, PoolRef};
use carryall_core::outbox::{Due, Event, EventBody, Lane, LaneRef, LaneState, Position, Sink};
use carryall_core::time::UnixMillis;
use proptest::prelude::*;

use crate::outbox_sample::{
    LATEST, at, bulk_publish, device_lane, devices, leased, parked, snapshot, stream_of, updated,
};
use crate::sample::{AnyStore, update_of, wait};

const DEVICES: [&str; 2] = ["d", "d\u{0}"];
/// Moments at which lanes come due, and which are asked for.
const MOMENTS: std::ops::Range<i64> = -2..3;

/// A move, made of small numbers like the others.
#[derive(Clone, Debug)]
pub(crate) enum OutboxMove {
    /// Puts an event at a small count, whatever stands there.
    Append {
        sink: usize,
        count: u64,
        bulk: bool,
        moment: i64,
    },
    /// Updates the dataset and puts the event of that.
    Update {
        sink: usize,
        moment: i64,
    },
    /// Takes events off some lane and says how it is due next, if it does.
    Settle {
        pick: usize,
        removed: usize,
        also_absent: bool,
        due: Option<Due>,
        stale: bool,
    },
    /// Empties a lane and puts an event behind what it held, in one commit.
    Refill {
        pick: usize,
        moment: i64,
    },
    PutDevices(usize),
    RemoveDevices,
    BulkPublish,
}

pub(crate) fn outbox_moves() -> impl Strategy<Value = OutboxMove> {
    let due = proptest::option::of((0..3_u8, MOMENTS).prop_map(|(kind, moment)| match kind {
        0 => at(moment),
        1 => leased(moment, 7),
        _ => parked(moment),
    }));
    prop_oneof![
        6 => (0..4_usize, 0..4_u64, any::<bool>(), MOMENTS)
            .prop_map(|(sink, count, bulk, moment)| OutboxMove::Append { sink, count, bulk, moment }),
        3 => (0..4_usize, MOMENTS).prop_map(|(sink, moment)| OutboxMove::Update { sink, moment }),
        8 => (any::<usize>(), 0..4_usize, any::<bool>(), due, proptest::bool::weighted(0.1)).prop_map(
            |(pick, removed, also_absent, due, stale)| {
                OutboxMove::Settle { pick, removed, also_absent, due, stale }
            }
        ),
        1 => (any::<usize>(), MOMENTS).prop_map(|(pick, moment)| OutboxMove::Refill { pick, moment }),
        1 => (0..3_usize).prop_map(OutboxMove::PutDevices),
        1 => Just(OutboxMove::RemoveDevices),
        1 => Just(OutboxMove::BulkPublish),
    ]
}

fn lane_of(dataset: &DatasetRef, sink: usize) -> LaneRef {
    match DEVICES.get(sink) {
        Some(device) => device_lane(dataset, device),
        None if sink == DEVICES.len() => stream_of(dataset),
        None => LaneRef { dataset: dataset.clone(), sink: Sink::Publication },
    }
}

fn all_lanes(store: &AnyStore) -> Vec<Lane> {
    let due = wait(store.lanes_due(LATEST, LATEST, None, usize::MAX, usize::MAX)).unwrap();
    due.into_iter().chain(wait(store.lanes_parked(None, None, usize::MAX)).unwrap()).collect()
}

/// The changes of a move at `dataset`, decided on the reference.
pub(crate) fn changes(reference: &AnyStore, step: &OutboxMove, dataset: &DatasetRef) -> Option<Changes> {
    let in_pool = |write| Changes { expect: vec![Expect::Pool(dataset.owner.pool.clone())], write };
    match step {
        OutboxMove::Append { sink, count, bulk, moment } => {
            let lane = lane_of(dataset, *sink);
            let event = if *bulk { snapshot } else { updated };
            Some(in_pool(vec![Write::AppendEvent(event(&lane, *count, *moment))]))
        }
        OutboxMove::Update { sink, moment } => {
            let mut changes = update_of(reference, dataset, &[("k", Some("v"))]);
            let count = wait(reference.head(dataset)).unwrap().effective().sync_count.next();
            let event =
                Event { body: EventBody::Notice, ..updated(&lane_of(dataset, *sink), count.0, *moment) };
            changes.write.push(Write::AppendEvent(event));
            Some(changes)
        }
        OutboxMove::Settle { pick, removed, also_absent, due, stale } => {
            let lane = picked(reference, *pick)?;
            Some(settlement(reference, &lane, *removed, *also_absent, *due, *stale))
        }
        OutboxMove::Refill { pick, moment } => {
            let lane = picked(reference, *pick)?;
            let mut changes = settlement(reference, &lane, usize::MAX, false, Some(parked(0)), false);
            let events = wait(reference.events(&lane.at, usize::MAX, usize::MAX)).unwrap();
            let position = events.last().map_or(lane.first, |last| last.position.next());
            let event = Event { position, ..snapshot(&lane.at, 1, *moment) };
            changes.write.insert(1, Write::AppendEvent(event));
            Some(changes)
        }
        OutboxMove::PutDevices(ids) => {
            let version = wait(reference.devices(&dataset.owner)).unwrap().version;
            let put = devices(version.next().0, &["d", "e", "f"][..*ids]);
            let mut changes = in_pool(vec![Write::PutDevices(dataset.owner.clone(), put)]);
            changes.expect.push(Expect::Devices(dataset.owner.clone(), version));
            Some(changes)
        }
        OutboxMove::RemoveDevices => Some(in_pool(vec![Write::RemoveDevices(dataset.owner.clone())])),
        OutboxMove::BulkPublish => {
            let pool = &dataset.owner.pool;
            let before = wait(reference.bulk_publish(pool)).unwrap();
            let version = before.map_or(Version::default(), |bulk| bulk.version);
            let put = bulk_publish(version.next().0, BulkPublishStatus::InProgress);
            let mut changes = in_pool(vec![Write::PutBulkPublish(pool.clone(), put)]);
            changes.expect.push(Expect::BulkPublish(pool.clone(), version));
            Some(changes)
        }
    }
}

fn picked(reference: &AnyStore, pick: usize) -> Option<Lane> {
    let lanes = all_lanes(reference);
    (!lanes.is_empty()).then(|| lanes[pick % lanes.len()].clone())
}

fn settlement(
    reference: &AnyStore,
    lane: &Lane,
    removed: usize,
    also_absent: bool,
    due: Option<Due>,
    stale: bool,
) -> Changes {
    let events = wait(reference.events(&lane.at, removed, usize::MAX)).unwrap();
    let mut positions: Vec<Position> = events.iter().map(|event| event.position).collect();
    let first = positions.last().map_or(lane.first, |last| last.next());
    if also_absent {
        positions.push(Position::bulk(SyncCount(77)));
    }
    let expected = if stale { leased(1, 1) } else { lane.state.due };
    let mut write = vec![Write::RemoveEvents(lane.at.clone(), positions)];
    if let Some(due) = due {
        let state = LaneState { due, attempts: lane.state.attempts + 1, trouble: "t".into() };
        write.push(Write::SetLane { at: lane.at.clone(), seen_first: lane.first, first, state });
    }
    Changes { expect: vec![Expect::Lane(lane.at.clone(), expected)], write }
}

/// Compares what the pool of `owner` and the owner hold.
pub(crate) fn compare_owner(a: &AnyStore, b: &AnyStore, owner: &IdentityRef) -> Result<(), TestCaseError> {
    prop_assert_eq!(wait(a.devices(owner)), wait(b.devices(owner)));
    let after = Some((owner.identity.clone(), crate::sample::dataset(owner, "d").name));
    for max in [1, 9] {
        let (a, b) = (
            a.heads_of_pool(&owner.pool, after.as_ref(), max),
            b.heads_of_pool(&owner.pool, after.as_ref(), max),
        );
        prop_assert_eq!(wait(a), wait(b));
    }
    Ok(())
}

pub(crate) fn compare_lanes(a: &AnyStore, b: &AnyStore, pools: [&PoolRef; 2]) -> Result<(), TestCaseError> {
    for pool in pools {
        prop_assert_eq!(wait(a.bulk_publish(pool)), wait(b.bulk_publish(pool)));
        prop_assert_eq!(wait(a.heads_of_pool(pool, None, 9)), wait(b.heads_of_pool(pool, None, 9)));
    }
    let (all, some) = ((usize::MAX, usize::MAX), Some(pools[0].incarnation));
    for now in [-2, 0, i64::MAX].map(UnixMillis) {
        for (after, (per_pool_max, max)) in
            [(None, all), (None, (1, 9)), (None, (2, 1)), (some, all), (Some(PoolIncarnation(u64::MAX)), all)]
        {
            for latest in [UnixMillis(1), LATEST] {
                let expected = wait(a.lanes_due(now, latest, after, per_pool_max, max));
                prop_assert_eq!(expected, wait(b.lanes_due(now, latest, after, per_pool_max, max)));
            }
        }
    }
    let lanes = all_lanes(a);
    for lane in &lanes {
        let at = &lane.at;
        prop_assert_eq!(wait(a.lane(at)), wait(b.lane(at)));
        prop_assert_eq!(wait(a.lanes_parked(None, Some(at), 2)), wait(b.lanes_parked(None, Some(at), 2)));
        for (max, bytes_max) in [(usize::MAX, usize::MAX), (2, usize::MAX), (9, 6), (9, 0)] {
            prop_assert_eq!(wait(a.events(at, max, bytes_max)), wait(b.events(at, max, bytes_max)));
        }
        let events = wait(b.events(at, usize::MAX, usize::MAX)).unwrap();
        prop_assert_eq!(events.len() as u64, lane.events);
    }
    prop_assert_eq!(all_lanes(b), lanes);
    Ok(())
}
