//! Rows of settings that the store keeps for the program.

use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION};

pub(crate) fn to_row(value: &[u8]) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(value);
    row
}

pub(crate) fn from_row(row: &[u8]) -> Result<Vec<u8>, StoreError> {
    Reader::open("setting", row).map(|reader| reader.rest().to_vec())
}
