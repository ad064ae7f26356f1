//! Admission: the amount of work that the server accepts, in total and for one caller.
//!
//! Each resource has a total, a share per caller and a bounded wait. A caller is an identity or a developer
//! key once its signature is verified. Before that, it is a source address with the name that the request
//! claims. The totals bound one process; several nodes have a total each.

mod account;
mod budget;
mod connections;
mod gate;
mod new_identities;
mod permits;

use std::sync::Arc;
use std::time::Duration;

use carryall_core::ids::PoolId;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::account::{Account, Party};
use self::account::{Accounts, Resource, Shares};
use self::budget::{Budget, FREE_BYTES, Sizes};
pub use self::budget::{Charge, SMALL_BYTES_MAX};
pub use self::connections::{Admitted, Busy, Connections, Place, Use};
use self::gate::Gate;
pub use self::gate::{Full, Permit};
use self::new_identities::NewIdentities;
use self::permits::Permits;

use crate::config::Config;
use crate::metrics::ServerLimit;
use crate::source::{Source, TrustedProxies};

/// The number of devices of one pool that are registered with their push service at a time.
const REGISTRATIONS_PER_POOL_MAX: usize = 64;
/// The number of checks of pools' settings in the background at a time.
const POOL_CHECKS_MAX: usize = 8;
/// A developer key may have one in this many of the requests in progress.
const REQUESTS_OF_KEY_ONE_IN: u32 = 2;
/// The number of large answers of one caller that are loaded and encoded at a time.
const BUILDING_PER_CALLER_MAX: u32 = 1;

/// The gates, budgets and throttles of one process.
pub struct Capacity {
    accounts: Accounts,
    requests: Arc<Gate>,
    bodies: Budget,
    answers: Budget,
    answer_bytes_max: usize,
    building: Arc<Gate>,
    connections: Connections,
    proxies: TrustedProxies,
    new_identities: NewIdentities,
    trigger_calls: Arc<Semaphore>,
    triggers: Permits,
    registrations: Permits,
    pool_checks: Arc<Semaphore>,
}

/// The permits and memory that a request holds from its admission until the last byte of its answer is written.
pub struct Holding {
    _request: Permit,
    answer: Charge,
    building: Option<Permit>,
    account: Arc<Account>,
}

impl Holding {
    /// Charges the request for an answer of exactly `bytes`. Bytes above the largest answer are not charged,
    /// so that a generous estimate refuses no one.
    pub async fn pay_answer(&mut self, capacity: &Capacity, bytes: usize) -> Result<(), Full> {
        let bytes = bytes.min(capacity.answer_bytes_max);
        capacity.answers.pay(&self.account, &mut self.answer, bytes).await
    }

    /// Waits until the request may load and encode a large answer, which keeps a core busy, and charges it
    /// for the largest answer.
    pub async fn build(&mut self, capacity: &Capacity) -> Result<(), Full> {
        self.build_within(capacity, capacity.answer_bytes_max).await
    }

    /// Waits as [`Self::build`] does, and charges the request for exactly `bytes`.
    pub async fn build_within(&mut self, capacity: &Capacity, bytes: usize) -> Result<(), Full> {
        // First the memory: a caller that waits for its own share must not hold a permit that others wait
        // for.
        self.pay_answer(capacity, bytes).await?;
        if self.building.is_none() {
            self.building = Some(capacity.building.enter(&self.account, 1).await?);
        }
        Ok(())
    }

    /// Records that the answer is encoded.
    pub fn built(&mut self) {
        self.building = None;
    }
}

/// A permit to call a function.
pub struct TriggerCall {
    _of_function: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Capacity {
    /// Creates the capacity that the settings state.
    pub fn new(config: &Config) -> Self {
        let limits = &config.limits;
        let wait_max = Duration::from_millis(limits.admission_wait_milliseconds_max.into());
        let bodies = Sizes::of(limits.bodies_in_flight_bytes_max, limits.body_bytes_max);
        // While it is built, an answer is in memory twice: as records and as JSON. A record that alone is
        // larger than a page arrived in a body.
        let answer_bytes_max = limits.page_bytes_max.max(limits.body_bytes_max).saturating_mul(2);
        let answers = Sizes::of(limits.answers_in_flight_bytes_max, answer_bytes_max);
        let requests_max = limits.concurrent_requests_max.get();
        let gate = |resource, limit, total| Gate::new(resource, limit, total, wait_max);
        let budget = |sizes, kinds, limit| Budget::new(sizes, kinds, limit, wait_max);
        Self {
            accounts: Accounts::new(Shares {
                of: [
                    limits.requests_per_caller_max.get().min(requests_max),
                    bodies.small_share,
                    bodies.large_share,
                    answers.small_share,
                    answers.large_share,
                    BUILDING_PER_CALLER_MAX,
                ],
                requests_of_key: (requests_max / REQUESTS_OF_KEY_ONE_IN).max(1),
            }),
            requests: gate(Resource::Requests, ServerLimit::ConcurrentRequests, requests_max),
            bodies: budget(
                bodies,
                [Resource::SmallBodies, Resource::LargeBodies],
                ServerLimit::BodiesInFlightBytes,
            ),
            answers: budget(
                answers,
                [Resource::SmallAnswers, Resource::LargeAnswers],
                ServerLimit::AnswersInFlightBytes,
            ),
            answer_bytes_max,
            building: gate(Resource::Building, ServerLimit::AnswersInFlightBytes, building_max()),
            connections: Connections::new(
                limits.connections_max.get(),
                limits.connections_per_source_max(),
                limits.probe_connections_max.get(),
            ),
            proxies: config.trusted_proxies.clone(),
            new_identities: NewIdentities::new(limits),
            trigger_calls: Arc::new(Semaphore::new((requests_max as usize / 2).max(1))),
            triggers: Permits::new(config.trigger.calls_per_function_max.get() as usize),
            registrations: Permits::new(REGISTRATIONS_PER_POOL_MAX),
            pool_checks: Arc::new(Semaphore::new(POOL_CHECKS_MAX)),
        }
    }

    /// The admission of connections.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The proxies that are trusted to name the client's address.
    pub fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Adjusts `charge` to `bytes` of a request body. The body's source pays, because the signature is verified only
    /// when the body is here, and until then a request may name any caller.
    pub async fn pay_body(&self, source: Source, charge: &mut Charge, bytes: usize) -> Result<(), Full> {
        if bytes <= FREE_BYTES {
            return Ok(());
        }
        self.bodies.pay(&self.accounts.of(Party::Source(source)), charge, bytes).await
    }

    /// Admits a request to the operations.
    pub async fn admit(&self, party: Party<'_>) -> Result<Holding, Full> {
        let account = self.accounts.of(party);
        let request = self.requests.enter(&account, 1).await?;
        Ok(Holding { _request: request, answer: Charge::default(), building: None, account })
    }

    /// True if one more identity of `pool` may be created from `source` now.
    pub fn admits_new_identity(&self, pool: &PoolId, source: Source) -> bool {
        self.new_identities.admit(pool, source)
    }

    /// A permit to call `function`; `None` if the calls of this function, or of all functions, are at their
    /// limit.
    pub fn call_trigger(&self, function: &str) -> Option<TriggerCall> {
        let of_function = self.triggers.take(function)?;
        let of_all = Arc::clone(&self.trigger_calls).try_acquire_owned().ok()?;
        Some(TriggerCall { _of_function: of_function, _of_all: of_all })
    }

    /// A permit to register a device of `pool` with its push service; `None` at the limit.
    pub fn register_device(&self, pool: &str) -> Option<OwnedSemaphorePermit> {
        self.registrations.take(pool)
    }

    /// A permit to check a pool's settings in the background; `None` at the limit.
    pub fn check_pool(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.pool_checks).try_acquire_owned().ok()
    }
}

/// The number of large answers of all callers that are built at a time: half of the cores, at least one.
fn building_max() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores / 2).unwrap_or(u32::MAX).max(1)
}

/// Runs a long computation without blocking the other tasks of this worker thread.
pub fn off_the_worker<T>(work: impl FnOnce() -> T) -> T {
    if has_other_workers() { tokio::task::block_in_place(work) } else { work() }
}

/// Awaits `work`, whose steps are long, without blocking the other tasks of this worker thread.
pub async fn await_off_the_worker<F: Future>(work: F) -> F::Output {
    if has_other_workers() {
        tokio::task::block_in_place(|| Handle::current().block_on(work))
    } else {
        work.await
    }
}

/// True if another worker thread can take over this one's tasks.
fn has_other_workers() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::future::poll_immediate;

    use super::*;
    use crate::config::Settings;

    async fn holding(capacity: &Capacity, last: u8) -> Holding {
        let source = Source::of(IpAddr::from([127, 0, 0, last]));
        capacity.admit(Party::Source(source)).await.ok().unwrap()
    }

    #[tokio::test]
    async fn bodies_of_one_source_use_up_no_more_than_its_share() {
        let mut config = Config::check(Settings::default()).unwrap();
        config.limits.admission_wait_milliseconds_max = 1;
        let capacity = Capacity::new(&config);
        let source = |last| Source::of(IpAddr::from([127, 0, 0, last]));
        for bytes in [SMALL_BYTES_MAX, 1024 * 1024] {
            let mut held = Vec::new();
            loop {
                let mut charge = Charge::default();
                if capacity.pay_body(source(1), &mut charge, bytes).await.is_err() {
                    break;
                }
                held.push(charge);
            }
            assert!(held.len() * bytes <= 64 * 1024 * 1024 / 4, "{} bodies of {bytes} bytes", held.len());
            let mut charge = Charge::default();
            assert_eq!(capacity.pay_body(source(2), &mut charge, bytes).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn who_waits_for_its_own_memory_keeps_nobody_from_building() {
        let capacity = Capacity::new(&Config::check(Settings::default()).unwrap());
        let (mut unread, mut waiting) = (holding(&capacity, 1).await, holding(&capacity, 1).await);
        unread.build(&capacity).await.unwrap();
        unread.built();
        let mut waiting = Box::pin(waiting.build(&capacity));
        assert!(poll_immediate(&mut waiting).await.is_none(), "the first answer uses up the caller's share");
        let mut other = holding(&capacity, 2).await;
        assert_eq!(poll_immediate(other.build(&capacity)).await, Some(Ok(())));
    }
}
