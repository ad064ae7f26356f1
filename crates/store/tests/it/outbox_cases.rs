//! The suite over the outbox (promise P11): lanes and their events. Like the cases beside it,
//! nothing here knows which store it is.

use carryall_core::changes::{Changes, Expect, UsageDelta, Write};
use carryall_core::ids::SyncCount;
use carryall_core::model::{PoolRef, PoolUsage};
use carryall_core::outbox::{Event, EventBody, Lane, LaneRef, LaneState, Position};
use carryall_core::store::Committed;
use carryall_core::time::UnixMillis;

use crate::cases::all_at_once;
use crate::outbox_sample::{
    LATEST, append, at, bulk, change, device_lane, found, lane, lane_in, leased, parked, places, positions,
    remove, set_due, setting, snapshot, stream_of, updated, waiting,
};
use crate::sample::{
    AnyStore, commit, create_pool, dataset, delete, deletion_of, must_commit, must_write, owner, pool_ref,
    prefs, put_pool, reclaim_all, record, remove_pool, update, update_of, wait,
};

pub(crate) fn events_stand_in_the_order_of_their_positions_over_every_life(store: &AnyStore) {
    let prefs = prefs(store);
    let stream = stream_of(&prefs);
    let mut expected = Vec::new();
    for round in 0..3 {
        let happened = [
            (update_of(store, &prefs, &[("k", Some("v"))]), EventBody::Updated(vec![record("k", 1, None)])),
            (Changes::default(), EventBody::Deleted),
        ];
        for (mut changes, body) in happened {
            if changes.write.is_empty() {
                changes = deletion_of(store, &prefs);
            }
            let position = change(expected.len() as u64 + 1);
            let event = Event { lane: stream.clone(), position, at: UnixMillis(round), body };
            changes.write.push(Write::AppendEvent(event.clone()));
            must_commit(store, changes);
            assert_eq!(wait(store.head(&prefs)).unwrap().head.unwrap().sync_count, position.sync_count);
            expected.push(event);
        }
    }
    assert_eq!(wait(store.events(&stream, usize::MAX, usize::MAX)).unwrap(), expected);
    assert_eq!(lane(store, &stream).unwrap().first, change(1));
}

pub(crate) fn the_order_of_positions_does_not_depend_on_the_order_of_writes(store: &AnyStore) {
    let stream = stream_of(&prefs(store));
    for position in [change(300), bulk(5), change(5), change(256), bulk(300), change(6), change(2)] {
        let event = Event { position, ..updated(&stream, 1, 1) };
        append(store, &event);
    }
    let expected = [change(2), change(5), bulk(5), change(6), change(256), change(300), bulk(300)];
    assert_eq!(positions(store, &stream), expected);
    let now = lane(store, &stream).unwrap();
    assert_eq!((now.events, now.first), (7, change(2)), "no event stands before the first");
}

pub(crate) fn a_lane_is_there_as_long_as_it_holds_events(store: &AnyStore) {
    let prefs = prefs(store);
    let stream = stream_of(&prefs);
    assert_eq!((lane(store, &stream), found(store)), (None, (vec![], vec![])));
    append(store, &updated(&stream, 1, 10));
    let expected =
        Lane { at: stream.clone(), events: 1, first: change(1), state: LaneState::due(UnixMillis(10)) };
    assert_eq!(lane(store, &stream), Some(expected.clone()));
    append(store, &updated(&stream, 2, 20));
    assert_eq!(lane(store, &stream), Some(Lane { events: 2, ..expected.clone() }));
    assert_eq!(found(store), (vec![stream.clone()], vec![]));
    remove(store, &stream, &[change(1)]);
    assert_eq!(lane(store, &stream).unwrap().events, 1);
    remove(store, &stream, &[change(2)]);
    assert_eq!((lane(store, &stream), positions(store, &stream)), (None, vec![]));
    assert_eq!((found(store), waiting(store, &prefs.owner.pool)), ((vec![], vec![]), 0));
    append(store, &updated(&stream, 3, 30));
    let again = Lane { first: change(3), state: LaneState::due(UnixMillis(30)), ..expected };
    assert_eq!(lane(store, &stream), Some(again), "what follows begins a new lane");
}

pub(crate) fn an_event_that_is_put_once_more_counts_once(store: &AnyStore) {
    let prefs = prefs(store);
    let stream = stream_of(&prefs);
    let pool = &prefs.owner.pool;
    append(store, &updated(&stream, 7, 10));
    append(store, &snapshot(&stream, 7, 20));
    append(store, &snapshot(&stream, 7, 30));
    assert_eq!((lane(store, &stream).unwrap().events, waiting(store, pool)), (2, 2));
    let last = wait(store.events(&stream, 9, usize::MAX)).unwrap().pop();
    assert_eq!(last, Some(snapshot(&stream, 7, 30)), "the later one is the one that waits");
    remove(store, &stream, &[change(7)]);
    append(store, &snapshot(&stream, 7, 40));
    assert_eq!((positions(store, &stream), waiting(store, pool)), (vec![bulk(7)], 1));
    remove(store, &stream, &[bulk(7), bulk(7)]);
    assert_eq!((lane(store, &stream), waiting(store, pool)), (None, 0));
    append(store, &snapshot(&stream, 7, 50));
    assert_eq!((positions(store, &stream), waiting(store, pool)), (vec![bulk(7)], 1), "it waits again");
}

pub(crate) fn what_is_set_of_a_lane_is_kept(store: &AnyStore) {
    let stream = stream_of(&prefs(store));
    for count in 1..=4 {
        append(store, &updated(&stream, count, 10));
    }
    let mut settle = setting(&stream, at(10), bulk(2), at(70));
    settle.write.push(Write::RemoveEvents(stream.clone(), vec![change(1), change(2)]));
    must_commit(store, settle);
    let state = LaneState { due: at(70), attempts: 3, trouble: "no route".into() };
    let expected = Lane { at: stream.clone(), events: 2, first: bulk(2), state };
    assert_eq!(lane(store, &stream), Some(expected));
    assert_eq!(positions(store, &stream), [change(3), change(4)]);
    append(store, &updated(&stream, 2, 10));
    assert_eq!(positions(store, &stream), [change(2), change(3), change(4)], "the first place goes back");
    for parked in [carryall_core::outbox::Parked::SwitchedOff, carryall_core::outbox::Parked::Undeliverable] {
        let due = carryall_core::outbox::Due::Parked { why: parked, since: UnixMillis(-8) };
        set_due(store, &stream, due);
        assert_eq!(lane(store, &stream).unwrap().state.due, due);
    }
}

pub(crate) fn setting_a_lane_that_was_emptied_has_no_effect(store: &AnyStore) {
    let prefs = prefs(store);
    let stream = stream_of(&prefs);
    for set_first in [true, false] {
        append(store, &updated(&stream, 1, 10));
        let mut settle = setting(&stream, at(10), bulk(1), at(70));
        settle.write.push(Write::RemoveEvents(stream.clone(), vec![change(1)]));
        if !set_first {
            settle.write.reverse();
        }
        must_commit(store, settle);
        assert_eq!((lane(store, &stream), found(store)), (None, (vec![], vec![])));
    }
    let unused = device_lane(&prefs, "unused");
    let state = LaneState::due(UnixMillis(1));
    must_write(
        store,
        vec![],
        vec![Write::SetLane { at: unused.clone(), seen_first: change(1), first: change(1), state }],
    );
    assert_eq!((lane(store, &unused), found(store)), (None, (vec![], vec![])));
    assert_eq!(waiting(store, &prefs.owner.pool), 0);
}

pub(crate) fn removing_what_is_not_there_counts_for_nothing(store: &AnyStore) {
    let prefs = prefs(store);
    let stream = stream_of(&prefs);
    remove(store, &stream, &[change(1)]);
    append(store, &updated(&stream, 1, 10));
    append(store, &updated(&stream, 2, 10));
    let before = lane(store, &stream);
    remove(store, &stream, &[bulk(1), change(0), change(9)]);
    remove(store, &stream, &[]);
    assert_eq!((lane(store, &stream), waiting(store, &prefs.owner.pool)), (before, 2));
    remove(store, &stream, &[change(9), change(2), bulk(2), change(2)]);
    assert_eq!((positions(store, &stream), waiting(store, &prefs.owner.pool)), (vec![change(1)], 1));
}

pub(crate) fn events_are_read_in_bounded_pieces(store: &AnyStore) {
    let stream = stream_of(&prefs(store));
    let of_bytes = |count, bytes: usize| {
        let mut event = updated(&stream, count, 1);
        let value = "v".repeat(bytes - 5);
        event.body = EventBody::Updated(vec![record("k", count, Some(&value)), record("gone", count, None)]);
        event
    };
    for event in [of_bytes(1, 100), of_bytes(2, 50), snapshot(&stream, 2, 1), of_bytes(3, 51), of_bytes(4, 5)]
    {
        append(store, &event);
    }
    let read = |max, bytes_max| {
        let events = wait(store.events(&stream, max, bytes_max)).unwrap();
        events.iter().map(|event| event.position).collect::<Vec<_>>()
    };
    let all = [change(1), change(2), bulk(2), change(3), change(4)];
    assert_eq!(read(9, usize::MAX), all);
    assert_eq!(read(2, usize::MAX), all[..2]);
    assert_eq!(read(0, usize::MAX), []);
    assert_eq!(read(9, 206), all);
    assert_eq!(read(9, 205), all[..4]);
    assert_eq!(read(9, 201), all[..4]);
    assert_eq!(read(9, 200), all[..3], "what follows is not taken out of turn");
    assert_eq!(read(9, 149), all[..1]);
    assert_eq!(read(9, 0), all[..1], "one event is always read");
    remove(store, &stream, &all[..2]);
    assert_eq!(read(9, 50), all[2..3], "an event without records takes no room, and still is the first");
    assert_eq!(wait(store.events(&device_lane(&stream.dataset, "a"), 9, 9)).unwrap(), []);
}

pub(crate) fn lanes_of_one_dataset_share_nothing(store: &AnyStore) {
    let prefs = prefs(store);
    let mut lanes = vec![stream_of(&prefs)];
    lanes.extend(["a", "a\u{0}", "a\u{0}\u{0}", "a\u{1}", "aa", "é"].map(|id| device_lane(&prefs, id)));
    for (number, lane) in lanes.iter().enumerate() {
        for count in 0..=number as u64 {
            let body = EventBody::Notice;
            let event = Event { lane: lane.clone(), position: change(count), at: UnixMillis(1), body };
            append(store, &event);
        }
    }
    for (number, at) in lanes.iter().enumerate() {
        let expected: Vec<Position> = (0..=number as u64).map(change).collect();
        assert_eq!(positions(store, at), expected, "{at:?}");
        assert_eq!(lane(store, at).unwrap().events, expected.len() as u64);
    }
    remove(store, &lanes[1], &[change(0), change(1)]);
    let left: Vec<u64> = lanes.iter().map(|at| lane(store, at).map_or(0, |lane| lane.events)).collect();
    assert_eq!(left, [1, 0, 3, 4, 5, 6, 7]);
    assert_eq!(waiting(store, &prefs.owner.pool), 26);
}

pub(crate) fn events_that_wait_are_counted_exactly(store: &AnyStore) {
    let (here, there) = (create_pool(store), pool_ref("b", 1));
    put_pool(store, &there);
    let lanes = ["m", "n"].map(|name| lane_in(&here, name));
    let several = [updated(&lanes[0], 1, 1), updated(&lanes[1], 1, 1), updated(&lanes[0], 2, 1)];
    let delta = UsageDelta { data_bytes: 5, sync_sessions: 1, modified: Some(UnixMillis(3)) };
    let mut write: Vec<Write> = several.into_iter().map(Write::AppendEvent).collect();
    write.insert(1, Write::AddUsage(here.clone(), delta));
    must_write(store, vec![], write);
    append(store, &updated(&lane_in(&there, "m"), 1, 1));
    // Each of these events has the keys `k` and `gone` and the value `v`.
    let usage = PoolUsage {
        data_bytes: 5,
        sync_sessions: 1,
        modified: Some(UnixMillis(3)),
        events_waiting: 3,
        events_bytes: 3 * 6,
    };
    assert_eq!(wait(store.pool_usage(&here)).unwrap(), usage);
    assert_eq!(waiting(store, &there), 1);
    let both = vec![
        Write::RemoveEvents(lanes[0].clone(), vec![change(1), change(2)]),
        Write::AppendEvent(updated(&lanes[1], 2, 1)),
        Write::AddUsage(here.clone(), UsageDelta { data_bytes: -9, ..delta }),
    ];
    must_write(store, vec![], both);
    let after = wait(store.pool_usage(&here)).unwrap();
    assert_eq!(
        after,
        PoolUsage { data_bytes: 0, sync_sessions: 2, events_waiting: 2, events_bytes: 2 * 6, ..usage }
    );
    set_due(store, &lanes[1], parked(1));
    assert_eq!(waiting(store, &here), 2, "events of parked lanes wait too");
    append(store, &updated(&lanes[1], 2, 1));
    assert_eq!(wait(store.pool_usage(&here)).unwrap(), after, "an event put once more counts once");
    remove(store, &lanes[1], &[change(1), change(2)]);
    assert_eq!((waiting(store, &here), waiting(store, &there)), (0, 1));
    assert_eq!(wait(store.pool_usage(&here)).unwrap().events_bytes, 0);
}

/// Updates that put events, and a relay that takes them off, are all under way at once.
pub(crate) fn members_of_a_batch_see_each_others_events(store: &AnyStore) {
    let stream = stream_of(&prefs(store));
    let pool = stream.dataset.owner.pool.clone();
    let put = |count: u64| Changes {
        expect: vec![Expect::Pool(pool.clone())],
        write: vec![Write::AppendEvent(updated(&stream, count, 10))],
    };
    let take = |count: u64, expected, due| {
        let mut settle = setting(&stream, expected, bulk(count), due);
        settle.write.insert(0, Write::RemoveEvents(stream.clone(), vec![change(count)]));
        settle
    };
    let mut steps: Vec<Changes> = (1..=600).map(put).collect();
    steps.push(put(600));
    steps.push(take(1, at(10), at(20)));
    steps.push(take(2, at(10), at(21)));
    steps.push(take(2, at(20), parked(5)));
    steps.push(put(601));
    let outcomes = all_at_once(store, steps.into_iter());
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome != Ok(Committed::Done)).count(),
        1,
        "only the stale one is refused"
    );
    assert_eq!(outcomes[602], Ok(Committed::Refused));
    let now = lane(store, &stream).unwrap();
    assert_eq!((now.events, now.first, now.state.due), (599, bulk(2), parked(5)));
    assert_eq!((positions(store, &stream).len(), waiting(store, &pool)), (599, 599));
    assert_eq!(found(store), (vec![], vec![stream.clone()]));
    let everything = positions(store, &stream);
    let last = Changes { expect: vec![], write: vec![Write::RemoveEvents(stream.clone(), everything)] };
    let outcomes = all_at_once(store, [last, put(602), take(602, at(10), at(1))].into_iter());
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Committed::Done)), "{outcomes:?}");
    assert_eq!((lane(store, &stream), found(store), waiting(store, &pool)), (None, (vec![], vec![]), 0));
}

pub(crate) fn a_refused_commit_leaves_no_trace_in_the_outbox(store: &AnyStore) {
    let prefs = prefs(store);
    let (stream, other) = (stream_of(&prefs), device_lane(&prefs, "a"));
    append(store, &updated(&stream, 1, 10));
    let refused = || {
        vec![
            Write::AppendEvent(updated(&stream, 2, 10)),
            Write::AppendEvent(updated(&other, 1, 10)),
            Write::RemoveEvents(stream.clone(), vec![change(1)]),
            Write::SetLane {
                at: stream.clone(),
                seen_first: change(0),
                first: change(2),
                state: LaneState::due(UnixMillis(90)),
            },
        ]
    };
    let before = lane(store, &stream);
    for expect in [Expect::Lane(stream.clone(), at(11)), Expect::Pool(pool_ref("b", 1))] {
        assert_eq!(commit(store, vec![expect], refused()), Ok(Committed::Refused));
        assert_eq!((lane(store, &stream), lane(store, &other)), (before.clone(), None));
        assert_eq!(positions(store, &stream), [change(1)]);
        assert_eq!(found(store), (vec![stream.clone()], vec![]));
        assert_eq!(waiting(store, &prefs.owner.pool), 1);
    }
}

/// A pool with a lane that is due and a parked one.
fn fill(store: &AnyStore, pool: &PoolRef) -> [LaneRef; 2] {
    let at = dataset(&owner(pool, "a:1"), "prefs");
    let lanes = [stream_of(&at), device_lane(&at, "a")];
    for lane in &lanes {
        for count in 1..=3 {
            append(store, &updated(lane, count, 1));
        }
    }
    set_due(store, &lanes[1], parked(2));
    lanes
}

fn assert_nothing_of(store: &AnyStore, lanes: &[LaneRef]) {
    for at in lanes {
        assert_eq!((lane(store, at), positions(store, at)), (None, vec![]));
        assert_eq!(waiting(store, &at.dataset.owner.pool), 0);
    }
    let (due, parked) = found(store);
    assert!(due.iter().chain(&parked).all(|lane| !lanes.contains(lane)));
}

pub(crate) fn a_removed_pools_lanes_are_gone_at_once(store: &AnyStore) {
    let pool = create_pool(store);
    let lanes = fill(store, &pool);
    let others = fill(store, &{
        let other = pool_ref("b", 1);
        put_pool(store, &other);
        other
    });
    remove_pool(store, &pool);
    let late = |store: &AnyStore| {
        for (lane, due) in lanes.iter().zip([at(1), parked(2)]) {
            let claim = setting(lane, due, change(1), leased(9, 9));
            assert_eq!(wait(store.commit(claim.clone())), Ok(Committed::Refused));
            let unasked = vec![Write::RemoveEvents(lane.clone(), vec![change(1)]), claim.write[0].clone()];
            must_write(store, vec![], unasked);
        }
        assert_nothing_of(store, &lanes);
        assert_eq!(found(store), (vec![others[0].clone()], vec![others[1].clone()]));
    };
    late(store);
    while wait(store.reclaim(1)).unwrap().more {
        late(store);
    }
    late(store);
    assert_eq!(waiting(store, &others[0].dataset.owner.pool), 6);
}

pub(crate) fn a_recreated_pool_begins_with_an_empty_outbox(store: &AnyStore) {
    let (old, new) = (create_pool(store), pool_ref("a", 2));
    let before = fill(store, &old);
    remove_pool(store, &old);
    put_pool(store, &new);
    let lanes = fill(store, &new);
    assert_nothing_of(store, &before);
    reclaim_all(store, 2);
    assert_nothing_of(store, &before);
    assert_eq!(waiting(store, &new), 6);
    assert_eq!(found(store), (vec![lanes[0].clone()], vec![lanes[1].clone()]));
    let mine = places(wait(store.lanes_due(UnixMillis(9), LATEST, Some(old.incarnation), 9, 9)));
    assert_eq!(mine, [lanes[0].clone()]);
}

pub(crate) fn events_outlive_their_dataset(store: &AnyStore) {
    let prefs = prefs(store);
    let stream = stream_of(&prefs);
    update(store, &prefs, &[("k", Some("v"))]);
    append(store, &updated(&stream, 1, 1));
    delete(store, &prefs);
    must_write(store, vec![], vec![Write::RemoveHead(prefs.clone())]);
    reclaim_all(store, 9);
    assert_eq!(wait(store.events(&stream, 9, 999)).unwrap(), [updated(&stream, 1, 1)]);
    assert_eq!(lane(store, &stream).unwrap().first.sync_count, SyncCount(1));
}

pub(crate) fn a_settlement_leaves_an_event_that_was_added_before_its_places(store: &AnyStore) {
    let at = stream_of(&prefs(store));
    append(store, &updated(&at, 5, 1));
    append(store, &updated(&at, 6, 1));
    // Decided when the lane began at 5, made when an event of count 1 stands before.
    append(store, &updated(&at, 1, 1));
    let settled = vec![
        Write::RemoveEvents(at.clone(), vec![change(5)]),
        Write::SetLane {
            at: at.clone(),
            seen_first: change(5),
            first: change(5).next(),
            state: LaneState::due(UnixMillis(9)),
        },
    ];
    must_write(store, vec![], settled);
    assert_eq!(positions(store, &at), [change(1), change(6)]);
}
