//! Figures in the units and with the digits of the reports.

use std::time::Duration;

use crate::measure::real;

/// Bytes in millions.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    real(bytes) / 1e6
}

/// A time in thousandths of a second.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A number with about three significant digits.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        let written: Vec<String> = [0.1234, 1.234, 12.34, 1234.5].into_iter().map(short).collect();
        assert_eq!(written, ["0.123", "1.23", "12.3", "1234"]);
    }
}
