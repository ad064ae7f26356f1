//! A full disk. A limit on the size of files stands in for it: that needs no privilege, and the write fails in the same
//! place.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use carryall_core::store::{Committed, Health, StoreError};

use crate::sample::{create_pool, dataset, open_embedded, owner, pool_ref, records, update, update_of, wait};

const CHILD_DIR: &str = "CARRYALL_TEST_FULL_DIR";
const TEST: &str = "disk_full::a_full_disk_stops_writes_and_loses_nothing_acknowledged";

fn at() -> carryall_core::model::DatasetRef {
    dataset(&owner(&pool_ref("a", 1), "a:1"), "prefs")
}

/// Updates until the disk is full, then shows that writes have stopped and reads have not.
fn run_child(dir: &Path) {
    let store = open_embedded(dir);
    let big = "x".repeat(10_000);
    let mut taken = 0_usize;
    let failure = loop {
        let changes = update_of(&store, &at(), &[(&format!("k{taken}"), Some(&big))]);
        match wait(store.commit(changes)) {
            Ok(Committed::Done) => taken += 1,
            Ok(Committed::Refused) => panic!("nobody else writes"),
            Err(error) => break error,
        }
        assert!(taken < 1000, "the disk never became full");
    };
    assert!(matches!(failure, StoreError::Unavailable { .. }), "{failure:?}");
    let health = wait(store.health()).unwrap();
    assert!(matches!(&health, Health::ReadOnly(cause) if cause.contains("writing failed")), "{health:?}");
    let again = wait(store.commit(update_of(&store, &at(), &[("small", Some("v"))])));
    assert!(matches!(again, Err(StoreError::Unavailable { .. })), "{again:?}");
    assert_eq!(
        records(&store, &at(), 0).unwrap().len(),
        taken + 1,
        "reads still work and see what was acknowledged"
    );
    drop(store);
    // The last of the room goes to the batches that the starts themselves write.
    let cause = (0..100).find_map(|_| match wait(open_embedded(dir).health()).unwrap() {
        Health::ReadOnly(cause) => Some(cause),
        Health::Ready => None,
        Health::Down(cause) => panic!("{cause}"),
    });
    let Some(cause) = cause else { panic!("a start on a full disk never noticed it") };
    assert!(cause.contains("writing failed"), "{cause}");
    assert_eq!(records(&open_embedded(dir), &at(), 0).unwrap().len(), taken + 1);
    println!("acknowledged {taken}");
}

#[test]
fn a_full_disk_stops_writes_and_loses_nothing_acknowledged() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return run_child(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    create_pool(&open_embedded(dir.path()));
    // Opened once more, the journal no longer reserves room and grows with each commit.
    update(&open_embedded(dir.path()), &at(), &[("first", Some("v"))]);
    let mut child = Command::new("sh")
        // The signal would end the process where a full disk only fails the write.
        .args(["-c", r#"trap "" XFSZ; ulimit -f 600; exec "$0" --exact "$1" --nocapture"#])
        .arg(std::env::current_exe().unwrap())
        .arg(TEST)
        .env(CHILD_DIR, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{lines:?}");
    let taken = lines.iter().find_map(|line| line.strip_prefix("acknowledged ")).unwrap();
    let taken: usize = taken.parse().unwrap();
    assert!(taken > 5, "{taken} were taken");
    let store = open_embedded(dir.path());
    let found = records(&store, &at(), 0).unwrap().len();
    assert_eq!(found, taken + 1, "all that was acknowledged, and nothing of what was refused");
    assert_eq!(wait(store.health()).unwrap(), Health::Ready);
    update(&store, &at(), &[("later", Some("v"))]);
}
