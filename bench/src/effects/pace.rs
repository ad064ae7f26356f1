//! The relay at a given rate of updates: an open loop, in which every update is sent at its scheduled time
//! whatever became of earlier ones; and the lag from an update's answer to its event's arrival.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::sleep_until;

use super::cells::{mb, microseconds_each, ms, per_second};
use super::delivered::{Delivered, arrived, counts, states_since};
use super::endpoint::{StateKey, Told, state_key};
use super::pool::{Developer, Effects, Stream};
use super::site::UnderTest;
use crate::figures::short;
use crate::load::Lane;
use crate::measure::{Latencies, real};
use crate::outcome::Outcome;
use crate::world::World;

/// Updates per second.
const PER_SECOND: u32 = 1_000;
/// The factor by which a row lasts longer than those at full speed, which have far more updates in the same
/// time.
const CELLS: u32 = 3;

/// The measurements of a row.
pub(super) struct Paced {
    name: &'static str,
    effects: Effects,
    updates: u64,
    took: Duration,
    whole_time: Duration,
    /// The time from an update's schedule to its answer.
    answers: Latencies,
    lags: Latencies,
    whole_cpu: Duration,
    resident_bytes: u64,
    delivered: Delivered,
}

impl Paced {
    pub(super) const TITLES: [&str; 12] = [
        "told to",
        "per s",
        "answer p50 ms",
        "answer p99 ms",
        "delivered per s",
        "lag p50 ms",
        "lag p99 ms",
        "lag max ms",
        "CPU µs an update",
        "RSS MB",
        "lost",
        "repeated",
    ];

    pub(super) fn cells(&self) -> Vec<String> {
        let is_told = self.effects != Effects::NONE;
        let when = |text: String| if is_told { text } else { "–".to_owned() };
        let lag = |share| when(ms(self.lags.quantile(share)));
        let [lost, repeated] = self.delivered.cells();
        vec![
            self.name.to_owned(),
            format!("{:.0}", real(self.updates) / self.took.as_secs_f64()),
            ms(self.answers.quantile(0.5)),
            ms(self.answers.quantile(0.99)),
            when(per_second(self.delivered.events, self.whole_time)),
            lag(0.5),
            lag(0.99),
            lag(1.0),
            short(microseconds_each(self.whole_cpu, self.updates)),
            mb(self.resident_bytes),
            when(lost),
            when(repeated),
        ]
    }
}

/// Measures every row.
pub(super) async fn measure(test: &UnderTest<'_>, world: &mut World, cell: Duration) -> Outcome<Vec<Paced>> {
    let mut developer = Developer::connect(world.address, &world.pool).await?;
    let mut rows = Vec::new();
    for (name, stream, push) in [
        ("nobody", None, false),
        ("stream", Some(Stream::Http), false),
        ("push, 1 device", None, true),
        ("stream and push", Some(Stream::Http), true),
    ] {
        let effects = Effects { stream, push };
        developer.set(effects).await?;
        rows.push(row(test, world, &mut developer, name, effects, cell * CELLS).await?);
    }
    developer.set(Effects::NONE).await?;
    Ok(rows)
}

async fn row(
    test: &UnderTest<'_>,
    world: &mut World,
    developer: &mut Developer,
    name: &'static str,
    effects: Effects,
    time: Duration,
) -> Outcome<Paced> {
    let (endpoint, process) = (test.place.endpoint, test.server.process());
    let before = counts(world);
    let keys = prepare(world, time).await?;
    let states = states_since(world, &before);
    endpoint.take();
    let (answers, cpu, begun) = (Latencies::new()?, process.cpu()?, Instant::now());
    let answered = offer(&mut world.lanes, keys, &answers).await?;
    let took = begun.elapsed();
    let sinks = usize::from(effects.stream.is_some()) + usize::from(effects.push);
    if sinks > 0 {
        arrived(endpoint, states.len() * sinks, developer, || Ok(())).await?;
    }
    let (whole_cpu, whole_time) = (process.cpu()?.saturating_sub(cpu), begun.elapsed());
    let arrivals = endpoint.take();
    let (lags, mut lost, mut delivered) = (Latencies::new()?, 0, Delivered::default());
    for (is_told, told) in [(effects.stream.is_some(), &arrivals.changes), (effects.push, &arrivals.notices)]
    {
        if is_told {
            lost += told.missing(&states);
            record_lags(told, &answered, &lags);
        }
    }
    delivered.add(&arrivals, lost);
    let (updates, resident_bytes) = (states.len() as u64, process.resident_bytes()?);
    Ok(Paced {
        name,
        effects,
        updates,
        took,
        whole_time,
        answers,
        lags,
        whole_cpu,
        resident_bytes,
        delivered,
    })
}

/// Creates as many updates as fit the time. Returns the state that each leads to, for each lane.
async fn prepare(world: &mut World, time: Duration) -> Outcome<Vec<VecDeque<StateKey>>> {
    let (lanes, datasets) = (world.lanes.len(), world.datasets.first().map_or(0, Vec::len).max(1));
    let updates = usize::try_from(time.as_millis())? * usize::try_from(PER_SECOND)? / 1000;
    let per_dataset = updates.div_ceil(lanes * datasets);
    world.fetch_tokens(lanes, 0..datasets, per_dataset, &Latencies::new()?).await?;
    let mut keys = Vec::with_capacity(lanes);
    for (lane, own) in world.lanes.iter_mut().zip(&mut world.datasets) {
        let mut of_lane = VecDeque::new();
        for _ in 0..per_dataset {
            for dataset in own.iter_mut() {
                let chosen = world.chance.distinct(1, dataset.records());
                lane.queue.push_back(dataset.update(world.address, &chosen, &mut world.chance)?);
                of_lane.push_back(state_key(&dataset.guest().identity, dataset.name(), dataset.count()));
            }
        }
        keys.push(of_lane);
    }
    Ok(keys)
}

/// Sends every lane's requests on schedule. Returns the time of each answer.
async fn offer(
    lanes: &mut [Lane],
    keys: Vec<VecDeque<StateKey>>,
    answers: &Latencies,
) -> Outcome<Vec<(StateKey, Instant)>> {
    let count = u32::try_from(lanes.len())?;
    let between = Duration::from_secs(1) / PER_SECOND;
    let begun = Instant::now();
    let answered = try_join_all(lanes.iter_mut().zip(keys).zip(0..).map(
        async |((lane, mut keys), number): ((&mut Lane, VecDeque<StateKey>), u32)| {
            let mut answered = Vec::with_capacity(keys.len());
            let mut moment = begun + between * number;
            while let (Some(request), Some(key)) = (lane.queue.pop_front(), keys.pop_front()) {
                sleep_until(moment.into()).await;
                lane.connection.succeed(&request).await?;
                let now = Instant::now();
                answers.record(now - moment);
                answered.push((key, now));
                moment += between * count;
            }
            Outcome::Ok(answered)
        },
    ));
    Ok(answered.await?.into_iter().flatten().collect())
}

/// An event that arrived before its update's answer was read has no lag.
fn record_lags(told: &Told, answered: &[(StateKey, Instant)], lags: &Latencies) {
    for (key, answered) in answered {
        if let Some(arrived) = told.first.get(key) {
            lags.record(arrived.saturating_duration_since(*answered));
        }
    }
}
