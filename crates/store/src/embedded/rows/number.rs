//! Rows that hold one number.

use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION};

pub(crate) fn to_row(number: u64) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(number.to_be_bytes());
    row
}

pub(crate) fn from_row(row: &[u8]) -> Result<u64, StoreError> {
    let mut reader = Reader::open("number", row)?;
    let number = reader.u64()?;
    reader.end()?;
    Ok(number)
}
