//! The work on one lane: claim it under a lease, deliver from its front, settle.

use std::sync::Arc;
use std::time::Duration;

use carryall_core::outbox::{Due, Event, Lane, LaneRef, Parked, Position, Sink};
use carryall_core::rules::outbox::{self, Outcome, Patience};
use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;
use tokio::sync::watch;
use tokio::time::timeout;

use super::delivered::Delivered;
use super::lease::{self, Halted, Worked};
use super::{bulk_publish, device, resume, stream};
use crate::app::App;
use crate::metrics::Delivery;

/// The number of events that one claim of a lane loads.
const EVENTS_MAX: usize = 32;
/// The bytes of their keys and values; the last event may exceed it.
const EVENTS_BYTES_MAX: usize = 256 * 1024;
/// The time limit of one delivery, in seconds. Under a lease that ends earlier, only the first delivery is
/// started.
const DELIVERY_SECONDS_MAX: u32 = 25;

/// Works on a lane once.
pub(super) async fn work(app: Arc<App>, at: LaneRef, stop: watch::Receiver<bool>) -> Worked {
    match work_if_due(&app, &at, &stop).await {
        Ok(worked) => worked,
        Err(Halted::Taken) => Worked::Left,
        // The damage says nothing about other lanes, so they do not wait for it.
        Err(Halted::Store(StoreError::Corrupt { what })) => {
            tracing::error!(dataset = %at.dataset.name, identity = %at.dataset.owner.identity, what,
                "a lane of the outbox is damaged and was left out");
            Worked::Left
        }
        Err(Halted::Store(error @ StoreError::Unavailable { .. })) => {
            tracing::debug!(dataset = %at.dataset.name, identity = %at.dataset.owner.identity, %error,
                "work on a lane of the outbox failed");
            Worked::StoreFailed
        }
    }
}

async fn work_if_due(app: &App, at: &LaneRef, stop: &watch::Receiver<bool>) -> Result<Worked, Halted> {
    let Some(lane) = app.state.reads().lane(at).await? else { return Ok(Worked::Left) };
    let now = app.clock.now();
    if !lane.state.due.may_be_claimed(now, app.config.outbox.latest_due(now)) {
        return Ok(Worked::Left);
    }
    match &at.sink {
        Sink::Stream | Sink::Device(_) => claim_and_deliver(app, lane, stop).await,
        Sink::Publication => bulk_publish::work(app, lane).await,
    }
}

async fn claim_and_deliver(app: &App, lane: Lane, stop: &watch::Receiver<bool>) -> Result<Worked, Halted> {
    let mut lane = lease::claim(app, lane).await?;
    let (at, leased) = (lane.at.clone(), lane.state.due);
    let loaded = app.state.reads().events(&at, EVENTS_MAX, EVENTS_BYTES_MAX).await;
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
    lease::commit(app, settled).await?;
    goes_on_if_enabled(app, &at, parked).await?;
    Ok(match due {
        Due::At(moment) if moment > now => Worked::Later(millis_between(now, moment)),
        Due::At(_) | Due::Leased { .. } | Due::Parked { .. } if more => Worked::More,
        Due::At(_) | Due::Leased { .. } | Due::Parked { .. } => Worked::Left,
    })
}

/// Makes the lane due again if streaming was switched on after the delivery read the settings and before the
/// lane was parked. The search for parked lanes that followed came too early for this one.
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

/// Delivers an event within a time limit, which leases outlast.
async fn in_time(delivery: impl Future<Output = Delivered>) -> Delivered {
    match timeout(Duration::from_secs(DELIVERY_SECONDS_MAX.into()), delivery).await {
        Ok(delivered) => delivered,
        Err(_) => Delivered::NotNow(format!("it took longer than {DELIVERY_SECONDS_MAX} s")),
    }
}

/// The retry policy of a lane. Device notices are retried indefinitely: only the newest is kept, and no
/// operator would review parked notices one by one.
fn patience(app: &App, sink: &Sink) -> Patience {
    let patience = app.config.outbox.patience();
    match sink {
        Sink::Stream | Sink::Publication => patience,
        Sink::Device(_) => Patience { attempts_max: u32::MAX, ..patience },
    }
}

/// Delivers in order until one fails, the lease is about to end or the server stops. Each delivered event is
/// removed from the lane before the next delivery starts, except the last, which the settlement removes.
/// Returns the events that are not removed yet.
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
        Sink::Device(_) | Sink::Stream | Sink::Publication => events,
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
            Sink::Publication => Delivered::Dropped("a publication has no receiver"),
        };
        let was_sent = matches!(told, Delivered::Yes);
        if let Some(outcome) = stops(app, lane, &event, told) {
            return Ok((done, outcome));
        }
        done.push(position);
        if was_sent && last != Some(position) {
            let (advanced, after) = outbox::advance(lane, &done);
            lease::commit(app, advanced).await?;
            *lane = after;
            done.clear();
        }
    }
    Ok((done, Outcome::Fine))
}

/// Reduces waiting notices to the newest: after a failure, or with many waiting, a device needs only that
/// one. Removes the notices before it from the lane. If the lease is about to end, the rest is left to the
/// next claim.
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
            lease::commit(app, skipped).await?;
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

/// Counts the outcome of an event, and logs it if the lane stops there.
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
            tracing::info!(event = %event.id(), cause, attempts, "a delivery failed and will be retried");
            Some(Outcome::TryAgain { cause, jitter: app.clock.jitter() })
        }
        Delivered::Parked(why, cause) => {
            app.metrics.effects.delivery_parked(kind);
            tracing::warn!(event = %event.id(), cause, "an event is parked");
            Some(Outcome::Park { why, cause })
        }
    }
}
