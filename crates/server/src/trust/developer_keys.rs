//! Developer keys: the root key, and those of the store, whose secrets are stored sealed and opened here.

use std::num::NonZeroUsize;
use std::time::Duration;

use carryall_core::ids::AccessKeyId;
use carryall_core::model::DeveloperKey;
use carryall_core::store::{Reads, StoreError};
use secrecy::{ExposeSecret, SecretString};

use crate::cache::Cache;
use crate::trust::root_key::RootKey;
use crate::trust::seal::{Purpose, Sealer};

/// The number of opened secrets kept in memory.
const SECRETS_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// The longest time for which an opened secret is used without reading its key again. A key that another node
/// revoked is refused here after at most this time.
const SECRET_AGE_MAX: Duration = Duration::from_secs(5);

/// The developer keys that requests may be signed with.
pub(super) struct DeveloperKeys {
    root: RootKey,
    secrets: Cache<AccessKeyId, SecretString>,
}

impl DeveloperKeys {
    pub(super) fn new(root: RootKey) -> Self {
        Self { root, secrets: Cache::new(SECRETS_COUNT_MAX, SECRET_AGE_MAX) }
    }

    /// The secret of the key, if the key exists.
    pub(super) async fn secret(
        &self,
        id: &AccessKeyId,
        store: &dyn Reads,
        sealer: &Sealer,
    ) -> Result<Option<SecretString>, StoreError> {
        if *id == self.root.access_key_id {
            return Ok(Some(self.root.secret.clone()));
        }
        let read = || async { store.key(id).await?.map(|key| open(sealer, &key)).transpose() };
        self.secrets.get_or_read(id, read).await
    }

    /// Drops the opened secret of a key that has changed.
    pub(super) fn forget(&self, id: &AccessKeyId) {
        self.secrets.forget([id]);
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
