//! The outcome of one delivery, as streams and devices report it to their lane.

use carryall_core::outbox::Parked;

/// The outcome for one event.
pub(super) enum Delivered {
    /// The peer has it.
    Yes,
    /// It no longer has a receiver.
    Dropped(&'static str),
    /// It could not be delivered now, for this reason; try again.
    NotNow(String),
    /// It waits for a developer or an operator.
    Parked(Parked, String),
}
