//! Values and moves of the outbox for the tests.

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::devices::{Device, Devices, Platform, PushToken};
use carryall_core::ids::{DatasetName, DeviceId, Generation, LeaseId, SyncCount, Version};
use carryall_core::model::{BulkPublish, BulkPublishStatus, DatasetRef, PoolRef};
use carryall_core::outbox::{Due, Event, EventBody, Lane, LaneRef, LaneState, Parked, Position, Sink};
use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;

use crate::sample::{AnyStore, dataset, must_commit, must_write, owner, record, wait};

pub(crate) fn device_id(text: &str) -> DeviceId {
    DeviceId::parse(text).unwrap()
}

pub(crate) fn stream_of(at: &DatasetRef) -> LaneRef {
    LaneRef { dataset: at.clone(), sink: Sink::Stream }
}

pub(crate) fn device_lane(at: &DatasetRef, device: &str) -> LaneRef {
    LaneRef { dataset: at.clone(), sink: Sink::Device(device_id(device)) }
}

/// The stream's lane of the dataset `name` of one identity.
pub(crate) fn lane_in(pool: &PoolRef, name: &str) -> LaneRef {
    stream_of(&dataset(&owner(pool, "a:1"), name))
}

pub(crate) fn change(count: u64) -> Position {
    Position::change(SyncCount(count))
}

pub(crate) fn bulk(count: u64) -> Position {
    Position::bulk(SyncCount(count))
}

/// The event of the update that made `count`.
pub(crate) fn updated(lane: &LaneRef, count: u64, at: i64) -> Event {
    let body = EventBody::Updated(vec![record("k", count, Some("v")), record("gone", count, None)]);
    Event { lane: lane.clone(), position: change(count), at: UnixMillis(at), body }
}

pub(crate) fn snapshot(lane: &LaneRef, count: u64, at: i64) -> Event {
    let body = EventBody::Snapshot { generation: Generation(1) };
    Event { lane: lane.clone(), position: bulk(count), at: UnixMillis(at), body }
}

pub(crate) fn append(store: &AnyStore, event: &Event) {
    let expect = vec![Expect::Pool(event.lane.dataset.owner.pool.clone())];
    must_write(store, expect, vec![Write::AppendEvent(event.clone())]);
}

pub(crate) fn remove(store: &AnyStore, lane: &LaneRef, positions: &[Position]) {
    must_write(store, vec![], vec![Write::RemoveEvents(lane.clone(), positions.to_vec())]);
}

pub(crate) fn leased(until: i64, lease: u64) -> Due {
    Due::Leased { until: UnixMillis(until), lease: LeaseId(lease) }
}

pub(crate) fn parked(since: i64) -> Due {
    Due::Parked { why: Parked::Undeliverable, since: UnixMillis(since) }
}

pub(crate) fn at(moment: i64) -> Due {
    Due::At(UnixMillis(moment))
}

/// The commit by which the relay sets a lane that is due as `expected` to `due`.
pub(crate) fn setting(lane: &LaneRef, expected: Due, first: Position, due: Due) -> Changes {
    let state = LaneState { due, attempts: 3, trouble: "no route".into() };
    Changes {
        expect: vec![Expect::Lane(lane.clone(), expected)],
        write: vec![Write::SetLane { at: lane.clone(), seen_first: change(0), first, state }],
    }
}

/// Sets how a lane is due and nothing else of it.
pub(crate) fn set_due(store: &AnyStore, lane: &LaneRef, due: Due) {
    let before = wait(store.lane(lane)).unwrap().unwrap();
    must_commit(store, setting(lane, before.state.due, before.first, due));
}

pub(crate) fn lane(store: &AnyStore, at: &LaneRef) -> Option<Lane> {
    wait(store.lane(at)).unwrap()
}

/// The positions of all events of a lane.
pub(crate) fn positions(store: &AnyStore, at: &LaneRef) -> Vec<Position> {
    let events = wait(store.events(at, usize::MAX, usize::MAX)).unwrap();
    events.iter().map(|event| event.position).collect()
}

pub(crate) fn waiting(store: &AnyStore, pool: &PoolRef) -> u64 {
    wait(store.pool_usage(pool)).unwrap().events_waiting
}

/// All lanes that are due at `now`.
/// Later than no lane can be due.
pub(crate) const LATEST: UnixMillis = UnixMillis(i64::MAX);

pub(crate) fn due(store: &AnyStore, now: i64) -> Vec<LaneRef> {
    places(wait(store.lanes_due(UnixMillis(now), LATEST, None, usize::MAX, usize::MAX)))
}

pub(crate) fn parked_lanes(store: &AnyStore, after: Option<&LaneRef>, max: usize) -> Vec<LaneRef> {
    places(wait(store.lanes_parked(None, after, max)))
}

pub(crate) fn places(lanes: Result<Vec<Lane>, StoreError>) -> Vec<LaneRef> {
    lanes.unwrap().into_iter().map(|lane| lane.at).collect()
}

pub(crate) fn devices(version: u64, ids: &[&str]) -> Devices {
    let device = |id: &&str| Device {
        id: device_id(id),
        platform: Platform::ApnsSandbox,
        token: PushToken::parse("token").unwrap(),
        application_arn: "arn:aws:sns:us-east-1:1:app/APNS_SANDBOX/notes".into(),
        endpoint: String::new(),
        enabled: true,
        registered: UnixMillis(-1),
        subscriptions: ["prefs", "other"].into_iter().map(name_of).collect(),
    };
    Devices { version: Version(version), devices: ids.iter().map(device).collect() }
}

fn name_of(text: &str) -> DatasetName {
    DatasetName::parse(text).unwrap()
}

pub(crate) fn bulk_publish(version: u64, status: BulkPublishStatus) -> BulkPublish {
    BulkPublish {
        version: Version(version),
        status,
        started: UnixMillis(7),
        succeeded: Some(UnixMillis(8)),
        datasets: 9,
    }
}

/// Every lane that can be found, by its time or among the parked.
pub(crate) fn found(store: &AnyStore) -> (Vec<LaneRef>, Vec<LaneRef>) {
    (due(store, i64::MAX), parked_lanes(store, None, usize::MAX))
}
