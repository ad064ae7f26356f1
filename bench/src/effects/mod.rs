//! Effects: the cost that streams and push add to an update, the relay's rate and lag, a backlog, and bulk
//! publication. Each stands beside its floor of the same run. This module does not judge the figures.

mod backlog;
mod bulk;
mod cells;
mod cost;
mod delivered;
mod endpoint;
mod floor;
mod pace;
mod pool;
mod site;

use std::path::Path;

use tokio::runtime::Runtime;

use crate::floors;
use crate::floors::store::Then;
use crate::measure::Row;
use crate::outcome::Outcome;
use crate::report::{self, Output};
use crate::server::{Program, Server};
use crate::world::World;

use self::backlog::Drained;
use self::bulk::Published;
use self::cost::Cost;
use self::endpoint::Endpoint;
use self::pace::Paced;
use self::pool::Stream;
pub(crate) use self::site::Extent;
use self::site::{Site, UnderTest};

/// The measurements of a run.
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

/// Measures everything.
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
    say("updates and their effects");
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

/// Formats the result.
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
