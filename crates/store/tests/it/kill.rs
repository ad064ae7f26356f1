//! The process is killed in the middle of commits, again and again in one directory: what was acknowledged is there,
//! and nothing is there by half.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use carryall_core::changes::{Changes, Write};
use carryall_core::ids::IdentityId;
use carryall_core::model::{DatasetRef, Record};

use crate::outbox_sample::{change, due, lane, positions, stream_of, updated, waiting};
use crate::sample::{
    AnyStore, create_pool, dataset, must_commit, open_embedded, owner, pool_ref, records, update_of, wait,
};

const CHILD_DIR: &str = "CARRYALL_TEST_KILL_DIR";
const WRITERS: usize = 4;
const ROUNDS: usize = 6;
const ACKNOWLEDGED_PER_ROUND: usize = 150;

fn dataset_of(writer: usize) -> DatasetRef {
    dataset(&owner(&pool_ref("a", 1), &format!("a:{writer}")), "prefs")
}

/// Events of one dataset that wait until they are taken off.
const EVENTS_KEPT: u64 = 20;

/// An update that puts an event, and takes the event off that was put [`EVENTS_KEPT`] counts ago.
fn with_event(store: &AnyStore, at: &DatasetRef, patches: &[(&str, Option<&str>)]) -> Changes {
    let mut changes = update_of(store, at, patches);
    let count = wait(store.head(at)).unwrap().effective().sync_count.next().0;
    let stream = stream_of(at);
    changes.write.push(Write::AppendEvent(updated(&stream, count, 1)));
    if let Some(old) = count.checked_sub(EVENTS_KEPT) {
        changes.write.push(Write::RemoveEvents(stream, vec![change(old)]));
    }
    changes
}

/// Updates for ever, printing the writer and the count of each update once it is acknowledged.
fn run_child(dir: &Path) {
    let store = open_embedded(dir);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                let at = dataset_of(writer);
                loop {
                    let count = wait(store.head(&at)).unwrap().effective().sync_count.next();
                    let value = count.0.to_string();
                    let (moving, big) = (format!("k{}", count.0 % 50), "x".repeat(2000));
                    let patches = [("all", Some(&*value)), (&moving, Some(&big)), ("count", Some(&value))];
                    must_commit(store, with_event(store, &at, &patches));
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {writer} {}", count.0).unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

/// Runs the child until it has acknowledged enough, kills it, and returns the last count of each writer.
fn killed_round(dir: &Path) -> [u64; WRITERS] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::acknowledged_commits_survive_kills_and_nothing_is_half_there",
            "--nocapture",
        ])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut last = [0; WRITERS];
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        if words.next() != Some("acknowledged") {
            continue;
        }
        // The last line may have been cut by the kill; then it was not heard.
        let (Some(writer), Some(count)) = (words.next(), words.next()) else { continue };
        let (writer, count) = (writer.parse::<usize>().unwrap(), count.parse::<u64>().unwrap());
        last[writer] = last[writer].max(count);
        acknowledged += 1;
        if acknowledged == ACKNOWLEDGED_PER_ROUND {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(acknowledged >= ACKNOWLEDGED_PER_ROUND, "the child ended on its own");
    last
}

fn assert_whole(store: &AnyStore, at: &DatasetRef, acknowledged: u64) -> u64 {
    let head = wait(store.head(at)).unwrap().head.unwrap();
    let count = head.sync_count.0;
    assert!(count >= acknowledged, "{acknowledged} was acknowledged and {count} is there");
    let life = head.life.unwrap();
    let all = records(store, at, 0).unwrap();
    assert_eq!(all.iter().filter(|record| record.value.is_some()).count(), life.records as usize);
    assert_eq!(all.len(), (life.records + life.tombstones) as usize);
    assert_eq!(all.iter().map(Record::data_bytes).sum::<u64>(), life.data_bytes);
    let newest: Vec<&Record> = all.iter().filter(|record| record.sync_count.0 == count).collect();
    assert_eq!(newest.len(), 3, "the last update is there whole");
    for text in ["all", "count"] {
        let record = newest.iter().find(|record| record.key.as_str() == text).unwrap();
        assert_eq!(record.value.as_deref(), Some(count.to_string().as_str()));
    }
    let keys: Vec<_> = all.iter().map(|record| record.key.clone()).collect();
    let stubs = wait(store.dataset(at, &keys)).unwrap().stubs;
    for (record, stub) in all.iter().zip(stubs) {
        assert_eq!(stub.map(|stub| stub.sync_count), Some(record.sync_count));
    }
    life.data_bytes
}

/// The events of a dataset are those of its last counts, up to the head's; returns how many that are.
fn assert_whole_lane(store: &AnyStore, at: &DatasetRef) -> u64 {
    let count = wait(store.head(at)).unwrap().head.unwrap().sync_count.0;
    let stream = stream_of(at);
    let expected: Vec<_> = ((count + 1).saturating_sub(EVENTS_KEPT).max(1)..=count).map(change).collect();
    assert_eq!(positions(store, &stream), expected);
    let events = lane(store, &stream).unwrap().events;
    assert_eq!(events, expected.len() as u64);
    events
}

#[test]
fn acknowledged_commits_survive_kills_and_nothing_is_half_there() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return run_child(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let pool = create_pool(&open_embedded(dir.path()));
    for _ in 0..ROUNDS {
        let last = killed_round(dir.path());
        let store = open_embedded(dir.path());
        let bytes: u64 =
            (0..WRITERS).map(|writer| assert_whole(&store, &dataset_of(writer), last[writer])).sum();
        assert_eq!(wait(store.pool_usage(&pool)).unwrap().data_bytes, bytes, "usage is in the same commit");
        let events: u64 = (0..WRITERS).map(|writer| assert_whole_lane(&store, &dataset_of(writer))).sum();
        assert_eq!(waiting(&store, &pool), events);
        assert_eq!(due(&store, 1).len(), WRITERS, "each lane is found by its one mark");
        let at = dataset_of(0);
        assert!(IdentityId::parse(at.owner.identity.as_str()).is_ok());
        for value in [Some("v"), None] {
            must_commit(&store, with_event(&store, &at, &[("between", value)]));
        }
    }
}
