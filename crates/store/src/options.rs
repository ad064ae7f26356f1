//! Settings for a store's use of memory and disk.

/// Sizes and bounds of the embedded store; the store in memory has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Blocks of table files that are kept in memory, in bytes.
    pub cache_bytes_max: u64,
    /// Journals that are kept until their content has reached table files, in bytes, at least
    /// [`StoreOptions::JOURNAL_BYTES_MIN`]. After a crash they are read again, so this also bounds the time to open.
    pub journal_bytes_max: u64,
    /// Dataset heads that are kept decoded in memory, a few hundred bytes each.
    pub heads_entries_max: usize,
    /// Commits that may wait for the writer; beyond that callers wait to be let in.
    pub commits_waiting_max: usize,
}

impl StoreOptions {
    /// The engine begins a new journal only after this much.
    pub const JOURNAL_BYTES_MIN: u64 = 64 * 1024 * 1024;
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            cache_bytes_max: 128 * 1024 * 1024,
            journal_bytes_max: 128 * 1024 * 1024,
            heads_entries_max: 65_536,
            commits_waiting_max: 4096,
        }
    }
}
