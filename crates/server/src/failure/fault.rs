//! The fault for each way in which a request can fail: its name, and a text that states the remedy. The matches have no
//! wildcard arms: a new refusal does not compile until its fault is chosen.

use carryall_core::limits::SUBSCRIPTIONS_PER_DEVICE_MAX;
use carryall_core::refusal::{LimitKind, Refusal, TokenTrouble};
use carryall_outbound::Undelivered;
use carryall_wire::fault::{Fault, FaultKind};
use carryall_wire::sigv4::Trouble;
use carryall_wire::spec::{Service, Spec};
use carryall_wire::timestamp::Timestamp;

use super::signature::{IdentityTokenFailure, SignatureFailure};
use super::sync_trigger::TriggerFailure;

pub(super) fn signature_fault(failure: &SignatureFailure) -> Fault {
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

#[expect(clippy::too_many_lines, reason = "one arm for each refusal: the mapping is one list")]
pub(super) fn refusal_fault(refusal: &Refusal, service: Service, spec: Option<&Spec>) -> Fault {
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
            format!("Current SyncCount for: {} is: {server} not: {client}", key.shown()),
        ),
        Refusal::Limit { what, limit, would_be } => {
            Fault::new(FaultKind::LimitExceeded, limit_text(*what, *limit, *would_be))
        }
        Refusal::DatasetNotFound(name) => {
            Fault::new(FaultKind::ResourceNotFound, format!("Dataset '{name}' not found."))
        }
        Refusal::PoolNotFound(id) => not_found_or_forbidden(spec, format!("IdentityPool '{id}' not found.")),
        Refusal::IdentityNotFound(id) => not_found_or_forbidden(spec, format!("Identity '{id}' not found.")),
        Refusal::DeviceNotFound(device) => Fault::new(
            FaultKind::ResourceNotFound,
            format!("Device '{device}' is not registered for this identity; call RegisterDevice first."),
        ),
        Refusal::TooManySubscriptions(device) => Fault::new(
            FaultKind::InvalidParameter,
            format!(
                "Device '{device}' is subscribed to {SUBSCRIPTIONS_PER_DEVICE_MAX} datasets, the most that it may be."
            ),
        ),
        Refusal::SubscriptionNotFound(device) => Fault::new(
            FaultKind::ResourceNotFound,
            format!("Device '{device}' has no subscription to this dataset."),
        ),
        Refusal::PushNotConfigured(pool) => Fault::new(
            FaultKind::InvalidConfiguration,
            format!(
                "IdentityPool '{pool}' is not configured for push sync: set PushSync.ApplicationArns with \
                 SetIdentityPoolConfiguration."
            ),
        ),
        Refusal::NoApplication { pool, platform } => Fault::new(
            FaultKind::InvalidConfiguration,
            format!(
                "None of the platform applications of IdentityPool '{pool}' takes devices of {0}: add an ARN with \
                 ':app/{0}/' to PushSync.ApplicationArns.",
                platform.as_str()
            ),
        ),
        Refusal::BulkPublishRunning(pool) => Fault::new(
            FaultKind::DuplicateRequest,
            format!("A bulk publish of IdentityPool '{pool}' is in progress."),
        ),
        Refusal::AlreadyStreamed { pool, next } => Fault::new(
            FaultKind::AlreadyStreamed,
            format!(
                "IdentityPool '{pool}' was published within the last 24 hours; the next publication may start at {}.",
                Timestamp::from_unix_milliseconds(next.0).to_iso8601()
            ),
        ),
        Refusal::StreamingDisabled(pool) => Fault::new(
            FaultKind::InvalidParameter,
            format!(
                "Streaming is not enabled for IdentityPool '{pool}': set CognitoStreams with StreamingStatus ENABLED \
                 first."
            ),
        ),
        Refusal::GuestsNotAllowed(_) => Fault::new(
            FaultKind::NotAuthorized,
            "Unauthenticated access is not supported for this identity pool.",
        ),
        Refusal::LoginsNotSupported => Fault::new(
            FaultKind::NotAuthorized,
            "Logins are not supported by this version of the server; omit 'Logins' to get a guest identity.",
        ),
        Refusal::ClassicFlowNotAllowed(_) => Fault::new(
            FaultKind::InvalidParameter,
            "Basic (classic) flow is not enabled, please use enhanced flow.",
        ),
        Refusal::ClassicFlowWithRoleMappings(_) => Fault::new(
            FaultKind::InvalidParameter,
            "Basic (classic) flow is not supported with RoleMappings, please use enhanced flow.",
        ),
        Refusal::UserPoolProviderName(name) => Fault::new(
            FaultKind::InvalidParameter,
            format!("ProviderName '{name}' is not of the form cognito-idp.REGION.amazonaws.com/POOL."),
        ),
        Refusal::DeveloperUpdates => Fault::new(
            FaultKind::NotAuthorized,
            "These credentials are not valid for accessing this resource: UpdateRecords by developer keys is \
             switched off. The setting allow_developer_updates = true admits it.",
        ),
        Refusal::NotAuthorized => Fault::new(
            FaultKind::NotAuthorized,
            "These credentials are not valid for accessing this resource",
        ),
    }
}

pub(super) fn identity_token_fault(failure: &IdentityTokenFailure) -> Fault {
    match failure {
        IdentityTokenFailure::Expired => {
            Fault::new(FaultKind::ExpiredIdentityToken, "The web identity token has expired.")
        }
        IdentityTokenFailure::Invalid => Fault::new(
            FaultKind::InvalidIdentityToken,
            "The web identity token was not issued by this server, or its identity no longer exists.",
        ),
        IdentityTokenFailure::NotAdmitted(refusal) => {
            Fault::new(FaultKind::InvalidIdentityToken, refusal_fault(refusal, Service::Sts, None).message)
        }
    }
}

/// The fault says what the caller can do: only throttled calls are worth retrying.
pub(super) fn trigger_fault(failure: &TriggerFailure) -> Fault {
    match failure {
        TriggerFailure::Throttled { .. } => Fault::new(
            FaultKind::LambdaThrottled,
            "The function of SyncTrigger is called too often at the moment; nothing was stored, try again.",
        ),
        TriggerFailure::TimedOut { milliseconds_max } => Fault::new(
            FaultKind::LambdaSocketTimeout,
            format!(
                "The function of SyncTrigger gave no answer within {milliseconds_max} ms; nothing was stored."
            ),
        ),
        TriggerFailure::Unusable { told, .. } => Fault::new(
            FaultKind::InvalidLambdaFunctionOutput,
            format!("The function of SyncTrigger could not be used, and nothing was stored: {told}"),
        ),
    }
}

/// RegisterDevice models no fault for an unavailable push service; clients retry the one for too many
/// requests.
pub(super) fn push_fault(undelivered: &Undelivered) -> Fault {
    match undelivered {
        Undelivered::Retry { .. } => Fault::new(
            FaultKind::TooManyRequests,
            "The push service cannot take the registration at the moment; try again.",
        ),
        Undelivered::Gone { .. } => Fault::new(
            FaultKind::InvalidConfiguration,
            "The push service refuses this pool's RoleArn or platform application; the server's log, and carryall \
             pool check, say why.",
        ),
        Undelivered::Refused { .. } => Fault::new(
            FaultKind::InvalidParameter,
            "The push service does not accept this Token for this Platform.",
        ),
    }
}

/// The fault for a missing resource, or, for an operation that does not model it, the one for another
/// account's resource (`docs/protocol.md` section 3.2).
fn not_found_or_forbidden(spec: Option<&Spec>, message: String) -> Fault {
    let modelled = spec.is_some_and(|spec| spec.allows(FaultKind::ResourceNotFound));
    let kind = if modelled { FaultKind::ResourceNotFound } else { FaultKind::NotAuthorized };
    Fault::new(kind, message)
}

/// The same sentence for every reason, because clients and people search for it; the log has the reason.
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
        LimitKind::DatasetBytes => {
            format!("Size of the dataset would be {would_be} bytes; at most {limit} bytes are allowed.")
        }
    }
}

/// The cause of a refusal for the log, without keys and values of records.
pub(super) fn refusal_reason(refusal: &Refusal) -> String {
    match refusal {
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
        | Refusal::ClassicFlowWithRoleMappings(_)
        | Refusal::UserPoolProviderName(_)
        | Refusal::NotAuthorized => format!("{refusal:?}"),
    }
}
