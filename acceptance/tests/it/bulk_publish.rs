//! Bulk publication over Kinesis: its messages, its relation to changes that happen meanwhile, its refusals,
//! and its end when the stream, the server or the pool is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use carryall_acceptance::api::{succeeded, text};
use carryall_acceptance::peers::{Fault, FaultProxy, Kinesalite, Stream, StreamRecord, until};
use carryall_acceptance::{Guest, Server, Store, StreamingPool, streaming_to};
use serde_json::{Value, json};

/// The events of a publication that is under way besides those of its datasets: the page that it has come to.
const PAGE_EVENTS: u64 = 1;

/// A server that streams through a proxy to kinesalite, a stream there, and a pool that is switched on.
struct World {
    server: Server,
    proxy: FaultProxy,
    stream: Stream<'static>,
    pool: StreamingPool,
}

impl World {
    fn new(store: Store, name: &'static str) -> Self {
        let stream = Kinesalite::shared().stream(name);
        stream.create(1);
        let proxy = FaultProxy::before(Kinesalite::shared().address());
        let server = Server::start_with(store, streaming_to(&proxy.endpoint_url()));
        let pool = StreamingPool::create(&server, name);
        Self { server, proxy, stream, pool }
    }

    /// Writes `datasets` datasets of one record each while streaming is off, up to 20 for each identity.
    fn fill(&self, datasets: usize) -> BTreeSet<(String, String)> {
        self.pool.switch("DISABLED");
        let mut written = BTreeSet::new();
        let mut guest = self.pool.guest();
        for number in 0..datasets {
            if number > 0 && number % 20 == 0 {
                guest = self.pool.guest();
            }
            let dataset = format!("d{number}");
            self.server.api().put(&guest, &dataset, "k", "v", 0);
            written.insert((guest.identity.clone(), dataset));
        }
        self.pool.switch("ENABLED");
        written
    }

    /// The pool as `carryall pool show` prints it; commands cannot reach a store in another process's memory.
    fn shown(&self) -> Value {
        let shown = self.server.verb(&["pool", "show", &self.pool.id, "--output", "json"]);
        serde_json::from_str(&shown).unwrap()
    }

    fn wait_for_events_waiting(&self, events: u64) {
        until(&format!("{events} events wait"), || (self.shown()["EventsWaiting"] == events).then_some(()));
    }

    fn datasets_published(&self) -> u64 {
        self.shown()["BulkPublish"]["DatasetsPublished"].as_u64().unwrap()
    }
}

/// The dataset of a record: identity and name.
fn dataset_of(record: &Value) -> (String, String) {
    (text(&record["identityId"]), text(&record["datasetName"]))
}

fn is_bulk(record: &Value) -> bool {
    text(&record["eventId"]).ends_with("/bulk")
}

fn bulk_records(records: &[StreamRecord]) -> Vec<Value> {
    records.iter().map(StreamRecord::json).filter(is_bulk).collect()
}

/// The key, value and count of each record of a message.
fn held(record: &Value) -> Vec<(String, Option<String>, u64)> {
    let records = record["kinesisSyncRecords"].as_array().unwrap().iter();
    let one = |record: &Value| {
        let value = record["value"].as_str().map(str::to_owned);
        assert_eq!(record["op"], if value.is_some() { "replace" } else { "remove" }, "{record}");
        (text(&record["key"]), value, record["syncCount"].as_u64().unwrap())
    };
    let mut held: Vec<_> = records.map(one).collect();
    held.sort();
    held
}

fn row(key: &str, value: Option<&str>, count: u64) -> (String, Option<String>, u64) {
    (key.to_owned(), value.map(str::to_owned), count)
}

fn remove(world: &World, guest: &Guest, dataset: &str, key: &str, count: u64) {
    let patch = json!([{ "Op": "remove", "Key": key, "SyncCount": count }]);
    succeeded(&world.server.api().update(guest, dataset, &patch));
}

fn everything_is_published_once(store: Store, name: &'static str) {
    let world = World::new(store, name);
    let (api, pool) = (world.server.api(), &world.pool);
    pool.switch("DISABLED");
    let (ann, bob) = (pool.guest(), pool.guest());
    api.put(&ann, "prefs", "a", "1", 0);
    api.put(&ann, "prefs", "b", "2", 0);
    remove(&world, &ann, "prefs", "a", 1);
    api.put(&ann, "emptied", "x", "1", 0);
    remove(&world, &ann, "emptied", "x", 1);
    api.put(&ann, "deleted", "x", "1", 0);
    api.delete(&ann, "deleted");
    api.put(&bob, "prefs", "old", "1", 0);
    api.delete(&bob, "prefs");
    api.put(&bob, "prefs", "new", "ä\u{0}", 0);
    pool.switch("ENABLED");

    let before = succeeded(&pool.bulk_publish_details());
    assert_eq!(
        (&before["BulkPublishStatus"], &before["IdentityPoolId"]),
        (&json!("NOT_STARTED"), &json!(pool.id))
    );
    for member in ["BulkPublishStartTime", "BulkPublishCompleteTime", "FailureMessage"] {
        assert!(before[member].is_null(), "{before}");
    }
    assert_eq!(succeeded(&pool.bulk_publish())["IdentityPoolId"], pool.id.as_str());
    let done = pool.wait_for_bulk_publish("SUCCEEDED");
    let time = |member: &str| done[member].as_f64().unwrap();
    assert!(time("BulkPublishStartTime") <= time("BulkPublishCompleteTime"), "{done}");
    assert!(done["FailureMessage"].is_null(), "{done}");

    let records = world.stream.records();
    let published = bulk_records(&records);
    assert_eq!(published.len(), records.len(), "nothing but the publication");
    let found: BTreeMap<_, _> = published
        .iter()
        .map(|record| (dataset_of(record), (record["syncCount"].clone(), held(record))))
        .collect();
    let of = |guest: &Guest, dataset: &str| (guest.identity.clone(), dataset.to_owned());
    let expected = BTreeMap::from([
        (of(&ann, "prefs"), (json!(3), vec![row("a", None, 3), row("b", Some("2"), 2)])),
        (of(&ann, "emptied"), (json!(2), vec![row("x", None, 2)])),
        (of(&bob, "prefs"), (json!(3), vec![row("new", Some("ä\u{0}"), 3)])),
    ]);
    assert_eq!((found, published.len()), (expected, 3));
    for (record, raw) in published.iter().zip(&records) {
        assert_eq!((&record["operation"], &record["payloadType"]), (&json!("replace"), &json!("Inline")));
        assert_eq!(text(&record["identityId"]), raw.partition_key);
    }
    if store == Store::Embedded {
        assert_eq!(world.shown()["BulkPublish"]["BulkPublishStatus"], "SUCCEEDED");
        assert_eq!(world.datasets_published(), 3);
    }
    assert!((world.server.metric("carryall_bulk_publish_datasets_total", "") - 3.0).abs() < 0.5);
}

#[test]
fn every_dataset_is_published_once_with_its_live_and_its_removed_records() {
    everything_is_published_once(Store::Embedded, "published-embedded");
}

#[test]
fn a_publication_is_the_same_over_a_store_in_memory() {
    everything_is_published_once(Store::Memory, "published-memory");
}

/// The answers to four simultaneous callers.
fn begin_at_once(pool: &StreamingPool) -> Vec<(u16, String)> {
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| pool.bulk_publish().outcome())).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

#[test]
fn a_publication_is_refused_while_streaming_is_off_while_one_runs_and_within_a_day_of_a_success() {
    let world = World::new(Store::Embedded, "refused");
    let pool = &world.pool;
    let plain =
        StreamingPool::existing(&world.server, &world.server.api().new_pool(&world.server.root()), "none");
    let refusal = plain.bulk_publish();
    assert_eq!(refusal.outcome(), (400, "InvalidParameterException".to_owned()));
    assert!(refusal.message().contains("StreamingStatus"), "{}", refusal.message());
    world.fill(1);
    pool.switch("DISABLED");
    assert_eq!(pool.bulk_publish().outcome(), (400, "InvalidParameterException".to_owned()));
    assert_eq!(succeeded(&pool.bulk_publish_details())["BulkPublishStatus"], "NOT_STARTED");
    pool.switch("ENABLED");

    world.proxy.set(Fault::Silence);
    let mut begun = begin_at_once(pool);
    begun.sort();
    let duplicate = (400, "DuplicateRequestException".to_owned());
    assert_eq!(begun, [(200, String::new()), duplicate.clone(), duplicate.clone(), duplicate.clone()]);
    world.proxy.wait_for("PutRecord", 1);
    let running = succeeded(&pool.bulk_publish_details());
    assert_eq!(running["BulkPublishStatus"], "IN_PROGRESS");
    assert!(running["BulkPublishStartTime"].is_number() && running["BulkPublishCompleteTime"].is_null());
    assert_eq!(pool.bulk_publish().outcome(), duplicate);
    let shown = world.server.verb(&["pool", "show", &pool.id]);
    assert!(shown.contains("IN_PROGRESS, 0 datasets, begun "), "{shown}");

    world.proxy.set(Fault::None);
    let done = pool.wait_for_bulk_publish("SUCCEEDED");
    let refusal = pool.bulk_publish();
    assert_eq!(refusal.outcome(), (400, "AlreadyStreamedException".to_owned()));
    let next = refusal.message();
    let of_day = done["BulkPublishCompleteTime"].as_f64().unwrap() % 86_400.0;
    let clock = |unit: f64| format!("{:02.0}", (of_day / unit).floor() % 60.0);
    let (hour, minute, second) = (clock(3600.0), clock(60.0), clock(1.0));
    assert!(next.contains(&format!("T{hour}:{minute}:{second}")), "24 hours after {done}: {next}");
    assert_eq!(succeeded(&pool.bulk_publish_details()), done, "a refusal changes nothing");
    assert_eq!(world.stream.records().len(), 1);
}

#[test]
fn an_empty_pool_is_published_at_once() {
    let world = World::new(Store::Embedded, "empty");
    succeeded(&world.pool.bulk_publish());
    world.pool.wait_for_bulk_publish("SUCCEEDED");
    assert_eq!(world.datasets_published(), 0);
    assert!(world.stream.records().is_empty());
}

#[test]
fn a_published_dataset_stands_between_the_changes_before_and_after_it() {
    let world = World::new(Store::Embedded, "between");
    let (api, guest) = (world.server.api(), world.pool.guest());
    world.proxy.set(Fault::json_error(500, "InternalFailure"));
    api.put(&guest, "busy", "k", "1", 0);
    api.put(&guest, "busy", "kept", "2", 0);
    api.put(&guest, "quiet", "k", "1", 0);
    succeeded(&world.pool.bulk_publish());
    world.wait_for_events_waiting(5 + PAGE_EVENTS);
    api.put(&guest, "busy", "k", "3", 1);
    api.put(&guest, "busy", "late", "4", 0);
    assert!(world.stream.records().is_empty());
    world.proxy.set(Fault::None);
    world.pool.wait_for_bulk_publish("SUCCEEDED");

    let records: Vec<Value> = world.stream.wait_for(7).iter().map(StreamRecord::json).collect();
    let of = |dataset: &str| -> Vec<&Value> {
        records.iter().filter(|record| record["datasetName"] == dataset).collect()
    };
    let busy = of("busy");
    let order: Vec<(Option<u64>, bool)> =
        busy.iter().map(|record| (record["syncCount"].as_u64(), is_bulk(record))).collect();
    assert_eq!(
        order,
        [(Some(1), false), (Some(2), false), (Some(2), true), (Some(3), false), (Some(4), false)]
    );
    // It has nothing newer than its own count; later changes follow behind it.
    assert!(held(busy[2]).iter().all(|(.., count)| *count <= 2), "{}", busy[2]);
    assert!(held(busy[2]).contains(&row("kept", Some("2"), 2)), "{}", busy[2]);
    // A consumer that applies the messages in order ends with the dataset's records.
    let mut replica = BTreeMap::new();
    for (key, value, count) in busy.iter().flat_map(|record| held(record)) {
        assert!(replica.get(&key).is_none_or(|(_, before)| *before <= count), "{key} goes back to {count}");
        replica.insert(key, (value, count));
    }
    let listed = api.list(&guest, "busy")["Records"].take();
    let listed: BTreeMap<String, (Option<String>, u64)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|record| {
            (text(&record["Key"]), (Some(text(&record["Value"])), record["SyncCount"].as_u64().unwrap()))
        })
        .collect();
    assert_eq!(replica, listed);
    let quiet = of("quiet");
    assert_eq!((quiet.len(), is_bulk(quiet[1])), (2, true));
    assert_eq!(held(quiet[1]), [row("k", Some("1"), 1)]);
}

/// Applies one dataset's messages in order, and returns the count at which it was published.
fn read_in_order(messages: &[&Value]) -> u64 {
    let (mut replica, mut reached, mut published) = (BTreeMap::new(), 0, Vec::new());
    for message in messages {
        let count = message["syncCount"].as_u64().unwrap();
        if is_bulk(message) {
            assert_eq!(count, reached, "published between the changes before and after it");
            for (key, value, count) in held(message) {
                assert_eq!(replica.get(&key), Some(&(value, count)), "{key} at count {reached}");
            }
            published.push(count);
        } else {
            assert_eq!(count, reached + 1);
            reached = count;
            replica.extend(held(message).into_iter().map(|(key, value, count)| (key, (value, count))));
        }
    }
    assert_eq!(published.len(), 1);
    published[0]
}

#[test]
fn a_publication_while_everybody_writes_stands_in_its_place_in_every_dataset() {
    const DEVICES: usize = 4;
    const UPDATES: usize = 30;
    let world = World::new(Store::Embedded, "under-load");
    let (api, guest) = (world.server.api(), world.pool.guest());
    let written = AtomicUsize::new(0);
    let write = |device: usize| {
        for number in 0..UPDATES {
            let patches = json!([
                { "Op": "replace", "Key": format!("{device}"), "Value": "v", "SyncCount": 0 },
                { "Op": "replace", "Key": format!("{device}-{number}"), "Value": "v", "SyncCount": 0 },
            ]);
            let patches = if number == 0 { patches } else { json!([patches[1]]) };
            let dataset = if number % 3 == 0 { "calm" } else { "busy" };
            succeeded(&api.update(&guest, dataset, &patches));
            written.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for device in 0..DEVICES {
            let write = &write;
            scope.spawn(move || write(device));
        }
        until("half of it is written", || {
            (written.load(Ordering::Relaxed) >= DEVICES * UPDATES / 2).then_some(())
        });
        succeeded(&world.pool.bulk_publish());
    });
    world.pool.wait_for_bulk_publish("SUCCEEDED");
    let records: Vec<Value> =
        world.stream.wait_for(DEVICES * UPDATES + 2).iter().map(StreamRecord::json).collect();
    for dataset in ["busy", "calm"] {
        let messages: Vec<&Value> =
            records.iter().filter(|record| record["datasetName"] == dataset).collect();
        println!("{dataset}: {} messages, published at count {}", messages.len(), read_in_order(&messages));
    }
}

#[test]
fn a_dataset_that_is_deleted_before_its_turn_is_not_published_behind_its_deletion() {
    let world = World::new(Store::Embedded, "deleted-before");
    let (api, guest) = (world.server.api(), world.pool.guest());
    world.proxy.set(Fault::json_error(500, "InternalFailure"));
    api.put(&guest, "gone", "k", "1", 0);
    api.put(&guest, "kept", "k", "1", 0);
    succeeded(&world.pool.bulk_publish());
    world.wait_for_events_waiting(4 + PAGE_EVENTS);
    api.delete(&guest, "gone");
    api.put(&guest, "gone", "k", "new life", 0);
    world.proxy.set(Fault::None);
    world.pool.wait_for_bulk_publish("SUCCEEDED");
    until("the new life is streamed", || {
        world.stream.records().iter().any(|one| one.json()["syncCount"] == 3).then_some(())
    });
    let records: Vec<Value> = world.stream.records().iter().map(StreamRecord::json).collect();
    let gone = records.iter().filter(|record| record["datasetName"] == "gone");
    let told: Vec<(u64, String)> =
        gone.map(|record| (record["syncCount"].as_u64().unwrap(), text(&record["operation"]))).collect();
    let expected = [(1, "replace".to_owned()), (2, "remove".to_owned()), (3, "replace".to_owned())];
    assert_eq!(told, expected, "{records:#?}");
    assert!(records.iter().any(|record| record["datasetName"] == "kept" && is_bulk(record)));
}

#[test]
fn a_publication_fails_with_its_reason_when_the_stream_goes_and_may_be_begun_again() {
    let world = World::new(Store::Embedded, "failing");
    let written = world.fill(12);
    world.proxy.set(Fault::json_error(500, "InternalFailure"));
    world.proxy.set_for_next(3, "PutRecord", Fault::None);
    succeeded(&world.pool.bulk_publish());
    world.proxy.wait_for("PutRecord", 6);
    world.stream.delete();
    world.proxy.set(Fault::None);
    let failed = world.pool.wait_for_bulk_publish("FAILED");
    assert!(text(&failed["FailureMessage"]).contains("ResourceNotFoundException"), "{failed}");
    assert!(
        failed["BulkPublishCompleteTime"].is_null() && failed["BulkPublishStartTime"].is_number(),
        "{failed}"
    );
    let shown = world.server.verb(&["pool", "show", &world.pool.id]);
    assert!(shown.contains("FAILED") && shown.contains("ResourceNotFoundException"), "{shown}");
    world.pool.wait_until_disabled();
    assert_eq!(world.pool.bulk_publish().outcome(), (400, "InvalidParameterException".to_owned()));

    world.stream.create(1);
    world.pool.switch("ENABLED");
    succeeded(&world.pool.bulk_publish());
    let done = world.pool.wait_for_bulk_publish("SUCCEEDED");
    assert!(done["FailureMessage"].is_null() && done["BulkPublishCompleteTime"].is_number(), "{done}");
    let published = bulk_records(&world.stream.records());
    assert_eq!(published.iter().map(dataset_of).collect::<BTreeSet<_>>(), written);
    let outbox = world.server.verb(&["outbox", "list"]);
    assert!(outbox.contains("nothing is parked"), "{outbox}");
    // An event that had been entered before and was waiting is the same event as the one that is entered
    // again.
    world.wait_for_events_waiting(0);
}

#[test]
fn a_publication_fails_when_streaming_is_switched_off_and_what_waits_of_it_waits_on() {
    let world = World::new(Store::Embedded, "switched-off");
    let written = world.fill(3);
    world.proxy.set(Fault::json_error(500, "InternalFailure"));
    succeeded(&world.pool.bulk_publish());
    world.proxy.wait_for("PutRecord", 3);
    world.pool.switch("DISABLED");
    let failed = world.pool.wait_for_bulk_publish("FAILED");
    assert!(text(&failed["FailureMessage"]).contains("switched off"), "{failed}");
    world.proxy.set(Fault::None);
    world.pool.switch("ENABLED");
    let published = bulk_records(&world.stream.wait_for(3));
    assert_eq!(published.iter().map(dataset_of).collect::<BTreeSet<_>>(), written);
    assert_eq!(succeeded(&world.pool.bulk_publish_details())["BulkPublishStatus"], "FAILED");
    world.wait_for_events_waiting(0);
}

#[test]
fn a_dataset_that_cannot_be_published_fails_the_publication_by_name() {
    let world = World::new(Store::Embedded, "too-large");
    world.pool.switch("DISABLED");
    let guest = world.pool.guest();
    world.server.api().put(&guest, "huge", "k", &"\"".repeat(600_000), 0);
    world.server.api().put(&guest, "fine", "k", "v", 0);
    world.pool.switch("ENABLED");
    succeeded(&world.pool.bulk_publish());
    let failed = world.pool.wait_for_bulk_publish("FAILED");
    let message = text(&failed["FailureMessage"]);
    assert!(message.contains("huge") && message.contains("bucket"), "{message}");
    assert_eq!(world.pool.streams()["StreamingStatus"], "ENABLED");
    let fine = world.stream.wait_for(1);
    assert_eq!(bulk_records(&fine)[0]["datasetName"], "fine");
}

#[test]
fn a_publication_goes_on_after_the_server_was_killed_and_nothing_is_missing() {
    /// Datasets that are published before the progress is recorded.
    const PAGE: usize = 256;
    const BEYOND: usize = 24;
    let mut world = World::new(Store::Embedded, "killed");
    let written = world.fill(PAGE + BEYOND);
    // The first page is delivered; then the stream no longer answers.
    world.proxy.set(Fault::Silence);
    world.proxy.set_for_next(PAGE, "PutRecord", Fault::None);
    succeeded(&world.pool.bulk_publish());
    world.proxy.wait_for("PutRecord", PAGE + BEYOND);
    assert_eq!(world.datasets_published(), PAGE as u64);
    world.wait_for_events_waiting(BEYOND as u64 + PAGE_EVENTS);
    world.server.kill();
    world.proxy.set(Fault::None);
    // An operator can see the progress without a server too.
    assert_eq!(world.shown()["BulkPublish"]["BulkPublishStatus"], "IN_PROGRESS");
    assert_eq!(world.datasets_published(), PAGE as u64);
    world.server.restart();

    world.pool.wait_for_bulk_publish("SUCCEEDED");
    assert_eq!(world.datasets_published(), (PAGE + BEYOND) as u64);
    let this_process = world.server.metric("carryall_bulk_publish_datasets_total", "");
    assert!(
        (this_process - f64::from(u32::try_from(BEYOND).unwrap())).abs() < 0.5,
        "it began where it had been: {this_process}"
    );
    let published = bulk_records(&world.stream.records());
    let found: BTreeSet<_> = published.iter().map(dataset_of).collect();
    assert_eq!(found, written);
    world.wait_for_events_waiting(0);
    println!("{} datasets, {} records after a kill", written.len(), published.len());
}

#[test]
fn a_pool_that_is_deleted_in_the_middle_ends_its_publication_quietly() {
    let world = World::new(Store::Embedded, "pool-gone");
    world.fill(5);
    world.proxy.set(Fault::Silence);
    succeeded(&world.pool.bulk_publish());
    world.proxy.wait_for("PutRecord", 5);
    let root = world.server.root();
    let input = json!({ "IdentityPoolId": world.pool.id });
    assert_eq!(world.server.api().identity(Some(&root), "DeleteIdentityPool", &input).status, 200);
    let before = world.proxy.count("PutRecord");
    world.proxy.set(Fault::None);
    assert_eq!(world.pool.bulk_publish_details().outcome(), (404, "ResourceNotFoundException".to_owned()));
    assert_eq!(world.pool.bulk_publish().outcome(), (404, "ResourceNotFoundException".to_owned()));

    // Other pools continue, and nothing of the deleted pool is sent or left behind.
    let other = StreamingPool::create(&world.server, "pool-gone");
    world.server.api().put(&other.guest(), "prefs", "k", "v", 0);
    let records = world.stream.wait_for(1);
    assert_eq!(records[0].json()["identityPoolId"], other.id.as_str());
    until("nothing is delivered any more", || {
        let in_flight = world.server.metric("carryall_deliveries_in_flight", "");
        (in_flight.abs() < 0.5).then_some(())
    });
    assert_eq!((world.stream.records().len(), world.proxy.count("PutRecord")), (1, before + 1));
    let log = world.server.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}
