//! A backlog: the endpoint refuses everything while updates are made, and then accepts everything again.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::cells::{mb, microseconds_each, ms, per_second};
use super::delivered::{Delivered, LOOK_PAUSE, arrived, counts, states_since};
use super::pool::{Developer, Effects, Stream};
use super::site::{Extent, Site};
use crate::figures::short;
use crate::load;
use crate::measure::Latencies;
use crate::outcome::Outcome;
use crate::server::{Program, Server};
use crate::workloads::{self, Update};
use crate::world::World;

/// A short pause between attempts, so that the row measures the relay's work and not its pauses.
const SETTINGS: &str = "backoff_seconds_max = 1\nattempts_max = 1000";

/// The result, as a row of a table.
pub(super) struct Drained {
    took: Duration,
    first_after: Duration,
    cpu: Duration,
    before_bytes: u64,
    peak_bytes: u64,
    delivered: Delivered,
}

impl Drained {
    pub(super) const TITLES: [&str; 9] = [
        "events",
        "s",
        "per s",
        "first after ms",
        "CPU µs",
        "RSS before MB",
        "RSS peak MB",
        "lost",
        "repeated",
    ];

    pub(super) fn cells(&self) -> Vec<String> {
        let Delivered { events, .. } = self.delivered;
        let [lost, repeated] = self.delivered.cells();
        vec![
            events.to_string(),
            short(self.took.as_secs_f64()),
            per_second(events, self.took),
            ms(self.first_after),
            short(microseconds_each(self.cpu, events)),
            mb(self.before_bytes),
            mb(self.peak_bytes),
            lost,
            repeated,
        ]
    }
}

/// Creates the backlog and lets it drain.
pub(super) fn measure(
    runtime: &Runtime,
    program: &Program,
    place: &Site<'_>,
    extent: Extent,
) -> Outcome<Drained> {
    let server = Server::start_with(program, &place.directory, &place.settings(SETTINGS))?;
    let drained = runtime.block_on(async {
        let mut world = World::populate(server.address(), extent.population).await?;
        let mut developer = Developer::connect(world.address, &world.pool).await?;
        place.endpoint.set_closed(true);
        developer.set(Effects { stream: Some(Stream::Http), push: false }).await?;
        let before = counts(&world);
        make(&mut world, extent.backlog).await?;
        let states = states_since(&world, &before);
        place.endpoint.take();

        let process = server.process();
        let (before_bytes, cpu, begun) = (process.resident_bytes()?, process.cpu()?, Instant::now());
        place.endpoint.set_closed(false);
        while place.endpoint.events() == 0 {
            sleep(LOOK_PAUSE).await;
        }
        let first_after = begun.elapsed();
        let mut peak_bytes = before_bytes;
        arrived(place.endpoint, states.len(), &mut developer, || {
            peak_bytes = peak_bytes.max(process.resident_bytes()?);
            Ok(())
        })
        .await?;
        let (took, cpu) = (begun.elapsed(), process.cpu()?.saturating_sub(cpu));
        let arrivals = place.endpoint.take();
        let mut delivered = Delivered::default();
        delivered.add(&arrivals, arrivals.changes.missing(&states));
        Outcome::Ok(Drained { took, first_after, cpu, before_bytes, peak_bytes, delivered })
    });
    place.endpoint.set_closed(false);
    server.kill()?;
    drained
}

async fn make(world: &mut World, events: usize) -> Outcome<()> {
    let (lanes, datasets) = (world.lanes.len(), world.datasets.first().map_or(0, Vec::len).max(1));
    let per_dataset = events.div_ceil(lanes * datasets);
    world.fetch_tokens(lanes, 0..datasets, per_dataset, &Latencies::new()?).await?;
    workloads::prepare(Update { name: "backlog", lanes, records: 1 }, world, per_dataset)?;
    load::drain(&mut world.lanes).await
}
