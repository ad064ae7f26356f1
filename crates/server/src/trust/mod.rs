//! Secrets and everything that is sealed or signed with them: developer keys, temporary credentials, identity
//! tokens, and tokens that callers return. No secret leaves this room, except those that are being issued.

pub mod credentials;
mod developer_keys;
#[cfg(test)]
mod fuzz_body;
pub mod identity_token;
pub mod root_key;
pub mod seal;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use carryall_core::caller::Caller;
use carryall_core::changes::{Changes, Expect, Setting, Write};
use carryall_core::ids::AccessKeyId;
use carryall_core::store::{Committed, Reads, Store, StoreError};
use carryall_wire::sigv4::{InScope, KeyCache, SigningKey};
use secrecy::SecretString;

use self::credentials::{Issued, Opened, Temporary};
use self::developer_keys::DeveloperKeys;
use self::identity_token::IdentityTokens;
use self::root_key::RootKey;
use self::seal::{MasterKey, Purpose, Sealer};
use crate::cache::Cache;
use crate::clock::Clock;

/// The plain text of the value that checks the master key.
const MASTER_KEY_CHECK: &[u8] = b"carryall";
/// The number of opened session tokens of temporary credentials kept in memory.
const CREDENTIALS_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// The longest time for which an opened session token is kept. Its contents never change, but most have
/// expired by then.
const CREDENTIALS_AGE_MAX: Duration = Duration::from_hours(1);

/// The keys of the installation and the values that they seal and sign.
pub struct Trust {
    /// The store, for reading developer keys only.
    store: Arc<dyn Reads>,
    sealer: Sealer,
    /// Identity tokens of the classic flow.
    pub identity_tokens: IdentityTokens,
    developer_keys: DeveloperKeys,
    signing_keys: KeyCache,
    credentials: Cache<String, Arc<Opened>>,
}

/// The reasons why a store cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The store's secrets were sealed under another master key.
    WrongMasterKey,
    /// The store failed.
    Store(StoreError),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WrongMasterKey => {
                f.write_str("the master key is not the one that this store was created with")
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl Trust {
    /// Derives the keys of the installation from `master`, and checks that the store belongs to it. A new
    /// store is marked as belonging to it.
    pub async fn open(
        store: Arc<dyn Store>,
        master: &MasterKey,
        root: RootKey,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let sealer = Sealer::new(master, clock);
        check_master_key(&*store, &sealer).await?;
        Ok(Self {
            store,
            identity_tokens: IdentityTokens::new(&sealer),
            sealer,
            developer_keys: DeveloperKeys::new(root),
            signing_keys: KeyCache::default(),
            credentials: Cache::new(CREDENTIALS_COUNT_MAX, CREDENTIALS_AGE_MAX),
        })
    }

    /// The signing key of a developer key in this scope, if the developer key exists.
    pub async fn developer_signing_key(
        &self,
        id: &AccessKeyId,
        in_scope: &InScope<'_>,
    ) -> Result<Option<Arc<SigningKey>>, StoreError> {
        let secret = self.developer_secret(id).await?;
        Ok(secret.map(|secret| self.signing_keys.signing_key(in_scope, &secret)))
    }

    /// The temporary credentials of a session token, expired or not, and their signing key in this scope.
    /// `None` if this installation did not issue the token, or not together with the key id `id`.
    pub fn temporary_signing_key(
        &self,
        id: &AccessKeyId,
        token: &str,
        in_scope: &InScope<'_>,
    ) -> Option<(Arc<Opened>, Arc<SigningKey>)> {
        let opened = self.opened(token)?;
        if !opened.belongs_to(id) {
            return None;
        }
        let key = self.signing_keys.signing_key(in_scope, &opened.secret);
        Some((opened, key))
    }

    /// True if the caller's key still exists. Temporary credentials are valid until they expire, which the
    /// caller of this function checks.
    pub async fn still_stands(&self, caller: &Caller) -> Result<bool, StoreError> {
        match caller {
            Caller::Developer { key } => Ok(self.developer_secret(key).await?.is_some()),
            Caller::Identity { .. } => Ok(true),
        }
    }

    /// Drops everything derived from a developer key that has changed.
    pub fn forget(&self, key: &AccessKeyId) {
        self.developer_keys.forget(key);
        self.signing_keys.forget(key.as_str());
    }

    /// Issues temporary credentials.
    pub fn issue(&self, temporary: &Temporary) -> Issued {
        credentials::issue(&self.sealer, temporary)
    }

    /// The sealed form of a developer's secret, for the store.
    pub fn seal_developer_secret(&self, secret: &SecretString) -> Vec<u8> {
        developer_keys::seal(&self.sealer, secret)
    }

    /// Seals a sync session into the token that the caller will return.
    pub fn seal_sync_session(&self, session: Vec<u8>) -> String {
        self.sealer.seal_text(Purpose::SyncSession, session)
    }

    /// Opens a sync session token; `None` unless this installation sealed it.
    pub fn open_sync_session(&self, token: &str) -> Option<Vec<u8>> {
        self.sealer.open_text(Purpose::SyncSession, token)
    }

    /// Seals the position where a listing continues into a page token.
    pub fn seal_page(&self, page: Vec<u8>) -> String {
        self.sealer.seal_text(Purpose::Page, page)
    }

    /// Opens a page token; `None` unless this installation sealed it.
    pub fn open_page(&self, token: &str) -> Option<Vec<u8>> {
        self.sealer.open_text(Purpose::Page, token)
    }

    async fn developer_secret(&self, id: &AccessKeyId) -> Result<Option<SecretString>, StoreError> {
        self.developer_keys.secret(id, &*self.store, &self.sealer).await
    }

    fn opened(&self, token: &str) -> Option<Arc<Opened>> {
        self.credentials.get_or_make(token, || credentials::open(&self.sealer, token).map(Arc::new))
    }
}

async fn check_master_key(store: &dyn Store, sealer: &Sealer) -> Result<(), OpenError> {
    let setting = Setting::MasterKeyCheck;
    if store.setting(setting).await.map_err(OpenError::Store)?.is_none() {
        let sealed = sealer.seal(Purpose::MasterKeyCheck, MASTER_KEY_CHECK.to_vec());
        let changes = Changes {
            expect: vec![Expect::NoSetting(setting)],
            write: vec![Write::PutSetting(setting, sealed)],
        };
        match store.commit(changes).await.map_err(OpenError::Store)? {
            // Another node may have been quicker; its value is checked like any other.
            Committed::Done | Committed::Refused => {}
        }
    }
    let sealed = store.setting(setting).await.map_err(OpenError::Store)?.unwrap_or_default();
    match sealer.open(Purpose::MasterKeyCheck, &sealed) {
        Some(plain) if plain == MASTER_KEY_CHECK => Ok(()),
        Some(_) | None => Err(OpenError::WrongMasterKey),
    }
}
