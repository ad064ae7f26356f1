//! The failures of a sync trigger.

/// Why an update was refused that its function should have seen.
#[derive(Debug)]
pub enum TriggerFailure {
    /// The function, or its share of this server, has no room for another call.
    Throttled {
        /// For the log.
        #[expect(dead_code, reason = "the log prints it")]
        cause: String,
    },
    /// It gave no answer in time.
    TimedOut {
        /// The time that it had, in milliseconds.
        milliseconds_max: u64,
    },
    /// It failed, could not be called, or answered what cannot be used.
    Unusable {
        /// For the caller: what is wrong, without values and without what an operator alone may know.
        told: String,
        /// For the log.
        #[expect(dead_code, reason = "the log prints it")]
        cause: String,
    },
}
