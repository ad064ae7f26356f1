//! The work on one lane: claim it under a lease, deliver from its front, settle.

use std::sync::Arc;
use std::time::Duration;

use carryall_core::changes::Changes;
use carryall_core::outbox::{Due, Event, Lane, LaneRef, LaneState, Parked, Position, Sink};
use carryall_core::rules::outbox::{self, Outcome, Patience};
use carryall_core::store::{Committed, StoreError};
use carryall_core::time::UnixMillis;
use tokio::sync::watch;
use tokio::time::timeout;

use super::delivered::Delivered;
use super::{device, resume, stream};
use crate::app::App;
use crate::metrics::Delivery;

/// Events that one claim of a lane loads.
const EVENTS_MAX: usize = 32;
/// Keys and values that they hold together, in bytes; the last of them may exceed it.
const EVENTS_BYTES_MAX: usize = 256 * 1024;
/// Time that one delivery may take, in seconds; under a lease that ends before none is begun but its first.
const DELIVERY_SECONDS_MAX: u32 = 25;

/// How the work on a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worked {
    /// Events are left that can be delivered at once.
    More,
    /// Nothing is left to do for now.
    Left,
    /// The next attempt is to be made after this pause.
    Later(Duration),
    /// The store failed.
    StoreFailed,
}

/// The reason why the work on a lane ends early.
enum Halted {
    /// The lane is no longer as it was seen: another node or an operator has it.
    Taken,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Halted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Works on a lane once.
pub(super) async fn work(app: Arc<App>, at: LaneRef, stop: watch::Receiver<bool>) -> Worked {
    match claim_and_deliver(&app, &at, &stop).await {
        Ok(worked) => worked,
        Err(Halted::Taken) => Worked::Left,
        Err(Halted::Store(error)) => {
            tracing::debug!(dataset = %at.dataset.name, identity = %at.dataset.owner.identity, %error,
                "a lane of the outbox could not be worked on");
            Worked::StoreFailed
        }
    }
}

async fn claim_and_deliver(app: &App, at: &LaneRef, stop: &watch::Receiver<bool>) -> Result<Worked, Halted> {
    let now = app.clock.now();
    let Some(lane) = app.state.reads().lane(at).await? else { return Ok(Worked::Left) };
    if lane.state.due.moment().is_none_or(|due| due > now) {
        return Ok(Worked::Left);
    }
    let until = now.plus_seconds(app.config.outbox.lease_seconds.get());
    let (claim, leased) = outbox::claim(&lane, app.clock.lease_id(), until);
    if !app.state.commit_for_relay(claim).await?.is_done() {
        return Err(Halted::Taken);
    }

    let mut lane = Lane { state: LaneState { due: leased, ..lane.state }, ..lane };
    let loaded = app.state.reads().events(at, EVENTS_MAX, EVENTS_BYTES_MAX).await;
    let (delivered, outcome) = match loaded {
        Ok(events) if events.is_empty() => {
            (Vec::new(), unreadable("it says that events wait, and holds none"))
        }
        Ok(events) => deliver_all(app, &mut lane, events, stop).await?,
        Err(StoreError::Corrupt { what }) => (Vec::new(), unreadable(&what)),
        Err(error @ StoreError::Unavailable { .. }) => return Err(error.into()),
    };
    let parked = matches!(outcome, Outcome::Park { why: Parked::SwitchedOff, .. });
    let more = matches!(outcome, Outcome::Fine) && (delivered.len() as u64) < lane.events;
    let patience = patience(app, &at.sink);
    let now = app.clock.now();
    let (settled, due) = outbox::settle(&lane, leased, &delivered, outcome, now, patience);
    commit_settled(app, settled).await?;
    goes_on_if_enabled(app, at, parked).await?;
    Ok(match due {
        Due::At(moment) if moment > now => Worked::Later(millis_between(now, moment)),
        Due::At(_) | Due::Leased { .. } | Due::Parked { .. } if more => Worked::More,
        Due::At(_) | Due::Leased { .. } | Due::Parked { .. } => Worked::Left,
    })
}

/// Streaming may have been switched on between the delivery's look at the settings and the lane's parking, and whoever
/// did so has looked for parked lanes too early.
async fn goes_on_if_enabled(app: &App, at: &LaneRef, parked: bool) -> Result<(), StoreError> {
    if parked && !resume::still_waits(app, &at.dataset.owner.pool).await? {
        app.state.wakes().pool(&at.dataset.owner.pool.id);
    }
    Ok(())
}

fn millis_between(now: UnixMillis, moment: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(moment.0 - now.0).unwrap_or_default())
}

fn unreadable(why: &str) -> Outcome {
    Outcome::Park { why: Parked::Undeliverable, cause: format!("the outbox is damaged: {why}") }
}

/// An unknown outcome is asked for once more: expectation and removals make a repetition harmless, and giving up would
/// deliver again what was delivered.
async fn commit_settled(app: &App, settled: Changes) -> Result<(), Halted> {
    let outcome = match app.state.commit_for_relay(settled.clone()).await {
        Err(StoreError::Unavailable { .. }) => app.state.commit_for_relay(settled).await?,
        outcome @ (Ok(_) | Err(StoreError::Corrupt { .. })) => outcome?,
    };
    match outcome {
        Committed::Done => Ok(()),
        Committed::Refused => Err(Halted::Taken),
    }
}

/// No delivery outlives the time that leases are given for.
async fn in_time(delivery: impl Future<Output = Delivered>) -> Delivered {
    match timeout(Duration::from_secs(DELIVERY_SECONDS_MAX.into()), delivery).await {
        Ok(delivered) => delivered,
        Err(_) => Delivered::NotNow(format!("it took longer than {DELIVERY_SECONDS_MAX} s")),
    }
}

/// How often and how slowly the lane's deliveries are tried. Notices to devices are tried without end, since only the
/// newest is kept and nobody would want to look after each phone.
fn patience(app: &App, sink: &Sink) -> Patience {
    let patience = app.config.outbox.patience();
    match sink {
        Sink::Stream => patience,
        Sink::Device(_) => Patience { attempts_max: u32::MAX, ..patience },
    }
}

/// Delivers in order until one fails, the lease is about to end or the server is told to stop. What was answered is taken
/// off the lane before the next delivery begins, all but the last: that one goes with the settlement. Returns what is not
/// taken off yet.
async fn deliver_all(
    app: &App,
    lane: &mut Lane,
    events: Vec<Event>,
    stop: &watch::Receiver<bool>,
) -> Result<(Vec<Position>, Outcome), Halted> {
    let events = match &lane.at.sink {
        Sink::Device(_) if lane.state.attempts > 0 || lane.events > EVENTS_MAX as u64 => {
            newest_alone(app, lane, events).await?
        }
        Sink::Device(_) | Sink::Stream => events,
    };
    let last = events.last().map(|event| event.position);
    let mut done = Vec::new();
    let mut is_first = true;
    for event in events {
        if !is_first && (ends_too_soon(app, lane) || *stop.borrow()) {
            break;
        }
        is_first = false;
        let position = event.position;
        let told = match &event.lane.sink {
            Sink::Stream => in_time(stream::deliver(app, &event)).await,
            Sink::Device(id) => in_time(device::deliver(app, &event, id)).await,
        };
        let was_sent = matches!(told, Delivered::Yes);
        if let Some(outcome) = stops(app, lane, &event, told) {
            return Ok((done, outcome));
        }
        done.push(position);
        if was_sent && last != Some(position) {
            let (advanced, after) = outbox::advance(lane, &done);
            commit_settled(app, advanced).await?;
            *lane = after;
            done.clear();
        }
    }
    Ok((done, Outcome::Fine))
}

/// After trouble, or with many notices waiting, a device needs to hear of the newest count alone: takes what waits before
/// it off the lane. Of a lane whose lease is about to end the rest is left to the next claim.
async fn newest_alone(app: &App, lane: &mut Lane, mut events: Vec<Event>) -> Result<Vec<Event>, Halted> {
    loop {
        let holds_newest = lane.events <= events.len() as u64;
        let newest = if holds_newest { events.pop() } else { None };
        if let Some(last) = events.last() {
            tracing::debug!(event = %last.id(), count = events.len(), "notices were dropped for a newer one");
            for event in &events {
                app.metrics.effects.delivery_dropped(Delivery::of(event));
            }
            let dropped: Vec<Position> = events.iter().map(|event| event.position).collect();
            let (skipped, after) = outbox::skip(lane, &dropped);
            commit_settled(app, skipped).await?;
            *lane = after;
        }
        if holds_newest || events.is_empty() || ends_too_soon(app, lane) {
            return Ok(newest.into_iter().collect());
        }
        events = app.state.reads().events(&lane.at, EVENTS_MAX, EVENTS_BYTES_MAX).await?;
    }
}

fn ends_too_soon(app: &App, lane: &Lane) -> bool {
    let ends = app.clock.now().plus_seconds(DELIVERY_SECONDS_MAX);
    lane.state.due.moment().is_none_or(|until| ends > until)
}

/// Counts what became of an event; if its lane stops there, says how.
fn stops(app: &App, lane: &Lane, event: &Event, told: Delivered) -> Option<Outcome> {
    let kind = Delivery::of(event);
    match told {
        Delivered::Yes => {
            app.metrics.effects.delivered(kind);
            None
        }
        Delivered::Dropped(why) => {
            app.metrics.effects.delivery_dropped(kind);
            tracing::debug!(event = %event.id(), why, "an event was dropped");
            None
        }
        Delivered::NotNow(cause) => {
            app.metrics.effects.delivery_failed(kind);
            let attempts = lane.state.attempts;
            tracing::info!(event = %event.id(), cause, attempts, "an event could not be delivered yet");
            Some(Outcome::TryAgain { cause, jitter: app.clock.jitter() })
        }
        Delivered::Parked(why, cause) => {
            app.metrics.effects.delivery_parked(kind);
            tracing::warn!(event = %event.id(), cause, "an event is parked");
            Some(Outcome::Park { why, cause })
        }
    }
}
