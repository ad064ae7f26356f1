//! The operations of STS, one file each: declaration, input, output and an example. Decisions are not made
//! here.

pub mod assume_role_with_web_identity;
pub mod get_caller_identity;

pub use assume_role_with_web_identity::AssumeRoleWithWebIdentity;
pub use get_caller_identity::GetCallerIdentity;
