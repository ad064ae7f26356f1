//! `carryall completions SHELL`.

use clap::{Args, Command};
use clap_complete::Shell;

use super::print;
use crate::admin::OperatorError;

#[derive(Args)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, command: &mut Command) -> Result<(), OperatorError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "carryall", &mut script);
    print::bytes(&script)
}
