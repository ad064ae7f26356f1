//! DeleteIdentityPool: its identities, its sync data and all access to them end at once (`docs/protocol.md`
//! section 10.5).

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::ids::PoolId;
use carryall_core::refusal::Refusal;
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
                let pool = call.app.state.reads().pool(&id).await?;
                let pool = pool.ok_or_else(|| Refusal::PoolNotFound(id.clone()))?;
                let changes = Changes {
                    expect: vec![Expect::Pool(pool.at.clone())],
                    write: vec![Write::RemovePool(pool.at)],
                };
                Ok(Step::Commit(changes, Empty {}))
            })
            .await
    }
}
