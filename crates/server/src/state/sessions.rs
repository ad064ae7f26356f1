//! Sync sessions begun, per pool, gathered in memory so that a listing costs no write. They reach the store with a
//! commit of their own: in the background, before usage is told, and at shutdown (`docs/protocol.md` section 8.3).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use carryall_core::changes::{Changes, Expect, UsageDelta, Write};
use carryall_core::model::PoolRef;
use carryall_core::store::{Committed, Store};

/// Pools whose sessions may be waiting at a time; beyond that a session is not counted until the next flush.
const POOLS_WAITING_MAX: usize = 65_536;

/// Counts that have not reached the store.
#[derive(Debug, Default)]
pub struct SessionCounts {
    waiting: Mutex<HashMap<PoolRef, u64>>,
    /// Held while counts are on their way, so that whoever flushes finds all earlier ones stored.
    flushing: tokio::sync::Mutex<()>,
}

impl SessionCounts {
    /// Counts one session of `pool`.
    pub fn begin(&self, pool: &PoolRef) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(pool) {
            *count += 1;
        } else if waiting.len() < POOLS_WAITING_MAX {
            waiting.insert(pool.clone(), 1);
        }
    }

    /// Moves counts into the store: those of one pool, or all. Counts of a pool that is gone are dropped, and so are
    /// counts whose commit has no known outcome: counting too few sessions is better than counting one twice.
    ///
    /// It runs in a task of its own, since whoever waits for it may hang up, and counts on their way must arrive.
    pub async fn flush(self: &Arc<Self>, store: &Arc<dyn Store>, only: Option<&PoolRef>) {
        let (counts, store, only) = (Arc::clone(self), Arc::clone(store), only.cloned());
        let flushed = tokio::spawn(async move {
            let _flushing = counts.flushing.lock().await;
            for (pool, sync_sessions) in counts.take(only) {
                let usage = UsageDelta { sync_sessions, ..UsageDelta::default() };
                let changes = Changes {
                    expect: vec![Expect::Pool(pool.clone())],
                    write: vec![Write::AddUsage(pool.clone(), usage)],
                };
                match store.commit(changes).await {
                    // Refused: the pool was removed, and its usage with it.
                    Ok(Committed::Done | Committed::Refused) => {}
                    Err(error) => {
                        tracing::warn!(pool = %pool.id, sync_sessions, %error, "sync sessions were not counted");
                    }
                }
            }
        });
        if let Err(error) = flushed.await {
            tracing::error!(%error, "sync sessions were not counted");
        }
    }

    fn take(&self, only: Option<PoolRef>) -> HashMap<PoolRef, u64> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match only {
            Some(pool) => waiting.remove_entry(&pool).into_iter().collect(),
            None => std::mem::take(&mut *waiting),
        }
    }
}
