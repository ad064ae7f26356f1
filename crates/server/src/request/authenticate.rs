//! Authentication: finds the key that a signature names, and verifies the signature once the body has arrived
//! (`docs/protocol.md` sections 4 and 5). The secret keys stay in [`Trust`].

use std::sync::Arc;

use carryall_core::caller::Caller;
use carryall_core::ids::AccessKeyId;
use carryall_core::time::UnixMillis;
use carryall_wire::sigv4::{self, BodyHash, Expected, InScope, SignedParts, SigningKey};
use carryall_wire::spec::{Method, Service};
use http::request::Parts;

use crate::config::Config;
use crate::failure::{Failure, SignatureFailure};
use crate::trust::Trust;

/// A request whose scope, clock and key have been checked; its signature has yet to be verified.
pub struct Signed<'a> {
    in_scope: InScope<'a>,
    key: Arc<SigningKey>,
    caller: Caller,
    expires: Option<UnixMillis>,
}

impl Signed<'_> {
    /// The expiry time of the caller's credentials; `None` if they do not expire.
    pub fn expires(&self) -> Option<UnixMillis> {
        self.expires
    }

    /// Returns the caller if the signature covers this body.
    pub fn verify(self, body: &[u8]) -> Result<Caller, SignatureFailure> {
        let hash = BodyHash::of(body);
        self.in_scope.verify(&hash, &self.key).map_err(SignatureFailure::Trouble)?;
        Ok(self.caller)
    }
}

/// Checks the parts of a request's authentication that do not need its body.
pub async fn authenticate<'a>(
    trust: &Trust,
    config: &Config,
    head: &'a Parts,
    method: Method,
    service: Service,
    now: UnixMillis,
) -> Result<Signed<'a>, Failure> {
    let parts = SignedParts {
        method: method.as_str(),
        raw_path: head.uri.path(),
        raw_query: head.uri.query(),
        headers: &head.headers,
    };
    let presented =
        sigv4::parse(&parts).map_err(SignatureFailure::Trouble)?.ok_or(SignatureFailure::Missing)?;
    let expected = Expected { region: &config.region, service: service.signing_name() };
    let in_scope = presented
        .check_scope_and_clock(&expected, now.0, config.limits.clock_skew_seconds_max)
        .map_err(SignatureFailure::Trouble)?;
    let (key, caller, expires) = find_key(trust, &in_scope, now).await?;
    Ok(Signed { in_scope, key, caller, expires })
}

async fn find_key(
    trust: &Trust,
    in_scope: &InScope<'_>,
    now: UnixMillis,
) -> Result<(Arc<SigningKey>, Caller, Option<UnixMillis>), Failure> {
    let presented = in_scope.presented();
    let id = AccessKeyId::parse(presented.access_key_id()).map_err(|_| SignatureFailure::UnknownKey)?;
    let Some(token) = presented.session_token() else {
        let key = trust.developer_signing_key(&id, in_scope).await?.ok_or(SignatureFailure::UnknownKey)?;
        return Ok((key, Caller::Developer { key: id }, None));
    };
    let (opened, key) =
        trust.temporary_signing_key(&id, token, in_scope).ok_or(SignatureFailure::UnknownKey)?;
    if opened.temporary.expires <= now {
        return Err(SignatureFailure::Expired.into());
    }
    let at = opened.temporary.identity.clone();
    let caller = Caller::Identity { at, epoch: opened.temporary.epoch };
    Ok((key, caller, Some(opened.temporary.expires)))
}

/// The caller's name in the log.
pub fn describe(caller: &Caller) -> String {
    match caller {
        Caller::Developer { key } => key.to_string(),
        Caller::Identity { at, .. } => at.identity.to_string(),
    }
}
