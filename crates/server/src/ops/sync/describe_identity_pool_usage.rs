//! DescribeIdentityPoolUsage (`docs/protocol.md` section 8.2).

use carryall_wire::ops::sync::DescribeIdentityPoolUsage;
use carryall_wire::ops::sync::describe_identity_pool_usage::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;

impl Handler for DescribeIdentityPoolUsage {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(&input).await?;
        let usage = call.app.state.usage(&[&pool.at]).await?;
        let usage = usage.first().copied().unwrap_or_default();
        Ok(Output { identity_pool_usage: super::pool_usage(&pool.at, pool.created, &usage) })
    }
}
