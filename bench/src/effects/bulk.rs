//! Bulk publication of a whole pool. The pool is loaded through the API, with fifty records for each update
//! and dataset. Then the server is killed and restarted, so that pools of all sizes begin with equal memory.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::cells::{mb, microseconds_each, per_second};
use super::delivered::Delivered;
use super::endpoint::{Arrivals, StateKey, state_key};
use super::pool::{Developer, Effects, Stream};
use super::site::{Extent, Site};
use crate::figures::{megabytes, short};
use crate::outcome::Outcome;
use crate::server::{Program, Server};
use crate::world::{Population, World};

const RECORDS_PER_DATASET: usize = 50;
const DATASETS_PER_GUEST: usize = 16;
/// The idle time before the server's memory is read.
const IDLE_SECONDS: u64 = 1;
/// The pause between two readings of the server's memory.
const SAMPLE_PAUSE: Duration = Duration::from_millis(20);
/// Readings of memory for each query of the publication's status.
const SAMPLES_PER_QUESTION: usize = 5;

/// A publication to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publication {
    pub(super) records: usize,
    pub(super) to: Stream,
}

/// The result, as a row of a table.
pub(super) struct Published {
    to: Stream,
    records: u64,
    bytes: u64,
    took: Duration,
    cpu: Duration,
    before_bytes: u64,
    peak_bytes: u64,
    after_bytes: u64,
    delivered: Delivered,
}

impl Published {
    pub(super) const TITLES: [&str; 13] = [
        "records",
        "datasets",
        "to",
        "s",
        "datasets per s",
        "records per s",
        "MB per s",
        "CPU µs a record",
        "RSS before MB",
        "RSS peak MB",
        "RSS after MB",
        "lost",
        "repeated",
    ];

    pub(super) fn cells(&self) -> Vec<String> {
        let Delivered { events, .. } = self.delivered;
        let [lost, repeated] = self.delivered.cells();
        vec![
            self.records.to_string(),
            events.to_string(),
            format!("{:?}", self.to).to_lowercase(),
            short(self.took.as_secs_f64()),
            per_second(events, self.took),
            per_second(self.records, self.took),
            short(megabytes(self.bytes) / self.took.as_secs_f64()),
            short(microseconds_each(self.cpu, self.records)),
            mb(self.before_bytes),
            mb(self.peak_bytes),
            mb(self.after_bytes),
            lost,
            repeated,
        ]
    }
}

/// Loads a pool and publishes it.
pub(super) fn measure(
    runtime: &Runtime,
    program: &Program,
    place: &Site<'_>,
    extent: Extent,
    publication: Publication,
) -> Outcome<Published> {
    let settings = place.settings("");
    let server = Server::start_with(program, &place.directory, &settings)?;
    let (pool, states) = runtime.block_on(load(&server, extent, publication.records))?;
    server.kill()?;
    let server = Server::start_with(program, &place.directory, &settings)?;
    let published = runtime.block_on(publish(&server, place, &pool, publication.to, &states));
    server.kill()?;
    published
}

/// Fills the pool and returns the state of each dataset.
async fn load(server: &Server, extent: Extent, records: usize) -> Outcome<(String, Vec<StateKey>)> {
    let lanes = extent.population.lanes;
    let guests = records.div_ceil(RECORDS_PER_DATASET * DATASETS_PER_GUEST * lanes);
    let population = Population {
        lanes,
        guests_per_lane: guests,
        datasets_per_guest: DATASETS_PER_GUEST,
        records_per_dataset: RECORDS_PER_DATASET,
        records_per_load: RECORDS_PER_DATASET,
    };
    let world = World::populate(server.address(), population).await?;
    let state = |dataset: &crate::dataset::Dataset| {
        state_key(&dataset.guest().identity, dataset.name(), dataset.count())
    };
    Ok((world.pool.clone(), world.datasets.iter().flatten().map(state).collect()))
}

async fn publish(
    server: &Server,
    place: &Site<'_>,
    pool: &str,
    to: Stream,
    states: &[StateKey],
) -> Outcome<Published> {
    let mut developer = Developer::connect(server.address(), pool).await?;
    developer.set(Effects { stream: Some(to), push: false }).await?;
    sleep(Duration::from_secs(IDLE_SECONDS)).await;
    place.endpoint.take();
    let process = server.process();
    let (before_bytes, cpu, begun) = (process.resident_bytes()?, process.cpu()?, Instant::now());
    let mut peak_bytes = before_bytes;
    developer.publish().await?;
    while !developer.is_published().await? {
        for _ in 0..SAMPLES_PER_QUESTION {
            peak_bytes = peak_bytes.max(process.resident_bytes()?);
            sleep(SAMPLE_PAUSE).await;
        }
    }
    let (took, cpu) = (begun.elapsed(), process.cpu()?.saturating_sub(cpu));
    sleep(Duration::from_secs(IDLE_SECONDS)).await;
    let after_bytes = process.resident_bytes()?;
    let arrivals = match to {
        Stream::File => Arrivals::in_files(&place.file())?,
        Stream::Http | Stream::Nobody => place.endpoint.take(),
    };
    let mut delivered = Delivered::default();
    delivered.add(&arrivals, arrivals.snapshots.missing(states));
    let Arrivals { records, bytes, .. } = arrivals;
    Ok(Published { to, records, bytes, took, cpu, before_bytes, peak_bytes, after_bytes, delivered })
}
