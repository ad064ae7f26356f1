//! The server is killed repeatedly while writers write. After each restart everything acknowledged is there,
//! nothing is partly there, and no count has fallen.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::thread;

use carryall_acceptance::{Api, Connection, Guest, Request, Server, Store};
use serde_json::{Value, json};

const IDENTITIES: usize = 3;
const KEYS_PER_UPDATE: usize = 4;
/// Rounds of load and kill, unless `CARRYALL_CRASH_ROUNDS` is set.
const ROUNDS: usize = 12;
/// The largest number of acknowledgements before the kill.
const ACKNOWLEDGEMENTS_MAX: u64 = 300;

/// A writer. It alone writes its keys, each time one higher number to all of them.
#[derive(Clone, Debug)]
struct Writer {
    guest: Guest,
    dataset: String,
    keys: Vec<String>,
    /// True if it sometimes deletes its dataset, which no other writer uses.
    deletes: bool,
    /// The last number that was acknowledged, and the last that was sent.
    acknowledged: u64,
    attempted: u64,
    /// The highest dataset count that the server returned to it.
    count: u64,
    /// True if the last acknowledged step was a deletion; true if a deletion was in flight.
    deleted: bool,
    deletion_in_flight: bool,
}

impl Writer {
    fn new(guest: &Guest, dataset: &str, prefix: &str, deletes: bool) -> Self {
        Self {
            guest: guest.clone(),
            dataset: dataset.to_owned(),
            keys: (0..KEYS_PER_UPDATE).map(|number| format!("{prefix}-{number}")).collect(),
            deletes,
            acknowledged: 0,
            attempted: 0,
            count: 0,
            deleted: false,
            deletion_in_flight: false,
        }
    }

    /// Writes until the server is gone.
    fn run(&mut self, address: SocketAddr, acknowledged: &Sender<()>) {
        let Ok(mut connection) = Connection::open(address) else { return };
        while self.step(address, &mut connection).is_ok() {
            // The receiver stops counting when it has killed the server.
            let _ = acknowledged.send(());
        }
    }

    fn step(&mut self, address: SocketAddr, connection: &mut Connection) -> io::Result<()> {
        let api = Api::at(address);
        let target = self.guest.dataset(&self.dataset);
        if self.deletes && self.acknowledged % 5 == 4 && !self.deleted {
            self.deletion_in_flight = true;
            let request = api.signed(&self.guest.caller, Request::new("DELETE", &*target));
            let answer = connection.exchange(&request)?;
            assert_eq!(answer.status, 200, "{}", answer.text());
            self.deletion_in_flight = false;
            self.deleted = true;
            self.count += 1;
            return Ok(());
        }
        let request = api.signed(&self.guest.caller, Request::new("GET", self.guest.records(&self.dataset)));
        let answer = connection.exchange(&request)?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let listing = answer.json();
        let counts = counts_of(&listing);
        let next = self.attempted.max(self.acknowledged) + 1;
        let patches: Vec<Value> = self
            .keys
            .iter()
            .map(|key| json!({ "Op": "replace", "Key": key, "Value": next.to_string(), "SyncCount": counts.get(key).unwrap_or(&0) }))
            .collect();
        let body = json!({ "SyncSessionToken": listing["SyncSessionToken"], "RecordPatches": patches });
        let request = api.signed(&self.guest.caller, Request::new("POST", &*target).json(&body));
        self.attempted = next;
        let answer = connection.exchange(&request)?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.acknowledged = next;
        self.deleted = false;
        self.count = answer.json()["Records"][0]["SyncCount"].as_u64().unwrap();
        Ok(())
    }

    /// Compares the acknowledged writes with the server's data after the restart.
    fn check(&mut self, listing: &Value) {
        let count = listing["DatasetSyncCount"].as_u64().unwrap();
        assert!(count >= self.count, "the count fell from {} to {count}: {self:?}", self.count);
        self.count = count;
        let exists = listing["DatasetExists"] == true;
        let values: Vec<(u64, u64)> = listing["Records"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| self.keys.iter().any(|key| record["Key"] == **key))
            .map(|record| (number(&record["Value"]), record["SyncCount"].as_u64().unwrap()))
            .collect();
        let gone = !exists || values.is_empty();
        if gone {
            let excused = self.acknowledged == 0 || self.deleted || self.deletion_in_flight;
            assert!(excused, "acknowledged records are gone: {self:?}\n{listing}");
        } else {
            assert_eq!(values.len(), KEYS_PER_UPDATE, "an update is half there: {self:?}\n{listing}");
            assert!(
                values.iter().all(|pair| *pair == values[0]),
                "an update is half there: {self:?}\n{listing}"
            );
            let held = values[0].0;
            assert!(held >= self.acknowledged, "an acknowledged write is lost: {self:?}\n{listing}");
            let undeleted = self.deleted && held == self.acknowledged;
            assert!(!undeleted, "an acknowledged deletion is lost: {self:?}\n{listing}");
            assert!(held <= self.attempted, "a write that was never sent: {self:?}\n{listing}");
            self.acknowledged = held;
        }
        // For the next round, the server's data is the truth.
        self.deleted = gone;
        self.deletion_in_flight = false;
    }
}

fn counts_of(listing: &Value) -> BTreeMap<String, u64> {
    let records = listing["Records"].as_array().unwrap().iter();
    records
        .map(|record| (record["Key"].as_str().unwrap().to_owned(), record["SyncCount"].as_u64().unwrap()))
        .collect()
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn writers(server: &Server) -> Vec<Writer> {
    let api = server.api();
    let pool = api.new_pool(&server.root());
    let guests: Vec<Guest> = (0..IDENTITIES).map(|_| api.new_guest(&pool)).collect();
    let mut writers = Vec::new();
    for guest in &guests {
        writers.push(Writer::new(guest, "own", "own", false));
        writers.push(Writer::new(guest, "shared", "left", false));
        writers.push(Writer::new(guest, "shared", "right", false));
    }
    writers.push(Writer::new(&guests[0], "churned", "churned", true));
    writers
}

/// Checks that everything that the server sums up agrees with the listing.
fn check_sums(server: &Server, writers: &[Writer]) {
    let api = server.api();
    let root = server.root();
    let mut datasets: BTreeMap<String, (Guest, Vec<String>)> = BTreeMap::new();
    for writer in writers {
        let entry = datasets
            .entry(writer.guest.identity.clone())
            .or_insert_with(|| (writer.guest.clone(), Vec::new()));
        if !entry.1.contains(&writer.dataset) {
            entry.1.push(writer.dataset.clone());
        }
    }
    let mut pool_bytes = 0;
    for (guest, names) in datasets.values() {
        let (mut identity_bytes, mut existing) = (0, 0);
        for name in names {
            let listing = api.list(guest, name);
            let records = listing["Records"].as_array().unwrap();
            let length = |member: &Value| member.as_str().map_or(0, str::len) as u64;
            let bytes: u64 =
                records.iter().map(|record| length(&record["Key"]) + length(&record["Value"])).sum();
            let answer = api.sync(Some(&root), "GET", &guest.dataset(name), None);
            if listing["DatasetExists"] == true {
                let dataset = &answer.json()["Dataset"];
                assert_eq!(dataset["NumRecords"], records.len(), "{name}: {dataset}");
                assert_eq!(dataset["DataStorage"], bytes, "{name}: {dataset}");
                existing += 1;
            } else {
                assert_eq!(answer.status, 404, "{name}");
            }
            identity_bytes += bytes;
        }
        let usage = api.sync(Some(&root), "GET", &guest.path(), None).json();
        assert_eq!(usage["IdentityUsage"]["DataStorage"], identity_bytes, "{usage}");
        assert_eq!(usage["IdentityUsage"]["DatasetCount"], existing, "{usage}");
        pool_bytes += identity_bytes;
    }
    let pool = carryall_acceptance::api::encoded(&writers[0].guest.pool);
    let usage = api.sync(Some(&root), "GET", &format!("/identitypools/{pool}"), None).json();
    assert_eq!(usage["IdentityPoolUsage"]["DataStorage"], pool_bytes, "{usage}");
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_under_load() {
    let rounds = std::env::var("CARRYALL_CRASH_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut server = Server::start(Store::Embedded);
    let mut writers = writers(&server);
    let chance = RandomState::new();
    for round in 0..rounds {
        let mut hasher = chance.build_hasher();
        hasher.write_usize(round);
        let kill_after = hasher.finish() % ACKNOWLEDGEMENTS_MAX;
        let address = server.address();
        let (report, acknowledged) = mpsc::channel();
        writers = thread::scope(|scope| {
            let running: Vec<_> = writers
                .drain(..)
                .map(|mut writer| {
                    let report = report.clone();
                    scope.spawn(move || {
                        writer.run(address, &report);
                        writer
                    })
                })
                .collect();
            drop(report);
            for _ in 0..kill_after {
                acknowledged.recv().expect("writers go on until the server is killed");
            }
            server.kill();
            running.into_iter().map(|writer| writer.join().expect("a writer found something wrong")).collect()
        });
        server.restart();
        eprintln!("round {round}: killed after {kill_after} acknowledgements");
        for writer in &mut writers {
            let listing = server.api().list(&writer.guest, &writer.dataset);
            writer.check(&listing);
        }
        check_sums(&server, &writers);
    }
    server.stop();
}
