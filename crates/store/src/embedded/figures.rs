//! The embedded store's numbers for the metrics page.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carryall_core::store::{Figure, FigureKind, Figures};

use super::engine::Engine;

/// Returns the figures of `engine`, with `waiting` commits in the queue.
pub(super) fn of(engine: &Engine, waiting: usize) -> Figures {
    let counters = &engine.counters;
    let (hits, misses) = engine.heads.hits_and_misses();
    let (disk, journals) = engine.disk_bytes();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let seconds = Duration::from_nanos(read(&counters.batch_nanoseconds)).as_secs_f64();
    vec![
        counter("store_commits_total", "Commits that the embedded store took.", read(&counters.commits)),
        counter(
            "store_conflicts_total",
            "Commits refused since the state had changed.",
            read(&counters.conflicts),
        ),
        counter(
            "store_batches_total",
            "Batches of commits written with one sync each.",
            read(&counters.batches),
        ),
        Figure {
            name: "store_batch_seconds_total",
            help: "Time spent writing batches and waiting for the disk.",
            kind: FigureKind::Counter,
            value: seconds,
        },
        counter(
            "store_reclaimed_rows_total",
            "Unreachable rows that were freed.",
            read(&counters.reclaimed_rows),
        ),
        counter(
            "store_events_appended_total",
            "Events that commits put into the outbox.",
            read(&counters.events_appended),
        ),
        counter(
            "store_events_removed_total",
            "Events that commits removed from the outbox.",
            read(&counters.events_removed),
        ),
        counter(
            "store_damaged_lanes_total",
            "Reads of lanes whose row is damaged: made anew from their events where they are named, left out of listings.",
            engine.damage.lane_reads(),
        ),
        counter(
            "store_damaged_rows_total",
            "Reads of sweeps and of work for reclaim that skipped a damaged row.",
            engine.damage.row_reads(),
        ),
        counter("store_heads_hits_total", "Heads that were found in memory.", hits),
        counter("store_heads_misses_total", "Heads that had to be read from the engine.", misses),
        gauge("store_heads_entries", "Heads in memory.", engine.heads.entries() as u64),
        gauge("store_commits_waiting", "Commits that wait for the writer.", waiting as u64),
        gauge("store_disk_bytes", "Bytes of all files of the storage engine.", disk),
        gauge("store_journal_bytes", "Bytes of its journals.", journals),
        gauge("store_cache_bytes", "Blocks of table files in memory.", engine.cache_bytes()),
    ]
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Figure {
    Figure { name, help, kind: FigureKind::Counter, value: float(value) }
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Figure {
    Figure { name, help, kind: FigureKind::Gauge, value: float(value) }
}

#[expect(clippy::cast_precision_loss, reason = "a metric above 2^53 may be off by a few")]
fn float(value: u64) -> f64 {
    value as f64
}
