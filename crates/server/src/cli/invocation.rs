//! The settings of one run of the program, from the command line, the environment and the configuration file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::admin::OperatorError;
use crate::clock::Clock;
use crate::config::{Config, Overrides, Secrets, Settings};

/// The settings that have flags and environment variables.
#[derive(Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct SettingsArgs {
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "CARRYALL_CONFIG")]
    config: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:7962]
    #[arg(long, global = true, value_name = "IP:PORT", env = "CARRYALL_LISTEN")]
    listen: Option<String>,
    /// embedded:DIR or memory: [default: embedded:./carryall-data]
    #[arg(long, global = true, value_name = "STORE", env = "CARRYALL_STORE", hide_env_values = true)]
    store: Option<String>,
    /// Region of new ids and of signature scopes [default: us-east-1]
    #[arg(long, global = true, value_name = "REGION", env = "CARRYALL_REGION")]
    pub(super) region: Option<String>,
    /// Account id, 12 digits [default: 000000000000]
    #[arg(long, global = true, value_name = "ID", env = "CARRYALL_ACCOUNT_ID")]
    account_id: Option<String>,
    /// Log filter: a level, or directives such as info,carryall=debug [default: info]
    #[arg(long, global = true, value_name = "FILTER", env = "CARRYALL_LOG")]
    log: Option<String>,
}

/// The output format of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs, in AWS's member names
    Json,
}

/// The parsed command line: the checked settings, the keys given with them, and the clock of the process.
pub(super) struct Invocation {
    pub(super) config: Config,
    pub(super) secrets: Secrets,
    pub(super) output: Output,
    pub(super) clock: Clock,
}

impl Invocation {
    pub(super) fn read(args: SettingsArgs, output: Output, clock: Clock) -> Result<Self, OperatorError> {
        let over = Overrides {
            listen: args.listen,
            store: args.store,
            region: args.region,
            account_id: args.account_id,
            log: args.log,
        };
        let settings = Settings::read(args.config.as_deref())?.overridden(over);
        let config = Config::check(settings)?;
        let secrets = Secrets::read(|name| std::env::var(name).ok())?;
        Ok(Self { config, secrets, output, clock })
    }
}
