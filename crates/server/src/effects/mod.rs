//! The effects that a change of data has under the pool's present settings.

pub mod pool_check;
pub mod stream_trouble;

use std::sync::Arc;

use carryall_core::model::{IdentityRef, Pool};
use carryall_core::rules::effects::Effects;

use crate::app::App;
use crate::failure::Failure;
use crate::metrics::ServerLimit;

/// What a change of data of `owner` sets off, as its pool is set up now: nothing while too much waits already.
pub async fn effects(app: &App, owner: &IdentityRef) -> Result<Effects, Failure> {
    let Some(mut pool) = app.pool(&owner.pool.id).await? else { return Ok(Effects::default()) };
    if pool.streams.is_some() {
        // The commit will expect these very settings; a cache may be behind another node's.
        let Some(stored) = app.store.pool(&owner.pool.id).await? else { return Ok(Effects::default()) };
        pool = Arc::new(stored);
    }
    let devices = if Effects::has_push(&pool) { Some(app.store.devices(owner).await?) } else { None };
    let effects = Effects::of(&pool, devices);
    if effects.is_none() || !is_outbox_full(app, &pool).await? {
        return Ok(effects);
    }
    Ok(effects.held_back())
}

/// Whether the pool's outbox may not grow any more. If so the stream's consumers have to know that changes are missing.
async fn is_outbox_full(app: &App, pool: &Pool) -> Result<bool, Failure> {
    let usage = app.store.pool_usage(&pool.at).await?;
    let outbox = &app.config.outbox;
    let is_full =
        usage.events_waiting >= outbox.events_per_pool_max || usage.events_bytes >= outbox.bytes_per_pool_max;
    if is_full {
        app.metrics.limit_hit(ServerLimit::OutboxOfPool);
        stream_trouble::note_full_outbox(app, pool, &usage).await?;
    }
    Ok(is_full)
}
