//! The reasons why a rule refuses a request. Each variant has the values that the answer's message needs; the
//! server maps variants to modelled errors in one function.

use crate::devices::Platform;
use crate::ids::{DatasetName, DeviceId, IdentityId, PoolId, RecordKey, SyncCount};
use crate::time::UnixMillis;
use crate::violation::Violation;

/// A rule's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A member breaks a published constraint.
    Violation(Violation),
    /// The sync session token is not valid for this request.
    SessionToken(TokenTrouble),
    /// The page token is not valid for this request.
    PageToken(TokenTrouble),
    /// The client named a count that the dataset never reached.
    NoSuchSyncCount(SyncCount),
    /// The dataset was deleted after the session began.
    DatasetDeleted(DatasetName),
    /// The client named a count that is not valid for the record.
    StaleRecord {
        /// The record's key.
        key: RecordKey,
        /// The record's count; zero if it does not exist.
        server: SyncCount,
        /// The count that the client named.
        client: SyncCount,
    },
    /// Applying the request would exceed a limit.
    Limit {
        /// The kind of limit.
        what: LimitKind,
        /// The value of the limit.
        limit: u64,
        /// The value that the request would lead to.
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
    /// The device has as many subscriptions as a device may have.
    TooManySubscriptions(DeviceId),
    /// The device has no subscription to the dataset.
    SubscriptionNotFound(DeviceId),
    /// The pool has no push settings, which registrations and subscriptions need.
    PushNotConfigured(PoolId),
    /// None of the pool's platform applications is for this platform.
    NoApplication {
        /// The pool's id.
        pool: PoolId,
        /// The platform.
        platform: Platform,
    },
    /// A bulk publication of the pool is running.
    BulkPublishRunning(PoolId),
    /// A bulk publication of the pool succeeded too recently.
    AlreadyStreamed {
        /// The pool's id.
        pool: PoolId,
        /// The earliest start of the next one.
        next: UnixMillis,
    },
    /// Bulk publish needs a stream that is switched on.
    StreamingDisabled(PoolId),
    /// The pool does not issue identities to guests.
    GuestsNotAllowed(PoolId),
    /// The request has logins, which this version does not support.
    LoginsNotSupported,
    /// The pool refuses the classic flow.
    ClassicFlowNotAllowed(PoolId),
    /// A pool with role mappings refuses the classic flow.
    ClassicFlowWithRoleMappings(PoolId),
    /// The name of a user pool is not `cognito-idp.REGION.amazonaws.com/POOL`; the name is shortened.
    UserPoolProviderName(String),
    /// Developers may not call UpdateRecords unless the settings allow it (`allow_developer_updates`).
    DeveloperUpdates,
    /// The caller may not access this resource.
    NotAuthorized,
}

/// The reason why a token is refused. The answer has the same sentence for each; the log has the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTrouble {
    /// The token was not issued by this server, or was changed.
    Forged,
    /// The token was issued for another pool, identity, dataset or listing.
    Foreign,
    /// The token has expired.
    Expired,
    /// A successful update has used the token up.
    UsedUp,
    /// The dataset of the listing has been deleted.
    DatasetDeleted,
}

/// The limits that a request can exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// The number of datasets of one identity.
    DatasetsPerIdentity,
    /// The number of records of one dataset.
    RecordsPerDataset,
    /// The size of one dataset, in bytes.
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
