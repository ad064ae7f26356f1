//! Commands about developer keys.

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::ids::AccessKeyId;
use carryall_core::model::DeveloperKey;
use carryall_core::store::Committed;
use carryall_wire::timestamp::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::error::OperatorError;
use crate::app::App;
use crate::trust::root_key::RootKey;

/// The longest description of a key, in characters.
const DESCRIPTION_CHARS_MAX: usize = 256;

/// A request about developer keys.
#[derive(Debug, Serialize, Deserialize)]
pub enum Verb {
    /// Create a key.
    Create {
        /// The operator's description of the key.
        description: String,
    },
    /// List the keys of the store, without the root key.
    List,
    /// Delete a key.
    Revoke {
        /// The key's id.
        id: String,
    },
}

/// The result of a request about developer keys.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// The created key; its secret is shown only here.
    Created(KeyCreated),
    /// All keys.
    Listed(KeyList),
    /// The deleted key.
    Revoked(KeyRevoked),
}

/// A created key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyCreated {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The operator's description.
    pub description: String,
}

/// All developer keys of the store.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyList {
    /// The keys in the order of their ids.
    pub access_keys: Vec<KeyLine>,
}

/// A key in the list.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyLine {
    /// The access key id.
    pub access_key_id: String,
    /// The time of its creation.
    pub create_date: String,
    /// The operator's description.
    pub description: String,
}

/// A deleted key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyRevoked {
    /// The access key id.
    pub access_key_id: String,
}

/// Carries out `verb`.
pub(super) async fn execute(app: &App, verb: Verb) -> Result<Answer, OperatorError> {
    match verb {
        Verb::Create { description } => create(app, description).await.map(Answer::Created),
        Verb::List => list(app).await.map(Answer::Listed),
        Verb::Revoke { id } => revoke(app, &id).await.map(Answer::Revoked),
    }
}

async fn create(app: &App, description: String) -> Result<KeyCreated, OperatorError> {
    if description.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(format!("the description is longer than {DESCRIPTION_CHARS_MAX} characters").into());
    }
    let RootKey { access_key_id, secret } = RootKey::generate(&app.clock);
    let key = DeveloperKey {
        id: access_key_id.clone(),
        sealed_secret: app.trust.seal_developer_secret(&secret),
        created: app.clock.now(),
        description: description.clone(),
    };
    let changes = Changes { expect: vec![Expect::NoKey(key.id.clone())], write: vec![Write::PutKey(key)] };
    match app.state.commit(changes).await? {
        Committed::Done => {}
        Committed::Refused => return Err(format!("key {access_key_id} exists already; try again").into()),
    }
    Ok(KeyCreated {
        access_key_id: access_key_id.to_string(),
        secret_access_key: secret.expose_secret().to_owned(),
        description,
    })
}

async fn list(app: &App) -> Result<KeyList, OperatorError> {
    let keys = app.state.reads().keys().await?;
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

async fn revoke(app: &App, id: &str) -> Result<KeyRevoked, OperatorError> {
    let id = AccessKeyId::parse(id)?;
    if app.state.reads().key(&id).await?.is_none() {
        return Err(format!("key {id} does not exist in the store; the root key is not kept there").into());
    }
    let changes = Changes { expect: Vec::new(), write: vec![Write::RemoveKey(id.clone())] };
    match app.state.commit(changes).await? {
        // A removal expects nothing, so it is never refused.
        Committed::Done | Committed::Refused => {}
    }
    Ok(KeyRevoked { access_key_id: id.to_string() })
}
