//! Waiting for a peer to have something: looking again and again, up to a bound. For peers that cannot tell; those
//! that can are listened to.

use std::thread;
use std::time::{Duration, Instant};

/// How long something that is on its way may take before the test fails.
pub const ARRIVAL_SECONDS_MAX: u64 = 30;
/// How long one look is from the next, so that looking does not keep the peer from working.
const PACE_MILLISECONDS: u64 = 20;

/// Looks until there is something to return; fails the test if there is nothing within [`ARRIVAL_SECONDS_MAX`].
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
