//! The state that the requests of this process share: cached pools, turns, session counts, and the ways in which the
//! relay and live channels hear of commits.

pub mod attempt;
pub mod live_channels;
pub mod pools;
pub mod sessions;
pub mod turns;
pub mod wakes;
