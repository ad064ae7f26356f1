//! AWS Signature Version 4: verification of signed requests, and signing for tests, measurements and clients.
//!
//! Pure functions of the request head, the body's hash, a key and a moment: nothing here reads a clock, looks a key
//! up or knows an HTTP server. Verification has stages that the types keep in order, since a body may only be read
//! once key, scope and clock are known to be good:
//!
//! 1. [`parse`] finds the authentication in a request's head ([`Presented`]), or that there is none;
//! 2. [`Presented::check_scope_and_clock`] gives an [`InScope`];
//! 3. [`InScope::verify`] compares signatures, given the hash of the body that was read and the [`SigningKey`].
//!
//! Whether a key exists and whether credentials have expired is the caller's to decide. The rules are those of
//! `docs/protocol.md` section 4.

mod authorization;
mod canonical;
mod digest;
mod key_cache;
mod scope;
mod sign;
mod signed_headers;
mod signing_key;
mod verify;

use std::fmt;

use http::{HeaderMap, HeaderName};

pub use self::authorization::{Presented, parse};
pub use self::canonical::{canonical_request, string_to_sign};
pub use self::digest::{BodyHash, BodyHasher};
pub use self::key_cache::{KEY_CACHE_ENTRIES_COUNT_MAX, KeyCache};
pub use self::scope::{AmzDate, Expected, InScope, Scope};
pub use self::sign::{Credentials, Signer, SigningTrouble, presign, sign};
pub use self::signing_key::SigningKey;

/// Longest `Authorization` header that is looked at.
pub const AUTHORIZATION_BYTES_MAX: usize = 4_096;
/// Longest access key id; AWS's own end at 128 as well.
pub const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
/// Longest region or service name in a credential scope.
pub const SCOPE_PART_BYTES_MAX: usize = 64;
/// Most names in a list of signed headers.
pub const SIGNED_HEADERS_COUNT_MAX: usize = 64;
/// Longest session token.
pub const SESSION_TOKEN_BYTES_MAX: usize = 8_192;
/// Most members in the query of a request that is to be verified.
pub const QUERY_MEMBERS_COUNT_MAX: usize = 256;
/// Longest life of a presigned query: seven days.
pub const PRESIGNED_EXPIRES_SECONDS_MAX: u32 = 604_800;
/// Most bytes of the canonical request that a mismatch message repeats.
pub const MISMATCH_ECHO_BYTES_MAX: usize = 4_096;

/// The one algorithm that is accepted.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last part of every credential scope.
pub(crate) const SCOPE_END: &str = "aws4_request";

pub(crate) static X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(crate) static X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(crate) static X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// The head of a request as it came over the wire, which is what a signature covers.
#[derive(Clone, Copy)]
pub struct SignedParts<'a> {
    /// The method that was signed: where `X-HTTP-Method-Override` applies, its value.
    pub method: &'a str,
    /// The path as received, never decoded and never normalised.
    pub raw_path: &'a str,
    /// The query as received, without the question mark.
    pub raw_query: Option<&'a str>,
    /// Every header of the request.
    pub headers: &'a HeaderMap,
}

/// Where a request carries its authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query (presigned), good for this many seconds from its `X-Amz-Date` on (1 to 604,800).
    Query {
        /// Value of `X-Amz-Expires`.
        expires_seconds: u32,
    },
}

/// Why a signature is refused; one variant per error name of `docs/protocol.md` section 4.6.
///
/// A request without authentication is not trouble ([`parse`] gives `None`); unknown keys and expired credentials
/// are found by the caller. The message is for the caller of the service: it names what was wrong and which value
/// was wanted, and holds neither a secret nor the signature that would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The signature is not that of this request under this key, or its scope is not ours.
    Mismatch {
        /// Text for the caller.
        message: String,
    },
    /// The request is too old or lies in the future.
    Clock {
        /// Text for the caller, starting `Signature expired:` or `Signature not yet current:`.
        message: String,
    },
    /// The authentication is incomplete or cannot be read.
    Malformed {
        /// Text for the caller.
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

    /// The text for the caller of the service.
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
