//! What the program keeps: pools and their settings, identities, datasets, records, developer keys. Plain values
//! without any stored or wire form; stores and codecs give them theirs.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{
    AccessKeyId, DatasetName, DeviceId, Generation, IdentityEpoch, IdentityId, PoolId, PoolIncarnation,
    RecordKey, SessionId, SyncCount, Version,
};
use crate::limits::USED_SESSIONS_MAX;
use crate::time::UnixMillis;

/// A pool, told apart from earlier pools of the same id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolRef {
    /// The pool's id.
    pub id: PoolId,
    /// Which life of that id is meant.
    pub incarnation: PoolIncarnation,
}

/// An identity of one pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityRef {
    /// The pool.
    pub pool: PoolRef,
    /// The identity within it.
    pub identity: IdentityId,
}

/// A dataset name of one identity, whether or not such a dataset exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetRef {
    /// Whose dataset it is.
    pub owner: IdentityRef,
    /// Its name.
    pub name: DatasetName,
}

/// What is kept for a dataset name that was ever used: its counts, and its life while it exists.
///
/// The head outlives the dataset, so that counts go on after deletion (`docs/protocol.md` section 7.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How often the name has been deleted.
    pub generation: Generation,
    /// The count of the last update or deletion.
    pub sync_count: SyncCount,
    /// The count that the last deletion took; zero if there was none.
    pub deleted_at: SyncCount,
    /// The sync sessions of this generation that were used up, oldest first.
    pub used_sessions: UsedSessions,
    /// The dataset itself; `None` while it is deleted.
    pub life: Option<Life>,
}

/// A dataset that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// When this life of the dataset began.
    pub created: UnixMillis,
    /// When it was last changed.
    pub modified: UnixMillis,
    /// Who changed it last.
    pub modified_by: Writer,
    /// Records that have a value.
    pub records: u32,
    /// Tombstones: markers of records that were removed.
    pub tombstones: u32,
    /// UTF-8 bytes of the tombstones' keys; `None` if the head was stored before they were counted.
    pub tombstone_key_bytes: Option<u64>,
    /// The highest count of a tombstone that was forgotten; zero if none was (`docs/protocol.md` section 7.7).
    pub tombstones_forgotten_through: SyncCount,
    /// UTF-8 bytes of the keys and values of records that have a value.
    pub data_bytes: u64,
}

/// Who wrote a record, as clients are told: a device id, an identity id or an account id.
pub type Writer = std::sync::Arc<str>;

/// The last few sync sessions that were used up, oldest first (`docs/protocol.md` section 7.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedSessions(VecDeque<SessionId>);

impl UsedSessions {
    /// Whether `session` is remembered as used up.
    pub fn contains(&self, session: SessionId) -> bool {
        self.0.contains(&session)
    }

    /// Remembers `session`, forgetting the oldest beyond [`USED_SESSIONS_MAX`].
    pub fn push(&mut self, session: SessionId) {
        if self.0.len() >= USED_SESSIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(session);
    }

    /// The remembered sessions, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SessionId> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<SessionId> for UsedSessions {
    fn from_iter<I: IntoIterator<Item = SessionId>>(sessions: I) -> Self {
        let mut used = Self::default();
        sessions.into_iter().for_each(|session| used.push(session));
        used
    }
}

/// One record as a client sees it. Without a value it is the marker of a removed record
/// (`docs/protocol.md` section 7.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's key.
    pub key: RecordKey,
    /// Its value; `None` once removed. The empty string is a value.
    pub value: Option<String>,
    /// The dataset's count as of the record's last change.
    pub sync_count: SyncCount,
    /// When the server took the last change.
    pub modified: UnixMillis,
    /// Who made it.
    pub modified_by: Writer,
    /// When the device says it made the change.
    pub device_modified: UnixMillis,
}

impl Record {
    /// What the record adds to its dataset's size: nothing once removed (`docs/protocol.md` section 6.3).
    pub fn data_bytes(&self) -> u64 {
        self.value.as_ref().map_or(0, |value| (self.key.as_str().len() + value.len()) as u64)
    }

    /// What a decision needs to know of it.
    pub fn stub(&self) -> RecordStub {
        RecordStub {
            sync_count: self.sync_count,
            data_bytes: self.data_bytes(),
            removed: self.value.is_none(),
        }
    }
}

/// The part of a stored record that decisions need: everything but its key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordStub {
    /// The record's count.
    pub sync_count: SyncCount,
    /// Its size as [`Record::data_bytes`] counts it.
    pub data_bytes: u64,
    /// Whether it is the marker of a removed record.
    pub removed: bool,
}

/// What one identity holds, as far as creating and deleting datasets is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Raised by every creation and deletion of a dataset.
    pub version: Version,
    /// Datasets that exist.
    pub datasets: u32,
    /// Deleted names whose heads are kept.
    pub deleted_names: u32,
    /// From where names go on counting whose heads are no longer kept.
    pub floor: Floor,
}

/// Where a name without a head starts: at zero, or above whatever the dropped heads of this identity had reached
/// (`docs/protocol.md` section 7.10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// At least as high as the count of every dropped head.
    pub sync_count: SyncCount,
    /// At least as high as the generation of every dropped head.
    pub generation: Generation,
}

impl Floor {
    /// The head of a name that has none: deleted at the floor, or never used if the floor is zero.
    pub fn head(self) -> Head {
        Head {
            generation: self.generation,
            sync_count: self.sync_count,
            deleted_at: self.sync_count,
            used_sessions: UsedSessions::default(),
            life: None,
        }
    }

    /// The floor after the head at `sync_count` and `generation` is dropped.
    #[must_use]
    pub fn raised(self, sync_count: SyncCount, generation: Generation) -> Self {
        Self { sync_count: self.sync_count.max(sync_count), generation: self.generation.max(generation) }
    }
}

/// An identity pool: a directory of identities and the settings of their data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Id and incarnation.
    pub at: PoolRef,
    /// Raised by every change of the pool's settings.
    pub version: Version,
    /// When the pool was created.
    pub created: UnixMillis,
    /// What the operator calls it.
    pub name: String,
    /// Whether identities without a login are handed out.
    pub allow_guests: bool,
    /// Whether the classic flow is allowed; counts as allowed when it was never said.
    pub allow_classic_flow: Option<bool>,
    /// Login providers and their application ids.
    pub login_providers: BTreeMap<String, String>,
    /// The name under which a backend vouches for its own users.
    pub developer_provider: Option<String>,
    /// OpenID Connect providers, as ARNs.
    pub open_id_providers: Vec<String>,
    /// SAML providers, as ARNs.
    pub saml_providers: Vec<String>,
    /// User pools whose tokens count as logins.
    pub user_pools: Vec<UserPoolProvider>,
    /// The operator's own labels.
    pub tags: BTreeMap<String, String>,
    /// Roles by kind of identity (`authenticated`, `unauthenticated`); stored and echoed, never required.
    pub roles: BTreeMap<String, String>,
    /// Role mappings by provider, as JSON text; stored and echoed.
    pub role_mappings: Option<String>,
    /// Push settings; `None` until set.
    pub push: Option<PushSync>,
    /// Stream settings; `None` until set.
    pub streams: Option<CognitoStreams>,
    /// Functions by event name; the only event is `SyncTrigger`.
    pub events: BTreeMap<String, String>,
}

/// A user pool whose tokens count as logins of an identity pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPoolProvider {
    /// The provider's name, as in the tokens' issuer without the scheme.
    pub provider: Option<String>,
    /// The application's client id.
    pub client_id: Option<String>,
    /// Whether tokens are checked against the user pool at every use.
    pub server_side_token_check: Option<bool>,
}

/// Push settings of a pool (`docs/protocol.md` section 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSync {
    /// The platform applications that devices may register with, as ARNs.
    pub application_arns: Vec<String>,
    /// The role under which messages are sent.
    pub role_arn: Option<String>,
}

/// Stream settings of a pool (`docs/protocol.md` section 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CognitoStreams {
    /// The stream that receives every change.
    pub stream_name: Option<String>,
    /// The role under which records are put.
    pub role_arn: Option<String>,
    /// Whether changes are streamed.
    pub status: Option<StreamingStatus>,
    /// What the server found wrong with the stream, until it is switched on again.
    pub disabled_reason: Option<String>,
}

impl CognitoStreams {
    /// The stream that changes go to, while they are streamed.
    pub fn enabled_stream(&self) -> Option<&str> {
        match self.status {
            Some(StreamingStatus::Enabled) => self.stream_name.as_deref(),
            Some(StreamingStatus::Disabled) | None => None,
        }
    }
}

/// Whether a pool's changes are streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamingStatus {
    /// Changes are streamed.
    Enabled,
    /// They are not.
    Disabled,
}

/// An identity that was handed out by a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which identity.
    pub at: IdentityRef,
    /// Raised to end its credentials early.
    pub epoch: IdentityEpoch,
    /// When it was handed out.
    pub created: UnixMillis,
    /// When its logins last changed.
    pub modified: UnixMillis,
}

/// Data of a deleted identity that must be cleared once more: its credentials could still write until `not_before`
/// (`docs/protocol.md` section 10.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Whose data.
    pub owner: IdentityRef,
    /// When its last credentials will have expired.
    pub not_before: UnixMillis,
}

/// What a pool's datasets amount to (`docs/protocol.md` section 8.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    /// Bytes of all datasets.
    pub data_bytes: u64,
    /// Sync sessions begun; zero is shown as none.
    pub sync_sessions: u64,
    /// When a dataset was last changed; `None` if never.
    pub modified: Option<UnixMillis>,
    /// Events of the pool that wait in the outbox. The store keeps count.
    pub events_waiting: u64,
    /// Bytes of keys and values in them.
    pub events_bytes: u64,
}

/// The latest bulk publication of a pool (`docs/protocol.md` section 9.3). How far it has come is known from its lane
/// in the outbox ([`Sink::Publication`](crate::outbox::Sink::Publication)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkPublish {
    /// Raised by every change.
    pub version: Version,
    /// How far it has come.
    pub status: BulkPublishStatus,
    /// When it began.
    pub started: UnixMillis,
    /// When the last one that succeeded was complete, this one or an earlier one.
    pub succeeded: Option<UnixMillis>,
    /// Datasets published so far.
    pub datasets: u64,
}

/// How far a bulk publication has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkPublishStatus {
    /// It goes on.
    InProgress,
    /// Everything is in the stream.
    Succeeded,
    /// It was given up.
    Failed {
        /// Why, for the developer.
        message: String,
    },
}

/// A developer's signing key. The secret is sealed: stores and lists never see it.
#[derive(Clone, PartialEq, Eq)]
pub struct DeveloperKey {
    /// The public half.
    pub id: AccessKeyId,
    /// The secret half, sealed under the master key.
    pub sealed_secret: Vec<u8>,
    /// When the key was made.
    pub created: UnixMillis,
    /// What the operator noted about it.
    pub description: String,
}

impl std::fmt::Debug for DeveloperKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeveloperKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Who is asking, once the signature has been verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A developer, with the account's own keys.
    Developer {
        /// The key that signed.
        key: AccessKeyId,
    },
    /// An identity, with temporary credentials.
    Identity {
        /// Which identity.
        at: IdentityRef,
        /// The epoch that its credentials were made in.
        epoch: IdentityEpoch,
    },
}

/// Whom a change is attributed to: the device if the client names one, else the identity, else the account
/// (`docs/protocol.md` section 7.5).
pub fn writer(caller: &Caller, device: Option<&DeviceId>, account_id: &str) -> Writer {
    match (device, caller) {
        (Some(device), Caller::Developer { .. } | Caller::Identity { .. }) => Writer::from(device.as_str()),
        (None, Caller::Identity { at, .. }) => Writer::from(at.identity.as_str()),
        (None, Caller::Developer { .. }) => Writer::from(account_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_sessions_forget_the_oldest_beyond_their_limit() {
        let used: UsedSessions = (0..=USED_SESSIONS_MAX as u64).map(SessionId).collect();
        assert_eq!(used.iter().len(), USED_SESSIONS_MAX);
        assert!(!used.contains(SessionId(0)));
        assert!(used.contains(SessionId(1)));
        assert!(used.contains(SessionId(USED_SESSIONS_MAX as u64)));
    }

    #[test]
    fn a_removed_record_takes_no_space_and_an_empty_value_takes_its_key() {
        let mut record = Record {
            key: RecordKey::from_stored("é"),
            value: Some(String::new()),
            sync_count: SyncCount(1),
            modified: UnixMillis(0),
            modified_by: Writer::from("d"),
            device_modified: UnixMillis(0),
        };
        assert_eq!(record.data_bytes(), 2);
        record.value = None;
        assert_eq!(record.data_bytes(), 0);
    }
}
