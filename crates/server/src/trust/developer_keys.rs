//! Developer keys: the root key, and those of the store, whose secrets are kept sealed there and opened here.

use std::num::NonZeroUsize;

use carryall_core::ids::AccessKeyId;
use carryall_core::model::DeveloperKey;
use carryall_core::store::{Store, StoreError};
use lru::LruCache;
use secrecy::{ExposeSecret, SecretString};

use crate::lock::Lock;
use crate::trust::root_key::RootKey;
use crate::trust::seal::{Purpose, Sealer};

/// Secrets kept opened in memory.
const SECRETS_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// The developer keys that requests may be signed with.
pub(super) struct DeveloperKeys {
    root: RootKey,
    secrets: Lock<Secrets>,
}

struct Secrets {
    opened: LruCache<AccessKeyId, SecretString>,
    /// Raised by every commit that touches a key: a secret read before such a commit must not enter after it.
    changes: u64,
}

impl DeveloperKeys {
    pub(super) fn new(root: RootKey) -> Self {
        let secrets = Secrets { opened: LruCache::new(SECRETS_COUNT_MAX), changes: 0 };
        Self { root, secrets: Lock::new(secrets) }
    }

    /// The secret of the key, if the key exists.
    pub(super) async fn secret(
        &self,
        id: &AccessKeyId,
        store: &dyn Store,
        sealer: &Sealer,
    ) -> Result<Option<SecretString>, StoreError> {
        if *id == self.root.access_key_id {
            return Ok(Some(self.root.secret.clone()));
        }
        let seen = {
            let mut secrets = self.secrets.lock();
            if let Some(secret) = secrets.opened.get(id) {
                return Ok(Some(secret.clone()));
            }
            secrets.changes
        };
        let Some(key) = store.key(id).await? else { return Ok(None) };
        let secret = open(sealer, &key)?;
        let mut secrets = self.secrets.lock();
        if secrets.changes == seen {
            secrets.opened.put(id.clone(), secret.clone());
        }
        Ok(Some(secret))
    }

    /// Drops the opened secret of a key that has changed.
    pub(super) fn forget(&self, id: &AccessKeyId) {
        let mut secrets = self.secrets.lock();
        secrets.changes += 1;
        secrets.opened.pop(id);
    }
}

/// The sealed form of a secret, as the store keeps it.
pub(super) fn seal(sealer: &Sealer, secret: &SecretString) -> Vec<u8> {
    sealer.seal(Purpose::DeveloperSecret, secret.expose_secret().as_bytes().to_vec())
}

fn open(sealer: &Sealer, key: &DeveloperKey) -> Result<SecretString, StoreError> {
    sealer
        .open(Purpose::DeveloperSecret, &key.sealed_secret)
        .and_then(|plain| String::from_utf8(plain).ok())
        .map(SecretString::from)
        .ok_or_else(|| StoreError::Corrupt { what: format!("the sealed secret of key {}", key.id) })
}
