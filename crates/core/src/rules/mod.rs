//! The decisions of operations: one file per operation, each a function of the loaded data, the time and the
//! request. Shared rules stand beside them: [`effects`] and [`sync_trigger`] apply to every change of data,
//! [`outbox`] to the relay.

pub mod bulk_publish;
pub mod delete_dataset;
pub mod delete_identities;
pub mod effects;
pub(crate) mod forget_tombstones;
pub mod list_records;
pub mod outbox;
pub mod patches;
pub mod register_device;
#[cfg(test)]
pub(crate) mod samples;
pub mod set_cognito_events;
pub mod set_identity_pool;
pub mod set_identity_pool_configuration;
pub mod subscribe_to_dataset;
pub mod sync_trigger;
pub mod unsubscribe_from_dataset;
pub mod update_records;

use crate::changes::Expect;
use crate::model::IdentityRef;

/// The expectation of every change of an identity's data: its pool still has the same incarnation.
pub(crate) fn pool_stands(owner: &IdentityRef) -> Expect {
    Expect::Pool(owner.pool.clone())
}
