//! The operations of Cognito Identity, one file each: declaration, input, output and an example. Decisions
//! are not made here.

pub mod create_identity_pool;
pub mod delete_identities;
pub mod delete_identity_pool;
pub mod describe_identity;
pub mod describe_identity_pool;
pub mod get_credentials_for_identity;
pub mod get_id;
pub mod get_identity_pool_roles;
pub mod get_open_id_token;
pub mod list_identities;
pub mod list_identity_pools;
pub mod set_identity_pool_roles;
pub mod update_identity_pool;

pub use create_identity_pool::CreateIdentityPool;
pub use delete_identities::DeleteIdentities;
pub use delete_identity_pool::DeleteIdentityPool;
pub use describe_identity::DescribeIdentity;
pub use describe_identity_pool::DescribeIdentityPool;
pub use get_credentials_for_identity::GetCredentialsForIdentity;
pub use get_id::GetId;
pub use get_identity_pool_roles::GetIdentityPoolRoles;
pub use get_open_id_token::GetOpenIdToken;
pub use list_identities::ListIdentities;
pub use list_identity_pools::ListIdentityPools;
pub use set_identity_pool_roles::SetIdentityPoolRoles;
pub use update_identity_pool::UpdateIdentityPool;
