//! The program as one value: settings, store, keys and caches, shared by every request, by the background work and by
//! the operators' verbs.

use std::sync::Arc;

use carryall_core::changes::{Changes, Touched};
use carryall_core::ids::{AccessKeyId, PoolId};
use carryall_core::model::Pool;
use carryall_core::outbox::LaneRef;
use carryall_core::store::{Committed, Store, StoreError};
use carryall_outbound::Outbound;
use tokio::sync::Semaphore;

use crate::capacity::new_identities::NewIdentities;
use crate::capacity::places::Places;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::state::live_channels::LiveChannels;
use crate::state::pools::Pools;
use crate::state::sessions::SessionCounts;
use crate::state::turns::Turns;
use crate::state::wakes::Wakes;
use crate::trust::root_key::RootKey;
use crate::trust::seal::MasterKey;
use crate::trust::{OpenError, Trust};

/// Devices of one pool that are being registered with their push service at a time; more are told to try again.
const REGISTRATIONS_PER_POOL_MAX: usize = 64;
/// Checks of pools' settings in the background at a time; a further one is left out.
const POOL_CHECKS_MAX: usize = 8;

/// Everything that answering a request takes.
pub struct App {
    /// The settings, checked.
    pub config: Config,
    /// Where things are kept.
    pub store: Arc<dyn Store>,
    /// Time and fresh ids.
    pub clock: Clock,
    /// Keys, tokens and everything that is sealed.
    pub trust: Arc<Trust>,
    /// Numbers for operators.
    pub metrics: Metrics,
    /// Keeps writers of one dataset in a row.
    pub turns: Turns,
    /// Sync sessions that are not stored yet.
    pub sessions: Arc<SessionCounts>,
    /// How many new identities may be asked for.
    pub new_identities: NewIdentities,
    /// Requests that may be worked on at a time.
    pub requests: Semaphore,
    /// Memory for request bodies in flight, one permit a kilobyte.
    pub body_kilobytes: Semaphore,
    /// The ways out of the server.
    pub outbound: Outbound,
    /// How the relay of this process hears of new events.
    pub wakes: Arc<Wakes>,
    /// Clients that are told of changes while they wait.
    pub live: Arc<LiveChannels>,
    /// Places of calls of all functions: half of what requests have, so that slow functions leave room for the rest.
    pub trigger_calls: Semaphore,
    /// Places of calls of sync triggers, by what they go to.
    pub triggers: Places,
    /// Registrations of devices under way, by pool.
    pub registrations: Places,
    /// Checks of pools' settings under way.
    pub pool_checks: Arc<Semaphore>,
    pools: Arc<Pools>,
}

impl App {
    /// Takes a store into use: checks that it belongs to `master`, or marks it as such if it is new.
    pub async fn open(
        config: Config,
        store: Arc<dyn Store>,
        master: &MasterKey,
        root: RootKey,
        clock: Clock,
    ) -> Result<Arc<Self>, OpenError> {
        let trust = Trust::open(Arc::clone(&store), master, root, clock.clone()).await?;
        let outbound_clock = clock.clone();
        Ok(Arc::new(Self {
            store,
            trust: Arc::new(trust),
            clock,
            metrics: Metrics::new(),
            turns: Turns::default(),
            sessions: Arc::default(),
            new_identities: NewIdentities::new(&config),
            requests: Semaphore::new(config.concurrent_requests_max),
            body_kilobytes: Semaphore::new(config.bodies_in_flight_bytes_max.div_ceil(1024)),
            outbound: Outbound::new(config.outbound.clone(), move || outbound_clock.unix_seconds()),
            wakes: Arc::default(),
            live: Arc::new(LiveChannels::new(&config.live)),
            trigger_calls: Semaphore::new((config.concurrent_requests_max / 2).max(1)),
            triggers: Places::new(config.trigger.calls_per_function_max.get() as usize),
            registrations: Places::new(REGISTRATIONS_PER_POOL_MAX),
            pool_checks: Arc::new(Semaphore::new(POOL_CHECKS_MAX)),
            pools: Arc::default(),
            config,
        }))
    }

    /// Commits `changes`. Everything that requests store goes through here, so that this process's caches stay true, and
    /// its relay and live channels hear of what happened.
    pub async fn commit(&self, changes: Changes) -> Result<Committed, StoreError> {
        let Written { pools, keys, lanes } = Written::of(&changes);
        let counts = self.live.listened_to(&changes);
        if pools.is_empty() && keys.is_empty() && lanes.is_empty() && counts.is_empty() {
            return self.store.commit(changes).await;
        }
        // In a task of its own: a caller who hangs up ends the request, but not the commit that is on its way, and
        // caches, relay and channels must hear of it all the same.
        let (store, cached_pools) = (Arc::clone(&self.store), Arc::clone(&self.pools));
        let trust = Arc::clone(&self.trust);
        let (wakes, live) = (Arc::clone(&self.wakes), Arc::clone(&self.live));
        let commit = tokio::spawn(async move {
            let outcome = store.commit(changes).await;
            cached_pools.forget(&pools);
            for key in keys {
                trust.forget(&key);
            }
            if outcome == Ok(Committed::Done) {
                wakes.lanes(lanes);
                live.tell(counts);
            }
            outcome
        });
        commit.await.unwrap_or_else(|error| Err(StoreError::Unavailable { cause: error.to_string() }))
    }

    /// The pool of this id, if it exists.
    pub async fn pool(&self, id: &PoolId) -> Result<Option<Arc<Pool>>, StoreError> {
        self.pools.get(&*self.store, id).await
    }
}

/// What a commit writes that this process keeps in mind.
#[derive(Default)]
struct Written {
    pools: Vec<PoolId>,
    keys: Vec<AccessKeyId>,
    lanes: Vec<LaneRef>,
}

impl Written {
    fn of(changes: &Changes) -> Self {
        let mut written = Self::default();
        for write in &changes.write {
            match write.touched() {
                Touched::Pool(id) => written.pools.push(id.clone()),
                Touched::Key(id) => written.keys.push(id.clone()),
                Touched::Lane(at) => written.lanes.push(at.clone()),
                Touched::Nothing => {}
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::PoolIncarnation;
    use carryall_core::model::PoolRef;
    use carryall_core::rules::set_identity_pool::Settings as PoolSettings;
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};

    use carryall_core::changes::Write;

    use super::*;
    use crate::config::Settings;

    /// Looks again this often before it gives up; each look lets the tasks behind it run.
    const LOOKS_MAX: usize = 100_000;

    #[tokio::test]
    async fn a_commit_whose_caller_hangs_up_still_reaches_the_caches() {
        let home = tempfile::tempdir().unwrap();
        // Only a store with a writer of its own leaves a gap in which the caller can be gone.
        let url = StoreUrl::Embedded(home.path().to_owned());
        let store = carryall_store::open(&url, &StoreOptions::default()).unwrap();
        let config = Config::check(Settings::default()).unwrap();
        let clock = Clock::system();
        let (master, root) = (MasterKey::generate(&clock), RootKey::generate(&clock));
        let app = App::open(config, store, &master, root, clock).await.ok().unwrap();
        let id = PoolId::parse("us-east-1:0").unwrap();
        let at = PoolRef { id: id.clone(), incarnation: PoolIncarnation(1) };
        let pool = PoolSettings { name: "p".to_owned(), ..PoolSettings::default() }
            .create(at.clone(), UnixMillis(0));
        let write = vec![Write::PutPool(Box::new(pool))];
        assert!(app.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
        assert!(app.pool(&id).await.unwrap().is_some(), "the pool is cached");

        let removal = app.commit(Changes { expect: Vec::new(), write: vec![Write::RemovePool(at)] });
        tokio::select! {
            biased;
            _ = removal => panic!("the commit was done before its caller could hang up"),
            () = std::future::ready(()) => {}
        }
        for _ in 0..LOOKS_MAX {
            if app.pool(&id).await.unwrap().is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the cache still shows the pool");
    }
}
