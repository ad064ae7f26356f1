//! DescribeIdentityPool (`docs/protocol.md` section 10.1).

use carryall_wire::ops::identity::DescribeIdentityPool;
use carryall_wire::ops::identity::describe_identity_pool::Input;
use carryall_wire::shapes::IdentityPool;

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;

impl Handler for DescribeIdentityPool {
    async fn handle(call: &Call<'_>, input: Input) -> Result<IdentityPool, Failure> {
        let pool = call.pool(&input).await?;
        Ok(super::pool(&pool))
    }
}
