//! BulkPublish: nothing can be published yet, since no stream is in effect (`docs/protocol.md` section 9.3).

use carryall_core::refusal::Refusal;
use carryall_wire::ops::sync::BulkPublish;
use carryall_wire::ops::sync::bulk_publish::{Input, Output};

use crate::call::Call;
use crate::error::Failure;
use crate::ops::Handler;

impl Handler for BulkPublish {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(input.identity_pool_id.as_deref()).await?;
        Err(Refusal::StreamingDisabled(pool.at.id.clone()).into())
    }
}
