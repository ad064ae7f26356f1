//! The program as a list of its parts, shared by every request, by the background work and by the operators' commands.
//! No part knows this list, or a part that is not below its own room.

use std::sync::Arc;

use carryall_core::store::Store;
use carryall_outbound::Outbound;
use tokio::sync::Semaphore;

use crate::capacity::new_identities::NewIdentities;
use crate::capacity::places::Places;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::state::State;
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
    /// Time and fresh ids.
    pub clock: Clock,
    /// Keys, tokens and everything that is sealed.
    pub trust: Arc<Trust>,
    /// Numbers for operators.
    pub metrics: Arc<Metrics>,
    /// The store, and everything in this process that follows it.
    pub state: State,
    /// How many new identities may be asked for.
    pub new_identities: NewIdentities,
    /// Requests that may be worked on at a time.
    pub requests: Semaphore,
    /// Memory for request bodies in flight, one permit a kilobyte.
    pub body_kilobytes: Semaphore,
    /// The ways out of the server.
    pub outbound: Outbound,
    /// Places of calls of all functions: half of what requests have, so that slow functions leave room for the rest.
    pub trigger_calls: Semaphore,
    /// Places of calls of sync triggers, by what they go to.
    pub triggers: Places,
    /// Registrations of devices under way, by pool.
    pub registrations: Places,
    /// Checks of pools' settings under way.
    pub pool_checks: Arc<Semaphore>,
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
        let trust = Arc::new(Trust::open(Arc::clone(&store), master, root, clock.clone()).await?);
        let metrics = Arc::new(Metrics::new());
        let state = State::new(store, Arc::clone(&trust), &config.live, clock.clone(), Arc::clone(&metrics));
        let outbound_clock = clock.clone();
        Ok(Arc::new(Self {
            trust,
            clock,
            metrics,
            state,
            new_identities: NewIdentities::new(&config),
            requests: Semaphore::new(config.concurrent_requests_max),
            body_kilobytes: Semaphore::new(config.bodies_in_flight_bytes_max.div_ceil(1024)),
            outbound: Outbound::new(config.outbound.clone(), move || outbound_clock.unix_seconds()),
            trigger_calls: Semaphore::new((config.concurrent_requests_max / 2).max(1)),
            triggers: Places::new(config.trigger.calls_per_function_max.get() as usize),
            registrations: Places::new(REGISTRATIONS_PER_POOL_MAX),
            pool_checks: Arc::new(Semaphore::new(POOL_CHECKS_MAX)),
            config,
        }))
    }
}
