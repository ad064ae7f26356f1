//! The suite over how lanes of the outbox are found (promise P11): by their time, among the parked, and by one
//! claimant.

use carryall_core::changes::Expect;
use carryall_core::ids::PoolIncarnation;
use carryall_core::model::PoolRef;
use carryall_core::outbox::{Lane, LaneRef};
use carryall_core::store::Committed;
use carryall_core::time::UnixMillis;

use crate::cases::all_at_once;
use crate::outbox_sample::{
    LATEST, append, at, bulk, change, device_lane, due, found, lane, lane_in, leased, parked, parked_lanes,
    places, positions, remove, set_due, setting, snapshot, stream_of, updated,
};
use crate::sample::{self, AnyStore, commit, create_pool, dataset, owner, pool_ref, prefs, put_pool, wait};

pub(crate) fn exactly_one_claimant_gets_a_lane(store: &AnyStore) {
    let stream = stream_of(&prefs(store));
    append(store, &updated(&stream, 1, 10));
    let claim = |lease, until| setting(&stream, at(10), change(1), leased(until, lease));
    let outcomes = all_at_once(store, (0..9).map(|lease| claim(lease, 100)));
    assert_eq!(outcomes[0], Ok(Committed::Done));
    assert!(outcomes[1..].iter().all(|outcome| *outcome == Ok(Committed::Refused)));
    assert_eq!(lane(store, &stream).unwrap().state.due, leased(100, 0));
    let holds = |due| sample::holds(store, Expect::Lane(stream.clone(), due));
    assert!(holds(leased(100, 0)));
    for other in [at(10), at(100), leased(100, 1), leased(101, 0), parked(100)] {
        assert!(!holds(other), "{other:?}");
    }
    let unused = device_lane(&stream.dataset, "unused");
    let expect = vec![Expect::Lane(unused, at(0))];
    assert_eq!(commit(store, expect, vec![]), Ok(Committed::Refused), "no lane, no hold");
    remove(store, &stream, &[change(1)]);
    assert!(!holds(leased(100, 0)), "and none on a lane that is gone");
}

pub(crate) fn a_leased_lane_comes_due_when_its_lease_ends(store: &AnyStore) {
    let stream = stream_of(&prefs(store));
    append(store, &updated(&stream, 1, 10));
    assert_eq!((due(store, 9), due(store, 10)), (vec![], vec![stream.clone()]));
    set_due(store, &stream, leased(100, 1));
    assert_eq!((due(store, 99), due(store, 100)), (vec![], vec![stream.clone()]));
    set_due(store, &stream, leased(100, 2));
    assert_eq!((due(store, 99), due(store, 100)), (vec![], vec![stream.clone()]));
    set_due(store, &stream, at(-5));
    assert_eq!((due(store, -6), due(store, -5)), (vec![], vec![stream.clone()]), "a time may be negative");
}

pub(crate) fn a_lane_is_found_in_one_place(store: &AnyStore) {
    let stream = stream_of(&prefs(store));
    append(store, &updated(&stream, 1, 10));
    let (by_time, among_parked) = ((vec![stream.clone()], vec![]), (vec![], vec![stream.clone()]));
    assert_eq!(found(store), by_time);
    for (state, place) in [
        (parked(i64::MIN), &among_parked),
        (parked(i64::MAX), &among_parked),
        (at(i64::MIN), &by_time),
        (parked(0), &among_parked),
        (leased(i64::MAX, 1), &by_time),
        (leased(5, 1), &by_time),
        (at(5), &by_time),
    ] {
        set_due(store, &stream, state);
        assert_eq!(&found(store), place, "{state:?}");
        let whole = lane(store, &stream).unwrap();
        let listed = wait(store.lanes_due(UnixMillis(i64::MAX), LATEST, None, 9, 9)).unwrap();
        let listed = listed.into_iter().chain(wait(store.lanes_parked(None, None, 9)).unwrap());
        assert_eq!(listed.collect::<Vec<_>>(), [whole], "and looks there as it does on its own");
    }
    set_due(store, &stream, parked(0));
    remove(store, &stream, &[change(1)]);
    assert_eq!(found(store), (vec![], vec![]));
}

pub(crate) fn an_event_joins_a_waiting_lane_without_making_it_due(store: &AnyStore) {
    let stream = stream_of(&prefs(store));
    append(store, &updated(&stream, 1, 10));
    for put_off in [at(500), leased(500, 3), parked(2)] {
        set_due(store, &stream, put_off);
        let before = lane(store, &stream).unwrap();
        let next = before.events + 1;
        append(store, &updated(&stream, next, 20));
        assert_eq!(lane(store, &stream), Some(Lane { events: next, ..before }));
        assert_eq!(due(store, 499), []);
    }
}

pub(crate) fn lanes_due_come_longest_due_first(store: &AnyStore) {
    let pool = create_pool(store);
    let named = |name: &str| lane_in(&pool, name);
    let lanes = [("d", -1), ("b", 0), ("a", 256), ("c", 256), ("e", 300)];
    for (name, moment) in lanes.iter().rev() {
        append(store, &updated(&named(name), 1, *moment));
    }
    let page = |now, per_pool_max| {
        places(wait(store.lanes_due(UnixMillis(now), LATEST, None, per_pool_max, usize::MAX)))
    };
    let expected = lanes.map(|(name, _)| named(name));
    assert_eq!(page(300, usize::MAX), expected);
    assert_eq!(page(299, usize::MAX), expected[..4]);
    assert_eq!(page(0, usize::MAX), expected[..2]);
    assert_eq!(page(300, 3), expected[..3]);
    assert_eq!(page(-2, usize::MAX), []);
}

pub(crate) fn lanes_put_off_further_than_any_clock_would_come_last(store: &AnyStore) {
    let pool = create_pool(store);
    let named = |name: &str| lane_in(&pool, name);
    for (name, moment) in [("now", 10), ("soon", 20), ("latest", 30), ("far", 31), ("farther", i64::MAX)] {
        append(store, &updated(&named(name), 1, moment));
    }
    let page = |now, latest, per_pool_max| {
        let (now, latest) = (UnixMillis(now), UnixMillis(latest));
        places(wait(store.lanes_due(now, latest, None, per_pool_max, usize::MAX)))
    };
    assert_eq!(page(10, 30, usize::MAX), ["now", "far", "farther"].map(named));
    assert_eq!(page(10, 30, 2), ["now", "far"].map(named));
    assert_eq!(page(5, 30, usize::MAX), ["far", "farther"].map(named));
    assert_eq!(page(i64::MAX, 30, usize::MAX).len(), 5, "each once");
}

pub(crate) fn one_pools_backlog_hides_no_other(store: &AnyStore) {
    let pools = ["a", "b", "c", "d"].map(|id| pool_ref(id, 1));
    for pool in &pools {
        put_pool(store, pool);
    }
    for number in 0..40 {
        append(store, &updated(&lane_in(&pools[0], &format!("n{number}")), 1, number));
        append(store, &updated(&lane_in(&pools[2], &format!("n{number}")), 1, 1000));
    }
    append(store, &updated(&lane_in(&pools[1], "n"), 1, 50));
    append(store, &updated(&lane_in(&pools[3], "n"), 1, 60));
    let page = |after: Option<&PoolRef>, per_pool_max, max| {
        let after = after.map(|pool| pool.incarnation);
        let found = places(wait(store.lanes_due(UnixMillis(100), LATEST, after, per_pool_max, max)));
        found.iter().map(|lane| lane.dataset.owner.pool.id.region().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2, 9), ["a", "a", "b", "d"], "the third pool's lanes are not due yet");
    assert_eq!(page(None, 1, 2), ["a", "b"]);
    assert_eq!(page(Some(&pools[1]), 1, 2), ["d"], "and the next page continues behind the last pool");
    assert_eq!(page(Some(&pools[3]), 1, 2), Vec::<String>::new());
    assert_eq!(page(None, 5, 1), ["a"; 5], "a pool is begun while there is room, and then taken whole");
    assert_eq!(page(None, 5, 6).len(), 6);
    assert_eq!(page(None, 5, 0), Vec::<String>::new());
    let last = places(wait(store.lanes_due(UnixMillis(100), LATEST, Some(PoolIncarnation(u64::MAX)), 9, 9)));
    assert_eq!(last, []);
}

pub(crate) fn a_pool_of_the_highest_incarnation_is_found_too(store: &AnyStore) {
    let pool = PoolRef { incarnation: PoolIncarnation(u64::MAX), ..pool_ref("a", 1) };
    put_pool(store, &pool);
    let lanes = ["m", "n"].map(|name| lane_in(&pool, name));
    append(store, &updated(&lanes[0], 1, i64::MAX));
    append(store, &updated(&lanes[1], u64::MAX, 2));
    assert_eq!(due(store, i64::MAX), [lanes[1].clone(), lanes[0].clone()]);
    assert_eq!(due(store, i64::MAX - 1), [lanes[1].clone()]);
    append(store, &snapshot(&lanes[1], u64::MAX, 2));
    assert_eq!(positions(store, &lanes[1]), [change(u64::MAX), bulk(u64::MAX)]);
    for lane in &lanes {
        set_due(store, lane, parked(1));
    }
    assert_eq!(parked_lanes(store, None, 9), lanes);
}

pub(crate) fn parked_lanes_are_listed_in_pages(store: &AnyStore) {
    let (here, there) = (create_pool(store), pool_ref("b", 1));
    put_pool(store, &there);
    let mut lanes = Vec::new();
    for pool in [&here, &there] {
        for (identity, name) in [("a:1", "d"), ("a:1", "d."), ("a:11", "d")] {
            let at = dataset(&owner(pool, identity), name);
            lanes.push(stream_of(&at));
            lanes.extend(["a", "a\u{0}", "a\u{0}b", "aa", "é"].map(|device| device_lane(&at, device)));
        }
    }
    for (since, lane) in (0..).zip(lanes.iter().rev()) {
        append(store, &updated(lane, 1, 1));
        set_due(store, lane, parked(since));
    }
    append(store, &updated(&stream_of(&dataset(&owner(&here, "a:1"), "due")), 1, 1));
    assert_eq!(parked_lanes(store, None, usize::MAX), lanes);
    for size in [1, 2, 5, lanes.len()] {
        let mut paged: Vec<LaneRef> = Vec::new();
        loop {
            let page = parked_lanes(store, paged.last(), size);
            assert!(page.len() <= size);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, lanes, "in pages of {size}");
    }
    let absent = device_lane(&dataset(&owner(&there, "a:11"), "d"), "b");
    assert_eq!(parked_lanes(store, Some(&absent), 9), lanes[lanes.len() - 1..], "a cursor need not exist");
    assert_eq!(parked_lanes(store, None, 0), []);
}
