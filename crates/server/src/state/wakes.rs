//! How commits and operations of this process reach its relay.

use carryall_core::ids::PoolId;
use carryall_core::outbox::LaneRef;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

use crate::lock::Lock;

/// Lanes named by commits that the relay has not yet taken note of.
const WAKES_MAX: usize = 4096;

/// How commits and operations reach the relay of this process.
pub struct Wakes {
    lanes: mpsc::Sender<LaneRef>,
    pools: mpsc::Sender<PoolId>,
    receivers: Lock<Option<Receivers>>,
    /// Something may wait that was not named.
    missed: Notify,
}

/// The ends at which the relay of this process receives.
pub struct Receivers {
    /// Lanes that commits have appended to.
    pub lanes: mpsc::Receiver<LaneRef>,
    /// Pools whose streams have changed.
    pub pools: mpsc::Receiver<PoolId>,
}

impl Default for Wakes {
    fn default() -> Self {
        let (lanes, named_lanes) = mpsc::channel(WAKES_MAX);
        let (pools, named_pools) = mpsc::channel(WAKES_MAX);
        let receivers = Lock::new(Some(Receivers { lanes: named_lanes, pools: named_pools }));
        Self { lanes, pools, receivers, missed: Notify::new() }
    }
}

impl Wakes {
    /// Says that something may wait in these lanes.
    pub fn lanes(&self, lanes: Vec<LaneRef>) {
        for lane in lanes {
            if self.lanes.try_send(lane).is_err() {
                self.missed.notify_one();
                return;
            }
        }
    }

    /// Says that the settings of a pool's streams have changed. One that gets lost in a full queue is found by the next
    /// round of the relay.
    pub fn pool(&self, pool: &PoolId) {
        let _ = self.pools.try_send(pool.clone());
    }

    /// Ends once something may wait that was not named.
    pub fn missed(&self) -> Notified<'_> {
        self.missed.notified()
    }

    /// The receiving ends; `None` if they have been taken.
    pub fn receivers(&self) -> Option<Receivers> {
        self.receivers.lock().take()
    }
}
