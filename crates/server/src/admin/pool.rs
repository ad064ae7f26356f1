//! Commands about identity pools.

use std::collections::BTreeMap;

use carryall_core::ids::PoolId;
use carryall_core::model::{BulkPublishStatus, Pool, PoolRef};
use carryall_core::rules::create_identity_pool;
use carryall_core::rules::set_identity_pool::Settings;
use carryall_core::store::Committed;
use carryall_wire::ops::{identity, sync};
use carryall_wire::shapes;
use carryall_wire::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use super::error::OperatorError;
use super::operator::{refused, run};
use crate::app::App;
use crate::config::check_pool_region;
use crate::effects::pool_check;

/// The number of identities that are counted at a time when a pool is deleted.
const IDENTITIES_PER_PAGE: usize = 1024;

/// A request about pools.
#[derive(Debug, Serialize, Deserialize)]
pub enum Verb {
    /// Create a pool, with an id of the operator's choice or a fresh one.
    Create {
        /// The id to use.
        id: Option<String>,
        /// The pool's name.
        name: String,
        /// True if the pool issues identities without a login.
        allow_guests: bool,
    },
    /// List all pools.
    List,
    /// Show a pool with its settings and usage.
    Show {
        /// The pool's id.
        id: String,
    },
    /// Delete a pool with all its data.
    Delete {
        /// The pool's id.
        id: String,
    },
    /// Check everything that a pool's settings name.
    Check {
        /// The pool's id.
        id: String,
    },
}

/// The result of a request about pools.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// The created pool.
    Created(shapes::IdentityPool),
    /// All pools.
    Listed(PoolList),
    /// One pool.
    Shown(Box<PoolShow>),
    /// The deleted pool.
    Deleted(PoolDeleted),
    /// The findings about a pool's settings.
    Checked(PoolCheck),
}

/// All pools.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolList {
    /// The pools in the order of their ids.
    pub identity_pools: Vec<PoolLine>,
}

/// A pool in the list.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolLine {
    /// The pool's id.
    pub identity_pool_id: String,
    /// The pool's name.
    pub identity_pool_name: String,
    /// True if the pool issues identities without a login.
    pub allow_unauthenticated_identities: bool,
}

/// One pool with its settings and usage.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolShow {
    /// The pool.
    #[serde(flatten)]
    pub pool: shapes::IdentityPool,
    /// The pool's role ARNs by kind of identity.
    pub roles: BTreeMap<String, String>,
    /// The pool's push settings.
    pub push_sync: Option<shapes::PushSync>,
    /// The pool's stream settings.
    pub cognito_streams: Option<shapes::CognitoStreams>,
    /// The functions by event.
    pub events: BTreeMap<String, String>,
    /// The totals of its datasets.
    pub usage: shapes::IdentityPoolUsage,
    /// The number of events that wait to be delivered.
    pub events_waiting: u64,
    /// The latest bulk publication.
    pub bulk_publish: Option<BulkPublishShow>,
    /// Members that are stored and returned, and have no effect in this version.
    pub not_in_effect: Vec<String>,
}

/// The state of a bulk publication.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BulkPublishShow {
    /// The status as in GetBulkPublishDetails.
    pub bulk_publish_status: String,
    /// The time at which it began.
    pub bulk_publish_start_time: String,
    /// The number of datasets published so far.
    pub datasets_published: u64,
    /// The reason if it failed.
    pub failure_message: Option<String>,
}

/// The findings about a pool's settings.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolCheck {
    /// The pool's id.
    pub identity_pool_id: String,
    /// The findings in the order of the checks.
    pub checks: Vec<CheckLine>,
}

/// One finding.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckLine {
    /// The checked action.
    pub what: String,
    /// The error; `None` if the action succeeded.
    pub trouble: Option<String>,
}

/// A deleted pool, and the amount of data deleted with it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolDeleted {
    /// The pool's id.
    pub identity_pool_id: String,
    /// The pool's name.
    pub identity_pool_name: String,
    /// The number of its identities.
    pub identity_count: u64,
    /// The bytes of its datasets.
    pub data_storage: u64,
}

/// Carries out `verb`.
pub(super) async fn execute(app: &App, verb: Verb) -> Result<Answer, OperatorError> {
    match verb {
        Verb::Create { id, name, allow_guests } => {
            create(app, id.as_deref(), &name, allow_guests).await.map(Answer::Created)
        }
        Verb::List => list(app).await.map(Answer::Listed),
        Verb::Show { id } => show(app, id).await.map(Answer::Shown),
        Verb::Delete { id } => delete(app, &id).await.map(Answer::Deleted),
        Verb::Check { id } => check(app, &id).await.map(Answer::Checked),
    }
}

/// Creates a pool with `id` or a fresh id.
pub(super) async fn create(
    app: &App,
    id: Option<&str>,
    name: &str,
    allow_guests: bool,
) -> Result<shapes::IdentityPool, OperatorError> {
    let region = &app.config.region;
    let id = match id {
        Some(id) => PoolId::parse(id),
        None => PoolId::parse(&format!("{region}:{}", app.clock.uuid())),
    };
    let id = id?;
    check_pool_region(&id, region)?;
    let settings = Settings { name: name.to_owned(), allow_guests, ..Settings::default() };
    let at = PoolRef { id: id.clone(), incarnation: app.clock.pool_incarnation() };
    let (changes, _) = create_identity_pool::decide(settings, at, app.clock.now()).map_err(refused)?;
    match app.state.commit(changes).await? {
        Committed::Done => {}
        Committed::Refused => return Err(format!("pool {id} exists already").into()),
    }
    let input = identity::describe_identity_pool::Input { identity_pool_id: Some(id.to_string()) };
    run::<identity::DescribeIdentityPool>(app, input).await
}

async fn list(app: &App) -> Result<PoolList, OperatorError> {
    let line = |pool: Pool| PoolLine {
        identity_pool_id: pool.at.id.to_string(),
        identity_pool_name: pool.name,
        allow_unauthenticated_identities: pool.allow_guests,
    };
    Ok(PoolList { identity_pools: app.state.pools(None, usize::MAX, line).await? })
}

async fn show(app: &App, id: String) -> Result<Box<PoolShow>, OperatorError> {
    let id = || Some(id.clone());
    let input = identity::describe_identity_pool::Input { identity_pool_id: id() };
    let pool = run::<identity::DescribeIdentityPool>(app, input).await?;
    let input = identity::get_identity_pool_roles::Input { identity_pool_id: id() };
    let roles = run::<identity::GetIdentityPoolRoles>(app, input).await?.roles;
    let input = sync::get_identity_pool_configuration::Input { identity_pool_id: id() };
    let configuration = run::<sync::GetIdentityPoolConfiguration>(app, input).await?;
    let input = sync::get_cognito_events::Input { identity_pool_id: id() };
    let events = run::<sync::GetCognitoEvents>(app, input).await?.events;
    let input = sync::describe_identity_pool_usage::Input { identity_pool_id: id() };
    let usage = run::<sync::DescribeIdentityPoolUsage>(app, input).await?.identity_pool_usage;
    let (events_waiting, bulk_publish) = waiting_and_published(app, &id().unwrap_or_default()).await?;
    Ok(Box::new(PoolShow {
        not_in_effect: not_in_effect(&pool),
        pool,
        roles,
        push_sync: configuration.push_sync,
        cognito_streams: configuration.cognito_streams,
        events,
        usage,
        events_waiting,
        bulk_publish,
    }))
}

/// The members that are stored and have no effect, because logins are not supported yet.
fn not_in_effect(pool: &shapes::IdentityPool) -> Vec<String> {
    let set = [
        ("SupportedLoginProviders", pool.supported_login_providers.is_some()),
        ("DeveloperProviderName", pool.developer_provider_name.is_some()),
        ("OpenIdConnectProviderARNs", pool.open_id_connect_provider_arns.is_some()),
        ("CognitoIdentityProviders", pool.cognito_identity_providers.is_some()),
        ("SamlProviderARNs", pool.saml_provider_arns.is_some()),
    ];
    set.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned()).collect()
}

/// The number of events waiting in the outbox for a pool, and its latest bulk publication.
async fn waiting_and_published(app: &App, id: &str) -> Result<(u64, Option<BulkPublishShow>), OperatorError> {
    let pool = existing(app, id).await?;
    let waiting = app.state.reads().pool_usage(&pool.at).await?.events_waiting;
    let bulk = app.state.reads().bulk_publish(&pool.at).await?.map(|bulk| {
        let (status, failure_message) = match bulk.status {
            BulkPublishStatus::InProgress => ("IN_PROGRESS", None),
            BulkPublishStatus::Succeeded => ("SUCCEEDED", None),
            BulkPublishStatus::Failed { message } => ("FAILED", Some(message)),
        };
        BulkPublishShow {
            bulk_publish_status: status.to_owned(),
            bulk_publish_start_time: Timestamp::from_unix_milliseconds(bulk.started.0).to_iso8601(),
            datasets_published: bulk.datasets,
            failure_message,
        }
    });
    Ok((waiting, bulk))
}

async fn existing(app: &App, id: &str) -> Result<Pool, OperatorError> {
    let id = PoolId::parse(id)?;
    let found = app.state.reads().pool(&id).await?;
    found.ok_or_else(|| format!("pool {id} does not exist").into())
}

async fn check(app: &App, id: &str) -> Result<PoolCheck, OperatorError> {
    let pool = existing(app, id).await?;
    let findings = pool_check::check(&app.outbound, &pool).await;
    let checks =
        findings.into_iter().map(|finding| CheckLine { what: finding.what, trouble: finding.trouble });
    Ok(PoolCheck { identity_pool_id: pool.at.id.to_string(), checks: checks.collect() })
}

async fn delete(app: &App, id: &str) -> Result<PoolDeleted, OperatorError> {
    let pool = existing(app, id).await?;
    let usage = app.state.reads().pool_usage(&pool.at).await?;
    let identity_count = count_identities(app, &pool.at).await?;
    let input = identity::delete_identity_pool::Input { identity_pool_id: Some(id.to_owned()) };
    run::<identity::DeleteIdentityPool>(app, input).await?;
    Ok(PoolDeleted {
        identity_pool_id: id.to_string(),
        identity_pool_name: pool.name,
        identity_count,
        data_storage: usage.data_bytes,
    })
}

async fn count_identities(app: &App, pool: &PoolRef) -> Result<u64, OperatorError> {
    let (mut identities, mut after) = (0, None);
    loop {
        let page = app.state.reads().identities(pool, after.as_ref(), IDENTITIES_PER_PAGE).await?;
        let Some(last) = page.last() else { return Ok(identities) };
        after = Some(last.at.identity.clone());
        identities += page.len() as u64;
        // A store that answers at once would keep this thread from all other tasks.
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::changes::{Changes, Write};
    use carryall_core::ids::{IdentityEpoch, IdentityId};
    use carryall_core::model::{Identity, IdentityRef};
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};
    use futures_util::FutureExt;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{self, Config};
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    #[tokio::test]
    async fn the_deletion_of_a_pool_lets_other_tasks_run_while_it_counts_identities() {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let config = Config::check(config::Settings::default()).unwrap();
        let clock = Clock::system();
        let (master, root) = (MasterKey::generate(&clock), RootKey::generate(&clock));
        let app = App::open(config, store, &master, root, clock).await.ok().unwrap();
        create(&app, Some("us-east-1:0"), "p", true).await.ok().unwrap();
        let pool = existing(&app, "us-east-1:0").await.ok().unwrap().at;
        let identity = IdentityId::parse("us-east-1:1").unwrap();
        let identity = Identity {
            at: IdentityRef { pool: pool.clone(), identity },
            epoch: IdentityEpoch::default(),
            created: UnixMillis(1),
            modified: UnixMillis(1),
        };
        let changes = Changes { expect: Vec::new(), write: vec![Write::PutIdentity(identity)] };
        assert!(app.state.commit(changes).await.unwrap().is_done());
        // The store in memory answers at once, so only the pause between pages leaves the count unfinished.
        assert!(count_identities(&app, &pool).now_or_never().is_none());
        assert_eq!(count_identities(&app, &pool).await.ok(), Some(1));
    }
}
