//! BulkPublish: starts to send every dataset of a pool to its stream (`docs/protocol.md` section 9.3).

use carryall_core::ids::PoolId;
use carryall_core::refusal::Refusal;
use carryall_core::rules::bulk_publish;
use carryall_wire::ops::sync::BulkPublish;
use carryall_wire::ops::sync::bulk_publish::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required};
use crate::state::attempt::Step;

impl Handler for BulkPublish {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let id = PoolId::parse(required("identityPoolId", input.identity_pool_id.as_deref())?)?;
        call.app
            .state
            .attempt(&id, || async {
                let stored = call.app.state.reads().pool(&id).await?;
                let pool = stored.ok_or_else(|| Refusal::PoolNotFound(id.clone()))?;
                let before = call.app.state.reads().bulk_publish(&pool.at).await?;
                let heads = call.app.state.reads().heads_of_pool(&pool.at, None, 1).await?;
                let first = heads.into_iter().next().map(|(dataset, _)| dataset);
                Ok(Step::Commit(bulk_publish::begin(&pool, before.as_ref(), first, call.now)?, ()))
            })
            .await?;
        Ok(Output { identity_pool_id: id.to_string() })
    }
}
