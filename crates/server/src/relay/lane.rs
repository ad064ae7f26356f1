//! The work on one lane: claim it under a lease, deliver from its front, settle.

use std::sync::Arc;
use std::time::Duration;

use carryall_core::outbox::{Due, Event, EventBody, Lane, LaneRef, Parked, Position, Sink};
use carryall_core::rules::outbox::{self, Outcome, Patience};
use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;
use tokio::sync::watch;
use tokio::time::timeout;

use super::delivered::Delivered;
use super::lease::{self, Halted, Worked};
use super::{bulk_publish, device, resume, stream, weight};
use crate::app::App;
use crate::capacity::EventsCharge;
use crate::metrics::{Delivery, ServerLimit};

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
        Err(Halted::Store(StoreError::Corrupt { what })) => Worked::Damaged { what },
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
    let (delivered, outcome) = match load(app, &at).await {
        // The lane takes its turn again.
        Ok(None) => (Vec::new(), Outcome::Fine),
        Ok(Some((events, _))) if events.is_empty() => {
            (Vec::new(), unreadable("it says that events wait, and holds none"))
        }
        Ok(Some((events, _charge))) => deliver_all(app, &mut lane, events, stop).await?,
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

/// Loads the first events of a lane, and charges for their memory; `None` if there is none for them. Events for which
/// there is none at once are dropped, and loaded again when there is.
async fn load(app: &App, at: &LaneRef) -> Result<Option<(Vec<Event>, EventsCharge)>, StoreError> {
    let (reads, memory) = (app.state.reads(), app.capacity.large_events());
    let pool = at.dataset.owner.pool.id.as_str();
    let mut events = reads.events(at, EVENTS_MAX, EVENTS_BYTES_MAX).await?;
    // A snapshot is charged for when it is delivered. It is delivered alone, so that no lane waits for memory while it
    // has some.
    let is_snapshot = |event: &Event| matches!(event.body, EventBody::Snapshot { .. });
    let before_snapshot = events.iter().position(is_snapshot).unwrap_or(events.len());
    events.truncate(before_snapshot.max(1));
    let bytes = weight::of_events(&events);
    if let Some(charge) = memory.try_charge(pool, bytes) {
        return Ok(Some((events, charge)));
    }
    app.metrics.limit_hit(ServerLimit::LargeEvents);
    let count = events.len();
    // Nothing is awaited between the read and here, so each worker thread has at most one uncharged large event.
    drop(events);
    let Some(charge) = memory.charge(pool, bytes).await else { return Ok(None) };
    Ok(Some((reads.events(at, count, EVENTS_BYTES_MAX).await?, charge)))
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
        Delivered::NoMemory => Some(Outcome::Fine),
        Delivered::Parked(why, cause) => {
            app.metrics.effects.delivery_parked(kind);
            tracing::warn!(event = %event.id(), cause, "an event is parked");
            Some(Outcome::Park { why, cause })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use carryall_core::changes::{Changes, PutRecord, Write};
    use carryall_core::ids::{DatasetName, IdentityId, RecordKey, SyncCount};
    use carryall_core::model::{
        CognitoStreams, DatasetRef, Floor, Head, IdentityRef, Life, PoolRef, Record, StreamingStatus, Writer,
    };
    use carryall_store::{StoreOptions, StoreUrl};
    use futures_util::future::poll_immediate;
    use tokio::sync::watch;

    use super::super::tests::{app_with, pool};
    use super::*;

    const MIB: usize = 1024 * 1024;

    async fn commit(app: &App, write: Vec<Write>) {
        assert!(app.state.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
    }

    /// An installation with a pool whose stream is the file `to`.
    async fn streaming_to(to: &Path) -> (Arc<App>, PoolRef) {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let settings = format!("[[stream_destinations]]\nname = 's'\nfile = '{}'\n", to.display());
        let app = app_with(toml::from_str(&settings).unwrap(), store).await;
        let at = pool(&app).await;
        let mut pool = app.state.reads().pool(&at.id).await.unwrap().unwrap();
        pool.streams = Some(CognitoStreams {
            stream_name: Some("s".to_owned()),
            status: Some(StreamingStatus::Enabled),
            ..CognitoStreams::default()
        });
        commit(&app, vec![Write::PutPool(Box::new(pool))]).await;
        (app, at)
    }

    fn lane_of(pool: &PoolRef) -> LaneRef {
        let owner = IdentityRef { pool: pool.clone(), identity: IdentityId::parse("us-east-1:1").unwrap() };
        let dataset = DatasetRef { owner, name: DatasetName::parse("n").unwrap() };
        LaneRef { dataset, sink: Sink::Stream }
    }

    fn record() -> Record {
        Record {
            key: RecordKey::from_stored("k"),
            value: Some("v".repeat(MIB)),
            sync_count: SyncCount(1),
            modified: UnixMillis(1),
            modified_by: Writer::from("w"),
            device_modified: UnixMillis(1),
        }
    }

    fn large_update(lane: &LaneRef) -> Event {
        let body = EventBody::Updated(vec![record()]);
        Event { lane: lane.clone(), position: Position::change(SyncCount(1)), at: UnixMillis(1), body }
    }

    /// The dataset of `lane` with a large record, and its entry by a bulk publication.
    fn large_snapshot(lane: &LaneRef) -> Vec<Write> {
        let life = Life {
            created: UnixMillis(1),
            modified: UnixMillis(1),
            modified_by: Writer::from("w"),
            records: 1,
            tombstones: 0,
            tombstone_key_bytes: Some(0),
            tombstones_forgotten_through: SyncCount::ZERO,
            data_bytes: MIB as u64 + 1,
        };
        let floor = Floor { sync_count: SyncCount(1), ..Floor::default() };
        let head = Head { life: Some(life), ..floor.head() };
        let (at, generation) = (lane.dataset.clone(), head.generation);
        let records = vec![PutRecord { record: record(), replaces: None }];
        let body = EventBody::Snapshot { generation };
        let event =
            Event { lane: lane.clone(), position: Position::bulk(SyncCount(1)), at: UnixMillis(1), body };
        vec![
            Write::PutHead(at.clone(), head),
            Write::PutRecords { at, generation, records },
            Write::AppendEvent(event),
        ]
    }

    #[tokio::test]
    async fn large_events_are_not_held_while_the_memory_for_them_is_used_up() {
        let home = tempfile::tempdir().unwrap();
        let to = home.path().join("stream");
        let (app, pool) = streaming_to(&to).await;
        let at = lane_of(&pool);
        let (_running, stop) = watch::channel(false);
        for (hits, write) in [(1, vec![Write::AppendEvent(large_update(&at))]), (2, large_snapshot(&at))] {
            commit(&app, write).await;
            let held = app.capacity.large_events().try_charge(pool.id.as_str(), 999 * MIB).unwrap();
            let mut working = Box::pin(work(Arc::clone(&app), at.clone(), stop.clone()));
            assert_eq!(poll_immediate(&mut working).await, None, "it waits for memory");
            let counted = format!("carryall_limits_hit_total{{limit=\"large_events_bytes_max\"}} {hits}\n");
            assert!(app.metrics.page(&[]).unwrap().contains(&counted), "{}", app.metrics.page(&[]).unwrap());
            drop(held);
            assert_eq!(working.await, Worked::Left);
            assert_eq!(std::fs::read_to_string(&to).unwrap().lines().count(), hits, "delivered");
        }
        assert!(app.capacity.large_events().try_charge(pool.id.as_str(), 999 * MIB).is_some(), "returned");
    }
}
