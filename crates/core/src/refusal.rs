//! Why a rule said no. Each case carries what the caller's message needs; which modelled error it becomes is chosen
//! in one place of the server.

use crate::devices::Platform;
use crate::ids::{DatasetName, DeviceId, IdentityId, PoolId, RecordKey, SyncCount};
use crate::time::UnixMillis;
use crate::violation::Violation;

/// A rule's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A member breaks a published constraint.
    Violation(Violation),
    /// The sync session token cannot be used for this.
    SessionToken(TokenTrouble),
    /// The page token cannot be used for this.
    PageToken(TokenTrouble),
    /// The client has seen a count that the dataset never reached.
    NoSuchSyncCount(SyncCount),
    /// The dataset was deleted after the session began.
    DatasetDeleted(DatasetName),
    /// A record is not what the client took it for.
    StaleRecord {
        /// The record's key.
        key: RecordKey,
        /// Its count; zero if it does not exist.
        server: SyncCount,
        /// The count that the client named.
        client: SyncCount,
    },
    /// Applying the request would exceed a limit.
    Limit {
        /// Which limit.
        what: LimitKind,
        /// Its value.
        limit: u64,
        /// What the request would make of it.
        would_be: u64,
    },
    /// The dataset does not exist.
    DatasetNotFound(DatasetName),
    /// The pool does not exist.
    PoolNotFound(PoolId),
    /// The identity does not exist.
    IdentityNotFound(IdentityId),
    /// The identity has no such device.
    DeviceNotFound(DeviceId),
    /// The device is subscribed to as many datasets as it may be.
    TooManySubscriptions(DeviceId),
    /// The device has no subscription to the dataset.
    SubscriptionNotFound(DeviceId),
    /// The pool has no push settings to register devices or subscribe under.
    PushNotConfigured(PoolId),
    /// None of the pool's platform applications takes devices of this platform.
    NoApplication {
        /// The pool.
        pool: PoolId,
        /// The platform.
        platform: Platform,
    },
    /// A bulk publication of the pool is running.
    BulkPublishRunning(PoolId),
    /// A bulk publication of the pool succeeded not long ago.
    AlreadyStreamed {
        /// The pool.
        pool: PoolId,
        /// When the next one may begin.
        next: UnixMillis,
    },
    /// Bulk publish needs a stream that is switched on.
    StreamingDisabled(PoolId),
    /// The pool hands out no identities to guests.
    GuestsNotAllowed(PoolId),
    /// Logins were presented, and this version accepts none.
    LoginsNotSupported,
    /// The pool refuses the classic flow.
    ClassicFlowNotAllowed(PoolId),
    /// A pool with role mappings refuses the classic flow.
    ClassicFlowWithRoleMappings(PoolId),
    /// The name of a user pool is not `cognito-idp.REGION.amazonaws.com/POOL`; shortened.
    UserPoolProviderName(String),
    /// Developers may not call UpdateRecords unless the settings admit it (`allow_developer_updates`).
    DeveloperUpdates,
    /// The caller may not reach this resource.
    NotAuthorized,
}

/// What is wrong with a token; the caller hears the same sentence for each, the log keeps which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTrouble {
    /// It was not issued here, or was changed.
    Forged,
    /// It was issued for another pool, identity, dataset or listing.
    Foreign,
    /// It is too old.
    Expired,
    /// A successful update has used it up.
    UsedUp,
    /// The dataset that it pages through has been deleted.
    DatasetDeleted,
}

/// The limits that a request can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Datasets of one identity.
    DatasetsPerIdentity,
    /// Records of one dataset.
    RecordsPerDataset,
    /// Bytes of one dataset.
    DatasetBytes,
}

impl LimitKind {
    /// The limit's name in the configuration.
    pub fn setting(self) -> &'static str {
        match self {
            Self::DatasetsPerIdentity => "datasets_per_identity_max",
            Self::RecordsPerDataset => "records_per_dataset_max",
            Self::DatasetBytes => "dataset_bytes_max",
        }
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
