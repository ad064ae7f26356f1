//! `carryall pool create|list|show|check|delete`.

use clap::Subcommand;

use super::invocation::Invocation;
use super::{open, print};
use crate::admin::pool::{self, CheckLine, PoolCheck, PoolShow};
use crate::admin::{self, Answer, OperatorError};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Create an identity pool
    Create {
        /// The name of the pool
        #[arg(long, default_value = "carryall")]
        name: String,
        /// Use the id of an existing app's pool; its region must be the server's
        #[arg(long, value_name = "POOL_ID")]
        id: Option<String>,
        /// Do not issue identities without a login
        #[arg(long)]
        no_guests: bool,
    },
    /// List all identity pools
    List,
    /// Show an identity pool with its settings and usage
    Show {
        /// The pool's id
        #[arg(value_name = "POOL_ID")]
        id: String,
    },
    /// Check everything that a pool's settings name: roles, platform applications, stream, function
    Check {
        /// The pool's id
        #[arg(value_name = "POOL_ID")]
        id: String,
    },
    /// Delete an identity pool with all its identities and data
    Delete {
        /// The pool's id
        #[arg(value_name = "POOL_ID")]
        id: String,
    },
}

pub(super) async fn run(verb: Verb, invocation: Invocation) -> Result<(), OperatorError> {
    let output = invocation.output;
    let verb = match verb {
        Verb::Create { name, id, no_guests } => pool::Verb::Create { id, name, allow_guests: !no_guests },
        Verb::List => pool::Verb::List,
        Verb::Show { id } => pool::Verb::Show { id },
        Verb::Check { id } => pool::Verb::Check { id },
        Verb::Delete { id } => pool::Verb::Delete { id },
    };
    let Answer::Pool(answer) = open::execute(invocation, admin::Verb::Pool(verb)).await? else {
        return Err(open::ANOTHER_ANSWER.into());
    };
    match answer {
        pool::Answer::Created(pool) => print::either(output, &pool, |pool| pool.identity_pool_id.clone()),
        pool::Answer::Listed(pools) => print::either(output, &pools, |pools| {
            let guests = |allowed| if allowed { "guests" } else { "no guests" };
            let rows: Vec<[&str; 3]> = pools
                .identity_pools
                .iter()
                .map(|pool| {
                    let guests = guests(pool.allow_unauthenticated_identities);
                    [pool.identity_pool_id.as_str(), guests, pool.identity_pool_name.as_str()]
                })
                .collect();
            print::columns(&rows)
        }),
        pool::Answer::Shown(pool) => print::either(output, &pool, |pool| show(pool)),
        pool::Answer::Deleted(deleted) => print::either(output, &deleted, |deleted| {
            format!(
                "deleted pool {} ({}): {} identities, {} bytes of data",
                deleted.identity_pool_id,
                deleted.identity_pool_name,
                deleted.identity_count,
                deleted.data_storage
            )
        }),
        pool::Answer::Checked(checked) => {
            print::either(output, &checked, checks)?;
            let wrong = checked.checks.iter().filter(|line| line.trouble.is_some()).count();
            if wrong == 0 {
                return Ok(());
            }
            Err(format!(
                "{wrong} of {} checks of pool {} failed",
                checked.checks.len(),
                checked.identity_pool_id
            )
            .into())
        }
    }
}

fn checks(checked: &PoolCheck) -> String {
    if checked.checks.is_empty() {
        return "nothing to check: the pool has no push, no stream and no events".to_owned();
    }
    let line = |line: &CheckLine| match &line.trouble {
        None => format!("ok      {}\n", line.what),
        Some(trouble) => format!("FAILED  {}: {trouble}\n", line.what),
    };
    checked.checks.iter().map(line).collect()
}

fn show(shown: &PoolShow) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let pool = &shown.pool;
    row("IdentityPoolId", pool.identity_pool_id.clone());
    row("IdentityPoolName", pool.identity_pool_name.clone());
    row("AllowUnauthenticatedIdentities", pool.allow_unauthenticated_identities.to_string());
    if let Some(allowed) = pool.allow_classic_flow {
        row("AllowClassicFlow", allowed.to_string());
    }
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    if !shown.roles.is_empty() {
        row("Roles", json(serde_json::to_string(&shown.roles)));
    }
    if let Some(push) = &shown.push_sync {
        row("PushSync", json(serde_json::to_string(push)));
    }
    if let Some(streams) = &shown.cognito_streams {
        row("CognitoStreams", json(serde_json::to_string(streams)));
    }
    if !shown.events.is_empty() {
        row("Events", json(serde_json::to_string(&shown.events)));
    }
    if let Some(bulk) = &shown.bulk_publish {
        let message = bulk.failure_message.as_ref().map_or(String::new(), |message| format!(": {message}"));
        let (status, datasets) = (&bulk.bulk_publish_status, bulk.datasets_published);
        let begun = &bulk.bulk_publish_start_time;
        row("BulkPublish", format!("{status}, {datasets} datasets, begun {begun}{message}"));
    }
    row("EventsWaiting", shown.events_waiting.to_string());
    if !shown.not_in_effect.is_empty() {
        row("NotInEffect", format!("{} (stored only)", shown.not_in_effect.join(", ")));
    }
    row("DataStorage", format!("{} bytes", shown.usage.data_storage));
    let sessions = shown.usage.sync_sessions_count;
    row("SyncSessionsCount", sessions.map_or_else(|| "none yet".to_owned(), |count| count.to_string()));
    let rows: Vec<[&str; 2]> = rows.iter().map(|(name, value)| [name.as_str(), value.as_str()]).collect();
    print::columns(&rows)
}
