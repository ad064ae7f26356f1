//! An event that its destination rejects: it is parked, only its own dataset waits behind it, and an operator
//! sees it and decides, with the server running or stopped.

use std::process::{Command, Output};

use carryall_acceptance::peers::{Answer, Fault, FaultProxy, Kinesalite, Receiver, StreamRecord, until};
use carryall_acceptance::server::{ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY, program};
use carryall_acceptance::{Guest, Server, Store};
use serde_json::Value;

use crate::relay::{
    SECRET, events_waiting, posted, settings, stream_to, streamed, streaming_pool, write_up_to,
};

/// Updates of each dataset; the event of the first one is rejected.
const UPDATES: u64 = 3;

/// The parked lanes, as `--output json` lists them.
fn listed(server: &Server) -> Vec<Value> {
    let list: Value = serde_json::from_str(&server.verb(&["outbox", "list", "--output", "json"])).unwrap();
    assert_eq!(list["More"], false);
    list["Parked"].as_array().unwrap().clone()
}

fn wait_for_parked(server: &Server, count: usize) -> Vec<Value> {
    until(&format!("{count} parked lanes"), || Some(listed(server)).filter(|lanes| lanes.len() == count))
}

fn event_id(lane: &Value) -> &str {
    lane["EventId"].as_str().unwrap()
}

/// Runs a command with the server's settings that may fail.
fn tried(server: &Server, words: &[&str]) -> Output {
    let directory = server.directory();
    Command::new(program())
        .args(words)
        .env_clear()
        .env("CARRYALL_STORE", format!("embedded:{}", directory.join("data").display()))
        .env("CARRYALL_CONFIG", directory.join("carryall.toml"))
        .env("CARRYALL_ROOT_ACCESS_KEY_ID", ROOT_ACCESS_KEY_ID)
        .env("CARRYALL_ROOT_SECRET_ACCESS_KEY", ROOT_SECRET_ACCESS_KEY)
        .env("DESTINATION_SECRET", SECRET)
        .current_dir(directory)
        .output()
        .unwrap()
}

/// The one line that a failed command prints.
fn refusal(server: &Server, words: &[&str]) -> String {
    let output = tried(server, words);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{words:?}: {output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{words:?}: {said}");
    lines[0].to_owned()
}

/// The state of the server when a command runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum While {
    Running,
    Stopped,
}

/// A server with events of some datasets that the receiver rejected.
struct Stuck {
    receiver: Receiver,
    server: Server,
    pool: String,
    guest: Guest,
}

impl Stuck {
    fn with(datasets: &[&str]) -> Self {
        let receiver = Receiver::start();
        let configuration =
            format!("[outbox]\nbackoff_seconds_max = 1\n{}", stream_to("picky", &receiver.url("/")));
        let server = Server::start_with(Store::Embedded, settings(&configuration));
        let pool = streaming_pool(&server, "picky");
        let guest = server.api().new_guest(&pool);
        receiver.answer_path("/", Answer::status(400));
        for name in datasets {
            write_up_to(server.api(), &guest, name, 1);
        }
        wait_for_parked(&server, datasets.len());
        for name in datasets {
            write_up_to(server.api(), &guest, name, UPDATES);
        }
        Self { receiver, server, pool, guest }
    }

    /// Accepts every event from now on.
    fn mend(&self) {
        self.receiver.answer_path("/", Answer::status(200));
    }

    /// The id of the parked event of a dataset.
    fn parked(&self, dataset: &str) -> String {
        let lanes = listed(&self.server);
        let part = format!("/{dataset}/");
        let id = lanes.iter().map(event_id).find(|id| id.contains(&part)).unwrap();
        id.to_owned()
    }

    fn verb(&mut self, when: While, words: &[&str]) -> String {
        if when == While::Running {
            return self.server.verb(words);
        }
        self.server.stop();
        let said = self.server.verb(words);
        self.server.restart();
        said
    }

    /// The counts of a dataset's messages after the first `skipped` ones.
    fn counts_after(&self, skipped: usize, dataset: &str) -> Vec<u64> {
        let later = streamed(&self.receiver, "/").into_iter().skip(skipped);
        later.filter(|one| one.dataset.1 == dataset).map(|one| one.count).collect()
    }

    fn wait_for_counts(&self, skipped: usize, dataset: &str, counts: &[u64]) {
        until(&format!("{dataset} up to {counts:?}"), || {
            (self.counts_after(skipped, dataset).len() >= counts.len()).then_some(())
        });
        until("they are settled", || {
            let lanes = listed(&self.server);
            let waiting: u64 = lanes.iter().map(|lane| lane["Events"].as_u64().unwrap()).sum();
            (events_waiting(&self.server, &self.pool) == waiting).then_some(())
        });
        assert_eq!(self.counts_after(skipped, dataset), counts);
    }
}

#[test]
fn a_refused_record_is_parked_and_listed_and_holds_up_its_own_dataset_alone() {
    let kinesalite = Kinesalite::shared();
    let stream = kinesalite.stream("outbox-poisoned");
    stream.create(1);
    let proxy = FaultProxy::before(kinesalite.address());
    let server =
        Server::start_with(Store::Embedded, settings("").endpoint_of("KINESIS", &proxy.endpoint_url()));
    let pool = streaming_pool(&server, "outbox-poisoned");
    let guest = server.api().new_guest(&pool);
    assert_eq!(server.verb(&["outbox", "list"]), "nothing is parked\n");
    proxy.set_for_next(1, "PutRecord", Fault::json_error(400, "ValidationException"));
    write_up_to(server.api(), &guest, "poisoned", 1);
    wait_for_parked(&server, 1);

    write_up_to(server.api(), &guest, "poisoned", UPDATES);
    write_up_to(server.api(), &guest, "fine", UPDATES);
    let records = stream.wait_for(3);
    assert!(records.iter().all(|record| record.json()["datasetName"] == "fine"), "{records:?}");
    let lanes = listed(&server);
    let [lane] = lanes.as_slice() else { panic!("one lane: {lanes:?}") };
    let id = event_id(lane);
    assert!(id.starts_with(&pool) && id.ends_with(&format!("/{}/poisoned/1/stream", guest.identity)), "{id}");
    assert_eq!(
        (&lane["Events"], &lane["Attempts"], &lane["SwitchedOff"]),
        (&3.into(), &1.into(), &false.into())
    );
    let trouble = lane["Trouble"].as_str().unwrap();
    assert!(trouble.contains("ValidationException") && trouble.contains("PutRecord"), "{trouble}");
    let since = lane["Parked"].as_str().unwrap();
    assert!(since.starts_with("20") && since.contains('T') && since.ends_with('Z'), "{since}");

    let shown = server.verb(&["outbox", "list"]);
    for part in [id, since, trouble, "3 waiting", "1 deliveries failed"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(server.verb(&["outbox", "retry", id]), "retried 1 parked lanes\n");
    let counts: Vec<Value> = stream
        .wait_for(6)
        .iter()
        .map(StreamRecord::json)
        .filter(|record| record["datasetName"] == "poisoned")
        .map(|mut record| record["syncCount"].take())
        .collect();
    assert_eq!(counts, [1, 2, 3]);
    assert_eq!(server.verb(&["outbox", "list"]), "nothing is parked\n");
}

fn one_lane_is_retried(when: While) {
    let mut stuck = Stuck::with(&["a", "b"]);
    let before = posted(&stuck.receiver, "/").len();
    let id = stuck.parked("a");
    // The event is still rejected: it is parked again, and the dataset behind it keeps waiting.
    assert_eq!(stuck.verb(when, &["outbox", "retry", &id]), "retried 1 parked lanes\n");
    until("it is tried", || (posted(&stuck.receiver, "/").len() > before).then_some(()));
    wait_for_parked(&stuck.server, 2);
    assert_eq!(stuck.parked("a"), id);

    stuck.mend();
    stuck.verb(when, &["outbox", "retry", &id]);
    stuck.wait_for_counts(before + 1, "a", &[1, 2, 3]);
    assert_eq!(stuck.counts_after(before, "b"), [0; 0], "nobody asked for this one");
    assert_eq!(listed(&stuck.server).len(), 1);
}

#[test]
fn one_event_is_retried_while_the_server_runs() {
    one_lane_is_retried(While::Running);
}

#[test]
fn one_event_is_retried_while_the_server_is_stopped() {
    one_lane_is_retried(While::Stopped);
}

fn one_event_is_dropped(when: While) {
    let mut stuck = Stuck::with(&["a", "b"]);
    let before = posted(&stuck.receiver, "/").len();
    stuck.mend();
    let id = stuck.parked("a");
    assert_eq!(stuck.verb(when, &["outbox", "drop", &id]), format!("dropped {id}\n"));
    stuck.wait_for_counts(before, "a", &[2, 3]);
    assert_eq!(stuck.counts_after(before, "b"), [0; 0], "the other one stays parked");
    let again = refusal(&stuck.server, &["outbox", "drop", &id]);
    assert!(again.contains("is parked") && again.contains(&id), "{again}");
    write_up_to(stuck.server.api(), &stuck.guest, "a", 4);
    stuck.wait_for_counts(before, "a", &[2, 3, 4]);
}

#[test]
fn one_event_is_dropped_while_the_server_runs() {
    one_event_is_dropped(While::Running);
}

#[test]
fn one_event_is_dropped_while_the_server_is_stopped() {
    one_event_is_dropped(While::Stopped);
}

fn everything_is_retried(when: While) {
    let names = ["a", "b", "c"];
    let mut stuck = Stuck::with(&names);
    let before = posted(&stuck.receiver, "/").len();
    stuck.mend();
    let said = stuck.verb(when, &["outbox", "retry", "--all", "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["Lanes"], names.len());
    for name in names {
        stuck.wait_for_counts(before, name, &[1, 2, 3]);
    }
    assert_eq!(events_waiting(&stuck.server, &stuck.pool), 0);
    assert_eq!(stuck.server.verb(&["outbox", "retry", "--all"]), "retried 0 parked lanes\n");
}

#[test]
fn everything_is_retried_while_the_server_runs() {
    everything_is_retried(While::Running);
}

#[test]
fn everything_is_retried_while_the_server_is_stopped() {
    everything_is_retried(While::Stopped);
}

#[test]
fn what_is_no_parked_event_is_refused_in_one_line_and_changes_nothing() {
    let mut stuck = Stuck::with(&["a"]);
    write_up_to(stuck.server.api(), &stuck.guest, "a", UPDATES);
    let before = posted(&stuck.receiver, "/").len();
    let id = stuck.parked("a");
    let second = id.replace("/a/1/", "/a/2/");
    let elsewhere = id.replace("/a/1/", "/never/1/");
    let wrong = [
        ("nonsense", "is no id of an event"),
        ("", "is no id of an event"),
        ("us-east-1:0/0/x", "is no id of an event"),
        (&second, "is not the first of its lane"),
        (&elsewhere, "is parked"),
    ];
    for when in [While::Running, While::Stopped] {
        if when == While::Stopped {
            stuck.server.stop();
        }
        for verb in ["retry", "drop"] {
            for (wrong, why) in wrong {
                let said = refusal(&stuck.server, &["outbox", verb, wrong]);
                assert!(said.contains(why) && said.contains(wrong), "{verb} {wrong}: {said}");
            }
        }
        assert_eq!(listed(&stuck.server).len(), 1);
    }
    stuck.server.restart();
    assert_eq!(stuck.parked("a"), id);
    assert_eq!(posted(&stuck.receiver, "/").len(), before, "nothing was delivered");
}

#[test]
fn what_keeps_failing_is_parked_after_attempts_max() {
    let receiver = Receiver::start();
    receiver.answer_path("/", Answer::status(503));
    let limits = "[outbox]\nattempts_max = 3\nbackoff_seconds_max = 1\n";
    let configuration = format!("{limits}{}", stream_to("broken", &receiver.url("/")));
    let server = Server::start_with(Store::Embedded, settings(&configuration));
    let guest = server.api().new_guest(&streaming_pool(&server, "broken"));
    for (number, name) in ["a", "b"].iter().enumerate() {
        write_up_to(server.api(), &guest, name, 2);
        let lanes = wait_for_parked(&server, number + 1);
        // No attempt for an earlier one arrived meanwhile.
        assert_eq!(posted(&receiver, "/").len(), 3 * (number + 1));
        for lane in lanes {
            assert_eq!((&lane["Attempts"], &lane["Events"]), (&3.into(), &2.into()), "{lane}");
            assert!(lane["Trouble"].as_str().unwrap().contains("503"), "{lane}");
        }
    }
    receiver.answer_path("/", Answer::status(200));
    server.verb(&["outbox", "retry", "--all"]);
    until("everything arrives", || (streamed(&receiver, "/").len() == 6 + 4).then_some(()));
}
