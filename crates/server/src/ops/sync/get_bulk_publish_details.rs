//! GetBulkPublishDetails: no bulk publish has been started (`docs/protocol.md` section 9.3).

use carryall_wire::ops::sync::GetBulkPublishDetails;
use carryall_wire::ops::sync::get_bulk_publish_details::{Input, Output};

use crate::call::Call;
use crate::error::Failure;
use crate::ops::Handler;

impl Handler for GetBulkPublishDetails {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(input.identity_pool_id.as_deref()).await?;
        Ok(Output {
            identity_pool_id: pool.at.id.to_string(),
            bulk_publish_start_time: None,
            bulk_publish_complete_time: None,
            bulk_publish_status: "NOT_STARTED".to_owned(),
            failure_message: None,
        })
    }
}
