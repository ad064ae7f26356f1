//! The result of one attack, as a row of a table.

use std::time::Duration;

use super::neighbour::{Probed, Seen};
use crate::figures::{milliseconds, short};
use crate::measure::{Latencies, ratio};

const MEBIBYTE: u64 = 1 << 20;

/// The figures of one attack.
pub(crate) struct Row {
    name: &'static str,
    peak_bytes: u64,
    settled_bytes: u64,
    quiet: Seen,
    attacked: Seen,
    probe: Option<Duration>,
    tally: [u64; 4],
}

impl Row {
    pub(super) const TITLES: [&str; 10] = [
        "attack",
        "peak MiB",
        "30 s later MiB",
        "listing p50 ms",
        "listing p99 ms",
        "update p50 ms",
        "update p99 ms",
        "5xx; errors",
        "probe max ms",
        "attacker: 2xx / 4xx / 5xx / ended",
    ];

    pub(super) fn new(
        name: &'static str,
        peak_bytes: u64,
        quiet: Seen,
        attacked: Seen,
        probed: &Probed,
    ) -> Self {
        Self { name, peak_bytes, settled_bytes: 0, quiet, attacked, probe: probed.0, tally: [0; 4] }
    }

    /// The same row with the server's answers to the attacker.
    pub(super) fn attacker_saw(self, tally: [u64; 4]) -> Self {
        Self { tally, ..self }
    }

    /// The same row with the server's memory some time after the attack.
    pub(super) fn settled_at(self, settled_bytes: u64) -> Self {
        Self { settled_bytes, ..self }
    }

    /// The row of a table. The other caller's figures are shown as quiet → attacked.
    pub(super) fn cells(&self) -> Vec<String> {
        let Self { name, peak_bytes, settled_bytes, quiet, attacked, probe, tally } = self;
        let both = |which: fn(&Seen) -> &Latencies, share| {
            let of = |seen: &Seen| milliseconds(which(seen).quantile(share));
            // A caller that only got as far as listings made no update.
            if which(attacked).count() == 0 {
                return format!("{} → –", short(of(quiet)));
            }
            let (quiet, attacked) = (of(quiet), of(attacked));
            let times =
                if share > 0.9 { format!(" (×{:.1})", ratio(attacked, quiet)) } else { String::new() };
            format!("{} → {}{times}", short(quiet), short(attacked))
        };
        let listings: fn(&Seen) -> &Latencies = |seen| &seen.listings;
        let updates: fn(&Seen) -> &Latencies = |seen| &seen.updates;
        vec![
            (*name).to_owned(),
            (peak_bytes / MEBIBYTE).to_string(),
            (settled_bytes / MEBIBYTE).to_string(),
            both(listings, 0.5),
            both(listings, 0.99),
            both(updates, 0.5),
            both(updates, 0.99),
            format!("{}; {}", attacked.unavailable, attacked.errors),
            probe.map_or_else(|| "no answer".to_owned(), |longest| short(milliseconds(longest))),
            tally.map(|count| count.to_string()).join(" / "),
        ]
    }
}
