//! Directories written by earlier versions of the program, which every later version must open.

use std::fs;
use std::path::{Path, PathBuf};

use carryall_core::changes::{Expect, Setting, Write};
use carryall_core::ids::{AccessKeyId, DatasetName, Generation, SyncCount};
use carryall_core::model::{
    BulkPublishStatus, DatasetRef, DeveloperKey, Floor, Holdings, IdentityRef, Sweep,
};
use carryall_core::outbox::{Entered, Event, EventBody, LaneRef, Page, Position, Sink};
use carryall_core::store::Health;
use carryall_core::time::UnixMillis;

use crate::damage::copy;
use crate::outbox_sample::{
    append, bulk_publish, device_lane, devices, due, lane, parked, parked_lanes, positions, set_due,
    snapshot, stream_of, updated, waiting,
};
use crate::sample::{
    AnyStore, DELETED_ON, create_pool, dataset, delete, identity, must_write, open_embedded, owner, pool,
    pool_ref, reclaim_all, record, records, update, wait,
};

/// Set to write the fixture of the present format instead of reading it.
const WRITE: &str = "CARRYALL_WRITE_FIXTURE";

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}"))
}

fn key() -> DeveloperKey {
    DeveloperKey {
        id: AccessKeyId::parse("AKIAFIXTURE00000").unwrap(),
        sealed_secret: vec![1, 2, 3],
        created: UnixMillis(4),
        description: "of the fixture".into(),
    }
}

/// The dataset that the fixtures hold, and the lanes that hold events of it since format 2.
fn place() -> (DatasetRef, [LaneRef; 2]) {
    let at = dataset(&owner(&pool_ref("a", 1), "a:1"), "prefs");
    let lanes = [stream_of(&at), device_lane(&at, "d\u{0}1")];
    (at, lanes)
}

/// The identity that has a floor since format 5.
fn of_floor() -> IdentityRef {
    owner(&pool_ref("a", 1), "a:2")
}

const FLOOR: Floor =
    Floor { sync_count: SyncCount(9), generation: Generation(4), deleted_on: UnixMillis(60) };

/// The events that wait in the dataset's stream: one of each kind.
fn events(stream: &LaneRef) -> Vec<Event> {
    let deleted = Event { body: EventBody::Deleted, ..updated(stream, 2, 8) };
    vec![updated(stream, 1, 7), deleted, snapshot(stream, 2, 9)]
}

/// The page that a bulk publication has come to since format 4.
fn page() -> Event {
    let (at, _) = place();
    let of = |name: &str| (at.owner.identity.clone(), DatasetName::parse(name).unwrap());
    let (identity, name) = of("prefs");
    let entered = vec![Entered { identity, name, sync_count: SyncCount(2) }];
    let lane = LaneRef { dataset: at.clone(), sink: Sink::Publication };
    let body = EventBody::Page(Page { through: Some(of("shapes")), entered });
    Event { lane, position: Position::bulk(SyncCount(1)), at: UnixMillis(12), body }
}

/// One of everything.
fn write(dir: &Path) {
    let store = open_embedded(dir);
    create_pool(&store);
    let (at, lanes) = place();
    let owner = at.owner.clone();
    update(&store, &at, &[("kept", Some("v")), ("removed", Some("v"))]);
    update(&store, &at, &[("removed", None)]);
    update(&store, &dataset(&owner, "deleted"), &[("k", Some("v"))]);
    delete(&store, &dataset(&owner, "deleted"));
    must_write(
        &store,
        vec![Expect::NoIdentity(owner.clone())],
        vec![
            Write::PutIdentity(identity(owner.clone())),
            Write::PutSweep(Sweep { owner: owner.clone(), not_before: UnixMillis(6) }),
            Write::PutKey(key()),
            Write::PutSetting(Setting::MasterKeyCheck, vec![9]),
            Write::PutDevices(owner.clone(), devices(3, &["d\u{0}1", "e"])),
            Write::PutBulkPublish(owner.pool, bulk_publish(2, BulkPublishStatus::InProgress)),
        ],
    );
    for event in events(&lanes[0]) {
        append(&store, &event);
    }
    append(&store, &Event { body: EventBody::Notice, ..updated(&lanes[1], 2, 8) });
    set_due(&store, &lanes[1], parked(11));
    append(&store, &page());
    let holdings = Holdings { floor: FLOOR, ..Holdings::default() };
    must_write(&store, vec![], vec![Write::PutHoldings(of_floor(), holdings)]);
    drop(store);
    // Opened once more, the journal gives back the room that it reserved.
    drop(open_embedded(dir));
}

/// Checks the rows of every format.
fn check(store: &AnyStore) {
    let (at, _) = place();
    let owner = at.owner.clone();
    assert_eq!(wait(store.pools(None, 9)).unwrap(), [pool(owner.pool.clone())]);
    assert_eq!(wait(store.pool_usage(&owner.pool)).unwrap().data_bytes, 5);
    let kept = vec![record("kept", 1, Some("v")), record("removed", 2, None)];
    assert_eq!(records(store, &at, 0), Some(kept));
    let heads = wait(store.heads(&owner)).unwrap();
    let names: Vec<(&str, u64)> =
        heads.heads.iter().map(|(name, head)| (name.as_str(), head.sync_count.0)).collect();
    assert_eq!(names, [("deleted", 2), ("prefs", 2)]);
    assert_eq!((heads.holdings.datasets, heads.holdings.deleted_names), (1, 1));
    assert_eq!(wait(store.identity(&owner.identity)).unwrap(), Some(identity(owner.clone())));
    assert_eq!(wait(store.sweeps(UnixMillis(6), 9)).unwrap(), [Sweep { owner, not_before: UnixMillis(6) }]);
    assert_eq!(wait(store.keys()).unwrap(), [key()]);
    assert_eq!(wait(store.setting(Setting::MasterKeyCheck)).unwrap(), Some(vec![9]));
    assert_eq!(wait(store.health()).unwrap(), Health::Ready);
    assert_eq!(
        reclaim_all(store, 100),
        2,
        "the deleted dataset's record and its stub were still to be freed"
    );
    update(store, &at, &[("kept", Some("w"))]);
    assert_eq!(wait(store.head(&at)).unwrap().head.unwrap().sync_count, SyncCount(3));
}

/// Checks the rows that format 2 added. A publication that was under way before format 4 has failed.
fn check_outbox(store: &AnyStore, published: &BulkPublishStatus) {
    let (at, [stream, device]) = place();
    let pages = u64::from(*published == BulkPublishStatus::InProgress);
    assert_eq!(waiting(store, &at.owner.pool), 4 + pages);
    assert_eq!(wait(store.events(&stream, 9, usize::MAX)).unwrap(), events(&stream));
    assert_eq!((due(store, 6), due(store, 7)), (vec![], vec![stream]));
    assert_eq!(parked_lanes(store, None, 9), std::slice::from_ref(&device));
    let state = lane(store, &device).unwrap().state;
    assert_eq!((state.due, state.attempts, state.trouble.as_str()), (parked(11), 3, "no route"));
    let notice = Event { body: EventBody::Notice, ..updated(&device, 2, 8) };
    assert_eq!(wait(store.events(&device, 9, 9)).unwrap(), [notice]);
    assert_eq!(wait(store.devices(&at.owner)).unwrap(), devices(3, &["d\u{0}1", "e"]));
    let bulk = bulk_publish(2, published.clone());
    assert_eq!(wait(store.bulk_publish(&at.owner.pool)).unwrap(), Some(bulk));
}

fn interrupted() -> BulkPublishStatus {
    let message =
        "The server was updated to a version that cannot continue it. Publish the pool again.".into();
    BulkPublishStatus::Failed { message }
}

fn format_of(dir: &Path) -> String {
    fs::read_to_string(dir.join("format")).unwrap()
}

/// Heads of formats 1 and 2 do not say how many bytes their tombstones' keys have; since format 3 they do.
fn check_tombstones(store: &AnyStore, key_bytes: Option<u64>) {
    let (at, _) = place();
    let life = wait(store.head(&at)).unwrap().head.unwrap().life.unwrap();
    assert_eq!((life.tombstones, life.tombstone_key_bytes), (1, key_bytes));
    assert_eq!(life.tombstones_forgotten_through, SyncCount::ZERO);
}

/// Markers of deleted names and floors have dates since format 5.
fn check_dates(store: &AnyStore, deleted_on: UnixMillis, floor: UnixMillis) {
    let (at, _) = place();
    let marker = wait(store.head(&dataset(&at.owner, "deleted"))).unwrap().head.unwrap();
    assert_eq!(marker.deleted_on, deleted_on);
    assert_eq!(wait(store.heads(&of_floor())).unwrap().holdings.floor.deleted_on, floor);
}

#[test]
fn a_directory_of_format_1_is_used_and_is_of_format_5_then() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(1), dir.path());
    // What a crash leaves that came while an earlier start was raising the number.
    fs::write(dir.path().join("format.new"), b"").unwrap();
    assert_eq!(format_of(dir.path()), "1\n");
    let store = open_embedded(dir.path());
    assert_eq!(format_of(dir.path()), "5\n", "before anything is written that format 1 does not know");
    check_tombstones(&store, None);
    check_dates(&store, UnixMillis(0), UnixMillis(0));
    check(&store);
    let (at, [stream, _]) = place();
    assert_eq!((waiting(&store, &at.owner.pool), lane(&store, &stream)), (0, None));
    append(&store, &updated(&stream, 3, 1));
    drop(store);
    let store = open_embedded(dir.path());
    assert_eq!((waiting(&store, &at.owner.pool), positions(&store, &stream).len()), (1, 1));
    assert_eq!(wait(store.pool_usage(&at.owner.pool)).unwrap().data_bytes, 5);
    drop(store);
    assert_eq!(format_of(dir.path()), "5\n");
}

/// A directory of `format` is used, and is of format 5 then.
fn opens_and_is_of_format_5_then(
    format: u32,
    tombstone_key_bytes: Option<u64>,
    published: &BulkPublishStatus,
) {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(format), dir.path());
    assert_eq!(format_of(dir.path()), format!("{format}\n"));
    let store = open_embedded(dir.path());
    assert_eq!(format_of(dir.path()), "5\n");
    check_tombstones(&store, tombstone_key_bytes);
    check_dates(&store, UnixMillis(0), UnixMillis(0));
    check_outbox(&store, published);
    check(&store);
    check_outbox(&store, published);
}

#[test]
fn a_directory_of_format_2_is_used_and_is_of_format_5_then() {
    opens_and_is_of_format_5_then(2, None, &interrupted());
}

#[test]
fn a_directory_of_format_3_is_used_and_is_of_format_5_then() {
    opens_and_is_of_format_5_then(3, Some("removed".len() as u64), &interrupted());
}

#[test]
fn a_directory_of_format_4_is_used_and_is_of_format_5_then() {
    opens_and_is_of_format_5_then(4, Some("removed".len() as u64), &BulkPublishStatus::InProgress);
}

#[test]
fn a_directory_of_format_5_opens_and_holds_what_was_stored() {
    if std::env::var_os(WRITE).is_some() {
        fs::remove_dir_all(fixture(5)).ok();
        write(&fixture(5));
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(5), dir.path());
    assert_eq!(format_of(dir.path()), "5\n");
    let store = open_embedded(dir.path());
    check_tombstones(&store, Some("removed".len() as u64));
    check_dates(&store, DELETED_ON, FLOOR.deleted_on);
    let under_way = BulkPublishStatus::InProgress;
    check_outbox(&store, &under_way);
    let page = page();
    assert_eq!(due(&store, 12), [stream_of(&page.lane.dataset), page.lane.clone()]);
    assert_eq!(wait(store.events(&page.lane, 9, usize::MAX)).unwrap(), [page]);
    check(&store);
    check_outbox(&store, &under_way);
}
