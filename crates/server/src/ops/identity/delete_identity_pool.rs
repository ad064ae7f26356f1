//! DeleteIdentityPool (`docs/protocol.md` section 10.5).

use carryall_core::ids::PoolId;
use carryall_core::rules::delete_identity_pool;
use carryall_wire::ops::identity::DeleteIdentityPool;
use carryall_wire::ops::identity::delete_identity_pool::Input;
use carryall_wire::shapes::Empty;

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required};
use crate::state::attempt::Step;

impl Handler for DeleteIdentityPool {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Empty, Failure> {
        let id = PoolId::parse(required("identityPoolId", input.identity_pool_id.as_deref())?)?;
        call.app
            .state
            .attempt(&id, || async {
                let stored = call.app.state.reads().pool(&id).await?;
                Ok(Step::Commit(delete_identity_pool::decide(stored, &id)?, Empty {}))
            })
            .await
    }
}
