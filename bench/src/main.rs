//! Measures Carryall under signed load, and in the same run the floors to which its aims refer.
//!
//! It is one command: `cargo run --release -p carryall-bench`. It builds the program, starts it on the
//! loopback address with its own directory, and prints tables. The plan of a run is here, and its command line in
//! [`arguments`]. [`floors`] and [`workloads`] are the work to measure, [`measure`] is the meter, [`aims`] and
//! [`report`] judge and format. [`effects`], [`hostile`] and [`cost`] are separate runs.

mod aims;
mod arguments;
mod clock;
mod connection;
mod cost;
mod dataset;
mod effects;
mod figures;
mod floors;
mod hostile;
mod load;
mod measure;
mod outcome;
mod payload;
mod process;
mod report;
mod server;
mod signing;
mod workloads;
mod world;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::aims::{Floors, Footprint, Served};
use crate::arguments::Arguments;
use crate::floors::store::Then;
use crate::measure::Row;
use crate::outcome::Outcome;
use crate::report::Output;
use crate::server::{Program, Server};
use crate::workloads::{Listed, Update};
use crate::world::{Population, World};

/// The program's own allocator, so that floors differ from the program only in the work that they omit.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A remark that belongs to every result.
const SHARED: &str =
    "server and load generator share the processors; device bytes are what the kernel counts, an upper bound";
/// The number of clients of all rows but those of one client.
const CLIENTS: usize = 64;
/// The idle time before a server's idle memory is read.
const IDLE_SECONDS: u64 = 1;

/// The extent of a run.
#[derive(Clone, Copy)]
struct Extent {
    cell: Duration,
    population: Population,
    starts: usize,
    big: bool,
}

fn main() -> ExitCode {
    let done = if std::env::args().nth(1).as_deref() == Some(floors::echo::SUBCOMMAND) {
        floors::echo::serve_as_process()
    } else {
        run(Arguments::parse())
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carryall-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Outcome<()> {
    let machine = process::machine();
    let attack = arguments.attack();
    let extent = Extent {
        cell: arguments.cell(),
        population: Population {
            lanes: CLIENTS,
            guests_per_lane: 1,
            datasets_per_guest: if arguments.quick { 2 } else { 8 },
            records_per_dataset: 100,
            records_per_load: 10,
        },
        starts: if arguments.quick { 3 } else { 9 },
        big: arguments.big,
    };
    let (path, which) = match arguments.carryall {
        Some(path) => (path.canonicalize()?, format!("program: {}", path.display())),
        None => (server::build(arguments.profile)?, format!("program: profile {}", arguments.profile.name())),
    };
    let program =
        Program { path, log_directives: arguments.log, log_file: arguments.log_file, wrapper: Vec::new() };
    let directory = temporary_directory(arguments.directory.as_deref())?;
    let how = if cfg!(debug_assertions) { ", an UNOPTIMISED build of this benchmark" } else { "" };
    if let Some(attacks) = arguments.hostile {
        let how = format!("{} s for each attack{how}", attack.as_secs());
        let rows = hostile::measure(&program, directory.path(), &attacks, attack, progress)?;
        print!("{}", hostile::write_up(arguments.output, &[&machine, &which, &how, SHARED], &rows));
        return Ok(());
    }
    let how = format!("{} s for each row{how}", extent.cell.as_secs_f64());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if arguments.part.cost {
        let conditions = [machine.as_str(), &which];
        let before = arguments.before.as_deref();
        print!("{}", count(&runtime, &program, before, directory.path(), conditions, arguments.output)?);
        return Ok(());
    }
    if arguments.part.effects {
        let extent = effects_extent(extent, arguments.quick);
        let measured = effects::measure(&runtime, &program, directory.path(), extent, progress)?;
        let conditions = [machine.as_str(), &which, &how, SHARED];
        print!("{}", effects::write_up(arguments.output, &conditions, &measured));
        return Ok(());
    }
    let floors = measure_floors(&runtime, directory.path(), extent)?;
    let (start, idle_bytes) = measure_starts(&runtime, &program, directory.path(), extent.starts)?;
    let (served, reopened) = measure_server(&runtime, &program, directory.path(), extent)?;
    let reopened = if extent.big { reopen_big(&runtime, &program, directory.path())? } else { reopened };
    let footprint = Footprint {
        start,
        idle_bytes,
        binary_bytes: std::fs::metadata(&program.path)?.len(),
        reopen: reopened.took,
        reopened_bytes: reopened.store_bytes,
    };
    print!("{}", write_up(arguments.output, [&machine, &which, &how], &floors, &served, &footprint));
    Ok(())
}

/// Counts the instructions of requests in the program, and in an earlier one if given.
fn count(
    runtime: &Runtime,
    program: &Program,
    before: Option<&Path>,
    directory: &Path,
    conditions: [&str; 2],
    output: Output,
) -> Outcome<String> {
    let costs = |program: &Program, name: &str| {
        progress(&format!("counting: {}", program.path.display()));
        let own = directory.join(name);
        std::fs::create_dir(&own)?;
        cost::measure(runtime, program, &own, progress)
    };
    let now = costs(program, "now")?;
    let before = match before {
        Some(path) => {
            let earlier = Program { path: path.canonicalize()?, ..program.clone() };
            Some(costs(&earlier, "before")?)
        }
        None => None,
    };
    let lines: String = conditions.into_iter().map(|condition| report::line(output, condition)).collect();
    Ok(report::heading(output, "Conditions") + &lines + &cost::write_up(output, &now, before.as_ref()))
}

fn effects_extent(extent: Extent, quick: bool) -> effects::Extent {
    effects::Extent {
        cell: extent.cell,
        population: extent.population,
        published_records: if quick { 10_000 } else { 100_000 },
        big: extent.big,
        backlog: if quick { 5_000 } else { 50_000 },
    }
}

fn temporary_directory(within: Option<&Path>) -> Outcome<TempDir> {
    let own = std::env::current_exe()?;
    let within = within.or(own.parent()).ok_or("there is no folder for temporary data")?.canonicalize()?;
    Ok(tempfile::Builder::new().prefix("carryall-bench-").tempdir_in(within)?)
}

fn measure_floors(runtime: &Runtime, directory: &Path, extent: Extent) -> Outcome<Floors> {
    let cell = extent.cell;
    progress("floors: device and log");
    let fdatasync = floors::fdatasync::measure("fdatasync of 512 B, preallocated", directory, cell)?;
    let log_one_client = floors::log::measure("B: bare group-commit log", directory, 1, cell)?;
    let log = floors::log::measure("B: bare group-commit log", directory, CLIENTS, cell)?;
    progress("floors: store in process");
    let mut store = floors::store::Driven::open(directory, extent.population)?;
    let store_one_client = store.measure("E: store in process, 1 record", 1, 1, Then::Nothing, cell)?;
    let store_many = store.measure("E: store in process, 1 record", CLIENTS, 1, Then::Nothing, cell)?;
    let store_ten_records =
        store.measure("E: store in process, 10 records", CLIENTS, 10, Then::Nothing, cell)?;
    drop(store);
    progress("floors: bare HTTP");
    let echo = runtime.block_on(floors::echo::measure("H: bare HTTP, 300 B of JSON", CLIENTS, cell))?;
    Ok(Floors {
        fdatasync,
        log_one_client,
        log,
        store_one_client,
        store: store_many,
        store_ten_records,
        echo,
    })
}

/// Starts servers on empty stores. Returns the median time to ready, and the idle memory of the last one.
fn measure_starts(
    runtime: &Runtime,
    program: &Program,
    directory: &Path,
    starts: usize,
) -> Outcome<(Duration, u64)> {
    progress("starts");
    let mut times = Vec::with_capacity(starts);
    let mut idle_bytes = 0;
    for number in 0..starts {
        let own = directory.join(format!("start-{number}"));
        std::fs::create_dir(&own)?;
        let server = Server::start(program, &own)?;
        times.push(server.started_in());
        if number + 1 == starts {
            runtime.block_on(async { tokio::time::sleep(Duration::from_secs(IDLE_SECONDS)).await });
            idle_bytes = server.process().resident_bytes()?;
        }
        server.kill()?;
    }
    times.sort_unstable();
    Ok((times[times.len() / 2], idle_bytes))
}

/// The result of opening a store after kill -9.
struct Reopened {
    took: Duration,
    store_bytes: u64,
}

fn measure_server(
    runtime: &Runtime,
    program: &Program,
    directory: &Path,
    extent: Extent,
) -> Outcome<(Served, Reopened)> {
    let cell = extent.cell;
    let own = directory.join("server");
    std::fs::create_dir(&own)?;
    let server = Server::start(program, &own)?;
    let meter = server.meter();
    progress("server: first load");
    let mut world = runtime.block_on(World::populate(server.address(), extent.population))?;
    progress("server: listings");
    let list =
        |world: &mut World, name, listed| runtime.block_on(workloads::list(name, world, meter, listed, cell));
    let list_nothing = list(&mut world, "ListRecords, nothing new", Listed::Nothing)?;
    let list_changed = list(&mut world, "ListRecords, 50 changed", Listed::Changed(50))?;
    progress("server: updates");
    let fdatasync = floors::fdatasync::measure("fdatasync again, beside the server", directory, cell)?;
    let update = |world: &mut World, name, lanes, records, tokens: &mut Row| {
        let update = Update { name, lanes, records };
        runtime.block_on(workloads::update(update, world, meter, tokens, cell))
    };
    let mut ignored = Row::new("tokens of one client", 1)?;
    let mut tokens = Row::new("ListRecords, for a token", CLIENTS)?;
    let served = Served {
        list_nothing,
        list_changed,
        fdatasync,
        update_one_client: update(&mut world, "UpdateRecords, 1 record", 1, 1, &mut ignored)?,
        update: update(&mut world, "UpdateRecords, 1 record", CLIENTS, 1, &mut tokens)?,
        update_ten_records: update(&mut world, "UpdateRecords, 10 records", CLIENTS, 10, &mut tokens)?,
        tokens,
    };
    drop(world);
    server.kill()?;
    progress("server: reopening");
    Ok((served, reopen(program, &own)?))
}

fn reopen(program: &Program, own: &Path) -> Outcome<Reopened> {
    let store_bytes = process::bytes_under(&server::data_in(own))?;
    let server = Server::start(program, own)?;
    let took = server.started_in();
    server.kill()?;
    Ok(Reopened { took, store_bytes })
}

/// Fills a store with a gigabyte of records, kills the server and reopens the store.
fn reopen_big(runtime: &Runtime, program: &Program, directory: &Path) -> Outcome<Reopened> {
    progress("server: filling a store with 1 GB");
    let population = Population {
        lanes: CLIENTS,
        guests_per_lane: 4,
        datasets_per_guest: 20,
        records_per_dataset: 1000,
        records_per_load: 250,
    };
    let own = directory.join("big");
    std::fs::create_dir(&own)?;
    let server = Server::start(program, &own)?;
    drop(runtime.block_on(World::populate(server.address(), population))?);
    server.kill()?;
    progress("server: reopening it");
    reopen(program, &own)
}

fn write_up(
    output: Output,
    conditions: [&str; 3],
    floors: &Floors,
    served: &Served,
    footprint: &Footprint,
) -> String {
    let mut text = String::new();
    text += &report::heading(output, "Conditions");
    for condition in conditions.into_iter().chain([SHARED]) {
        text += &report::line(output, condition);
    }
    text += &report::heading(output, "Floors");
    let Floors { fdatasync, log_one_client, log, store_one_client, store, store_ten_records, echo } = floors;
    text += &report::rows(
        output,
        [fdatasync, log_one_client, log, store_one_client, store, store_ten_records, echo],
    );
    text += &report::heading(output, "Server, signed requests");
    let Served {
        list_changed,
        list_nothing,
        tokens,
        fdatasync,
        update_one_client,
        update,
        update_ten_records,
    } = served;
    text += &report::rows(
        output,
        [update_one_client, update, update_ten_records, list_changed, list_nothing, tokens, fdatasync],
    );
    text += &report::heading(output, "Without load");
    text += &report::line(output, &format!("start to ready: {} ms", ms(footprint.start)));
    text += &report::line(output, &format!("idle memory: {} MB", mb(footprint.idle_bytes)));
    text += &report::line(output, &format!("binary: {} MB", mb(footprint.binary_bytes)));
    let size = mb(footprint.reopened_bytes);
    text += &report::line(
        output,
        &format!("reopen after kill -9 with {size} MB on disk: {} ms", ms(footprint.reopen)),
    );
    text += &report::heading(output, "Aims");
    text += &report::aims(output, &aims::all(floors, served, footprint));
    text
}

fn ms(time: Duration) -> String {
    figures::short(figures::milliseconds(time))
}

fn mb(bytes: u64) -> String {
    figures::short(figures::megabytes(bytes))
}

/// Prints progress on standard error; standard output has only the result.
fn progress(step: &str) {
    eprintln!("carryall-bench: {step}");
}
