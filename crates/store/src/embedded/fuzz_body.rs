//! The body of a fuzz target: arbitrary bytes in the place of stored rows. A damaged row is an error, never a panic,
//! and a row that can be read survives being written and read again. It is a plain function, so that an ordinary test
//! can run it for a bounded number of rounds.

use carryall_core::ids::{AccessKeyId, DatasetName, IdentityId, PoolId, PoolIncarnation};
use carryall_core::model::{DatasetRef, IdentityRef, PoolRef};
use carryall_core::outbox::{LaneRef, Sink};

use super::rows::head::StoredHead;
use super::rows::lane::StoredLane;
use super::rows::work::Work;
use super::{keys, outbox_keys, rows};

/// Reads the bytes as every kind of row; the first byte also says where a key ends and its row begins.
pub(crate) fn read_rows(bytes: &[u8]) {
    if let Ok(head) = StoredHead::from_row(bytes) {
        let again = StoredHead::from_row(&head.to_row()).expect("what was written can be read");
        assert_eq!(again.to_row(), head.to_row());
    }
    if let Ok(work) = Work::from_row(bytes) {
        let again = Work::from_row(&work.to_row()).expect("what was written can be read");
        assert_eq!(again.to_row(), work.to_row());
    }
    if let Ok(holdings) = rows::holdings::from_row(bytes) {
        assert_eq!(rows::holdings::from_row(&rows::holdings::to_row(&holdings)), Ok(holdings));
    }
    if let Ok(usage) = rows::usage::from_row(bytes) {
        assert_eq!(rows::usage::from_row(&rows::usage::to_row(&usage)), Ok(usage));
    }
    if let Ok(pool) = rows::pool_ref::from_row(bytes) {
        assert_eq!(rows::pool_ref::from_row(&rows::pool_ref::to_row(&pool)), Ok(pool));
    }
    if let Ok(pool) = rows::pool::from_row(bytes) {
        let row = rows::pool::to_row(pool.clone()).expect("a pool can be written");
        assert_eq!(rows::pool::from_row(&row), Ok(pool));
    }
    if let Ok(devices) = rows::devices::from_row(bytes) {
        assert_eq!(rows::devices::from_row(&rows::devices::to_row(&devices)), Ok(devices));
    }
    if let Ok(bulk) = rows::bulk_publish::from_row(bytes) {
        assert_eq!(rows::bulk_publish::from_row(&rows::bulk_publish::to_row(&bulk)), Ok(bulk));
    }
    let at = owner();
    let key = AccessKeyId::parse("AKIA0000000000000000").expect("an id");
    // Whether these can be read does not matter, only that they come back.
    drop(rows::identity::from_row(at, bytes));
    drop(rows::developer_key::from_row(key, bytes));
    drop(rows::setting::from_row(bytes));
    drop(rows::number::from_row(bytes));
    drop(rows::stub::from_row(bytes));
    drop(rows::devices::version_from_row(bytes));
    read_keys(bytes);
}

fn owner() -> IdentityRef {
    let pool = PoolRef { id: PoolId::parse("us-east-1:0").expect("an id"), incarnation: PoolIncarnation(1) };
    IdentityRef { pool, identity: IdentityId::parse("us-east-1:1").expect("an id") }
}

fn read_keys(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else { return };
    let (key, row) = rest.split_at(usize::from(*length).min(rest.len()));
    if let Ok(record) = rows::record::from_row(key, row) {
        let written = rows::record::to_row(&record);
        assert_eq!(rows::record::from_row(key, &written), Ok(record));
    }
    drop(rows::sweep::from_row(key, row));
    drop(keys::sweep_of_mark(key));
    drop(keys::identity_of_row(key));
    drop(keys::parts_of_head(key));
    read_outbox(key, row);
}

fn read_outbox(key: &[u8], row: &[u8]) {
    if let Ok(stored) = StoredLane::from_row(key, row) {
        assert_eq!(outbox_keys::lane(&stored.lane.at), key, "a lane has one key");
        assert_eq!(StoredLane::from_row(key, &stored.to_row()), Ok(stored));
    }
    let dataset = DatasetRef { owner: owner(), name: DatasetName::parse("n").expect("a name") };
    let lane = LaneRef { dataset, sink: Sink::Stream };
    let key_of_lane = outbox_keys::lane(&lane);
    if let Ok(stored) = StoredLane::from_row(&key_of_lane, row) {
        assert_eq!(StoredLane::from_row(&key_of_lane, &stored.to_row()), Ok(stored));
    }
    if let Ok(event) = rows::event::from_row(lane.clone(), key, row) {
        assert_eq!(rows::event::from_row(lane, key, &rows::event::to_row(&event)), Ok(event));
    }
    drop(outbox_keys::lane_of_mark(key));
    let _ = outbox_keys::pool_of_due_mark(key);
}

#[cfg(test)]
proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 8192, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_panic_in_the_place_of_a_row(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        read_rows(&bytes);
    }

    #[test]
    fn no_bytes_of_the_right_version_panic_either(mut bytes in proptest::collection::vec(0..4_u8, 1..120)) {
        bytes[0] = 1;
        read_rows(&bytes);
    }
}
