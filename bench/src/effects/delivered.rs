//! The events that arrived at the endpoint, compared with the expected ones.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::endpoint::{Arrivals, Endpoint, StateKey, state_key};
use super::pool::Developer;
use crate::dataset::Dataset;
use crate::outcome::Outcome;
use crate::world::World;

/// The silence after which missing events count as lost.
const SILENCE_SECONDS_MAX: u64 = 20;
/// The pause between two checks of the arrivals.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Compares the arrivals with the expected events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    pub(super) events: u64,
    pub(super) lost: u64,
    pub(super) repeated: u64,
}

impl Delivered {
    pub(super) fn add(&mut self, arrivals: &Arrivals, lost: u64) {
        self.events += arrivals.events() as u64;
        self.lost += lost;
        self.repeated += arrivals.repeated();
    }

    pub(super) fn cells(self) -> [String; 2] {
        [self.lost.to_string(), self.repeated.to_string()]
    }
}

/// The counts of all datasets.
pub(super) fn counts(world: &World) -> Vec<u64> {
    world.datasets.iter().flatten().map(Dataset::count).collect()
}

/// Every state of the datasets since `before`.
pub(super) fn states_since(world: &World, before: &[u64]) -> Vec<StateKey> {
    let datasets = world.datasets.iter().flatten().zip(before);
    let states = datasets.flat_map(|(dataset, before)| {
        let identity = &dataset.guest().identity;
        (before + 1..=dataset.count()).map(move |count| state_key(identity, dataset.name(), count))
    });
    states.collect()
}

/// Waits until `events` events have arrived at the endpoint and the server has settled them, or until
/// arrivals cease. `sample` is called between checks.
pub(super) async fn arrived(
    endpoint: &Endpoint,
    events: usize,
    developer: &mut Developer,
    mut sample: impl FnMut() -> Outcome<()>,
) -> Outcome<()> {
    let (mut seen, mut at) = (endpoint.events(), Instant::now());
    while seen < events && at.elapsed() < Duration::from_secs(SILENCE_SECONDS_MAX) {
        sleep(LOOK_PAUSE).await;
        sample()?;
        let now = endpoint.events();
        if now != seen {
            (seen, at) = (now, Instant::now());
        }
    }
    settled(developer).await
}

/// Waits until the outbox is empty, or until it no longer shrinks.
pub(super) async fn settled(developer: &mut Developer) -> Outcome<()> {
    let (mut seen, mut at) = (developer.waiting().await?, Instant::now());
    while seen > 0 && at.elapsed() < Duration::from_secs(SILENCE_SECONDS_MAX) {
        sleep(LOOK_PAUSE).await;
        let now = developer.waiting().await?;
        if now != seen {
            (seen, at) = (now, Instant::now());
        }
    }
    Ok(())
}
