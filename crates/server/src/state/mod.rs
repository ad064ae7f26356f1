//! The store, and everything in this process that follows it: cached pools, opened secrets, the relay and live
//! channels. The store is private to this room, so that no commit is made without being announced.

mod announcement;
pub mod attempt;
pub mod live_channels;
mod sessions;
mod turns;
mod usage;
pub mod wakes;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use carryall_core::changes::Changes;
use carryall_core::ids::{PoolId, PoolIncarnation};
use carryall_core::model::Pool;
use carryall_core::store::{Committed, Figures, Health, Reads, Reclaimed, Store, StoreError};

use tokio::task::yield_now;

use self::announcement::{Announcement, Listeners};
use self::live_channels::LiveChannels;
use self::sessions::Sessions;
use self::turns::Turns;
use self::wakes::Wakes;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::Config;
use crate::logging::LoggedOnce;
use crate::metrics::Metrics;
use crate::trust::Trust;

/// The number of pools kept in memory.
const POOLS_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// The number of pools that a listing of pools has in memory at a time.
const POOLS_PER_STEP_MAX: usize = 16;
/// The longest time for which a cached pool is used without reading it again. Settings that another node
/// changed take effect here after at most this time.
const POOL_AGE_MAX: Duration = Duration::from_secs(5);

/// The stored state and what follows it. A clone is the same state.
#[derive(Clone)]
pub struct State {
    store: Arc<dyn Store>,
    turns: Arc<Turns>,
    sessions: Arc<Sessions>,
    listeners: Arc<Listeners>,
    full_outboxes: Arc<LoggedOnce<PoolIncarnation>>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl State {
    /// The state in `store`. `trust` caches secrets that were read from the same store.
    pub fn new(
        store: Arc<dyn Store>,
        trust: Arc<Trust>,
        config: &Config,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let listeners = Listeners {
            pools: Cache::new(POOLS_COUNT_MAX, POOL_AGE_MAX),
            trust,
            wakes: Wakes::default(),
            live: LiveChannels::new(&config.live),
        };
        Self {
            store,
            turns: Arc::new(Turns::new(config.limits.updates_waiting_per_dataset_max)),
            sessions: Arc::default(),
            listeners: Arc::new(listeners),
            full_outboxes: Arc::default(),
            clock,
            metrics,
        }
    }

    /// The store, for reading.
    pub fn reads(&self) -> &dyn Reads {
        &*self.store
    }

    /// The pool with this id, if it exists, as of at most [`POOL_AGE_MAX`] ago.
    pub async fn pool(&self, id: &PoolId) -> Result<Option<Arc<Pool>>, StoreError> {
        let read = || async { Ok(self.store.pool(id).await?.map(Arc::new)) };
        self.listeners.pools.get_or_read(id, read).await
    }

    /// Up to `max` pools in the order of their ids, starting after `after`. Of each pool, only what `keep` returns is
    /// in memory beyond its step, because a pool's settings can be large.
    pub async fn pools<T>(
        &self,
        after: Option<&PoolId>,
        max: usize,
        keep: impl Fn(Pool) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let mut after = after.cloned();
        let mut kept = Vec::new();
        while kept.len() < max {
            let step = POOLS_PER_STEP_MAX.min(max - kept.len());
            let pools = self.store.pools(after.as_ref(), step).await?;
            let is_last = pools.len() < step;
            after = pools.last().map(|pool| pool.at.id.clone());
            kept.extend(pools.into_iter().map(&keep));
            if is_last {
                break;
            }
            // A store that answers at once would keep this thread from all other tasks.
            yield_now().await;
        }
        Ok(kept)
    }

    /// The wake-up calls to the relay of this process.
    pub fn wakes(&self) -> &Wakes {
        &self.listeners.wakes
    }

    /// The live channels of this process.
    pub fn live(&self) -> &LiveChannels {
        &self.listeners.live
    }

    /// The pools whose full outbox was logged, because their settings have no place for a note.
    pub fn full_outboxes(&self) -> &LoggedOnce<PoolIncarnation> {
        &self.full_outboxes
    }

    /// Commits `changes` and announces them: to the caches, and once they are stored to the relay and live channels.
    pub async fn commit(&self, changes: Changes) -> Result<Committed, StoreError> {
        let announcement = Announcement::of(&changes, self.live());
        self.commit_and_announce(changes, announcement).await
    }

    /// Commits `changes` that the relay makes to lanes that it holds, and announces everything but these
    /// lanes. If the relay were woken by its own work, it would read every lane once more for each event that
    /// it delivers.
    pub async fn commit_for_relay(&self, changes: Changes) -> Result<Committed, StoreError> {
        let announcement = Announcement::of(&changes, self.live()).without_lanes();
        self.commit_and_announce(changes, announcement).await
    }

    async fn commit_and_announce(
        &self,
        changes: Changes,
        announcement: Announcement,
    ) -> Result<Committed, StoreError> {
        let outcome = if announcement.is_empty() {
            self.store.commit(changes).await
        } else {
            // The commit runs in its own task: a caller that hangs up ends the request, but not the commit in
            // flight, which must be announced all the same.
            let (store, listeners) = (Arc::clone(&self.store), Arc::clone(&self.listeners));
            let commit = tokio::spawn(async move {
                let outcome = store.commit(changes).await;
                listeners.announce(announcement, outcome == Ok(Committed::Done));
                outcome
            });
            commit.await.unwrap_or_else(|error| Err(StoreError::Unavailable { cause: error.to_string() }))
        };
        if outcome == Ok(Committed::Refused) {
            // The commit may have expected a pool as it was before another node changed it.
            self.listeners.pools.expire();
        }
        outcome
    }

    /// Frees up to `rows_max` unreachable rows.
    pub async fn reclaim(&self, rows_max: usize) -> Result<Reclaimed, StoreError> {
        self.store.reclaim(rows_max).await
    }

    /// True if this process has exclusive access to the store.
    pub fn is_held_alone(&self) -> bool {
        self.store.is_held_alone()
    }

    /// Waits until the store is broken for good and returns the reason.
    pub async fn broken(&self) -> String {
        self.store.broken().await
    }

    /// The store's numbers for the metrics page.
    pub fn figures(&self) -> Figures {
        self.store.figures()
    }

    /// Ok if the store answers and accepts writes; otherwise the reason.
    pub async fn readiness(&self) -> Result<(), String> {
        match self.store.health().await {
            Ok(Health::Ready) => Ok(()),
            Ok(Health::ReadOnly(reason)) => Err(format!("the store takes no writes: {reason}")),
            Ok(Health::Down(reason)) => Err(format!("the store does not answer: {reason}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use carryall_core::changes::{Expect, Write};
    use carryall_core::model::PoolRef;
    use carryall_core::rules::set_identity_pool::Settings as PoolSettings;
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};

    use super::*;
    use crate::config::Settings;
    use crate::faulty_store::{Call, FaultyStore};
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    /// The number of polls before it gives up; each poll lets the tasks behind it run.
    const LOOKS_MAX: usize = 100_000;

    /// A node over `store`.
    pub(super) async fn node(store: Arc<dyn Store>, master: &MasterKey) -> State {
        let config = Config::check(Settings::default()).unwrap();
        let clock = Clock::system();
        let root = RootKey::generate(&clock);
        let trust = Trust::open(Arc::clone(&store), master, root, clock.clone()).await.ok().unwrap();
        State::new(store, Arc::new(trust), &config, clock, Arc::new(Metrics::new()))
    }

    pub(super) fn pool(id: &str) -> Pool {
        let at = PoolRef { id: PoolId::parse(id).unwrap(), incarnation: PoolIncarnation(1) };
        PoolSettings { name: "p".to_owned(), ..PoolSettings::default() }.create(at, UnixMillis(0))
    }

    fn put(pool: &Pool) -> Changes {
        Changes { expect: Vec::new(), write: vec![Write::PutPool(Box::new(pool.clone()))] }
    }

    #[tokio::test]
    async fn a_commit_whose_caller_hangs_up_still_reaches_the_caches() {
        let home = tempfile::tempdir().unwrap();
        // Only a store with its own writer leaves a gap in which the caller can disappear.
        let url = StoreUrl::Embedded(home.path().to_owned());
        let store = carryall_store::open(&url, &StoreOptions::default()).unwrap();
        let state = node(store, &MasterKey::generate(&Clock::system())).await;
        let pool = pool("us-east-1:0");
        let id = &pool.at.id;
        assert!(state.commit(put(&pool)).await.unwrap().is_done());
        assert!(state.pool(id).await.unwrap().is_some(), "the pool is cached");

        let write = vec![Write::RemovePool(pool.at.clone())];
        let removal = state.commit(Changes { expect: Vec::new(), write });
        tokio::select! {
            biased;
            _ = removal => panic!("the commit was done before its caller could hang up"),
            () = std::future::ready(()) => {}
        }
        for _ in 0..LOOKS_MAX {
            if state.pool(id).await.unwrap().is_none() {
                return;
            }
            yield_now().await;
        }
        panic!("the cache still shows the pool");
    }

    #[tokio::test]
    async fn a_listing_of_pools_has_few_of_them_in_memory_at_a_time() {
        let most_at_a_time = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most_at_a_time);
        let store = FaultyStore::new(move |call| {
            if let Call::Pools { max } = call {
                seen.fetch_max(max, Ordering::Relaxed);
            }
            Ok(())
        });
        let state = node(store, &MasterKey::generate(&Clock::system())).await;
        let ids: Vec<String> = (0..100).map(|number| format!("us-east-1:{number:03}")).collect();
        for id in &ids {
            assert!(state.commit(put(&pool(id))).await.unwrap().is_done());
        }
        let id = |pool: Pool| pool.at.id.to_string();
        assert_eq!(state.pools(None, 1025, id).await.unwrap(), ids);
        assert_eq!(state.pools(None, 33, id).await.unwrap(), ids[..33]);
        let after = PoolId::parse(&ids[49]).unwrap();
        assert_eq!(state.pools(Some(&after), 1025, id).await.unwrap(), ids[50..]);
        assert_eq!(most_at_a_time.load(Ordering::Relaxed), POOLS_PER_STEP_MAX);
    }

    #[tokio::test]
    async fn a_refused_commit_has_pools_read_again_that_another_node_may_have_changed() {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let master = MasterKey::generate(&Clock::system());
        let (ours, theirs) = (node(Arc::clone(&store), &master).await, node(store, &master).await);
        let pool = pool("us-east-1:0");
        let (id, at) = (&pool.at.id, &pool.at);
        assert!(ours.commit(put(&pool)).await.unwrap().is_done());
        assert!(ours.pool(id).await.unwrap().is_some(), "the pool is cached");

        let removal = Changes { expect: Vec::new(), write: vec![Write::RemovePool(at.clone())] };
        assert!(theirs.commit(removal).await.unwrap().is_done());
        let late = Changes { expect: vec![Expect::Pool(at.clone())], write: Vec::new() };
        assert!(!ours.commit(late).await.unwrap().is_done());
        assert_eq!(ours.pool(id).await, Ok(None));
    }
}
