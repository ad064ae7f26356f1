//! Rows without content.

use super::bytes::VERSION;

/// The value of a row whose presence is all that matters.
pub(crate) fn to_row() -> Vec<u8> {
    vec![VERSION]
}
