//! The outcome of one delivery, as streams and devices report it to their lane.

use carryall_core::outbox::Parked;

/// What became of one event.
pub(super) enum Delivered {
    /// The peer has it.
    Yes,
    /// Nobody waits for it any more.
    Dropped(&'static str),
    /// Not yet, for this reason; try again.
    NotNow(String),
    /// Not until somebody does something.
    Parked(Parked, String),
}
