//! Pools as requests see them: read through a small cache, since every request needs its pool and pools hardly ever
//! change. Every commit of this process that touches a pool drops it from the cache.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use carryall_core::ids::PoolId;
use carryall_core::model::Pool;
use carryall_core::store::{Store, StoreError};
use lru::LruCache;

/// Pools kept in memory.
const POOLS_COUNT_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// The cache.
pub struct Pools {
    cached: Mutex<Cached>,
}

struct Cached {
    pools: LruCache<PoolId, Arc<Pool>>,
    /// Raised by every commit that touches a pool: a row read before such a commit must not enter after it.
    changes: u64,
}

impl Default for Pools {
    fn default() -> Self {
        Self { cached: Mutex::new(Cached { pools: LruCache::new(POOLS_COUNT_MAX), changes: 0 }) }
    }
}

impl Pools {
    /// The pool of this id, if it exists.
    pub async fn get(&self, store: &dyn Store, id: &PoolId) -> Result<Option<Arc<Pool>>, StoreError> {
        let seen = {
            let mut cached = self.lock();
            if let Some(pool) = cached.pools.get(id) {
                return Ok(Some(Arc::clone(pool)));
            }
            cached.changes
        };
        let Some(pool) = store.pool(id).await?.map(Arc::new) else { return Ok(None) };
        let mut cached = self.lock();
        if cached.changes == seen {
            cached.pools.put(id.clone(), Arc::clone(&pool));
        }
        Ok(Some(pool))
    }

    /// Drops the pools `touched` by a commit, once its outcome is there, whatever it is.
    pub fn forget(&self, touched: &[PoolId]) {
        if touched.is_empty() {
            return;
        }
        let mut cached = self.lock();
        cached.changes += 1;
        for id in touched {
            cached.pools.pop(id);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cached> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
