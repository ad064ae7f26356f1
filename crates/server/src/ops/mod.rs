//! The work of each operation on a decoded, authorised request: load, decide, commit, answer. There is one
//! file per operation, named as in every layer. Nothing here knows HTTP.

pub mod access;
pub mod call;
mod dispatch;
pub mod identity;
pub mod sts;
pub mod sync;
pub mod sync_trigger;

use std::future::Future;

use carryall_core::ids::PoolId;
use carryall_core::model::Pool;
use carryall_core::refusal::Refusal;
use carryall_core::rules::replace_pool;
use carryall_core::time::UnixMillis;
use carryall_wire::spec::Operation;
use carryall_wire::timestamp::Timestamp;

pub(crate) use self::dispatch::{dispatch, dispatch_rows};
use crate::failure::Failure;
use crate::ops::call::{Call, required};
use crate::state::attempt::Step;

/// An implemented operation.
pub trait Handler: Operation {
    /// Carries out the operation.
    fn handle(
        call: &Call<'_>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// A time in its form on the wire.
pub(crate) fn timestamp(moment: UnixMillis) -> Timestamp {
    Timestamp::from_unix_milliseconds(moment.0)
}

/// Changes the settings of the pool that the request names, and returns the pool afterwards.
pub(crate) async fn change_pool(
    call: &Call<'_>,
    id: Option<&str>,
    edit: impl Fn(&mut Pool) -> Result<(), Failure> + Sync,
) -> Result<Pool, Failure> {
    let id = PoolId::parse(required("identityPoolId", id)?)?;
    call.app
        .state
        .attempt(&id, || async {
            let stored = call.app.state.reads().pool(&id).await?;
            let before = stored.ok_or_else(|| Refusal::PoolNotFound(id.clone()))?;
            let mut after = before.clone();
            edit(&mut after)?;
            let (changes, pool) = replace_pool(&before, after);
            Ok(Step::Commit(changes, pool))
        })
        .await
}
