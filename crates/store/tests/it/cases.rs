//! The suite: one function per case, each given an empty store. Nothing here knows which store it is.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use carryall_core::changes::{Changes, Expect, PutRecord, Setting, Stamp, UsageDelta, Write};
use carryall_core::ids::{AccessKeyId, Generation, SessionId, SyncCount, Version};
use carryall_core::model::{
    DatasetRef, DeveloperKey, Floor, Head, Holdings, PoolRef, PoolUsage, Record, Sweep,
};
use carryall_core::store::{
    Committed, Health, ListingRange, OwnerView, RecordCursor, RecordRange, StoreError,
};
use carryall_core::time::UnixMillis;
use carryall_core::tombstone::{OldestTombstones, Tombstone};
use futures_util::FutureExt as _;

use crate::sample::{
    self, AnyStore, DELETED_ON, commit, create_pool, dataset, delete, everything, head, identity, key, life,
    listed, must_write, owner, pool, pool_ref, prefs, put_pool, reclaim_all, record, records, remove_pool,
    update, update_of, wait,
};

fn holdings(version: u64) -> Holdings {
    Holdings { version: Version(version), ..Holdings::default() }
}

fn developer_key(id: &str) -> DeveloperKey {
    DeveloperKey {
        id: AccessKeyId::parse(id).unwrap(),
        sealed_secret: vec![0, 255],
        created: UnixMillis(1),
        description: "for the build".into(),
    }
}

const ROOT_KEY: &str = "AKIAROOT00000000";
const OTHER_KEY: &str = "AKIAOTHER0000000";

pub(crate) fn a_commit_is_taken_whole(store: &AnyStore) {
    let at = prefs(store);
    let id = identity(at.owner.clone());
    must_write(
        store,
        vec![Expect::Pool(at.owner.pool.clone())],
        vec![
            Write::PutHead(at.clone(), head(0, 1, Some(life(1, 2)))),
            Write::PutRecords {
                at: at.clone(),
                generation: Generation(0),
                records: vec![PutRecord { record: record("k", 1, Some("v")), replaces: None }],
            },
            Write::PutHoldings(at.owner.clone(), holdings(4)),
            Write::PutIdentity(id.clone()),
            Write::PutKey(developer_key(ROOT_KEY)),
        ],
    );
    let view = wait(store.dataset(&at, &[key("k"), key("l")])).unwrap();
    assert_eq!(view.head, Some(head(0, 1, Some(life(1, 2)))));
    assert_eq!(view.holdings, holdings(4));
    assert_eq!(view.stubs[0].map(|stub| (stub.sync_count, stub.data_bytes)), Some((SyncCount(1), 2)));
    assert_eq!(view.stubs[1], None);
    assert_eq!(records(store, &at, 0), Some(vec![record("k", 1, Some("v"))]));
    assert_eq!(wait(store.identity(&id.at.identity)).unwrap(), Some(id));
    assert_eq!(wait(store.keys()).unwrap(), [developer_key(ROOT_KEY)]);
}

pub(crate) fn a_refused_commit_leaves_no_trace(store: &AnyStore) {
    let at = prefs(store);
    update(store, &at, &[("k", Some("v"))]);
    let new_pool = pool_ref("b", 1);
    let usage = UsageDelta { data_bytes: 7, sync_sessions: 1, modified: Some(UnixMillis(99)) };
    let write = vec![
        Write::PutHead(at.clone(), head(0, 2, Some(life(1, 9)))),
        Write::PutRecords {
            at: at.clone(),
            generation: Generation(0),
            records: vec![PutRecord { record: record("k", 2, Some("w")), replaces: Some(SyncCount(1)) }],
        },
        Write::PutHoldings(at.owner.clone(), holdings(9)),
        Write::AddUsage(at.owner.pool.clone(), usage),
        Write::PutPool(Box::new(pool(new_pool.clone()))),
        Write::PutIdentity(identity(at.owner.clone())),
        Write::PutKey(developer_key(ROOT_KEY)),
        Write::PutSetting(Setting::MasterKeyCheck, vec![1]),
        Write::PutSweep(Sweep { owner: at.owner.clone(), not_before: UnixMillis(0) }),
        Write::RemovePool(at.owner.pool.clone()),
    ];
    let before = everything_about(store, &at);
    let expect = vec![Expect::Pool(at.owner.pool.clone()), Expect::Dataset(at.clone(), None)];
    assert_eq!(commit(store, expect, write), Ok(Committed::Refused));
    assert_eq!(everything_about(store, &at), before);
    assert_eq!(wait(store.pool(&new_pool.id)).unwrap(), None);
    assert_eq!(wait(store.identity(&at.owner.identity)).unwrap(), None);
    assert_eq!(wait(store.keys()).unwrap(), []);
    assert_eq!(wait(store.setting(Setting::MasterKeyCheck)).unwrap(), None);
    assert_eq!(wait(store.sweeps(UnixMillis(1), 9)).unwrap(), []);
}

fn everything_about(store: &AnyStore, at: &DatasetRef) -> (OwnerView, Option<Vec<Record>>, PoolUsage) {
    let usage = wait(store.pool_usage(&at.owner.pool)).unwrap();
    (wait(store.heads(&at.owner)).unwrap(), records(store, at, 0), usage)
}

pub(crate) fn every_expectation_refuses_exactly_when_it_is_false(store: &AnyStore) {
    let at = prefs(store);
    update(store, &at, &[("k", Some("v"))]);
    let (here, gone) = (at.owner.pool.clone(), pool_ref("a", 2));
    let unused = dataset(&at.owner, "unused");
    let stranger = owner(&here, "a:2");
    must_write(
        store,
        vec![],
        vec![Write::PutIdentity(identity(at.owner.clone())), Write::PutKey(developer_key(ROOT_KEY))],
    );
    let stamp =
        |generation, count| Some(Stamp { generation: Generation(generation), sync_count: SyncCount(count) });
    let check = |expect: Expect, holds: bool| {
        assert_eq!(sample::holds(store, expect.clone()), holds, "{expect:?}");
    };
    check(Expect::Pool(here.clone()), true);
    check(Expect::Pool(gone.clone()), false);
    check(Expect::Pool(pool_ref("b", 1)), false);
    check(Expect::PoolVersion(here.clone(), Version(1)), true);
    check(Expect::PoolVersion(here.clone(), Version(2)), false);
    check(Expect::PoolVersion(gone, Version(1)), false);
    check(Expect::NoPool(pool_ref("b", 1).id), true);
    check(Expect::NoPool(here.id.clone()), false);
    check(Expect::Dataset(at.clone(), stamp(0, 1)), true);
    check(Expect::Dataset(at.clone(), stamp(0, 2)), false);
    check(Expect::Dataset(at.clone(), stamp(1, 1)), false);
    check(Expect::Dataset(at.clone(), None), false);
    check(Expect::Dataset(unused.clone(), None), true);
    check(Expect::Dataset(unused, stamp(0, 0)), false);
    check(Expect::Holdings(at.owner.clone(), Version(1)), true);
    check(Expect::Holdings(at.owner.clone(), Version(0)), false);
    check(Expect::Holdings(stranger.clone(), Version(0)), true);
    check(Expect::Identity(at.owner.clone()), true);
    check(Expect::Identity(stranger.clone()), false);
    check(Expect::NoIdentity(stranger), true);
    check(Expect::NoIdentity(at.owner.clone()), false);
    check(Expect::NoIdentity(owner(&pool_ref("b", 1), "a:1")), false);
    check(Expect::NoKey(developer_key(OTHER_KEY).id), true);
    check(Expect::NoKey(developer_key(ROOT_KEY).id), false);
    check(Expect::NoSetting(Setting::MasterKeyCheck), true);
    must_write(store, vec![], vec![Write::PutSetting(Setting::MasterKeyCheck, vec![])]);
    check(Expect::NoSetting(Setting::MasterKeyCheck), false);
}

pub(crate) fn a_read_after_an_ok_sees_the_change(store: &AnyStore) {
    let at = prefs(store);
    assert_eq!(wait(store.head(&at)).unwrap().head, None, "and its absence is no lasting truth");
    for count in 1..=20 {
        update(store, &at, &[("k", Some(&count.to_string()))]);
        let seen = wait(store.head(&at)).unwrap().head.unwrap();
        assert_eq!(seen.sync_count, SyncCount(count));
        assert_eq!(records(store, &at, 0).unwrap(), [record("k", count, Some(&count.to_string()))]);
    }
    delete(store, &at);
    assert_eq!(wait(store.head(&at)).unwrap().head.unwrap().life, None);
}

/// Hands over all changes in their order before it waits for the first answer.
pub(crate) fn all_at_once(
    store: &AnyStore,
    changes: impl Iterator<Item = Changes>,
) -> Vec<Result<Committed, StoreError>> {
    let begun = changes.map(|changes| {
        let mut answer = store.commit(changes);
        let already = (&mut answer).now_or_never();
        (already, answer)
    });
    let begun: Vec<_> = begun.collect();
    begun.into_iter().map(|(already, answer)| already.unwrap_or_else(|| wait(answer))).collect()
}

/// Every commit expects what the one before it leaves, and they are all under way at once.
pub(crate) fn commits_that_wait_together_see_one_another(store: &AnyStore) {
    let at = prefs(store);
    let step = |count: u64| {
        let before = (count > 1).then(|| head(0, count - 1, Some(life(1, count - 1))));
        let replaces = (count > 1).then(|| SyncCount(count - 1));
        let put = PutRecord { record: record("k", count, Some("v")), replaces };
        Changes {
            expect: vec![Expect::Dataset(at.clone(), before.as_ref().map(Stamp::of))],
            write: vec![
                Write::PutHead(at.clone(), head(0, count, Some(life(1, count)))),
                Write::PutRecords { at: at.clone(), generation: Generation(0), records: vec![put] },
                Write::AddUsage(
                    at.owner.pool.clone(),
                    UsageDelta { data_bytes: 1, sync_sessions: 0, modified: None },
                ),
            ],
        }
    };
    let outcomes = all_at_once(store, (1..=700).map(step));
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Committed::Done)), "each was taken in its turn");
    assert_eq!(records(store, &at, 0), Some(vec![record("k", 700, Some("v"))]), "and nothing older is left");
    assert_eq!(wait(store.pool_usage(&at.owner.pool)).unwrap().data_bytes, 700);
    let again = all_at_once(store, (1..=700).map(step));
    assert!(again.iter().all(|outcome| *outcome == Ok(Committed::Refused)), "and none is taken twice");
    assert_eq!(wait(store.pool_usage(&at.owner.pool)).unwrap().data_bytes, 700);
}

pub(crate) fn exactly_one_writer_wins_each_count(store: &AnyStore) {
    let at = prefs(store);
    let wins = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (at, wins) = (&at, &wins);
            scope.spawn(move || {
                let mine = format!("k{writer}");
                for _ in 0..25 {
                    let changes = update_of(store, at, &[(&mine, Some("v")), ("shared", Some(&mine))]);
                    match wait(store.commit(changes)).unwrap() {
                        Committed::Done => drop(wins.fetch_add(1, Ordering::Relaxed)),
                        Committed::Refused => {}
                    }
                }
            });
        }
    });
    let wins = wins.into_inner();
    assert!(wins >= 25, "somebody always gets through");
    let seen = wait(store.head(&at)).unwrap().head.unwrap();
    assert_eq!(seen.sync_count, SyncCount(wins), "as many counts as winners");
    let all = records(store, &at, 0).unwrap();
    let life = seen.life.unwrap();
    assert_eq!(all.len(), life.records as usize);
    assert_eq!(all.iter().map(Record::data_bytes).sum::<u64>(), life.data_bytes);
    assert_eq!(all.last().unwrap().sync_count, SyncCount(wins));
}

pub(crate) fn records_come_in_the_order_of_count_and_key(store: &AnyStore) {
    let at = prefs(store);
    update(store, &at, &[("b", Some("1")), ("a", Some("1")), ("a\u{0}", Some("1")), ("é", Some("1"))]);
    update(store, &at, &[("c", Some(""))]);
    update(store, &at, &[("b", None)]);
    let found = records(store, &at, 0).unwrap();
    let order: Vec<(u64, &str)> = found.iter().map(|r| (r.sync_count.0, r.key.as_str())).collect();
    assert_eq!(order, [(1, "a"), (1, "a\u{0}"), (1, "é"), (2, "c"), (3, "b")]);
    assert_eq!(found[3].value.as_deref(), Some(""), "an empty value is a value");
    assert_eq!(found[4].value, None, "a removed record stays as a marker");
}

pub(crate) fn pages_join_without_gap_or_repetition(store: &AnyStore) {
    let at = prefs(store);
    let texts: Vec<String> = (0..30).map(|number| format!("k{number:02}")).collect();
    for chunk in texts.chunks(7) {
        let patches: Vec<sample::Patch<'_>> = chunk.iter().map(|text| (text.as_str(), Some("v"))).collect();
        update(store, &at, &patches);
    }
    let through = SyncCount(4);
    let all =
        wait(store.records(&at, Generation(0), RecordRange { through, ..everything() })).unwrap().unwrap();
    assert_eq!(all.len(), 28, "what is above the highest count is left out");
    for size in [1, 2, 5, 27, 28, 29] {
        let mut paged = Vec::new();
        let mut after = RecordCursor::Count(SyncCount::ZERO);
        loop {
            let range = RecordRange { after, through, max: Some(size) };
            let page = wait(store.records(&at, Generation(0), range)).unwrap().unwrap();
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = RecordCursor::Record(last.sync_count, last.key.clone());
            paged.extend(page);
        }
        assert_eq!(paged, all, "in pages of {size}");
    }
    for (after, through, left) in [(4, u64::MAX, 2), (u64::MAX, u64::MAX, 0), (3, 2, 0), (5, 9, 0), (0, 0, 0)]
    {
        let after = RecordCursor::Count(SyncCount(after));
        let range = RecordRange { after, through: SyncCount(through), max: None };
        assert_eq!(wait(store.records(&at, Generation(0), range)).unwrap().unwrap().len(), left);
    }
    let behind_all = RecordCursor::Record(SyncCount(u64::MAX), key("z"));
    let range = RecordRange { after: behind_all, through: SyncCount(u64::MAX), max: None };
    assert_eq!(wait(store.records(&at, Generation(0), range)).unwrap(), Some(vec![]));
}

pub(crate) fn a_page_holds_what_matched_when_the_read_began(store: &AnyStore) {
    let at = prefs(store);
    let texts: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    for text in &texts {
        update(store, &at, &[(text, Some("v"))]);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..5 {
                for text in &texts {
                    update(store, &at, &[(text, Some(&round.to_string()))]);
                }
            }
            done.store(true, Ordering::Release);
        });
        let mut last = false;
        while !last {
            last = done.load(Ordering::Acquire);
            let before = wait(store.head(&at)).unwrap().head.unwrap().sync_count;
            let seen = records(store, &at, 0).unwrap();
            let keys: BTreeSet<&str> = seen.iter().map(|record| record.key.as_str()).collect();
            assert_eq!((seen.len(), keys.len()), (texts.len(), texts.len()), "each record is there once");
            assert!(seen.last().unwrap().sync_count >= before);
        }
    });
}

/// Replaces two records in turn, forever deleting the dataset and making it anew in between, until `read` has seen
/// enough.
fn while_two_records_are_replaced(store: &AnyStore, at: &DatasetRef, read: impl Fn()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..400 {
                if round % 50 == 49 {
                    delete(store, at);
                }
                update(store, at, &[("always", Some("v")), ("other", Some("v"))]);
                update(store, at, &[("always", Some("w"))]);
            }
            done.store(true, Ordering::Release);
        });
        let mut last = false;
        while !last {
            last = done.load(Ordering::Acquire);
            read();
        }
    });
}

/// A dataset that exists has both records, the newest of them at the head's count.
fn assert_one_moment(head: Option<&Head>, records: &[Record]) {
    let Some(head) = head.filter(|head| head.life.is_some()) else {
        return assert_eq!(records, [], "a dataset that does not exist has no records");
    };
    assert_eq!(records.len(), 2, "both records exist all the time: {head:?} {records:?}");
    assert_eq!(records.last().unwrap().sync_count, head.sync_count);
}

pub(crate) fn a_listing_is_of_one_moment(store: &AnyStore) {
    let at = prefs(store);
    while_two_records_are_replaced(store, &at, || {
        let found = wait(store.listing(&at, listed())).unwrap();
        assert!(!found.more);
        assert_one_moment(found.head.head.as_ref(), &found.records);
        // Later reads are never behind the count that a listing has reported.
        let count = found.head.effective().sync_count;
        assert!(wait(store.head(&at)).unwrap().effective().sync_count >= count);
    });
}

pub(crate) fn a_whole_dataset_is_of_one_moment(store: &AnyStore) {
    let at = prefs(store);
    while_two_records_are_replaced(store, &at, || {
        let found = wait(store.whole_dataset(&at)).unwrap();
        assert_one_moment(found.head.as_ref(), &found.records);
        let (datasets, is_there) =
            (found.holdings.datasets, found.head.is_some_and(|head| head.life.is_some()));
        assert_eq!(datasets, u32::from(is_there));
    });
}

pub(crate) fn a_listing_ends_at_its_bounds_and_says_so(store: &AnyStore) {
    let at = prefs(store);
    update(store, &at, &[("a", Some("1234")), ("b", Some("1234"))]);
    update(store, &at, &[("c", Some("1234"))]);
    let found = |range| {
        let found = wait(store.listing(&at, range)).unwrap();
        assert_eq!(found.head, wait(store.head(&at)).unwrap());
        let keys: String = found.records.iter().map(|record| record.key.as_str()).collect();
        (keys, found.more)
    };
    // A key of one byte, a value of four, and the frame without which many short records cost nothing.
    let one = 5 + ListingRange::FRAME_BYTES;
    for (bytes_max, keys, more) in [
        (0, "a", true),
        (2 * one - 1, "a", true),
        (2 * one, "ab", true),
        (3 * one - 1, "ab", true),
        (3 * one, "abc", false),
    ] {
        assert_eq!(
            found(ListingRange { bytes_max, ..listed() }),
            (keys.to_owned(), more),
            "{bytes_max} bytes"
        );
    }
    for (max, keys, more) in [(1, "a", true), (2, "ab", true), (3, "abc", false), (4, "abc", false)] {
        assert_eq!(
            found(ListingRange { max: Some(max), ..listed() }),
            (keys.to_owned(), more),
            "{max} records"
        );
    }
    let behind = |count| RecordCursor::Count(SyncCount(count));
    for (after, through, keys) in [
        (behind(1), None, "c"),
        (behind(2), None, ""),
        (behind(9), None, ""),
        (behind(0), Some(SyncCount(1)), "ab"),
        (behind(1), Some(SyncCount(1)), ""),
        (RecordCursor::Record(SyncCount(1), key("a")), Some(SyncCount(1)), "b"),
        (RecordCursor::Record(SyncCount(2), key("c")), None, ""),
    ] {
        let range = ListingRange { after, through, ..listed() };
        assert_eq!(found(range.clone()), (keys.to_owned(), false), "{range:?}");
    }
    assert_eq!(
        found(ListingRange { max: Some(2), through: Some(SyncCount(1)), ..listed() }),
        ("ab".to_owned(), false)
    );
}

/// A commit that removes records from the present life of `at`, expecting it as it stands.
fn removal_of(store: &AnyStore, at: &DatasetRef, removed: &[(&str, u64)]) -> Changes {
    let view = wait(store.dataset(at, &[])).unwrap();
    let before = view.head.unwrap();
    let stamp = Stamp::of(&before);
    let generation = before.generation;
    let after = Head { sync_count: before.sync_count.next(), ..before };
    let tombstone = |(text, count): &(&str, u64)| Tombstone { key: key(text), sync_count: SyncCount(*count) };
    let records = removed.iter().map(tombstone).collect();
    Changes {
        expect: vec![Expect::Dataset(at.clone(), Some(stamp))],
        write: vec![
            Write::PutHead(at.clone(), after),
            Write::RemoveRecords { at: at.clone(), generation, records },
        ],
    }
}

pub(crate) fn removed_records_are_in_no_later_read_and_all_others_are(store: &AnyStore) {
    let at = prefs(store);
    update(store, &at, &[("a", Some("1")), ("b", None), ("c", None), ("d", Some("1"))]);
    update(store, &at, &[("e", None), ("a", Some("2"))]);
    assert!(wait(store.commit(removal_of(store, &at, &[("b", 1), ("d", 1)]))).unwrap().is_done());
    let left = [record("c", 1, None), record("a", 2, Some("2")), record("e", 2, None)];
    assert_eq!(records(store, &at, 0).unwrap(), left);
    let stubs = wait(store.dataset(&at, &[key("a"), key("b"), key("c"), key("d")])).unwrap().stubs;
    assert_eq!(stubs.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, false]);
    update(store, &at, &[("b", Some("again"))]);
    assert_eq!(records(store, &at, 0).unwrap()[3], record("b", 4, Some("again")));
    assert_eq!(wait(store.records(&at, Generation(1), everything())).unwrap(), None);
}

pub(crate) fn the_oldest_tombstones_are_read_until_both_numbers_are_reached(store: &AnyStore) {
    let at = prefs(store);
    assert_eq!(wait(store.tombstones(&at, Generation(0), OldestTombstones::ALL)).unwrap(), None);
    update(store, &at, &[("live", Some("1")), ("bb", None), ("a", None)]);
    update(store, &at, &[("ccc", None), ("dddd", None)]);
    let read = |count, key_bytes| {
        let oldest = OldestTombstones { count, key_bytes };
        let found = wait(store.tombstones(&at, Generation(0), oldest)).unwrap().unwrap();
        found.into_iter().map(|found| (found.key.as_str().to_owned(), found.sync_count.0)).collect::<Vec<_>>()
    };
    let all = [("a", 1), ("bb", 1), ("ccc", 2), ("dddd", 2)].map(|(key, count)| (key.to_owned(), count));
    for (count, key_bytes, found) in
        [(0, 0, 0), (1, 0, 1), (1, 1, 1), (1, 2, 2), (3, 1, 3), (0, 7, 4), (9, 0, 4)]
    {
        assert_eq!(read(count, key_bytes), all[..found], "{count} tombstones, {key_bytes} bytes");
    }
    delete(store, &at);
    assert_eq!(wait(store.tombstones(&at, Generation(0), OldestTombstones::ALL)).unwrap(), None);
}

pub(crate) fn an_ended_life_says_so(store: &AnyStore) {
    let at = prefs(store);
    assert_eq!(records(store, &at, 0), None, "it has not begun");
    update(store, &at, &[("k", Some("v"))]);
    assert_eq!(records(store, &at, 1), None);
    delete(store, &at);
    assert_eq!(records(store, &at, 0), None);
    assert_eq!(records(store, &at, 1), None, "a deleted dataset has no records of any generation");
    assert_eq!(wait(store.dataset(&at, &[key("k")])).unwrap().stubs, [None]);
}

pub(crate) fn a_recreated_dataset_shows_nothing_old(store: &AnyStore) {
    let at = prefs(store);
    update(store, &at, &[("old", Some("v")), ("both", Some("v"))]);
    delete(store, &at);
    update(store, &at, &[("both", Some("w"))]);
    assert_eq!(records(store, &at, 0), None);
    assert_eq!(records(store, &at, 1), Some(vec![record("both", 3, Some("w"))]));
    let stubs = wait(store.dataset(&at, &[key("old"), key("both")])).unwrap().stubs;
    assert_eq!(stubs[0], None);
    assert_eq!(stubs[1].unwrap().sync_count, SyncCount(3));
    reclaim_all(store, 1);
    assert_eq!(records(store, &at, 1), Some(vec![record("both", 3, Some("w"))]));
}

pub(crate) fn forgotten_records_are_gone_while_the_dataset_lives_on(store: &AnyStore) {
    let at = prefs(store);
    update(store, &at, &[("k", Some("v"))]);
    must_write(store, vec![], vec![Write::ForgetRecords(at.clone(), Generation(1))]);
    assert_eq!(records(store, &at, 0).unwrap().len(), 1, "another generation's records are not meant");
    must_write(store, vec![], vec![Write::ForgetRecords(at.clone(), Generation(0))]);
    assert_eq!(records(store, &at, 0), Some(vec![]));
    update(store, &at, &[("l", Some("v"))]);
    assert_eq!(records(store, &at, 0), Some(vec![record("l", 2, Some("v"))]));
    reclaim_all(store, 1);
    assert_eq!(records(store, &at, 0), Some(vec![record("l", 2, Some("v"))]));
}

pub(crate) fn records_without_a_dataset_are_refused_whole(store: &AnyStore) {
    let at = prefs(store);
    let put = |generation| Write::PutRecords {
        at: at.clone(),
        generation: Generation(generation),
        records: vec![PutRecord { record: record("k", 1, Some("v")), replaces: None }],
    };
    let key = Write::PutKey(developer_key(ROOT_KEY));
    let refused = commit(store, vec![], vec![key.clone(), put(0)]);
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
    let new = Write::PutHead(at.clone(), head(0, 1, Some(life(1, 2))));
    let refused = commit(store, vec![], vec![key, new.clone(), put(1)]);
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
    assert_eq!(wait(store.keys()).unwrap(), []);
    assert_eq!(wait(store.head(&at)).unwrap().head, None);
    must_write(store, vec![], vec![put(0), new]);
    assert_eq!(records(store, &at, 0).unwrap().len(), 1, "the order within a commit does not matter");
}

pub(crate) fn a_raised_floor_is_seen_under_every_name(store: &AnyStore) {
    let at = prefs(store);
    let (other, absent) = (dataset(&at.owner, "other"), dataset(&at.owner, "absent"));
    update(store, &at, &[("k", Some("v"))]);
    update(store, &other, &[("k", Some("v"))]);
    delete(store, &at);
    for name in [&at, &other, &absent] {
        assert_eq!(wait(store.head(name)).unwrap().floor, Floor::default());
    }
    let before = wait(store.heads(&at.owner)).unwrap().holdings;
    let floor = Floor { sync_count: SyncCount(2), generation: Generation(1), deleted_on: UnixMillis(60) };
    let raised = Holdings { version: before.version.next(), floor, ..before };
    must_write(
        store,
        vec![Expect::Holdings(at.owner.clone(), before.version)],
        vec![Write::RemoveHead(at.clone()), Write::PutHoldings(at.owner.clone(), raised)],
    );
    for name in [&at, &other, &absent] {
        assert_eq!(wait(store.head(name)).unwrap().floor, floor, "{name:?}");
    }
    assert_eq!(wait(store.head(&at)).unwrap().head, None);
    assert_eq!(wait(store.head(&absent)).unwrap().effective().as_ref(), &floor.head());
    update(store, &at, &[("k", Some("w"))]);
    assert_eq!(records(store, &at, 1), Some(vec![record("k", 3, Some("w"))]), "counts go on from the floor");
    must_write(store, vec![], vec![Write::RemoveHoldings(at.owner.clone())]);
    assert_eq!(wait(store.head(&absent)).unwrap().floor, Floor::default());
}

pub(crate) fn the_date_of_a_deletion_is_kept_with_the_marker(store: &AnyStore) {
    let at = prefs(store);
    let expect_date = |date| {
        assert_eq!(wait(store.head(&at)).unwrap().head.unwrap().deleted_on, date);
        assert_eq!(wait(store.heads(&at.owner)).unwrap().heads[0].1.deleted_on, date);
    };
    update(store, &at, &[("k", Some("v"))]);
    expect_date(UnixMillis(0));
    delete(store, &at);
    expect_date(DELETED_ON);
    update(store, &at, &[("k", Some("v"))]);
    expect_date(UnixMillis(0));
}

pub(crate) fn heads_come_in_the_order_of_names_with_deleted_ones(store: &AnyStore) {
    let at = prefs(store);
    for name in ["b", "a.", "a", "B", "a-"] {
        update(store, &dataset(&at.owner, name), &[("k", Some("v"))]);
    }
    delete(store, &dataset(&at.owner, "a."));
    let view = wait(store.heads(&at.owner)).unwrap();
    let names: Vec<(&str, bool)> =
        view.heads.iter().map(|(name, head)| (name.as_str(), head.life.is_some())).collect();
    assert_eq!(names, [("B", true), ("a", true), ("a-", true), ("a.", false), ("b", true)]);
    assert_eq!((view.holdings.datasets, view.holdings.deleted_names), (4, 1));
}

pub(crate) fn one_identity_never_sees_another(store: &AnyStore) {
    let here = create_pool(store);
    let there = pool_ref("b", 1);
    put_pool(store, &there);
    let owners = [owner(&here, "a:1"), owner(&here, "a:11"), owner(&here, "a:1-"), owner(&there, "a:1")];
    for (number, owner) in owners.iter().enumerate() {
        update(store, &dataset(owner, "d"), &[("k", Some(&number.to_string()))]);
    }
    for (number, owner) in owners.iter().enumerate() {
        assert_eq!(wait(store.heads(owner)).unwrap().heads.len(), 1);
        let found = records(store, &dataset(owner, "d"), 0).unwrap();
        assert_eq!(found, [record("k", 1, Some(&number.to_string()))]);
    }
    assert_eq!(wait(store.heads(&owner(&here, "a:2"))).unwrap(), OwnerView::default());
    assert_eq!(wait(store.pool_usage(&here)).unwrap().data_bytes, 6);
    assert_eq!(wait(store.pool_usage(&there)).unwrap().data_bytes, 2);
}

/// Fills a pool with one of everything that can stand in it.
fn fill(store: &AnyStore, pool: &PoolRef) -> DatasetRef {
    let at = dataset(&owner(pool, "a:1"), "prefs");
    update(store, &at, &[("k", Some("v")), ("l", Some("v"))]);
    update(store, &dataset(&at.owner, "deleted"), &[("k", Some("v"))]);
    delete(store, &dataset(&at.owner, "deleted"));
    must_write(
        store,
        vec![Expect::Pool(pool.clone()), Expect::NoIdentity(at.owner.clone())],
        vec![
            Write::PutIdentity(identity(at.owner.clone())),
            Write::PutSweep(Sweep { owner: at.owner.clone(), not_before: UnixMillis(-5) }),
        ],
    );
    at
}

fn assert_nothing_in(store: &AnyStore, pool: &PoolRef) {
    let at = dataset(&owner(pool, "a:1"), "prefs");
    let view = wait(store.head(&at)).unwrap();
    assert_eq!((view.head, view.floor), (None, Floor::default()));
    assert_eq!(records(store, &at, 0), None);
    let view = wait(store.dataset(&at, &[key("k")])).unwrap();
    assert_eq!((view.head, view.holdings, view.stubs), (None, Holdings::default(), vec![None]));
    assert_eq!(wait(store.heads(&at.owner)).unwrap(), OwnerView::default());
    assert_eq!(wait(store.identities(pool, None, 9)).unwrap(), []);
    assert_eq!(wait(store.pool_usage(pool)).unwrap(), PoolUsage::default());
    assert!(wait(store.sweeps(UnixMillis(0), 9)).unwrap().iter().all(|sweep| sweep.owner.pool != *pool));
}

pub(crate) fn a_removed_pool_is_gone_at_once(store: &AnyStore) {
    let pool = create_pool(store);
    let at = fill(store, &pool);
    assert!(wait(store.head(&at)).unwrap().head.is_some());
    let stale = update_of(store, &at, &[("k", Some("late"))]);
    remove_pool(store, &pool);
    assert_eq!(wait(store.pool(&pool.id)).unwrap(), None);
    assert_eq!(wait(store.pools(None, 9)).unwrap(), []);
    assert_nothing_in(store, &pool);
    assert_eq!(wait(store.identity(&at.owner.identity)).unwrap(), None);
    assert_eq!(wait(store.commit(stale)), Ok(Committed::Refused));
    let holds = |expect| sample::holds(store, expect);
    assert!(holds(Expect::NoPool(pool.id.clone())));
    assert!(holds(Expect::Dataset(at.clone(), None)));
    assert!(holds(Expect::NoIdentity(at.owner.clone())));
    assert!(!holds(Expect::Identity(at.owner.clone())));
    assert!(holds(Expect::Holdings(at.owner.clone(), Version(0))));
    while wait(store.reclaim(1)).unwrap().more {
        assert_nothing_in(store, &pool);
    }
    assert_nothing_in(store, &pool);
}

pub(crate) fn a_recreated_pool_shows_nothing_old(store: &AnyStore) {
    let old = create_pool(store);
    fill(store, &old);
    remove_pool(store, &old);
    let new = pool_ref("a", 2);
    put_pool(store, &new);
    assert_nothing_in(store, &new);
    let at = fill(store, &new);
    let before = everything_about(store, &at);
    reclaim_all(store, 2);
    assert_eq!(everything_about(store, &at), before);
    assert_nothing_in(store, &old);
    let found = wait(store.identity(&at.owner.identity)).unwrap();
    assert_eq!(found.map(|identity| identity.at.pool), Some(new), "the id belongs to the new pool");
    assert_eq!(wait(store.sweeps(UnixMillis(0), 9)).unwrap().len(), 1);
}

pub(crate) fn reclaiming_changes_nothing_that_can_be_read(store: &AnyStore) {
    let at = prefs(store);
    let gone = dataset(&at.owner, "gone");
    update(store, &at, &[("k", Some("v"))]);
    for round in 0..3 {
        let texts: Vec<String> = (0..10).map(|number| format!("{round}-{number}")).collect();
        let patches: Vec<sample::Patch<'_>> = texts.iter().map(|text| (text.as_str(), Some("v"))).collect();
        update(store, &gone, &patches);
        delete(store, &gone);
    }
    let before = everything_about(store, &at);
    while wait(store.reclaim(7)).unwrap().more {
        assert_eq!(everything_about(store, &at), before);
    }
    assert_eq!(everything_about(store, &at), before);
    assert_eq!(wait(store.reclaim(7)).unwrap(), carryall_core::store::Reclaimed::default());
}

pub(crate) fn usage_is_folded_and_never_falls_below_zero(store: &AnyStore) {
    let pool = create_pool(store);
    let add = |data_bytes, sync_sessions, modified: Option<i64>| {
        let delta = UsageDelta { data_bytes, sync_sessions, modified: modified.map(UnixMillis) };
        must_write(store, vec![Expect::Pool(pool.clone())], vec![Write::AddUsage(pool.clone(), delta)]);
        wait(store.pool_usage(&pool)).unwrap()
    };
    let usage = |data_bytes, sync_sessions, modified: Option<i64>| PoolUsage {
        data_bytes,
        sync_sessions,
        modified: modified.map(UnixMillis),
        events_waiting: 0,
        events_bytes: 0,
    };
    assert_eq!(add(0, 1, None), usage(0, 1, None));
    assert_eq!(add(100, 0, Some(50)), usage(100, 1, Some(50)));
    assert_eq!(add(-40, 2, Some(40)), usage(60, 3, Some(50)), "the latest change is the latest");
    assert_eq!(add(-61, 0, Some(60)), usage(0, 3, Some(60)));
    let delta = UsageDelta { data_bytes: 1, ..UsageDelta::default() };
    let twice = vec![Write::AddUsage(pool.clone(), delta), Write::AddUsage(pool.clone(), delta)];
    must_write(store, vec![], twice);
    assert_eq!(wait(store.pool_usage(&pool)).unwrap().data_bytes, 2);
}

pub(crate) fn pools_are_listed_in_pages(store: &AnyStore) {
    let ids = ["a", "b", "c", "d"];
    for id in ids.iter().rev() {
        put_pool(store, &pool_ref(id, 1));
    }
    let page = |after: Option<&str>, max| {
        let after = after.map(|id| pool_ref(id, 1).id);
        let found = wait(store.pools(after.as_ref(), max)).unwrap();
        found.iter().map(|pool| pool.at.id.region().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 9), ids);
    assert_eq!(page(None, 2), ["a", "b"]);
    assert_eq!(page(Some("b"), 1), ["c"]);
    assert_eq!(page(Some("bb"), 9), ["c", "d"], "a cursor need not exist");
    assert_eq!(page(Some("d"), 9), Vec::<String>::new());
    let mut changed = pool(pool_ref("a", 1));
    changed.name = "renamed".into();
    changed.version = Version(2);
    let expect = vec![Expect::PoolVersion(changed.at.clone(), Version(1))];
    let put = vec![Write::PutPool(Box::new(changed.clone()))];
    must_write(store, expect.clone(), put.clone());
    assert_eq!(wait(store.pool(&changed.at.id)).unwrap(), Some(changed));
    assert_eq!(commit(store, expect, put), Ok(Committed::Refused));
}

pub(crate) fn identities_are_found_by_id_and_listed_by_pool(store: &AnyStore) {
    let here = create_pool(store);
    let there = pool_ref("b", 1);
    put_pool(store, &there);
    let all = [owner(&here, "a:1"), owner(&here, "a:11"), owner(&here, "a:2"), owner(&there, "a:3")];
    for at in &all {
        let expect = vec![Expect::Pool(at.pool.clone()), Expect::NoIdentity(at.clone())];
        must_write(store, expect, vec![Write::PutIdentity(identity(at.clone()))]);
    }
    let page = |pool, after: Option<&str>, max| {
        let after = after.map(|id| owner(&here, id).identity);
        let found = wait(store.identities(pool, after.as_ref(), max)).unwrap();
        found.iter().map(|identity| identity.at.identity.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(page(&here, None, 9), ["a:1", "a:11", "a:2"]);
    assert_eq!(page(&here, None, 2), ["a:1", "a:11"]);
    assert_eq!(page(&here, Some("a:11"), 9), ["a:2"]);
    assert_eq!(page(&there, None, 9), ["a:3"]);
    let found = wait(store.identity(&all[3].identity)).unwrap();
    assert_eq!(found, Some(identity(all[3].clone())), "by its id alone");
    let elsewhere = owner(&here, "a:3");
    must_write(store, vec![], vec![Write::RemoveIdentity(elsewhere)]);
    assert!(wait(store.identity(&all[3].identity)).unwrap().is_some(), "only its own pool removes it");
    must_write(store, vec![Expect::Identity(all[0].clone())], vec![Write::RemoveIdentity(all[0].clone())]);
    assert_eq!(wait(store.identity(&all[0].identity)).unwrap(), None);
    assert_eq!(page(&here, None, 9), ["a:11", "a:2"]);
}

pub(crate) fn developer_keys_are_kept_and_revoked(store: &AnyStore) {
    let (root, other) = (developer_key(ROOT_KEY), developer_key(OTHER_KEY));
    for key in [&root, &other] {
        must_write(store, vec![Expect::NoKey(key.id.clone())], vec![Write::PutKey(key.clone())]);
    }
    assert_eq!(wait(store.keys()).unwrap(), [other.clone(), root.clone()]);
    assert_eq!(wait(store.key(&root.id)).unwrap(), Some(root.clone()));
    must_write(store, vec![], vec![Write::RemoveKey(root.id.clone())]);
    assert_eq!(wait(store.key(&root.id)).unwrap(), None);
    assert_eq!(wait(store.keys()).unwrap(), [other]);
}

pub(crate) fn settings_are_kept_once(store: &AnyStore) {
    let name = Setting::MasterKeyCheck;
    assert_eq!(wait(store.setting(name)).unwrap(), None);
    let put = |value: &[u8]| {
        commit(store, vec![Expect::NoSetting(name)], vec![Write::PutSetting(name, value.to_vec())])
    };
    assert_eq!(put(&[0, 1, 255]), Ok(Committed::Done));
    assert_eq!(put(&[2]), Ok(Committed::Refused));
    assert_eq!(wait(store.setting(name)).unwrap(), Some(vec![0, 1, 255]));
}

pub(crate) fn sweeps_come_due_in_order(store: &AnyStore) {
    let pool = create_pool(store);
    let sweep =
        |identity, not_before| Sweep { owner: owner(&pool, identity), not_before: UnixMillis(not_before) };
    let all = [sweep("a:3", -1), sweep("a:2", 10), sweep("a:1", 20), sweep("a:3", 20)];
    for due in all.iter().rev() {
        must_write(store, vec![], vec![Write::PutSweep(due.clone())]);
    }
    let due = |now, max| wait(store.sweeps(UnixMillis(now), max)).unwrap();
    assert_eq!(due(-2, 9), []);
    assert_eq!(due(-1, 9), all[..1]);
    assert_eq!(due(19, 9), all[..2]);
    assert_eq!(due(20, 9), all);
    assert_eq!(due(20, 1), all[..1]);
    must_write(store, vec![], vec![Write::RemoveSweep(all[2].clone())]);
    assert_eq!(due(20, 9), [all[0].clone(), all[1].clone(), all[3].clone()]);
}

pub(crate) fn a_fresh_store_is_ready(store: &AnyStore) {
    assert_eq!(wait(store.health()).unwrap(), Health::Ready);
    let names: Vec<&str> = store.figures().iter().map(|figure| figure.name).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(distinct.len(), names.len(), "each figure once");
    let used = [1, 2].into_iter().map(SessionId).collect();
    let at = prefs(store);
    let mut with_sessions = head(0, 1, Some(life(0, 0)));
    with_sessions.used_sessions = used;
    must_write(store, vec![], vec![Write::PutHead(at.clone(), with_sessions.clone())]);
    assert_eq!(wait(store.head(&at)).unwrap().head, Some(with_sessions));
    assert_eq!(records(store, &at, 0), Some(vec![]), "a dataset may be empty");
}
