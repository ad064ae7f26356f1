//! Waiting for a peer by polling, up to a time limit. Peers that can report an arrival are listened to
//! instead.

use std::thread;
use std::time::{Duration, Instant};

/// The time limit for an expected arrival.
pub const ARRIVAL_SECONDS_MAX: u64 = 30;
/// The time between two polls, so that polling does not keep the peer from working.
const PACE_MILLISECONDS: u64 = 20;

/// Polls until there is a value to return; fails the test if there is none within [`ARRIVAL_SECONDS_MAX`].
pub fn until<T>(awaited: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(ARRIVAL_SECONDS_MAX);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {ARRIVAL_SECONDS_MAX} seconds: {awaited}");
        thread::park_timeout(Duration::from_millis(PACE_MILLISECONDS));
    }
}
