//! Rows that are there or not.

use super::bytes::VERSION;

/// A row that is there or not and says nothing more.
pub(crate) fn to_row() -> Vec<u8> {
    vec![VERSION]
}
