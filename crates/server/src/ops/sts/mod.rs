//! The operations of the Security Token Service that the classic flow and developers need.

mod assume_role_with_web_identity;
mod get_caller_identity;

/// The session name of credentials from the enhanced flow.
pub(super) const SESSION_NAME: &str = "CognitoIdentityCredentials";
