//! Counters that the embedded store raises while it works; `figures.rs` reports them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters since the store was opened. Only the writer raises them.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) batch_nanoseconds: AtomicU64,
    pub(super) reclaimed_rows: AtomicU64,
    pub(super) events_appended: AtomicU64,
    pub(super) events_removed: AtomicU64,
}

impl Counters {
    /// Counts one batch that is on disk.
    pub(super) fn batch(&self, commits: usize, conflicts: usize, took: Duration) {
        self.commits.fetch_add(commits as u64, Ordering::Relaxed);
        self.conflicts.fetch_add(conflicts as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.batch_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}
