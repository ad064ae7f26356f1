//! Signing by header and by presigned query, for tests, the benchmark and clients. It shares the canonical
//! form with verification, and sends nothing.

use std::fmt;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::canonical::{canonical_request, push_encoded, string_to_sign};
use super::digest::BodyHash;
use super::scope::{AmzDate, Scope};
use super::signing_key::SigningKey;
use super::{ALGORITHM, Form, PRESIGNED_EXPIRES_SECONDS_MAX, SignedParts, X_AMZ_DATE, X_AMZ_SECURITY_TOKEN};

/// Headers that are never signed, because proxies may change them.
const UNSIGNED_HEADERS: [&str; 6] =
    ["authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"];

/// The credentials of a signer. Their `Debug` form shows the id alone.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretString,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
}

/// A signer: credentials, region, service and time.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// The credentials to sign with.
    pub credentials: &'a Credentials,
    /// The region of the server.
    pub region: &'a str,
    /// The signing name of the service.
    pub service: &'a str,
    /// The time of signing, in milliseconds since 1970.
    pub at_millis: i64,
}

/// The reason why a request cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningTrouble {
    /// The request has no `Host` header, which must be signed.
    HostMissing,
    /// The access key id, region, service or session token has characters that a header cannot carry.
    CredentialNotHeaderText,
    /// The time of signing is outside the years 1970 to 9999.
    MomentOutOfRange,
    /// The lifetime of the presigned query is not within 1 to 604,800 seconds.
    ExpiryOutOfRange,
}

impl fmt::Display for SigningTrouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostMissing => formatter.write_str("the request has no Host header to sign"),
            Self::CredentialNotHeaderText => formatter.write_str("the credentials cannot stand in a header"),
            Self::MomentOutOfRange => formatter.write_str("the moment of signing is outside 1970 to 9999"),
            Self::ExpiryOutOfRange => {
                write!(formatter, "expiry must be 1 to {PRESIGNED_EXPIRES_SECONDS_MAX} seconds")
            }
        }
    }
}

impl std::error::Error for SigningTrouble {}

/// Signs a request by header. Returns the headers to set: `x-amz-date`, `authorization` and, with temporary
/// credentials, `x-amz-security-token`. Each replaces a header of that name that the request may have.
pub fn sign(
    parts: &SignedParts<'_>,
    body_hash: &BodyHash,
    signer: &Signer<'_>,
) -> Result<HeaderMap, SigningTrouble> {
    let (requested_at, scope) = signer.moment_and_scope()?;
    let credentials = signer.credentials;
    let mut added = HeaderMap::with_capacity(3);
    added.insert(&X_AMZ_DATE, header_text(requested_at.as_str())?);
    if let Some(token) = &credentials.session_token {
        let mut value = header_text(token.expose_secret())?;
        value.set_sensitive(true);
        added.insert(&X_AMZ_SECURITY_TOKEN, value);
    }
    let mut headers = parts.headers.clone();
    headers.remove(&X_AMZ_SECURITY_TOKEN);
    headers.extend(added.clone());
    let names = names_to_sign(&headers)?;
    let canonical =
        canonical_request(&SignedParts { headers: &headers, ..*parts }, &names, Form::Header, body_hash);
    let signature = SigningKey::derive(&credentials.secret_access_key, &scope).signature(&string_to_sign(
        &requested_at,
        &scope,
        &canonical,
    ));
    let mut authorization = header_text(&format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        credentials.access_key_id,
        signature.as_str()
    ))?;
    authorization.set_sensitive(true);
    added.insert(AUTHORIZATION, authorization);
    Ok(added)
}

/// Presigns a request. Returns the whole query to send, without the question mark. The headers of `parts` are
/// signed and must be sent unchanged.
pub fn presign(
    parts: &SignedParts<'_>,
    body_hash: &BodyHash,
    signer: &Signer<'_>,
    expires_seconds: u32,
) -> Result<String, SigningTrouble> {
    if !(1..=PRESIGNED_EXPIRES_SECONDS_MAX).contains(&expires_seconds) {
        return Err(SigningTrouble::ExpiryOutOfRange);
    }
    let (requested_at, scope) = signer.moment_and_scope()?;
    let credentials = signer.credentials;
    let names = names_to_sign(parts.headers)?;
    let mut query = parts.raw_query.unwrap_or_default().to_owned();
    let credential = format!("{}/{scope}", credentials.access_key_id);
    push_member(&mut query, "X-Amz-Algorithm", ALGORITHM);
    push_member(&mut query, "X-Amz-Credential", &credential);
    push_member(&mut query, "X-Amz-Date", requested_at.as_str());
    push_member(&mut query, "X-Amz-Expires", &expires_seconds.to_string());
    push_member(&mut query, "X-Amz-SignedHeaders", &names);
    if let Some(token) = &credentials.session_token {
        push_member(&mut query, "X-Amz-Security-Token", token.expose_secret());
    }
    let form = Form::Query { expires_seconds };
    let canonical =
        canonical_request(&SignedParts { raw_query: Some(&query), ..*parts }, &names, form, body_hash);
    let signature = SigningKey::derive(&credentials.secret_access_key, &scope).signature(&string_to_sign(
        &requested_at,
        &scope,
        &canonical,
    ));
    push_member(&mut query, "X-Amz-Signature", signature.as_str());
    Ok(query)
}

impl<'a> Signer<'a> {
    fn moment_and_scope(&self) -> Result<(AmzDate, Scope<'a>), SigningTrouble> {
        let requested_at = AmzDate::from_unix_seconds(self.at_millis.div_euclid(1_000))
            .ok_or(SigningTrouble::MomentOutOfRange)?;
        let day = requested_at.day().to_owned().into();
        Ok((requested_at, Scope { day, region: self.region.into(), service: self.service.into() }))
    }
}

fn header_text(text: &str) -> Result<HeaderValue, SigningTrouble> {
    HeaderValue::from_str(text).map_err(|_| SigningTrouble::CredentialNotHeaderText)
}

fn names_to_sign(headers: &HeaderMap) -> Result<String, SigningTrouble> {
    if !headers.contains_key(HOST) {
        return Err(SigningTrouble::HostMissing);
    }
    let mut names: Vec<&str> = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| !UNSIGNED_HEADERS.contains(name))
        .collect();
    names.sort_unstable();
    Ok(names.join(";"))
}

fn push_member(query: &mut String, name: &str, value: &str) {
    let mut encoded = Vec::with_capacity(value.len());
    push_encoded(value.bytes(), &mut encoded);
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(name);
    query.push('=');
    query.push_str(&String::from_utf8_lossy(&encoded));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(token: Option<&str>) -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "top secret".into(),
            session_token: token.map(SecretString::from),
        }
    }

    fn signed(headers: &HeaderMap, token: Option<&str>, at_millis: i64) -> Result<HeaderMap, SigningTrouble> {
        let credentials = credentials(token);
        let signer = Signer { credentials: &credentials, region: "us-east-1", service: "sts", at_millis };
        sign(
            &SignedParts { method: "GET", raw_path: "/", raw_query: None, headers },
            &BodyHash::of(b""),
            &signer,
        )
    }

    fn with_host() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost:7962"));
        headers
    }

    #[test]
    fn what_cannot_be_signed_is_said_by_name() {
        assert_eq!(signed(&HeaderMap::new(), None, 0).unwrap_err(), SigningTrouble::HostMissing);
        assert_eq!(signed(&with_host(), None, -1).unwrap_err(), SigningTrouble::MomentOutOfRange);
        assert_eq!(
            signed(&with_host(), Some("a\nb"), 0).unwrap_err(),
            SigningTrouble::CredentialNotHeaderText
        );
        let credentials = credentials(None);
        let signer = Signer { credentials: &credentials, region: "us-east-1", service: "sts", at_millis: 0 };
        let headers = with_host();
        let parts = SignedParts { method: "GET", raw_path: "/", raw_query: None, headers: &headers };
        for expires_seconds in [0, PRESIGNED_EXPIRES_SECONDS_MAX + 1] {
            assert_eq!(
                presign(&parts, &BodyHash::of(b""), &signer, expires_seconds).unwrap_err(),
                SigningTrouble::ExpiryOutOfRange
            );
        }
    }

    #[test]
    fn headers_that_change_on_the_way_are_not_signed() {
        let mut headers = with_host();
        headers.insert("user-agent", HeaderValue::from_static("test"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let added = signed(&headers, Some("token"), 0).unwrap();
        let authorization = added[AUTHORIZATION].to_str().unwrap();
        assert!(
            authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"),
            "{authorization}"
        );
    }

    #[test]
    fn a_stale_token_of_the_request_is_not_signed() {
        let mut headers = with_host();
        headers.insert(&X_AMZ_SECURITY_TOKEN, HeaderValue::from_static("stale"));
        let added = signed(&headers, None, 0).unwrap();
        assert!(!added[AUTHORIZATION].to_str().unwrap().contains(X_AMZ_SECURITY_TOKEN.as_str()));
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", credentials(Some("hidden token")));
        assert!(!shown.contains("top secret") && !shown.contains("hidden"), "{shown}");
        let added = signed(&with_host(), Some("hidden token"), 0).unwrap();
        let shown = format!("{added:?}");
        assert!(!shown.contains("hidden") && !shown.contains("Signature="), "{shown}");
    }
}
