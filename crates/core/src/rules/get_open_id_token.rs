//! GetOpenIdToken: the first half of the classic flow, in pools that allow it (`docs/protocol.md` section 5.5).

use crate::model::Pool;
use crate::refusal::Refusal;

/// Refuses the classic flow in a pool that does not allow it, or that has role mappings, which the classic
/// flow would bypass.
pub fn admit_classic_flow(pool: &Pool) -> Result<(), Refusal> {
    if pool.allow_classic_flow == Some(false) {
        return Err(Refusal::ClassicFlowNotAllowed(pool.at.id.clone()));
    }
    if pool.role_mappings.is_some() {
        return Err(Refusal::ClassicFlowWithRoleMappings(pool.at.id.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    #[test]
    fn the_classic_flow_is_allowed_unless_the_pool_says_otherwise_or_maps_roles() {
        let of = |allow_classic_flow, role_mappings: Option<&str>| Pool {
            allow_classic_flow,
            role_mappings: role_mappings.map(str::to_owned),
            ..samples::pool()
        };
        let id = samples::pool().at.id;
        for allowed in [None, Some(true)] {
            assert_eq!(admit_classic_flow(&of(allowed, None)), Ok(()));
            let refusal = Refusal::ClassicFlowWithRoleMappings(id.clone());
            assert_eq!(admit_classic_flow(&of(allowed, Some("{}"))), Err(refusal));
        }
        let refusal = Refusal::ClassicFlowNotAllowed(id);
        assert_eq!(admit_classic_flow(&of(Some(false), Some("{}"))), Err(refusal));
    }
}
