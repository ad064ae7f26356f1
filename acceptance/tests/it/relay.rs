//! The relay's backlog: it takes no memory of the server, has its own limit, and is removed with its pool.
//! The functions that all tests of the relay share are here too: pools with streams, and the messages of a
//! destination.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::thread;
use std::time::Instant;

use carryall_acceptance::api::{encoded, succeeded, text};
use carryall_acceptance::peers::{Received, Receiver, until};
use carryall_acceptance::{Api, Caller, Guest, Request, Server, ServerSettings, Store};
use serde_json::{Value, json};

/// The secret of every HTTP destination of these tests.
pub(crate) const SECRET: &str = "acceptance/destinations/0123456789";
/// The platform application of every pool that pushes.
const APPLICATION: &str = "arn:aws:sns:us-east-1:123456789012:app/GCM/relay";

/// A dataset as streams name it: identity and name.
pub(crate) type Dataset = (String, String);

/// One message as the stream's destination received it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub dataset: Dataset,
    pub count: u64,
    pub event_id: String,
    pub message: Value,
}

impl Delivery {
    pub fn of(message: Value) -> Self {
        Self {
            dataset: (text(&message["identityId"]), text(&message["datasetName"])),
            count: message["syncCount"].as_u64().unwrap(),
            event_id: text(&message["eventId"]),
            message,
        }
    }
}

/// The configuration that sends the stream `name` to a URL.
pub(crate) fn stream_to(name: &str, url: &str) -> String {
    format!(
        "[[stream_destinations]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret_env = \"DESTINATION_SECRET\"\n"
    )
}

fn pushes_to(url: &str) -> String {
    format!(
        "[[push_destinations]]\nname = \"{APPLICATION}\"\nurl = \"{url}\"\nsecret_env = \"DESTINATION_SECRET\"\n"
    )
}

/// Settings with this configuration, the destinations' secret, and credentials that every peer accepts.
pub(crate) fn settings(configuration: &str) -> ServerSettings {
    ServerSettings::default()
        .configuration(configuration)
        .variable("DESTINATION_SECRET", SECRET)
        .acting_as(&Caller::developer("AKIAANYBODY000000000", "anything"))
}

/// Sets a pool's push and streams.
pub(crate) fn configure(server: &Server, pool: &str, blocks: &Value) -> Value {
    let target = format!("/identitypools/{}/configuration", encoded(pool));
    succeeded(&server.api().sync(Some(&server.root()), "POST", &target, Some(blocks)))
}

/// The streams in the answer of `GetIdentityPoolConfiguration`.
fn streams_of(server: &Server, pool: &str) -> Value {
    let target = format!("/identitypools/{}/configuration", encoded(pool));
    succeeded(&server.api().sync(Some(&server.root()), "GET", &target, None))["CognitoStreams"].take()
}

pub(crate) fn enabled(stream: &str) -> Value {
    json!({ "StreamName": stream, "StreamingStatus": "ENABLED" })
}

/// A pool whose changes go to the stream of this name.
pub(crate) fn streaming_pool(server: &Server, stream: &str) -> String {
    let pool = server.api().new_pool(&server.root());
    configure(server, &pool, &json!({ "CognitoStreams": enabled(stream) }));
    pool
}

/// Writes a dataset up to this count, one update for each, from its present count.
pub(crate) fn write_up_to(api: Api, guest: &Guest, dataset: &str, count: u64) {
    let before = api.list(guest, dataset)["DatasetSyncCount"].as_u64().unwrap();
    for number in before + 1..=count {
        api.put(guest, dataset, &format!("key-{number}"), "value", 0);
    }
}

/// Registers a device of the guest for push and returns its id.
pub(crate) fn register(api: Api, guest: &Guest, token: &str) -> String {
    let (pool, identity) = (encoded(&guest.pool), encoded(&guest.identity));
    let target = format!("/identitypools/{pool}/identity/{identity}/device");
    let body = json!({ "Platform": "GCM", "Token": token });
    text(&succeeded(&api.sync(Some(&guest.caller), "POST", &target, Some(&body)))["DeviceId"])
}

pub(crate) fn subscribe(api: Api, guest: &Guest, dataset: &str, device: &str) {
    let target = format!("{}/subscriptions/{}", guest.dataset(dataset), encoded(device));
    succeeded(&api.sync(Some(&guest.caller), "POST", &target, None));
}

/// The value of a metric, by name and labels as printed; 0 if it does not exist yet.
pub(crate) fn metric(server: &Server, name: &str) -> u64 {
    let page = server.api().send(&Request::new("GET", "/metrics")).text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.map_or(0, |number| number.parse().unwrap())
}

/// The number of failed deliveries to streams since the server started.
pub(crate) fn failed_deliveries(server: &Server) -> u64 {
    metric(server, r#"carryall_deliveries_total{sink="stream",outcome="failed"}"#)
}

/// The number of waiting events of the pool, as in `carryall pool show`.
pub(crate) fn events_waiting(server: &Server, pool: &str) -> u64 {
    let shown = server.verb(&["pool", "show", pool, "--output", "json"]);
    serde_json::from_str::<Value>(&shown).unwrap()["EventsWaiting"].as_u64().unwrap()
}

/// The messages posted to a path of a receiver, without other requests such as those of the settings' check.
pub(crate) fn posted(receiver: &Receiver, path: &str) -> Vec<Received> {
    let is_message = |one: &Received| one.request.method == "POST" && one.path() == path;
    receiver.received().into_iter().filter(is_message).collect()
}

/// The stream messages that were posted to a path of a receiver, each of which must be signed and named.
pub(crate) fn streamed(receiver: &Receiver, path: &str) -> Vec<Delivery> {
    let delivery = |one: &Received| {
        assert!(one.is_signed_with(SECRET), "{:?}", one.request.headers);
        let delivery = Delivery::of(one.json());
        assert_eq!(one.request.get("carryall-event-id"), Some(delivery.event_id.as_str()));
        delivery
    };
    posted(receiver, path).iter().map(delivery).collect()
}

/// True if messages of every dataset arrived up to its expected count.
pub(crate) fn are_whole(deliveries: &[Delivery], expected: &BTreeMap<Dataset, u64>) -> bool {
    let mut counts: HashMap<&Dataset, Vec<u64>> = HashMap::new();
    for delivery in deliveries {
        counts.entry(&delivery.dataset).or_default().push(delivery.count);
    }
    expected.iter().all(|(dataset, last)| {
        let seen = counts.get(dataset).map(Vec::as_slice).unwrap_or_default();
        (1..=*last).all(|count| seen.contains(&count))
    })
}

/// The repetitions among deliveries, after a check that nothing is lost, that every dataset's counts come in
/// order, and that repetitions are equal to the first message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The number of events that were delivered once, twice and so on.
    pub events_by_deliveries: BTreeMap<usize, usize>,
}

impl Tally {
    /// Checks the deliveries of datasets that began at count 1 and have these counts now.
    pub fn check(deliveries: &[Delivery], expected: &BTreeMap<Dataset, u64>) -> Self {
        let mut last: HashMap<&Dataset, u64> = HashMap::new();
        let mut said: HashMap<&str, (&Value, usize)> = HashMap::new();
        for delivery in deliveries {
            let last = last.entry(&delivery.dataset).or_default();
            assert!(delivery.count <= *last + 1, "not after {last}: {delivery:?}");
            let (first, times) = said.entry(&delivery.event_id).or_insert((&delivery.message, 0));
            assert_eq!(*first, &delivery.message, "another message under the same id");
            assert_eq!(*times == 0, delivery.count == *last + 1, "an event with two ids: {delivery:?}");
            *times += 1;
            *last = (*last).max(delivery.count);
        }
        let last: BTreeMap<Dataset, u64> = last.into_iter().map(|(at, count)| (at.clone(), count)).collect();
        assert_eq!(&last, expected, "events are lost, or there are some of nothing");
        let mut tally = Self::default();
        for (_, times) in said.values() {
            *tally.events_by_deliveries.entry(*times).or_default() += 1;
        }
        tally
    }

    pub fn events(&self) -> usize {
        self.events_by_deliveries.values().sum()
    }

    /// The deliveries beyond the first of each event.
    pub fn repetitions(&self) -> usize {
        self.events_by_deliveries.iter().map(|(times, events)| (times - 1) * events).sum()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events, lost 0, repeated {}; delivered", self.events(), self.repetitions())?;
        self.events_by_deliveries.iter().try_for_each(|(times, events)| write!(f, " {times}x: {events}"))
    }
}

const BACKLOG_IDENTITIES: usize = 7;
const BACKLOG_DATASETS: usize = 20;
/// The most that an identity may have. With the stream, every update leaves one event more.
const BACKLOG_DEVICES: usize = 32;
/// 140 datasets have 4,620 lanes, more than the relay takes at a time, and this many updates each leave
/// 32,340 events. Fewer wait in the end: of notices that a device could not receive, only the newest is kept.
const BACKLOG_UPDATES: u64 = 7;
/// Every event for the stream has a value of this size: 64 MB of them wait in the end.
const BACKLOG_VALUE_BYTES: usize = 64 * 1024;
/// The growth of a server's memory that a backlog of several times the size may cause, after the same work.
/// The events that the relay has loaded for deliveries grow with it, up to 1 MiB for each.
const GROWTH_KIB_MAX: u64 = 32 * 1024;

/// The resident memory of the server's process, in KiB.
fn resident_kib(server: &Server) -> u64 {
    let directory = server.directory().canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let here = processes.map(|entry| entry.path()).find(|path| {
        let is_serving = fs::read(path.join("cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"serve"));
        is_serving && fs::read_link(path.join("cwd")).is_ok_and(|at| at == directory)
    });
    let status = fs::read_to_string(here.unwrap().join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// An identity with subscribed devices; each of its updates leaves an event for every one of them.
struct Crowd {
    guest: Guest,
    datasets: Vec<String>,
}

impl Crowd {
    fn gather(api: Api, pool: &str) -> Self {
        let guest = api.new_guest(pool);
        let datasets: Vec<String> = (0..BACKLOG_DATASETS).map(|number| format!("set-{number}")).collect();
        for name in &datasets {
            // No device is subscribed yet, and the stream is not set yet, so these leave no events.
            api.put(&guest, name, "key", &"v".repeat(BACKLOG_VALUE_BYTES), 0);
        }
        for number in 0..BACKLOG_DEVICES {
            let device = register(api, &guest, &format!("token-{number}"));
            for name in &datasets {
                subscribe(api, &guest, name, &device);
            }
        }
        Self { guest, datasets }
    }

    fn update(&self, api: Api, round: u64) {
        for name in &self.datasets {
            api.put(&self.guest, name, "key", &"v".repeat(BACKLOG_VALUE_BYTES), round);
        }
    }
}

/// The number of waiting events and the server's memory, after a restart and some deliveries. The restart
/// discards memory that earlier writes left behind, which is not the backlog's.
fn restarted_and_at_work(server: &mut Server, pool: &str) -> (u64, u64) {
    server.stop();
    server.restart();
    let failures = r#"carryall_deliveries_total{sink="device",outcome="failed"}"#;
    let waiting = events_waiting(server, pool);
    until("deliveries fail", || (metric(server, failures) > 2_000).then_some(()));
    (waiting, resident_kib(server))
}

fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> = (0..count).map(|number| scope.spawn(move || work(number))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn a_backlog_of_twenty_thousand_events_costs_no_memory_and_drains_after_a_restart() {
    let receiver = Receiver::start();
    receiver.refuse(true);
    let configuration = [
        "[outbox]\nbackoff_seconds_max = 8\n[embedded]\ncache_bytes_max = 8388608\n".to_owned(),
        stream_to("backlog", &receiver.url("/stream")),
        pushes_to(&receiver.url("/push")),
    ];
    let mut server = Server::start_with(Store::Embedded, settings(&configuration.concat()));
    let api = server.api();
    let pool = api.new_pool(&server.root());
    configure(&server, &pool, &json!({ "PushSync": { "ApplicationArns": [APPLICATION] } }));
    let crowds = in_parallel(BACKLOG_IDENTITIES, |_| Crowd::gather(api, &pool));
    configure(&server, &pool, &json!({ "CognitoStreams": enabled("backlog") }));

    let mut sizes = Vec::new();
    for round in 1..=BACKLOG_UPDATES {
        in_parallel(crowds.len(), |number| crowds[number].update(api, round));
        if round == 1 || round == BACKLOG_UPDATES {
            sizes.push(restarted_and_at_work(&mut server, &pool));
        }
    }
    eprintln!("waiting events and resident KiB, each after a restart and 2,000 failures: {sizes:?}");
    let [(few, small), (waiting, large)] = sizes[..] else { panic!("two sizes: {sizes:?}") };
    let updates = BACKLOG_IDENTITIES * BACKLOG_DATASETS * usize::try_from(BACKLOG_UPDATES).unwrap();
    assert!(waiting > 18_000 && few * 3 < waiting, "{sizes:?}");
    assert!(large < small + GROWTH_KIB_MAX, "{sizes:?}");

    receiver.refuse(false);
    let (opened, left) = (Instant::now(), events_waiting(&server, &pool));
    until("half of the backlog is gone", || (events_waiting(&server, &pool) < left / 2).then_some(()));
    until("the backlog is gone", || (events_waiting(&server, &pool) == 0).then_some(()));
    let milliseconds = u64::try_from(opened.elapsed().as_millis()).unwrap();
    let (per_second, posts) = (left * 1000 / milliseconds, receiver.received().len());
    eprintln!(
        "{left} events drained in {milliseconds} ms, {per_second} a second; {posts} were posted, since a device that \
         waited hears of the newest count alone; then {} KiB resident",
        resident_kib(&server),
    );
    let streams = streamed(&receiver, "/stream");
    assert_eq!(streams.len(), updates, "every update is streamed, once");
    assert!(streams.iter().all(|delivery| delivery.count > 1), "nothing from before there was a stream");
    assert_every_device_heard_of_the_newest_count(&receiver, BACKLOG_UPDATES + 1);
}

/// Checks that notices reach a device once each, in order, and that the last one has the newest count.
fn assert_every_device_heard_of_the_newest_count(receiver: &Receiver, newest: u64) {
    let mut heard: BTreeMap<(String, String, String), Vec<u64>> = BTreeMap::new();
    for push in posted(receiver, "/push") {
        let push = push.json();
        let of = |member: &str| text(&push["message"][member]);
        let at = (of("identityId"), of("datasetName"), text(&push["deviceId"]));
        heard.entry(at).or_default().push(of("syncCount").parse().unwrap());
    }
    assert_eq!(heard.len(), BACKLOG_IDENTITIES * BACKLOG_DATASETS * BACKLOG_DEVICES);
    for (at, counts) in heard {
        assert!(counts.is_sorted_by(|one, next| one < next), "{at:?}: {counts:?}");
        assert_eq!(counts.last(), Some(&newest), "{at:?}");
    }
}

#[test]
fn a_device_that_was_away_for_a_hundred_changes_hears_of_the_newest_count_alone() {
    let receiver = Receiver::start();
    receiver.refuse(true);
    let configuration = format!("[outbox]\nbackoff_seconds_max = 4\n{}", pushes_to(&receiver.url("/push")));
    let server = Server::start_with(Store::Embedded, settings(&configuration));
    let (api, pool) = (server.api(), server.api().new_pool(&server.root()));
    configure(&server, &pool, &json!({ "PushSync": { "ApplicationArns": [APPLICATION] } }));
    let guest = api.new_guest(&pool);
    write_up_to(api, &guest, "a", 1);
    let device = register(api, &guest, "token");
    subscribe(api, &guest, "a", &device);
    write_up_to(api, &guest, "a", 2);
    // Pauses are long by now, so that the lane grows beyond the size of one claim.
    let failed = r#"carryall_deliveries_total{sink="device",outcome="failed"}"#;
    until("deliveries fail", || (metric(&server, failed) >= 5).then_some(()));
    write_up_to(api, &guest, "a", 102);
    receiver.refuse(false);
    until("nothing waits", || (events_waiting(&server, &pool) == 0).then_some(()));
    let told: Vec<String> =
        posted(&receiver, "/push").iter().map(|push| text(&push.json()["message"]["syncCount"])).collect();
    assert_eq!(told, ["102"]);
}

#[test]
fn changes_beyond_the_waiting_events_limit_are_not_streamed_and_the_reason_says_so() {
    let receiver = Receiver::start();
    receiver.refuse(true);
    let limits = "[outbox]\nevents_per_pool_max = 20\nbackoff_seconds_max = 1\n";
    let configuration = format!("{limits}{}", stream_to("full", &receiver.url("/")));
    let server = Server::start_with(Store::Embedded, settings(&configuration));
    let pool = streaming_pool(&server, "full");
    let guest = server.api().new_guest(&pool);
    for name in ["a", "b", "c"] {
        write_up_to(server.api(), &guest, name, 8);
    }
    let streams = until("the limit is reported", || {
        let streams = streams_of(&server, &pool);
        streams["DisabledReason"]
            .as_str()
            .is_some_and(|reason| reason.contains("were waiting"))
            .then_some(streams)
    });
    let reason = text(&streams["DisabledReason"]);
    assert!(reason.starts_with("Changes were not streamed: 20 events"), "{reason}");
    assert_eq!(streams["StreamingStatus"], "ENABLED");

    // Clients notice nothing, and nothing more is stored for the stream.
    let waiting = events_waiting(&server, &pool);
    write_up_to(server.api(), &guest, "a", 12);
    write_up_to(server.api(), &guest, "fresh", 2);
    assert_eq!(events_waiting(&server, &pool), waiting);

    receiver.refuse(false);
    until("what waited is delivered", || (events_waiting(&server, &pool) == 0).then_some(()));
    write_up_to(server.api(), &guest, "a", 13);
    let last = |deliveries: &[Delivery]| deliveries.last().is_some_and(|last| last.count == 13);
    let deliveries = until("streaming continues", || Some(streamed(&receiver, "/")).filter(|all| last(all)));
    assert_eq!(deliveries.len() as u64, waiting + 1);
    for name in ["a", "b", "c"] {
        let of_dataset = deliveries.iter().filter(|delivery| delivery.dataset.1 == name);
        let counts: Vec<u64> = of_dataset.map(|delivery| delivery.count).collect();
        let before_the_gap: Vec<u64> = (1..=counts.len() as u64).collect();
        match name {
            "a" => assert_eq!(counts[..counts.len() - 1], before_the_gap[..counts.len() - 1]),
            _ => assert_eq!(counts, before_the_gap),
        }
    }
    // Unstreamed changes stay unstreamed: the note stays until the stream is set again.
    assert!(!streams_of(&server, &pool)["DisabledReason"].is_null());
    configure(&server, &pool, &json!({ "CognitoStreams": enabled("full") }));
    assert!(streams_of(&server, &pool)["DisabledReason"].is_null());
}

#[test]
fn the_waiting_events_of_a_deleted_pool_vanish_even_if_its_id_returns() {
    let receiver = Receiver::start();
    receiver.refuse(true);
    let configuration =
        format!("[outbox]\nbackoff_seconds_max = 1\n{}", stream_to("gone", &receiver.url("/")));
    let mut server = Server::start_with(Store::Embedded, settings(&configuration));
    let pool = streaming_pool(&server, "gone");
    let guest = server.api().new_guest(&pool);
    for name in ["a", "b"] {
        write_up_to(server.api(), &guest, name, 5);
    }
    until("deliveries fail", || (failed_deliveries(&server) >= 4).then_some(()));
    assert_eq!(events_waiting(&server, &pool), 10);
    let input = json!({ "IdentityPoolId": pool });
    let deleted = server.api().identity(Some(&server.root()), "DeleteIdentityPool", &input);
    assert_eq!(deleted.status, 200, "{}", deleted.text());

    server.verb(&["pool", "create", "--id", &pool]);
    assert_eq!(events_waiting(&server, &pool), 0);
    receiver.refuse(false);
    configure(&server, &pool, &json!({ "CognitoStreams": enabled("gone") }));
    let other = streaming_pool(&server, "gone");
    // Each restart scans all that waits again.
    let anew = server.api().new_guest(&pool);
    let others = server.api().new_guest(&other);
    for round in 1..=3 {
        write_up_to(server.api(), &anew, "a", round);
        write_up_to(server.api(), &others, "a", round);
        until("what is new arrives", || (streamed(&receiver, "/").len() as u64 >= 2 * round).then_some(()));
        server.stop();
        server.restart();
    }
    let counts = BTreeMap::from([&anew, &others].map(|guest| ((guest.identity.clone(), "a".to_owned()), 3)));
    let tally = Tally::check(&streamed(&receiver, "/"), &counts);
    assert_eq!(tally.repetitions(), 0, "{tally}");
}
