//! The process is killed in the middle of commits, again and again in one directory: what was acknowledged is there,
//! and nothing is there by half.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use carryall_core::ids::IdentityId;
use carryall_core::model::{DatasetRef, Record};

use crate::sample::{
    AnyStore, create_pool, dataset, open_embedded, owner, pool_ref, records, update, update_of, wait,
};

const CHILD_DIR: &str = "CARRYALL_TEST_KILL_DIR";
const WRITERS: usize = 4;
const ROUNDS: usize = 6;
const ACKNOWLEDGED_PER_ROUND: usize = 150;

fn dataset_of(writer: usize) -> DatasetRef {
    dataset(&owner(&pool_ref("a", 1), &format!("a:{writer}")), "prefs")
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
                    update(
                        store,
                        &at,
                        &[("all", Some(&value)), (&moving, Some(&big)), ("count", Some(&value))],
                    );
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
        let at = dataset_of(0);
        assert!(IdentityId::parse(at.owner.identity.as_str()).is_ok());
        wait(store.commit(update_of(&store, &at, &[("between", Some("v"))]))).unwrap();
        wait(store.commit(update_of(&store, &at, &[("between", None)]))).unwrap();
    }
}
