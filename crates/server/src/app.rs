//! The program as a list of its parts, shared by every request, by the background work and by the operators' commands.
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
    /// How much work the server takes on, and how much of it for one caller.
    pub capacity: Capacity,
    /// The ways out of the server.
    pub outbound: Outbound,
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
