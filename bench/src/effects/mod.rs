//! What leaves the server: what streams and push cost an update, how fast and how far behind the relay is, a backlog,
//! and bulk publication. Beside each stands its floor of the same run. Nothing here decides whether a figure is good.

mod backlog;
mod bulk;
mod cost;
mod endpoint;
mod floor;
mod pace;
mod pool;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::Outcome;
use crate::floors;
use crate::floors::store::Then;
use crate::measure::{Row, ratio, real};
use crate::report::{self, Output, megabytes, milliseconds, short};
use crate::server::{Program, Server};
use crate::world::{Population, World};

use self::backlog::Drained;
use self::bulk::Published;
use self::cost::Cost;
use self::endpoint::{Arrivals, Endpoint, StateKey};
use self::pace::Paced;
use self::pool::{Developer, Stream};

/// How long nothing may arrive before what is missing counts as lost.
const SILENCE_SECONDS_MAX: u64 = 20;
/// Pause between two looks at what has arrived.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// How long each row goes on.
    pub(crate) cell: Duration,
    /// The population of all but the publications.
    pub(crate) population: Population,
    /// Records of the smaller publication; the larger has ten times as many.
    pub(crate) published_records: usize,
    /// Whether the larger publications are measured.
    pub(crate) big: bool,
    /// Events of the backlog.
    pub(crate) backlog: usize,
}

/// Everything that was measured.
pub(crate) struct Measured {
    fdatasync: Row,
    log: Row,
    store: Vec<Row>,
    endpoint: Row,
    costs: Vec<Cost>,
    paced: Vec<Paced>,
    drained: Drained,
    published: Vec<Published>,
}

/// Measures it all.
pub(crate) fn measure(
    runtime: &Runtime,
    program: &Program,
    directory: &Path,
    extent: Extent,
    say: fn(&str),
) -> Outcome<Measured> {
    let (cell, lanes) = (extent.cell, extent.population.lanes);
    say("floors");
    let fdatasync = floors::fdatasync::measure("fdatasync of 512 B, preallocated", directory, cell)?;
    let log = floors::log::measure("B: bare group-commit log", directory, lanes, cell)?;
    let mut driven = floors::store::Driven::open(directory, extent.population)?;
    let mut store = Vec::new();
    for (name, then) in [
        ("E: store in process, 1 record", Then::Nothing),
        ("E, and its event taken out", Then::Settles),
        ("E, and its event claimed and taken out", Then::ClaimsAndSettles),
        ("E, and its event stored", Then::Stores),
    ] {
        store.push(driven.measure(name, lanes, 1, then, cell)?);
    }
    drop(driven);
    let endpoint = Endpoint::open()?;
    let endpoint_alone = runtime.block_on(floor::measure("P: endpoint, 600 B posted", &endpoint, cell))?;
    say("updates and what they are told to");
    let site = |name: &str| Site::create(directory, name, &endpoint);
    let place = site("effects")?;
    let server = Server::start_with(program, &place.directory, &place.settings(""))?;
    let mut world = runtime.block_on(World::populate(server.address(), extent.population))?;
    let under_test = UnderTest { server: &server, place: &place };
    let costs = runtime.block_on(cost::measure(&under_test, &mut world, cell))?;
    say("the relay at a given rate");
    let paced = runtime.block_on(pace::measure(&under_test, &mut world, cell))?;
    drop(world);
    server.kill()?;
    say("a backlog");
    let drained = backlog::measure(runtime, program, &site("backlog")?, extent)?;
    let mut published = Vec::new();
    let smaller = bulk::Publication { records: extent.published_records, to: Stream::Http };
    let larger = |to| bulk::Publication { records: 10 * extent.published_records, to };
    let both = [larger(Stream::Http), larger(Stream::File)];
    for publication in std::iter::once(smaller).chain(both.into_iter().filter(|_| extent.big)) {
        say(&format!("a publication of {} records", publication.records));
        let place = site(&format!("bulk-{}-{:?}", publication.records, publication.to))?;
        published.push(bulk::measure(runtime, program, &place, extent, publication)?);
        std::fs::remove_dir_all(&place.directory)?;
    }
    Ok(Measured { fdatasync, log, store, endpoint: endpoint_alone, costs, paced, drained, published })
}

/// Where a server under test lives and where its effects go.
struct Site<'a> {
    directory: PathBuf,
    endpoint: &'a Endpoint,
}

impl<'a> Site<'a> {
    fn create(within: &Path, name: &str, endpoint: &'a Endpoint) -> Outcome<Self> {
        let directory = within.join(name);
        std::fs::create_dir(&directory)?;
        Ok(Self { directory, endpoint })
    }

    fn settings(&self, outbox: &str) -> String {
        pool::settings(self.endpoint, &self.file(), outbox)
    }

    fn file(&self) -> PathBuf {
        self.directory.join("changes.ndjson")
    }
}

/// A running server and its place.
struct UnderTest<'a> {
    server: &'a Server,
    place: &'a Site<'a>,
}

/// The counts of all datasets.
fn counts(world: &World) -> Vec<u64> {
    world.datasets.iter().flatten().map(crate::dataset::Dataset::count).collect()
}

/// Every state that the datasets had since `before`.
fn states_since(world: &World, before: &[u64]) -> Vec<StateKey> {
    let datasets = world.datasets.iter().flatten().zip(before);
    let states = datasets.flat_map(|(dataset, before)| {
        let identity = &dataset.guest().identity;
        (before + 1..=dataset.count()).map(move |count| endpoint::state_key(identity, dataset.name(), count))
    });
    states.collect()
}

/// Waits until `events` events have come to the endpoint and the server knows it, or until nothing comes any more.
/// `sample` is called now and then.
async fn arrived(
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

/// Waits until nothing is in the outbox, or until it gets no emptier.
async fn settled(developer: &mut Developer) -> Outcome<()> {
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

/// What was told, against what should have been.
#[derive(Clone, Copy, Debug, Default)]
struct Delivered {
    events: u64,
    lost: u64,
    repeated: u64,
}

impl Delivered {
    fn add(&mut self, arrivals: &Arrivals, lost: u64) {
        self.events += arrivals.events() as u64;
        self.lost += lost;
        self.repeated += arrivals.repeated();
    }

    fn cells(self) -> [String; 2] {
        [self.lost.to_string(), self.repeated.to_string()]
    }
}

/// Writes it all up.
pub(crate) fn write_up(output: Output, conditions: &[&str], measured: &Measured) -> String {
    let Measured { fdatasync, log, store, endpoint, costs, paced, drained, published } = measured;
    let mut text = report::heading(output, "Conditions");
    for condition in conditions {
        text += &report::line(output, condition);
    }
    text += &report::heading(output, "Floors");
    text += &report::rows(output, [fdatasync, log].into_iter().chain(store).chain([endpoint]));
    text += &report::heading(output, "What an update of 1 record costs with effects");
    let plain = costs.first().map_or(0.0, Cost::whole_microseconds);
    text += &report::table(
        output,
        &Cost::TITLES,
        &costs.iter().map(|cost| cost.cells(plain)).collect::<Vec<_>>(),
    );
    text += &report::heading(output, "The relay at a given rate of updates");
    text += &report::table(output, &Paced::TITLES, &paced.iter().map(Paced::cells).collect::<Vec<_>>());
    text += &report::heading(output, "A backlog, once the endpoint takes events again");
    text += &report::table(output, &Drained::TITLES, &[drained.cells()]);
    text += &report::heading(output, "Bulk publication");
    text += &report::table(
        output,
        &Published::TITLES,
        &published.iter().map(Published::cells).collect::<Vec<_>>(),
    );
    text
}

fn per_second(count: u64, took: Duration) -> String {
    format!("{:.0}", ratio(real(count), took.as_secs_f64()))
}

fn microseconds_each(cpu: Duration, count: u64) -> f64 {
    ratio(cpu.as_secs_f64() * 1e6, real(count))
}

fn ms(time: Duration) -> String {
    short(milliseconds(time))
}

fn mb(bytes: u64) -> String {
    format!("{:.1}", megabytes(bytes))
}
