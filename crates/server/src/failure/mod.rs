//! Everything that can end a request early, and the one mapping from there to the caller's answer and the log.
//!
//! A failure has two faces: the [`Fault`] for the caller, and the reason for the log. The mapping has no wildcard arms:
//! a new failure does not compile until its [`Verdict`] is written.

mod fault;
mod share;
mod signature;
mod sync_trigger;

use carryall_core::refusal::Refusal;
use carryall_core::store::StoreError;
use carryall_core::violation::Violation;
use carryall_outbound::Undelivered;
use carryall_wire::codec::Rejection;
use carryall_wire::fault::{Fault, FaultKind};
use carryall_wire::spec::{Service, Spec};

pub use self::share::Holder;
pub use self::signature::{IdentityTokenFailure, SignatureFailure};
pub use self::sync_trigger::TriggerFailure;
use crate::metrics::ServerLimit;

/// The reasons why a request was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// The request could not be routed or read.
    Rejected(Rejection),
    /// The end of the request is ambiguous; the text names the reason.
    Misframed(&'static str),
    /// The signature, or the credentials that made it, were refused.
    Signature(SignatureFailure),
    /// A rule refused the request.
    Refused(Refusal),
    /// Every attempt met a concurrent change of the same data.
    RetriesExhausted,
    /// Too many new identities were requested from this source or in this pool.
    Throttled,
    /// The identity token of the classic flow was refused.
    IdentityToken(IdentityTokenFailure),
    /// The body is larger than the operation accepts.
    BodyTooLarge {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// The connection ended, or violated HTTP, before the body was complete.
    #[expect(dead_code, reason = "the log prints why")]
    BodyBroken(String),
    /// A limit on the server's concurrent work has been reached.
    Overloaded(ServerLimit),
    /// The share of one holder of a resource is used up.
    OverShare(ServerLimit, Holder),
    /// The body arrived too slowly.
    BodyTooSlow {
        /// The time limit of a whole body, in seconds.
        seconds_max: u32,
        /// The lowest rate of a body, in bytes per second.
        bytes_per_second_min: u32,
    },
    /// The operation exceeded its time limit.
    DeadlineExceeded {
        /// The limit, in seconds.
        seconds_max: u32,
    },
    /// The sync trigger of the update failed.
    Trigger(TriggerFailure),
    /// The device could not be registered with its push service.
    Push(Undelivered),
    /// The store failed.
    Store(StoreError),
    /// An operation failed with a fault that its model does not have, or its answer could not be encoded.
    /// This is a bug.
    #[expect(dead_code, reason = "the log prints what it was")]
    Unmodelled(String),
}

/// The consequences of a failure.
pub struct Verdict {
    /// The answer to the caller.
    pub fault: Fault,
    /// The side that has to act.
    pub blame: Blame,
    /// The limit of the server that turned the request away, if one did.
    pub limit: Option<ServerLimit>,
    /// The cause, for the log, without keys and values of records.
    pub reason: String,
}

/// The side that has to act on a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller, or no one: the failure is routine.
    Caller,
    /// An operator of the server.
    Server,
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
    /// The consequences of the failure for the caller of `spec`, or of `service` before the operation is
    /// known.
    pub fn verdict(&self, service: Service, spec: Option<&Spec>) -> Verdict {
        match self {
            Self::Rejected(rejection) => self.callers(rejection.fault(service)),
            Self::Misframed(text) => self.callers(Fault::new(FaultKind::Serialization, *text)),
            Self::Signature(failure) => self.callers(fault::signature_fault(failure)),
            Self::Refused(refusal) => Verdict {
                fault: fault::refusal_fault(refusal, service, spec),
                blame: Blame::Caller,
                limit: None,
                reason: fault::refusal_reason(refusal),
            },
            Self::RetriesExhausted => {
                let modelled = spec.is_some_and(|spec| spec.allows(FaultKind::ConcurrentModification));
                let kind =
                    if modelled { FaultKind::ConcurrentModification } else { FaultKind::TooManyRequests };
                let text = "Too many requests are changing this at the same time; try again.";
                self.callers(Fault::new(kind, text))
            }
            Self::Throttled => self.at_limit(
                ServerLimit::NewIdentities,
                FaultKind::TooManyRequests,
                "Rate exceeded: too many new identities were requested; try again later.",
            ),
            Self::IdentityToken(failure) => self.callers(fault::identity_token_fault(failure)),
            Self::BodyTooLarge { bytes_max } => self.at_limit(
                ServerLimit::BodyBytes,
                FaultKind::RequestEntityTooLarge,
                format!("The request body is larger than {bytes_max} bytes, the most that is accepted here."),
            ),
            Self::BodyBroken(_) => {
                let text = "The request body ended before it was complete.";
                self.callers(Fault::new(FaultKind::Serialization, text))
            }
            Self::Overloaded(limit) => self.at_limit(
                *limit,
                FaultKind::ServiceUnavailable,
                "The server is busy with other requests; try again.",
            ),
            Self::OverShare(limit, holder) => {
                let modelled = spec.is_some_and(|spec| spec.allows(FaultKind::TooManyRequests));
                let kind = if modelled { FaultKind::TooManyRequests } else { FaultKind::ServiceUnavailable };
                self.at_limit(*limit, kind, share::text(*limit, *holder))
            }
            Self::BodyTooSlow { seconds_max, bytes_per_second_min } => self.at_limit(
                ServerLimit::BodyBytesPerSecond,
                FaultKind::RequestTimeout,
                format!(
                    "The request body did not arrive within {seconds_max} seconds, or not at \
                     {bytes_per_second_min} bytes a second."
                ),
            ),
            Self::DeadlineExceeded { seconds_max } => Verdict {
                blame: Blame::Server,
                ..self.at_limit(
                    ServerLimit::RequestSeconds,
                    FaultKind::ServiceUnavailable,
                    format!("The operation was not complete within {seconds_max} seconds; try again."),
                )
            },
            Self::Trigger(failure) => self.callers(fault::trigger_fault(failure)),
            Self::Push(undelivered) => self.callers(fault::push_fault(undelivered)),
            Self::Store(StoreError::Unavailable { .. }) => {
                let text = "The service cannot store or read data at the moment; try again.";
                self.servers(Fault::new(FaultKind::ServiceUnavailable, text))
            }
            Self::Store(StoreError::Corrupt { .. }) | Self::Unmodelled(_) => {
                self.servers(Fault::new(FaultKind::InternalError, "The service met an internal error."))
            }
        }
    }

    fn callers(&self, fault: Fault) -> Verdict {
        Verdict { fault, blame: Blame::Caller, limit: None, reason: format!("{self:?}") }
    }

    fn servers(&self, fault: Fault) -> Verdict {
        Verdict { blame: Blame::Server, ..self.callers(fault) }
    }

    fn at_limit(&self, limit: ServerLimit, kind: FaultKind, text: impl Into<String>) -> Verdict {
        Verdict { limit: Some(limit), ..self.callers(Fault::new(kind, text)) }
    }

    /// True if the connection cannot be reused, because the end of the request is unknown or may still arrive.
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::Misframed(_) | Self::BodyTooLarge { .. } | Self::BodyBroken(_) | Self::BodyTooSlow { .. }
        )
    }
}
