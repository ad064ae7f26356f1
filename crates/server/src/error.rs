//! Everything that can end a request early, and the one mapping from there to what the caller is told.
//!
//! A failure has two faces: the [`Fault`] for the caller, and its own `Debug` text for the log. The matches below
//! have no wildcard arms: a new refusal does not compile until somebody chooses its fault.

use carryall_core::refusal::{LimitKind, Refusal, TokenTrouble};
use carryall_core::store::StoreError;
use carryall_core::violation::Violation;
use carryall_wire::codec::Rejection;
use carryall_wire::fault::{Fault, FaultKind};
use carryall_wire::sigv4::Trouble;
use carryall_wire::spec::{Service, Spec};

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
            Self::Signature(failure) => signature_fault(failure),
            Self::Refused(refusal) => refusal_fault(refusal, service, spec),
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
                | Refusal::SubscriptionNotFound(_)
                | Refusal::PushNotConfigured(_)
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
            | Self::Store(_)
            | Self::Unmodelled(_) => None,
        }
    }

    /// Whether the rest of the request may still be on its way, so that the connection cannot be used again.
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::BodyTooLarge { .. } | Self::BodyBroken(_) | Self::BodyTooSlow { .. })
    }
}

fn signature_fault(failure: &SignatureFailure) -> Fault {
    match failure {
        SignatureFailure::Missing => {
            Fault::new(FaultKind::MissingAuthenticationToken, "Missing Authentication Token")
        }
        SignatureFailure::Trouble(Trouble::Mismatch { message } | Trouble::Clock { message }) => {
            Fault::new(FaultKind::InvalidSignature, message)
        }
        SignatureFailure::Trouble(Trouble::Malformed { message }) => {
            Fault::new(FaultKind::IncompleteSignature, message)
        }
        SignatureFailure::UnknownKey => Fault::new(
            FaultKind::UnrecognizedClient,
            "The security token included in the request is invalid.",
        ),
        SignatureFailure::Expired => {
            Fault::new(FaultKind::ExpiredToken, "The security token included in the request is expired")
        }
    }
}

fn refusal_fault(refusal: &Refusal, service: Service, spec: Option<&Spec>) -> Fault {
    match refusal {
        Refusal::Violation(violation) => {
            let kind = match service {
                Service::Sync => FaultKind::InvalidParameter,
                Service::Identity | Service::Sts => FaultKind::Validation,
            };
            Fault::new(kind, violation.to_string())
        }
        Refusal::SessionToken(trouble) => Fault::new(FaultKind::InvalidParameter, session_text(*trouble)),
        Refusal::PageToken(trouble) => Fault::new(FaultKind::InvalidParameter, page_text(*trouble)),
        Refusal::NoSuchSyncCount(count) => Fault::new(
            FaultKind::InvalidParameter,
            format!("No such SyncCount: {count} exists for this Dataset"),
        ),
        Refusal::DatasetDeleted(name) => Fault::new(
            FaultKind::ResourceConflict,
            format!("Dataset '{name}' was deleted after this SyncSessionToken was issued; list it again"),
        ),
        Refusal::StaleRecord { key, server, client } => Fault::new(
            FaultKind::ResourceConflict,
            format!("Current SyncCount for: {key} is: {server} not: {client}"),
        ),
        Refusal::Limit { what, limit, would_be } => {
            Fault::new(FaultKind::LimitExceeded, limit_text(*what, *limit, *would_be))
        }
        Refusal::DatasetNotFound(name) => {
            Fault::new(FaultKind::ResourceNotFound, format!("Dataset '{name}' not found."))
        }
        Refusal::PoolNotFound(id) => not_found_or_forbidden(spec, format!("IdentityPool '{id}' not found.")),
        Refusal::IdentityNotFound(id) => not_found_or_forbidden(spec, format!("Identity '{id}' not found.")),
        Refusal::SubscriptionNotFound(device) => Fault::new(
            FaultKind::ResourceNotFound,
            format!("Device '{device}' has no subscription to this dataset."),
        ),
        Refusal::PushNotConfigured(pool) => Fault::new(
            FaultKind::InvalidConfiguration,
            format!(
                "IdentityPool '{pool}' is not configured for push sync, or push sync is not in effect here."
            ),
        ),
        Refusal::StreamingDisabled(pool) => Fault::new(
            FaultKind::InvalidParameter,
            format!("IdentityPool '{pool}' has no stream in effect to publish to."),
        ),
        Refusal::GuestsNotAllowed(_) => Fault::new(
            FaultKind::NotAuthorized,
            "Unauthenticated access is not supported for this identity pool.",
        ),
        Refusal::LoginsNotSupported => Fault::new(
            FaultKind::NotAuthorized,
            "Logins are not supported by this version of the server; ask without 'Logins' for a guest identity.",
        ),
        Refusal::ClassicFlowNotAllowed(_) => Fault::new(
            FaultKind::InvalidParameter,
            "Basic (classic) flow is not enabled, please use enhanced flow.",
        ),
        Refusal::DeveloperUpdates | Refusal::NotAuthorized => Fault::new(
            FaultKind::NotAuthorized,
            "These credentials are not valid for accessing this resource",
        ),
    }
}

/// Not every operation models a missing resource; those answer as they do for somebody else's
/// (`docs/protocol.md` section 3.2).
fn not_found_or_forbidden(spec: Option<&Spec>, message: String) -> Fault {
    let modelled = spec.is_some_and(|spec| spec.allows(FaultKind::ResourceNotFound));
    let kind = if modelled { FaultKind::ResourceNotFound } else { FaultKind::NotAuthorized };
    Fault::new(kind, message)
}

/// One sentence for all, since clients and people search for it; the log says which trouble it was.
fn session_text(trouble: TokenTrouble) -> &'static str {
    match trouble {
        TokenTrouble::Forged
        | TokenTrouble::Foreign
        | TokenTrouble::Expired
        | TokenTrouble::UsedUp
        | TokenTrouble::DatasetDeleted => "SyncSessionToken not valid for these inputs",
    }
}

fn page_text(trouble: TokenTrouble) -> &'static str {
    match trouble {
        TokenTrouble::Forged | TokenTrouble::Foreign | TokenTrouble::UsedUp => {
            "NextToken not valid for these inputs"
        }
        TokenTrouble::Expired => "NextToken not valid for these inputs: it has expired",
        TokenTrouble::DatasetDeleted => "NextToken not valid for these inputs: the dataset was deleted",
    }
}

fn limit_text(what: LimitKind, limit: u64, would_be: u64) -> String {
    match what {
        LimitKind::DatasetsPerIdentity => {
            format!("Number of datasets would be {would_be}; an identity may have at most {limit}.")
        }
        LimitKind::RecordsPerDataset => {
            format!("Number of records would be {would_be}; a dataset may have at most {limit}.")
        }
        LimitKind::TombstonesPerDataset => {
            format!("Number of removed records would be {would_be}; a dataset keeps at most {limit}.")
        }
        LimitKind::DatasetBytes => {
            format!("Size of the dataset would be {would_be} bytes; at most {limit} bytes are allowed.")
        }
    }
}
