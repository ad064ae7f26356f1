//! The server is killed repeatedly while it delivers to Kinesis, to an HTTP endpoint and into a file. Every
//! event arrives, in its dataset's order, and only events whose settlement a kill prevented are repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver as Reports, Sender};
use std::thread;
use std::time::{Duration, Instant};

use carryall_acceptance::peers::{Answer, Fault, FaultProxy, Kinesalite, Receiver, Stream, until};
use carryall_acceptance::{Api, Connection, DIRECTORY, Guest, Request, Server, Store};
use serde_json::json;

use crate::relay::{
    Dataset, Delivery, Tally, are_whole, events_waiting, settings, stream_to, streamed, streaming_pool,
    write_up_to,
};

/// Rounds of load and kill, unless `CARRYALL_RELAY_ROUNDS` is set.
const ROUNDS: usize = 8;
/// The largest number of acknowledgements before the kill.
const ACKNOWLEDGEMENTS_MAX: u64 = 400;
const IDENTITIES: usize = 2;
const DATASETS: [&str; 2] = ["prefs", "scores"];
/// Events of a lane that the relay takes at a time: a kill can leave as many delivered and not settled.
const TAKEN_AT_A_TIME_MAX: u64 = 32;
/// The time from a restart to the delivery of events that were in delivery at the kill. A lease lasts longer.
const RESUMED_SECONDS_MAX: u64 = 15;

/// Random moments, the same ones for the same seed.
struct Chance(u64);

impl Chance {
    /// From the seed in `CARRYALL_RELAY_SEED`, or a fresh one.
    fn new() -> Self {
        let given = std::env::var("CARRYALL_RELAY_SEED").map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|_| RandomState::new().hash_one(0));
        eprintln!("CARRYALL_RELAY_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// The destination of a pool's stream, and what arrived there in order.
enum Destination<'a> {
    Kinesis(Stream<'a>),
    Http(Receiver),
    File(PathBuf),
}

impl Destination<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Kinesis(_) => "Kinesis",
            Self::Http(_) => "HTTP",
            Self::File(_) => "file",
        }
    }

    fn deliveries(&self) -> Vec<Delivery> {
        match self {
            Self::Kinesis(stream) => {
                stream.records().iter().map(|record| Delivery::of(record.json())).collect()
            }
            Self::Http(receiver) => streamed(receiver, "/"),
            Self::File(path) => lines(path),
        }
    }

    /// The number of deliveries from a dead process, after everything that it had sent was read.
    fn settled(&self) -> usize {
        let mut seen = Vec::new();
        until("nothing arrives any more", || {
            seen.push(self.deliveries().len());
            let last = seen.last()?;
            (seen.len() > 2 && seen.iter().rev().take(3).all(|count| count == last)).then_some(*last)
        })
    }
}

/// The whole lines of a file. A line that a kill tore is not JSON, and its event follows again.
fn lines(path: &PathBuf) -> Vec<Delivery> {
    let Ok(text) = fs::read(path) else { return Vec::new() };
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.filter_map(|line| serde_json::from_slice(line).ok()).map(Delivery::of).collect()
}

/// A client that alone writes its dataset.
struct Writer {
    guest: Guest,
    dataset: &'static str,
    /// The dataset's count of the last acknowledged update.
    acknowledged: u64,
}

impl Writer {
    fn key(&self) -> Dataset {
        (self.guest.identity.clone(), self.dataset.to_owned())
    }

    /// Writes until the server is gone.
    fn run(&mut self, address: SocketAddr, report: &Sender<()>) {
        let Ok(mut connection) = Connection::open(address) else { return };
        while self.update(Api::at(address), &mut connection).is_ok() {
            // The receiver stops counting when it has killed the server.
            let _ = report.send(());
        }
    }

    fn update(&mut self, api: Api, connection: &mut Connection) -> io::Result<()> {
        let request = Request::new("GET", self.guest.records(self.dataset));
        let listing = connection.exchange(&api.signed(&self.guest.caller, request))?;
        assert_eq!(listing.status, 200, "{}", listing.text());
        let listing = listing.json();
        let count = &listing["DatasetSyncCount"];
        let patch = json!({ "Op": "replace", "Key": "key", "Value": count.to_string(), "SyncCount": count });
        let body = json!({ "SyncSessionToken": listing["SyncSessionToken"], "RecordPatches": [patch] });
        let request = Request::new("POST", self.guest.dataset(self.dataset)).json(&body);
        let answer = connection.exchange(&api.signed(&self.guest.caller, request))?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.acknowledged = answer.json()["Records"][0]["SyncCount"].as_u64().unwrap();
        Ok(())
    }
}

/// A pool with its writers and with the number of deliveries at each kill.
struct Line<'a> {
    destination: Destination<'a>,
    pool: String,
    writers: Vec<Writer>,
    at_kills: Vec<usize>,
}

impl<'a> Line<'a> {
    fn new(server: &Server, stream: &str, destination: Destination<'a>) -> Self {
        let pool = streaming_pool(server, stream);
        let guests: Vec<Guest> = (0..IDENTITIES).map(|_| server.api().new_guest(&pool)).collect();
        let of_guest = |guest: &Guest| {
            let guest = guest.clone();
            DATASETS.map(|dataset| Writer { guest: guest.clone(), dataset, acknowledged: 0 })
        };
        let writers = guests.iter().flat_map(of_guest).collect();
        Self { destination, pool, writers, at_kills: Vec::new() }
    }

    /// The datasets with their counts, which no acknowledgement may exceed.
    fn counts(&self, server: &Server) -> BTreeMap<Dataset, u64> {
        let count = |writer: &Writer| {
            let listing = server.api().list(&writer.guest, writer.dataset);
            let count = listing["DatasetSyncCount"].as_u64().unwrap();
            assert!(count >= writer.acknowledged, "an acknowledged update is lost");
            (writer.key(), count)
        };
        self.writers.iter().map(count).collect()
    }

    /// Checks that each process delivered every dataset's counts in order, and began no further back than one
    /// claim of a lane.
    fn check_processes(&self, deliveries: &[Delivery]) -> Again {
        let ends = self.at_kills.iter().copied().chain([deliveries.len()]);
        let mut told: BTreeMap<&Dataset, u64> = BTreeMap::new();
        let mut all = Again::default();
        let mut begin = 0;
        for end in ends {
            let mut told_by_this: BTreeSet<&Dataset> = BTreeSet::new();
            for delivery in &deliveries[begin..end] {
                let last = told.entry(&delivery.dataset).or_default();
                assert!(delivery.count <= *last + 1, "left out before: {delivery:?}");
                let again = *last + 1 - delivery.count;
                if told_by_this.insert(&delivery.dataset) {
                    assert!(again <= TAKEN_AT_A_TIME_MAX, "{again} events again: {delivery:?}");
                    all.most = all.most.max(again);
                    all.answered += again.saturating_sub(1);
                } else {
                    assert_eq!(again, 0, "repeated without a kill: {delivery:?}");
                }
                *last = delivery.count;
            }
            begin = end;
        }
        all
    }
}

/// The repetitions that kills caused.
#[derive(Default)]
struct Again {
    /// The largest number of repeated events of one dataset after one kill.
    most: u64,
    /// Repetitions of events whose answer had arrived, because the same process continued with the next
    /// event. Only their settlement was cut off.
    answered: u64,
}

/// Lets all writers write, kills the server after `kill_after` acknowledgements, and records the arrivals by
/// then.
fn load_and_kill(server: &mut Server, lines: &mut [Line], kill_after: u64) {
    let address = server.address();
    thread::scope(|scope| {
        let (report, acknowledged): (Sender<()>, Reports<()>) = mpsc::channel();
        for writer in lines.iter_mut().flat_map(|line| &mut line.writers) {
            let report = report.clone();
            scope.spawn(move || writer.run(address, &report));
        }
        drop(report);
        for _ in 0..kill_after {
            // Writers continue until the server is killed.
            acknowledged.recv().unwrap();
        }
        server.kill();
    });
    for line in lines {
        line.at_kills.push(line.destination.settled());
    }
}

#[test]
fn whenever_the_server_is_killed_every_event_arrives_in_order_and_only_cut_off_ones_again() {
    let rounds = std::env::var("CARRYALL_RELAY_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut chance = Chance::new();
    let kinesalite = Kinesalite::shared();
    let stream = kinesalite.stream("relay-crash");
    stream.create(1);
    let receiver = Receiver::start();
    receiver.answer_path("/", Answer::status(200).after_milliseconds(5));
    let configuration = format!(
        "{}[[stream_destinations]]\nname = \"file\"\nfile = \"{DIRECTORY}/stream.ndjson\"\n",
        stream_to("hook", &receiver.url("/"))
    );
    let settings = settings(&configuration).endpoint_of("KINESIS", &kinesalite.endpoint_url());
    let mut server = Server::start_with(Store::Embedded, settings);
    let file = server.directory().join("stream.ndjson");
    let mut lines = [
        Line::new(&server, "relay-crash", Destination::Kinesis(stream)),
        Line::new(&server, "hook", Destination::Http(receiver)),
        Line::new(&server, "file", Destination::File(file)),
    ];
    for _ in 0..rounds {
        load_and_kill(&mut server, &mut lines, 1 + chance.below(ACKNOWLEDGEMENTS_MAX));
        server.restart();
    }
    let restarted = Instant::now();
    let expected: Vec<BTreeMap<Dataset, u64>> = lines.iter().map(|line| line.counts(&server)).collect();
    until("everything is delivered", || {
        let mut all = lines.iter().zip(&expected);
        all.all(|(line, counts)| are_whole(&line.destination.deliveries(), counts)).then_some(())
    });
    for line in &lines {
        until("everything is settled", || (events_waiting(&server, &line.pool) == 0).then_some(()));
    }
    let drained = restarted.elapsed();
    eprintln!("{rounds} kills; drained {drained:.1?} after the last restart");
    for (line, counts) in lines.iter().zip(&expected) {
        let deliveries = line.destination.deliveries();
        let tally = Tally::check(&deliveries, counts);
        eprintln!("{:>8}: {tally}", line.destination.name());
        let again = line.check_processes(&deliveries);
        let longest = counts.values().max().copied().unwrap_or_default();
        eprintln!(
            "          at most {} again after one kill, of up to {longest} events of a dataset; {} of the {} repeated \
             had been answered",
            again.most,
            again.answered,
            tally.repetitions()
        );
        assert!(longest > TAKEN_AT_A_TIME_MAX, "too few events for the bound to mean anything");
    }
    assert!(drained < Duration::from_secs(RESUMED_SECONDS_MAX), "leases of killed processes were waited for");
}

/// Datasets with events for a silent peer: more than the relay of one pool works on at a time, and more than
/// it finds of one pool in one scan.
const KEPT_IDENTITIES: usize = 16;
const KEPT_DATASETS: usize = 20;
const KEPT_IN_FLIGHT: usize = 32;

#[test]
fn what_was_under_delivery_at_a_kill_is_delivered_at_once_after_the_restart() {
    let kinesalite = Kinesalite::shared();
    let stream = kinesalite.stream("relay-leases");
    stream.create(1);
    let proxy = FaultProxy::before(kinesalite.address());
    proxy.set(Fault::Silence);
    let settings = settings("[outbox]\nlease_seconds = 60\n").endpoint_of("KINESIS", &proxy.endpoint_url());
    let mut server = Server::start_with(Store::Embedded, settings);
    let pool = streaming_pool(&server, "relay-leases");
    let guests: Vec<Guest> = (0..KEPT_IDENTITIES).map(|_| server.api().new_guest(&pool)).collect();
    let names: Vec<String> = (0..KEPT_DATASETS).map(|number| format!("set-{number}")).collect();
    let api = server.api();
    thread::scope(|scope| {
        for guest in &guests {
            scope.spawn(|| names.iter().for_each(|name| write_up_to(api, guest, name, 1)));
        }
    });
    proxy.wait_for("PutRecord", KEPT_IN_FLIGHT);
    server.kill();
    let asked = proxy.count("PutRecord");
    proxy.set(Fault::None);

    server.restart();
    let restarted = Instant::now();
    let records = stream.wait_for(KEPT_IDENTITIES * KEPT_DATASETS);
    let seconds = restarted.elapsed();
    eprintln!("{} events delivered {seconds:.1?} after the restart, {asked} of them cut off", records.len());
    let deliveries: Vec<Delivery> = records.iter().map(|record| Delivery::of(record.json())).collect();
    let at = |guest: &Guest| names.iter().map(|name| ((guest.identity.clone(), name.clone()), 1)).collect();
    let expected: BTreeMap<Dataset, u64> = guests.iter().flat_map(|guest| -> Vec<_> { at(guest) }).collect();
    assert_eq!(Tally::check(&deliveries, &expected).repetitions(), 0, "the silent peer had got none");
    assert!(seconds < Duration::from_secs(RESUMED_SECONDS_MAX), "leases were waited for: {seconds:.1?}");
}

#[test]
fn what_is_under_delivery_when_the_server_is_told_to_stop_is_delivered_once() {
    let receiver = Receiver::start();
    receiver.answer_path("/", Answer::status(200).after_milliseconds(300));
    let settings = settings(&stream_to("stopped", &receiver.url("/")));
    let mut server = Server::start_with(Store::Embedded, settings);
    let pool = streaming_pool(&server, "stopped");
    let guest = server.api().new_guest(&pool);
    for name in DATASETS {
        write_up_to(server.api(), &guest, name, 8);
    }
    // Each lane's first event was claimed alone; later ones are one claim, which is in delivery now.
    until("deliveries are under way", || (streamed(&receiver, "/").len() >= 4).then_some(()));
    server.stop();
    let before = streamed(&receiver, "/").len();
    assert!(before < 10, "a stop waits for the event of each lane that is under way, not for {before} of 16");
    server.restart();
    let key = |name: &str| (guest.identity.clone(), name.to_owned());
    let expected: BTreeMap<Dataset, u64> = DATASETS.map(|name| (key(name), 8)).into();
    until("the rest arrives", || are_whole(&streamed(&receiver, "/"), &expected).then_some(()));
    until("all of it is settled", || (events_waiting(&server, &pool) == 0).then_some(()));
    let tally = Tally::check(&streamed(&receiver, "/"), &expected);
    eprintln!("stopped after {before} deliveries: {tally}");
    assert_eq!(tally.repetitions(), 0, "{tally}");
}
