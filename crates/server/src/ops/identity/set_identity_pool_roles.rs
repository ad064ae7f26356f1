//! SetIdentityPoolRoles (`docs/protocol.md` section 10.6).

use std::collections::BTreeMap;

use carryall_core::limits::ROLE_MAPPINGS_PER_POOL_MAX;
use carryall_core::rules::set_identity_pool_roles::{self, RoleMappings};
use carryall_wire::limits::{Limit, RoleMappings as DecodedMappings};
use carryall_wire::ops::identity::SetIdentityPoolRoles;
use carryall_wire::ops::identity::set_identity_pool_roles::Input;
use carryall_wire::shapes::{Empty, RoleMapping};

use crate::failure::Failure;
use crate::ops::call::{Call, required};
use crate::ops::{Handler, change_pool};

/// Decoding stops where the rule refuses.
const _: () = assert!(DecodedMappings::ENTRIES_MAX == ROLE_MAPPINGS_PER_POOL_MAX);

impl Handler for SetIdentityPoolRoles {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Empty, Failure> {
        let roles = required("roles", input.roles.as_ref())?;
        let mappings = input.role_mappings.as_ref().map(as_json);
        set_identity_pool_roles::check(roles, mappings.as_ref())?;
        change_pool(call, input.identity_pool_id.as_deref(), |pool| {
            set_identity_pool_roles::apply(pool, roles, mappings.as_ref());
            Ok(())
        })
        .await?;
        Ok(Empty {})
    }
}

#[expect(clippy::expect_used, reason = "a map of strings and structs of strings has a JSON form")]
fn as_json(mappings: &BTreeMap<String, RoleMapping>) -> RoleMappings {
    RoleMappings { count: mappings.len(), json: serde_json::to_string(mappings).expect("plain data") }
}
