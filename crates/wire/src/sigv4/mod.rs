//! AWS Signature Version 4: verification of signed requests, and signing for tests, measurements and clients.
//!
//! All functions are pure: their inputs are the request's head, the body's hash, a key and a time. This
//! module reads no clock, looks up no key and knows no HTTP server. Verification has stages whose order the
//! types enforce, because a body may be read only after key, scope and clock have been checked:
//!
//! 1. [`parse`] finds the authentication in a request's head ([`Presented`]), or none;
//! 2. [`Presented::check_scope_and_clock`] returns an [`InScope`];
//! 3. [`InScope::verify`] compares signatures, given the hash of the body and the [`SigningKey`].
//!
//! The caller decides if a key exists and if credentials have expired. The rules are in `docs/protocol.md`
//! section 4.

mod authorization;
mod canonical;
mod digest;
mod in_scope;
mod key_cache;
mod presented;
mod scope;
mod sign;
mod signed_headers;
mod signing_key;
mod verify;

use std::fmt;

use http::{HeaderMap, HeaderName};

pub use self::authorization::parse;
pub use self::canonical::{canonical_request, string_to_sign};
pub use self::digest::{BodyHash, BodyHasher};
pub use self::in_scope::{Expected, InScope};
pub use self::key_cache::{KEY_CACHE_ENTRIES_COUNT_MAX, KeyCache};
pub use self::presented::Presented;
pub use self::scope::{AmzDate, Scope};
pub use self::sign::{Credentials, Signer, SigningTrouble, presign, sign};
pub use self::signing_key::SigningKey;

/// The largest accepted `Authorization` header.
pub const AUTHORIZATION_BYTES_MAX: usize = 4_096;
/// The largest access key id, as at AWS.
pub const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
/// The largest region or service name in a credential scope.
pub const SCOPE_PART_BYTES_MAX: usize = 64;
/// The largest number of signed headers.
pub const SIGNED_HEADERS_COUNT_MAX: usize = 64;
/// The largest session token.
pub const SESSION_TOKEN_BYTES_MAX: usize = 8_192;
/// The largest number of members in the query of a signed request.
pub const QUERY_MEMBERS_COUNT_MAX: usize = 256;
/// The longest lifetime of a presigned query: seven days.
pub const PRESIGNED_EXPIRES_SECONDS_MAX: u32 = 604_800;
/// The largest part of the canonical request that a mismatch message repeats.
pub const MISMATCH_ECHO_BYTES_MAX: usize = 4_096;

/// The only algorithm that is accepted.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last part of every credential scope.
pub(crate) const SCOPE_END: &str = "aws4_request";

pub(crate) static X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(crate) static X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(crate) static X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// The head of a request as received, which is what a signature covers.
#[derive(Clone, Copy)]
pub struct SignedParts<'a> {
    /// The method that was signed: the value of `X-HTTP-Method-Override` where that applies.
    pub method: &'a str,
    /// The path as received, neither decoded nor normalised.
    pub raw_path: &'a str,
    /// The query as received, without the question mark.
    pub raw_query: Option<&'a str>,
    /// Every header of the request.
    pub headers: &'a HeaderMap,
}

/// The place of the authentication in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The `Authorization` header.
    Header,
    /// The query (presigned), valid for this many seconds from its `X-Amz-Date` on (1 to 604,800).
    Query {
        /// The value of `X-Amz-Expires`.
        expires_seconds: u32,
    },
}

/// The reason why a signature is refused; one variant per error name of `docs/protocol.md` section 4.6.
///
/// A request without authentication is no error ([`parse`] returns `None`); unknown keys and expired
/// credentials are found by the caller. The message is for the client: it names the rejected and the expected
/// value, and contains neither a secret nor the correct signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The signature is not that of this request under this key, or its scope names another region or
    /// service.
    Mismatch {
        /// The text for the client.
        message: String,
    },
    /// The time of signing is too far in the past or in the future.
    Clock {
        /// The text for the client, starting `Signature expired:` or `Signature not yet current:`.
        message: String,
    },
    /// The authentication is incomplete or cannot be parsed.
    Malformed {
        /// The text for the client.
        message: String,
    },
}

impl Trouble {
    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::Mismatch { message: message.into() }
    }

    pub(crate) fn clock(message: impl Into<String>) -> Self {
        Self::Clock { message: message.into() }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::Malformed { message: message.into() }
    }

    /// The text for the client.
    pub fn message(&self) -> &str {
        match self {
            Self::Mismatch { message } | Self::Clock { message } | Self::Malformed { message } => message,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for Trouble {}
