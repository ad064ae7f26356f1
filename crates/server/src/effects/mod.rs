//! The effects that a change of data has under the pool's present settings.

pub mod pool_check;
pub mod stream_trouble;

use std::sync::Arc;

use carryall_core::model::{IdentityRef, PoolUsage};
use carryall_core::refusal::Refusal;
use carryall_core::rules::effects::Effects;

use crate::app::App;
use crate::config::Config;
use crate::failure::Failure;
use crate::metrics::ServerLimit;

/// The effects of a change of data of `owner`, as its pool is set up now: none while too much waits already.
pub async fn effects(app: &App, owner: &IdentityRef) -> Result<Effects, Failure> {
    let gone = || Failure::from(Refusal::PoolNotFound(owner.pool.id.clone()));
    let mut pool =
        app.state.pool(&owner.pool.id).await?.filter(|pool| pool.at == owner.pool).ok_or_else(gone)?;
    if pool.streams.is_some() {
        // The commit will expect these very settings; a cache may be behind another node's.
        pool = Arc::new(app.state.reads().pool(&owner.pool.id).await?.ok_or_else(gone)?);
    }
    let devices = if Effects::has_push(&pool) { Some(app.state.reads().devices(owner).await?) } else { None };
    let effects = Effects::of(&pool, devices);
    if effects.is_none() {
        return Ok(effects);
    }
    let usage = app.state.reads().pool_usage(&pool.at).await?;
    if !is_full(&usage, &app.config) {
        return Ok(effects);
    }
    app.metrics.limit_hit(ServerLimit::OutboxOfPool);
    stream_trouble::note_full_outbox(&app.state, &pool, &usage).await?;
    Ok(effects.held_back())
}

/// True if the pool's outbox may not grow any more.
fn is_full(usage: &PoolUsage, config: &Config) -> bool {
    let outbox = &config.outbox;
    usage.events_waiting >= outbox.events_per_pool_max || usage.events_bytes >= outbox.bytes_per_pool_max
}
