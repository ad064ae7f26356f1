//! What operations decide: one file per operation, each a function of what was loaded, the time and the request.

pub mod delete_dataset;
pub mod delete_identities;
pub mod list_records;
pub mod update_records;

use crate::changes::Expect;
use crate::ids::IdentityEpoch;
use crate::model::{Caller, IdentityRef, PoolRef};
use crate::refusal::Refusal;

/// Whether the credentials of `caller` still reach `owner`: developers reach everything, an identity reaches itself
/// in the epoch that its credentials were made in (`docs/protocol.md` sections 5.4 and 5.6).
///
/// `current` is the pool as it is now and the identity's present epoch, if the identity is still listed.
pub fn reaches(
    caller: &Caller,
    owner: &IdentityRef,
    current: &PoolRef,
    epoch: Option<IdentityEpoch>,
) -> Result<(), Refusal> {
    match caller {
        Caller::Developer { .. } => Ok(()),
        Caller::Identity { at, epoch: made_in } => {
            let same = at == owner && at.pool == *current;
            // A deleted identity has no row and so no epoch: its credentials work until they expire.
            let current_epoch = epoch.is_none_or(|epoch| epoch == *made_in);
            if same && current_epoch { Ok(()) } else { Err(Refusal::NotAuthorized) }
        }
    }
}

/// The expectation that every change of an identity's data carries: its pool is still the same one.
pub(crate) fn pool_stands(owner: &IdentityRef) -> Expect {
    Expect::Pool(owner.pool.clone())
}
