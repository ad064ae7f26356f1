//! Admission: the amount of work that the server accepts, in total and for one caller.
//!
//! Each resource has a total, a share per caller and a bounded wait. A caller is an identity or a developer
//! key once its signature is verified, and its source address before. Memory is shared by source, since one
//! source can have any number of identities; developer keys pay for their own answers. The event that an update
//! shows to its function, and the function's answer, are charged as parts of the update's answer. The totals bound
//! one process; several nodes have a total each.

mod account;
mod budget;
mod connections;
mod gate;
mod large_events;
mod new_identities;
mod permits;

use std::sync::Arc;
use std::time::Duration;

use carryall_core::caller::Caller;
use carryall_core::ids::PoolId;
use carryall_core::store::{Figure, FigureKind};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::account::Account;
use self::account::{Accounts, Party, Resource, Shares};
pub use self::budget::Charge;
use self::budget::{Budget, FREE_BYTES, Sizes};
pub use self::connections::{Admitted, Busy, Connections, Place, Use};
pub use self::gate::{Full, Patience, Permit};
use self::gate::{Gate, ShareUnit};
pub use self::large_events::EventsCharge;
use self::large_events::LargeEvents;
use self::new_identities::NewIdentities;
use self::permits::Permits;

pub use crate::config::SMALL_BYTES_MAX;
use crate::config::{Config, LimitSettings, reserve_bytes};
use crate::metrics::ServerLimit;
use crate::source::{Source, TrustedProxies};

/// The number of devices of one pool that are registered with their push service at a time.
const REGISTRATIONS_PER_POOL_MAX: usize = 64;
/// The number of checks of pools' settings in the background at a time.
const POOL_CHECKS_MAX: usize = 8;
/// One identity or source may hold one part in this many of a memory budget, and of the answers being built.
const CALLER_ONE_IN: u32 = 4;
/// A developer key may hold one part in this many of everything.
const KEY_ONE_IN: u32 = 2;
/// Large answers being built take at most one part in this many of the memory for large answers.
const BUILDING_BYTES_ONE_IN: usize = 2;

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
    wait_max: Duration,
    large_events: LargeEvents,
}

/// The permits and memory that a request holds from its admission until the last byte of its answer is written.
pub struct Holding {
    /// Of the payer's share and of the total.
    _request: Permit,
    /// Of the share of the identity that called, if one did.
    _of_identity: Option<ShareUnit>,
    answer: Charge,
    building: Option<Permit>,
    /// The account that pays for the request and its answer.
    payer: Arc<Account>,
    patience: Patience,
}

impl Holding {
    /// Charges the request for an answer of exactly `bytes`. Bytes above the largest answer are not charged,
    /// so that a generous estimate refuses no one.
    pub async fn pay_answer(&mut self, capacity: &Capacity, bytes: usize) -> Result<(), Full> {
        let bytes = bytes.min(capacity.answer_bytes_max);
        // Others wait for the permit to build.
        let mut none = Patience::none();
        let patience = if self.building.is_some() { &mut none } else { &mut self.patience };
        capacity.answers.pay(&self.payer, &mut self.answer, bytes, patience).await
    }

    /// Waits until the request may load and encode a large answer of about `expected_bytes`, which keeps a core busy.
    /// The memory of its records comes with the permit; the JSON is charged.
    pub async fn build(&mut self, capacity: &Capacity, expected_bytes: usize) -> Result<(), Full> {
        // First the memory: a caller that waits for its own share must not hold a permit that others wait
        // for.
        self.pay_answer(capacity, expected_bytes).await?;
        if self.building.is_none() {
            self.building = Some(capacity.building.enter(&self.payer, 1, &mut self.patience).await?);
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
        let bodies = Sizes::of(limits.bodies_in_flight_bytes_max, 0, limits.body_bytes_max);
        // While it is built, an answer is in memory twice: as records and as JSON. The memory of the records is set
        // apart, so that answers waiting to be written cannot use it up.
        let answer_bytes_max = limits.answer_bytes_max();
        let building_max = building_max(limits);
        let records_bytes = answer_bytes_max.saturating_mul(building_max as usize);
        let answers = Sizes::of(limits.answers_in_flight_bytes_max, records_bytes, answer_bytes_max);
        let requests_max = limits.concurrent_requests_max.get();
        let shares = |requests, one_in| {
            let ([small_bodies, large_bodies], [small_answers, large_answers]) =
                (bodies.shares(one_in), answers.shares(one_in));
            let building = (building_max / one_in).max(1);
            [requests, small_bodies, large_bodies, small_answers, large_answers, building]
        };
        let gate = |resource, limit, total| Gate::new(resource, limit, total);
        let budget = |sizes, kinds, limit| Budget::new(sizes, kinds, limit);
        Self {
            accounts: Accounts::new(Shares {
                identity: shares(limits.requests_per_caller_max.get().min(requests_max), CALLER_ONE_IN),
                source: shares(limits.requests_per_source_max().min(requests_max), CALLER_ONE_IN),
                key: shares((requests_max / KEY_ONE_IN).max(1), KEY_ONE_IN),
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
            building: gate(Resource::Building, ServerLimit::AnswersBuilding, building_max),
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
            wait_max: Duration::from_millis(limits.admission_wait_milliseconds_max.into()),
            large_events: LargeEvents::new(),
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

    /// The charged memory, for the metrics page.
    pub fn figures(&self) -> [Figure; 2] {
        let figure = |name, help, budget: &Budget| {
            let value = u32::try_from(budget.charged_bytes() / 1024).map_or(f64::MAX, f64::from) * 1024.0;
            Figure { name, help, kind: FigureKind::Gauge, value }
        };
        [
            figure("bodies_in_flight_bytes", "Memory charged for request bodies", &self.bodies),
            figure("answers_in_flight_bytes", "Memory charged for answers", &self.answers),
        ]
    }

    /// The time that a new request may spend waiting for shares and totals.
    pub fn patience(&self) -> Patience {
        Patience::new(self.wait_max)
    }

    /// Adjusts `charge` to `bytes` of a request body. The body's source pays, because the signature is verified only
    /// when the body is here, and until then a request may name any caller.
    pub async fn pay_body(
        &self,
        source: Source,
        charge: &mut Charge,
        bytes: usize,
        patience: &mut Patience,
    ) -> Result<(), Full> {
        if bytes <= FREE_BYTES {
            return Ok(());
        }
        self.bodies.pay(&self.accounts.of(Party::Source(source)), charge, bytes, patience).await
    }

    /// Admits a request to the operations. It takes a unit from the total and from the share of its developer key or of
    /// its source, and that of an identity another from the identity's own share: one source can have any number of
    /// identities, so a share for each of them alone would bound nothing.
    pub async fn admit(
        &self,
        caller: Option<&Caller>,
        source: Source,
        mut patience: Patience,
    ) -> Result<Holding, Full> {
        let (payer, identity) = match caller {
            Some(Caller::Developer { .. }) => (caller.map(Party::Caller), None),
            Some(Caller::Identity { .. }) => (None, caller.map(Party::Caller)),
            None => (None, None),
        };
        let payer = self.accounts.of(payer.unwrap_or(Party::Source(source)));
        // First the identity: while it waits for its own share, it must hold nothing of what others share.
        let of_identity = match identity {
            Some(identity) => Some(self.requests.share(&self.accounts.of(identity), &mut patience).await?),
            None => None,
        };
        let request = self.requests.enter(&payer, 1, &mut patience).await?;
        Ok(Holding {
            _request: request,
            _of_identity: of_identity,
            answer: Charge::default(),
            building: None,
            payer,
            patience,
        })
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

    /// The memory for large events while they are delivered.
    pub fn large_events(&self) -> &LargeEvents {
        &self.large_events
    }

    /// A permit to check a pool's settings in the background; `None` at the limit.
    pub fn check_pool(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.pool_checks).try_acquire_owned().ok()
    }
}

/// The number of large answers of all callers that are built at a time: half of the cores, at least one, as far as the
/// memory allows.
fn building_max(limits: &LimitSettings) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let total_bytes = limits.answers_in_flight_bytes_max;
    let large_bytes = total_bytes.saturating_sub(reserve_bytes(total_bytes));
    let fitting = large_bytes / BUILDING_BYTES_ONE_IN / limits.answer_bytes_max().max(1);
    u32::try_from(fitting.min(cores / 2)).unwrap_or(u32::MAX).max(1)
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
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

    use carryall_core::ids::{IdentityEpoch, IdentityId, PoolIncarnation};
    use carryall_core::model::{IdentityRef, PoolRef};
    use futures_util::future::poll_immediate;

    use super::*;
    use crate::config::Settings;
    use crate::failure::Holder;

    const MIB: usize = 1024 * 1024;

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([127, 0, 0, last]))
    }

    async fn holding(capacity: &Capacity, last: u8) -> Holding {
        capacity.admit(None, source(last), capacity.patience()).await.ok().unwrap()
    }

    /// True if another task of the only worker thread ends the work, which keeps that thread until then.
    async fn ends_with_another_task<F>(work: impl FnOnce(Receiver<()>) -> F + Send + 'static) -> bool
    where
        F: Future<Output = Result<(), RecvTimeoutError>> + Send + 'static,
    {
        let busy = tokio::spawn(async move {
            let (end, ended) = channel();
            tokio::spawn(async move { end.send(()) });
            work(ended).await
        });
        busy.await.unwrap().is_ok()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn long_work_leaves_its_worker_thread_to_other_tasks() {
        let longest = Duration::from_secs(5);
        let computed =
            move |ended: Receiver<()>| async move { off_the_worker(|| ended.recv_timeout(longest)) };
        assert!(ends_with_another_task(computed).await);
        let awaited =
            move |ended: Receiver<()>| await_off_the_worker(async move { ended.recv_timeout(longest) });
        assert!(ends_with_another_task(awaited).await);
    }

    #[tokio::test]
    async fn bodies_of_one_source_use_up_no_more_than_its_share() {
        let mut config = Config::check(Settings::default()).unwrap();
        config.limits.admission_wait_milliseconds_max = 1;
        let capacity = Capacity::new(&config);
        for bytes in [SMALL_BYTES_MAX, 1024 * 1024] {
            let mut held = Vec::new();
            loop {
                let mut charge = Charge::default();
                if capacity.pay_body(source(1), &mut charge, bytes, &mut capacity.patience()).await.is_err() {
                    break;
                }
                held.push(charge);
            }
            assert!(held.len() * bytes <= 64 * 1024 * 1024 / 4, "{} bodies of {bytes} bytes", held.len());
            let mut charge = Charge::default();
            assert_eq!(
                capacity.pay_body(source(2), &mut charge, bytes, &mut capacity.patience()).await,
                Ok(())
            );
        }
    }

    #[tokio::test]
    async fn who_waits_for_its_own_memory_keeps_nobody_from_building() {
        let capacity = Capacity::new(&Config::check(Settings::default()).unwrap());
        let (mut unread, mut waiting) = (holding(&capacity, 1).await, holding(&capacity, 1).await);
        unread.build(&capacity, 8 * MIB).await.unwrap();
        unread.built();
        let mut waiting = Box::pin(waiting.build(&capacity, 8 * MIB));
        assert!(poll_immediate(&mut waiting).await.is_none(), "the first answer uses up the caller's share");
        let mut other = holding(&capacity, 2).await;
        assert_eq!(poll_immediate(other.build(&capacity, 8 * MIB)).await, Some(Ok(())));
    }

    fn guest(number: u8) -> Caller {
        let pool = PoolId::parse("us-east-1:0").unwrap();
        let identity = IdentityId::parse(&format!("us-east-1:{number}")).unwrap();
        let pool = PoolRef { id: pool, incarnation: PoolIncarnation(1) };
        Caller::Identity { at: IdentityRef { pool, identity }, epoch: IdentityEpoch(0) }
    }

    #[tokio::test]
    async fn half_a_body_and_an_unwritten_answer_are_on_the_metrics_page() {
        let capacity = Capacity::new(&Config::check(Settings::default()).unwrap());
        let in_flight = || capacity.figures().map(|figure| figure.value.to_string());
        let (mut body, mut answer) = (Charge::default(), holding(&capacity, 1).await);
        capacity.pay_body(source(1), &mut body, MIB, &mut capacity.patience()).await.unwrap();
        answer.pay_answer(&capacity, 2 * MIB).await.unwrap();
        assert_eq!(in_flight(), ["1048576", "2097152"]);
        drop((body, answer));
        assert_eq!(in_flight(), ["0", "0"]);
    }

    #[tokio::test]
    async fn requests_of_many_guests_of_one_source_leave_the_others_their_places() {
        let mut config = Config::check(Settings::default()).unwrap();
        config.limits.admission_wait_milliseconds_max = 1;
        let capacity = Capacity::new(&config);
        let of_identity = config.limits.requests_per_caller_max.get();
        let (mut held, mut refusals) = (Vec::new(), Vec::new());
        for number in 0..16 {
            for _ in 0..of_identity {
                match capacity.admit(Some(&guest(number)), source(1), capacity.patience()).await {
                    Ok(holding) => held.push(holding),
                    Err(refusal) => refusals.push(refusal),
                }
            }
        }
        assert_eq!(held.len(), config.limits.concurrent_requests_max.get() as usize / 4);
        assert_eq!(refusals[0], Full::Share(ServerLimit::ConcurrentRequests, Holder::Source));
        for number in 0..of_identity {
            let other = capacity.admit(Some(&guest(100)), source(2), capacity.patience()).await;
            held.push(other.unwrap_or_else(|_| panic!("request {number} of another source was refused")));
        }
        let refused = capacity.admit(Some(&guest(100)), source(2), capacity.patience()).await.err();
        assert_eq!(refused, Some(Full::Share(ServerLimit::ConcurrentRequests, Holder::Identity)));
        assert!(capacity.admit(Some(&guest(101)), source(2), capacity.patience()).await.is_ok());
    }

    #[tokio::test]
    async fn unread_answers_of_one_source_keep_no_other_from_building_however_many_guests_it_has() {
        let mut config = Config::check(Settings::default()).unwrap();
        config.limits.admission_wait_milliseconds_max = 1;
        let capacity = Capacity::new(&config);
        let mut unread = Vec::new();
        for number in 0..9 {
            let mut holding =
                capacity.admit(Some(&guest(number)), source(1), capacity.patience()).await.ok().unwrap();
            if holding.build(&capacity, 8 * MIB).await.is_ok() {
                holding.built();
                unread.push(holding);
            }
        }
        assert!(!unread.is_empty());
        let mut other = capacity.admit(Some(&guest(10)), source(2), capacity.patience()).await.ok().unwrap();
        assert_eq!(other.build(&capacity, 8 * MIB).await, Ok(()));
    }

    #[tokio::test]
    async fn the_records_of_answers_being_built_have_memory_that_unread_answers_cannot_use_up() {
        let mut config = Config::check(Settings::default()).unwrap();
        config.limits.admission_wait_milliseconds_max = 1;
        let capacity = Capacity::new(&config);
        let mut unread = Vec::new();
        for last in 1.. {
            let mut holding = holding(&capacity, last).await;
            if holding.pay_answer(&capacity, 8 * MIB).await.is_err() {
                break;
            }
            unread.push(holding);
        }
        let total_bytes = config.limits.answers_in_flight_bytes_max;
        let large_bytes = total_bytes - reserve_bytes(total_bytes);
        let answers = unread.len() + building_max(&config.limits) as usize;
        assert!(answers * 8 * MIB <= large_bytes, "{answers} answers");
    }

    #[tokio::test]
    async fn a_second_device_gets_a_page_while_the_first_reads_slowly() {
        let capacity = Capacity::new(&Config::check(Settings::default()).unwrap());
        let (mut first, mut second) = (holding(&capacity, 1).await, holding(&capacity, 1).await);
        first.build(&capacity, MIB).await.unwrap();
        first.built();
        assert_eq!(poll_immediate(second.build(&capacity, MIB)).await, Some(Ok(())));
    }

    #[tokio::test]
    async fn an_answer_larger_than_expected_does_not_wait_for_memory_with_the_permit_to_build() {
        let capacity = Capacity::new(&Config::check(Settings::default()).unwrap());
        let (mut unread, mut building) = (holding(&capacity, 1).await, holding(&capacity, 1).await);
        unread.build(&capacity, 8 * MIB).await.unwrap();
        unread.built();
        let refused = Full::Share(ServerLimit::AnswersInFlightBytes, Holder::Source);
        let mut patience = capacity.patience();
        building.building = Some(capacity.building.enter(&building.payer, 1, &mut patience).await.unwrap());
        assert_eq!(poll_immediate(building.pay_answer(&capacity, 8 * MIB)).await, Some(Err(refused)));
    }

    #[tokio::test]
    async fn the_limit_of_answers_being_built_has_its_own_name() {
        let mut config = Config::check(Settings::default()).unwrap();
        config.limits.admission_wait_milliseconds_max = 1;
        let capacity = Capacity::new(&config);
        let (mut first, second) = (holding(&capacity, 1).await, holding(&capacity, 1).await);
        first.build(&capacity, MIB).await.unwrap();
        let refused = Full::Share(ServerLimit::AnswersBuilding, Holder::Source);
        let (building_max, mut patience) = (building_max(&config.limits), capacity.patience());
        let of_payer = capacity.building.enter(&second.payer, building_max, &mut patience).await.err();
        assert_eq!(of_payer, Some(refused));
    }
}
