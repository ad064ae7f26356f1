//! The stored values: pools and their settings, identities, datasets, records, developer keys. They are plain
//! values; stores define their stored form and codecs their wire form.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{
    AccessKeyId, DatasetName, Generation, IdentityEpoch, IdentityId, PoolId, PoolIncarnation, RecordKey,
    SessionId, SyncCount, Version,
};
use crate::limits::USED_SESSIONS_MAX;
use crate::time::UnixMillis;

/// A pool, distinguished from earlier pools of the same id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolRef {
    /// The pool's id.
    pub id: PoolId,
    /// The incarnation of that id.
    pub incarnation: PoolIncarnation,
}

/// An identity of one pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityRef {
    /// The pool.
    pub pool: PoolRef,
    /// The identity's id.
    pub identity: IdentityId,
}

/// A dataset name of one identity, whether or not such a dataset exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetRef {
    /// The identity that owns the name.
    pub owner: IdentityRef,
    /// The dataset's name.
    pub name: DatasetName,
}

/// The stored state of a dataset name that was ever used: its counts, and its life while it exists.
///
/// The head outlives the dataset, so that counts continue after a deletion (`docs/protocol.md` section 7.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of deletions of the name.
    pub generation: Generation,
    /// The count of the last update or deletion.
    pub sync_count: SyncCount,
    /// The count of the last deletion; zero if there was none.
    pub deleted_at: SyncCount,
    /// The date of the last deletion while the dataset is deleted; zero if there was none, or if it was stored by a
    /// version that kept no date. It is zero while the dataset exists, because no date of its life is earlier.
    pub deleted_on: UnixMillis,
    /// The used-up sync sessions of this generation, oldest first.
    pub used_sessions: UsedSessions,
    /// The dataset itself; `None` while it is deleted.
    pub life: Option<Life>,
}

impl Head {
    /// The date of a change that is made `now`. Dates of a name rise with its counts, over deletions too, even if a
    /// clock was set back or differs between nodes (`docs/protocol.md` section 7.5).
    pub fn date_of_change(&self, now: UnixMillis) -> UnixMillis {
        now.max(self.life.as_ref().map_or(self.deleted_on, |life| life.modified))
    }
}

/// A dataset that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The time of creation.
    pub created: UnixMillis,
    /// The time of the last change.
    pub modified: UnixMillis,
    /// The writer of the last change.
    pub modified_by: Writer,
    /// The number of records with a value.
    pub records: u32,
    /// The number of tombstones, the markers of removed records.
    pub tombstones: u32,
    /// The UTF-8 bytes of the tombstones' keys; `None` if the head was stored by a version that did not count
    /// them.
    pub tombstone_key_bytes: Option<u64>,
    /// The highest count of a forgotten tombstone; zero if none was forgotten (`docs/protocol.md` section
    /// 7.7).
    pub tombstones_forgotten_through: SyncCount,
    /// The UTF-8 bytes of the keys and values of records with a value.
    pub data_bytes: u64,
}

/// The writer of a record, as clients see it: a device id, an identity id or an account id.
pub type Writer = std::sync::Arc<str>;

/// The last few used-up sync sessions, oldest first (`docs/protocol.md` section 7.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedSessions(VecDeque<SessionId>);

impl UsedSessions {
    /// True if `session` is remembered as used up.
    pub fn contains(&self, session: SessionId) -> bool {
        self.0.contains(&session)
    }

    /// Remembers `session`, and forgets the oldest beyond [`USED_SESSIONS_MAX`].
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

/// A record as clients see it. A record without a value is the tombstone of a removed one (`docs/protocol.md`
/// section 7.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's key.
    pub key: RecordKey,
    /// The record's value; `None` once removed. The empty string is a value.
    pub value: Option<String>,
    /// The dataset's count as of the record's last change.
    pub sync_count: SyncCount,
    /// The server's time of the last change.
    pub modified: UnixMillis,
    /// The writer of the last change.
    pub modified_by: Writer,
    /// The device's time of the last change.
    pub device_modified: UnixMillis,
}

impl Record {
    /// The bytes that the record adds to its dataset's size: none once removed (`docs/protocol.md` section
    /// 6.3).
    pub fn data_bytes(&self) -> u64 {
        self.value.as_ref().map_or(0, |value| (self.key.as_str().len() + value.len()) as u64)
    }

    /// The part of the record that decisions need.
    pub fn stub(&self) -> RecordStub {
        RecordStub {
            sync_count: self.sync_count,
            data_bytes: self.data_bytes(),
            removed: self.value.is_none(),
        }
    }
}

/// The part of a stored record that decisions need: everything but its key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordStub {
    /// The record's count.
    pub sync_count: SyncCount,
    /// The record's size as [`Record::data_bytes`] counts it.
    pub data_bytes: u64,
    /// True if it is the tombstone of a removed record.
    pub removed: bool,
}

/// The facts about an identity that matter when a dataset is created or deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The version, raised by every creation and deletion of a dataset.
    pub version: Version,
    /// The number of existing datasets.
    pub datasets: u32,
    /// The number of deleted names whose heads are kept.
    pub deleted_names: u32,
    /// The counts and the date from which names without a kept head continue.
    pub floor: Floor,
}

/// The start of a name without a head: zero, or at least what the dropped heads of this identity had reached
/// (`docs/protocol.md` section 7.10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// A count at least as high as that of every dropped head.
    pub sync_count: SyncCount,
    /// A generation at least as high as that of every dropped head.
    pub generation: Generation,
    /// A date no earlier than that of every dropped head; zero if none of them had one.
    pub deleted_on: UnixMillis,
}

impl Floor {
    /// The head that a name without one stands for: deleted at the floor, or never used if the floor is zero.
    pub fn head(self) -> Head {
        Head {
            generation: self.generation,
            sync_count: self.sync_count,
            deleted_at: self.sync_count,
            deleted_on: self.deleted_on,
            used_sessions: UsedSessions::default(),
            life: None,
        }
    }

    /// The floor after a head was dropped that had reached `sync_count` and `generation` and was deleted on
    /// `deleted_on`.
    #[must_use]
    pub fn raised(self, sync_count: SyncCount, generation: Generation, deleted_on: UnixMillis) -> Self {
        Self {
            sync_count: self.sync_count.max(sync_count),
            generation: self.generation.max(generation),
            deleted_on: self.deleted_on.max(deleted_on),
        }
    }
}

/// An identity pool: the settings of its identities and their data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The pool's id and incarnation.
    pub at: PoolRef,
    /// The version, raised by every change of the pool's settings.
    pub version: Version,
    /// The time of creation.
    pub created: UnixMillis,
    /// The name that the operator chose.
    pub name: String,
    /// True if the pool issues identities without a login.
    pub allow_guests: bool,
    /// True if the classic flow is allowed; allowed if unset.
    pub allow_classic_flow: Option<bool>,
    /// The application id at each login provider, by the provider's name.
    pub login_providers: BTreeMap<String, String>,
    /// The provider name under which a backend authenticates its own users.
    pub developer_provider: Option<String>,
    /// ARNs of OpenID Connect providers.
    pub open_id_providers: Vec<String>,
    /// ARNs of SAML providers.
    pub saml_providers: Vec<String>,
    /// User pools whose tokens count as logins.
    pub user_pools: Vec<UserPoolProvider>,
    /// The operator's tags.
    pub tags: BTreeMap<String, String>,
    /// Role ARNs by kind of identity (`authenticated`, `unauthenticated`); stored and returned, never
    /// required.
    pub roles: BTreeMap<String, String>,
    /// Role mappings by provider, as JSON text; stored and returned.
    pub role_mappings: Option<String>,
    /// The push settings; `None` until set.
    pub push: Option<PushSync>,
    /// The stream settings; `None` until set.
    pub streams: Option<CognitoStreams>,
    /// Functions by event name; the only event is `SyncTrigger`.
    pub events: BTreeMap<String, String>,
}

/// A user pool whose tokens count as logins of an identity pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPoolProvider {
    /// The provider's name, which is the tokens' issuer without the scheme.
    pub provider: Option<String>,
    /// The id of the app client.
    pub client_id: Option<String>,
    /// True if tokens are checked against the user pool at every use.
    pub server_side_token_check: Option<bool>,
}

/// The push settings of a pool (`docs/protocol.md` section 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSync {
    /// The ARNs of the platform applications with which devices may register.
    pub application_arns: Vec<String>,
    /// The ARN of the role under which messages are sent.
    pub role_arn: Option<String>,
}

/// The stream settings of a pool (`docs/protocol.md` section 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CognitoStreams {
    /// The name of the stream that receives every change.
    pub stream_name: Option<String>,
    /// The ARN of the role under which records are put.
    pub role_arn: Option<String>,
    /// The status of streaming.
    pub status: Option<StreamingStatus>,
    /// The error that the server found with the stream, kept until streaming is switched on again.
    pub disabled_reason: Option<String>,
}

impl CognitoStreams {
    /// The stream's name, if changes are streamed.
    pub fn enabled_stream(&self) -> Option<&str> {
        match self.status {
            Some(StreamingStatus::Enabled) => self.stream_name.as_deref(),
            Some(StreamingStatus::Disabled) | None => None,
        }
    }
}

/// The status of a pool's streaming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamingStatus {
    /// Changes are streamed.
    Enabled,
    /// Changes are not streamed.
    Disabled,
}

/// An identity that a pool issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The identity's pool and id.
    pub at: IdentityRef,
    /// The epoch, raised to end its credentials early.
    pub epoch: IdentityEpoch,
    /// The time of creation.
    pub created: UnixMillis,
    /// The time of the last change of its logins.
    pub modified: UnixMillis,
}

/// The data of a deleted identity, which must be cleared once more, because the identity's credentials could
/// write until `not_before` (`docs/protocol.md` section 10.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The identity.
    pub owner: IdentityRef,
    /// The time at which its last credentials have expired.
    pub not_before: UnixMillis,
}

/// The usage of a pool (`docs/protocol.md` section 8.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    /// The UTF-8 bytes of all datasets.
    pub data_bytes: u64,
    /// The number of sync sessions; zero is reported as null.
    pub sync_sessions: u64,
    /// The time of the last change of a dataset; `None` if there was none.
    pub modified: Option<UnixMillis>,
    /// The number of events of the pool that are waiting in the outbox, maintained by the store.
    pub events_waiting: u64,
    /// The bytes of keys and values in the waiting events.
    pub events_bytes: u64,
}

/// The latest bulk publication of a pool (`docs/protocol.md` section 9.3). Its progress is in its lane of the
/// outbox ([`Sink::Publication`](crate::outbox::Sink::Publication)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkPublish {
    /// The version, raised by every change.
    pub version: Version,
    /// The status.
    pub status: BulkPublishStatus,
    /// The time at which it began.
    pub started: UnixMillis,
    /// The end of the last successful one, which may be an earlier one.
    pub succeeded: Option<UnixMillis>,
    /// The number of datasets published so far.
    pub datasets: u64,
}

/// The status of a bulk publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkPublishStatus {
    /// It is running.
    InProgress,
    /// Everything is in the stream.
    Succeeded,
    /// It failed.
    Failed {
        /// The reason, for the developer.
        message: String,
    },
}

/// A developer's signing key. The secret is sealed, so stores and lists never have it.
#[derive(Clone, PartialEq, Eq)]
pub struct DeveloperKey {
    /// The access key id.
    pub id: AccessKeyId,
    /// The secret access key, sealed under the master key.
    pub sealed_secret: Vec<u8>,
    /// The time of creation.
    pub created: UnixMillis,
    /// The operator's description.
    pub description: String,
}

impl std::fmt::Debug for DeveloperKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeveloperKey").field("id", &self.id).finish_non_exhaustive()
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
