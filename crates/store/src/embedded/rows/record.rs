//! Rows of records, by count; a row without a value is a tombstone.

use carryall_core::model::Record;
use carryall_core::store::StoreError;
use carryall_core::tombstone::Tombstone;

use super::bytes::{Reader, VERSION, put_bytes};
use crate::embedded::keys;

pub(crate) fn to_row(record: &Record) -> Vec<u8> {
    let value = record.value.as_deref();
    let mut row = Vec::with_capacity(22 + record.modified_by.len() + value.map_or(0, str::len));
    row.push(VERSION);
    row.extend(record.modified.0.to_be_bytes());
    row.extend(record.device_modified.0.to_be_bytes());
    put_bytes(&mut row, record.modified_by.as_bytes());
    row.push(u8::from(value.is_some()));
    row.extend(value.unwrap_or_default().as_bytes());
    row
}

/// The record whose log row has this key and value.
pub(crate) fn from_row(key: &[u8], row: &[u8]) -> Result<Record, StoreError> {
    let mut reader = Reader::open("record", row)?;
    let (sync_count, key) = keys::parts_of_log_row(key).ok_or_else(|| reader.damaged("has a damaged key"))?;
    let modified = reader.time()?;
    let device_modified = reader.time()?;
    let modified_by = reader.short_text()?.into();
    let has_value = reader.flag()?;
    let text = reader.text()?;
    let value = has_value.then(|| text.to_owned());
    Ok(Record { key, value, sync_count, modified, modified_by, device_modified })
}

/// The tombstone whose log row has this key and value; `None` if the record has a value.
pub(crate) fn tombstone_from_row(key: &[u8], row: &[u8]) -> Result<Option<Tombstone>, StoreError> {
    let mut reader = Reader::open("record", row)?;
    let (sync_count, key) = keys::parts_of_log_row(key).ok_or_else(|| reader.damaged("has a damaged key"))?;
    reader.time()?;
    reader.time()?;
    reader.bytes()?;
    let has_value = reader.flag()?;
    Ok((!has_value).then_some(Tombstone { key, sync_count }))
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::{RecordKey, SyncCount};
    use carryall_core::time::UnixMillis;
    use proptest::prelude::*;

    use super::super::stub;
    use super::*;
    use crate::embedded::keys::LifeId;

    fn record() -> impl Strategy<Value = Record> {
        (any::<(u64, i64, i64)>(), ".{1,40}", ".{0,40}", proptest::option::of(".{0,100}")).prop_map(
            |(numbers, key, modified_by, value)| Record {
                key: RecordKey::from_stored(&key),
                value,
                sync_count: SyncCount(numbers.0),
                modified: UnixMillis(numbers.1),
                modified_by: modified_by.into(),
                device_modified: UnixMillis(numbers.2),
            },
        )
    }

    proptest! {
        #[test]
        fn records_and_their_stubs_survive_their_rows(record in record()) {
            let key = keys::log_row(LifeId(1), record.sync_count, &record.key);
            prop_assert_eq!(from_row(&key, &to_row(&record)).unwrap(), record.clone());
            let stub = stub::from_row(&stub::to_row(&record)).unwrap();
            prop_assert_eq!(stub.sync_count, record.sync_count);
            prop_assert_eq!(stub.data_bytes, record.data_bytes());
            prop_assert_eq!(stub.removed, record.value.is_none());
        }

        #[test]
        fn arbitrary_bytes_are_damage_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let key = keys::log_row(LifeId(1), SyncCount(1), &RecordKey::from_stored("k"));
            for key in [&key, &bytes] {
                let _ = (from_row(key, &bytes), tombstone_from_row(key, &bytes));
            }
            let _ = stub::from_row(&bytes);
        }
    }
}
