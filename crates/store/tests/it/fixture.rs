//! Directories written by earlier versions of the program, which every later version must open.

use std::fs;
use std::path::{Path, PathBuf};

use carryall_core::changes::{Expect, Setting, Write};
use carryall_core::ids::{AccessKeyId, SyncCount};
use carryall_core::model::{DeveloperKey, Sweep};
use carryall_core::store::Health;
use carryall_core::time::UnixMillis;

use crate::damage::copy;
use crate::sample::{
    commit, create_pool, dataset, delete, identity, open_embedded, owner, pool, pool_ref, reclaim_all,
    record, records, update, wait,
};

/// Set to write the fixture of the present format instead of reading it.
const WRITE: &str = "CARRYALL_WRITE_FIXTURE";

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}"))
}

fn key() -> DeveloperKey {
    DeveloperKey {
        id: AccessKeyId::parse("AKIAFIXTURE00000").unwrap(),
        sealed_secret: vec![1, 2, 3],
        created: UnixMillis(4),
        description: "of the fixture".into(),
    }
}

/// One of everything.
fn write(dir: &Path) {
    let store = open_embedded(dir);
    let pool = create_pool(&store);
    let owner = owner(&pool, "a:1");
    let at = dataset(&owner, "prefs");
    update(&store, &at, &[("kept", Some("v")), ("removed", Some("v"))]);
    update(&store, &at, &[("removed", None)]);
    update(&store, &dataset(&owner, "deleted"), &[("k", Some("v"))]);
    delete(&store, &dataset(&owner, "deleted"));
    commit(
        &store,
        vec![Expect::NoIdentity(owner.clone())],
        vec![
            Write::PutIdentity(identity(owner.clone())),
            Write::PutSweep(Sweep { owner, not_before: UnixMillis(6) }),
            Write::PutKey(key()),
            Write::PutSetting(Setting::MasterKeyCheck, vec![9]),
        ],
    )
    .unwrap();
    drop(store);
    // Opened once more, the journal gives back the room that it reserved.
    drop(open_embedded(dir));
}

fn check(dir: &Path) {
    let store = open_embedded(dir);
    let at_pool = pool_ref("a", 1);
    let owner = owner(&at_pool, "a:1");
    let at = dataset(&owner, "prefs");
    assert_eq!(wait(store.pools(None, 9)).unwrap(), [pool(at_pool.clone())]);
    assert_eq!(wait(store.pool_usage(&at_pool)).unwrap().data_bytes, 5);
    let kept = vec![record("kept", 1, Some("v")), record("removed", 2, None)];
    assert_eq!(records(&store, &at, 0), Some(kept));
    let heads = wait(store.heads(&owner)).unwrap();
    let names: Vec<(&str, u64)> =
        heads.heads.iter().map(|(name, head)| (name.as_str(), head.sync_count.0)).collect();
    assert_eq!(names, [("deleted", 2), ("prefs", 2)]);
    assert_eq!((heads.holdings.datasets, heads.holdings.deleted_names), (1, 1));
    assert_eq!(wait(store.identity(&owner.identity)).unwrap(), Some(identity(owner.clone())));
    assert_eq!(wait(store.sweeps(UnixMillis(6), 9)).unwrap(), [Sweep { owner, not_before: UnixMillis(6) }]);
    assert_eq!(wait(store.keys()).unwrap(), [key()]);
    assert_eq!(wait(store.setting(Setting::MasterKeyCheck)).unwrap(), Some(vec![9]));
    assert_eq!(wait(store.health()).unwrap(), Health::Ready);
    assert_eq!(
        reclaim_all(&store, 100),
        2,
        "the deleted dataset's record and its stub were still to be freed"
    );
    update(&store, &at, &[("kept", Some("w"))]);
    assert_eq!(wait(store.head(&at)).unwrap().head.unwrap().sync_count, SyncCount(3));
}

#[test]
fn a_directory_of_format_1_opens_and_holds_what_was_stored() {
    if std::env::var_os(WRITE).is_some() {
        fs::remove_dir_all(fixture(1)).ok();
        write(&fixture(1));
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(1), dir.path());
    check(dir.path());
}
