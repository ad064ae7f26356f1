//! The meaning of the SDK's errors: one table for all services, and the form in which a refused role appears
//! in another call.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::{LengthLimitError, Limited};

use crate::TRIGGER_ANSWER_BYTES_MAX;
use crate::answer_memory::{AnswerMemory, Granted};
use crate::cause::{chain, one_line};
use crate::port::Undelivered;

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    /// The peer's error code; empty if the peer did not answer.
    pub(super) code: String,
    /// The peer's message; empty likewise. It is used for decisions only and never shown.
    pub(super) message: String,
    /// The text for operators.
    pub(super) cause: String,
}

/// The remedy that a failure needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no answer, or none in time, or there are no credentials yet.
    Unreached,
    /// The peer does not accept the signature or its credentials.
    Unauthenticated,
    /// The peer asks for fewer calls.
    Throttled,
    /// The peer has an internal error.
    Broken,
    /// The peer denies the caller access.
    Denied,
    /// The resource of the call does not exist.
    Missing,
    /// The peer rejects the contents of this call.
    Invalid,
    /// The answer exceeds the size limit.
    AnswerTooLarge,
}

impl Failure {
    /// The general meaning; services with a more precise one examine kind and code first.
    pub(super) fn undelivered(self) -> Undelivered {
        let cause = self.cause;
        match self.kind {
            Kind::Unreached
            | Kind::Unauthenticated
            | Kind::Broken
            | Kind::AnswerTooLarge
            | Kind::Throttled => Undelivered::Retry { cause },
            Kind::Denied | Kind::Missing => Undelivered::Gone { cause },
            Kind::Invalid => Undelivered::Refused { cause },
        }
    }
}

/// Converts the SDK's error of `call`, which was made under `role_arn`.
pub(super) fn failure<E>(call: &str, role_arn: Option<&str>, error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if let Some(error) = beneath::<CredentialsError>(error) {
        return credentials_failure(role_arn, error);
    }
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            answered(call, context.err().code(), context.err().message(), status)
        }
        SdkError::ConstructionFailure(_) => {
            unanswered(Kind::Invalid, format!("{call}: the request cannot be made"))
        }
        SdkError::TimeoutError(_) => unanswered(Kind::Unreached, format!("{call}: no answer in time")),
        _ if beneath::<LengthLimitError>(error).is_some() => {
            let cause = format!("{call}: the answer is larger than {TRIGGER_ANSWER_BYTES_MAX} bytes");
            unanswered(Kind::AnswerTooLarge, cause)
        }
        // Dispatch failures, invalid answers, and errors that later versions of the SDK may add.
        _ => unanswered(Kind::Unreached, format!("{call}: {}", chain(error))),
    }
}

fn unanswered(kind: Kind, cause: String) -> Failure {
    Failure { kind, code: String::new(), message: String::new(), cause }
}

fn answered(call: &str, code: Option<&str>, message: Option<&str>, status: u16) -> Failure {
    let (code, message) = (code.unwrap_or_default(), message.unwrap_or_default());
    let kind = kind_of_code(code).unwrap_or_else(|| kind_of_status(status));
    // The message about a wrong signature repeats the signed request, including the session token.
    let shown = if code.contains("Signature") { "" } else { message };
    let parts: Vec<&str> = [call, code, shown].into_iter().filter(|part| !part.is_empty()).collect();
    let cause = one_line(&format!("{} (status {status})", parts.join(": ")));
    Failure { kind, code: code.to_owned(), message: message.to_owned(), cause }
}

/// The services' own codes come first: some use status 400 where others use 403, 404 or 429.
fn kind_of_code(code: &str) -> Option<Kind> {
    let kind = match code {
        "Throttling"
        | "ThrottlingException"
        | "Throttled"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "KMSThrottlingException"
        | "EC2ThrottledException"
        | "SlowDown" => Kind::Throttled,
        // Credentials that expired or are being replaced, or a clock that is off for a while, say nothing
        // about the pool's settings, and the next attempt signs again.
        "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Kind::Unauthenticated,
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "AuthorizationErrorException"
        | "KMSAccessDenied"
        | "KMSAccessDeniedException"
        | "KMSDisabled"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFound"
        | "KMSNotFoundException"
        | "KMSOptInRequired"
        | "OptInRequired"
        | "PlatformApplicationDisabled"
        | "PlatformApplicationDisabledException"
        | "RegionDisabledException" => Kind::Denied,
        "NotFound"
        | "NotFoundException"
        | "NoSuchBucket"
        | "ResourceNotFound"
        | "ResourceNotFoundException" => Kind::Missing,
        "InternalError" | "InternalFailure" | "InternalFailureException" | "ServiceUnavailable" => {
            Kind::Broken
        }
        _ => return None,
    };
    Some(kind)
}

fn kind_of_status(status: u16) -> Kind {
    match status {
        401 | 403 => Kind::Denied,
        404 => Kind::Missing,
        429 => Kind::Throttled,
        // A conflict is a resource that is being changed at the moment.
        409 | 500.. => Kind::Broken,
        _ => Kind::Invalid,
    }
}

/// The reason why there are no credentials for a call. A role that STS refuses must be repaired. Any other
/// failure may pass, and missing credentials of the server itself are no reason to give a destination up.
pub(super) fn credentials_failure(role_arn: Option<&str>, error: &CredentialsError) -> Failure {
    let refused = role_arn.zip(beneath::<SdkError<AssumeRoleError>>(error));
    if let Some((role_arn, error)) = refused {
        let failure = failure("AssumeRole", None, error);
        let cause = one_line(&format!("role {role_arn}: {}", failure.cause));
        // A missing role is refused like an existing one; so is an invalid role name.
        let kind = match failure.kind {
            Kind::Denied | Kind::Missing | Kind::Invalid => Kind::Denied,
            kind @ (Kind::Unreached
            | Kind::Unauthenticated
            | Kind::Throttled
            | Kind::Broken
            | Kind::AnswerTooLarge) => kind,
        };
        return Failure { kind, cause, ..failure };
    }
    let cause = match error {
        CredentialsError::CredentialsNotLoaded(_) => "the server has no AWS credentials".to_owned(),
        _ => one_line(&format!("the server's AWS credentials: {}", chain(error))),
    };
    unanswered(Kind::Unreached, cause)
}

/// The outermost error of this type in the chain of `error`.
fn beneath<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Limits the size of a peer's answer, which the SDK would read without bound.
#[derive(Debug)]
pub(super) struct AnswerLimit;

#[dyn_dispatch_hint]
impl Intercept for AnswerLimit {
    fn name(&self) -> &'static str {
        "AnswerLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, TRIGGER_ANSWER_BYTES_MAX));
        Ok(())
    }
}

/// Reads the answer of a function only as far as its memory is granted.
#[derive(Debug)]
pub(super) struct GrantedAnswer(pub(super) AnswerMemory);

#[dyn_dispatch_hint]
impl Intercept for GrantedAnswer {
    fn name(&self) -> &'static str {
        "GrantedAnswer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Granted::new(whole, self.0.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str, status: u16) -> Kind {
        answered("Call", Some(code), None, status).kind
    }

    #[test]
    fn a_known_name_counts_for_more_than_the_status() {
        assert_eq!(kind("ProvisionedThroughputExceededException", 400), Kind::Throttled);
        assert_eq!(kind("KMSThrottlingException", 400), Kind::Throttled);
        assert_eq!(kind("ResourceNotFoundException", 400), Kind::Missing);
        assert_eq!(kind("AccessDeniedException", 400), Kind::Denied);
        assert_eq!(kind("ExpiredTokenException", 400), Kind::Unauthenticated);
        assert_eq!(kind("InvalidSignatureException", 400), Kind::Unauthenticated);
        assert_eq!(kind("InvalidClientTokenId", 403), Kind::Unauthenticated);
        assert_eq!(kind("KMSAccessDeniedException", 502), Kind::Denied);
    }

    #[test]
    fn an_unknown_name_leaves_it_to_the_status() {
        assert_eq!(kind("", 403), Kind::Denied);
        assert_eq!(kind("", 404), Kind::Missing);
        assert_eq!(kind("", 429), Kind::Throttled);
        assert_eq!(kind("ServiceException", 500), Kind::Broken);
        assert_eq!(kind("ResourceConflictException", 409), Kind::Broken);
        assert_eq!(kind("InvalidArgumentException", 400), Kind::Invalid);
        assert_eq!(kind("RequestTooLargeException", 413), Kind::Invalid);
    }

    #[test]
    fn what_is_said_of_a_wrong_signature_is_not_repeated() {
        let said = "The canonical string is: x-amz-security-token:TOKEN";
        for code in ["SignatureDoesNotMatch", "InvalidSignatureException"] {
            assert!(!answered("Call", Some(code), Some(said), 403).cause.contains("TOKEN"));
        }
    }

    #[test]
    fn a_clock_that_is_off_or_a_key_that_is_replaced_says_nothing_of_the_destination() {
        let failure =
            answered("PutRecord", Some("InvalidSignatureException"), Some("Signature expired"), 400);
        assert!(matches!(failure.undelivered(), Undelivered::Retry { .. }));
    }

    #[test]
    fn missing_credentials_of_the_servers_own_are_no_reason_to_give_up() {
        let failure = credentials_failure(None, &CredentialsError::not_loaded("none"));
        assert!(matches!(failure.undelivered(), Undelivered::Retry { .. }));
    }
}
