//! Work without a request: reclaims the space of deleted data in slices, sweeps the data of deleted
//! identities once their credentials have expired, and moves session counts into the store.

use std::sync::Arc;
use std::time::Duration;

use carryall_core::changes::{Changes, Write};
use carryall_core::model::Sweep;
use carryall_core::rules::delete_identities;
use carryall_core::store::{Committed, StoreError};
use carryall_core::time::UnixMillis;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::app::App;
use crate::effects::effects;
use crate::failure::Failure;
use crate::state::attempt::Step;
use crate::supervision::Supervisor;

/// The number of rows that one slice of reclaiming frees; small, because writes wait behind it.
const RECLAIM_ROWS_MAX: usize = 512;
/// The pause between slices while more rows are waiting.
const RECLAIM_PAUSE: Duration = Duration::from_millis(20);
/// The pause when nothing was waiting.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(2);
/// The pause after the store failed.
const TROUBLE_PAUSE: Duration = Duration::from_secs(30);
/// The interval in which session counts are stored. A crash loses those of one interval.
const SESSIONS_INTERVAL: Duration = Duration::from_secs(5);
/// The time limit for storing session counts when the server stops.
const STOP_MAX: Duration = Duration::from_secs(5);
/// The interval in which due sweeps are read.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
/// The number of sweeps read at a time.
const SWEEPS_MAX: usize = 64;
/// The time after which a failed sweep is retried.
const SWEEP_RETRY_SECONDS: u32 = 3600;

/// Starts the background work. Each part is a loop that a panic restarts, because all its state is in the
/// store.
pub fn start(app: &Arc<App>, supervisor: &mut Supervisor) {
    supervisor.restartable("reclaim", {
        let app = Arc::clone(app);
        move || reclaim(Arc::clone(&app))
    });
    supervisor.restartable("session counts", {
        let app = Arc::clone(app);
        move || store_sessions(Arc::clone(&app))
    });
    supervisor.restartable("sweeps", {
        let app = Arc::clone(app);
        move || sweep(Arc::clone(&app))
    });
}

/// Stores the session counts that are still in memory when the server stops.
pub async fn finish(app: &App) {
    if timeout(STOP_MAX, app.state.store_sessions()).await.is_err() {
        tracing::warn!("sync sessions were not counted: the store did not accept them before the stop");
    }
}

async fn reclaim(app: Arc<App>) {
    loop {
        let pause = match app.state.reclaim(RECLAIM_ROWS_MAX).await {
            Ok(reclaimed) if reclaimed.more => RECLAIM_PAUSE,
            Ok(_) => RECLAIM_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "space could not be reclaimed");
                TROUBLE_PAUSE
            }
        };
        sleep(pause).await;
    }
}

async fn store_sessions(app: Arc<App>) {
    let mut ticks = interval(SESSIONS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        app.state.store_sessions().await;
    }
}

async fn sweep(app: Arc<App>) {
    let mut ticks = interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(failure) = sweep_due(&app).await {
            tracing::warn!(?failure, "data of deleted identities could not be swept");
        }
    }
}

async fn sweep_due(app: &App) -> Result<(), Failure> {
    loop {
        let now = app.clock.now();
        let due = app.state.reads().sweeps(now, SWEEPS_MAX).await?;
        for sweep in &due {
            match clear(app, sweep).await {
                Ok(()) => {}
                Err(failure @ Failure::Store(StoreError::Unavailable { .. })) => return Err(failure),
                Err(failure) => put_off(app, sweep, now, &failure).await?,
            }
        }
        if due.len() < SWEEPS_MAX {
            return Ok(());
        }
        // A store that answers at once would keep this thread from all other tasks.
        yield_now().await;
    }
}

/// Makes a sweep due again later, so that sweeps that fail do not keep the later ones from being read.
async fn put_off(app: &App, sweep: &Sweep, now: UnixMillis, failure: &Failure) -> Result<(), Failure> {
    let identity = &sweep.owner.identity;
    tracing::warn!(%identity, ?failure, retry_seconds = SWEEP_RETRY_SECONDS,
        "data of a deleted identity could not be swept");
    app.metrics.tasks.sweep_put_off();
    let not_before = now.plus_seconds(SWEEP_RETRY_SECONDS);
    let later = Sweep { not_before, ..sweep.clone() };
    let write = vec![Write::RemoveSweep(sweep.clone()), Write::PutSweep(later)];
    match app.state.commit(Changes { expect: Vec::new(), write }).await? {
        // The commit expects nothing, so it is never refused.
        Committed::Done | Committed::Refused => Ok(()),
    }
}

async fn clear(app: &App, sweep: &Sweep) -> Result<(), Failure> {
    app.state
        .attempt_in_background(&sweep.owner, || async {
            let pool = app.state.reads().pool(&sweep.owner.pool.id).await?;
            if pool.is_none_or(|pool| pool.at != sweep.owner.pool) {
                // Its data was removed with the pool.
                let changes = Changes { expect: Vec::new(), write: vec![Write::RemoveSweep(sweep.clone())] };
                return Ok(Step::Commit(changes, ()));
            }
            let view = app.state.reads().heads(&sweep.owner).await?;
            let present = app.state.reads().identity(&sweep.owner.identity).await?;
            let effects = effects(app, &sweep.owner).await?.without_devices();
            let now = app.clock.now();
            Ok(Step::Commit(delete_identities::sweep(&view, present.as_ref(), now, sweep, &effects), ()))
        })
        .await
}

#[cfg(test)]
mod tests {
    use carryall_core::changes::Expect;
    use carryall_core::ids::{IdentityEpoch, IdentityId, PoolId, SyncCount};
    use carryall_core::model::{Floor, Holdings, Identity, IdentityRef, PoolRef};
    use carryall_core::store::Store;
    use carryall_store::{StoreOptions, StoreUrl};
    use futures_util::FutureExt;
    use tokio::sync::watch;

    use super::*;
    use crate::admin::{self, Verb, pool};
    use crate::clock::Clock;
    use crate::config::{Config, Settings};
    use crate::faulty_store::{Call, FaultyStore};
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    async fn app() -> Arc<App> {
        app_over(carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap()).await
    }

    async fn app_over(store: Arc<dyn Store>) -> Arc<App> {
        let config = Config::check(Settings::default()).unwrap();
        let clock = Clock::system();
        let (master, root) = (MasterKey::generate(&clock), RootKey::generate(&clock));
        App::open(config, store, &master, root, clock).await.ok().unwrap()
    }

    async fn pool(app: &App) -> PoolRef {
        let id = PoolId::parse("us-east-1:0").unwrap();
        let verb = Verb::Pool(pool::Verb::Create {
            id: Some(id.to_string()),
            name: "p".to_owned(),
            allow_guests: true,
        });
        assert!(admin::execute(app, verb).await.is_ok());
        app.state.reads().pool(&id).await.unwrap().unwrap().at
    }

    #[tokio::test]
    async fn a_due_sweep_ends_whether_or_not_its_pool_is_still_there() {
        let app = app().await;
        let at = pool(&app).await;
        let gone = PoolRef { id: PoolId::parse("us-east-1:9").unwrap(), incarnation: at.incarnation };
        for pool in [at, gone] {
            let owner = IdentityRef { pool, identity: IdentityId::parse("us-east-1:1").unwrap() };
            let sweep = Sweep { owner, not_before: UnixMillis(1) };
            let changes = Changes { expect: Vec::new(), write: vec![Write::PutSweep(sweep)] };
            assert!(app.state.commit(changes).await.unwrap().is_done());
        }
        assert!(!app.state.reads().sweeps(app.clock.now(), SWEEPS_MAX).await.unwrap().is_empty());
        sweep_due(&app).await.unwrap();
        assert_eq!(app.state.reads().sweeps(app.clock.now(), SWEEPS_MAX).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_sweep_ends_without_a_trace_once_its_identity_was_put_again() {
        let app = app().await;
        let owner =
            IdentityRef { pool: pool(&app).await, identity: IdentityId::parse("us-east-1:1").unwrap() };
        let identity = Identity {
            at: owner.clone(),
            epoch: IdentityEpoch::default(),
            created: UnixMillis(1),
            modified: UnixMillis(1),
        };
        let floor = Floor { sync_count: SyncCount(7), ..Floor::default() };
        let holdings = Holdings { floor, ..Holdings::default() };
        let write = vec![
            Write::PutSweep(Sweep { owner: owner.clone(), not_before: UnixMillis(1) }),
            Write::PutIdentity(identity),
            Write::PutHoldings(owner.clone(), holdings),
        ];
        assert!(app.state.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
        sweep_due(&app).await.unwrap();
        assert_eq!(app.state.reads().heads(&owner).await.unwrap().holdings, holdings);
        let later = app.clock.now().plus_seconds(2 * SWEEP_RETRY_SECONDS);
        assert_eq!(app.state.reads().sweeps(later, SWEEPS_MAX).await.unwrap(), [], "nor is it put off");
    }

    /// Puts due sweeps of identities that have these numbers.
    async fn put_sweeps(app: &App, pool: &PoolRef, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let identity = IdentityId::parse(&format!("us-east-1:{number:04}")).unwrap();
            let owner = IdentityRef { pool: pool.clone(), identity };
            let sweep = Sweep { owner, not_before: UnixMillis(1) };
            let changes = Changes { expect: Vec::new(), write: vec![Write::PutSweep(sweep)] };
            assert!(app.state.commit(changes).await.unwrap().is_done());
        }
    }

    #[tokio::test]
    async fn sweeps_that_cannot_be_done_do_not_keep_the_ones_behind_them_waiting() {
        let store = FaultyStore::new(|call| match call {
            Call::Heads(owner) if owner.identity.as_str() < "us-east-1:0064" => {
                Err(StoreError::Corrupt { what: "planted".to_owned() })
            }
            _ => Ok(()),
        });
        let app = app_over(store).await;
        let at = pool(&app).await;
        put_sweeps(&app, &at, 0..SWEEPS_MAX + 1).await;
        sweep_due(&app).await.unwrap();
        let now = app.clock.now();
        assert_eq!(app.state.reads().sweeps(now, usize::MAX).await.unwrap(), []);
        let later =
            app.state.reads().sweeps(now.plus_seconds(2 * SWEEP_RETRY_SECONDS), usize::MAX).await.unwrap();
        assert_eq!(later.len(), SWEEPS_MAX, "those that failed are tried again");
        let page = app.metrics.page(&[]).unwrap();
        assert!(page.contains("carryall_sweeps_put_off_total 64"), "{page}");
    }

    #[tokio::test]
    async fn a_long_round_of_sweeps_lets_other_tasks_run() {
        let app = app().await;
        let at = pool(&app).await;
        put_sweeps(&app, &at, 0..SWEEPS_MAX + 1).await;
        assert!(sweep_due(&app).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_loop_that_panics_goes_on_and_is_counted() {
        let (running, stop) = watch::channel(false);
        let (mut reclaims, mut sweeps) = (0, 0);
        let (again, all_again) = tokio::sync::oneshot::channel();
        let mut again = Some(again);
        let store = FaultyStore::new(move |call| {
            match call {
                Call::Reclaim => reclaims += 1,
                Call::Sweeps => sweeps += 1,
                _ => return Ok(()),
            }
            if reclaims.min(sweeps) >= 2 {
                again.take().map(|again| again.send(()));
            }
            let first = match call {
                Call::Reclaim => reclaims == 1,
                _ => sweeps == 1,
            };
            assert!(!first, "planted");
            Ok(())
        });
        let app = app_over(store).await;
        let mut supervisor = Supervisor::without_pause(app.metrics.tasks.clone(), stop);
        start(&app, &mut supervisor);
        all_again.await.unwrap();
        let page = app.metrics.page(&[]).unwrap();
        for task in ["reclaim", "sweeps"] {
            assert!(page.contains(&format!(r#"carryall_task_restarts_total{{task="{task}"}} 1"#)), "{page}");
        }
        running.send(true).unwrap();
        assert_eq!(supervisor.finish().await, Ok(()));
    }

    #[tokio::test]
    async fn session_counts_reach_the_store_at_the_stop() {
        let app = app().await;
        let at = pool(&app).await;
        app.state.begin_session(&at);
        finish(&app).await;
        assert_eq!(app.state.reads().pool_usage(&at).await.unwrap().sync_sessions, 1);
        // The pool is still the one that was counted.
        let same = Changes { expect: vec![Expect::Pool(at)], write: Vec::new() };
        assert!(app.state.commit(same).await.unwrap().is_done());
    }
}
