//! The decisions of operations: one file per operation, each a function of the loaded data, the time and the
//! request. Shared rules stand beside them: [`effects`] and [`sync_trigger`] apply to every change of data,
//! [`outbox`] to the relay.

pub mod bulk_publish;
pub mod create_identity_pool;
pub mod delete_dataset;
pub mod delete_identities;
pub mod delete_identity_pool;
pub mod effects;
pub(crate) mod forget_tombstones;
pub mod get_id;
pub mod get_open_id_token;
pub mod list_records;
pub mod outbox;
pub mod patches;
pub mod register_device;
#[cfg(test)]
pub(crate) mod samples;
pub mod set_cognito_events;
pub mod set_identity_pool;
pub mod set_identity_pool_configuration;
pub mod set_identity_pool_roles;
pub mod subscribe_to_dataset;
pub mod sync_trigger;
pub mod unsubscribe_from_dataset;
pub mod update_records;

use crate::changes::{Changes, Expect, Write};
use crate::model::{IdentityRef, Pool};

/// The expectation of every change of an identity's data: its pool still has the same incarnation.
pub(crate) fn pool_stands(owner: &IdentityRef) -> Expect {
    Expect::Pool(owner.pool.clone())
}

/// The commit that replaces the settings of `before` by those of `after`, and the pool afterwards. It is
/// refused if the settings have changed since `before` was read.
pub fn replace_pool(before: &Pool, after: Pool) -> (Changes, Pool) {
    let pool = Pool { version: before.version.next(), ..after };
    let changes = Changes {
        expect: vec![Expect::PoolVersion(before.at.clone(), before.version)],
        write: vec![Write::PutPool(Box::new(pool.clone()))],
    };
    (changes, pool)
}

/// The text of a damage: the holdings of an identity disagree with its heads.
fn damaged_holdings(owner: &IdentityRef) -> String {
    format!("the holdings of identity '{}' count less than its heads", owner.identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Version;

    #[test]
    fn a_replaced_pool_has_the_next_version_and_expects_the_one_that_was_read() {
        let before = Pool { version: Version(4), ..samples::pool() };
        let (changes, pool) = replace_pool(&before, Pool { name: "renamed".to_owned(), ..before.clone() });
        assert_eq!((pool.name.as_str(), pool.version), ("renamed", Version(5)));
        assert_eq!(changes.expect, [Expect::PoolVersion(before.at, Version(4))]);
        assert_eq!(changes.write, [Write::PutPool(Box::new(pool))]);
    }
}
