//! GetIdentityPoolConfiguration (`docs/protocol.md` section 9.1).

use carryall_wire::ops::sync::GetIdentityPoolConfiguration;
use carryall_wire::ops::sync::get_identity_pool_configuration::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;

impl Handler for GetIdentityPoolConfiguration {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(&input).await?;
        Ok(Output {
            identity_pool_id: pool.at.id.to_string(),
            push_sync: super::push_sync(&pool),
            cognito_streams: super::cognito_streams(&pool),
        })
    }
}
