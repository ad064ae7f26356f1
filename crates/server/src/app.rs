//! The program as a list of its parts, shared by every request, by background work and by operator commands.
//! No part knows this list, or a part that is not below its own room.

use std::sync::Arc;

use carryall_core::store::Store;
use carryall_outbound::Outbound;

use crate::capacity::Capacity;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::state::State;
use crate::trust::root_key::RootKey;
use crate::trust::seal::MasterKey;
use crate::trust::{OpenError, Trust};

/// State shared by all requests.
pub struct App {
    /// The settings, checked.
    pub config: Config,
    /// Time and fresh ids.
    pub clock: Clock,
    /// Keys, tokens and everything that is sealed.
    pub trust: Arc<Trust>,
    /// Metrics for operators.
    pub metrics: Arc<Metrics>,
    /// The store, and everything in this process that follows it.
    pub state: State,
    /// Admission: the limits of concurrent work, in total and per caller.
    pub capacity: Capacity,
    /// Outgoing calls.
    pub outbound: Outbound,
}

impl App {
    /// Opens the program over a store: checks that the store belongs to `master`, or marks a new store as
    /// such.
    pub async fn open(
        config: Config,
        store: Arc<dyn Store>,
        master: &MasterKey,
        root: RootKey,
        clock: Clock,
    ) -> Result<Arc<Self>, OpenError> {
        let trust = Arc::new(Trust::open(Arc::clone(&store), master, root, clock.clone()).await?);
        let metrics = Arc::new(Metrics::new());
        let state = State::new(store, Arc::clone(&trust), &config, clock.clone(), Arc::clone(&metrics));
        let outbound_clock = clock.clone();
        Ok(Arc::new(Self {
            trust,
            clock,
            metrics,
            state,
            capacity: Capacity::new(&config),
            outbound: Outbound::new(config.outbound.clone(), move || outbound_clock.unix_seconds()),
            config,
        }))
    }
}
