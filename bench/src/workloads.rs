//! The measured kinds of requests: one function for each, which returns a row.

use std::time::{Duration, Instant};

use crate::dataset::Dataset;
use crate::load;
use crate::measure::{Meter, Row};
use crate::outcome::Outcome;
use crate::world::World;

/// Updates that are created and signed before each measured stretch, over all lanes.
const UPDATES_AHEAD: usize = 16_384;
/// The same for one lane.
const UPDATES_AHEAD_PER_LANE_MAX: usize = 2_048;

/// The records that a listing returns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listed {
    /// None: the client has seen everything.
    Nothing,
    /// This many, the most recently changed.
    Changed(usize),
}

impl Listed {
    fn last_sync_count(self, dataset: &Dataset) -> u64 {
        match self {
            Self::Nothing => dataset.count(),
            Self::Changed(records) => dataset.count_before(records),
        }
    }
}

/// Lists the datasets of all lanes repeatedly.
pub(crate) async fn list(
    name: &'static str,
    world: &mut World,
    meter: Meter,
    listed: Listed,
    cell: Duration,
) -> Outcome<Row> {
    let mut row = Row::new(name, world.lanes.len())?;
    for (lane, own) in world.lanes.iter_mut().zip(&world.datasets) {
        for dataset in own {
            lane.queue.push_back(dataset.list(world.address, listed.last_sync_count(dataset))?);
        }
    }
    let before = meter.read()?;
    load::cycle(&mut world.lanes, Instant::now() + cell, &row.latencies).await?;
    meter.add_since(&before, &mut row)?;
    Ok(row)
}

/// A kind of update to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    /// The name of its row.
    pub(crate) name: &'static str,
    /// The number of clients.
    pub(crate) lanes: usize,
    /// Records that one update writes.
    pub(crate) records: usize,
}

/// Updates random records of the datasets of the first lanes. Tokens are fetched and updates are signed in
/// stretches that are not measured; fetching fills the row `tokens`.
pub(crate) async fn update(
    update: Update,
    world: &mut World,
    meter: Meter,
    tokens: &mut Row,
    cell: Duration,
) -> Outcome<Row> {
    let mut row = Row::new(update.name, update.lanes)?;
    while row.elapsed < cell {
        let before = meter.read()?;
        let datasets = world.datasets.first().map_or(0, Vec::len).max(1);
        let ahead = (UPDATES_AHEAD / update.lanes).min(UPDATES_AHEAD_PER_LANE_MAX);
        let per_dataset = (ahead / datasets).max(1);
        world.fetch_tokens(update.lanes, 0..datasets, per_dataset, &tokens.latencies).await?;
        meter.add_since(&before, tokens)?;
        prepare(update, world, per_dataset)?;

        let before = meter.read()?;
        let until = Instant::now() + cell.saturating_sub(row.elapsed);
        load::spend(&mut world.lanes[..update.lanes], until, &row.latencies).await?;
        meter.add_since(&before, &mut row)?;
        // Updates depend on each other's counts, so those that the stretch left over are sent unmeasured.
        load::drain(&mut world.lanes[..update.lanes]).await?;
    }
    Ok(row)
}

/// Creates and signs `per_dataset` updates of every dataset, taking the datasets in turn.
pub(crate) fn prepare(update: Update, world: &mut World, per_dataset: usize) -> Outcome<()> {
    for (lane, own) in world.lanes.iter_mut().zip(&mut world.datasets).take(update.lanes) {
        for _ in 0..per_dataset {
            for dataset in own.iter_mut() {
                let chosen = world.chance.distinct(update.records, dataset.records());
                lane.queue.push_back(dataset.update(world.address, &chosen, &mut world.chance)?);
            }
        }
    }
    Ok(())
}
