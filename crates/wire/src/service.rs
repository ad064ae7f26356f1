//! The three services and their names on the wire.

/// The services that share the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Cognito Sync: REST-JSON, and the documented RPC form on `POST /` (`docs/protocol.md` sections 1.1 and 1.2).
    Sync,
    /// Cognito Identity: JSON 1.1 on `POST /` (`docs/protocol.md` section 1.3).
    Identity,
    /// Security Token Service: the query protocol on `POST /` (`docs/protocol.md` section 1.4).
    Sts,
}

impl Service {
    /// The service name in a signature's scope (`docs/protocol.md` section 4.2).
    pub const fn signing_name(self) -> &'static str {
        match self {
            Self::Sync => "cognito-sync",
            Self::Identity => "cognito-identity",
            Self::Sts => "sts",
        }
    }

    /// The part of `X-Amz-Target` before the operation's name; the query protocol has no such header.
    pub const fn target_prefix(self) -> Option<&'static str> {
        match self {
            Self::Sync => Some("com.amazonaws.cognito.sync.model.AWSCognitoSyncService."),
            Self::Identity => Some("AWSCognitoIdentityService."),
            Self::Sts => None,
        }
    }
}
