//! The work on one lane: claim it under a lease, deliver from its front, settle.

use std::sync::Arc;

use carryall_core::changes::Changes;
use carryall_core::outbox::{Due, Event, Lane, LaneRef, Parked, Position, Sink};
use carryall_core::rules::outbox::{self, Outcome};
use carryall_core::store::StoreError;

use super::{device, stream};
use crate::app::App;
use crate::metrics::Delivery;

/// Events that one claim of a lane loads.
const EVENTS_MAX: usize = 32;
/// Keys and values that they hold together, in bytes; the last of them may exceed it.
const EVENTS_BYTES_MAX: usize = 1024 * 1024;
/// Time that one delivery may take, in seconds: a lease that is about to end before is given back.
const DELIVERY_SECONDS_MAX: u32 = 25;

/// How the work on a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worked {
    /// Events are left that can be delivered at once.
    More,
    /// Nothing is left to do for now.
    Left,
}

/// What became of one event.
pub(super) enum Delivered {
    /// The peer has it.
    Yes,
    /// Nobody waits for it any more.
    Dropped(&'static str),
    /// Not yet, for this reason; try again.
    NotNow(String),
    /// Not until somebody does something.
    Parked(Parked, String),
}

/// Works on a lane once.
pub(super) async fn work(app: Arc<App>, at: LaneRef) -> Worked {
    match claim_and_deliver(&app, &at).await {
        Ok(worked) => worked,
        // Somebody else has it.
        Err(StoreError::Conflict) => Worked::Left,
        Err(error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. })) => {
            tracing::warn!(dataset = %at.dataset.name, identity = %at.dataset.owner.identity, %error,
                "a lane of the outbox could not be worked on");
            Worked::Left
        }
    }
}

async fn claim_and_deliver(app: &App, at: &LaneRef) -> Result<Worked, StoreError> {
    let now = app.clock.now();
    let Some(lane) = app.store.lane(at).await? else { return Ok(Worked::Left) };
    if lane.state.due.moment().is_none_or(|due| due > now) {
        return Ok(Worked::Left);
    }
    let until = now.plus_seconds(app.config.outbox.lease_seconds.get());
    let (claim, leased) = outbox::claim(&lane, app.clock.lease_id(), until);
    app.store.commit(claim).await?;

    let loaded = app.store.events(at, EVENTS_MAX, EVENTS_BYTES_MAX).await;
    let (delivered, outcome) = match loaded {
        Ok(events) if events.is_empty() => {
            (Vec::new(), unreadable("it says that events wait, and holds none"))
        }
        Ok(events) => deliver_all(app, &lane, leased, events).await,
        Err(StoreError::Corrupt { what }) => (Vec::new(), unreadable(&what)),
        Err(error @ (StoreError::Conflict | StoreError::Unavailable { .. })) => return Err(error),
    };
    let more = matches!(outcome, Outcome::Fine) && (delivered.len() as u64) < lane.events;
    let patience = app.config.outbox.patience();
    let settled = outbox::settle(&lane, leased, &delivered, outcome, app.clock.now(), patience);
    commit_settled(app, settled).await?;
    Ok(if more { Worked::More } else { Worked::Left })
}

fn unreadable(why: &str) -> Outcome {
    Outcome::Park { why: Parked::Undeliverable, cause: format!("the outbox is damaged: {why}") }
}

/// An unknown outcome is asked for once more: expectation and removals make a repetition harmless, and giving up would
/// deliver again what was delivered.
async fn commit_settled(app: &App, settled: Changes) -> Result<(), StoreError> {
    match app.store.commit(settled.clone()).await {
        Err(StoreError::Unavailable { .. }) => app.store.commit(settled).await,
        outcome @ (Ok(()) | Err(StoreError::Conflict | StoreError::Corrupt { .. })) => outcome,
    }
}

/// Delivers in order until one fails or the lease is about to end.
async fn deliver_all(app: &App, lane: &Lane, leased: Due, events: Vec<Event>) -> (Vec<Position>, Outcome) {
    let mut delivered = Vec::new();
    let newest = events.last().map(|event| event.position);
    for event in events {
        let ends = app.clock.now().plus_seconds(DELIVERY_SECONDS_MAX);
        if !delivered.is_empty() && leased.moment().is_none_or(|until| ends > until) {
            break;
        }
        let position = event.position;
        let told = match &event.lane.sink {
            Sink::Stream => stream::deliver(app, &event).await,
            // After trouble a device needs to hear of the newest count alone.
            Sink::Device(_) if lane.state.attempts > 0 && newest != Some(position) => {
                Delivered::Dropped("a newer notice waits behind it")
            }
            Sink::Device(id) => device::deliver(app, &event, id).await,
        };
        let kind = Delivery::of(&event);
        match told {
            Delivered::Yes => app.metrics.effects.delivered(kind),
            Delivered::Dropped(why) => {
                app.metrics.effects.delivery_dropped(kind);
                tracing::debug!(event = %event.id(), why, "an event was dropped");
            }
            Delivered::NotNow(cause) => {
                app.metrics.effects.delivery_failed(kind);
                tracing::info!(event = %event.id(), cause, attempts = lane.state.attempts, "an event could not be delivered yet");
                return (delivered, Outcome::TryAgain { cause, jitter: app.clock.jitter() });
            }
            Delivered::Parked(why, cause) => {
                app.metrics.effects.delivery_parked(kind);
                tracing::warn!(event = %event.id(), cause, "an event is parked");
                return (delivered, Outcome::Park { why, cause });
            }
        }
        delivered.push(position);
    }
    (delivered, Outcome::Fine)
}
