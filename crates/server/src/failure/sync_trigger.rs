//! The failures of a sync trigger.

use std::fmt;

/// Why an update was refused that its function should have seen.
pub enum TriggerFailure {
    /// The function, or its share of this server, has no room for another call.
    Throttled {
        /// For the log.
        cause: String,
    },
    /// It gave no answer in time.
    TimedOut {
        /// The time that it had, in milliseconds.
        milliseconds_max: u64,
    },
    /// It failed, could not be called, or answered what cannot be used.
    Unusable {
        /// For the caller alone, as it may name the caller's records: what is wrong, without values and without what an
        /// operator alone may know.
        told: String,
        /// For the log.
        cause: String,
    },
}

/// The log's face: the cause, and nothing of the text for the caller, which may hold keys of records.
impl fmt::Debug for TriggerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttled { cause } => write!(f, "Throttled({cause:?})"),
            Self::TimedOut { milliseconds_max } => write!(f, "TimedOut({milliseconds_max} ms)"),
            Self::Unusable { told: _, cause } => write!(f, "Unusable({cause:?})"),
        }
    }
}
