//! The cost that a stream and push add to an update of one record. Rows take turns, one stretch each, so that
//! other work on the machine affects all of them. A stretch is a number of updates at full speed, followed by
//! the wait until everything is delivered; processor time is read at both moments.

use std::time::{Duration, Instant};

use super::cells::{microseconds_each, ms, per_second};
use super::delivered::{Delivered, arrived, counts, settled, states_since};
use super::endpoint::{Arrivals, StateKey};
use super::pool::{self, Developer, Effects, Stream};
use super::site::UnderTest;
use crate::figures::short;
use crate::load;
use crate::measure::{Latencies, Row, ratio};
use crate::outcome::Outcome;
use crate::workloads::{self, Update};
use crate::world::World;

/// Updates of one stretch, over all lanes.
const UPDATES: usize = 16_384;
/// The formal deadline of a stretch.
const STRETCH_SECONDS_MAX: u64 = 600;

/// The measurements of a row.
pub(super) struct Cost {
    effects: Effects,
    row: Row,
    /// All updates, including those at the end of a stretch in which not every client took part.
    updates: u64,
    /// The time from the first update of each stretch until all is delivered.
    whole_cpu: Duration,
    whole_time: Duration,
    behind: u64,
    /// Connections to the endpoint.
    connections: u64,
    delivered: Delivered,
}

impl Cost {
    fn new(name: &'static str, clients: usize, effects: Effects) -> Outcome<Self> {
        let row = Row::new(name, clients)?;
        let (whole_cpu, whole_time) = (Duration::ZERO, Duration::ZERO);
        Ok(Self {
            effects,
            row,
            updates: 0,
            whole_cpu,
            whole_time,
            behind: 0,
            connections: 0,
            delivered: Delivered::default(),
        })
    }

    /// The processor time of an update with all its effects.
    pub(super) fn whole_microseconds(&self) -> f64 {
        microseconds_each(self.whole_cpu, self.updates)
    }

    pub(super) const TITLES: [&str; 15] = [
        "told to",
        "updates",
        "per s",
        "p50 ms",
        "p99 ms",
        "CPU µs, stored",
        "CPU µs, delivered",
        "in all, of none's",
        "delivered per s",
        "behind at the end",
        "connections",
        "device B",
        "RSS MB",
        "lost",
        "repeated",
    ];

    pub(super) fn cells(&self, plain: f64) -> Vec<String> {
        let latency = |share| ms(self.row.latencies.quantile(share));
        let is_told = self.effects != Effects::NONE;
        let is_heard = self.effects.stream != Some(Stream::Nobody);
        let is_file = self.effects.stream == Some(Stream::File);
        let when = |condition: bool, text: String| if condition { text } else { "–".to_owned() };
        let [lost, repeated] = self.delivered.cells();
        vec![
            self.row.name.to_owned(),
            self.row.latencies.count().to_string(),
            format!("{:.0}", self.row.rate()),
            latency(0.5),
            latency(0.99),
            short(self.row.cpu_microseconds()),
            when(is_heard, short(self.whole_microseconds())),
            when(is_heard, short(ratio(self.whole_microseconds(), plain))),
            when(is_told && is_heard, per_second(self.delivered.events, self.whole_time)),
            when(is_told && is_heard && !is_file, self.behind.to_string()),
            when(is_told && is_heard, self.connections.to_string()),
            format!("{:.0}", self.row.device_bytes_each()),
            format!("{:.1}", crate::figures::megabytes(self.row.resident_bytes)),
            when(is_told && is_heard, lost),
            when(is_told && is_heard, repeated),
        ]
    }
}

/// Measures every row for at least `cell` of updates.
pub(super) async fn measure(test: &UnderTest<'_>, world: &mut World, cell: Duration) -> Outcome<Vec<Cost>> {
    let mut developer = Developer::connect(world.address, &world.pool).await?;
    developer.set(Effects { stream: None, push: true }).await?;
    pool::subscribe_devices(world).await?;
    let rows = [
        ("nobody", None, false),
        ("stream", Some(Stream::Http), false),
        ("push, 1 device", None, true),
        ("stream and push", Some(Stream::Http), true),
        ("stream to a file", Some(Stream::File), false),
        ("stream, nobody listens: stored only", Some(Stream::Nobody), false),
    ];
    let clients = world.lanes.len();
    let costs: Outcome<Vec<Cost>> = rows
        .into_iter()
        .map(|(name, stream, push)| Cost::new(name, clients, Effects { stream, push }))
        .collect();
    let mut costs = costs?;
    while costs.iter().any(|cost| cost.row.elapsed < cell) {
        for cost in &mut costs {
            developer.set(cost.effects).await?;
            stretch(test, world, &mut developer, cost).await?;
            if cost.effects.stream == Some(Stream::Nobody) {
                // Events that no destination accepted go to the endpoint, uncounted.
                developer.set(Effects { stream: Some(Stream::Http), push: false }).await?;
                settled(&mut developer).await?;
                test.place.endpoint.take();
            }
        }
    }
    developer.set(Effects::NONE).await?;
    Ok(costs)
}

async fn stretch(
    test: &UnderTest<'_>,
    world: &mut World,
    developer: &mut Developer,
    cost: &mut Cost,
) -> Outcome<()> {
    let endpoint = test.place.endpoint;
    let before = counts(world);
    let datasets = world.datasets.first().map_or(0, Vec::len).max(1);
    let lanes = world.lanes.len();
    let per_dataset = (UPDATES / (lanes * datasets)).max(1);
    world.fetch_tokens(lanes, 0..datasets, per_dataset, &Latencies::new()?).await?;
    workloads::prepare(Update { name: cost.row.name, lanes, records: 1 }, world, per_dataset)?;
    let states = states_since(world, &before);
    let (meter, process) = (test.server.meter(), test.server.process());
    endpoint.take();
    let connections = endpoint.connections();

    let (reading, cpu, begun) = (meter.read()?, process.cpu()?, Instant::now());
    let deadline = begun + Duration::from_secs(STRETCH_SECONDS_MAX);
    load::spend(&mut world.lanes, deadline, &cost.row.latencies).await?;
    meter.add_since(&reading, &mut cost.row)?;
    let done = endpoint.events();
    load::drain(&mut world.lanes).await?;
    let expected = wait(test, developer, cost.effects, &states).await?;
    cost.whole_cpu += process.cpu()?.saturating_sub(cpu);
    cost.whole_time += begun.elapsed();
    cost.connections += endpoint.connections() - connections;
    cost.updates += states.len() as u64;
    if cost.effects.stream != Some(Stream::Nobody) {
        let arrivals = arrivals(test, cost.effects)?;
        cost.delivered.add(&arrivals, missing(cost.effects, &arrivals, &states));
        cost.behind = cost.behind.max(expected.saturating_sub(done as u64));
    }
    Ok(())
}

/// Waits until everything is delivered, and returns the number of events.
async fn wait(
    test: &UnderTest<'_>,
    developer: &mut Developer,
    effects: Effects,
    states: &[StateKey],
) -> Outcome<u64> {
    let sinks = usize::from(effects.stream.is_some()) + usize::from(effects.push);
    let events = states.len() * sinks;
    match effects.stream {
        Some(Stream::File) => settled(developer).await?,
        Some(Stream::Http) | None if sinks > 0 => {
            arrived(test.place.endpoint, events, developer, || Ok(())).await?;
        }
        Some(Stream::Http | Stream::Nobody) | None => {}
    }
    Ok(events as u64)
}

fn arrivals(test: &UnderTest<'_>, effects: Effects) -> Outcome<Arrivals> {
    if effects.stream != Some(Stream::File) {
        return Ok(test.place.endpoint.take());
    }
    let path = test.place.file();
    let arrivals = Arrivals::in_files(&path)?;
    // The server creates a new file after this one is removed.
    for entry in std::fs::read_dir(&test.place.directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("changes.ndjson") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(arrivals)
}

fn missing(effects: Effects, arrivals: &Arrivals, states: &[StateKey]) -> u64 {
    let at_stream = if effects.stream.is_some() { arrivals.changes.missing(states) } else { 0 };
    let at_devices = if effects.push { arrivals.notices.missing(states) } else { 0 };
    at_stream + at_devices
}
