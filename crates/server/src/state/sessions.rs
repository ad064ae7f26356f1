//! Counts of new sync sessions, per pool, gathered in memory so that a listing costs no write
//! (`docs/protocol.md` section 8.3).

use std::collections::HashMap;

use carryall_core::model::PoolRef;

use crate::lock::Lock;

/// The number of pools with unstored counts. While it is reached, sessions of other pools are not counted
/// until the next handover.
const POOLS_WAITING_MAX: usize = 65_536;

/// The counts that have not reached the store.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    waiting: Lock<HashMap<PoolRef, u64>>,
    /// Held while counts are on their way to the store, because a reader of usage has to find earlier counts
    /// there.
    pub(super) handover: tokio::sync::Mutex<()>,
}

impl Sessions {
    /// Counts one session of `pool`.
    pub(super) fn begin(&self, pool: &PoolRef) {
        let mut waiting = self.waiting.lock();
        if let Some(count) = waiting.get_mut(pool) {
            *count += 1;
        } else if waiting.len() < POOLS_WAITING_MAX {
            waiting.insert(pool.clone(), 1);
        }
    }

    /// Removes and returns the counts of all pools.
    pub(super) fn take(&self) -> Vec<(PoolRef, u64)> {
        self.waiting.lock().drain().collect()
    }

    /// Removes and returns the counts of these pools.
    pub(super) fn take_of(&self, pools: &[PoolRef]) -> Vec<(PoolRef, u64)> {
        let mut waiting = self.waiting.lock();
        pools.iter().filter_map(|pool| waiting.remove_entry(pool)).collect()
    }
}
