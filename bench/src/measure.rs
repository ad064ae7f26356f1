//! Rows of the result and their collection. A meter is read before and after a stretch of work, and the
//! differences add up in a row. Latencies go into a histogram as they occur.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::outcome::Outcome;
use crate::process::ProcessId;

/// The longest latency that is distinguished from longer ones.
const LATENCY_NANOSECONDS_MAX: u64 = 60_000_000_000;
const LATENCY_DIGITS: u8 = 3;

/// The latencies of one row; the connections of one thread share it.
pub(crate) struct Latencies(RefCell<Histogram<u64>>);

impl Latencies {
    /// Creates an empty histogram.
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self(RefCell::new(Histogram::new_with_max(LATENCY_NANOSECONDS_MAX, LATENCY_DIGITS)?)))
    }

    /// Adds one latency.
    pub(crate) fn record(&self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_NANOSECONDS_MAX);
        self.0.borrow_mut().saturating_record(nanoseconds);
    }

    /// Adds all latencies of another histogram.
    pub(crate) fn merge(&self, other: &Self) -> Outcome<()> {
        Ok(self.0.borrow_mut().add(&*other.0.borrow())?)
    }

    /// The number of latencies.
    pub(crate) fn count(&self) -> u64 {
        self.0.borrow().len()
    }

    /// The latency that this share (0 to 1) of all does not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.borrow().value_at_quantile(share))
    }
}

/// The measurements of one kind of work.
pub(crate) struct Row {
    /// The kind of work.
    pub(crate) name: &'static str,
    /// The number of simultaneous clients.
    pub(crate) clients: usize,
    /// The latencies of completed pieces of work.
    pub(crate) latencies: Latencies,
    /// The duration of the work.
    pub(crate) elapsed: Duration,
    /// The processor time of the process under test.
    pub(crate) cpu: Duration,
    /// The processor time of the load generator if it is another process.
    pub(crate) generator_cpu: Option<Duration>,
    /// The bytes that the process under test sent to the device.
    pub(crate) device_bytes: u64,
    /// The memory of the process under test after the work.
    pub(crate) resident_bytes: u64,
}

impl Row {
    /// Creates an empty row.
    pub(crate) fn new(name: &'static str, clients: usize) -> Outcome<Self> {
        Ok(Self {
            name,
            clients,
            latencies: Latencies::new()?,
            elapsed: Duration::ZERO,
            cpu: Duration::ZERO,
            generator_cpu: None,
            device_bytes: 0,
            resident_bytes: 0,
        })
    }

    /// Pieces of work per second.
    pub(crate) fn rate(&self) -> f64 {
        ratio(real(self.latencies.count()), self.elapsed.as_secs_f64())
    }

    /// Microseconds of the processor time of the process under test, per piece of work.
    pub(crate) fn cpu_microseconds(&self) -> f64 {
        ratio(self.cpu.as_secs_f64() * 1e6, real(self.latencies.count()))
    }

    /// The same for the load generator; `None` if there is none.
    pub(crate) fn generator_microseconds(&self) -> Option<f64> {
        self.generator_cpu.map(|cpu| ratio(cpu.as_secs_f64() * 1e6, real(self.latencies.count())))
    }

    /// Bytes sent to the device, per piece of work.
    pub(crate) fn device_bytes_each(&self) -> f64 {
        ratio(real(self.device_bytes), real(self.latencies.count()))
    }
}

/// The source of a process's figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    process: ProcessId,
}

/// A reading of the meter.
pub(crate) struct Reading {
    at: Instant,
    cpu: Duration,
    generator_cpu: Duration,
    device_bytes: u64,
}

impl Meter {
    /// A meter of this process, for work without a server.
    pub(crate) fn own() -> Self {
        Self { process: ProcessId::own() }
    }

    /// A meter of another process.
    pub(crate) fn of(process: ProcessId) -> Self {
        Self { process }
    }

    /// Reads the meter.
    pub(crate) fn read(self) -> Outcome<Reading> {
        Ok(Reading {
            cpu: self.process.cpu()?,
            generator_cpu: ProcessId::own().cpu()?,
            device_bytes: self.process.device_bytes()?,
            at: Instant::now(),
        })
    }

    /// Adds the differences since `before` to `row`, except latencies, which come from the work itself.
    pub(crate) fn add_since(self, before: &Reading, row: &mut Row) -> Outcome<()> {
        let now = self.read()?;
        row.elapsed += now.at - before.at;
        row.cpu += now.cpu.saturating_sub(before.cpu);
        if self.process != ProcessId::own() {
            let spent = now.generator_cpu.saturating_sub(before.generator_cpu);
            row.generator_cpu = Some(row.generator_cpu.unwrap_or_default() + spent);
        }
        row.device_bytes += now.device_bytes.saturating_sub(before.device_bytes);
        row.resident_bytes = self.process.resident_bytes()?;
        Ok(())
    }
}

/// A count as a real number.
#[expect(clippy::cast_precision_loss, reason = "counts and byte sums here stay far below 2^52")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// A quotient; zero if the divisor is.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let latencies = Latencies::new().unwrap();
        for milliseconds in 1..=100 {
            latencies.record(Duration::from_millis(milliseconds));
        }
        let near = |share, milliseconds: f64| {
            let measured = latencies.quantile(share).as_secs_f64() * 1e3;
            assert!((measured / milliseconds - 1.0).abs() < 0.01, "{measured} for {share}");
        };
        near(0.5, 50.0);
        near(0.99, 99.0);
        near(1.0, 100.0);
        let both = Latencies::new().unwrap();
        both.merge(&latencies).unwrap();
        both.record(Duration::from_mins(10));
        assert_eq!(both.count(), 101);
        assert!(both.quantile(1.0) >= Duration::from_secs(59), "longer latencies count as the longest");
    }

    #[test]
    fn rates_and_shares_come_from_counts_and_times() {
        let mut row = Row::new("work", 1).unwrap();
        assert!(row.rate().abs() < f64::EPSILON, "nothing done is no division by zero");
        for _ in 0..4 {
            row.latencies.record(Duration::from_millis(1));
        }
        row.elapsed = Duration::from_secs(2);
        row.cpu = Duration::from_micros(200);
        row.device_bytes = 8192;
        assert!((row.rate() - 2.0).abs() < 1e-9);
        assert!((row.cpu_microseconds() - 50.0).abs() < 1e-9);
        assert!((row.device_bytes_each() - 2048.0).abs() < 1e-9);
        assert_eq!(row.generator_microseconds(), None);
    }
}
