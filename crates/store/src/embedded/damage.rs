//! Damaged rows that the store works around: counts every read of them, and logs each row once.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock::Lock;

/// The rows that are logged, so that a scan over many damaged ones cannot flood the log.
const ROWS_LOGGED_MAX: usize = 64;
/// The largest part of a row's key that is logged, in bytes; enough for every whole key.
const KEY_BYTES_LOGGED_MAX: usize = 512;

/// The damage that was met since the store was opened.
#[derive(Default)]
pub(super) struct Damage {
    lane_reads: AtomicU64,
    row_reads: AtomicU64,
    logged: Lock<HashSet<Vec<u8>>>,
}

/// The kinds of rows that the store works around. All are in the small space, where no key has a record's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Lane,
    LaneMark,
    Sweep,
    Work,
    Head,
}

/// The outcome of logging a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logged {
    Now,
    NowAndLast,
    Before,
    Never,
}

impl Damage {
    /// Counts a read of the row at `key`, and logs the row unless it was logged before.
    pub(super) fn met(&self, kind: Kind, key: &[u8], what: &str) {
        let reads = match kind {
            Kind::Lane | Kind::LaneMark => &self.lane_reads,
            Kind::Sweep | Kind::Work | Kind::Head => &self.row_reads,
        };
        reads.fetch_add(1, Ordering::Relaxed);
        let logged = self.log(key);
        if matches!(logged, Logged::Now | Logged::NowAndLast) {
            let key = key[..key.len().min(KEY_BYTES_LOGGED_MAX)].escape_ascii();
            tracing::error!(%kind, %key, what, "a row of the store is damaged");
        }
        if logged == Logged::NowAndLast {
            tracing::error!(
                rows = ROWS_LOGGED_MAX,
                "further damaged rows are counted in the metrics, and not logged until the next start"
            );
        }
    }

    fn log(&self, key: &[u8]) -> Logged {
        let mut logged = self.logged.lock();
        if logged.contains(key) {
            return Logged::Before;
        }
        if logged.len() >= ROWS_LOGGED_MAX {
            return Logged::Never;
        }
        logged.insert(key.to_vec());
        if logged.len() == ROWS_LOGGED_MAX { Logged::NowAndLast } else { Logged::Now }
    }

    /// The reads of damaged lanes, and of their marks.
    pub(super) fn lane_reads(&self) -> u64 {
        self.lane_reads.load(Ordering::Relaxed)
    }

    /// The reads of other damaged rows.
    pub(super) fn row_reads(&self) -> u64 {
        self.row_reads.load(Ordering::Relaxed)
    }

    /// The keys of the rows that were logged.
    #[cfg(test)]
    pub(super) fn logged(&self) -> HashSet<Vec<u8>> {
        self.logged.lock().clone()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lane => "lane of the outbox",
            Self::LaneMark => "mark of a lane",
            Self::Sweep => "sweep of a deleted identity",
            Self::Work => "space to be freed",
            Self::Head => "head of a dataset of a deleted pool",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_row_is_logged_once_and_counted_each_time() {
        let damage = Damage::default();
        assert_eq!([1, 1, 2].map(|key| damage.log(&[key])), [Logged::Now, Logged::Before, Logged::Now]);
        for kind in [Kind::Lane, Kind::LaneMark, Kind::Sweep, Kind::Sweep, Kind::Work, Kind::Head] {
            damage.met(kind, &[1], "damage");
        }
        assert_eq!((damage.lane_reads(), damage.row_reads()), (2, 4));
    }

    #[test]
    fn many_damaged_rows_do_not_flood_the_log() {
        let damage = Damage::default();
        let logged: Vec<Logged> =
            (0..ROWS_LOGGED_MAX + 100).map(|key| damage.log(&key.to_be_bytes())).collect();
        assert_eq!(
            logged[ROWS_LOGGED_MAX - 2..=ROWS_LOGGED_MAX],
            [Logged::Now, Logged::NowAndLast, Logged::Never]
        );
        assert!(logged[ROWS_LOGGED_MAX..].iter().all(|logged| *logged == Logged::Never));
        assert_eq!(damage.log(&0_usize.to_be_bytes()), Logged::Before);
        assert_eq!(damage.logged().len(), ROWS_LOGGED_MAX);
    }
}
