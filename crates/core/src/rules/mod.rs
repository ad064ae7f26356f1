//! What operations decide: one file per operation, each a function of what was loaded, the time and the request.

pub mod delete_dataset;
pub mod delete_identities;
pub mod list_records;
pub mod set_cognito_events;
pub mod set_identity_pool;
pub mod set_identity_pool_configuration;
pub mod update_records;

use crate::changes::Expect;
use crate::model::IdentityRef;

/// The expectation that every change of an identity's data carries: its pool is still the same one.
pub(crate) fn pool_stands(owner: &IdentityRef) -> Expect {
    Expect::Pool(owner.pool.clone())
}
