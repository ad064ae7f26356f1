//! Stubs of records, by key.

use carryall_core::ids::SyncCount;
use carryall_core::model::{Record, RecordStub};
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION};

pub(crate) fn to_row(record: &Record) -> Vec<u8> {
    let mut row = Vec::with_capacity(18);
    row.push(VERSION);
    row.extend(record.sync_count.0.to_be_bytes());
    row.extend(record.data_bytes().to_be_bytes());
    row.push(u8::from(record.value.is_none()));
    row
}

pub(crate) fn from_row(row: &[u8]) -> Result<RecordStub, StoreError> {
    let mut reader = Reader::open("stub", row)?;
    let stub = RecordStub {
        sync_count: SyncCount(reader.u64()?),
        data_bytes: reader.u64()?,
        removed: reader.flag()?,
    };
    reader.end()?;
    Ok(stub)
}
