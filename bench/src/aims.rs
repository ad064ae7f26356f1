//! The program's aims, as arithmetic on the measurements. Costs of processor time are absolute; everything
//! else is a ratio to a floor of the same run, because both vary with the machine.

use std::time::Duration;

use crate::figures::{megabytes, milliseconds};
use crate::measure::{Row, ratio};

/// The size of a store, in bytes, from which the time to reopen it says something about the aim for a
/// gigabyte.
const REOPEN_BYTES_MIN: u64 = 900_000_000;

/// The floors of a run.
pub(crate) struct Floors {
    /// One small write and fdatasync, by one thread.
    pub(crate) fdatasync: Row,
    /// B (bare group-commit log) with one client.
    pub(crate) log_one_client: Row,
    /// B with all clients.
    pub(crate) log: Row,
    /// E (store in process) with one client.
    pub(crate) store_one_client: Row,
    /// E with all clients.
    pub(crate) store: Row,
    /// E with ten records an update.
    pub(crate) store_ten_records: Row,
    /// H (bare HTTP server).
    pub(crate) echo: Row,
}

/// The measurements of the server.
pub(crate) struct Served {
    /// ListRecords of 50 changed records.
    pub(crate) list_changed: Row,
    /// ListRecords of nothing new.
    pub(crate) list_nothing: Row,
    /// The ListRecords that fetched tokens for the updates.
    pub(crate) tokens: Row,
    /// fdatasync measured again, just before the row of one client.
    pub(crate) fdatasync: Row,
    /// UpdateRecords of one record with one client.
    pub(crate) update_one_client: Row,
    /// UpdateRecords of one record.
    pub(crate) update: Row,
    /// UpdateRecords of ten records.
    pub(crate) update_ten_records: Row,
}

/// The server's resources without load.
pub(crate) struct Footprint {
    /// The median time from the start on an empty store until the server is ready.
    pub(crate) start: Duration,
    /// The memory of an idle server on an empty store.
    pub(crate) idle_bytes: u64,
    /// The size of its binary.
    pub(crate) binary_bytes: u64,
    /// The time from the start after kill -9 until the server is ready.
    pub(crate) reopen: Duration,
    /// The size of the store on disk then.
    pub(crate) reopened_bytes: u64,
}

/// The good side of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

/// An aim and its measurement.
#[derive(Debug)]
pub(crate) struct Aim {
    pub(crate) what: &'static str,
    pub(crate) wanted: Wanted,
    pub(crate) unit: &'static str,
    pub(crate) found: Option<f64>,
}

/// The result of comparing an aim with its measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    NotMeasured,
}

impl Aim {
    fn at_most(what: &'static str, limit: f64, unit: &'static str, found: f64) -> Self {
        Self { what, wanted: Wanted::AtMost(limit), unit, found: Some(found) }
    }

    /// The share of a floor, in percent.
    fn share(what: &'static str, percent: f64, part: f64, whole: f64) -> Self {
        let found = (whole > 0.0).then(|| 100.0 * part / whole);
        Self { what, wanted: Wanted::AtLeast(percent), unit: "%", found }
    }

    /// The limit as text.
    pub(crate) fn wanted(&self) -> String {
        let (sign, limit) = match self.wanted {
            Wanted::AtMost(limit) => ("≤", limit),
            Wanted::AtLeast(limit) => ("≥", limit),
        };
        format!("{sign} {limit} {}", self.unit).trim_end().to_owned()
    }

    /// Compares the measurement with the limit.
    pub(crate) fn verdict(&self) -> Verdict {
        let met = match (self.found, self.wanted) {
            (None, _) => return Verdict::NotMeasured,
            (Some(found), Wanted::AtMost(limit)) => found <= limit,
            (Some(found), Wanted::AtLeast(limit)) => found >= limit,
        };
        if met { Verdict::Met } else { Verdict::Missed }
    }
}

/// Every aim with its measurement.
pub(crate) fn all(floors: &Floors, served: &Served, footprint: &Footprint) -> Vec<Aim> {
    let mut aims = of_requests(floors, served);
    aims.extend(of_waiting(served));
    aims.extend(of_footprint(footprint));
    aims
}

fn of_requests(floors: &Floors, served: &Served) -> Vec<Aim> {
    let Served { update, update_ten_records, list_changed, list_nothing, .. } = served;
    let cpu = Row::cpu_microseconds;
    vec![
        Aim::at_most("UpdateRecords, 1 record: server CPU", 50.0, "µs", cpu(update)),
        Aim::share(
            "UpdateRecords, 1 record: rate as a share of E's",
            60.0,
            update.rate(),
            floors.store.rate(),
        ),
        Aim::share("the same by CPU, generator left out", 60.0, cpu(&floors.store), cpu(update)),
        Aim::share("UpdateRecords, 1 record: rate as a share of B's", 5.0, update.rate(), floors.log.rate()),
        Aim::at_most("UpdateRecords, 10 records: server CPU", 150.0, "µs", cpu(update_ten_records)),
        Aim::at_most("ListRecords, 50 changed: server CPU", 60.0, "µs", cpu(list_changed)),
        Aim::at_most("ListRecords, nothing new: server CPU", 15.0, "µs", cpu(list_nothing)),
        Aim::share(
            "ListRecords, nothing new: rate per core as a share of H's",
            40.0,
            cpu(&floors.echo),
            cpu(list_nothing),
        ),
    ]
}

fn of_waiting(served: &Served) -> Vec<Aim> {
    let seconds = |row: &Row, share| row.latencies.quantile(share).as_secs_f64();
    let one = &served.update_one_client;
    let many = &served.update;
    let (one_p50, sync_p50) = (seconds(one, 0.5), seconds(&served.fdatasync, 0.5));
    let (p99, p50) = (seconds(many, 0.99), seconds(many, 0.5));
    let stall = milliseconds(many.latencies.quantile(1.0));
    vec![
        Aim::at_most("one client: p50 of an update, in p50 of fdatasync", 3.0, "", ratio(one_p50, sync_p50)),
        Aim::at_most("64 clients: p99 of an update, in its p50", 4.0, "", ratio(p99, p50)),
        Aim::at_most("64 clients: longest update", 250.0, "ms", stall),
    ]
}

fn of_footprint(footprint: &Footprint) -> Vec<Aim> {
    let reopened_at_size = footprint.reopened_bytes >= REOPEN_BYTES_MIN;
    vec![
        Aim::at_most("start to ready, empty store", 20.0, "ms", milliseconds(footprint.start)),
        Aim::at_most("idle memory, empty store", 15.0, "MB", megabytes(footprint.idle_bytes)),
        Aim::at_most("binary", 20.0, "MB", megabytes(footprint.binary_bytes)),
        Aim {
            what: "reopen after kill -9 at 1 GB",
            wanted: Wanted::AtMost(2.0),
            unit: "s",
            found: reopened_at_size.then_some(footprint.reopen.as_secs_f64()),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_on_its_own_side_of_the_limit_and_at_it() {
        let at_most = |found| Aim::at_most("cost", 50.0, "µs", found).verdict();
        assert_eq!(
            [at_most(49.9), at_most(50.0), at_most(50.1)],
            [Verdict::Met, Verdict::Met, Verdict::Missed]
        );
        let share = |part| Aim::share("share", 60.0, part, 1000.0).verdict();
        assert_eq!([share(600.0), share(599.0)], [Verdict::Met, Verdict::Missed]);
    }

    #[test]
    fn without_a_floor_nothing_is_claimed() {
        assert_eq!(Aim::share("share", 60.0, 5.0, 0.0).verdict(), Verdict::NotMeasured);
    }

    #[test]
    fn a_small_store_says_nothing_about_reopening_a_large_one() {
        let footprint = |reopened_bytes| Footprint {
            start: Duration::from_millis(12),
            idle_bytes: 14_000_000,
            binary_bytes: 21_000_000,
            reopen: Duration::from_millis(300),
            reopened_bytes,
        };
        let verdicts = |bytes| of_footprint(&footprint(bytes)).iter().map(Aim::verdict).collect::<Vec<_>>();
        let (met, missed) = (Verdict::Met, Verdict::Missed);
        assert_eq!(verdicts(40_000_000), [met, met, missed, Verdict::NotMeasured]);
        assert_eq!(verdicts(1_000_000_000), [met, met, missed, met]);
    }

    #[test]
    fn what_is_asked_is_written_with_its_unit() {
        assert_eq!(Aim::at_most("cost", 50.0, "µs", 1.0).wanted(), "≤ 50 µs");
        assert_eq!(Aim::at_most("ratio", 3.0, "", 1.0).wanted(), "≤ 3");
    }
}
