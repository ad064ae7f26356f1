//! The faults that an answer can carry, with the name and status of each in each service.
//!
//! The names are the published ones. The reason why a request fails is decided elsewhere. `docs/protocol.md`
//! section 3 has the tables.

use crate::service::Service;

/// The kind of a failure, as an answer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// A bulk publish succeeded less than a day ago.
    AlreadyStreamed,
    /// Two callers changed the same settings at once.
    ConcurrentModification,
    /// A bulk publish is already running.
    DuplicateRequest,
    /// The server failed, which is a bug by definition.
    InternalError,
    /// The pool lacks the settings that the operation needs.
    InvalidConfiguration,
    /// The sync trigger returned an unusable answer.
    InvalidLambdaFunctionOutput,
    /// A member breaks a constraint, or a token or count is not valid.
    InvalidParameter,
    /// The sync trigger took too long (Sync). The service's documents name this fault, its model does not.
    LambdaSocketTimeout,
    /// The sync trigger was throttled.
    LambdaThrottled,
    /// The request would exceed a limit on datasets, records or bytes.
    LimitExceeded,
    /// The credentials are of the wrong kind, or the data belongs to another identity.
    NotAuthorized,
    /// A record changed since the caller last saw it.
    ResourceConflict,
    /// The pool, dataset, device or subscription does not exist.
    ResourceNotFound,
    /// The caller exceeded a rate or a share, and may retry later.
    TooManyRequests,

    /// A login provider failed (Identity).
    ExternalService,
    /// The pool has no usable role (Identity).
    InvalidIdentityPoolConfiguration,

    /// The session policy cannot be read (STS).
    MalformedPolicyDocument,
    /// The session policies are too large (STS).
    PackedPolicyTooLarge,
    /// The identity provider rejected the claim (STS).
    IdpRejectedClaim,
    /// The identity provider could not be reached (STS).
    IdpCommunicationError,
    /// The web identity token is not valid (STS).
    InvalidIdentityToken,
    /// The web identity token has expired (STS); not the caller's credentials, see [`Self::ExpiredToken`].
    ExpiredIdentityToken,
    /// The region is not enabled (STS).
    RegionDisabled,

    /// A policy denies the call.
    AccessDenied,
    /// The caller's temporary credentials have expired.
    ExpiredToken,
    /// The signature is malformed or lacks a part.
    IncompleteSignature,
    /// The signature does not match, or its time is too far in the past or the future.
    InvalidSignature,
    /// The operation requires a signature and the request has none.
    MissingAuthenticationToken,
    /// The access key id or the session token is unknown.
    UnrecognizedClient,
    /// The body is not in the format that its content type or target announces.
    Serialization,
    /// A member breaks a constraint, in the services that have a separate name for it.
    Validation,
    /// The path, target or action is unknown.
    UnknownOperation,
    /// The path exists, but has no operation with this method.
    MethodNotAllowed,
    /// The body is larger than the operation accepts.
    RequestEntityTooLarge,
    /// The body did not arrive within the time limit.
    RequestTimeout,
    /// The server is overloaded, for an operation that does not model [`Self::TooManyRequests`].
    Throttling,
    /// The store is unavailable, or writes are stopped.
    ServiceUnavailable,
}

/// One row of the fault table.
struct Row {
    /// The name in Sync and Identity, which is the same in both.
    name: &'static str,
    sync: u16,
    identity: u16,
    sts: (&'static str, u16),
}

const fn row(name: &'static str, sync: u16, identity: u16, sts: (&'static str, u16)) -> Row {
    Row { name, sync, identity, sts }
}

/// A fault that is modelled by Sync, Identity or both, and unknown to STS.
const fn modelled(name: &'static str, sync: u16) -> Row {
    row(name, sync, 400, (name, sync))
}

/// A fault of the protocol with one name and status everywhere.
const fn everywhere(name: &'static str, status: u16) -> Row {
    row(name, status, status, (name, status))
}

/// A fault of signatures: status 403, but 400 in Identity (`docs/protocol.md` section 4.6).
const fn signature(name: &'static str, sts: &'static str) -> Row {
    row(name, 403, 400, (sts, 403))
}

impl FaultKind {
    /// Every fault, for tests and tables.
    pub const ALL: &'static [Self] = &[
        Self::AlreadyStreamed,
        Self::ConcurrentModification,
        Self::DuplicateRequest,
        Self::InternalError,
        Self::InvalidConfiguration,
        Self::InvalidLambdaFunctionOutput,
        Self::InvalidParameter,
        Self::LambdaSocketTimeout,
        Self::LambdaThrottled,
        Self::LimitExceeded,
        Self::NotAuthorized,
        Self::ResourceConflict,
        Self::ResourceNotFound,
        Self::TooManyRequests,
        Self::ExternalService,
        Self::InvalidIdentityPoolConfiguration,
        Self::MalformedPolicyDocument,
        Self::PackedPolicyTooLarge,
        Self::IdpRejectedClaim,
        Self::IdpCommunicationError,
        Self::InvalidIdentityToken,
        Self::ExpiredIdentityToken,
        Self::RegionDisabled,
        Self::AccessDenied,
        Self::ExpiredToken,
        Self::IncompleteSignature,
        Self::InvalidSignature,
        Self::MissingAuthenticationToken,
        Self::UnrecognizedClient,
        Self::Serialization,
        Self::Validation,
        Self::UnknownOperation,
        Self::MethodNotAllowed,
        Self::RequestEntityTooLarge,
        Self::RequestTimeout,
        Self::Throttling,
        Self::ServiceUnavailable,
    ];

    const fn row(self) -> Row {
        match self {
            Self::AlreadyStreamed => modelled("AlreadyStreamedException", 400),
            Self::ConcurrentModification => modelled("ConcurrentModificationException", 400),
            Self::DuplicateRequest => modelled("DuplicateRequestException", 400),
            Self::InternalError => row("InternalErrorException", 500, 500, ("InternalFailure", 500)),
            Self::InvalidConfiguration => modelled("InvalidConfigurationException", 400),
            Self::InvalidLambdaFunctionOutput => modelled("InvalidLambdaFunctionOutputException", 400),
            Self::InvalidParameter => row("InvalidParameterException", 400, 400, ("ValidationError", 400)),
            Self::LambdaSocketTimeout => modelled("LambdaSocketTimeoutException", 400),
            Self::LambdaThrottled => modelled("LambdaThrottledException", 429),
            Self::LimitExceeded => modelled("LimitExceededException", 400),
            Self::NotAuthorized => row("NotAuthorizedException", 403, 400, ("AccessDenied", 403)),
            Self::ResourceConflict => modelled("ResourceConflictException", 409),
            Self::ResourceNotFound => modelled("ResourceNotFoundException", 404),
            Self::TooManyRequests => row("TooManyRequestsException", 429, 400, ("Throttling", 400)),
            Self::ExternalService => modelled("ExternalServiceException", 400),
            Self::InvalidIdentityPoolConfiguration => {
                modelled("InvalidIdentityPoolConfigurationException", 400)
            }
            Self::MalformedPolicyDocument => everywhere("MalformedPolicyDocument", 400),
            Self::PackedPolicyTooLarge => everywhere("PackedPolicyTooLarge", 400),
            Self::IdpRejectedClaim => everywhere("IDPRejectedClaim", 403),
            Self::IdpCommunicationError => everywhere("IDPCommunicationError", 400),
            Self::InvalidIdentityToken => everywhere("InvalidIdentityToken", 400),
            Self::ExpiredIdentityToken => everywhere("ExpiredTokenException", 400),
            Self::RegionDisabled => everywhere("RegionDisabledException", 403),
            Self::AccessDenied => signature("AccessDeniedException", "AccessDenied"),
            Self::ExpiredToken => signature("ExpiredTokenException", "ExpiredToken"),
            Self::IncompleteSignature => signature("IncompleteSignatureException", "IncompleteSignature"),
            Self::InvalidSignature => signature("InvalidSignatureException", "SignatureDoesNotMatch"),
            Self::MissingAuthenticationToken => {
                signature("MissingAuthenticationTokenException", "MissingAuthenticationToken")
            }
            Self::UnrecognizedClient => signature("UnrecognizedClientException", "InvalidClientTokenId"),
            Self::Serialization => everywhere("SerializationException", 400),
            Self::Validation => row("ValidationException", 400, 400, ("ValidationError", 400)),
            Self::UnknownOperation => everywhere("UnknownOperationException", 404),
            Self::MethodNotAllowed => everywhere("UnknownOperationException", 405),
            Self::RequestEntityTooLarge => everywhere("RequestEntityTooLargeException", 413),
            Self::RequestTimeout => everywhere("RequestTimeoutException", 408),
            Self::Throttling => row("ThrottlingException", 400, 400, ("Throttling", 400)),
            Self::ServiceUnavailable => everywhere("ServiceUnavailableException", 503),
        }
    }

    /// The fault for a member that breaks its constraint.
    pub const fn broken_constraint(service: Service) -> Self {
        match service {
            Service::Sync => Self::InvalidParameter,
            Service::Identity | Service::Sts => Self::Validation,
        }
    }

    /// The fault's name on the wire.
    pub const fn name(self, service: Service) -> &'static str {
        match service {
            Service::Sync | Service::Identity => self.row().name,
            Service::Sts => self.row().sts.0,
        }
    }

    /// The HTTP status of the fault.
    pub const fn status(self, service: Service) -> u16 {
        match service {
            Service::Sync => self.row().sync,
            Service::Identity => self.row().identity,
            Service::Sts => self.row().sts.1,
        }
    }

    /// True if the fault belongs to the protocol and not to an operation's model. Two modelled faults are
    /// included: any operation can meet a bug, and every operation passes the access check. The time-out of
    /// the sync trigger is included too, because no model lists it.
    pub const fn is_protocol(self) -> bool {
        match self {
            Self::InternalError
            | Self::NotAuthorized
            | Self::AccessDenied
            | Self::ExpiredToken
            | Self::IncompleteSignature
            | Self::InvalidSignature
            | Self::MissingAuthenticationToken
            | Self::UnrecognizedClient
            | Self::Serialization
            | Self::Validation
            | Self::UnknownOperation
            | Self::MethodNotAllowed
            | Self::RequestEntityTooLarge
            | Self::RequestTimeout
            | Self::Throttling
            | Self::LambdaSocketTimeout
            | Self::ServiceUnavailable => true,
            Self::AlreadyStreamed
            | Self::ConcurrentModification
            | Self::DuplicateRequest
            | Self::InvalidConfiguration
            | Self::InvalidLambdaFunctionOutput
            | Self::InvalidParameter
            | Self::LambdaThrottled
            | Self::LimitExceeded
            | Self::ResourceConflict
            | Self::ResourceNotFound
            | Self::TooManyRequests
            | Self::ExternalService
            | Self::InvalidIdentityPoolConfiguration
            | Self::MalformedPolicyDocument
            | Self::PackedPolicyTooLarge
            | Self::IdpRejectedClaim
            | Self::IdpCommunicationError
            | Self::InvalidIdentityToken
            | Self::ExpiredIdentityToken
            | Self::RegionDisabled => false,
        }
    }
}

/// A fault as an answer carries it: a kind, and a text that names member, value and limit but nothing
/// internal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub kind: FaultKind,
    /// The text of the answer (`docs/protocol.md` section 3.6).
    pub message: String,
}

impl Fault {
    /// Creates a fault with its text.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_answers_400_to_all_that_is_its_own_except_a_bug() {
        for kind in FaultKind::ALL {
            let status = kind.status(Service::Identity);
            match kind {
                FaultKind::InternalError => assert_eq!(status, 500),
                FaultKind::UnknownOperation => assert_eq!(status, 404),
                FaultKind::MethodNotAllowed => assert_eq!(status, 405),
                FaultKind::RequestEntityTooLarge => assert_eq!(status, 413),
                FaultKind::RequestTimeout => assert_eq!(status, 408),
                FaultKind::ServiceUnavailable => assert_eq!(status, 503),
                FaultKind::IdpRejectedClaim | FaultKind::RegionDisabled => assert_eq!(status, 403),
                _ => assert_eq!(status, 400, "{kind:?}"),
            }
        }
    }

    #[test]
    fn signature_trouble_has_the_names_that_each_service_is_known_for() {
        let expected = [
            (
                FaultKind::MissingAuthenticationToken,
                "MissingAuthenticationTokenException",
                "MissingAuthenticationToken",
            ),
            (FaultKind::UnrecognizedClient, "UnrecognizedClientException", "InvalidClientTokenId"),
            (FaultKind::InvalidSignature, "InvalidSignatureException", "SignatureDoesNotMatch"),
            (FaultKind::ExpiredToken, "ExpiredTokenException", "ExpiredToken"),
            (FaultKind::IncompleteSignature, "IncompleteSignatureException", "IncompleteSignature"),
        ];
        for (kind, json, sts) in expected {
            assert_eq!((kind.name(Service::Sync), kind.status(Service::Sync)), (json, 403));
            assert_eq!((kind.name(Service::Identity), kind.status(Service::Identity)), (json, 400));
            assert_eq!((kind.name(Service::Sts), kind.status(Service::Sts)), (sts, 403));
        }
    }

    #[test]
    fn the_list_of_all_faults_names_each_once() {
        let mut seen = std::collections::HashSet::new();
        assert!(FaultKind::ALL.iter().all(|kind| seen.insert(*kind)));
    }
}
