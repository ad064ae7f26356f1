//! What happens without a request: space of deleted data is reclaimed in slices, data of deleted identities is swept
//! once their credentials have expired, and session counts are moved into the store.

use std::sync::Arc;
use std::time::Duration;

use carryall_core::changes::{Changes, Write};
use carryall_core::model::Sweep;
use carryall_core::rules::delete_identities;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::app::App;
use crate::effects::effects;
use crate::failure::Failure;
use crate::state::attempt::{Step, attempt};
use crate::stop::told_to_stop;

/// Rows that one slice of reclaiming frees; small, since writes wait behind it.
const RECLAIM_ROWS_MAX: usize = 512;
/// Pause between slices while more are waiting.
const RECLAIM_PAUSE: Duration = Duration::from_millis(20);
/// Pause when nothing was waiting.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(2);
/// Pause after the store failed.
const TROUBLE_PAUSE: Duration = Duration::from_secs(30);
/// How often session counts are stored; as much may be lost in a crash.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// How often due sweeps are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
/// Sweeps read at a time.
const SWEEPS_MAX: usize = 64;

/// Works until told to stop, then stores what is still in memory.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = reclaim(&app) => {}
        () = flush(&app) => {}
        () = sweep(&app) => {}
        () = told_to_stop(&mut stop) => {}
    }
    app.sessions.flush(&app.store, None).await;
}

async fn reclaim(app: &App) {
    loop {
        let pause = match app.store.reclaim(RECLAIM_ROWS_MAX).await {
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

async fn flush(app: &App) {
    let mut ticks = interval(FLUSH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        app.sessions.flush(&app.store, None).await;
    }
}

async fn sweep(app: &App) {
    let mut ticks = interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(failure) = sweep_due(app).await {
            tracing::warn!(?failure, "data of deleted identities could not be swept");
        }
    }
}

async fn sweep_due(app: &App) -> Result<(), Failure> {
    loop {
        let due = app.store.sweeps(app.clock.now(), SWEEPS_MAX).await?;
        let mut cleared = 0;
        for sweep in &due {
            // One identity whose data cannot be cleared must not keep the others' from being cleared.
            match clear(app, sweep).await {
                Ok(()) => cleared += 1,
                Err(failure) => {
                    let identity = &sweep.owner.identity;
                    tracing::warn!(%identity, ?failure, "data of a deleted identity could not be swept");
                }
            }
        }
        if due.len() < SWEEPS_MAX || cleared == 0 {
            return Ok(());
        }
    }
}

async fn clear(app: &App, sweep: &Sweep) -> Result<(), Failure> {
    attempt(app, &sweep.owner, || async {
        let pool = app.store.pool(&sweep.owner.pool.id).await?;
        if pool.is_none_or(|pool| pool.at != sweep.owner.pool) {
            // Its data went with the pool.
            let changes = Changes { expect: Vec::new(), write: vec![Write::RemoveSweep(sweep.clone())] };
            return Ok(Step::Commit(changes, ()));
        }
        let view = app.store.heads(&sweep.owner).await?;
        let effects = effects(app, &sweep.owner).await?.without_devices();
        Ok(Step::Commit(delete_identities::sweep(&view, app.clock.now(), sweep, &effects), ()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use carryall_core::changes::Expect;
    use carryall_core::ids::{IdentityId, PoolId};
    use carryall_core::model::{IdentityRef, PoolRef};
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};

    use super::*;
    use crate::admin::{self, Verb, pool};
    use crate::clock::Clock;
    use crate::config::{Config, Settings};
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    async fn app() -> Arc<App> {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
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
        app.store.pool(&id).await.unwrap().unwrap().at
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
            app.store.commit(changes).await.unwrap();
        }
        assert!(!app.store.sweeps(app.clock.now(), SWEEPS_MAX).await.unwrap().is_empty());
        sweep_due(&app).await.unwrap();
        assert_eq!(app.store.sweeps(app.clock.now(), SWEEPS_MAX).await.unwrap(), []);
    }

    #[tokio::test]
    async fn session_counts_reach_the_store_at_the_stop() {
        let app = app().await;
        let at = pool(&app).await;
        app.sessions.begin(&at);
        let (_sender, stop) = watch::channel(true);
        run(Arc::clone(&app), stop).await;
        assert_eq!(app.store.pool_usage(&at).await.unwrap().sync_sessions, 1);
        // The pool is still the one that was counted.
        let same = Changes { expect: vec![Expect::Pool(at)], write: Vec::new() };
        assert_eq!(app.store.commit(same).await, Ok(()));
    }
}
