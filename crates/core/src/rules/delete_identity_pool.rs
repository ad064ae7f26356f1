//! DeleteIdentityPool: ends a pool's identities, its sync data and all access to them at once
//! (`docs/protocol.md` section 10.5).

use crate::changes::{Changes, Expect, Write};
use crate::ids::PoolId;
use crate::model::Pool;
use crate::refusal::Refusal;

/// The commit that removes the pool with `id`, which is `stored`.
pub fn decide(stored: Option<Pool>, id: &PoolId) -> Result<Changes, Refusal> {
    let Pool { at, .. } = stored.ok_or_else(|| Refusal::PoolNotFound(id.clone()))?;
    Ok(Changes { expect: vec![Expect::Pool(at.clone())], write: vec![Write::RemovePool(at)] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    #[test]
    fn the_pool_that_was_read_is_removed_and_no_later_one_of_its_id() {
        let at = samples::pool().at;
        let changes = decide(Some(samples::pool()), &at.id).unwrap();
        assert_eq!(changes.expect, [Expect::Pool(at.clone())]);
        assert_eq!(changes.write, [Write::RemovePool(at)]);
    }

    #[test]
    fn a_pool_that_does_not_exist_is_refused() {
        let id = samples::pool().at.id;
        assert_eq!(decide(None, &id), Err(Refusal::PoolNotFound(id)));
    }
}
