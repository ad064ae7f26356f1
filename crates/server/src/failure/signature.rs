//! The failures of authentication.

use carryall_wire::sigv4::Trouble;

/// The failures of a signature, in the order in which they are found.
pub enum SignatureFailure {
    /// The request has none.
    Missing,
    /// It is malformed, out of its window, or wrong.
    Trouble(Trouble),
    /// The key does not exist, or the token does not belong to it.
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

/// The failures of an identity token.
#[derive(Debug)]
pub enum IdentityTokenFailure {
    /// It has expired.
    Expired,
    /// It was not issued here, or its pool or identity is gone.
    Invalid,
}
