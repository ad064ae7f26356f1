//! The operators' verbs as values: what is asked, done on an open store, and what comes of it. The same whether the
//! command line opened the store itself or a running server was asked; printing is the command line's.

use std::net::{IpAddr, Ipv4Addr};

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::ids::{AccessKeyId, PoolId};
use carryall_core::limits::POOLS_PER_PAGE_MAX;
use carryall_core::model::{Caller, DeveloperKey, PoolRef};
use carryall_core::rules::set_identity_pool::Settings;
use carryall_core::store::StoreError;
use carryall_wire::ops::{identity, sync};
use carryall_wire::shapes;
use carryall_wire::timestamp::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::call::Call;
use crate::config::{RootKey, check_pool_region};
use crate::error::Failure;
use crate::ops::Handler;
use crate::seal::Purpose;

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
    /// Members that are stored and echoed, and have no effect in this version.
    pub not_in_effect: Vec<String>,
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
        Verb::KeyCreate { description } => create_key(app, description).await.map(Answer::KeyCreated),
        Verb::KeyList => list_keys(app).await.map(Answer::Keys),
        Verb::KeyRevoke { id } => revoke_key(app, &id).await.map(Answer::KeyRevoked),
    }
}

/// Creates the pools of the settings that do not exist yet. One that exists is left as it is.
pub async fn seed_pools(app: &App) -> Result<(), String> {
    for seed in &app.config.pools {
        if app.store.pool(&seed.id).await.map_err(|error| error.to_string())?.is_none() {
            create_pool(app, Some(seed.id.as_str()), &seed.name, seed.allow_guests).await?;
            tracing::info!(pool = %seed.id, name = seed.name, "created a pool of the settings");
        }
    }
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
    let stored = [
        ("PushSync", configuration.push_sync.is_some()),
        ("CognitoStreams", configuration.cognito_streams.is_some()),
        ("Events", !events.is_empty()),
    ];
    let not_in_effect = stored.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned()).collect();
    Ok(Box::new(PoolShow {
        pool,
        roles,
        push_sync: configuration.push_sync,
        cognito_streams: configuration.cognito_streams,
        events,
        usage,
        not_in_effect,
    }))
}

async fn delete_pool(app: &App, id: &str) -> Result<PoolDeleted, String> {
    let id = PoolId::parse(id).map_err(|violation| violation.to_string())?;
    let store = |error: StoreError| error.to_string();
    let pool =
        app.store.pool(&id).await.map_err(store)?.ok_or_else(|| format!("pool {id} does not exist"))?;
    let usage = app.store.pool_usage(&pool.at).await.map_err(store)?;
    let (mut identity_count, mut after) = (0, None);
    loop {
        let page =
            app.store.identities(&pool.at, after.as_ref(), IDENTITIES_PER_PAGE).await.map_err(store)?;
        let Some(last) = page.last() else { break };
        after = Some(last.at.identity.clone());
        identity_count += page.len() as u64;
    }
    let input = identity::delete_identity_pool::Input { identity_pool_id: Some(id.to_string()) };
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
    let RootKey { access_key_id, secret } = RootKey::generate();
    let secret = secret.expose_secret();
    let key = DeveloperKey {
        id: access_key_id.clone(),
        sealed_secret: app.sealer.seal(Purpose::DeveloperSecret, secret.as_bytes().to_vec()),
        created: app.clock.now(),
        description: description.clone(),
    };
    let changes = Changes { expect: vec![Expect::NoKey(key.id.clone())], write: vec![Write::PutKey(key)] };
    app.commit(changes).await.map_err(|error| error.to_string())?;
    Ok(KeyCreated {
        access_key_id: access_key_id.to_string(),
        secret_access_key: secret.to_owned(),
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
