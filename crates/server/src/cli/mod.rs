//! The command line: one file per subcommand. Done means exit code 0; anything else comes with one line on standard
//! error that says what and where.

pub mod banner;
mod completions;
pub mod data_dir;
mod env;
mod healthcheck;
mod key;
mod open;
mod outbox;
mod pool;
mod print;
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Overrides, Secrets, Settings};

/// Exit code of a command line that cannot be understood.
const USAGE: u8 = 2;
/// A running server of another version may answer with what was not asked for.
const ANOTHER_ANSWER: &str = "the running server answered something else; perhaps it is of another version";

#[derive(Parser)]
#[command(
    name = "carryall",
    version,
    about = "A self-hosted server that speaks the Amazon Cognito Sync API",
    propagate_version = true,
    disable_help_subcommand = true,
    args_override_self = true
)]
struct Command {
    #[command(flatten)]
    settings: SettingsArgs,
    /// How verbs print what came of them
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    verb: Verb,
}

/// Settings that can be given in three places.
#[derive(Args)]
#[command(next_help_heading = "Settings")]
struct SettingsArgs {
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
    region: Option<String>,
    /// Account id, 12 digits [default: 000000000000]
    #[arg(long, global = true, value_name = "ID", env = "CARRYALL_ACCOUNT_ID")]
    account_id: Option<String>,
    /// What to log: a level, or directives such as info,carryall=debug [default: info]
    #[arg(long, global = true, value_name = "FILTER", env = "CARRYALL_LOG")]
    log: Option<String>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the server
    Serve,
    /// Print shell exports that point AWS clients at the server
    Env,
    /// Ask the server whether it is ready
    Healthcheck,
    /// Create, list, show and delete identity pools
    #[command(subcommand)]
    Pool(pool::Verb),
    /// List, retry and drop what could not be delivered
    #[command(subcommand)]
    Outbox(outbox::Verb),
    /// Create, list and revoke developer keys
    #[command(subcommand)]
    Key(key::Verb),
    /// Print the completion script of a shell
    Completions(completions::Arguments),
}

/// How verbs print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs, in AWS's member names
    Json,
}

/// The settings, checked, and the keys that came with them.
struct Given {
    config: Config,
    secrets: Secrets,
    output: Output,
}

impl Given {
    fn read(args: SettingsArgs, output: Output) -> Result<Self, String> {
        let told = |error: crate::config::ConfigError| error.to_string();
        let over = Overrides {
            listen: args.listen,
            store: args.store,
            region: args.region,
            account_id: args.account_id,
            log: args.log,
        };
        let settings = Settings::read(args.config.as_deref()).map_err(told)?.overridden(over);
        let config = Config::check(settings).map_err(told)?;
        let secrets = Secrets::read(|name| std::env::var(name).ok()).map_err(told)?;
        Ok(Self { config, secrets, output })
    }
}

/// Does what the command line says.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match Command::try_parse_from(arguments) {
        Ok(command) => command,
        Err(error) if !error.use_stderr() => {
            // Help or version, asked for.
            return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) => {
            eprintln!("{}", usage_line(&error.to_string()));
            return ExitCode::from(USAGE);
        }
    };
    match execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("carryall: {}", line.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<(), String> {
    if let Verb::Completions(arguments) = command.verb {
        return completions::run(&arguments);
    }
    let given = Given::read(command.settings, command.output)?;
    match command.verb {
        Verb::Serve => serve::run(given),
        Verb::Env => waiting(env::run(given)),
        Verb::Healthcheck => waiting(healthcheck::run(given)),
        Verb::Pool(verb) => waiting(pool::run(verb, given)),
        Verb::Outbox(verb) => waiting(outbox::run(verb, given)),
        Verb::Key(verb) => waiting(key::run(verb, given)),
        Verb::Completions(_) => Ok(()),
    }
}

/// Runs a short verb to its end on this thread.
fn waiting(verb: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("the runtime could not start: {error}"))?.block_on(verb)
}

/// Makes one line of what the parser of the command line says in several.
fn usage_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let told = words.join(" ");
    let told = told.strip_prefix("error: ").unwrap_or(&told);
    let told = told.split(" For more information").next().unwrap_or_default();
    format!("carryall: {told} (see carryall --help)")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Command::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_before_or_after_the_verb() {
        for line in
            [["carryall", "--region", "eu-west-1", "serve"], ["carryall", "serve", "--region", "eu-west-1"]]
        {
            let command = Command::try_parse_from(line).unwrap();
            assert_eq!(command.settings.region.as_deref(), Some("eu-west-1"));
        }
    }

    #[test]
    fn a_wrong_command_line_is_told_in_one_line() {
        for line in [&["carryall", "pool", "show"][..], &["carryall", "serve", "--lisen", "x"], &["carryall"]]
        {
            let told = usage_line(&Command::try_parse_from(line).err().unwrap().to_string());
            assert!(!told.contains('\n') && told.ends_with("(see carryall --help)"), "{told}");
        }
    }
}
