//! The command line of the benchmark.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::report::Output;
use crate::server::Profile;

/// The default duration of a row.
const CELL_SECONDS: u64 = 3;
/// The default duration of an attack: longer than a server waits for peers that do not read.
const ATTACK_SECONDS: u64 = 12;
/// The duration of an attack in a smoke run.
const ATTACK_SECONDS_QUICK: u64 = 2;

/// Measures Carryall under signed load beside the floors that its aims refer to. The load generator runs on the same
/// processors as the server.
#[derive(Parser)]
#[command(name = "carryall-bench")]
pub struct Arguments {
    /// The program to measure; without it the program is built with `--profile` and measured
    #[arg(long, visible_alias = "program", value_name = "PATH")]
    pub carryall: Option<PathBuf>,
    /// The profile to build the program with
    #[arg(long, value_enum, default_value = "release", conflicts_with = "carryall")]
    pub profile: Profile,
    /// The duration of each row in seconds: 3 by default, 12 for an attack
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub seconds: Option<u64>,
    /// A smoke run: half a second for each row, and less data; two seconds for an attack
    #[arg(long, conflicts_with = "seconds")]
    pub quick: bool,
    /// Reopens a store of about 1 GB after kill -9, which takes minutes to fill; the default is a small one.
    /// With `--effects`: publishes a million records too
    #[arg(long)]
    pub big: bool,
    #[command(flatten)]
    pub part: Part,
    /// Attacks the server instead, with all attacks or those of these names: memory that each costs the
    /// server, and the delay that another caller notices
    #[arg(long, value_name = "ATTACK", num_args = 0.., conflicts_with_all = ["effects", "big", "cost"])]
    pub hostile: Option<Vec<String>>,
    /// With `--cost`: an earlier program, measured in the same way and shown beside the first
    #[arg(long, value_name = "PATH", requires = "cost")]
    pub before: Option<PathBuf>,
    /// The format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,
    /// The directory for temporary data, on the device to measure; the default is next to this program
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// The server's log filter, as in `CARRYALL_LOG`; the default is the server's
    #[arg(long, value_name = "DIRECTIVES")]
    pub log: Option<String>,
    /// The file for the server's log; without it the log is discarded. A file counts among device bytes
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

/// The measurement that replaces requests and floors.
#[derive(clap::Args)]
pub struct Part {
    /// Measures effects instead: streams, push, a backlog, bulk publication
    #[arg(long)]
    pub effects: bool,
    /// Counts instructions per request under Valgrind instead
    #[arg(long, conflicts_with_all = ["effects", "big", "seconds", "quick"])]
    pub cost: bool,
}

impl Arguments {
    /// The duration of a row.
    pub fn cell(&self) -> Duration {
        if self.quick {
            Duration::from_millis(500)
        } else {
            Duration::from_secs(self.seconds.unwrap_or(CELL_SECONDS))
        }
    }

    /// The duration of an attack.
    pub fn attack(&self) -> Duration {
        let seconds = if self.quick { ATTACK_SECONDS_QUICK } else { ATTACK_SECONDS };
        Duration::from_secs(self.seconds.unwrap_or(seconds))
    }
}
