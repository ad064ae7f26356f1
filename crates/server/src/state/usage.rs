//! The usage of pools. Bytes and dates are part of each commit; sessions are gathered in memory and stored
//! for many pools at a time (ADR 8).

use carryall_core::changes::{Changes, Expect, UsageDelta, Write};
use carryall_core::model::{PoolRef, PoolUsage};
use carryall_core::store::StoreError;
use futures_util::future::join_all;

use super::State;
use super::attempt::{Step, Tries};
use super::sessions::Sessions;

/// The number of pools whose counts one commit stores.
const POOLS_PER_COMMIT_MAX: usize = 1024;

impl State {
    /// Counts a session of `pool`, without writing to the store.
    pub fn begin_session(&self, pool: &PoolRef) {
        self.sessions.begin(pool);
    }

    /// The usage of each of these pools, with every session up to now. Storing their counts takes one commit
    /// at most.
    pub async fn usage(&self, pools: &[&PoolRef]) -> Result<Vec<PoolUsage>, StoreError> {
        let needed: Vec<PoolRef> = pools.iter().copied().cloned().collect();
        self.hand_over(move |sessions| sessions.take_of(&needed)).await;
        let mut usage = Vec::with_capacity(pools.len());
        for pool in pools {
            usage.push(self.store.pool_usage(pool).await?);
        }
        Ok(usage)
    }

    /// Moves the counts of all pools into the store.
    pub async fn store_sessions(&self) {
        self.hand_over(Sessions::take).await;
    }

    /// Moves the counts that `take` returns into the store. This runs in its own task: a caller that hangs up ends its
    /// request, but counts that have been taken out of the memory must reach the store all the same.
    async fn hand_over(&self, take: impl FnOnce(&Sessions) -> Vec<(PoolRef, u64)> + Send + 'static) {
        let state = self.clone();
        let handover = tokio::spawn(async move {
            let _handover = state.sessions.handover.lock().await;
            state.store_counts(take(&state.sessions)).await;
        });
        if let Err(error) = handover.await {
            tracing::error!(%error, "sync sessions were not counted");
        }
    }

    /// Adds counts to the usage of their pools. Counts of a deleted pool are dropped, and so are counts whose
    /// commit has no known outcome: a session that is not counted is better than one that is counted twice.
    async fn store_counts(&self, counts: Vec<(PoolRef, u64)>) {
        // All at once, so that they share syncs.
        let stored = counts.chunks(POOLS_PER_COMMIT_MAX).map(|counts| async {
            match self.add_counts(counts).await {
                Ok(Some(())) => {}
                Ok(None) => {
                    tracing::warn!(
                        pools = counts.len(),
                        "sync sessions were not counted: pools kept changing"
                    );
                }
                Err(error) => {
                    tracing::warn!(pools = counts.len(), %error, "sync sessions were not counted");
                }
            }
        });
        join_all(stored).await;
    }

    async fn add_counts(&self, counts: &[(PoolRef, u64)]) -> Result<Option<()>, StoreError> {
        self.retry(Tries::REQUEST, || async {
            let mut changes = Changes::default();
            for (at, sync_sessions) in counts {
                // Bypasses the cache, from which so many pools would evict all others.
                if self.store.pool(&at.id).await?.is_some_and(|pool| pool.at == *at) {
                    let usage = UsageDelta { sync_sessions: *sync_sessions, ..UsageDelta::default() };
                    changes.expect.push(Expect::Pool(at.clone()));
                    changes.write.push(Write::AddUsage(at.clone(), usage));
                }
            }
            Ok(if changes.write.is_empty() { Step::Answer(()) } else { Step::Commit(changes, ()) })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use carryall_core::ids::PoolIncarnation;
    use carryall_core::model::Pool;
    use carryall_store::{StoreOptions, StoreUrl};

    use super::*;
    use crate::clock::Clock;
    use crate::faulty_store::FaultyStore;
    use crate::state::tests::{node, pool};
    use crate::trust::seal::MasterKey;

    const POOLS: u64 = 1500;

    fn commits(state: &State) -> f64 {
        let figures = state.figures();
        figures.iter().find(|figure| figure.name == "store_commits_total").unwrap().value
    }

    /// Many pools, each with a new session.
    async fn busy(dir: &std::path::Path) -> (State, Vec<Pool>) {
        let url = StoreUrl::Embedded(dir.to_owned());
        let store = carryall_store::open(&url, &StoreOptions::default()).unwrap();
        let state = node(Arc::clone(&store), &MasterKey::generate(&Clock::system())).await;
        let numbered = |number| {
            let mut pool = pool(&format!("us-east-1:{number}"));
            pool.at.incarnation = PoolIncarnation(number);
            pool
        };
        let pools: Vec<Pool> = (1..=POOLS).map(numbered).collect();
        let write = pools.iter().map(|pool| Write::PutPool(Box::new(pool.clone()))).collect();
        assert!(state.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
        for pool in &pools {
            state.begin_session(&pool.at);
        }
        (state, pools)
    }

    #[tokio::test]
    async fn sessions_are_counted_though_the_caller_that_reads_the_usage_hangs_up() {
        let store = FaultyStore::new(|_| Ok(()));
        let state = node(store, &MasterKey::generate(&Clock::system())).await;
        let pool = pool("us-east-1:0");
        let write = vec![Write::PutPool(Box::new(pool.clone()))];
        assert!(state.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
        state.begin_session(&pool.at);
        let pools = [&pool.at];
        tokio::select! {
            biased;
            _ = state.usage(&pools) => panic!("the commit was done before its caller could hang up"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(state.usage(&pools).await.unwrap()[0].sync_sessions, 1);
    }

    #[tokio::test]
    async fn usage_of_a_page_takes_one_commit_however_many_pools_have_sessions() {
        let home = tempfile::tempdir().unwrap();
        let (state, pools) = busy(home.path()).await;
        let before = commits(&state);
        let usage = state.usage(&[&pools[7].at]).await.unwrap();
        assert_eq!(usage[0].sync_sessions, 1);
        let usage = state.usage(&[&pools[7].at]).await.unwrap();
        assert_eq!(usage[0].sync_sessions, 1, "counted twice");
        assert!(commits(&state) - before <= 1.0, "{} commits", commits(&state) - before);
    }

    #[tokio::test]
    async fn the_sessions_of_many_pools_are_stored_by_a_few_commits_and_those_of_a_removed_pool_dropped() {
        let home = tempfile::tempdir().unwrap();
        let (state, pools) = busy(home.path()).await;
        let removed = &pools[3].at;
        let removal = Changes { expect: Vec::new(), write: vec![Write::RemovePool(removed.clone())] };
        assert!(state.commit(removal).await.unwrap().is_done());
        let before = commits(&state);
        state.store_sessions().await;
        assert!(commits(&state) - before <= 2.0, "{} commits", commits(&state) - before);
        let before = commits(&state);
        let all: Vec<&PoolRef> = pools.iter().map(|pool| &pool.at).filter(|at| *at != removed).collect();
        let usage = state.usage(&all).await.unwrap();
        assert!(usage.iter().all(|usage| usage.sync_sessions == 1));
        assert!(commits(&state) - before < 1.0, "nothing was left to store");
    }
}
