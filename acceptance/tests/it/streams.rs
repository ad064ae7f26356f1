//! Streams over Kinesis: the contents and the order of records, changes that are not streamed, updates that
//! exceed a record, and streams that are gone.

use std::collections::BTreeSet;
use std::thread;

use carryall_acceptance::api::text;
use carryall_acceptance::peers::{Fault, FaultProxy, Kinesalite, MiniStack, Stream, StreamRecord, until};
use carryall_acceptance::{Api, Guest, Server, Store, StreamingPool, streaming_to};
use serde_json::{Value, json};

/// A server that streams to kinesalite, a stream there, and a pool that is switched on.
fn streaming(store: Store, name: &'static str) -> (Server, Stream<'static>, StreamingPool) {
    let kinesalite = Kinesalite::shared();
    let stream = kinesalite.stream(name);
    stream.create(2);
    let server = Server::start_with(store, streaming_to(&kinesalite.endpoint_url()));
    let pool = StreamingPool::create(&server, name);
    (server, stream, pool)
}

/// The same with a proxy in between.
fn held_back(name: &'static str) -> (Server, Stream<'static>, StreamingPool, FaultProxy) {
    let stream = Kinesalite::shared().stream(name);
    stream.create(1);
    let proxy = FaultProxy::before(Kinesalite::shared().address());
    let server = Server::start_with(Store::Embedded, streaming_to(&proxy.endpoint_url()));
    let pool = StreamingPool::create(&server, name);
    (server, stream, pool, proxy)
}

fn until_nothing_waits(server: &Server, pool: &StreamingPool) {
    until("nothing waits", || {
        server.verb(&["pool", "show", &pool.id]).contains("EventsWaiting                   0").then_some(())
    });
}

fn json_of(records: &[StreamRecord]) -> Vec<Value> {
    records.iter().map(StreamRecord::json).collect()
}

/// Dataset, count and operation of each record.
fn told(records: &[StreamRecord]) -> Vec<(String, u64, String)> {
    let one = |record: Value| {
        let count = record["syncCount"].as_u64().unwrap();
        (text(&record["datasetName"]), count, text(&record["operation"]))
    };
    json_of(records).into_iter().map(one).collect()
}

fn replaced(dataset: &str, count: u64) -> (String, u64, String) {
    (dataset.to_owned(), count, "replace".to_owned())
}

fn removed(dataset: &str, count: u64) -> (String, u64, String) {
    (dataset.to_owned(), count, "remove".to_owned())
}

/// The streamed counts of one dataset, in the order of the stream.
fn counts_of(dataset: &str, records: &[StreamRecord]) -> Vec<u64> {
    let of_dataset = told(records).into_iter().filter(|(name, ..)| name == dataset);
    of_dataset.map(|(_, count, _)| count).collect()
}

fn event_ids(records: &[StreamRecord]) -> Vec<String> {
    json_of(records).iter().map(|record| text(&record["eventId"])).collect()
}

/// Milliseconds since the epoch of a date that the API gave in seconds.
fn milliseconds(seconds: &Value) -> Value {
    let milliseconds = (seconds.as_f64().unwrap() * 1000.0).round();
    json!(format!("{milliseconds:.0}").parse::<i64>().unwrap())
}

/// A record of the API in the form of a stream.
fn as_streamed(record: &Value) -> Value {
    json!({
        "key": record["Key"],
        "value": record["Value"],
        "syncCount": record["SyncCount"],
        "lastModifiedDate": milliseconds(&record["LastModifiedDate"]),
        "deviceLastModifiedDate": milliseconds(&record["DeviceLastModifiedDate"]),
        "op": if record["Value"].is_null() { "remove" } else { "replace" },
    })
}

fn sorted(records: &Value) -> Vec<Value> {
    let mut records = records.as_array().unwrap().clone();
    records.sort_by_key(|record| record["key"].as_str().unwrap().to_owned());
    records
}

/// The expected inline record about `prefs` of this guest, with these records as the API lists them.
fn expected(guest: &Guest, streamed: &Value, operation: &str, count: u64, records: &[Value]) -> Value {
    let records: Vec<Value> = records.iter().map(as_streamed).collect();
    json!({
        "identityPoolId": guest.pool,
        "identityId": guest.identity,
        "dataSetName": "prefs",
        "datasetName": "prefs",
        "operation": operation,
        "kinesisSyncRecords": records,
        "lastModifiedDate": streamed["lastModifiedDate"],
        "payloadType": "Inline",
        "syncCount": count,
        "eventId": streamed["eventId"],
    })
}

fn every_update_and_deletion_makes_one_record(store: Store, name: &'static str) {
    let (server, stream, pool) = streaming(store, name);
    let (api, guest) = (server.api(), pool.guest());
    let dated = json!([
        { "Op": "replace", "Key": "a", "Value": "ä\u{0}\"\n", "SyncCount": 0, "DeviceLastModifiedDate": 1_425_445_567.25 },
        { "Op": "replace", "Key": "b", "Value": "", "SyncCount": 0 },
    ]);
    let first = api.update(&guest, "prefs", &dated).json()["Records"].take();
    let second = json!([
        { "Op": "remove", "Key": "a", "SyncCount": 1 },
        { "Op": "replace", "Key": "c", "Value": "3", "SyncCount": 0 },
    ]);
    let second = api.update(&guest, "prefs", &second).json()["Records"].take();
    // Nothing is written, so nothing is streamed.
    assert_eq!(api.update(&guest, "prefs", &json!([])).status, 200);
    let stale = json!([{ "Op": "replace", "Key": "b", "Value": "x", "SyncCount": 7 }]);
    assert_eq!(api.update(&guest, "prefs", &stale).status, 409);
    api.delete(&guest, "prefs");

    let records = stream.wait_for(3);
    let streamed = json_of(&records);
    assert_eq!(streamed[0]["kinesisSyncRecords"][0]["deviceLastModifiedDate"], 1_425_445_567_250_i64);
    for (streamed, answered, count) in [(&streamed[0], &first, 1), (&streamed[1], &second, 2)] {
        let mut shown = streamed.clone();
        shown["kinesisSyncRecords"] = json!(sorted(&shown["kinesisSyncRecords"]));
        let answered = answered.as_array().unwrap();
        assert_eq!(shown, expected(&guest, streamed, "replace", count, answered));
        assert_eq!(streamed["lastModifiedDate"], milliseconds(&answered[0]["LastModifiedDate"]));
    }
    let mut deletion = streamed[2].clone();
    // A deletion has neither records nor an object for them.
    let none = deletion["kinesisSyncRecords"].take();
    assert!(none.is_null() || none == json!([]), "{none}");
    deletion["kinesisSyncRecords"] = json!([]);
    assert_eq!(deletion, expected(&guest, &streamed[2], "remove", 3, &[]));
    assert!(streamed[2]["lastModifiedDate"].as_i64() >= streamed[1]["lastModifiedDate"].as_i64());
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.partition_key == guest.identity));
    assert_eq!(event_ids(&records).into_iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn every_update_and_every_deletion_makes_one_record_with_every_documented_member() {
    every_update_and_deletion_makes_one_record(Store::Embedded, "members-embedded");
}

#[test]
fn records_are_the_same_over_a_store_in_memory() {
    every_update_and_deletion_makes_one_record(Store::Memory, "members-memory");
}

/// One device, which alone writes its keys, as fast as it can.
fn write_quickly(api: Api, guest: &Guest, dataset: &str, device: usize, updates: usize) {
    for number in 0..updates {
        api.put(guest, dataset, &format!("{device}-{number}"), "v", 0);
    }
}

#[test]
fn a_datasets_records_keep_their_order_over_quick_updates_deletion_and_recreation() {
    const DEVICES: usize = 4;
    const UPDATES: usize = 25;
    let (server, stream, pool) = streaming(Store::Embedded, "ordered");
    let (api, guests) = (server.api(), [pool.guest(), pool.guest()]);
    let write = |guest: &Guest| {
        thread::scope(|scope| {
            for device in 0..DEVICES {
                scope.spawn(move || write_quickly(api, guest, "prefs", device, UPDATES));
            }
        });
    };
    write(&guests[0]);
    api.delete(&guests[0], "prefs");
    write_quickly(api, &guests[0], "prefs", 0, 3);
    write_quickly(api, &guests[1], "prefs", 0, 10);

    let last = (DEVICES * UPDATES) as u64;
    let records = stream.wait_for(DEVICES * UPDATES + 1 + 3 + 10);
    let of = |guest: &Guest| -> Vec<StreamRecord> {
        records.iter().filter(|record| record.partition_key == guest.identity).cloned().collect()
    };
    let first = of(&guests[0]);
    assert_eq!(counts_of("prefs", &first), (1..=last + 4).collect::<Vec<u64>>());
    assert_eq!(told(&first)[DEVICES * UPDATES], removed("prefs", last + 1));
    assert_eq!(counts_of("prefs", &of(&guests[1])), (1..=10).collect::<Vec<u64>>());
}

#[test]
fn what_changes_while_streaming_is_disabled_is_never_streamed() {
    let (server, stream, pool, proxy) = held_back("disabled");
    let (api, guest) = (server.api(), pool.guest());
    api.put(&guest, "prefs", "k", "1", 0);
    stream.wait_for(1);
    pool.switch("DISABLED");
    api.put(&guest, "prefs", "k", "2", 1);
    api.put(&guest, "gone", "k", "1", 0);
    api.delete(&guest, "gone");
    assert!(pool.streams()["DisabledReason"].is_null(), "switched off on purpose: {}", pool.streams());
    pool.switch("ENABLED");
    api.put(&guest, "prefs", "k", "3", 2);
    stream.wait_for(2);
    // Its answer too: an event whose answer is cut off is delivered again.
    until_nothing_waits(&server, &pool);

    // Events that wait when streaming is switched off wait until it is switched on.
    proxy.refuse(true);
    api.put(&guest, "prefs", "k", "4", 3);
    pool.switch("DISABLED");
    api.put(&guest, "prefs", "k", "5", 4);
    until("the waiting event is parked", || {
        (server.metric("carryall_deliveries_total", "parked") > 0.0).then_some(())
    });
    proxy.refuse(false);
    assert_eq!(stream.records().len(), 2);
    pool.switch("ENABLED");
    api.put(&guest, "prefs", "k", "6", 5);
    assert_eq!(counts_of("prefs", &stream.wait_for(4)), [1, 3, 4, 6]);
    assert_eq!(told(&stream.records()).len(), 4);
}

#[test]
fn deleting_an_identity_streams_the_deletion_of_each_of_its_datasets() {
    let (server, stream, pool) = streaming(Store::Embedded, "identities");
    let (api, guest, other) = (server.api(), pool.guest(), pool.guest());
    for dataset in ["a", "b", "gone"] {
        api.put(&guest, dataset, "k", "1", 0);
    }
    api.put(&guest, "b", "k", "2", 1);
    api.delete(&guest, "gone");
    api.put(&other, "a", "k", "1", 0);
    let before = stream.wait_for(6).len();
    let input = json!({ "IdentityIdsToDelete": [guest.identity] });
    assert_eq!(api.identity(Some(&server.root()), "DeleteIdentities", &input).status, 200);
    let records = stream.wait_for(before + 2);
    let mut deletions: Vec<_> = told(&records).into_iter().filter(|(.., what)| what == "remove").collect();
    deletions.sort();
    assert_eq!(deletions, [removed("a", 2), removed("b", 3), removed("gone", 2)]);
    assert_eq!(records.len(), before + 2);
    let mine = records.iter().filter(|record| told(&[(*record).clone()])[0].2 == "remove");
    assert!(mine.clone().all(|record| record.partition_key == guest.identity));
    assert_eq!(mine.count(), 3);
}

/// A value whose JSON exceeds a record, while the dataset stays within its limit.
fn too_large() -> String {
    "\"".repeat(600_000)
}

#[test]
fn a_change_too_large_for_a_record_lies_in_the_bucket_under_a_presigned_url() {
    let (kinesalite, ministack) = (Kinesalite::shared(), MiniStack::shared_checking());
    let bucket = ministack.bucket("large-changes");
    bucket.create();
    let stream = kinesalite.stream("large");
    stream.create(1);
    let writer = ministack.create_user("large-writer", &["s3:PutObject", "s3:GetObject"]);
    let settings = streaming_to(&kinesalite.endpoint_url())
        .acting_as(&writer)
        .endpoint_of("S3", &ministack.endpoint_url())
        .configuration(
            "[large_objects]\nbucket = 'large-changes'\nkey_prefix = 'changes/'\nurl_seconds = 600\n",
        );
    let server = Server::start_with(Store::Embedded, settings);
    let pool = StreamingPool::create(&server, "large");
    let (api, guest) = (server.api(), pool.guest());
    let patches = json!([
        { "Op": "replace", "Key": "large", "Value": too_large(), "SyncCount": 0 },
        { "Op": "replace", "Key": "small", "Value": "s", "SyncCount": 0 },
    ]);
    let answered = api.update(&guest, "prefs", &patches).json()["Records"].take();
    api.put(&guest, "prefs", "small", "t", 1);

    let streamed = json_of(&stream.wait_for(2));
    assert_eq!(streamed[0]["payloadType"], "S3Url");
    assert_eq!((&streamed[0]["syncCount"], &streamed[0]["operation"]), (&json!(1), &json!("replace")));
    assert!(streamed[0]["kinesisSyncRecords"].as_array().is_none_or(Vec::is_empty));
    let url = text(&streamed[0]["kinesisSyncRecordsURL"]);
    assert!(url.starts_with(&ministack.endpoint_url()) && url.contains("X-Amz-Expires=600"), "{url}");
    let fetched = bucket.fetch(&url);
    assert_eq!(fetched.get("content-type"), Some("application/json"));
    let answered: Vec<Value> = answered.as_array().unwrap().iter().map(as_streamed).collect();
    assert_eq!(sorted(&fetched.json()), sorted(&json!(answered)));
    let forged = url.replace("X-Amz-Signature=", "X-Amz-Signature=0");
    assert_eq!(bucket.fetch(&forged).status, 403);
    assert!(bucket.keys()[0].starts_with("changes/"), "{:?}", bucket.keys());

    assert_eq!((&streamed[1]["payloadType"], &streamed[1]["syncCount"]), (&json!("Inline"), &json!(2)));
    assert!(streamed[1].get("kinesisSyncRecordsURL").is_none());
    assert!(pool.streams()["DisabledReason"].is_null());

    // A bulk publication's message is as large, and its records are in a separate object.
    assert_eq!(pool.bulk_publish().status, 200);
    let published = stream.wait_for(3)[2].json();
    assert_eq!((&published["payloadType"], &published["syncCount"]), (&json!("S3Url"), &json!(2)));
    let listed = api.list(&guest, "prefs")["Records"].take();
    let listed: Vec<Value> = listed.as_array().unwrap().iter().map(as_streamed).collect();
    let fetched = bucket.fetch(&text(&published["kinesisSyncRecordsURL"])).json();
    assert_eq!(sorted(&fetched), sorted(&json!(listed)));
    assert_eq!(bucket.fetch(&url).status, 200, "the first object is still there");
}

#[test]
fn a_record_of_exactly_the_limit_is_inline_and_one_of_a_byte_more_is_not() {
    const LIMIT: usize = 1024 * 1024;
    let (server, stream, pool) = streaming(Store::Embedded, "exact");
    let (api, guest) = (server.api(), pool.guest());
    api.put(&guest, "set-0", "k", "v", 0);
    let first = stream.wait_for(1).remove(0);
    let rest = LIMIT - (first.data.len() + first.partition_key.len() - "v".len());
    api.put(&guest, "set-1", "k", &"v".repeat(rest + 1), 0);
    api.put(&guest, "set-2", "k", &"v".repeat(rest), 0);
    let second = stream.wait_for(2).remove(1);
    assert_eq!(second.data.len() + second.partition_key.len(), LIMIT);
    assert_eq!(told(&[second]), [replaced("set-2", 1)]);
    let reason = text(&until("the larger one is parked", || parked(&server).pop())["Trouble"]);
    assert!(reason.contains(&(LIMIT + 1).to_string()) && reason.contains("set-1"), "{reason}");
}

#[test]
fn changes_beyond_what_may_wait_are_not_streamed_and_the_pool_says_so() {
    let stream = Kinesalite::shared().stream("backlog");
    stream.create(1);
    let proxy = FaultProxy::before(Kinesalite::shared().address());
    let settings = streaming_to(&proxy.endpoint_url()).configuration("[outbox]\nevents_per_pool_max = 5\n");
    let server = Server::start_with(Store::Embedded, settings);
    let pool = StreamingPool::create(&server, "backlog");
    let (api, guest) = (server.api(), pool.guest());
    proxy.set(Fault::json_error(500, "InternalFailure"));
    for count in 0..7 {
        api.put(&guest, "prefs", "k", "v", count);
    }
    let reason =
        until("the reason is reported", || pool.streams()["DisabledReason"].as_str().map(str::to_owned));
    assert!(reason.starts_with("Changes were not streamed: 5 events"), "{reason}");
    assert_eq!(pool.streams()["StreamingStatus"], "ENABLED");
    proxy.set(Fault::None);
    assert_eq!(counts_of("prefs", &stream.wait_for(5)), [1, 2, 3, 4, 5]);
    until_nothing_waits(&server, &pool);
    api.put(&guest, "prefs", "k", "v", 7);
    assert_eq!(counts_of("prefs", &stream.wait_for(6)), [1, 2, 3, 4, 5, 8]);
    let log = server.log();
    assert_eq!(log.matches("a change could not be streamed").count(), 1, "not once for each update: {log}");
}

fn parked(server: &Server) -> Vec<Value> {
    let list: Value = serde_json::from_str(&server.verb(&["outbox", "list", "--output", "json"])).unwrap();
    list["Parked"].as_array().unwrap().clone()
}

#[test]
fn without_a_bucket_a_change_too_large_for_a_record_is_parked_until_an_operator_decides() {
    let (server, stream, pool) = streaming(Store::Embedded, "parked");
    let (api, guest) = (server.api(), pool.guest());
    api.put(&guest, "large", "k", &too_large(), 0);
    let reason =
        until("the reason is reported", || pool.streams()["DisabledReason"].as_str().map(str::to_owned));
    for part in ["large", guest.identity.as_str(), "bucket", "large_objects"] {
        assert!(reason.contains(part), "{part} in {reason}");
    }
    assert_eq!(pool.streams()["StreamingStatus"], "ENABLED");
    api.put(&guest, "large", "small", "1", 0);
    api.put(&guest, "other", "k", "1", 0);
    assert_eq!(told(&stream.wait_for(1)), [replaced("other", 1)]);

    let listed = until("the event is listed", || parked(&server).pop());
    let event = text(&listed["EventId"]);
    assert!(event.ends_with(&format!("/{}/large/1/stream", guest.identity)), "{event}");
    assert_eq!((&listed["Events"], &listed["SwitchedOff"]), (&json!(2), &json!(false)), "{listed}");
    assert!(text(&listed["Trouble"]).contains("bucket"), "{listed}");
    let shown = server.verb(&["outbox", "list"]);
    assert!(shown.contains(&event) && shown.contains("2 waiting") && shown.contains("bucket"), "{shown}");
    assert!(!shown.contains("\"\"\""), "no value is shown");

    // Retried without a bucket, it is parked again, and no event behind it overtakes.
    server.verb(&["outbox", "retry", &event]);
    until("parked again", || parked(&server).pop());
    assert_eq!(stream.records().len(), 1);
    assert!(server.verb(&["outbox", "drop", &event]).contains(&event));
    assert_eq!(told(&stream.wait_for(2)), [replaced("other", 1), replaced("large", 2)]);
    assert_eq!(parked(&server), [] as [Value; 0]);
    pool.switch("ENABLED");
    assert!(pool.streams()["DisabledReason"].is_null(), "forgotten with the next setting");
}

#[test]
fn a_stream_that_is_gone_switches_streaming_off_until_it_is_mended() {
    let (server, stream, pool, proxy) = held_back("vanishing");
    let (api, guest) = (server.api(), pool.guest());
    api.put(&guest, "a", "k", "1", 0);
    stream.wait_for(1);
    proxy.set(Fault::json_error(500, "InternalFailure"));
    for count in 1..=3 {
        api.put(&guest, "a", "k", "v", count);
    }
    api.put(&guest, "b", "k", "1", 0);
    api.delete(&guest, "b");
    assert!(pool.streams()["DisabledReason"].is_null(), "a failure that may pass is no reason");
    stream.delete();
    proxy.set(Fault::None);
    let reason = pool.wait_until_disabled();
    assert!(reason.contains("ResourceNotFoundException") && reason.contains("vanishing"), "{reason}");
    until("both datasets wait for it", || (parked(&server).len() == 2).then_some(()));
    assert!(parked(&server).iter().all(|lane| lane["SwitchedOff"] == true));
    // Clients notice nothing, and their changes are no longer streamed.
    api.put(&guest, "a", "k", "5", 4);

    stream.create(1);
    pool.switch("ENABLED");
    api.put(&guest, "a", "k", "6", 5);
    let records = stream.wait_for(6);
    assert_eq!(counts_of("a", &records), [2, 3, 4, 6]);
    let of_b: Vec<_> = told(&records).into_iter().filter(|(name, ..)| name == "b").collect();
    assert_eq!(of_b, [replaced("b", 1), removed("b", 2)]);
    assert_eq!(
        (&pool.streams()["StreamingStatus"], &pool.streams()["DisabledReason"]),
        (&json!("ENABLED"), &Value::Null)
    );
    assert_eq!(parked(&server), [] as [Value; 0]);
}

#[test]
fn a_caller_who_may_not_write_to_the_stream_is_told_why_streaming_is_off() {
    let ministack = MiniStack::shared_checking();
    let stream = ministack.stream("denied");
    stream.create(1);
    let reader = ministack.create_user("denied-reader", &["kinesis:DescribeStreamSummary"]);
    let settings = streaming_to(&ministack.endpoint_url()).acting_as(&reader);
    let server = Server::start_with(Store::Memory, settings);
    let pool = StreamingPool::create(&server, "denied");
    let guest = pool.guest();
    server.api().put(&guest, "prefs", "k", "1", 0);
    let reason = pool.wait_until_disabled();
    assert!(reason.contains("PutRecord"), "{reason}");
    assert!(!reason.contains(&reader.secret_access_key), "{reason}");
    server.api().put(&guest, "prefs", "k", "2", 1);
    assert!(stream.records().is_empty());
}

#[test]
fn a_wrong_key_of_the_server_itself_switches_no_stream_off() {
    let ministack = MiniStack::shared_checking();
    let stream = ministack.stream("forged");
    stream.create(1);
    let writer = ministack.create_user("forged-writer", &["kinesis:PutRecord"]);
    let settings = streaming_to(&ministack.endpoint_url()).acting_as(&writer.forged());
    let server = Server::start_with(Store::Memory, settings);
    let pool = StreamingPool::create(&server, "forged");
    server.api().put(&pool.guest(), "prefs", "k", "1", 0);
    until("it was tried more than once", || {
        (server.metric("carryall_deliveries_total", "outcome=\"failed\"") >= 2.0).then_some(())
    });
    assert!(server.log().contains("InvalidSignatureException"));
    assert!(!server.log().contains(&writer.secret_access_key));
    assert_eq!(pool.streams()["StreamingStatus"], "ENABLED");
    assert_eq!(pool.streams()["DisabledReason"], Value::Null);
}

#[test]
fn what_waits_when_the_server_is_killed_or_stopped_is_delivered_after_the_restart() {
    let (mut server, stream, pool, proxy) = held_back("restarted");
    let guest = pool.guest();
    proxy.set(Fault::json_error(500, "InternalFailure"));
    for number in 0..5 {
        server.api().put(&guest, "prefs", &format!("k{number}"), "v", 0);
        server.api().put(&guest, "other", &format!("k{number}"), "v", 0);
    }
    proxy.wait_for("PutRecord", 4);
    server.kill();
    server.restart();
    server.api().delete(&guest, "other");
    server.stop();
    server.restart();
    assert!(stream.records().is_empty());
    proxy.set(Fault::None);
    let records = stream.wait_for(11);
    assert_eq!(counts_of("prefs", &records), [1, 2, 3, 4, 5]);
    assert_eq!(counts_of("other", &records), [1, 2, 3, 4, 5, 6]);
    assert_eq!(told(&records).iter().filter(|(.., what)| what == "remove").count(), 1);
}

#[test]
fn what_waited_for_a_pool_that_was_deleted_does_not_reach_one_of_the_same_id() {
    let (server, stream, pool, proxy) = held_back("recreated");
    proxy.set(Fault::json_error(500, "InternalFailure"));
    server.api().put(&pool.guest(), "before", "k", "v", 0);
    let attempts = || server.log().matches("/before/1/stream").count();
    until("it was tried", || (attempts() > 0).then_some(()));
    server.verb(&["pool", "delete", &pool.id]);
    server.verb(&["pool", "create", "--id", &pool.id]);
    pool.switch("ENABLED");
    let before = (attempts(), proxy.count("PutRecord"));
    server.api().put(&pool.guest(), "after", "k", "v", 0);
    // Long enough for both, if both still waited.
    proxy.wait_for("PutRecord", before.1 + 3);
    proxy.set(Fault::None);
    stream.wait_for(1);
    assert_eq!(attempts(), before.0);
    assert_eq!(told(&stream.records()), [replaced("after", 1)]);
}

#[test]
fn throttling_and_lost_answers_leave_the_order_and_repeat_only_what_was_lost() {
    let (server, stream, pool, proxy) = held_back("throttled");
    let (api, guest) = (server.api(), pool.guest());
    proxy.set_for_next(2, "PutRecord", Fault::json_error(400, "ProvisionedThroughputExceededException"));
    for count in 0..3 {
        api.put(&guest, "prefs", "k", "v", count);
    }
    assert_eq!(counts_of("prefs", &stream.wait_for(3)), [1, 2, 3]);
    proxy.set_for_next(1, "PutRecord", Fault::LoseAnswer);
    api.put(&guest, "prefs", "k", "v", 3);
    api.put(&guest, "prefs", "k", "v", 4);
    let records = stream.wait_for(6);
    assert_eq!(counts_of("prefs", &records), [1, 2, 3, 4, 4, 5]);
    let ids = event_ids(&records);
    assert_eq!(ids[3], ids[4], "a repeat says that it is one");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 5);
    println!("5 events, {} PutRecord calls: 2 throttled, 1 answer lost", proxy.count("PutRecord"));
}

#[test]
fn a_write_costs_nothing_more_where_nothing_is_set_up() {
    let (server, stream, pool) = streaming(Store::Embedded, "costing");
    let plain = server.api().new_user(&server.root());
    let appended = || server.metric("carryall_store_events_appended_total", "");
    for count in 0..5 {
        server.api().put(&plain, "prefs", "k", "v", count);
    }
    server.api().delete(&plain, "prefs");
    assert!(appended().abs() < 0.5, "{} events of a pool without effects", appended());
    let guest = pool.guest();
    for count in 0..5 {
        server.api().put(&guest, "prefs", "k", "v", count);
    }
    stream.wait_for(5);
    server.api().put(&plain, "prefs", "k", "v", 0);
    assert!((appended() - 5.0).abs() < 0.5, "{} events of 5 updates", appended());
}
