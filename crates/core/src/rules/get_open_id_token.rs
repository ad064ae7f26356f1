//! GetOpenIdToken: the first half of the classic flow, in pools that allow it (`docs/protocol.md` section 5.5).

use crate::model::Pool;
use crate::refusal::Refusal;
use crate::rules::get_id::admit_guest;

/// Refuses the classic flow to guests of a pool that does not allow guests or the classic flow, or that has role
/// mappings, which the classic flow would bypass. Both halves of the flow ask, because the settings can change between
/// them.
pub fn admit_classic_flow(pool: &Pool) -> Result<(), Refusal> {
    admit_guest(pool)?;
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
            allow_guests: true,
            ..samples::pool()
        };
        let id = samples::pool().at.id;
        for allowed in [None, Some(true)] {
            assert_eq!(admit_classic_flow(&of(allowed, None)), Ok(()));
            let refusal = Refusal::ClassicFlowWithRoleMappings(id.clone());
            assert_eq!(admit_classic_flow(&of(allowed, Some("{}"))), Err(refusal));
        }
        let refusal = Refusal::ClassicFlowNotAllowed(id.clone());
        assert_eq!(admit_classic_flow(&of(Some(false), Some("{}"))), Err(refusal));
        let closed = Pool { allow_guests: false, ..of(None, None) };
        assert_eq!(admit_classic_flow(&closed), Err(Refusal::GuestsNotAllowed(id)));
    }
}
