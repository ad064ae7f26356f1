//! Resuming of lanes that are parked until a stream is switched on: they become due once it is, or once there
//! is nothing left to wait for.

use std::collections::HashMap;
use std::time::Duration;

use carryall_core::ids::PoolId;
use carryall_core::model::PoolRef;
use carryall_core::outbox::{Due, Lane, LaneRef, Parked};
use carryall_core::rules::outbox;
use carryall_core::store::{Committed, StoreError};
use futures_util::future::join_all;
use tokio::task::yield_now;

use crate::app::App;

/// The interval in which parked lanes are read without a request.
pub(super) const INTERVAL: Duration = Duration::from_mins(10);
/// The number of lanes that are read at a time.
pub(super) const LANES_PER_PAGE: usize = 256;

/// Makes the parked lanes of one pool due that no longer have to wait.
pub(super) async fn pool(app: &App, id: &PoolId) {
    match app.state.reads().pool(id).await {
        Ok(Some(pool)) => report(resume(app, Some(&pool.at)).await),
        Ok(None) => {}
        Err(error) => report(Err(error)),
    }
}

/// Makes every parked lane due that no longer has to wait.
pub(super) async fn all(app: &App) {
    report(resume(app, None).await);
}

fn report(outcome: Result<usize, StoreError>) {
    match outcome {
        Ok(0) => {}
        Ok(lanes) => tracing::info!(lanes, "parked lanes of streams that were switched on again are due"),
        Err(error) => tracing::warn!(%error, "parked lanes could not be read"),
    }
}

async fn resume(app: &App, only: Option<&PoolRef>) -> Result<usize, StoreError> {
    let mut waits: HashMap<PoolRef, bool> = HashMap::new();
    let (mut after, mut resumed): (Option<LaneRef>, usize) = (None, 0);
    loop {
        let page = app.state.reads().lanes_parked(only, after.as_ref(), LANES_PER_PAGE).await?;
        let Some(last) = page.last() else { return Ok(resumed) };
        after = Some(last.at.clone());
        // A store that answers at once would keep this thread from all other tasks.
        yield_now().await;
        let mut ready = Vec::new();
        for lane in page.iter().filter(|lane| is_switched_off(lane)) {
            let at = &lane.at.dataset.owner.pool;
            if !waits.contains_key(at) {
                waits.insert(at.clone(), still_waits(app, at).await?);
            }
            if waits.get(at) == Some(&false) {
                ready.push(outbox::try_again(lane, app.clock.now()));
            }
        }
        // All at once, so that they share syncs.
        for outcome in join_all(ready.into_iter().map(|changes| app.state.commit(changes))).await {
            match outcome? {
                Committed::Done => resumed += 1,
                // Another node or an operator was quicker.
                Committed::Refused => {}
            }
        }
    }
}

fn is_switched_off(lane: &Lane) -> bool {
    match lane.state.due {
        Due::Parked { why: Parked::SwitchedOff, .. } => true,
        Due::Parked { why: Parked::Undeliverable, .. } | Due::At(_) | Due::Leased { .. } => false,
    }
}

/// True if the pool still has a stream that is switched off. Without a stream, the delivery drops the waiting
/// events.
pub(super) async fn still_waits(app: &App, at: &PoolRef) -> Result<bool, StoreError> {
    let pool = app.state.pool(&at.id).await?.filter(|pool| pool.at == *at);
    let streams = pool.as_ref().and_then(|pool| pool.streams.as_ref());
    Ok(streams.is_some_and(|streams| streams.enabled_stream().is_none()))
}
