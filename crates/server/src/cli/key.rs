//! `carryall key create|list|revoke`.

use clap::Subcommand;

use super::invocation::Invocation;
use super::{open, print};
use crate::admin::{self, Answer, OperatorError, key};

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
        /// The id
        #[arg(value_name = "ACCESS_KEY_ID")]
        id: String,
    },
}

pub(super) async fn run(verb: Verb, invocation: Invocation) -> Result<(), OperatorError> {
    let output = invocation.output;
    let verb = match verb {
        Verb::Create { description } => key::Verb::Create { description },
        Verb::List => key::Verb::List,
        Verb::Revoke { id } => key::Verb::Revoke { id },
    };
    let Answer::Key(answer) = open::execute(invocation, admin::Verb::Key(verb)).await? else {
        return Err(open::ANOTHER_ANSWER.into());
    };
    match answer {
        key::Answer::Created(key) => print::either(output, &key, |key| {
            print::columns(&[
                ["AccessKeyId", &key.access_key_id],
                ["SecretAccessKey", &key.secret_access_key],
            ])
        }),
        key::Answer::Listed(keys) => print::either(output, &keys, |keys| {
            let rows: Vec<[&str; 3]> = keys
                .access_keys
                .iter()
                .map(|key| [key.access_key_id.as_str(), key.create_date.as_str(), key.description.as_str()])
                .collect();
            print::columns(&rows)
        }),
        key::Answer::Revoked(key) => {
            print::either(output, &key, |key| format!("revoked key {}", key.access_key_id))
        }
    }
}
