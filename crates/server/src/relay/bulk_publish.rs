//! Bulk publication: reads the datasets of a pool page by page, and enters each into the lane of its stream.
//!
//! The publication is itself a lane, whose only event is the present page. So it is claimed and found like
//! any other work, and memory holds one page whatever the pool's size. A publication whose process ended
//! continues from its page once the lease is over (`docs/protocol.md` section 9.3).

use carryall_core::model::{BulkPublish, BulkPublishStatus, DatasetRef, Head, PoolRef};
use carryall_core::outbox::{Due, Entered, EventBody, Lane, LaneRef, Page, Parked};
use carryall_core::rules::{bulk_publish, outbox};
use carryall_core::store::StoreError;
use futures_util::future::join_all;

use super::lease::{self, Halted, Worked};
use super::resume;
use crate::app::App;
use crate::lock::Lock;
use crate::state::attempt::{Step, Tries};

/// The number of datasets of a page.
const PAGE: usize = 256;
/// The number of attempts to enter a dataset that changes at the same time.
const ENTRY: Tries = Tries { attempts_max: 16, ..Tries::REQUEST };

/// The state of a page.
enum Progress {
    /// All its datasets have left the server.
    Left,
    /// A dataset waits in this lane.
    WaitsFor(LaneRef),
    /// A dataset cannot be delivered, for this reason.
    Failed(String),
}

/// The outcome of entering the next page.
enum Entry {
    /// These datasets are entered.
    Page(Page),
    /// No dataset is left to enter.
    End,
    /// A dataset changed too often to be entered.
    Busy,
}

/// Works on the lane of a publication once.
pub(super) async fn work(app: &App, lane: Lane) -> Result<Worked, Halted> {
    let pool = lane.at.dataset.owner.pool.clone();
    let bulk = app.state.reads().bulk_publish(&pool).await?;
    let Some(bulk) = bulk.filter(|bulk| bulk.status == BulkPublishStatus::InProgress) else {
        lease::commit(app, outbox::drop_first(&lane, lane.first, app.clock.now())).await?;
        return Ok(Worked::Left);
    };
    let Some(page) = page(app, &lane).await? else {
        return fail(app, &lane, &bulk, "Its place in the outbox is damaged.".to_owned()).await;
    };
    match progress(app, &pool, &page.entered).await? {
        Progress::Left => {}
        // Nothing is committed: the lane stays due, and the next node that reads it finds it unchanged.
        Progress::WaitsFor(other) => return Ok(Worked::WaitsFor(other)),
        Progress::Failed(message) => return fail(app, &lane, &bulk, message).await,
    }
    let lane = lease::claim(app, lane).await?;
    if let Some(message) = switched_off(app, &pool).await? {
        return fail(app, &lane, &bulk, message).await;
    }
    let (changes, worked) = match enter_page(app, &pool, &page).await? {
        Entry::Page(next) => {
            let turned = bulk_publish::turn_page(&lane, &bulk, &page, next, app.clock.now());
            (turned, Worked::More)
        }
        Entry::End => (bulk_publish::succeed(&lane, &bulk, &page, app.clock.now()), Worked::Left),
        // The end of the lease is soon enough for another attempt.
        Entry::Busy => return Ok(Worked::Left),
    };
    let is_complete = worked == Worked::Left;
    lease::commit(app, changes).await?;
    app.metrics.effects.datasets_published(page.entered.len());
    if is_complete {
        let datasets = bulk.datasets + page.entered.len() as u64;
        tracing::info!(pool = %pool.id, datasets, "a bulk publication is complete");
    }
    Ok(worked)
}

async fn fail(app: &App, lane: &Lane, bulk: &BulkPublish, message: String) -> Result<Worked, Halted> {
    let pool = &lane.at.dataset.owner.pool.id;
    tracing::warn!(%pool, datasets = bulk.datasets, message, "a bulk publication failed");
    lease::commit(app, bulk_publish::fail(lane, bulk, message)).await?;
    Ok(Worked::Left)
}

/// The present page of the publication; `None` if it cannot be read.
async fn page(app: &App, lane: &Lane) -> Result<Option<Page>, StoreError> {
    let events = match app.state.reads().events(&lane.at, 1, 0).await {
        Err(StoreError::Corrupt { .. }) => return Ok(None),
        events => events?,
    };
    Ok(events.into_iter().next().and_then(|event| match event.body {
        EventBody::Page(page) => Some(page),
        EventBody::Updated(_) | EventBody::Deleted | EventBody::Snapshot { .. } | EventBody::Notice => None,
    }))
}

/// Searches for a dataset that has not left yet, from the end of the page: usually the last one is delivered
/// last.
async fn progress(app: &App, pool: &PoolRef, entered: &[Entered]) -> Result<Progress, StoreError> {
    for dataset in entered.iter().rev() {
        let at = dataset.lane(pool);
        let lane = match app.state.reads().lane(&at).await {
            Err(StoreError::Corrupt { what }) => return Ok(failed(dataset, &what)),
            lane => lane?,
        };
        let Some(lane) = lane.filter(|lane| lane.first <= dataset.position()) else { continue };
        if let Due::Parked { why, .. } = lane.state.due
            && (why == Parked::Undeliverable || resume::still_waits(app, pool).await?)
        {
            return Ok(failed(dataset, &lane.state.trouble));
        }
        return Ok(Progress::WaitsFor(at));
    }
    Ok(Progress::Left)
}

fn failed(dataset: &Entered, why: &str) -> Progress {
    let Entered { identity, name, .. } = dataset;
    Progress::Failed(format!("Dataset '{name}' of identity '{identity}' could not be published: {why}"))
}

/// The reason why publishing must stop; `None` while the stream is switched on.
async fn switched_off(app: &App, at: &PoolRef) -> Result<Option<String>, StoreError> {
    let Some(pool) = app.state.pool(&at.id).await?.filter(|pool| pool.at == *at) else {
        return Ok(Some("The pool was deleted.".to_owned()));
    };
    let Some(streams) = &pool.streams else { return Ok(Some("The pool no longer has a stream.".to_owned())) };
    if streams.enabled_stream().is_some() {
        return Ok(None);
    }
    let reason = streams.disabled_reason.as_deref().map_or(String::new(), |reason| format!(" {reason}"));
    Ok(Some(format!("Streaming was switched off.{reason}")))
}

/// Enters the datasets after `page`. Entering them twice, as after a crash, sends the unchanged ones again
/// under the same event ids.
async fn enter_page(app: &App, pool: &PoolRef, page: &Page) -> Result<Entry, StoreError> {
    let heads = app.state.reads().heads_of_pool(pool, page.through.as_ref(), PAGE).await?;
    let Some((last, _)) = heads.last() else { return Ok(Entry::End) };
    let through = Some((last.owner.identity.clone(), last.name.clone()));
    let mut entered = Vec::new();
    // All at once, so that they share syncs.
    for outcome in join_all(heads.into_iter().map(|(dataset, head)| enter(app, dataset, head))).await {
        match outcome? {
            Some(dataset) => entered.extend(dataset),
            None => return Ok(Entry::Busy),
        }
    }
    Ok(Entry::Page(Page { through, entered }))
}

/// Enters one dataset, if it exists; `None` if the attempts ran out.
async fn enter(app: &App, at: DatasetRef, head: Head) -> Result<Option<Option<Entered>>, StoreError> {
    let seen = Lock::new(Some(head));
    let entered = app.state.retry(ENTRY, || async {
        let seen = seen.lock().take();
        let head = match seen {
            Some(head) => Some(head),
            // It has changed since the page was read.
            None => app.state.reads().head(&at).await?.head,
        };
        let entry = head.and_then(|head| bulk_publish::enter(&at, &head, app.clock.now()));
        let Some((changes, entered)) = entry else { return Ok(Step::Answer(None)) };
        Ok::<_, StoreError>(Step::Commit(changes, Some(entered)))
    });
    entered.await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use carryall_core::changes::{Changes, Write};
    use carryall_core::ids::{DatasetName, IdentityId, LeaseId, SyncCount};
    use carryall_core::model::{CognitoStreams, Floor, IdentityRef, Life, StreamingStatus, Writer};
    use carryall_core::outbox::{LaneState, Sink};
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};
    use tokio::sync::watch;

    use super::super::lane;
    use super::super::tests::{app_over, pool};
    use super::*;

    const COUNT: SyncCount = SyncCount(7);

    async fn commit(app: &App, write: Vec<Write>) {
        assert!(app.state.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
    }

    fn dataset(pool: &PoolRef, name: &str) -> DatasetRef {
        let identity = IdentityId::parse("us-east-1:1").unwrap();
        let owner = IdentityRef { pool: pool.clone(), identity };
        DatasetRef { owner, name: DatasetName::parse(name).unwrap() }
    }

    fn head() -> Head {
        let life = Life {
            created: UnixMillis(1),
            modified: UnixMillis(1),
            modified_by: Writer::from("d"),
            records: 0,
            tombstones: 0,
            tombstone_key_bytes: Some(0),
            tombstones_forgotten_through: SyncCount::ZERO,
            data_bytes: 0,
        };
        let floor = Floor { sync_count: COUNT, ..Floor::default() };
        Head { life: Some(life), ..floor.head() }
    }

    /// An installation with a pool that streams and holds two datasets, whose publication has begun.
    async fn publishing() -> (Arc<App>, PoolRef) {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let app = app_over(store).await;
        let at = pool(&app).await;
        let mut pool = app.state.reads().pool(&at.id).await.unwrap().unwrap();
        pool.streams = Some(CognitoStreams {
            stream_name: Some("changes".to_owned()),
            status: Some(StreamingStatus::Enabled),
            ..CognitoStreams::default()
        });
        commit(&app, vec![Write::PutPool(Box::new(pool.clone()))]).await;
        for name in ["a", "b"] {
            commit(&app, vec![Write::PutHead(dataset(&at, name), head())]).await;
        }
        let first = Some(dataset(&at, "a"));
        let begun = bulk_publish::begin(&pool, None, first, app.clock.now()).unwrap();
        assert!(app.state.commit(begun).await.unwrap().is_done());
        (app, at)
    }

    fn lane_of(pool: &PoolRef, name: &str, sink: Sink) -> LaneRef {
        LaneRef { dataset: dataset(pool, name), sink }
    }

    async fn work(app: &Arc<App>, pool: &PoolRef) -> Worked {
        let (_running, stop) = watch::channel(false);
        lane::work(Arc::clone(app), lane_of(pool, "a", Sink::Publication), stop).await
    }

    async fn published(app: &App, pool: &PoolRef) -> BulkPublish {
        app.state.reads().bulk_publish(pool).await.unwrap().unwrap()
    }

    async fn deliver(app: &App, pool: &PoolRef, name: &str) {
        let lane = lane_of(pool, name, Sink::Stream);
        let events = app.state.reads().events(&lane, 9, usize::MAX).await.unwrap();
        let positions = events.iter().map(|event| event.position).collect();
        commit(app, vec![Write::RemoveEvents(lane, positions)]).await;
    }

    #[tokio::test]
    async fn a_page_waits_for_its_last_dataset_and_the_publication_ends_behind_the_last_page() {
        let (app, pool) = publishing().await;
        assert_eq!(work(&app, &pool).await, Worked::More, "the page is entered");
        assert_eq!(work(&app, &pool).await, Worked::WaitsFor(lane_of(&pool, "b", Sink::Stream)));
        deliver(&app, &pool, "b").await;
        assert_eq!(work(&app, &pool).await, Worked::WaitsFor(lane_of(&pool, "a", Sink::Stream)));
        assert_eq!(published(&app, &pool).await.datasets, 0);
        deliver(&app, &pool, "a").await;
        assert_eq!(work(&app, &pool).await, Worked::Left);
        let done = published(&app, &pool).await;
        assert_eq!((done.status, done.datasets), (BulkPublishStatus::Succeeded, 2));
        let lane = app.state.reads().lane(&lane_of(&pool, "a", Sink::Publication)).await;
        assert_eq!(lane, Ok(None), "nothing is left of it");
    }

    #[tokio::test]
    async fn a_publication_whose_node_died_is_continued_once_its_lease_has_ended() {
        let (app, pool) = publishing().await;
        let at = lane_of(&pool, "a", Sink::Publication);
        let lane = app.state.reads().lane(&at).await.unwrap().unwrap();
        let (claimed, _) = outbox::claim(&lane, LeaseId(1), app.clock.now().plus_seconds(60));
        assert!(app.state.commit(claimed).await.unwrap().is_done());
        assert_eq!(work(&app, &pool).await, Worked::Left, "another node enters the page");
        let lane = app.state.reads().lane(&at).await.unwrap().unwrap();
        let (ended, _) = outbox::claim(&lane, LeaseId(1), UnixMillis(app.clock.now().0 - 1));
        assert!(app.state.commit(ended).await.unwrap().is_done());
        assert_eq!(work(&app, &pool).await, Worked::More);
        assert!(matches!(work(&app, &pool).await, Worked::WaitsFor(_)));
    }

    #[tokio::test]
    async fn a_publication_fails_by_the_name_of_a_dataset_that_cannot_be_delivered() {
        let (app, pool) = publishing().await;
        assert_eq!(work(&app, &pool).await, Worked::More);
        let at = lane_of(&pool, "b", Sink::Stream);
        let lane = app.state.reads().lane(&at).await.unwrap().unwrap();
        let due = Due::Parked { why: Parked::Undeliverable, since: UnixMillis(1) };
        let state = LaneState { due, attempts: 3, trouble: "no route".to_owned() };
        commit(&app, vec![Write::SetLane { at, seen_first: lane.first, first: lane.first, state }]).await;
        assert_eq!(work(&app, &pool).await, Worked::Left);
        let message = "Dataset 'b' of identity 'us-east-1:1' could not be published: no route".to_owned();
        assert_eq!(published(&app, &pool).await.status, BulkPublishStatus::Failed { message });
        let lane = app.state.reads().lane(&lane_of(&pool, "a", Sink::Publication)).await;
        assert_eq!(lane, Ok(None), "another one may begin");
    }
}
