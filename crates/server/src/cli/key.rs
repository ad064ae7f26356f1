//! `carryall key create|list|revoke`.

use clap::Subcommand;

use super::invocation::Invocation;
use super::{open, print};
use crate::admin::{self, Answer};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Create a developer key; its secret is printed this once
    Create {
        /// A note about it
        #[arg(long, default_value = "", hide_default_value = true)]
        description: String,
    },
    /// List the developer keys; the root key is not among them
    List,
    /// Delete a developer key; requests that it signs are refused at once
    Revoke {
        /// Which
        #[arg(value_name = "ACCESS_KEY_ID")]
        id: String,
    },
}

pub(super) async fn run(verb: Verb, invocation: Invocation) -> Result<(), String> {
    let output = invocation.output;
    let verb = match verb {
        Verb::Create { description } => admin::Verb::KeyCreate { description },
        Verb::List => admin::Verb::KeyList,
        Verb::Revoke { id } => admin::Verb::KeyRevoke { id },
    };
    match open::execute(invocation, verb).await? {
        Answer::KeyCreated(key) => print::either(output, &key, |key| {
            print::columns(&[
                ["AccessKeyId", &key.access_key_id],
                ["SecretAccessKey", &key.secret_access_key],
            ])
        }),
        Answer::Keys(keys) => print::either(output, &keys, |keys| {
            let rows: Vec<[&str; 3]> = keys
                .access_keys
                .iter()
                .map(|key| [key.access_key_id.as_str(), key.create_date.as_str(), key.description.as_str()])
                .collect();
            print::columns(&rows)
        }),
        Answer::KeyRevoked(key) => {
            print::either(output, &key, |key| format!("revoked key {}", key.access_key_id))
        }
        Answer::PoolCreated(_)
        | Answer::Pools(_)
        | Answer::Pool(_)
        | Answer::PoolDeleted(_)
        | Answer::PoolChecked(_)
        | Answer::Outbox(_)
        | Answer::OutboxRetried(_)
        | Answer::OutboxDropped(_) => Err(open::ANOTHER_ANSWER.to_owned()),
    }
}
