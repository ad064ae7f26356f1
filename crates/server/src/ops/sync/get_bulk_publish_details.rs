//! GetBulkPublishDetails: returns the state of a pool's latest bulk publication (`docs/protocol.md` section
//! 9.3).

use carryall_core::model::BulkPublishStatus;
use carryall_wire::ops::sync::GetBulkPublishDetails;
use carryall_wire::ops::sync::get_bulk_publish_details::{Input, Output};

use crate::failure::Failure;
use crate::ops::call::Call;
use crate::ops::{Handler, timestamp};

impl Handler for GetBulkPublishDetails {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(&input).await?;
        let bulk = call.app.state.reads().bulk_publish(&pool.at).await?;
        let started = bulk.as_ref().map(|bulk| timestamp(bulk.started));
        let completed = bulk.as_ref().and_then(|bulk| bulk.succeeded).map(timestamp);
        let (status, completed, failure) = match bulk.map(|bulk| bulk.status) {
            None => ("NOT_STARTED", None, None),
            Some(BulkPublishStatus::InProgress) => ("IN_PROGRESS", None, None),
            Some(BulkPublishStatus::Succeeded) => ("SUCCEEDED", completed, None),
            Some(BulkPublishStatus::Failed { message }) => ("FAILED", None, Some(message)),
        };
        Ok(Output {
            identity_pool_id: pool.at.id.to_string(),
            bulk_publish_start_time: started,
            bulk_publish_complete_time: completed,
            bulk_publish_status: status.to_owned(),
            failure_message: failure,
        })
    }
}
