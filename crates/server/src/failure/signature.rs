//! The failures of authentication.

use carryall_core::refusal::Refusal;
use carryall_wire::sigv4::Trouble;

/// The failures of authentication, in the order in which they are found.
pub enum SignatureFailure {
    /// The request has no signature.
    Missing,
    /// The signature is malformed, outside its time window, or wrong.
    Trouble(Trouble),
    /// The key does not exist, or the session token does not belong to it.
    UnknownKey,
    /// The temporary credentials have expired.
    Expired,
}

impl std::fmt::Debug for SignatureFailure {
    /// The form for the log. The message for the caller repeats the request with its headers, so only its
    /// first line, which names the error, is shown.
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

/// The failures of an identity token.
#[derive(Debug)]
pub enum IdentityTokenFailure {
    /// The token has expired.
    Expired,
    /// The token was not issued by this server, or its pool or identity is gone.
    Invalid,
    /// The token's pool no longer allows the classic flow.
    NotAdmitted(Refusal),
}
