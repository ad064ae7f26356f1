//! The relay: takes events out of the outbox and delivers them, at least once, in order within a lane and in
//! parallel across lanes (`docs/protocol.md` section 13).
//!
//! Three supervised tasks share the work. [`deliveries`] works on lanes, as many at a time as [`queue`]
//! allows: commits of this process name the lanes they append to ([`Wakes`](crate::state::wakes::Wakes)), and
//! [`scan`] finds all others in the store. [`resume_lanes`] makes lanes due that waited for a stream to be
//! switched on. [`lane`] is the work on one lane, under its [`lease`]: [`stream`] and [`device`] are the two
//! kinds of delivery, [`weight`] is the memory that they are charged for, and [`bulk_publish`] fills other lanes with a
//! whole pool.

mod bulk_publish;
mod delivered;
mod deliveries;
mod device;
mod lane;
mod lease;
mod queue;
mod resume;
mod scan;
mod stream;
mod weight;

use std::sync::Arc;

use carryall_core::ids::PoolId;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::app::App;
use crate::state::wakes::Receivers;
use crate::supervision::Supervisor;

/// Starts the relay. The deliveries are essential, because a restart would lose the lanes that commits have
/// named; the other two tasks are loops.
pub fn start(app: &Arc<App>, supervisor: &mut Supervisor) {
    let Some(Receivers { lanes, pools }) = app.state.wakes().receivers() else { return };
    let (scanner, scan) = scan::scan();
    let stop = supervisor.stop();
    supervisor.essential("deliveries", deliveries::run(Arc::clone(app), lanes, scan, stop));
    supervisor.restartable("outbox scan", {
        let app = Arc::clone(app);
        move || scan::run(Arc::clone(&app), scanner.clone())
    });
    let pools = Arc::new(Mutex::new(pools));
    supervisor.restartable("resumption", {
        let app = Arc::clone(app);
        move || resume_lanes(Arc::clone(&app), Arc::clone(&pools))
    });
}

/// Reads the parked lanes of a pool when its streams have changed, and those of all pools periodically.
async fn resume_lanes(app: Arc<App>, named: Arc<Mutex<mpsc::Receiver<PoolId>>>) {
    let mut named = named.lock().await;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            pool = named.recv() => {
                let Some(pool) = pool else { return };
                resume::pool(&app, &pool).await;
            }
            () = sleep_until(next) => {
                resume::all(&app).await;
                next = Instant::now() + resume::INTERVAL;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::changes::{Changes, Expect, Write};
    use carryall_core::ids::{DatasetName, IdentityId, SyncCount};
    use carryall_core::model::{CognitoStreams, DatasetRef, IdentityRef, PoolRef};
    use carryall_core::outbox::{Due, Event, EventBody, LaneRef, LaneState, Parked, Position, Sink};
    use carryall_core::store::{Store, StoreError};
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};
    use futures_util::FutureExt;
    use tokio::sync::{oneshot, watch};

    use super::*;
    use crate::admin::{self, Verb, pool};
    use crate::clock::Clock;
    use crate::config::{Config, Settings};
    use crate::faulty_store::{Call, FaultyStore};
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    pub(super) async fn app_over(store: Arc<dyn Store>) -> Arc<App> {
        app_with(Settings::default(), store).await
    }

    pub(super) async fn app_with(settings: Settings, store: Arc<dyn Store>) -> Arc<App> {
        let config = Config::check(settings).unwrap();
        let clock = Clock::system();
        let (master, root) = (MasterKey::generate(&clock), RootKey::generate(&clock));
        App::open(config, store, &master, root, clock).await.ok().unwrap()
    }

    pub(super) async fn pool(app: &App) -> PoolRef {
        let id = PoolId::parse("us-east-1:0").unwrap();
        let verb = Verb::Pool(pool::Verb::Create {
            id: Some(id.to_string()),
            name: "p".to_owned(),
            allow_guests: true,
        });
        assert!(admin::execute(app, verb).await.is_ok());
        app.state.reads().pool(&id).await.unwrap().unwrap().at
    }

    fn lane(pool: &PoolRef, number: usize) -> LaneRef {
        let identity = IdentityId::parse(&format!("us-east-1:{number:04}")).unwrap();
        let owner = IdentityRef { pool: pool.clone(), identity };
        LaneRef { dataset: DatasetRef { owner, name: DatasetName::parse("n").unwrap() }, sink: Sink::Stream }
    }

    /// Puts an event into a lane, bypassing the relay of this process.
    async fn put_event(app: &App, lane: LaneRef) {
        let (position, body) = (Position::change(SyncCount(1)), EventBody::Deleted);
        let event = Event { lane, position, at: UnixMillis(1), body };
        let changes = Changes { expect: Vec::new(), write: vec![Write::AppendEvent(event)] };
        assert!(app.state.commit(changes).await.unwrap().is_done());
    }

    async fn park(app: &App, at: LaneRef) {
        let lane = app.state.reads().lane(&at).await.unwrap().unwrap();
        let due = Due::Parked { why: Parked::SwitchedOff, since: UnixMillis(1) };
        let state = LaneState { due, ..lane.state };
        let write = vec![Write::SetLane { at: at.clone(), seen_first: lane.first, first: lane.first, state }];
        let changes = Changes { expect: vec![Expect::Lane(at, lane.state.due)], write };
        assert!(app.state.commit(changes).await.unwrap().is_done());
    }

    #[tokio::test]
    async fn a_scan_of_many_parked_lanes_lets_other_tasks_run() {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let app = app_over(store).await;
        let at = pool(&app).await;
        for number in 0..=resume::LANES_PER_PAGE {
            put_event(&app, lane(&at, number)).await;
            park(&app, lane(&at, number)).await;
        }
        // The stream has no status, so it is off and nothing is resumed: no commit leaves the scan unfinished.
        let mut pool = app.state.reads().pool(&at.id).await.unwrap().unwrap();
        pool.streams =
            Some(CognitoStreams { stream_name: Some("s".to_owned()), ..CognitoStreams::default() });
        let changes = Changes { expect: Vec::new(), write: vec![Write::PutPool(Box::new(pool))] };
        assert!(app.state.commit(changes).await.unwrap().is_done());
        assert!(resume::all(&app).now_or_never().is_none());
        resume::all(&app).await;
        let parked = app.state.reads().lanes_parked(None, None, usize::MAX).await.unwrap();
        assert_eq!(parked.len(), resume::LANES_PER_PAGE + 1);
    }

    #[tokio::test]
    async fn a_lane_that_cannot_be_read_is_left_out_and_does_not_count_as_a_failing_store() {
        let store = FaultyStore::new(|call| match call {
            Call::Lane => Err(StoreError::Corrupt { what: "planted".to_owned() }),
            _ => Ok(()),
        });
        let app = app_over(store).await;
        let at = lane(&pool(&app).await, 0);
        put_event(&app, at.clone()).await;
        let (_running, stop) = watch::channel(false);
        let worked = lane::work(app, at, stop).await;
        assert_eq!(worked, lease::Worked::Damaged { what: "planted".to_owned() });
    }

    #[tokio::test]
    async fn a_panic_in_the_relay_s_loops_or_in_a_delivery_is_counted_and_delays_nothing_else() {
        let (running, stop) = watch::channel(false);
        let (mut scans, mut pages, mut lanes) = (0, 0, 0);
        let (again, all_again) = oneshot::channel();
        let mut again = Some(again);
        let store = FaultyStore::new(move |call| {
            let count = match call {
                Call::LanesDue => &mut scans,
                Call::LanesParked => &mut pages,
                Call::Lane => &mut lanes,
                _ => return Ok(()),
            };
            *count += 1;
            let is_first = *count == 1;
            if scans.min(pages).min(lanes) >= 2 {
                again.take().map(|again| again.send(()));
            }
            assert!(!is_first, "planted");
            Ok(())
        });
        let app = app_over(store).await;
        let at = pool(&app).await;
        put_event(&app, lane(&at, 0)).await;
        let mut supervisor = Supervisor::without_pause(app.metrics.tasks.clone(), stop);
        start(&app, &mut supervisor);
        all_again.await.unwrap();
        let page = app.metrics.page(&[]).unwrap();
        for task in ["outbox scan", "resumption", "delivery"] {
            assert!(page.contains(&format!(r#"carryall_task_restarts_total{{task="{task}"}} 1"#)), "{page}");
        }
        running.send(true).unwrap();
        assert_eq!(supervisor.finish().await, Ok(()));
    }
}
