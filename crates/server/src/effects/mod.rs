//! The effects of a change of data under the pool's present settings.

pub mod pool_check;
pub mod stream_trouble;

use carryall_core::model::{IdentityRef, PoolUsage};
use carryall_core::refusal::Refusal;
use carryall_core::rules::effects::Effects;

use crate::app::App;
use crate::config::Config;
use crate::failure::Failure;
use crate::metrics::ServerLimit;

/// The effects of a change of data of `owner`, by its pool's present settings: none while the outbox is full.
pub async fn effects(app: &App, owner: &IdentityRef) -> Result<Effects, Failure> {
    let gone = || Failure::from(Refusal::PoolNotFound(owner.pool.id.clone()));
    // The commit expects exactly these settings. If another node has changed them, it is refused and they are
    // read again.
    let pool = app.state.pool(&owner.pool.id).await?.filter(|pool| pool.at == owner.pool).ok_or_else(gone)?;
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

/// True if the pool's outbox may not grow further.
fn is_full(usage: &PoolUsage, config: &Config) -> bool {
    let outbox = &config.outbox;
    usage.events_waiting >= outbox.events_per_pool_max || usage.events_bytes >= outbox.bytes_per_pool_max
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use carryall_core::changes::{Changes, Write};
    use carryall_core::ids::{DatasetName, IdentityId, PoolId, SyncCount};
    use carryall_core::model::{CognitoStreams, DatasetRef, Pool, PushSync, StreamingStatus};
    use carryall_core::rules::effects::Happened;
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};

    use super::*;
    use crate::admin::{self, Verb, pool};
    use crate::clock::Clock;
    use crate::config::Settings;
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    async fn app() -> Arc<App> {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let config = Config::check(Settings::default()).unwrap();
        let clock = Clock::system();
        let (master, root) = (MasterKey::generate(&clock), RootKey::generate(&clock));
        App::open(config, store, &master, root, clock).await.ok().unwrap()
    }

    /// A deletion of `at`, decided on the pool's present settings.
    async fn decided(app: &App, at: &DatasetRef) -> Changes {
        let mut changes = Changes::default();
        let effects = effects(app, &at.owner).await.ok().unwrap();
        effects.announce(&mut changes, at, SyncCount(1), UnixMillis(1), Happened::Deleted, None);
        changes
    }

    async fn change(app: &App, id: &PoolId, change: impl FnOnce(&mut Pool)) {
        let mut pool = app.state.reads().pool(id).await.unwrap().unwrap();
        change(&mut pool);
        pool.version = pool.version.next();
        let write = vec![Write::PutPool(Box::new(pool))];
        assert!(app.state.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
    }

    #[tokio::test]
    async fn a_change_decided_before_its_pool_got_a_stream_or_push_is_not_made_without_its_event() {
        let app = app().await;
        let id = PoolId::parse("us-east-1:0").unwrap();
        let verb = Verb::Pool(pool::Verb::Create {
            id: Some(id.to_string()),
            name: "p".to_owned(),
            allow_guests: true,
        });
        assert!(admin::execute(&app, verb).await.is_ok());
        let pool = app.state.reads().pool(&id).await.unwrap().unwrap().at;
        let owner = IdentityRef { pool, identity: IdentityId::parse("us-east-1:1").unwrap() };
        let at = DatasetRef { owner, name: DatasetName::parse("prefs").unwrap() };
        let push = PushSync { application_arns: vec!["arn".to_owned()], role_arn: None };
        let streams = CognitoStreams {
            stream_name: Some("changes".to_owned()),
            status: Some(StreamingStatus::Enabled),
            ..CognitoStreams::default()
        };

        let late = decided(&app, &at).await;
        change(&app, &id, |pool| pool.push = Some(push)).await;
        assert!(!app.state.commit(late).await.unwrap().is_done(), "push was set up meanwhile");
        let late = decided(&app, &at).await;
        change(&app, &id, |pool| pool.streams = Some(streams)).await;
        assert!(!app.state.commit(late).await.unwrap().is_done(), "a stream was set up meanwhile");
        let decided = decided(&app, &at).await;
        assert_eq!(decided.write.len(), 1, "its event");
        assert!(app.state.commit(decided).await.unwrap().is_done());
    }
}
