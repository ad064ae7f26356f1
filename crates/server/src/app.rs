//! The program as one value: settings, store, keys and caches, shared by every request, by the background work and by
//! the operators' verbs.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carryall_core::changes::{Changes, Expect, Setting, Touched, Write};
use carryall_core::ids::{AccessKeyId, PoolId};
use carryall_core::model::{DeveloperKey, Pool};
use carryall_core::outbox::LaneRef;
use carryall_core::store::{Store, StoreError};
use carryall_outbound::Outbound;
use carryall_wire::sigv4::KeyCache;
use lru::LruCache;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::capacity::new_identities::NewIdentities;
use crate::capacity::places::Places;
use crate::clock::{self, Clock};
use crate::config::{Config, RootKey};
use crate::metrics::Metrics;
use crate::state::live_channels::LiveChannels;
use crate::state::pools::Pools;
use crate::state::sessions::SessionCounts;
use crate::state::turns::Turns;
use crate::state::wakes::Wakes;
use crate::trust::credentials::{self, Opened};
use crate::trust::identity_token::IdentityTokens;
use crate::trust::seal::{MasterKey, Purpose, Sealer};

/// What the value that checks the master key says once it is opened.
const MASTER_KEY_CHECK: &[u8] = b"carryall";
/// Secrets of developer keys kept opened in memory.
const SECRETS_COUNT_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// Opened session tokens of temporary credentials kept in memory.
const CREDENTIALS_COUNT_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

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
    /// Seals tokens and secrets.
    pub sealer: Sealer,
    /// Signs and checks identity tokens.
    pub identity_tokens: IdentityTokens,
    /// Numbers for operators.
    pub metrics: Metrics,
    /// Signing keys already derived.
    pub signing_keys: Arc<KeyCache>,
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
    root: RootKey,
    secrets: Arc<Mutex<Secrets>>,
    opened: Mutex<LruCache<String, Arc<Opened>>>,
}

/// Secrets of developer keys, opened.
struct Secrets {
    opened: LruCache<AccessKeyId, SecretString>,
    /// Raised by every commit that touches a key: a secret read before such a commit must not enter after it.
    changes: u64,
}

/// Why the program cannot begin to work on a store.
#[derive(Debug)]
pub enum OpenError {
    /// The store's secrets were sealed under another master key.
    WrongMasterKey,
    /// The store failed.
    Store(StoreError),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WrongMasterKey => {
                f.write_str("the master key is not the one that this store was created with")
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl App {
    /// Takes a store into use: checks that it belongs to `master`, or marks it as such if it is new.
    pub async fn open(
        config: Config,
        store: Arc<dyn Store>,
        master: &MasterKey,
        root: RootKey,
    ) -> Result<Arc<Self>, OpenError> {
        let clock = Clock::default();
        let sealer = Sealer::new(master, clock.clone());
        check_master_key(&*store, &sealer).await?;
        Ok(Arc::new(Self {
            store,
            identity_tokens: IdentityTokens::new(&sealer),
            sealer,
            clock,
            metrics: Metrics::new(),
            signing_keys: Arc::default(),
            turns: Turns::default(),
            sessions: Arc::default(),
            new_identities: NewIdentities::new(&config),
            requests: Semaphore::new(config.concurrent_requests_max),
            body_kilobytes: Semaphore::new(config.bodies_in_flight_bytes_max.div_ceil(1024)),
            outbound: Outbound::new(config.outbound.clone(), clock::unix_seconds),
            wakes: Arc::default(),
            live: Arc::new(LiveChannels::new(&config.live)),
            trigger_calls: Semaphore::new((config.concurrent_requests_max / 2).max(1)),
            triggers: Places::new(config.trigger.calls_per_function_max.get() as usize),
            registrations: Places::new(REGISTRATIONS_PER_POOL_MAX),
            pool_checks: Arc::new(Semaphore::new(POOL_CHECKS_MAX)),
            pools: Arc::default(),
            root,
            secrets: Arc::new(Mutex::new(Secrets { opened: LruCache::new(SECRETS_COUNT_MAX), changes: 0 })),
            opened: Mutex::new(LruCache::new(CREDENTIALS_COUNT_MAX)),
            config,
        }))
    }

    /// Commits `changes`. Everything that requests store goes through here, so that this process's caches stay true, and
    /// its relay and live channels hear of what happened.
    pub async fn commit(&self, changes: Changes) -> Result<(), StoreError> {
        let Written { pools, keys, lanes } = Written::of(&changes);
        let counts = self.live.listened_to(&changes);
        if pools.is_empty() && keys.is_empty() && lanes.is_empty() && counts.is_empty() {
            return self.store.commit(changes).await;
        }
        // In a task of its own: a caller who hangs up ends the request, but not the commit that is on its way, and
        // caches, relay and channels must hear of it all the same.
        let (store, cached_pools) = (Arc::clone(&self.store), Arc::clone(&self.pools));
        let (secrets, signing_keys) = (Arc::clone(&self.secrets), Arc::clone(&self.signing_keys));
        let (wakes, live) = (Arc::clone(&self.wakes), Arc::clone(&self.live));
        let commit = tokio::spawn(async move {
            let outcome = store.commit(changes).await;
            cached_pools.forget(&pools);
            for key in keys {
                let mut secrets = secrets.lock().unwrap_or_else(PoisonError::into_inner);
                secrets.changes += 1;
                secrets.opened.pop(&key);
                signing_keys.forget(key.as_str());
            }
            if outcome.is_ok() {
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

    /// The secret of a developer key, if the key exists.
    pub async fn developer_secret(&self, id: &AccessKeyId) -> Result<Option<SecretString>, StoreError> {
        if *id == self.root.access_key_id {
            return Ok(Some(self.root.secret.clone()));
        }
        let seen = {
            let mut secrets = self.secrets();
            if let Some(secret) = secrets.opened.get(id) {
                return Ok(Some(secret.clone()));
            }
            secrets.changes
        };
        let Some(key) = self.store.key(id).await? else { return Ok(None) };
        let secret = self.open_secret(&key)?;
        let mut secrets = self.secrets();
        if secrets.changes == seen {
            secrets.opened.put(id.clone(), secret.clone());
        }
        Ok(Some(secret))
    }

    fn secrets(&self) -> MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_secret(&self, key: &DeveloperKey) -> Result<SecretString, StoreError> {
        self.sealer
            .open(Purpose::DeveloperSecret, &key.sealed_secret)
            .and_then(|plain| String::from_utf8(plain).ok())
            .map(SecretString::from)
            .ok_or_else(|| StoreError::Corrupt { what: format!("the sealed secret of key {}", key.id) })
    }

    /// The credentials that a session token stands for, if it was issued here together with `key`; expired or not.
    pub fn temporary(&self, token: &str, key: &AccessKeyId) -> Option<Arc<Opened>> {
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        let opened = if let Some(opened) = known {
            opened
        } else {
            let opened = Arc::new(credentials::open(&self.sealer, token)?);
            self.opened
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .put(token.to_owned(), Arc::clone(&opened));
            opened
        };
        opened.belongs_to(key).then_some(opened)
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

async fn check_master_key(store: &dyn Store, sealer: &Sealer) -> Result<(), OpenError> {
    let setting = Setting::MasterKeyCheck;
    if store.setting(setting).await.map_err(OpenError::Store)?.is_none() {
        let sealed = sealer.seal(Purpose::MasterKeyCheck, MASTER_KEY_CHECK.to_vec());
        let changes = Changes {
            expect: vec![Expect::NoSetting(setting)],
            write: vec![Write::PutSetting(setting, sealed)],
        };
        match store.commit(changes).await {
            // Another node may have been quicker; its value is checked like any other.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(OpenError::Store(error)),
        }
    }
    let sealed = store.setting(setting).await.map_err(OpenError::Store)?.unwrap_or_default();
    match sealer.open(Purpose::MasterKeyCheck, &sealed) {
        Some(plain) if plain == MASTER_KEY_CHECK => Ok(()),
        Some(_) | None => Err(OpenError::WrongMasterKey),
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::PoolIncarnation;
    use carryall_core::model::PoolRef;
    use carryall_core::rules::set_identity_pool::Settings as PoolSettings;
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};

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
        let master = MasterKey::generate(&Clock::default());
        let app = App::open(config, store, &master, RootKey::generate()).await.ok().unwrap();
        let id = PoolId::parse("us-east-1:0").unwrap();
        let at = PoolRef { id: id.clone(), incarnation: PoolIncarnation(1) };
        let pool = PoolSettings { name: "p".to_owned(), ..PoolSettings::default() }
            .create(at.clone(), UnixMillis(0));
        let write = vec![Write::PutPool(Box::new(pool))];
        app.commit(Changes { expect: Vec::new(), write }).await.unwrap();
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
