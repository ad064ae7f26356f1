//! Instructions per request, for each kind of request that clients send often. They vary by a percent or two
//! between runs, so they can compare two programs on a machine that does other work too. They include neither
//! the kernel nor any wait.

mod callgrind;
mod requests;

use std::path::Path;

use tokio::runtime::Runtime;

use crate::measure::ratio;
use crate::measure::real;
use crate::outcome::Outcome;
use crate::report::{self, Output};
use crate::server::{Program, Server};
use crate::world::{Population, World};

use self::callgrind::Callgrind;
use self::requests::{Batch, KINDS};

/// Uncounted requests before those that are counted, so that one-time work is not counted.
const WARMUP: usize = 50;
/// Counted requests of a kind. With the uncounted ones they stay within the default burst of new identities.
const COUNTED: usize = 400;
/// One client with one dataset, which uses a single connection.
const POPULATION: Population = Population {
    lanes: 1,
    guests_per_lane: 1,
    datasets_per_guest: 1,
    records_per_dataset: 100,
    records_per_load: 10,
};

/// Instructions per request of every kind, in the order of [`KINDS`].
pub(crate) struct Costs(Vec<f64>);

/// Counts the instructions of `program`, with the server's data in `directory`.
pub(crate) fn measure(
    runtime: &Runtime,
    program: &Program,
    directory: &Path,
    progress: fn(&str),
) -> Outcome<Costs> {
    let program = Program { wrapper: callgrind::wrapper(directory), ..program.clone() };
    let server = Server::start(&program, directory)?;
    let callgrind = Callgrind::attach(directory, server.process());
    let costs = runtime.block_on(async {
        let mut world = World::populate(server.address(), POPULATION).await?;
        let mut costs = Vec::with_capacity(KINDS.len());
        for kind in KINDS {
            progress(kind.name());
            let batch = kind.prepare(&mut world, WARMUP + COUNTED).await?;
            costs.push(count(&batch, &mut world, &callgrind).await?);
        }
        Outcome::Ok(costs)
    })?;
    server.kill()?;
    Ok(Costs(costs))
}

async fn count(batch: &Batch, world: &mut World, callgrind: &Callgrind) -> Outcome<f64> {
    let (warmup, counted) = batch.requests.split_at(WARMUP);
    batch.send(world, warmup).await?;
    callgrind.take()?;
    batch.send(world, counted).await?;
    Ok(ratio(real(callgrind.take()?), real(counted.len() as u64)))
}

/// The table of `costs`, beside those of an earlier program if it was measured.
pub(crate) fn write_up(output: Output, costs: &Costs, before: Option<&Costs>) -> String {
    let rows: Vec<Vec<String>> = (0..KINDS.len())
        .map(|row| {
            let mut cells = vec![KINDS[row].name().to_owned()];
            let now = costs.0[row];
            if let Some(before) = before.map(|before| before.0[row]) {
                cells.push(thousands(before));
                cells.push(thousands(now));
                cells.push(format!("{:+.1} %", 100.0 * (ratio(now, before) - 1.0)));
            } else {
                cells.push(thousands(now));
            }
            cells
        })
        .collect();
    let titles: &[&str] = match before {
        Some(_) => &["request", "before, thousands", "now, thousands", "difference"],
        None => &["request", "thousands"],
    };
    report::heading(output, "Instructions per request, in user mode") + &report::table(output, titles, &rows)
}

fn thousands(instructions: f64) -> String {
    format!("{:.1}", instructions / 1e3)
}
