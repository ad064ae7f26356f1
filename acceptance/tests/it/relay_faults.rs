//! Peers that throttle, fail, refuse, lose their answers, stay silent or are slow. Deliveries are retried
//! with growing pauses and in order, and those of other pools do not wait.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use carryall_acceptance::peers::{Answer, Fault, FaultProxy, Kinesalite, Receiver, Stream, until};
use carryall_acceptance::{Guest, Server, Store};
use serde_json::json;

use crate::relay::{
    Dataset, Delivery, Tally, are_whole, configure, enabled, failed_deliveries, posted, register, settings,
    stream_to, streamed, streaming_pool, subscribe, write_up_to,
};

const PUT: &str = "PutRecord";
const UPDATES: u64 = 5;
const DATASETS: [&str; 2] = ["a", "b"];

/// A server whose stream is at kinesalite, with a proxy between them.
struct Faulty<'a> {
    stream: Stream<'a>,
    proxy: FaultProxy,
    server: Server,
    guests: Vec<Guest>,
}

impl<'a> Faulty<'a> {
    fn start(stream: &'a str) -> Self {
        let kinesalite = Kinesalite::shared();
        let proxy = FaultProxy::before(kinesalite.address());
        let settings =
            settings("[outbox]\nbackoff_seconds_max = 2\n").endpoint_of("KINESIS", &proxy.endpoint_url());
        let server = Server::start_with(Store::Embedded, settings);
        let stream = kinesalite.stream(stream);
        stream.create(1);
        let pool = streaming_pool(&server, stream.name);
        let guests = (0..2).map(|_| server.api().new_guest(&pool)).collect();
        Self { stream, proxy, server, guests }
    }

    /// Writes while the present fault lasts.
    fn write(&self) -> BTreeMap<Dataset, u64> {
        let mut expected = BTreeMap::new();
        for guest in &self.guests {
            for name in DATASETS {
                write_up_to(self.server.api(), guest, name, UPDATES);
                expected.insert((guest.identity.clone(), name.to_owned()), UPDATES);
            }
        }
        expected
    }

    fn wait_for_failures(&self, failures: u64) {
        until("deliveries fail", || (failed_deliveries(&self.server) >= failures).then_some(()));
    }

    fn deliveries(&self) -> Vec<Delivery> {
        self.stream.records().iter().map(|record| Delivery::of(record.json())).collect()
    }

    /// Waits until everything has arrived, and returns the repetitions.
    fn arrived(&self, fault: &str, expected: &BTreeMap<Dataset, u64>) -> Tally {
        let deliveries = until("everything arrives", || {
            Some(self.deliveries()).filter(|deliveries| are_whole(deliveries, expected))
        });
        let tally = Tally::check(&deliveries, expected);
        let (failed, asked) = (failed_deliveries(&self.server), self.proxy.count(PUT));
        eprintln!("{fault}: {asked} requests, {failed} deliveries failed; {tally}");
        tally
    }
}

#[test]
fn a_throttling_stream_gets_everything_in_order_once() {
    let faulty = Faulty::start("relay-throttling");
    faulty.proxy.set_for(PUT, Fault::json_error(400, "ProvisionedThroughputExceededException"));
    let expected = faulty.write();
    faulty.wait_for_failures(8);
    faulty.proxy.set(Fault::None);
    assert_eq!(faulty.arrived("throttled", &expected).repetitions(), 0);
}

#[test]
fn a_failing_stream_gets_everything_in_order_once() {
    let faulty = Faulty::start("relay-failing");
    faulty.proxy.set_for(PUT, Fault::json_error(500, "InternalFailure"));
    let expected = faulty.write();
    faulty.wait_for_failures(8);
    faulty.proxy.set_for_next(4, PUT, Fault::HangUp);
    assert_eq!(faulty.arrived("500, then hung up", &expected).repetitions(), 0);
}

#[test]
fn a_stream_that_refuses_connections_gets_everything_in_order_once() {
    let faulty = Faulty::start("relay-refusing");
    faulty.proxy.refuse(true);
    let expected = faulty.write();
    faulty.wait_for_failures(8);
    faulty.proxy.refuse(false);
    assert_eq!(faulty.arrived("refused", &expected).repetitions(), 0);
}

#[test]
fn an_event_whose_answer_is_lost_comes_again_under_its_id_and_no_other_does() {
    let faulty = Faulty::start("relay-losing");
    let losses = 5;
    faulty.proxy.set_for_next(losses, PUT, Fault::LoseAnswer);
    let expected = faulty.write();
    faulty.wait_for_failures(losses as u64);
    assert_eq!(faulty.arrived("answers lost", &expected).repetitions(), losses);
}

#[test]
fn a_slow_stream_gets_everything_in_order_once() {
    let faulty = Faulty::start("relay-slow");
    faulty.proxy.set_for(PUT, Fault::Slow { delay_milliseconds: 150 });
    let expected = faulty.write();
    assert_eq!(faulty.arrived("slow", &expected).repetitions(), 0);
    assert_eq!(failed_deliveries(&faulty.server), 0);
}

#[test]
fn pauses_between_deliveries_grow_up_to_their_cap() {
    let receiver = Receiver::start();
    receiver.answer_path("/", Answer::status(503));
    let configuration =
        format!("[outbox]\nbackoff_seconds_max = 2\n{}", stream_to("broken", &receiver.url("/")));
    let server = Server::start_with(Store::Embedded, settings(&configuration));
    let guest = server.api().new_guest(&streaming_pool(&server, "broken"));
    write_up_to(server.api(), &guest, "prefs", 1);
    let attempts = until("eight attempts", || Some(posted(&receiver, "/")).filter(|all| all.len() >= 8));
    let pauses: Vec<Duration> =
        attempts.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).collect();
    eprintln!("pauses with a cap of 2 s: {pauses:.2?}");
    for (number, pause) in pauses.iter().enumerate() {
        // Pauses double, and their latter half is random; the relay scans for due lanes once a second.
        let full = Duration::from_millis(500 << number).min(Duration::from_secs(2));
        assert!(*pause + Duration::from_millis(50) >= full / 2, "pause {number}: {pauses:?}");
        assert!(*pause <= full + Duration::from_secs(3), "pause {number}: {pauses:?}");
    }
    let messages = streamed(&receiver, "/");
    assert!(messages.iter().all(|one| one.event_id == messages[0].event_id));
}

/// The time limit for another pool's event while a destination hangs.
const UNDISTURBED_SECONDS_MAX: u64 = 2;
/// Simultaneous deliveries of one pool, and of all pools together.
const IN_FLIGHT_PER_POOL: usize = 32;
const IN_FLIGHT: usize = 128;
const APPLICATION: &str = "arn:aws:sns:us-east-1:123456789012:app/GCM/undisturbed";

/// A server with a Kinesis that does not answer, and a receiver that answers at once.
struct Hanging {
    proxy: FaultProxy,
    receiver: Receiver,
    server: Server,
}

impl Hanging {
    fn start() -> Self {
        let proxy = FaultProxy::before(Kinesalite::shared().address());
        proxy.set(Fault::Silence);
        let receiver = Receiver::start();
        let push = receiver.url("/push");
        let configuration = format!(
            "[outbox]\nbackoff_seconds_max = 1\n{}\
             [[push_destinations]]\nname = \"{APPLICATION}\"\nurl = \"{push}\"\nsecret_env = \"DESTINATION_SECRET\"\n",
            stream_to("healthy", &receiver.url("/stream"))
        );
        let settings = settings(&configuration).endpoint_of("KINESIS", &proxy.endpoint_url());
        Self { proxy, receiver, server: Server::start_with(Store::Embedded, settings) }
    }

    /// Leaves one event in each of some datasets of a pool whose stream hangs, and returns the pool's guests.
    fn hang(&self, pool: &str, datasets_each: usize) -> Vec<Guest> {
        let guests: Vec<Guest> = (0..2).map(|_| self.server.api().new_guest(pool)).collect();
        let api = self.server.api();
        thread::scope(|scope| {
            for guest in &guests {
                scope.spawn(move || {
                    let names = (0..datasets_each).map(|number| format!("set-{number}"));
                    names.for_each(|name| write_up_to(api, guest, &name, 1));
                });
            }
        });
        guests
    }

    /// The time from the update's answer to the arrival of the healthy pool's event.
    fn lag_of(&self, healthy: &Guest, count: u64) -> Duration {
        write_up_to(self.server.api(), healthy, "prefs", count);
        let written = Instant::now();
        until("the healthy pool's event", || {
            (streamed(&self.receiver, "/stream").len() as u64 >= count).then_some(())
        });
        written.elapsed()
    }
}

#[test]
fn a_silent_stream_holds_up_no_other_pool_and_is_asked_again_and_gets_everything_once() {
    let hanging = Hanging::start();
    let Hanging { proxy, server, .. } = &hanging;
    let stream = Kinesalite::shared().stream("relay-silent");
    stream.create(1);
    let guests = hanging.hang(&streaming_pool(server, "relay-silent"), 20);
    proxy.wait_for(PUT, IN_FLIGHT_PER_POOL);
    let healthy = server.api().new_guest(&streaming_pool(server, "healthy"));
    let lag = hanging.lag_of(&healthy, 1);
    eprintln!("another pool's event arrives after {lag:.1?} while a stream is silent");
    assert!(lag < Duration::from_secs(UNDISTURBED_SECONDS_MAX), "{lag:.1?}");

    // Silence ends with a time-out: the lanes behind the first ones get their turn, and the first ones again.
    proxy.wait_for(PUT, IN_FLIGHT_PER_POOL + 16);
    proxy.set(Fault::None);
    let deliveries: Vec<Delivery> =
        stream.wait_for(40).iter().map(|record| Delivery::of(record.json())).collect();
    let key = |guest: &Guest, number: usize| (guest.identity.clone(), format!("set-{number}"));
    let expected: BTreeMap<Dataset, u64> =
        guests.iter().flat_map(|guest| (0..20).map(move |number| (key(guest, number), 1))).collect();
    let tally = Tally::check(&deliveries, &expected);
    eprintln!("silent: {} requests; {tally}", proxy.count(PUT));
    assert_eq!(tally.repetitions(), 0, "{tally}");
}

#[test]
fn one_silent_destination_of_many_pools_holds_up_no_other_pool() {
    let hanging = Hanging::start();
    let Hanging { proxy, server, .. } = &hanging;
    for _ in 0..5 {
        hanging.hang(&streaming_pool(server, "relay-silent-for-many"), IN_FLIGHT_PER_POOL / 2);
    }
    proxy.wait_for(PUT, IN_FLIGHT);
    let healthy = server.api().new_guest(&streaming_pool(server, "healthy"));
    let lag = hanging.lag_of(&healthy, 1);
    eprintln!("another pool's event arrives after {lag:.1?} while five pools' stream is silent");
    assert!(lag < Duration::from_secs(UNDISTURBED_SECONDS_MAX), "{lag:.1?}");
}

#[test]
fn devices_are_told_while_the_stream_of_their_pool_is_silent() {
    let hanging = Hanging::start();
    let Hanging { proxy, receiver, server, .. } = &hanging;
    let pool = server.api().new_pool(&server.root());
    let push = json!({ "ApplicationArns": [APPLICATION] });
    configure(server, &pool, &json!({ "PushSync": push, "CognitoStreams": enabled("relay-silent-for-one") }));
    let guests = hanging.hang(&pool, 20);
    proxy.wait_for(PUT, IN_FLIGHT_PER_POOL);
    let device = register(server.api(), &guests[0], "a token");
    subscribe(server.api(), &guests[0], "set-0", &device);
    write_up_to(server.api(), &guests[0], "set-0", 2);
    let written = Instant::now();
    until("the push", || (!posted(receiver, "/push").is_empty()).then_some(()));
    let lag = written.elapsed();
    eprintln!("a device of the same pool gets its notice after {lag:.1?} while the stream is silent");
    assert!(lag < Duration::from_secs(UNDISTURBED_SECONDS_MAX), "{lag:.1?}");
}
