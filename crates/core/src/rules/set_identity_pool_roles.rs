//! SetIdentityPoolRoles: roles and their mappings are stored and returned, never required (`docs/protocol.md`
//! section 10.6).

use std::collections::BTreeMap;

use crate::limits::{ROLE_MAPPINGS_BYTES_PER_POOL_MAX, ROLE_MAPPINGS_PER_POOL_MAX};
use crate::model::Pool;
use crate::rules::set_identity_pool_configuration::check_role_arn;
use crate::violation::{Constraint, Violation};

/// The kinds of identity that have a role.
const KINDS: &[&str] = &["authenticated", "unauthenticated"];

/// Role mappings as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleMappings {
    /// The number of login providers with mappings.
    pub count: usize,
    /// All mappings, as JSON.
    pub json: String,
}

/// Checks roles by the kind of identity, and the number and the size of the mappings.
pub fn check(roles: &BTreeMap<String, String>, mappings: Option<&RoleMappings>) -> Result<(), Violation> {
    for (kind, role) in roles {
        if !KINDS.contains(&kind.as_str()) {
            return Err(Violation::new("roles", kind, Constraint::Enum(KINDS)));
        }
        check_role_arn(&format!("roles.{kind}"), Some(role))?;
    }
    let (count, bytes) = mappings.map_or((0, 0), |mappings| (mappings.count, mappings.json.len()));
    if count > ROLE_MAPPINGS_PER_POOL_MAX {
        let constraint = Constraint::LengthMax(ROLE_MAPPINGS_PER_POOL_MAX as u64);
        return Err(Violation::new("roleMappings", count, constraint));
    }
    if bytes > ROLE_MAPPINGS_BYTES_PER_POOL_MAX {
        let rule = format!("Member must have at most {ROLE_MAPPINGS_BYTES_PER_POOL_MAX} bytes of JSON");
        return Err(Violation::new("roleMappings", format!("{bytes} bytes"), Constraint::Other(rule)));
    }
    Ok(())
}

/// Replaces the roles and mappings of `pool`.
pub fn apply(pool: &mut Pool, roles: &BTreeMap<String, String>, mappings: Option<&RoleMappings>) {
    pool.roles.clone_from(roles);
    pool.role_mappings = mappings.filter(|mappings| mappings.count > 0).map(|mappings| mappings.json.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    const ROLE: &str = "arn:aws:iam::000000000000:role/guest";

    fn roles(kind: &str, role: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(kind.to_owned(), role.to_owned())])
    }

    fn mappings(count: usize) -> RoleMappings {
        RoleMappings { count, json: format!("{{\"count\":{count}}}") }
    }

    #[test]
    fn roles_and_mappings_take_the_place_of_the_earlier_ones() {
        let mut pool = samples::pool();
        apply(&mut pool, &roles("authenticated", ROLE), Some(&mappings(1)));
        apply(&mut pool, &roles("unauthenticated", ROLE), Some(&mappings(2)));
        assert_eq!(pool.roles, roles("unauthenticated", ROLE));
        assert_eq!(pool.role_mappings, Some(mappings(2).json));
        apply(&mut pool, &BTreeMap::new(), Some(&mappings(0)));
        assert_eq!((pool.roles.len(), pool.role_mappings), (0, None), "an empty map is no mapping");
    }

    #[test]
    fn other_kinds_other_roles_and_too_many_mappings_are_refused() {
        assert_eq!(check(&roles("authenticated", ROLE), Some(&mappings(ROLE_MAPPINGS_PER_POOL_MAX))), Ok(()));
        let member = |roles, mappings| check(&roles, mappings).unwrap_err().member;
        assert_eq!(member(roles("guest", ROLE), None), "roles");
        assert_eq!(member(roles("authenticated", "guest"), None), "roles.authenticated");
        let many = mappings(ROLE_MAPPINGS_PER_POOL_MAX + 1);
        assert_eq!(member(BTreeMap::new(), Some(&many)), "roleMappings");
    }

    #[test]
    fn mappings_over_64_kib_are_refused_with_their_size_and_the_limit() {
        let mappings = |bytes| RoleMappings { count: 1, json: "a".repeat(bytes) };
        assert_eq!(check(&BTreeMap::new(), Some(&mappings(65_536))), Ok(()));
        assert_eq!(
            check(&BTreeMap::new(), Some(&mappings(65_537))).unwrap_err().to_string(),
            "1 validation error detected: Value '65537 bytes' at 'roleMappings' failed to satisfy constraint: \
             Member must have at most 65536 bytes of JSON"
        );
    }
}
