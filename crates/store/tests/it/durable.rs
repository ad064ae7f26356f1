//! Promises of a store on disk beyond the suite: it keeps everything, admits one process, refuses formats that it does
//! not know, and frees space.

use std::fs;
use std::path::Path;

use carryall_core::changes::{Expect, Setting, Write};
use carryall_core::ids::{Generation, SyncCount};
use carryall_core::model::{BulkPublishStatus, Floor, Holdings, PoolRef, Sweep};
use carryall_core::outbox::LaneRef;
use carryall_core::time::UnixMillis;
use carryall_store::{DirLock, OpenError, StoreOptions, StoreUrl, open, open_locked};
use fjall::{Database, KeyspaceCreateOptions};

use crate::outbox_sample::{
    append, at, bulk_publish, change, device_lane, devices, due, lane, leased, parked, parked_lanes,
    positions, remove, set_due, setting, snapshot, stream_of, updated, waiting,
};
use crate::sample::{
    AnyStore, DELETED_ON, create_pool, dataset, delete, identity, must_commit, must_write, open_embedded,
    owner, pool_ref, prefs, put_pool, reclaim_all, record, records, remove_pool, update, wait,
};

fn refusal(dir: &Path) -> OpenError {
    match open(&StoreUrl::Embedded(dir.to_owned()), &StoreOptions::default()) {
        Ok(_) => panic!("the directory was opened"),
        Err(error) => error,
    }
}

/// Rows in each part of the engine. The store must be closed.
fn rows(dir: &Path) -> [usize; 3] {
    let database = Database::builder(dir.join("store")).open().unwrap();
    ["small", "key", "log"]
        .map(|name| database.keyspace(name, KeyspaceCreateOptions::default).unwrap().len().unwrap())
}

#[test]
fn everything_is_there_after_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_embedded(dir.path());
    let at = prefs(&store);
    update(&store, &at, &[("k", Some("v"))]);
    must_write(&store, vec![], vec![Write::PutSetting(Setting::MasterKeyCheck, vec![7])]);
    drop(store);
    let store = open_embedded(dir.path());
    assert_eq!(records(&store, &at, 0), Some(vec![record("k", 1, Some("v"))]));
    assert_eq!(wait(store.setting(Setting::MasterKeyCheck)).unwrap(), Some(vec![7]));
    assert_eq!(wait(store.pool_usage(&at.owner.pool)).unwrap().data_bytes, 2);
    update(&store, &at, &[("k", Some("w"))]);
    assert_eq!(wait(store.head(&at)).unwrap().head.unwrap().sync_count, SyncCount(2));
}

#[test]
fn the_dates_of_a_marker_and_of_a_floor_are_there_after_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_embedded(dir.path());
    let at = prefs(&store);
    update(&store, &at, &[("k", Some("v"))]);
    delete(&store, &at);
    let floor = Floor { sync_count: SyncCount(9), generation: Generation(4), deleted_on: UnixMillis(60) };
    let holdings = Holdings { floor, ..wait(store.heads(&at.owner)).unwrap().holdings };
    must_write(&store, vec![], vec![Write::PutHoldings(at.owner.clone(), holdings)]);
    drop(store);
    let store = open_embedded(dir.path());
    assert_eq!(wait(store.head(&at)).unwrap().head.unwrap().deleted_on, DELETED_ON);
    let absent = wait(store.head(&dataset(&at.owner, "absent"))).unwrap();
    assert_eq!((absent.head, absent.floor), (None, floor));
}

#[test]
fn a_second_holder_is_refused_while_the_first_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_embedded(dir.path());
    assert!(matches!(refusal(dir.path()), OpenError::InUse { dir: held } if held == dir.path()));
    drop(store);
    let lock = DirLock::acquire(dir.path()).unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::InUse { .. }));
    let store = open_locked(lock, &StoreOptions::default()).unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::InUse { .. }));
    drop(store);
    drop(open_embedded(dir.path()));
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_embedded(dir.path()));
    fs::write(dir.path().join("format"), "6\n").unwrap();
    let journal = dir.path().join("store/0.jnl");
    fs::write(&journal, b"what a newer version writes").unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::NewerVersion { found: 6, understood: 5, .. }), "{error}");
    assert_eq!(fs::read(&journal).unwrap(), b"what a newer version writes");
    fs::write(dir.path().join("format"), "soon\n").unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::Damaged { .. }));
}

#[test]
fn a_directory_whose_creation_was_cut_short_is_created_again() {
    let dir = tempfile::tempdir().unwrap();
    let engine = dir.path().join("store");
    fs::create_dir_all(engine.join("keyspaces")).unwrap();
    fs::write(engine.join("0.jnl"), b"").unwrap();
    fs::write(dir.path().join("format.new"), b"").unwrap();
    let store = open_embedded(dir.path());
    create_pool(&store);
    drop(store);
    fs::remove_file(dir.path().join("format")).unwrap();
    let store = open_embedded(dir.path());
    assert_eq!(wait(store.pools(None, 9)).unwrap().len(), 1, "a whole engine without a format is kept");
}

#[test]
fn a_directory_that_lost_its_engine_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_embedded(dir.path()));
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    assert!(matches!(refusal(dir.path()), OpenError::Damaged { .. }));
}

#[test]
fn a_postgres_store_is_politely_declined() {
    let url: StoreUrl = "postgres://user:secret@host/db".parse().unwrap();
    let Err(error) = open(&url, &StoreOptions::default()) else { panic!("it was opened") };
    assert!(error.to_string().contains("later version"), "{error}");
}

/// Removes and deletes until nothing can be reached, then frees it in slices of `rows_max`.
fn emptied(dir: &Path, rows_max: usize, reopen: bool) {
    let mut store = open_embedded(dir);
    let kept = pool_ref("b", 1);
    put_pool(&store, &kept);
    let pool = create_pool(&store);
    fill(&store, &pool);
    remove_pool(&store, &pool);
    let gone = dataset(&owner(&kept, "a:9"), "gone");
    update(&store, &gone, &[("k", Some("v")), ("l", Some("v"))]);
    delete(&store, &gone);
    while wait(store.reclaim(rows_max)).unwrap().more {
        if reopen {
            drop(store);
            store = open_embedded(dir);
        }
    }
    must_write(
        &store,
        vec![],
        vec![
            Write::RemoveHead(gone.clone()),
            Write::RemoveHoldings(gone.owner.clone()),
            Write::RemovePool(kept),
        ],
    );
    reclaim_all(&store, rows_max);
}

fn fill(store: &AnyStore, pool: &PoolRef) {
    for number in 0..5 {
        let at = dataset(&owner(pool, &format!("a:{number}")), "prefs");
        for round in 0..3 {
            update(store, &at, &[("k", Some(&round.to_string())), ("l", None), ("m", Some("v"))]);
        }
        let sweep = Sweep { owner: at.owner.clone(), not_before: UnixMillis(number) };
        must_write(
            store,
            vec![Expect::NoIdentity(at.owner.clone())],
            vec![
                Write::PutIdentity(identity(at.owner.clone())),
                Write::PutSweep(sweep),
                Write::PutDevices(at.owner.clone(), devices(1, &["d"])),
                Write::PutBulkPublish(pool.clone(), bulk_publish(1, BulkPublishStatus::Succeeded)),
            ],
        );
        fill_outbox(store, &stream_of(&at), number);
        fill_outbox(store, &device_lane(&at, "d"), number);
        if number % 2 == 0 {
            delete(store, &at);
        }
    }
}

fn fill_outbox(store: &AnyStore, lane: &LaneRef, number: i64) {
    for count in 1..=3 {
        append(store, &updated(lane, count, number));
    }
    remove(store, lane, &[change(1)]);
    if number % 2 == 0 {
        set_due(store, lane, parked(number));
    }
}

#[test]
fn reclaiming_leaves_a_store_as_empty_as_a_fresh_one() {
    for (rows_max, reopen) in [(1000, false), (3, false), (1, true)] {
        let dir = tempfile::tempdir().unwrap();
        emptied(dir.path(), rows_max, reopen);
        // The counters of ids and of batches are all that a store keeps of its past.
        assert_eq!(rows(dir.path()), [2, 0, 0], "in slices of {rows_max}");
    }
}

#[test]
fn updates_leave_one_log_row_and_one_stub_per_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_embedded(dir.path());
    let at = prefs(&store);
    for round in 0..10 {
        update(&store, &at, &[("k", Some(&round.to_string())), ("l", None)]);
    }
    drop(store);
    assert_eq!(rows(dir.path())[1..], [2, 2]);
}

#[test]
fn an_update_without_effects_writes_no_row_of_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_embedded(dir.path());
    let at = prefs(&store);
    update(&store, &at, &[("k", Some("v"))]);
    drop(store);
    // The two counters, the pool, its usage, the owner's holdings and the head; and the record, twice.
    assert_eq!(rows(dir.path()), [6, 1, 1]);
}

#[test]
fn an_emptied_outbox_leaves_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_embedded(dir.path());
    let prefs = prefs(&store);
    update(&store, &prefs, &[("k", Some("v"))]);
    let lanes = [stream_of(&prefs), device_lane(&prefs, "a"), device_lane(&prefs, "a\u{0}")];
    for lane in &lanes {
        append(&store, &updated(lane, 1, 1));
        append(&store, &snapshot(lane, 1, 1));
        append(&store, &snapshot(lane, 1, 1));
        for state in [leased(9, 1), at(5), parked(3), at(7)] {
            set_due(&store, lane, state);
        }
    }
    drop(store);
    assert_eq!(rows(dir.path()), [6 + 3 * 4, 1, 1], "two events, a lane and a mark");
    let store = open_embedded(dir.path());
    for lane in &lanes {
        let everything = positions(&store, lane);
        let mut settle = setting(lane, at(7), change(2), at(8));
        settle.write.push(Write::RemoveEvents(lane.clone(), everything));
        must_commit(&store, settle);
    }
    drop(store);
    assert_eq!(rows(dir.path()), [6, 1, 1]);
}

#[test]
fn the_outbox_is_there_after_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_embedded(dir.path());
    let prefs = prefs(&store);
    let lanes = [stream_of(&prefs), device_lane(&prefs, "a"), device_lane(&prefs, "b")];
    for lane in &lanes {
        for count in 1..=2 {
            append(&store, &updated(lane, count, 1));
        }
    }
    set_due(&store, &lanes[1], parked(3));
    set_due(&store, &lanes[2], leased(70, 5));
    let all = |store: &AnyStore| {
        let of = |at: &LaneRef| (lane(store, at), wait(store.events(at, 9, usize::MAX)).unwrap());
        (lanes.each_ref().map(of), due(store, 69), due(store, 70), parked_lanes(store, None, 9))
    };
    let before = all(&store);
    for _ in 0..2 {
        drop(store);
        store = open_embedded(dir.path());
        assert_eq!(all(&store), before);
        assert_eq!(waiting(&store, &prefs.owner.pool), 6);
    }
    append(&store, &updated(&lanes[0], 2, 9));
    append(&store, &updated(&lanes[0], 3, 9));
    let now = lane(&store, &lanes[0]).unwrap();
    assert_eq!((now.events, now.state.due), (3, at(1)), "what waited before is known");
    assert_eq!(waiting(&store, &prefs.owner.pool), 7);
}
