//! Tombstones, the markers of removed records (`docs/protocol.md` section 7.7), and the range of them to
//! read.

use crate::ids::{RecordKey, SyncCount};

/// The marker of a removed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The record's key.
    pub key: RecordKey,
    /// The count of the removal.
    pub sync_count: SyncCount,
}

/// The tombstones to read: the oldest, until both numbers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestTombstones {
    /// The number of tombstones.
    pub count: u64,
    /// The UTF-8 bytes of their keys.
    pub key_bytes: u64,
}

impl OldestTombstones {
    /// All tombstones.
    pub const ALL: Self = Self { count: u64::MAX, key_bytes: u64::MAX };

    /// True if `count` tombstones with `key_bytes` of keys are enough.
    pub fn is_reached(self, count: usize, key_bytes: u64) -> bool {
        count as u64 >= self.count && key_bytes >= self.key_bytes
    }
}
