//! Figures in the format of this run's tables.

use std::time::Duration;

use crate::figures::{megabytes, milliseconds, short};
use crate::measure::{ratio, real};

pub(super) fn per_second(count: u64, took: Duration) -> String {
    format!("{:.0}", ratio(real(count), took.as_secs_f64()))
}

pub(super) fn microseconds_each(cpu: Duration, count: u64) -> f64 {
    ratio(cpu.as_secs_f64() * 1e6, real(count))
}

pub(super) fn ms(time: Duration) -> String {
    short(milliseconds(time))
}

pub(super) fn mb(bytes: u64) -> String {
    format!("{:.1}", megabytes(bytes))
}
