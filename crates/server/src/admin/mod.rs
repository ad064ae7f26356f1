//! The operators' verbs as values: what is asked, done on an open store, and what comes of it. The same whether the
//! command line opened the store itself or a running server was asked; printing is the command line's.

pub mod control;
mod outbox;

use std::net::{IpAddr, Ipv4Addr};

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::ids::{AccessKeyId, PoolId};
use carryall_core::limits::POOLS_PER_PAGE_MAX;
use carryall_core::model::{BulkPublishStatus, Caller, DeveloperKey, Pool, PoolRef};
use carryall_core::rules::set_identity_pool::Settings;
use carryall_core::rules::set_identity_pool_configuration;
use carryall_core::store::StoreError;
use carryall_wire::ops::{identity, sync};
use carryall_wire::shapes;
use carryall_wire::timestamp::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::config::{PoolSeed, check_pool_region};
use crate::effects::pool_check;
use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;
use crate::trust::root_key::RootKey;

/// Longest description of a key, in characters.
const DESCRIPTION_CHARS_MAX: usize = 256;
/// Identities that are counted at a time when a pool is deleted.
const IDENTITIES_PER_PAGE: usize = 1024;

/// What an operator asks for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Verb {
    /// Create a pool, with an id of the operator's choice or a fresh one.
    PoolCreate {
        /// The id to use.
        id: Option<String>,
        /// What to call it.
        name: String,
        /// Whether identities without a login are handed out.
        allow_guests: bool,
    },
    /// List all pools.
    PoolList,
    /// Show a pool with its settings and usage.
    PoolShow {
        /// Which.
        id: String,
    },
    /// Delete a pool with all its data.
    PoolDelete {
        /// Which.
        id: String,
    },
    /// Try everything that a pool's settings name.
    PoolCheck {
        /// Which.
        id: String,
    },
    /// List the parked lanes of the outbox.
    OutboxList,
    /// Deliver once more what is parked: one lane by the id of its first event, or every one.
    OutboxRetry {
        /// The event; `None` for all.
        event: Option<String>,
    },
    /// Drop the first event of a parked lane.
    OutboxDrop {
        /// The event.
        event: String,
    },
    /// Create a developer key.
    KeyCreate {
        /// A note about it.
        description: String,
    },
    /// List the developer keys of the store; the root key is not among them.
    KeyList,
    /// Delete a developer key.
    KeyRevoke {
        /// Which.
        id: String,
    },
}

/// What came of it, in AWS's member names. Not printable by `Debug`: one case carries a secret.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// The created pool.
    PoolCreated(shapes::IdentityPool),
    /// All pools.
    Pools(PoolList),
    /// One pool.
    Pool(Box<PoolShow>),
    /// What was deleted.
    PoolDeleted(PoolDeleted),
    /// What was tried.
    PoolChecked(PoolCheck),
    /// What is parked.
    Outbox(OutboxList),
    /// Lanes that go on.
    OutboxRetried(OutboxRetried),
    /// The dropped event.
    OutboxDropped(OutboxDropped),
    /// The created key, the only time that its secret is shown.
    KeyCreated(KeyCreated),
    /// All keys.
    Keys(KeyList),
    /// The deleted key.
    KeyRevoked(KeyRevoked),
}

/// All pools.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolList {
    /// In the order of their ids.
    pub identity_pools: Vec<PoolLine>,
}

/// One pool of the list.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolLine {
    /// Its id.
    pub identity_pool_id: String,
    /// What it is called.
    pub identity_pool_name: String,
    /// Whether identities without a login are handed out.
    pub allow_unauthenticated_identities: bool,
}

/// One pool with its settings and usage.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolShow {
    /// The pool.
    #[serde(flatten)]
    pub pool: shapes::IdentityPool,
    /// Its roles by kind of identity.
    pub roles: std::collections::BTreeMap<String, String>,
    /// Its push settings.
    pub push_sync: Option<shapes::PushSync>,
    /// Its stream settings.
    pub cognito_streams: Option<shapes::CognitoStreams>,
    /// Functions by event.
    pub events: std::collections::BTreeMap<String, String>,
    /// What its datasets amount to.
    pub usage: shapes::IdentityPoolUsage,
    /// Events that wait to be delivered.
    pub events_waiting: u64,
    /// Its latest bulk publication.
    pub bulk_publish: Option<BulkPublishShow>,
    /// Members that are stored and echoed, and have no effect in this version.
    pub not_in_effect: Vec<String>,
}

/// How far a bulk publication has come.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BulkPublishShow {
    /// As GetBulkPublishDetails says it.
    pub bulk_publish_status: String,
    /// When it began.
    pub bulk_publish_start_time: String,
    /// Datasets published so far.
    pub datasets_published: u64,
    /// Why it failed.
    pub failure_message: Option<String>,
}

/// What was tried of a pool's settings.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolCheck {
    /// The pool.
    pub identity_pool_id: String,
    /// In the order in which they were tried.
    pub checks: Vec<CheckLine>,
}

/// One thing that was tried.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckLine {
    /// What.
    pub what: String,
    /// What is wrong; nothing if it worked.
    pub trouble: Option<String>,
}

/// What is parked in the outbox.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutboxList {
    /// Parked lanes, by pool, identity, dataset and destination.
    pub parked: Vec<ParkedLine>,
    /// Whether there are more than are listed.
    pub more: bool,
}

/// One parked lane.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ParkedLine {
    /// Its first event.
    pub event_id: String,
    /// Events that wait in it, the first included.
    pub events: u64,
    /// Since when.
    pub parked: String,
    /// Whether it goes on by itself once streaming is switched on again.
    pub switched_off: bool,
    /// Deliveries of the first event that failed.
    pub attempts: u32,
    /// Why the last one failed.
    pub trouble: String,
}

/// Lanes that are delivered from again.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutboxRetried {
    /// How many.
    pub lanes: u64,
}

/// An event that is gone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutboxDropped {
    /// Which.
    pub event_id: String,
}

/// A pool that is gone, and what went with it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PoolDeleted {
    /// Its id.
    pub identity_pool_id: String,
    /// What it was called.
    pub identity_pool_name: String,
    /// Identities that it had handed out.
    pub identity_count: u64,
    /// Bytes of its datasets.
    pub data_storage: u64,
}

/// A fresh key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyCreated {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// The operator's note.
    pub description: String,
}

/// All developer keys of the store.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyList {
    /// In the order of their ids.
    pub access_keys: Vec<KeyLine>,
}

/// One key of the list.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyLine {
    /// The public half.
    pub access_key_id: String,
    /// When it was made.
    pub create_date: String,
    /// The operator's note.
    pub description: String,
}

/// A key that is gone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyRevoked {
    /// Which.
    pub access_key_id: String,
}

/// Does what `verb` asks, or says in one line why not.
pub async fn execute(app: &App, verb: Verb) -> Result<Answer, String> {
    match verb {
        Verb::PoolCreate { id, name, allow_guests } => {
            create_pool(app, id.as_deref(), &name, allow_guests).await.map(Answer::PoolCreated)
        }
        Verb::PoolList => list_pools(app).await.map(Answer::Pools),
        Verb::PoolShow { id } => show_pool(app, id).await.map(Answer::Pool),
        Verb::PoolDelete { id } => delete_pool(app, &id).await.map(Answer::PoolDeleted),
        Verb::PoolCheck { id } => check_pool(app, &id).await.map(Answer::PoolChecked),
        Verb::OutboxList => outbox::list(app).await.map(Answer::Outbox),
        Verb::OutboxRetry { event } => outbox::retry(app, event.as_deref())
            .await
            .map(|lanes| Answer::OutboxRetried(OutboxRetried { lanes })),
        Verb::OutboxDrop { event } => outbox::drop_event(app, &event)
            .await
            .map(|event_id| Answer::OutboxDropped(OutboxDropped { event_id })),
        Verb::KeyCreate { description } => create_key(app, description).await.map(Answer::KeyCreated),
        Verb::KeyList => list_keys(app).await.map(Answer::Keys),
        Verb::KeyRevoke { id } => revoke_key(app, &id).await.map(Answer::KeyRevoked),
    }
}

/// Creates the pools of the settings that do not exist yet, and sets what the settings state of push, streams and
/// events. Everything else of a pool that exists is left as it is.
pub async fn seed_pools(app: &App) -> Result<(), String> {
    for seed in &app.config.pools {
        if app.store.pool(&seed.id).await.map_err(|error| error.to_string())?.is_none() {
            create_pool(app, Some(seed.id.as_str()), &seed.name, seed.allow_guests).await?;
            tracing::info!(pool = %seed.id, name = seed.name, "created a pool of the settings");
        }
        state_effects(app, seed).await?;
    }
    Ok(())
}

async fn state_effects(app: &App, seed: &PoolSeed) -> Result<(), String> {
    let stored = app.store.pool(&seed.id).await.map_err(|error| error.to_string())?;
    let Some(before) = stored else { return Ok(()) };
    if before.name != seed.name || before.allow_guests != seed.allow_guests {
        tracing::warn!(pool = %seed.id, "name and allow_guests of a pool that exists are left as they are; the settings say otherwise");
    }
    let mut pool = before.clone();
    set_identity_pool_configuration::apply(&mut pool, seed.push.clone(), seed.streams.clone());
    if let Some(events) = &seed.events {
        pool.events.clone_from(events);
        pool.events.retain(|_, function| !function.is_empty());
    }
    if pool == before {
        pool_check::check_in_background(app, pool);
        return Ok(());
    }
    pool.version = before.version.next();
    let expect = vec![Expect::PoolVersion(before.at, before.version)];
    let checked = pool.clone();
    let write = vec![Write::PutPool(Box::new(pool))];
    app.commit(Changes { expect, write }).await.map_err(|error| error.to_string())?;
    pool_check::check_in_background(app, checked);
    tracing::info!(pool = %seed.id, "push, streams and events were set as the settings state them");
    Ok(())
}

async fn create_pool(
    app: &App,
    id: Option<&str>,
    name: &str,
    allow_guests: bool,
) -> Result<shapes::IdentityPool, String> {
    let region = &app.config.region;
    let id = match id {
        Some(id) => PoolId::parse(id),
        None => PoolId::parse(&format!("{region}:{}", app.clock.uuid())),
    };
    let id = id.map_err(|violation| violation.to_string())?;
    check_pool_region(&id, region)?;
    let settings = Settings { name: name.to_owned(), allow_guests, ..Settings::default() };
    settings.check().map_err(|violation| violation.to_string())?;
    let at = PoolRef { id: id.clone(), incarnation: app.clock.pool_incarnation() };
    let pool = settings.create(at, app.clock.now());
    let changes =
        Changes { expect: vec![Expect::NoPool(id.clone())], write: vec![Write::PutPool(Box::new(pool))] };
    match app.commit(changes).await {
        Ok(()) => {}
        Err(StoreError::Conflict) => return Err(format!("pool {id} exists already")),
        Err(error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. })) => {
            return Err(error.to_string());
        }
    }
    let input = identity::describe_identity_pool::Input { identity_pool_id: Some(id.to_string()) };
    run::<identity::DescribeIdentityPool>(app, input).await
}

async fn list_pools(app: &App) -> Result<PoolList, String> {
    let mut identity_pools: Vec<PoolLine> = Vec::new();
    let mut after: Option<PoolId> = None;
    loop {
        let page = app.store.pools(after.as_ref(), POOLS_PER_PAGE_MAX as usize).await;
        let page = page.map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { return Ok(PoolList { identity_pools }) };
        after = Some(last.at.id.clone());
        identity_pools.extend(page.into_iter().map(|pool| PoolLine {
            identity_pool_id: pool.at.id.to_string(),
            identity_pool_name: pool.name,
            allow_unauthenticated_identities: pool.allow_guests,
        }));
    }
}

async fn show_pool(app: &App, id: String) -> Result<Box<PoolShow>, String> {
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
    let (events_waiting, bulk_publish) = outbox_of(app, &id().unwrap_or_default()).await?;
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

/// The members that are set and do nothing: logins are not built yet.
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

/// What waits in the outbox for a pool, and its latest bulk publication.
async fn outbox_of(app: &App, id: &str) -> Result<(u64, Option<BulkPublishShow>), String> {
    let pool = existing_pool(app, id).await?;
    let store = |error: StoreError| error.to_string();
    let waiting = app.store.pool_usage(&pool.at).await.map_err(store)?.events_waiting;
    let bulk = app.store.bulk_publish(&pool.at).await.map_err(store)?.map(|bulk| {
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

async fn existing_pool(app: &App, id: &str) -> Result<Pool, String> {
    let id = PoolId::parse(id).map_err(|violation| violation.to_string())?;
    let found = app.store.pool(&id).await.map_err(|error| error.to_string())?;
    found.ok_or_else(|| format!("pool {id} does not exist"))
}

async fn check_pool(app: &App, id: &str) -> Result<PoolCheck, String> {
    let pool = existing_pool(app, id).await?;
    let findings = pool_check::check(&app.outbound, &pool).await;
    let checks =
        findings.into_iter().map(|finding| CheckLine { what: finding.what, trouble: finding.trouble });
    Ok(PoolCheck { identity_pool_id: pool.at.id.to_string(), checks: checks.collect() })
}

async fn delete_pool(app: &App, id: &str) -> Result<PoolDeleted, String> {
    let store = |error: StoreError| error.to_string();
    let pool = existing_pool(app, id).await?;
    let usage = app.store.pool_usage(&pool.at).await.map_err(store)?;
    let (mut identity_count, mut after) = (0, None);
    loop {
        let page =
            app.store.identities(&pool.at, after.as_ref(), IDENTITIES_PER_PAGE).await.map_err(store)?;
        let Some(last) = page.last() else { break };
        after = Some(last.at.identity.clone());
        identity_count += page.len() as u64;
    }
    let input = identity::delete_identity_pool::Input { identity_pool_id: Some(id.to_owned()) };
    run::<identity::DeleteIdentityPool>(app, input).await?;
    Ok(PoolDeleted {
        identity_pool_id: id.to_string(),
        identity_pool_name: pool.name,
        identity_count,
        data_storage: usage.data_bytes,
    })
}

async fn create_key(app: &App, description: String) -> Result<KeyCreated, String> {
    if description.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(format!("the description is longer than {DESCRIPTION_CHARS_MAX} characters"));
    }
    let RootKey { access_key_id, secret } = RootKey::generate(&app.clock);
    let key = DeveloperKey {
        id: access_key_id.clone(),
        sealed_secret: app.trust.seal_developer_secret(&secret),
        created: app.clock.now(),
        description: description.clone(),
    };
    let changes = Changes { expect: vec![Expect::NoKey(key.id.clone())], write: vec![Write::PutKey(key)] };
    app.commit(changes).await.map_err(|error| error.to_string())?;
    Ok(KeyCreated {
        access_key_id: access_key_id.to_string(),
        secret_access_key: secret.expose_secret().to_owned(),
        description,
    })
}

async fn list_keys(app: &App) -> Result<KeyList, String> {
    let keys = app.store.keys().await.map_err(|error| error.to_string())?;
    let access_keys = keys
        .into_iter()
        .map(|key| KeyLine {
            access_key_id: key.id.to_string(),
            create_date: Timestamp::from_unix_milliseconds(key.created.0).to_iso8601(),
            description: key.description,
        })
        .collect();
    Ok(KeyList { access_keys })
}

async fn revoke_key(app: &App, id: &str) -> Result<KeyRevoked, String> {
    let id = AccessKeyId::parse(id).map_err(|violation| violation.to_string())?;
    if app.store.key(&id).await.map_err(|error| error.to_string())?.is_none() {
        return Err(format!("key {id} does not exist in the store; the root key is not kept there"));
    }
    let changes = Changes { expect: Vec::new(), write: vec![Write::RemoveKey(id.clone())] };
    app.commit(changes).await.map_err(|error| error.to_string())?;
    Ok(KeyRevoked { access_key_id: id.to_string() })
}

/// The key id that stands for the operator, who signs nothing.
#[expect(clippy::expect_used, reason = "sixteen letters are a key id")]
fn operator() -> AccessKeyId {
    AccessKeyId::parse("CARRYALLOPERATOR").expect("the operator's key id is valid")
}

/// Does an operation of the API as the operator, who may do everything.
async fn run<O: Handler>(app: &App, input: O::Input) -> Result<O::Output, String> {
    let call = Call {
        app,
        caller: Some(Caller::Developer { key: operator() }),
        now: app.clock.now(),
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    O::handle(&call, input).await.map_err(|failure| match failure {
        // An operator may know the cause that callers are not told.
        Failure::Store(error) => error.to_string(),
        other => other.fault(O::SPEC.service, Some(&O::SPEC)).message,
    })
}
