//! Destinations without AWS: streams to an HTTP endpoint and to files, a trigger and a push at an HTTP
//! endpoint, and the choice between them by the settings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use carryall_acceptance::api::{encoded, succeeded, text};
use carryall_acceptance::peers::{Answer, Fault, FaultProxy, Received, Receiver, until};
use carryall_acceptance::{Server, ServerSettings, Store, StreamingPool};
use serde_json::{Value, json};

const SECRET: &str = "a secret of the acceptance tests";

/// The settings of a server whose stream `changes` is at this URL.
fn streaming_over_http(url: &str) -> ServerSettings {
    let destination =
        format!("[[stream_destinations]]\nname = 'changes'\nurl = '{url}'\nsecret_env = 'HOOK_SECRET'\n");
    ServerSettings::default().configuration(&destination).variable("HOOK_SECRET", SECRET)
}

/// Waits until the stream has received this many events, and returns all of them.
fn wait_for_events(receiver: &Receiver, count: usize) -> Vec<Received> {
    until(&format!("{count} events"), || {
        let mut events = receiver.received();
        events.retain(|one| one.request.method == "POST");
        (events.len() >= count).then_some(events)
    })
}

/// Waits until this many settings of the pool were checked. A check sends no event, and does not use up an
/// answer.
fn wait_for_checks(receiver: &Receiver, count: usize) {
    until(&format!("{count} checks"), || {
        let received = receiver.received();
        let checks = received.iter().filter(|one| one.request.method == "HEAD");
        (checks.count() >= count).then_some(())
    });
}

fn counts(received: &[Received]) -> Vec<u64> {
    received.iter().map(|one| one.json()["syncCount"].as_u64().unwrap()).collect()
}

#[test]
fn a_stream_over_http_is_signed_and_names_its_events() {
    let receiver = Receiver::start();
    let server = Server::start_with(Store::Embedded, streaming_over_http(&receiver.url("/hooks/in?a=b")));
    let pool = StreamingPool::create(&server, "changes");
    let guest = pool.guest();
    // Records have no size limit here, so no bucket is needed.
    let value = "\"".repeat(600_000);
    server.api().put(&guest, "prefs", "k", &value, 0);
    server.api().put(&guest, "prefs", "small", "v", 0);
    server.api().delete(&guest, "prefs");
    let received = wait_for_events(&receiver, 3);
    for one in &received {
        assert!(one.is_signed_with(SECRET));
        assert!(!one.is_signed_with("another secret"));
        let request = &one.request;
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/hooks/in?a=b"));
        assert_eq!(request.get("content-type"), Some("application/json"));
        assert_eq!(request.get("carryall-event-id"), one.json()["eventId"].as_str());
        assert_eq!(
            (&one.json()["identityId"], &one.json()["datasetName"]),
            (&json!(guest.identity), &json!("prefs"))
        );
    }
    assert_eq!(counts(&received), [1, 2, 3]);
    let first = received[0].json();
    assert_eq!((&first["payloadType"], &first["operation"]), (&json!("Inline"), &json!("replace")));
    assert_eq!(first["kinesisSyncRecords"][0]["value"], value.as_str());
    assert_eq!(received[2].json()["operation"], "remove");
    assert!(server.verb(&["pool", "check", &pool.id]).contains("ok"));
}

#[test]
fn an_endpoint_that_fails_gets_the_same_event_again_after_growing_pauses() {
    let receiver = Receiver::start();
    let proxy = FaultProxy::before(receiver.address());
    let server =
        Server::start_with(Store::Embedded, streaming_over_http(&format!("{}/hook", proxy.endpoint_url())));
    let pool = StreamingPool::create(&server, "changes");
    let (api, guest) = (server.api(), pool.guest());
    wait_for_checks(&receiver, 1);
    proxy.set_for_next(1, "POST /hook", Fault::HangUp);
    for status in [500, 503, 429] {
        receiver.answer_next(Answer::status(status).body("not now"));
    }
    for count in 0..3 {
        api.put(&guest, "prefs", "k", "v", count);
    }
    let received = wait_for_events(&receiver, 6);
    assert_eq!(counts(&received), [1, 1, 1, 1, 2, 3]);
    let first = received[0].request.get("carryall-event-id");
    assert!(received[..4].iter().all(|one| one.request.get("carryall-event-id") == first));
    assert!(received.iter().all(|one| one.is_signed_with(SECRET)));
    let pauses: Vec<Duration> = received[..4].windows(2).map(|two| two[1].at - two[0].at).collect();
    assert!(pauses.is_sorted() && pauses[0] >= Duration::from_millis(250), "{pauses:?}");
    assert_eq!(
        (&pool.streams()["StreamingStatus"], &pool.streams()["DisabledReason"]),
        (&json!("ENABLED"), &Value::Null)
    );
    println!("pauses before an event was taken: {pauses:?}");
}

#[test]
fn datasets_that_failed_together_do_not_all_come_back_at_once() {
    const DATASETS: usize = 18;
    /// The pause after the third failure is from one to two seconds.
    const WINDOW: Duration = Duration::from_millis(100);
    let receiver = Receiver::start();
    let server = Server::start_with(Store::Embedded, streaming_over_http(&receiver.url("/hook")));
    let pool = StreamingPool::create(&server, "changes");
    let guest = pool.guest();
    wait_for_checks(&receiver, 1);
    receiver.answer_path("/hook", Answer::status(503));
    for number in 0..DATASETS {
        server.api().put(&guest, &format!("d{number}"), "k", "v", 0);
    }
    let received = wait_for_events(&receiver, 4 * DATASETS);
    let mut attempts: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for one in &received {
        attempts.entry(text(&one.json()["datasetName"])).or_default().push(one.at);
    }
    let mut fourth: Vec<Instant> = attempts.values().filter_map(|at| at.get(3).copied()).collect();
    fourth.sort();
    let within = |from: &Instant| fourth.iter().filter(|at| *at >= from && **at - *from < WINDOW).count();
    let most = fourth.iter().map(within).max().unwrap_or_default();
    println!("{} fourth attempts, at most {most} of them within {WINDOW:?}", fourth.len());
    assert!(most <= DATASETS / 2, "{most} of {DATASETS} came back within {WINDOW:?}");
}

#[test]
fn an_endpoint_that_wants_nothing_more_switches_streaming_off_until_it_is_mended() {
    let receiver = Receiver::start();
    let server = Server::start_with(Store::Embedded, streaming_over_http(&receiver.url("/secret-path")));
    let pool = StreamingPool::create(&server, "changes");
    let (api, guest) = (server.api(), pool.guest());
    wait_for_checks(&receiver, 1);
    receiver.answer_next(Answer::status(410));
    api.put(&guest, "prefs", "k", "v", 0);
    let reason = pool.wait_until_disabled();
    assert!(reason.contains("410") && reason.contains(&receiver.address().to_string()), "{reason}");
    assert!(!reason.contains("secret-path"), "paths of such URLs may be secrets: {reason}");
    api.put(&guest, "prefs", "k", "not streamed", 1);
    pool.switch("ENABLED");
    let received = wait_for_events(&receiver, 2);
    assert_eq!(counts(&received), [1, 1]);
    assert!(pool.streams()["DisabledReason"].is_null());
}

#[test]
fn an_endpoint_that_is_being_deployed_anew_switches_nothing_off() {
    let receiver = Receiver::start();
    let server = Server::start_with(Store::Embedded, streaming_over_http(&receiver.url("/hook")));
    let pool = StreamingPool::create(&server, "changes");
    wait_for_checks(&receiver, 1);
    for status in [401, 403, 404] {
        receiver.answer_next(Answer::status(status));
    }
    server.api().put(&pool.guest(), "prefs", "k", "v", 0);
    assert_eq!(counts(&wait_for_events(&receiver, 4)), [1, 1, 1, 1]);
    assert_eq!(pool.streams()["StreamingStatus"], "ENABLED");
}

#[test]
fn an_event_that_the_endpoint_refuses_is_parked_and_shown() {
    let receiver = Receiver::start();
    let server = Server::start_with(Store::Embedded, streaming_over_http(&receiver.url("/hook")));
    let pool = StreamingPool::create(&server, "changes");
    let (api, guest) = (server.api(), pool.guest());
    wait_for_checks(&receiver, 1);
    receiver.answer_next(Answer::status(422).body("values are not repeated"));
    api.put(&guest, "prefs", "k", "v", 0);
    api.put(&guest, "prefs", "k", "v", 1);
    let listed = until("the event is listed", || {
        let list: Value =
            serde_json::from_str(&server.verb(&["outbox", "list", "--output", "json"])).unwrap();
        list["Parked"].get(0).cloned()
    });
    assert!(text(&listed["Trouble"]).contains("422"), "{listed}");
    api.put(&guest, "other", "k", "v", 0);
    assert_eq!(wait_for_events(&receiver, 2)[1].json()["datasetName"], "other");
    server.verb(&["outbox", "retry", "--all"]);
    let received = wait_for_events(&receiver, 4);
    assert_eq!(counts(&received), [1, 1, 1, 2]);
    assert_eq!(received[2].request.get("carryall-event-id"), received[0].request.get("carryall-event-id"));
}

/// The lines of a file, each of which must be whole JSON; none if there is no file.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{}: a torn line", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the file's last line is about this count. A line that is being written may be seen in part.
fn wait_for_count(path: &Path, count: u64) {
    until(&format!("count {count} in {}", path.display()), || {
        let text = fs::read_to_string(path).ok()?;
        let last: Value = serde_json::from_str(text.lines().last()?).ok()?;
        (text.ends_with('\n') && last["syncCount"] == count).then_some(())
    });
}

fn counts_of(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["syncCount"].as_u64().unwrap()).collect()
}

#[test]
fn a_stream_into_a_file_is_rotated_by_size_and_keeps_so_many_files() {
    const UPDATES: u64 = 40;
    let settings = ServerSettings::default().configuration(
        "[[stream_destinations]]\nname = 'audit'\nfile = '{directory}/audit.ndjson'\nfile_bytes_max = 3000\nfiles_max = 3\n",
    );
    let server = Server::start_with(Store::Embedded, settings);
    let pool = StreamingPool::create(&server, "audit");
    let guest = pool.guest();
    for count in 0..UPDATES {
        server.api().put(&guest, "prefs", "k", "line\nbreak \u{2028}", count);
    }
    let file = |number: u32| {
        let suffix = if number == 0 { String::new() } else { format!(".{number}") };
        server.directory().join(format!("audit.ndjson{suffix}"))
    };
    wait_for_count(&file(0), UPDATES);
    let mut kept = Vec::new();
    for number in (0..=3).rev() {
        assert!(fs::metadata(file(number)).unwrap().len() <= 3000, "{}", file(number).display());
        kept.extend(lines(&file(number)));
    }
    assert!(!file(4).exists());
    let counts = counts_of(&kept);
    assert_eq!(counts, (counts[0]..=UPDATES).collect::<Vec<u64>>());
    assert!(counts[0] > 1 && counts.len() > 12, "{counts:?}");
    let last = kept.last().unwrap();
    assert_eq!(last["kinesisSyncRecords"][0]["value"], "line\nbreak \u{2028}");
    assert_eq!((&last["identityId"], &last["payloadType"]), (&json!(guest.identity), &json!("Inline")));
}

#[test]
fn a_file_without_its_directory_switches_streaming_off_and_one_that_was_taken_away_begins_anew() {
    let settings = ServerSettings::default()
        .configuration("[[stream_destinations]]\nname = 'audit'\nfile = '{directory}/later/audit.ndjson'\n");
    let server = Server::start_with(Store::Embedded, settings);
    let pool = StreamingPool::create(&server, "audit");
    let guest = pool.guest();
    let directory = server.directory().join("later");
    let file = directory.join("audit.ndjson");
    server.api().put(&guest, "prefs", "k", "1", 0);
    let reason = pool.wait_until_disabled();
    assert!(reason.contains("later/audit.ndjson"), "{reason}");
    fs::create_dir(&directory).unwrap();
    pool.switch("ENABLED");
    wait_for_count(&file, 1);
    fs::rename(&file, directory.join("taken")).unwrap();
    server.api().put(&guest, "prefs", "k", "2", 1);
    wait_for_count(&file, 2);
    assert_eq!(counts_of(&lines(&file)), [2]);
    assert_eq!(counts_of(&lines(&directory.join("taken"))), [1]);
}

#[test]
fn a_stream_into_a_file_survives_kills_without_a_torn_or_a_lost_line() {
    const ROUNDS: u64 = 4;
    const UPDATES: u64 = 25;
    let settings = ServerSettings::default()
        .configuration("[[stream_destinations]]\nname = 'audit'\nfile = '{directory}/audit.ndjson'\n");
    let mut server = Server::start_with(Store::Embedded, settings);
    let pool = StreamingPool::create(&server, "audit");
    let guest = pool.guest();
    let file = server.directory().join("audit.ndjson");
    for round in 0..ROUNDS {
        for number in 0..UPDATES {
            server.api().put(&guest, "prefs", "k", "v", round * UPDATES + number);
        }
        // Kills the server whatever the relay is doing.
        server.kill();
        server.restart();
    }
    let total = ROUNDS * UPDATES;
    wait_for_count(&file, total);
    let written = counts_of(&lines(&file));
    let (mut seen, mut highest) = (BTreeSet::new(), 0);
    for count in &written {
        // A repeated line must be one that was there; nothing is overtaken.
        assert!(*count <= highest + 1, "{written:?}");
        highest = highest.max(*count);
        seen.insert(*count);
    }
    assert_eq!(seen, (1..=total).collect::<BTreeSet<u64>>());
    println!("{total} updates, {ROUNDS} kills, {} lines", written.len());
}

const ANN: &str = "us-east-1:00000000-0000-4000-8000-00000000000a";
const BOB: &str = "us-east-1:00000000-0000-4000-8000-00000000000b";

/// Two pools with streams, as the file states them, and the destinations of these.
const CHOICES: &str = "
[[pools]]
id = 'us-east-1:00000000-0000-4000-8000-00000000000a'
name = 'ann'
allow_guests = true
[pools.cognito_streams]
stream_name = 'changes'
streaming_status = 'ENABLED'
[[pools]]
id = 'us-east-1:00000000-0000-4000-8000-00000000000b'
name = 'bob'
allow_guests = true
[pools.cognito_streams]
stream_name = 'changes'
streaming_status = 'ENABLED'

[[stream_destinations]]
pool = 'us-east-1:00000000-0000-4000-8000-00000000000a'
name = 'changes'
file = '{directory}/both.ndjson'
[[stream_destinations]]
name = 'changes'
file = '{directory}/name.ndjson'
[[stream_destinations]]
pool = 'us-east-1:00000000-0000-4000-8000-00000000000a'
file = '{directory}/pool.ndjson'
[[stream_destinations]]
pool = 'us-east-1:00000000-0000-4000-8000-00000000000b'
name = 'changes'
file = '{directory}/never.ndjson'
";

#[test]
fn the_first_destination_that_fits_by_name_by_pool_or_by_both_is_chosen() {
    let server = Server::start_with(Store::Embedded, ServerSettings::default().configuration(CHOICES));
    let ann = StreamingPool::existing(&server, ANN, "other");
    let bob = StreamingPool::existing(&server, BOB, "changes");
    let put = |pool: &StreamingPool, dataset: &str| server.api().put(&pool.guest(), dataset, "k", "v", 0);
    let names = |file: &str| -> Vec<String> {
        let path = server.directory().join(file);
        wait_for_count(&path, 1);
        let lines = lines(&path);
        lines
            .iter()
            .map(|line| format!("{} {}", text(&line["identityPoolId"]), text(&line["datasetName"])))
            .collect()
    };
    put(&ann, "a-changes");
    put(&bob, "b-changes");
    assert_eq!(names("both.ndjson"), [format!("{ANN} a-changes")]);
    assert_eq!(names("name.ndjson"), [format!("{BOB} b-changes")]);
    ann.switch("ENABLED");
    put(&ann, "a-other");
    assert_eq!(names("pool.ndjson"), [format!("{ANN} a-other")]);
    assert!(!server.directory().join("never.ndjson").exists());
    assert_eq!((names("both.ndjson").len(), names("name.ndjson").len()), (1, 1));
}

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:validate";
const APPLICATION: &str = "arn:aws:sns:us-east-1:000000000000:app/GCM/notes";

/// A server with a pool whose trigger and pushes go to this receiver.
fn triggering_and_pushing(receiver: &Receiver) -> Server {
    let configuration = format!(
        "[[pools]]\nid = '{ANN}'\nname = 'ann'\nallow_guests = true\n\
         [pools.push_sync]\napplication_arns = ['{APPLICATION}']\n[pools.events]\nSyncTrigger = '{FUNCTION}'\n\
         [[trigger_destinations]]\nname = '{FUNCTION}'\nurl = '{}'\nsecret_env = 'HOOK_SECRET'\n\
         [[push_destinations]]\npool = '{ANN}'\nurl = '{}'\nsecret_env = 'HOOK_SECRET'\n",
        receiver.url("/validate"),
        receiver.url("/push"),
    );
    let settings = ServerSettings::default().configuration(&configuration).variable("HOOK_SECRET", SECRET);
    Server::start_with(Store::Embedded, settings)
}

#[test]
fn a_trigger_and_a_push_over_http_are_signed_and_do_their_work() {
    let receiver = Receiver::start();
    let server = triggering_and_pushing(&receiver);
    let (api, guest) = (server.api(), server.api().new_guest(ANN));
    let envelope = |new_value: &str| {
        json!({
            "version": 2, "eventType": "SyncTrigger", "region": "us-east-1", "identityPoolId": ANN,
            "identityId": guest.identity, "datasetName": "prefs",
            "datasetRecords": { "k": { "oldValue": null, "newValue": new_value, "op": "replace" } },
        })
    };
    receiver.answer_path("/validate", Answer::status(200).body(envelope("edited").to_string()));
    api.put(&guest, "prefs", "k", "written", 0);
    let asked = receiver.wait_for_posts(1);
    assert_eq!((asked[0].path(), asked[0].json()), ("/validate", envelope("written")));
    assert!(asked[0].is_signed_with(SECRET));
    assert!(asked[0].request.get("carryall-event-id").is_some_and(|id| !id.is_empty()));
    assert_eq!(api.list(&guest, "prefs")["Records"][0]["Value"], "edited");

    let register = format!("/identitypools/{}/identity/{}/device", encoded(ANN), encoded(&guest.identity));
    let body = json!({ "Platform": "GCM", "Token": "the token" });
    let device = text(&succeeded(&api.sync(Some(&guest.caller), "POST", &register, Some(&body)))["DeviceId"]);
    let subscribe = format!("{}/subscriptions/{device}", guest.dataset("prefs"));
    succeeded(&api.sync(Some(&guest.caller), "POST", &subscribe, None));
    api.put(&guest, "prefs", "k", "again", 1);
    let received = receiver.wait_for_posts(3);
    let push = received.iter().find(|one| one.path() == "/push").unwrap();
    assert!(push.is_signed_with(SECRET));
    let message = json!({
        "source": "cognito-sync", "identityPoolId": ANN, "identityId": guest.identity, "datasetName": "prefs",
        "syncCount": "2",
    });
    let expected = json!({
        "deviceId": device, "platform": "GCM", "applicationArn": APPLICATION, "token": "the token", "message": message,
    });
    assert_eq!(push.json(), expected);
    assert!(push.request.get("carryall-event-id").is_some_and(|id| id.contains(&device)));
    assert!(!server.log().contains("the token") && !server.log().contains(SECRET));
}
