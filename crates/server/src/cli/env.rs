//! `carryall env`: prints exports for a shell.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use secrecy::ExposeSecret;

use super::data_dir;
use super::invocation::Invocation;
use super::{ownership, print};
use crate::admin::{OperatorError, control};
use crate::cli::banner::{environment, quote, reachable, url};
use crate::config::Config;

pub(super) async fn run(invocation: Invocation) -> Result<(), OperatorError> {
    let config = &invocation.config;
    let root = match (invocation.secrets.root, config.data_dir()) {
        (Some(root), _) => root,
        (None, Some(dir)) => data_dir::kept_root_key(dir)?.ok_or_else(|| {
            let path = data_dir::credentials_path(dir);
            format!("{}: there is no root key yet; it is made by the first 'carryall serve'", path.display())
        })?,
        (None, None) => {
            return Err(format!(
                "the root key of the store {} is not kept; set CARRYALL_ROOT_ACCESS_KEY_ID and \
                 CARRYALL_ROOT_SECRET_ACCESS_KEY",
                config.store
            )
            .into());
        }
    };
    let url = server_url(config).await?;
    let variables: BTreeMap<&str, String> = environment(&url, &config.region, &root)
        .into_iter()
        .map(|(name, value)| (name, value.expose_secret().to_owned()))
        .collect();
    print::either(invocation.output, &variables, |variables| {
        let mut text = String::new();
        for (name, value) in variables {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "export {name}={}", quote(value));
        }
        // A session token left over from other credentials would be sent too, and make every call fail.
        text.push_str("unset AWS_SESSION_TOKEN\n");
        text
    })
}

/// The URL of the server from this machine: from the server that runs on the data directory, else from the
/// settings.
async fn server_url(config: &Config) -> Result<String, OperatorError> {
    let running = match config.data_dir() {
        Some(dir) => {
            ownership::check_to_ask(dir)?;
            control::connect(dir).await.ok()
        }
        None => None,
    };
    match running {
        Some(stream) => control::ask_address(stream).await,
        None if config.listen.port() == 0 => {
            Err("the port is chosen at start, and no server runs on the data directory".into())
        }
        None => Ok(url(reachable(config.listen), config.tls.is_some())),
    }
}
