//! Notes about errors of a pool's stream, in the pool's settings, where developers see them as
//! `DisabledReason` (`docs/protocol.md` section 13.4).

use carryall_core::model::{Pool, PoolUsage};
use carryall_core::rules::replace_pool;
use carryall_core::rules::set_identity_pool_configuration::note_stream_trouble;
use carryall_core::store::{Committed, StoreError};

use crate::state::State;

/// The consequence for streaming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streaming {
    /// It continues for all other changes.
    GoesOn,
    /// It is switched off until a developer switches it on again.
    SwitchedOff,
}

/// The outcome of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The pool's settings have the note, or an earlier one that switched streaming off.
    Yes,
    /// The settings that had the error are no longer those of the pool.
    SettingsChanged,
}

/// Notes an error of the stream in the settings `seen`, unless the settings have changed since.
pub(crate) async fn note(
    state: &State,
    seen: &Pool,
    reason: &str,
    streaming: Streaming,
) -> Result<Noted, StoreError> {
    let mut pool = seen.clone();
    note_stream_trouble(&mut pool, reason.to_owned(), streaming == Streaming::GoesOn);
    match state.commit(replace_pool(seen, pool).0).await? {
        Committed::Done => {
            log(seen, reason, streaming);
            Ok(Noted::Yes)
        }
        // Another delivery may have found the same error.
        Committed::Refused => {
            let stored = state.reads().pool(&seen.at.id).await?.filter(|pool| pool.at == seen.at);
            let goes_on = stored
                .and_then(|pool| pool.streams)
                .is_some_and(|streams| streams.enabled_stream().is_some());
            Ok(if goes_on { Noted::SettingsChanged } else { Noted::Yes })
        }
    }
}

fn log(pool: &Pool, reason: &str, streaming: Streaming) {
    match streaming {
        Streaming::GoesOn => tracing::warn!(pool = %pool.at.id, reason, "a change could not be streamed"),
        Streaming::SwitchedOff => tracing::warn!(
            pool = %pool.at.id,
            reason,
            "streaming was switched off; repair the cause, then set StreamingStatus to ENABLED again"
        ),
    }
}

/// A reason why changes are missing from a stream that stays switched on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gap {
    /// A change is too large for the stream.
    TooLarge,
    /// The outbox was full.
    FullOutbox,
}

impl Gap {
    /// The beginning of its note.
    fn begins(self) -> &'static str {
        match self {
            Self::TooLarge => "A change is too large for the stream:",
            Self::FullOutbox => "Changes were not streamed:",
        }
    }
}

/// Notes that changes are missing, once for each reason. The note stays until a developer sets the stream
/// again, because unstreamed changes stay unstreamed.
pub(crate) async fn note_gap(state: &State, pool: &Pool, gap: Gap, why: &str) -> Result<(), StoreError> {
    let Some(streams) = &pool.streams else { return Ok(()) };
    let noted = streams.disabled_reason.as_deref().unwrap_or_default();
    if streams.enabled_stream().is_none() || noted.contains(gap.begins()) {
        return Ok(());
    }
    let reason = format!("{noted} {} {why}", gap.begins());
    note(state, pool, reason.trim_start(), Streaming::GoesOn).await?;
    Ok(())
}

/// Notes that changes of a pool have no effects because the outbox is full. A pool without an enabled stream has no
/// place for a note, so its state is logged once.
pub(crate) async fn note_full_outbox(
    state: &State,
    pool: &Pool,
    usage: &PoolUsage,
) -> Result<(), StoreError> {
    if pool.streams.as_ref().and_then(|streams| streams.enabled_stream()).is_none() {
        if state.full_outboxes().is_first(pool.at.incarnation) {
            let (events, bytes) = (usage.events_waiting, usage.events_bytes);
            tracing::warn!(
                pool = %pool.at.id, events, bytes,
                "changes are not pushed while the pool's outbox is full (outbox.events_per_pool_max, bytes_per_pool_max)"
            );
        }
        return Ok(());
    }
    let why = format!(
        "{} events with {} bytes were waiting, the most that may (outbox.events_per_pool_max and bytes_per_pool_max of the \
         server's configuration). Publish the pool in bulk once these are delivered; setting its CognitoStreams again \
         removes this note.",
        usage.events_waiting, usage.events_bytes
    );
    note_gap(state, pool, Gap::FullOutbox, &why).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use carryall_core::changes::{Changes, Write};
    use carryall_core::ids::{PoolId, PoolIncarnation};
    use carryall_core::model::{CognitoStreams, PoolRef, PushSync, StreamingStatus};
    use carryall_core::rules::set_identity_pool::Settings as PoolSettings;
    use carryall_core::time::UnixMillis;
    use carryall_store::{StoreOptions, StoreUrl};

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, Settings};
    use crate::logging::captured::Captured;
    use crate::metrics::Metrics;
    use crate::trust::Trust;
    use crate::trust::root_key::RootKey;
    use crate::trust::seal::MasterKey;

    async fn state() -> State {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let config = Config::check(Settings::default()).unwrap();
        let clock = Clock::system();
        let (master, root) = (MasterKey::generate(&clock), RootKey::generate(&clock));
        let trust = Trust::open(Arc::clone(&store), &master, root, clock.clone()).await.ok().unwrap();
        State::new(store, Arc::new(trust), &config, clock, Arc::new(Metrics::new()))
    }

    #[tokio::test]
    async fn a_full_outbox_is_logged_once_for_each_pool_whether_it_streams_or_only_pushes() {
        let (log, _logging) = Captured::begin();
        let state = state().await;
        let full = PoolUsage { events_waiting: 5, ..PoolUsage::default() };
        for (number, id) in ["a:0", "a:1", "a:2"].into_iter().enumerate() {
            let at = PoolRef { id: PoolId::parse(id).unwrap(), incarnation: PoolIncarnation(number as u64) };
            let mut pool = PoolSettings::default().create(at, UnixMillis(0));
            pool.push = Some(PushSync { application_arns: vec!["arn".to_owned()], role_arn: None });
            if number == 0 {
                let (stream_name, status) = (Some("s".to_owned()), Some(StreamingStatus::Enabled));
                pool.streams = Some(CognitoStreams { stream_name, status, ..CognitoStreams::default() });
            }
            let write = vec![Write::PutPool(Box::new(pool.clone()))];
            assert!(state.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
            for _ in 0..7 {
                let pool = state.reads().pool(&pool.at.id).await.unwrap().unwrap();
                note_full_outbox(&state, &pool, &full).await.unwrap();
            }
            let log = log.text();
            assert_eq!(log.matches("WARN").count(), number + 1, "{log}");
            assert!(log.lines().last().unwrap().contains(id), "{log}");
        }
    }
}
