//! What the server finds wrong with a pool's stream, noted in the pool's settings, where developers see it as
//! `DisabledReason` (`docs/protocol.md` section 13.4).

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::model::{Pool, PoolUsage};
use carryall_core::rules::set_identity_pool_configuration::note_stream_trouble;
use carryall_core::store::{Committed, StoreError};

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
    match app.commit(Changes { expect, write }).await? {
        Committed::Done => {
            log(seen, reason, streaming);
            Ok(Noted::Yes)
        }
        // Another delivery may have found the same.
        Committed::Refused => {
            let stored = app.store.pool(&seen.at.id).await?.filter(|pool| pool.at == seen.at);
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
            "streaming was switched off; set StreamingStatus to ENABLED again once it is mended"
        ),
    }
}

/// A reason why changes are missing from a stream that goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gap {
    /// A change is too large for the stream.
    TooLarge,
    /// Too much waited already.
    FullOutbox,
}

impl Gap {
    /// How its note begins.
    fn begins(self) -> &'static str {
        match self {
            Self::TooLarge => "A change is too large for the stream:",
            Self::FullOutbox => "Changes were not streamed:",
        }
    }
}

/// Notes that changes are missing, once for each reason. The note stays, as what was not streamed stays so, until a
/// developer sets the stream anew.
pub(crate) async fn note_gap(app: &App, pool: &Pool, gap: Gap, why: &str) -> Result<(), StoreError> {
    let Some(streams) = &pool.streams else { return Ok(()) };
    let noted = streams.disabled_reason.as_deref().unwrap_or_default();
    if streams.enabled_stream().is_none() || noted.contains(gap.begins()) {
        return Ok(());
    }
    let reason = format!("{noted} {} {why}", gap.begins());
    note(app, pool, reason.trim_start(), Streaming::GoesOn).await?;
    Ok(())
}

/// Notes that changes of a pool set nothing off since too much waits already.
pub(crate) async fn note_full_outbox(app: &App, pool: &Pool, usage: &PoolUsage) -> Result<(), StoreError> {
    let why = format!(
        "{} events with {} bytes were waiting, the most that may (outbox.events_per_pool_max and bytes_per_pool_max of the \
         server's configuration). Publish the pool in bulk once these are delivered; setting its CognitoStreams again \
         removes this note.",
        usage.events_waiting, usage.events_bytes
    );
    tracing::warn!(pool = %pool.at.id, why, "a change is neither streamed nor told to devices");
    note_gap(app, pool, Gap::FullOutbox, &why).await
}
