//! The command line: one file per subcommand. Exit code 0 means done; any other code comes with one line on standard
//! error that names the fault and its place.

pub mod banner;
mod completions;
pub mod data_dir;
mod env;
mod healthcheck;
mod invocation;
mod key;
mod open;
mod outbox;
mod ownership;
mod pool;
mod print;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::invocation::{Invocation, Output, SettingsArgs};
use crate::admin::OperatorError;
use crate::clock::Clock;

/// The exit code of an invalid command line.
const USAGE: u8 = 2;
#[derive(Parser)]
#[command(
    name = "carryall",
    version,
    about = "A self-hosted server that speaks the Amazon Cognito Sync API",
    propagate_version = true,
    disable_help_subcommand = true,
    args_override_self = true,
    arg_required_else_help = false
)]
struct Command {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Output format
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the server
    Serve,
    /// Print shell exports that point AWS clients at the server
    Env,
    /// Check that the server is ready
    Healthcheck,
    /// Create, list, show and delete identity pools
    #[command(subcommand, arg_required_else_help = false)]
    Pool(pool::Verb),
    /// List, retry and drop undeliverable events
    #[command(subcommand, arg_required_else_help = false)]
    Outbox(outbox::Verb),
    /// Create, list and revoke developer keys
    #[command(subcommand, arg_required_else_help = false)]
    Key(key::Verb),
    /// Print the completion script of a shell
    Completions(completions::Arguments),
}

/// Runs the given command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let command = match Command::try_parse_from(&arguments) {
        Ok(command) => command,
        Err(error) if !error.use_stderr() => {
            // Help or version was requested.
            return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) => {
            eprintln!("{}", usage_line(&error.to_string(), &arguments));
            return ExitCode::from(USAGE);
        }
    };
    match execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carryall: {}", error.to_string().replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<(), OperatorError> {
    if let Verb::Completions(arguments) = command.verb {
        return completions::run(&arguments, &mut Command::command());
    }
    let invocation = Invocation::read(command.settings, command.output, Clock::system())?;
    match command.verb {
        Verb::Serve => serve::run(invocation),
        Verb::Env => waiting(env::run(invocation)),
        Verb::Healthcheck => waiting(healthcheck::run(invocation)),
        Verb::Pool(verb) => waiting(pool::run(verb, invocation)),
        Verb::Outbox(verb) => waiting(outbox::run(verb, invocation)),
        Verb::Key(verb) => waiting(key::run(verb, invocation)),
        Verb::Completions(_) => Ok(()),
    }
}

/// Runs a short command to its end on this thread.
fn waiting(verb: impl Future<Output = Result<(), OperatorError>>) -> Result<(), OperatorError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("the runtime could not start: {error}"))?.block_on(verb)
}

/// Joins the lines of an error of the command-line parser into one, with a pointer to the help of the command.
fn usage_line(message: &str, arguments: &[OsString]) -> String {
    let lines = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let line = words.join(" ").replace(" tip: ", "; tip: ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let line = line.split(" For more information").next().unwrap_or_default();
    format!("carryall: {line} (see {} --help)", command_of(arguments))
}

/// The command that `arguments` begin with, as far as it exists.
fn command_of(arguments: &[OsString]) -> String {
    let mut command = &Command::command();
    let mut names = command.get_name().to_owned();
    for word in arguments.iter().skip(1) {
        let Some(found) = command.find_subcommand(word) else { continue };
        names = format!("{names} {}", found.get_name());
        command = found;
    }
    names
}

#[cfg(test)]
mod tests {
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
    fn a_wrong_command_line_is_reported_in_one_line() {
        for arguments in ["pool show", "serve --lisen x", "", "pool", "key", "outbox"] {
            let line = refused(arguments);
            assert!(!line.contains('\n') && line.contains(" --help)"), "{line}");
        }
        assert_eq!(
            refused("pool create --allow-guests"),
            "carryall: unexpected argument '--allow-guests' found; tip: a similar argument exists: '--no-guests' \
             (see carryall pool create --help)"
        );
        assert_eq!(
            refused("key"),
            "carryall: 'carryall key' requires a subcommand but one was not provided [subcommands: create, list, revoke] \
             (see carryall key --help)"
        );
    }

    #[test]
    fn a_wrong_command_line_points_to_the_help_of_its_command() {
        let mut commands = vec![("carryall".to_owned(), Command::command())];
        while let Some((line, command)) = commands.pop() {
            let wrong = line.split(' ').skip(1).chain(["--unknown"]).collect::<Vec<_>>().join(" ");
            assert!(refused(&wrong).ends_with(&format!("(see {line} --help)")), "{}", refused(&wrong));
            let names =
                command.get_subcommands().map(|command| (command.get_name().to_owned(), command.clone()));
            commands.extend(names.map(|(name, command)| (format!("{line} {name}"), command)));
        }
        assert!(refused("pool create NAME").ends_with("(see carryall pool create --help)"));
        assert!(refused("pool --output xml create").ends_with("(see carryall pool create --help)"));
        assert!(refused("pool unknown").ends_with("(see carryall pool --help)"));
    }

    /// The line for a command line that has to fail.
    fn refused(arguments: &str) -> String {
        let words = ["carryall"].into_iter().chain(arguments.split_whitespace());
        let arguments: Vec<OsString> = words.map(OsString::from).collect();
        usage_line(&Command::try_parse_from(&arguments).err().unwrap().to_string(), &arguments)
    }
}
