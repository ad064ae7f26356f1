//! GetIdentityPoolRoles (`docs/protocol.md` section 10.6).

use std::collections::BTreeMap;

use carryall_core::store::StoreError;
use carryall_wire::ops::identity::GetIdentityPoolRoles;
use carryall_wire::ops::identity::get_identity_pool_roles::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;

impl Handler for GetIdentityPoolRoles {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(&input).await?;
        // Charged before it is decoded; the exact size is charged with the answer.
        call.pay_answer(pool.role_mappings.as_ref().map_or(0, String::len)).await?;
        let role_mappings = match &pool.role_mappings {
            None => BTreeMap::default(),
            Some(json) => serde_json::from_str(json).map_err(|error| StoreError::Corrupt {
                what: format!("role mappings of pool {}: {error}", pool.at.id),
            })?,
        };
        Ok(Output { identity_pool_id: pool.at.id.to_string(), roles: pool.roles.clone(), role_mappings })
    }
}
