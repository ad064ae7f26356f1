//! Memory for large events while they are delivered: a total, and a share for each pool, so that a pool whose
//! destination is slow leaves memory to the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::permits::Permits;
use crate::config::SMALL_BYTES_MAX;

/// The memory for the large events of all pools, in bytes.
const LARGE_EVENTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One pool may hold one part in this many of it.
const POOL_ONE_IN: usize = 4;
/// The bytes of one permit.
const PERMIT_BYTES: usize = 1024;
/// The permits of one pool.
const POOL_PERMITS_MAX: usize = LARGE_EVENTS_BYTES_MAX / POOL_ONE_IN / PERMIT_BYTES;
/// The longest wait for memory, in seconds. The shortest lease of a lane has time for it and for one delivery.
const WAIT_SECONDS_MAX: u64 = 5;

/// The memory.
pub struct LargeEvents {
    all: Arc<Semaphore>,
    of_pools: Permits,
}

/// The memory charged for events, returned on drop; none for small ones.
#[derive(Default)]
pub struct EventsCharge {
    _permits: Option<[OwnedSemaphorePermit; 2]>,
}

impl LargeEvents {
    /// Creates the memory, all of it free.
    pub fn new() -> Self {
        let all = Arc::new(Semaphore::new(LARGE_EVENTS_BYTES_MAX / PERMIT_BYTES));
        Self { all, of_pools: Permits::new(POOL_PERMITS_MAX) }
    }

    /// Charges `pool` for events of `bytes`, if the memory is free.
    pub fn try_charge(&self, pool: &str, bytes: usize) -> Option<EventsCharge> {
        let Some(permits) = permits(bytes) else { return Some(EventsCharge::default()) };
        let of_pool = self.of_pools.of(pool).try_acquire_many_owned(permits).ok()?;
        let of_all = Arc::clone(&self.all).try_acquire_many_owned(permits).ok()?;
        Some(EventsCharge { _permits: Some([of_pool, of_all]) })
    }

    /// Charges `pool` for events of `bytes` once the memory is free; `None` if it is not within the longest wait.
    pub async fn charge(&self, pool: &str, bytes: usize) -> Option<EventsCharge> {
        let Some(permits) = permits(bytes) else { return Some(EventsCharge::default()) };
        let charged = async {
            let of_pool = self.of_pools.of(pool).acquire_many_owned(permits).await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_many_owned(permits).await.ok()?;
            Some(EventsCharge { _permits: Some([of_pool, of_all]) })
        };
        timeout(Duration::from_secs(WAIT_SECONDS_MAX), charged).await.ok()?
    }
}

/// The permits for events of `bytes`, at most the share of one pool, so that none waits for ever; `None` for small
/// events.
fn permits(bytes: usize) -> Option<u32> {
    let permits = bytes.div_ceil(PERMIT_BYTES).min(POOL_PERMITS_MAX);
    (bytes > SMALL_BYTES_MAX).then(|| u32::try_from(permits).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn large_events_of_one_pool_leave_memory_to_others_and_all_together_have_a_bound() {
        let memory = LargeEvents::new();
        let held: Vec<EventsCharge> = std::iter::from_fn(|| memory.try_charge("a", MIB)).take(99).collect();
        assert_eq!(held.len(), 16);
        let of_others = ["b", "c", "d"].map(|pool| memory.try_charge(pool, 999 * MIB));
        assert!(of_others.iter().all(Option::is_some), "none is too large to go alone");
        assert!(memory.try_charge("e", MIB).is_none(), "the total is used up");
        assert!(memory.try_charge("e", SMALL_BYTES_MAX).is_some(), "small ones are free");
        drop(held);
        assert!(memory.try_charge("e", MIB).is_some());
    }

    #[tokio::test]
    async fn events_wait_for_memory_that_others_return() {
        let memory = LargeEvents::new();
        let held = memory.try_charge("a", 16 * MIB).unwrap();
        let (waited, ()) = tokio::join!(memory.charge("a", MIB), async { drop(held) });
        assert!(waited.is_some());
    }
}
