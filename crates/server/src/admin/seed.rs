//! The pools in the settings.

use carryall_core::model::Pool;
use carryall_core::rules::{replace_pool, set_identity_pool_configuration};

use super::error::OperatorError;
use super::pool;
use crate::app::App;
use crate::config::PoolSeed;
use crate::effects::pool_check;
use crate::state::attempt::{Step, Tries};

/// Creates the pools in the settings that do not exist yet, and sets their push, streams and events where the
/// settings state them. All other settings of an existing pool are left unchanged.
pub async fn seed_pools(app: &App) -> Result<(), OperatorError> {
    for seed in &app.config.pools {
        if app.state.reads().pool(&seed.id).await?.is_none() {
            match pool::create(app, Some(seed.id.as_str()), &seed.name, seed.allow_guests).await {
                Ok(_) => {
                    tracing::info!(pool = %seed.id, name = seed.name, "created a pool from the settings");
                }
                // Another node that starts at the same time may have created it.
                Err(error) if app.state.reads().pool(&seed.id).await?.is_none() => return Err(error),
                Err(_) => {}
            }
        }
        state_effects(app, seed).await?;
    }
    Ok(())
}

async fn state_effects(app: &App, seed: &PoolSeed) -> Result<(), OperatorError> {
    let stated = app.state.retry(Tries::REQUEST, || async {
        let stored = app.state.reads().pool(&seed.id).await?;
        let Some(before) = stored else { return Ok(Step::Answer(None)) };
        let after = stated(&before, seed);
        if after == before {
            return Ok(Step::Answer(Some(after)));
        }
        let (changes, pool) = replace_pool(&before, after);
        Ok::<_, OperatorError>(Step::Commit(changes, Some(pool)))
    });
    let kept_changing = || format!("pool {} kept changing while its settings were applied", seed.id);
    let Some(pool) = stated.await?.ok_or_else(kept_changing)? else { return Ok(()) };
    if pool.name != seed.name || pool.allow_guests != seed.allow_guests {
        tracing::warn!(pool = %seed.id, "the existing pool keeps its name and allow_guests, which differ from the settings");
    }
    tracing::info!(pool = %seed.id, "push, streams and events match the settings");
    pool_check::check_in_background(app, pool);
    Ok(())
}

/// The pool with push, streams and events from the settings.
fn stated(before: &Pool, seed: &PoolSeed) -> Pool {
    let mut pool = before.clone();
    set_identity_pool_configuration::apply(&mut pool, seed.push.clone(), seed.streams.clone());
    if let Some(events) = &seed.events {
        pool.events.clone_from(events);
        pool.events.retain(|_, function| !function.is_empty());
    }
    pool
}
