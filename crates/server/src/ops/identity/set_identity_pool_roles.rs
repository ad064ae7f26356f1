//! SetIdentityPoolRoles: stored and echoed, never required (`docs/protocol.md` section 10.6).

use std::collections::BTreeMap;

use carryall_core::rules::set_identity_pool_configuration::check_role_arn;
use carryall_core::violation::{Constraint, Violation};
use carryall_wire::ops::identity::SetIdentityPoolRoles;
use carryall_wire::ops::identity::set_identity_pool_roles::Input;
use carryall_wire::shapes::Empty;

use crate::failure::Failure;
use crate::ops::call::{Call, required};
use crate::ops::{Handler, change_pool};

/// The kinds of identity that have a role.
const KINDS: &[&str] = &["authenticated", "unauthenticated"];
/// Providers with role mappings, by the published model.
const ROLE_MAPPINGS_COUNT_MAX: usize = 10;

impl Handler for SetIdentityPoolRoles {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Empty, Failure> {
        let roles = required("roles", input.roles.as_ref())?;
        check_roles(roles)?;
        let mappings = input.role_mappings.as_ref().filter(|mappings| !mappings.is_empty());
        if let Some(mappings) = mappings
            && mappings.len() > ROLE_MAPPINGS_COUNT_MAX
        {
            let constraint = Constraint::LengthMax(ROLE_MAPPINGS_COUNT_MAX as u64);
            return Err(Violation::new("roleMappings", mappings.len(), constraint).into());
        }
        #[expect(clippy::expect_used, reason = "a map of strings and structs of strings has a JSON form")]
        let mappings = mappings.map(|mappings| serde_json::to_string(mappings).expect("plain data"));
        change_pool(call, input.identity_pool_id.as_deref(), |pool| {
            pool.roles.clone_from(roles);
            pool.role_mappings.clone_from(&mappings);
            Ok(())
        })
        .await?;
        Ok(Empty {})
    }
}

fn check_roles(roles: &BTreeMap<String, String>) -> Result<(), Violation> {
    for (kind, role) in roles {
        if !KINDS.contains(&kind.as_str()) {
            return Err(Violation::new("roles", kind, Constraint::Enum(KINDS)));
        }
        check_role_arn(&format!("roles.{kind}"), Some(role))?;
    }
    Ok(())
}
