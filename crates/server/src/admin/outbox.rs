//! What an operator can do about events that could not be delivered: see them, have them delivered once more, drop them
//! (`docs/protocol.md` section 13.2).

use carryall_core::outbox::{Due, EventId, Lane, LaneRef, Parked, Position, Sink};
use carryall_core::rules::outbox;
use carryall_core::store::StoreError;
use carryall_wire::timestamp::Timestamp;
use futures_util::future::join_all;

use super::{OutboxList, ParkedLine};
use crate::app::App;

/// Lanes that a listing shows; an operator who has more needs another remedy first.
const LANES_SHOWN_MAX: usize = 1000;
/// Lanes that are read at a time.
const LANES_PER_PAGE: usize = 256;

/// The parked lanes.
pub(super) async fn list(app: &App) -> Result<OutboxList, String> {
    let lanes =
        app.store.lanes_parked(None, None, LANES_SHOWN_MAX + 1).await.map_err(|error| told(&error))?;
    let more = lanes.len() > LANES_SHOWN_MAX;
    let mut parked = Vec::new();
    for lane in lanes.into_iter().take(LANES_SHOWN_MAX) {
        parked.extend(line(app, &lane).await?);
    }
    Ok(OutboxList { parked, more })
}

async fn line(app: &App, lane: &Lane) -> Result<Option<ParkedLine>, String> {
    let Due::Parked { why, since } = lane.state.due else { return Ok(None) };
    let first = first_position(app, lane).await?;
    Ok(Some(ParkedLine {
        event_id: EventId { lane: lane.at.clone(), position: first }.to_string(),
        events: lane.events,
        parked: Timestamp::from_unix_milliseconds(since.0).to_iso8601(),
        switched_off: why == Parked::SwitchedOff,
        attempts: lane.state.attempts,
        trouble: lane.state.trouble.clone(),
    }))
}

/// Where the lane's first event stands. One that cannot be read is taken to stand where the lane begins, so that it can
/// still be named.
async fn first_position(app: &App, lane: &Lane) -> Result<Position, String> {
    match app.store.events(&lane.at, 1, 0).await {
        Ok(events) => Ok(events.first().map_or(lane.first, |event| event.position)),
        Err(StoreError::Corrupt { .. }) => Ok(lane.first),
        Err(error @ (StoreError::Conflict | StoreError::Unavailable { .. })) => Err(told(&error)),
    }
}

/// Has parked lanes delivered from once more: the one of an event, or every one. Says how many.
pub(super) async fn retry(app: &App, event: Option<&str>) -> Result<u64, String> {
    if let Some(event) = event {
        let (lane, _) = parked(app, event).await?;
        app.commit(outbox::try_again(&lane, app.clock.now())).await.map_err(|error| told(&error))?;
        return Ok(1);
    }
    let (mut after, mut retried): (Option<LaneRef>, u64) = (None, 0);
    loop {
        let page = app
            .store
            .lanes_parked(None, after.as_ref(), LANES_PER_PAGE)
            .await
            .map_err(|error| told(&error))?;
        let Some(last) = page.last() else { return Ok(retried) };
        after = Some(last.at.clone());
        // Together, so that they share syncs.
        let now = app.clock.now();
        for outcome in join_all(page.iter().map(|lane| app.commit(outbox::try_again(lane, now)))).await {
            match outcome {
                Ok(()) => retried += 1,
                // The relay, or another operator, was quicker.
                Err(StoreError::Conflict) => {}
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. })) => {
                    return Err(told(&error));
                }
            }
        }
    }
}

/// Drops the first event of a parked lane.
pub(super) async fn drop_event(app: &App, event: &str) -> Result<String, String> {
    let (lane, first) = parked(app, event).await?;
    app.commit(outbox::drop_first(&lane, first, app.clock.now())).await.map_err(|error| told(&error))?;
    let (dataset, what) = (&lane.at.dataset, kind(&lane.at.sink));
    tracing::warn!(event, identity = %dataset.owner.identity, dataset = %dataset.name, what, "an operator dropped an event");
    Ok(event.to_owned())
}

/// The parked lane whose first event has this id.
async fn parked(app: &App, event: &str) -> Result<(Lane, Position), String> {
    let id = EventId::parse(event)
        .ok_or_else(|| format!("'{event}' is no id of an event; carryall outbox list shows them"))?;
    let lane = app.store.lane(&id.lane).await.map_err(|error| told(&error))?;
    let lane = lane.filter(|lane| matches!(lane.state.due, Due::Parked { .. }));
    let lane = lane.ok_or_else(|| format!("no event with the id {event} is parked"))?;
    let first = first_position(app, &lane).await?;
    if first != id.position {
        let first = EventId { lane: lane.at.clone(), position: first };
        return Err(format!("{event} is not the first of its lane; {first} is"));
    }
    Ok((lane, first))
}

fn kind(sink: &Sink) -> &'static str {
    match sink {
        Sink::Stream => "stream",
        Sink::Device(_) => "device",
    }
}

fn told(error: &StoreError) -> String {
    match error {
        StoreError::Conflict => "the lane changed meanwhile; list the outbox again".to_owned(),
        StoreError::Unavailable { .. } | StoreError::Corrupt { .. } => error.to_string(),
    }
}
