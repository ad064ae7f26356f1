//! The failures of a sync trigger.

use std::fmt;

/// The reason why an update that a function has to see was refused.
pub enum TriggerFailure {
    /// The function, or its share of this server, is at its limit of calls.
    Throttled {
        /// For the log.
        cause: String,
    },
    /// The function did not answer in time.
    TimedOut {
        /// The time limit, in milliseconds.
        milliseconds_max: u64,
    },
    /// The function failed, could not be called, or returned an unusable answer.
    Unusable {
        /// The error for the caller alone, since it may name the caller's records. It has no values and
        /// nothing that only an operator may know.
        told: String,
        /// For the log.
        cause: String,
    },
}

/// The form for the log: the cause, without the text for the caller, which may contain keys of records.
impl fmt::Debug for TriggerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttled { cause } => write!(f, "Throttled({cause:?})"),
            Self::TimedOut { milliseconds_max } => write!(f, "TimedOut({milliseconds_max} ms)"),
            Self::Unusable { told: _, cause } => write!(f, "Unusable({cause:?})"),
        }
    }
}
