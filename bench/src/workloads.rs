//! What is asked of the server, and counted: one function per kind of work, each giving a row.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::dataset::Dataset;
use crate::load;
use crate::measure::{Meter, Row};
use crate::world::World;

/// Updates that are made and signed ahead of a stretch of measuring, over all lanes.
const UPDATES_AHEAD: usize = 16_384;
/// The same for one lane.
const UPDATES_AHEAD_PER_LANE_MAX: usize = 2_048;

/// Which records a listing gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listed {
    /// None: the client has seen everything.
    Nothing,
    /// This many, those that changed last.
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

/// Lists the datasets of all lanes again and again.
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

/// What kind of update to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    /// Name of its row.
    pub(crate) name: &'static str,
    /// How many clients.
    pub(crate) lanes: usize,
    /// Records that one update writes.
    pub(crate) records: usize,
}

/// Updates random records of the datasets of the first lanes. The tokens are fetched, and the updates signed, in
/// stretches that do not count; fetching makes the row `tokens`.
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
        // Updates that were made count on each other, so what the stretch left over is sent uncounted.
        load::drain(&mut world.lanes[..update.lanes]).await?;
    }
    Ok(row)
}

/// Makes and signs `per_dataset` updates of every dataset, going round the datasets.
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
