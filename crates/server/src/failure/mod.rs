//! Everything that can end a request early, and the one mapping from there to what the caller is told.
//!
//! A failure has two faces: the [`Fault`] for the caller, and its own `Debug` text for the log. The matches below
//! have no wildcard arms: a new refusal does not compile until somebody chooses its fault.

mod fault;
mod sync_trigger;

use carryall_core::refusal::Refusal;
use carryall_core::store::StoreError;
use carryall_core::violation::Violation;
use carryall_outbound::Undelivered;
use carryall_wire::codec::Rejection;
use carryall_wire::fault::{Fault, FaultKind};
use carryall_wire::sigv4::Trouble;
use carryall_wire::spec::{Service, Spec};

pub use self::sync_trigger::TriggerFailure;
use crate::metrics::ServerLimit;

/// Why a request was not done.
#[derive(Debug)]
pub enum Failure {
    /// The request could not be routed or read.
    Rejected(Rejection),
    /// The signature, or what it was made with.
    Signature(SignatureFailure),
    /// A rule said no.
    Refused(Refusal),
    /// What the request changes was changed by others at the same time, again and again.
    RetriesExhausted,
    /// The source or the pool asks for new identities too often.
    Throttled,
    /// The identity token of the classic flow.
    IdentityToken(IdentityTokenFailure),
    /// The body is larger than the operation takes.
    BodyTooLarge {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// The connection ended, or broke HTTP's rules, before the body was whole.
    #[expect(dead_code, reason = "the log prints why")]
    BodyBroken(String),
    /// More work is going on than this server takes on.
    Overloaded(ServerLimit),
    /// The body came too slowly.
    BodyTooSlow {
        /// The limit, in seconds.
        seconds_max: u32,
    },
    /// The operation took longer than operations may.
    DeadlineExceeded {
        /// The limit, in seconds.
        seconds_max: u32,
    },
    /// The sync trigger of the update.
    Trigger(TriggerFailure),
    /// The device could not be registered with its push service.
    Push(Undelivered),
    /// The store failed.
    Store(StoreError),
    /// An operation failed in a way that its model does not know, or its answer could not be written; a bug.
    #[expect(dead_code, reason = "the log prints what it was")]
    Unmodelled(String),
}

/// Trouble with the signature, in the order in which it is found.
pub enum SignatureFailure {
    /// There is none.
    Missing,
    /// It is malformed, out of its window, or wrong.
    Trouble(Trouble),
    /// Nobody has this key, or the token does not belong to it.
    UnknownKey,
    /// The temporary credentials have expired.
    Expired,
}

impl std::fmt::Debug for SignatureFailure {
    /// For the log: the message for the caller goes on to repeat the request, headers and all; its first line says
    /// what was wrong.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("Missing"),
            Self::Trouble(trouble) => {
                write!(f, "Trouble({:?})", trouble.message().lines().next().unwrap_or_default())
            }
            Self::UnknownKey => f.write_str("UnknownKey"),
            Self::Expired => f.write_str("Expired"),
        }
    }
}

/// Trouble with an identity token.
#[derive(Debug)]
pub enum IdentityTokenFailure {
    /// It has expired.
    Expired,
    /// It was not issued here, or its pool or identity is gone.
    Invalid,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Refused(Refusal::Violation(violation))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<SignatureFailure> for Failure {
    fn from(failure: SignatureFailure) -> Self {
        Self::Signature(failure)
    }
}

impl Failure {
    /// What the caller of `spec`, or of `service` before the operation is known, is told.
    pub fn fault(&self, service: Service, spec: Option<&Spec>) -> Fault {
        match self {
            Self::Rejected(rejection) => rejection.fault(),
            Self::Signature(failure) => fault::signature_fault(failure),
            Self::Refused(refusal) => fault::refusal_fault(refusal, service, spec),
            Self::RetriesExhausted => {
                let modelled = spec.is_some_and(|spec| spec.allows(FaultKind::ConcurrentModification));
                let kind =
                    if modelled { FaultKind::ConcurrentModification } else { FaultKind::TooManyRequests };
                Fault::new(kind, "Too many requests are changing this at the same time; try again.")
            }
            Self::Throttled => Fault::new(
                FaultKind::TooManyRequests,
                "Rate exceeded: too many new identities were asked for; try again later.",
            ),
            Self::IdentityToken(IdentityTokenFailure::Expired) => {
                Fault::new(FaultKind::ExpiredIdentityToken, "The web identity token has expired.")
            }
            Self::IdentityToken(IdentityTokenFailure::Invalid) => Fault::new(
                FaultKind::InvalidIdentityToken,
                "The web identity token was not issued by this server, or its identity no longer exists.",
            ),
            Self::BodyTooLarge { bytes_max } => Fault::new(
                FaultKind::RequestEntityTooLarge,
                format!("The request body is larger than {bytes_max} bytes, the most that is accepted here."),
            ),
            Self::BodyBroken(_) => {
                Fault::new(FaultKind::Serialization, "The request body ended before it was complete.")
            }
            Self::Overloaded(_) => Fault::new(
                FaultKind::ServiceUnavailable,
                "The server is busy with other requests; try again.",
            ),
            Self::BodyTooSlow { seconds_max } => Fault::new(
                FaultKind::RequestTimeout,
                format!("The request body was not complete within {seconds_max} seconds."),
            ),
            Self::DeadlineExceeded { seconds_max } => Fault::new(
                FaultKind::ServiceUnavailable,
                format!("The operation was not complete within {seconds_max} seconds; try again."),
            ),
            Self::Trigger(failure) => fault::trigger_fault(failure),
            Self::Push(undelivered) => fault::push_fault(undelivered),
            Self::Store(StoreError::Unavailable { .. }) => Fault::new(
                FaultKind::ServiceUnavailable,
                "The service cannot store or read data at the moment; try again.",
            ),
            Self::Store(StoreError::Conflict | StoreError::Corrupt { .. }) | Self::Unmodelled(_) => {
                Fault::new(FaultKind::InternalError, "The service met an internal error.")
            }
        }
    }

    /// Whether an operator should look at it: everything that is neither the caller's doing nor routine.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Store(_) | Self::Unmodelled(_) | Self::DeadlineExceeded { .. } => true,
            Self::Rejected(_)
            | Self::Signature(_)
            | Self::Refused(_)
            | Self::RetriesExhausted
            | Self::Throttled
            | Self::IdentityToken(_)
            | Self::BodyTooLarge { .. }
            | Self::BodyBroken(_)
            | Self::BodyTooSlow { .. }
            | Self::Trigger(_)
            | Self::Push(_)
            | Self::Overloaded(_) => false,
        }
    }

    /// Why, for the log: the kind of failure, without what users keep (keys and values of records).
    pub fn reason(&self) -> String {
        match self {
            Self::Refused(refusal) => match refusal {
                Refusal::Violation(violation) => format!("Violation({})", violation.member),
                Refusal::SessionToken(trouble) => format!("SessionToken({trouble:?})"),
                Refusal::PageToken(trouble) => format!("PageToken({trouble:?})"),
                Refusal::Limit { what, .. } => format!("Limit({})", what.setting()),
                Refusal::StaleRecord { server, client, .. } => {
                    format!("StaleRecord(server {server}, client {client})")
                }
                Refusal::DeveloperUpdates => "DeveloperUpdates(allow_developer_updates is off)".to_owned(),
                Refusal::NoSuchSyncCount(_)
                | Refusal::DatasetDeleted(_)
                | Refusal::DatasetNotFound(_)
                | Refusal::PoolNotFound(_)
                | Refusal::IdentityNotFound(_)
                | Refusal::DeviceNotFound(_)
                | Refusal::TooManySubscriptions(_)
                | Refusal::SubscriptionNotFound(_)
                | Refusal::PushNotConfigured(_)
                | Refusal::NoApplication { .. }
                | Refusal::BulkPublishRunning(_)
                | Refusal::AlreadyStreamed { .. }
                | Refusal::StreamingDisabled(_)
                | Refusal::GuestsNotAllowed(_)
                | Refusal::LoginsNotSupported
                | Refusal::ClassicFlowNotAllowed(_)
                | Refusal::NotAuthorized => format!("{refusal:?}"),
            },
            Self::Rejected(_)
            | Self::Signature(_)
            | Self::RetriesExhausted
            | Self::Throttled
            | Self::IdentityToken(_)
            | Self::BodyTooLarge { .. }
            | Self::BodyBroken(_)
            | Self::BodyTooSlow { .. }
            | Self::Overloaded(_)
            | Self::DeadlineExceeded { .. }
            | Self::Trigger(_)
            | Self::Push(_)
            | Self::Store(_)
            | Self::Unmodelled(_) => format!("{self:?}"),
        }
    }

    /// The limit of the server that turned the request away, if one did.
    pub fn limit(&self) -> Option<ServerLimit> {
        match self {
            Self::Overloaded(limit) => Some(*limit),
            Self::BodyTooLarge { .. } => Some(ServerLimit::BodyBytes),
            Self::BodyTooSlow { .. } | Self::DeadlineExceeded { .. } => Some(ServerLimit::RequestSeconds),
            Self::Throttled => Some(ServerLimit::NewIdentities),
            Self::Rejected(_)
            | Self::Signature(_)
            | Self::Refused(_)
            | Self::RetriesExhausted
            | Self::IdentityToken(_)
            | Self::BodyBroken(_)
            | Self::Trigger(_)
            | Self::Push(_)
            | Self::Store(_)
            | Self::Unmodelled(_) => None,
        }
    }

    /// Whether the rest of the request may still be on its way, so that the connection cannot be used again.
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::BodyTooLarge { .. } | Self::BodyBroken(_) | Self::BodyTooSlow { .. })
    }
}
