//! Bulk publication: walks over the datasets of a pool and enters each into its lane, a page at a time; a page that has
//! left the server moves the stored cursor. Memory holds one page, whatever the pool's size, and a restart goes on from
//! the cursor (`docs/protocol.md` section 9.3).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use carryall_core::changes::Changes;
use carryall_core::ids::{DatasetName, IdentityId, PoolId};
use carryall_core::model::{BulkPublish, BulkPublishStatus, DatasetRef, Head, PoolRef};
use carryall_core::outbox::{Due, LaneRef, Parked, Position};
use carryall_core::rules::bulk_publish;
use carryall_core::store::{Committed, StoreError};
use futures_util::future::join_all;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::resume;
use crate::app::App;
use crate::lock::Lock;
use crate::state::attempt::{Step, Tries};

/// Datasets that are entered, and waited for, at a time.
const PAGE: usize = 256;
/// Pools that one look for unfinished publications reads at a time.
const POOLS_PER_PAGE: usize = 256;
/// How often a dataset is entered anew when it changes at the same time.
const ENTRY: Tries = Tries { attempts_max: 16, ..Tries::REQUEST };
/// Longest wait until the lanes of a page are looked at again, if no lane of this process is settled before.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Pause after the store failed.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// The publications that run in this process.
#[derive(Default)]
pub(super) struct Publications {
    running: JoinSet<()>,
    pools: HashMap<PoolRef, tokio::task::AbortHandle>,
}

impl Publications {
    /// Begins, or goes on with, the publication of a pool, if it has one to do.
    pub(super) async fn begin(&mut self, app: &Arc<App>, id: &PoolId) {
        while self.running.try_join_next().is_some() {}
        self.pools.retain(|_, task| !task.is_finished());
        let at = match app.state.reads().pool(id).await {
            Ok(Some(pool)) => pool.at,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(pool = %id, %error, "a bulk publication could not be looked for");
                return;
            }
        };
        let is_unfinished = match app.state.reads().bulk_publish(&at).await {
            Ok(bulk) => bulk.is_some_and(|bulk| bulk.status == BulkPublishStatus::InProgress),
            Err(error) => {
                tracing::warn!(pool = %id, %error, "a bulk publication could not be looked for");
                return;
            }
        };
        if is_unfinished && !self.pools.contains_key(&at) {
            let task = self.running.spawn(publish(Arc::clone(app), at.clone()));
            self.pools.insert(at, task);
        }
    }

    /// Goes on with whatever earlier processes left unfinished.
    pub(super) async fn begin_all(&mut self, app: &Arc<App>) {
        let mut after: Option<PoolId> = None;
        loop {
            let page = match app.state.reads().pools(after.as_ref(), POOLS_PER_PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "bulk publications could not be looked for");
                    return;
                }
            };
            let Some(last) = page.last() else { return };
            after = Some(last.at.id.clone());
            yield_now().await;
            for pool in &page {
                self.begin(app, &pool.at.id).await;
            }
        }
    }
}

/// Why a publication does not go on.
enum Ended {
    /// All is published.
    Done,
    /// It cannot succeed, for this reason.
    Failed(String),
    /// Somebody else works on it, or it is gone.
    Elsewhere,
}

async fn publish(app: Arc<App>, at: PoolRef) {
    loop {
        match publish_page(&app, &at).await {
            Ok(None) => {}
            Ok(Some(ended)) => match finish(&app, &at, ended).await {
                Ok(()) => break,
                Err(error) => pause(&at, &error).await,
            },
            Err(error) => pause(&at, &error).await,
        }
    }
    // Another one may have begun while this one ended, and found this one still there.
    app.state.wakes().pool(&at.id);
}

async fn pause(at: &PoolRef, error: &StoreError) {
    tracing::warn!(pool = %at.id, %error, "a bulk publication waits for the store");
    sleep(TROUBLE_PAUSE).await;
}

async fn unfinished(app: &App, at: &PoolRef) -> Result<Option<BulkPublish>, StoreError> {
    let bulk = app.state.reads().bulk_publish(at).await?;
    Ok(bulk.filter(|bulk| bulk.status == BulkPublishStatus::InProgress))
}

/// Publishes the page behind the cursor and moves the cursor; says how it ended if there is nothing more to do.
async fn publish_page(app: &App, at: &PoolRef) -> Result<Option<Ended>, StoreError> {
    let Some(bulk) = unfinished(app, at).await? else { return Ok(Some(Ended::Elsewhere)) };
    if let Some(reason) = switched_off(app, at).await? {
        return Ok(Some(Ended::Failed(reason)));
    }
    let page = app.state.reads().heads_of_pool(at, bulk.cursor.as_ref(), PAGE).await?;
    let Some((last, _)) = page.last() else { return Ok(Some(Ended::Done)) };
    let cursor: (IdentityId, DatasetName) = (last.owner.identity.clone(), last.name.clone());

    let entered = join_all(page.into_iter().map(|(dataset, head)| enter(app, dataset, head))).await;
    let entered: Vec<(LaneRef, Position)> =
        entered.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let datasets = bulk.datasets + entered.len() as u64;
    if let Some(reason) = wait(app, at, &entered).await? {
        return Ok(Some(Ended::Failed(reason)));
    }
    let (changes, _) = bulk_publish::advance(at, &bulk, cursor, datasets);
    if !app.state.commit(changes).await?.is_done() {
        return Ok(Some(Ended::Elsewhere));
    }
    app.metrics.effects.datasets_published(entered.len());
    Ok(None)
}

/// Why nothing can be published any more; `None` while the stream is switched on.
async fn switched_off(app: &App, at: &PoolRef) -> Result<Option<String>, StoreError> {
    let Some(pool) = app.state.pool(&at.id).await?.filter(|pool| pool.at == *at) else {
        return Ok(Some("The pool was deleted.".to_owned()));
    };
    let Some(streams) = &pool.streams else { return Ok(Some("The pool has no stream any more.".to_owned())) };
    if streams.enabled_stream().is_some() {
        return Ok(None);
    }
    let reason = streams.disabled_reason.as_deref().map_or(String::new(), |reason| format!(" {reason}"));
    Ok(Some(format!("Streaming was switched off.{reason}")))
}

/// Enters one dataset; `None` if it does not exist.
async fn enter(app: &App, at: DatasetRef, head: Head) -> Result<Option<(LaneRef, Position)>, StoreError> {
    let seen = Lock::new(Some(head));
    let entered = app.state.retry(ENTRY, || async {
        let seen = seen.lock().take();
        let head = match seen {
            Some(head) => head,
            // It has changed since the page was read.
            None => match app.state.reads().head(&at).await?.head {
                Some(head) => head,
                None => return Ok(Step::Answer(None)),
            },
        };
        let Some((changes, lane, position)) = bulk_publish::enter(&at, &head, app.clock.now()) else {
            return Ok(Step::Answer(None));
        };
        Ok::<_, StoreError>(Step::Commit(changes, Some((lane, position))))
    });
    let cause = || format!("dataset {} changes without end", at.name);
    entered.await?.ok_or_else(|| StoreError::Unavailable { cause: cause() })
}

/// Waits until all these events have left the server; if one of them cannot, says why.
async fn wait(
    app: &App,
    at: &PoolRef,
    entered: &[(LaneRef, Position)],
) -> Result<Option<String>, StoreError> {
    for (lane, position) in entered {
        loop {
            let settled = app.state.wakes().settled();
            let Some(found) = app.state.reads().lane(lane).await? else { break };
            if found.first > *position {
                break;
            }
            if let Due::Parked { why, .. } = found.state.due
                && (why == Parked::Undeliverable || resume::still_waits(app, at).await?)
            {
                return Ok(Some(format!(
                    "Dataset '{}' of identity '{}' could not be published: {}",
                    lane.dataset.name, lane.dataset.owner.identity, found.state.trouble
                )));
            }
            if app.state.pool(&at.id).await?.is_none_or(|pool| pool.at != *at) {
                return Ok(Some("The pool was deleted.".to_owned()));
            }
            let _ = timeout(LOOK_INTERVAL, settled).await;
        }
    }
    Ok(None)
}

async fn finish(app: &App, at: &PoolRef, ended: Ended) -> Result<(), StoreError> {
    let Some(bulk) = unfinished(app, at).await? else { return Ok(()) };
    let changes: Changes = match ended {
        Ended::Elsewhere => return Ok(()),
        Ended::Done => {
            tracing::info!(pool = %at.id, datasets = bulk.datasets, "a bulk publication is complete");
            bulk_publish::succeed(at, &bulk, app.clock.now()).0
        }
        Ended::Failed(message) => {
            tracing::warn!(pool = %at.id, datasets = bulk.datasets, message, "a bulk publication failed");
            bulk_publish::fail(at, &bulk, message).0
        }
    };
    match app.state.commit(changes).await? {
        // If another node has moved the publication meanwhile, it is no longer this one's to end.
        Committed::Done | Committed::Refused => Ok(()),
    }
}
