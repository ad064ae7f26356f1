//! The pools that the settings state.

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::rules::set_identity_pool_configuration;
use carryall_core::store::Committed;

use super::error::OperatorError;
use super::pool;
use crate::app::App;
use crate::config::PoolSeed;
use crate::effects::pool_check;

/// Creates the pools of the settings that do not exist yet, and sets what the settings state of push, streams and
/// events. Everything else of a pool that exists is left as it is.
pub async fn seed_pools(app: &App) -> Result<(), OperatorError> {
    for seed in &app.config.pools {
        if app.store.pool(&seed.id).await?.is_none() {
            pool::create(app, Some(seed.id.as_str()), &seed.name, seed.allow_guests).await?;
            tracing::info!(pool = %seed.id, name = seed.name, "created a pool of the settings");
        }
        state_effects(app, seed).await?;
    }
    Ok(())
}

async fn state_effects(app: &App, seed: &PoolSeed) -> Result<(), OperatorError> {
    let stored = app.store.pool(&seed.id).await?;
    let Some(before) = stored else { return Ok(()) };
    if before.name != seed.name || before.allow_guests != seed.allow_guests {
        tracing::warn!(pool = %seed.id, "name and allow_guests of a pool that exists are left as they are; the settings say otherwise");
    }
    let mut pool = before.clone();
    set_identity_pool_configuration::apply(&mut pool, seed.push.clone(), seed.streams.clone());
    if let Some(events) = &seed.events {
        pool.events.clone_from(events);
        pool.events.retain(|_, function| !function.is_empty());
    }
    if pool == before {
        pool_check::check_in_background(app, pool);
        return Ok(());
    }
    pool.version = before.version.next();
    let expect = vec![Expect::PoolVersion(before.at, before.version)];
    let checked = pool.clone();
    let write = vec![Write::PutPool(Box::new(pool))];
    match app.commit(Changes { expect, write }).await? {
        Committed::Done => {}
        Committed::Refused => {
            return Err(format!("pool {} changed while its settings were applied", seed.id).into());
        }
    }
    pool_check::check_in_background(app, checked);
    tracing::info!(pool = %seed.id, "push, streams and events were set as the settings state them");
    Ok(())
}
