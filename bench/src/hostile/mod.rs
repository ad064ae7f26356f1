//! Attacks on a server with default settings: the memory that each costs the server, and the delay that
//! another caller notices. Every attack has its own server and is bounded in connections and time.

mod answers;
mod attacker;
mod attacks;
mod bodies;
mod floods;
mod neighbour;
mod owner;
mod row;

use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use self::attacker::{Attacker, Gate};
use self::attacks::{ATTACKS, Attack};
use self::neighbour::Neighbour;
use self::row::Row;
use crate::outcome::Outcome;
use crate::process;
use crate::report::{self, Output};
use crate::server::{Program, Server};

/// The time after an attack before a server's memory is read again.
const SETTLE: Duration = Duration::from_secs(30);
/// The share of an attack's time for which the other caller is measured before it.
const QUIET_SHARE: u32 = 4;
/// The largest number of files that an attack needs: its connections, those of its server, and some files.
const FILES_MIN: u64 = 10_000;
/// The memory that must be available before an attack begins: the worst of them made older servers use 7 GiB.
const AVAILABLE_BYTES_MIN: u64 = 10 << 30;

/// The names of all attacks.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ATTACKS.iter().map(|attack| attack.name)
}

/// Runs the named attacks, or all of them, for `length` each.
pub(crate) fn measure(
    program: &Program,
    directory: &Path,
    chosen: &[String],
    length: Duration,
    say: fn(&str),
) -> Outcome<Vec<Row>> {
    if let Some(unknown) = chosen.iter().find(|name| names().all(|known| known != name.as_str())) {
        return Err(
            format!("no attack is called {unknown:?}: {}", names().collect::<Vec<_>>().join(", ")).into()
        );
    }
    raise_file_limit()?;
    // A server is left alone while the next attack runs, so that waiting for it takes no time.
    let settling = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut rows: Vec<(Row, JoinHandle<Outcome<u64>>)> = Vec::new();
    let chosen = |attack: &&Attack| chosen.is_empty() || chosen.iter().any(|name| name == attack.name);
    for attack in ATTACKS.iter().filter(chosen) {
        if process::available_bytes()? < AVAILABLE_BYTES_MIN {
            say("waiting for memory");
            for (_, settled) in &mut rows {
                while !settled.is_finished() {
                    settling.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
                }
            }
        }
        say(attack.name);
        let own = directory.join(attack.name);
        std::fs::create_dir(&own)?;
        let server = Server::start(program, &own)?;
        let row = run(attack, &server, length).map_err(|error| format!("{}: {error}", attack.name))?;
        let due = Instant::now() + SETTLE;
        let settled = settling.spawn(async move {
            sleep_until(due).await;
            let resident_bytes = server.process().resident_bytes();
            server.kill()?;
            std::fs::remove_dir_all(own)?;
            resident_bytes
        });
        rows.push((row, settled));
    }
    say("waiting for the last servers to settle");
    let settled = rows.into_iter().map(|(row, settled)| {
        let resident_bytes = settling.block_on(settled)??;
        Ok(row.settled_at(resident_bytes))
    });
    settled.collect()
}

/// Measures the other caller alone, then while the attack runs in its own thread.
fn run(attack: &'static Attack, server: &Server, length: Duration) -> Outcome<Row> {
    let address = server.address();
    let (ready, prepared) = oneshot::channel();
    let (start, begin) = oneshot::channel();
    let attacking = std::thread::spawn(move || {
        let attacker = Attacker::new(address, attack.sources, Gate { ready, begin });
        new_runtime()?.block_on(attack.run(&attacker))?;
        Outcome::Ok(attacker.tally.counts())
    });
    let measured = new_runtime()?.block_on(async {
        let mut neighbour = Neighbour::new(address).await?;
        // If preparing fails, the attack's own error has the reason.
        if prepared.await.is_err() {
            return Ok(None);
        }
        let quiet = neighbour.live(Instant::now() + length / QUIET_SHARE).await?;
        server.process().reset_peak()?;
        let until = Instant::now() + length;
        start.send(until).map_err(|_| "the attack ended before it began")?;
        let (attacked, probed) = tokio::join!(neighbour.live(until), neighbour::probe(address, until));
        let peak_bytes = server.process().peak_resident_bytes()?;
        Outcome::Ok(Some(Row::new(attack.name, peak_bytes, quiet, attacked?, &probed)))
    });
    let tally = attacking.join().map_err(|_| "the attack's thread panicked")?;
    match (measured?, tally?) {
        (Some(row), tally) => Ok(row.attacker_saw(tally)),
        (None, _) => Err("the attack was never prepared".into()),
    }
}

fn new_runtime() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Raises the soft limit of open files to the hard one, and fails if that is too low. The servers inherit it.
fn raise_file_limit() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    match limit.maximum {
        Some(files) if files < FILES_MIN => {
            Err(format!("the hard limit of open files is {files}; the attacks need {FILES_MIN}").into())
        }
        Some(_) | None => Ok(()),
    }
}

/// Formats the result.
pub(crate) fn write_up(output: Output, conditions: &[&str], rows: &[Row]) -> String {
    let mut text = report::heading(output, "Conditions");
    for condition in conditions {
        text += &report::line(output, condition);
    }
    text += &report::heading(output, "Attacks on a server with default settings");
    text += &report::table(output, &Row::TITLES, &rows.iter().map(Row::cells).collect::<Vec<_>>());
    text
}
