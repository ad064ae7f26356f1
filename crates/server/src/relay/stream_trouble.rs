//! What the server finds wrong with a pool's stream, noted in the pool's settings, where developers see it as
//! `DisabledReason` (`docs/protocol.md` section 13.4).

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::model::{Pool, PoolUsage};
use carryall_core::rules::set_identity_pool_configuration::note_stream_trouble;
use carryall_core::store::StoreError;

use crate::app::App;

/// What becomes of streaming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streaming {
    /// It goes on for everything else.
    GoesOn,
    /// It is switched off until somebody switches it on again.
    SwitchedOff,
}

/// Whether the trouble was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It stands in the pool's settings, as this or as an earlier trouble that switched streaming off.
    Yes,
    /// The settings that were found wrong are not those of the pool any more.
    SettingsChanged,
}

/// Notes what is wrong with the stream that `seen` is set up for, unless its settings have changed since.
pub(crate) async fn note(
    app: &App,
    seen: &Pool,
    reason: &str,
    streaming: Streaming,
) -> Result<Noted, StoreError> {
    let mut pool = seen.clone();
    note_stream_trouble(&mut pool, reason.to_owned(), streaming == Streaming::GoesOn);
    pool.version = seen.version.next();
    let expect = vec![Expect::PoolVersion(seen.at.clone(), seen.version)];
    let write = vec![Write::PutPool(Box::new(pool))];
    match app.commit(Changes { expect, write }).await {
        Ok(()) => {
            log(seen, reason, streaming);
            Ok(Noted::Yes)
        }
        // Another delivery may have found the same.
        Err(StoreError::Conflict) => {
            let stored = app.store.pool(&seen.at.id).await?.filter(|pool| pool.at == seen.at);
            let goes_on = stored
                .and_then(|pool| pool.streams)
                .is_some_and(|streams| streams.enabled_stream().is_some());
            Ok(if goes_on { Noted::SettingsChanged } else { Noted::Yes })
        }
        Err(error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. })) => Err(error),
    }
}

fn log(pool: &Pool, reason: &str, streaming: Streaming) {
    match streaming {
        Streaming::GoesOn => tracing::warn!(pool = %pool.at.id, reason, "a change could not be streamed"),
        Streaming::SwitchedOff => tracing::warn!(
            pool = %pool.at.id,
            reason,
            "streaming was switched off; set StreamingStatus to ENABLED again once it is mended"
        ),
    }
}

/// Notes, once, that changes of a pool are not streamed since too much waits already.
pub(crate) async fn note_full_outbox(app: &App, pool: &Pool, usage: &PoolUsage) -> Result<(), StoreError> {
    let Some(streams) = &pool.streams else { return Ok(()) };
    if streams.enabled_stream().is_none() || streams.disabled_reason.is_some() {
        return Ok(());
    }
    let reason = format!(
        "{} events with {} bytes are waiting, the most that may (outbox.events_per_pool_max and bytes_per_pool_max of the \
         server's configuration): further changes are not streamed until some have been delivered. Publish the pool in \
         bulk afterwards.",
        usage.events_waiting, usage.events_bytes
    );
    note(app, pool, &reason, Streaming::GoesOn).await?;
    Ok(())
}
