//! The outcome of one delivery, as streams and devices report it to their lane.

use carryall_core::outbox::Parked;

/// The outcome for one event.
pub(super) enum Delivered {
    /// The peer has received it.
    Yes,
    /// It no longer has a receiver.
    Dropped(&'static str),
    /// It could not be delivered for this reason, and will be retried.
    NotNow(String),
    /// There was no memory for it. This is no failure of the delivery.
    NoMemory,
    /// It waits for a developer or an operator.
    Parked(Parked, String),
}
