//! DescribeIdentityUsage (`docs/protocol.md` section 8.1).

use carryall_wire::ops::sync::DescribeIdentityUsage;
use carryall_wire::ops::sync::describe_identity_usage::{Input, Output};
use carryall_wire::shapes::IdentityUsage;

use crate::failure::Failure;
use crate::ops::call::Call;
use crate::ops::{Handler, timestamp};

impl Handler for DescribeIdentityUsage {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let owner = call.owner(&input).await?;
        let view = call.app.state.reads().heads(&owner).await?;
        let lives = || view.heads.iter().filter_map(|(_, head)| head.life.as_ref());
        Ok(Output {
            identity_usage: IdentityUsage {
                identity_id: owner.identity.to_string(),
                identity_pool_id: owner.pool.id.to_string(),
                last_modified_date: lives().map(|life| life.modified).max().map(timestamp),
                dataset_count: lives().count() as u64,
                data_storage: lives().map(|life| life.data_bytes).sum(),
            },
        })
    }
}
