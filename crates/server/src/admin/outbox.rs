//! Commands about undeliverable events: list them, retry them, drop them (`docs/protocol.md` section 13.2).

use carryall_core::changes::Changes;
use carryall_core::outbox::{Due, EventId, Lane, LaneRef, Parked, Position, Sink};
use carryall_core::rules::outbox;
use carryall_core::store::{Committed, StoreError};
use carryall_wire::timestamp::Timestamp;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::error::OperatorError;
use crate::app::App;

/// The largest number of lanes in a listing; an operator with more needs another remedy first.
const LANES_SHOWN_MAX: usize = 1000;
/// The number of lanes that are read at a time.
const LANES_PER_PAGE: usize = 256;

/// A request about the outbox.
#[derive(Debug, Serialize, Deserialize)]
pub enum Verb {
    /// List the parked lanes.
    List,
    /// Retry parked lanes: one, by the id of its first event, or all.
    Retry {
        /// The event; `None` for all.
        event: Option<String>,
    },
    /// Drop the first event of a parked lane.
    Drop {
        /// The event.
        event: String,
    },
}

/// The result of a request about the outbox.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// The parked lanes.
    Listed(OutboxList),
    /// The number of retried lanes.
    Retried(OutboxRetried),
    /// The dropped event.
    Dropped(OutboxDropped),
}

/// The parked lanes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutboxList {
    /// Parked lanes, by pool, identity, dataset and destination.
    pub parked: Vec<ParkedLine>,
    /// True if there are more lanes than are listed.
    pub more: bool,
}

/// One parked lane.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ParkedLine {
    /// The id of its first event.
    pub event_id: String,
    /// The number of waiting events, including the first.
    pub events: u64,
    /// The time at which it was parked.
    pub parked: String,
    /// True if it resumes by itself when streaming is switched on again.
    pub switched_off: bool,
    /// The number of failed deliveries of the first event.
    pub attempts: u32,
    /// The reason why the last delivery failed.
    pub trouble: String,
}

/// The result of retrying lanes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutboxRetried {
    /// The number of lanes.
    pub lanes: u64,
}

/// A dropped event.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutboxDropped {
    /// The event's id.
    pub event_id: String,
}

/// Carries out `verb`.
pub(super) async fn execute(app: &App, verb: Verb) -> Result<Answer, OperatorError> {
    match verb {
        Verb::List => list(app).await.map(Answer::Listed),
        Verb::Retry { event } => {
            retry(app, event.as_deref()).await.map(|lanes| Answer::Retried(OutboxRetried { lanes }))
        }
        Verb::Drop { event } => {
            drop_event(app, &event).await.map(|event_id| Answer::Dropped(OutboxDropped { event_id }))
        }
    }
}

/// The parked lanes.
async fn list(app: &App) -> Result<OutboxList, OperatorError> {
    let lanes = app.state.reads().lanes_parked(None, None, LANES_SHOWN_MAX + 1).await?;
    let more = lanes.len() > LANES_SHOWN_MAX;
    let mut parked = Vec::new();
    for lane in lanes.into_iter().take(LANES_SHOWN_MAX) {
        parked.extend(line(app, &lane).await?);
    }
    Ok(OutboxList { parked, more })
}

async fn line(app: &App, lane: &Lane) -> Result<Option<ParkedLine>, OperatorError> {
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

/// The position of the lane's first event. If that event cannot be read, it is the position at which the lane
/// begins, so that the event can still be named.
async fn first_position(app: &App, lane: &Lane) -> Result<Position, OperatorError> {
    match app.state.reads().events(&lane.at, 1, 0).await {
        Ok(events) => Ok(events.first().map_or(lane.first, |event| event.position)),
        Err(StoreError::Corrupt { .. }) => Ok(lane.first),
        Err(error @ StoreError::Unavailable { .. }) => Err(error.into()),
    }
}

/// Retries parked lanes: the one of an event, or all. Returns their number.
async fn retry(app: &App, event: Option<&str>) -> Result<u64, OperatorError> {
    if let Some(event) = event {
        let (lane, _) = parked(app, event).await?;
        commit(app, outbox::try_again(&lane, app.clock.now())).await?;
        return Ok(1);
    }
    let (mut after, mut retried): (Option<LaneRef>, u64) = (None, 0);
    loop {
        let page = app.state.reads().lanes_parked(None, after.as_ref(), LANES_PER_PAGE).await?;
        let Some(last) = page.last() else { return Ok(retried) };
        after = Some(last.at.clone());
        // All at once, so that they share syncs.
        let now = app.clock.now();
        for outcome in join_all(page.iter().map(|lane| app.state.commit(outbox::try_again(lane, now)))).await
        {
            match outcome? {
                Committed::Done => retried += 1,
                // The relay, or another operator, was quicker.
                Committed::Refused => {}
            }
        }
    }
}

/// Drops the first event of a parked lane.
async fn drop_event(app: &App, event: &str) -> Result<String, OperatorError> {
    let (lane, first) = parked(app, event).await?;
    commit(app, outbox::drop_first(&lane, first, app.clock.now())).await?;
    let (dataset, what) = (&lane.at.dataset, kind(&lane.at.sink));
    tracing::warn!(event, identity = %dataset.owner.identity, dataset = %dataset.name, what, "an operator dropped an event");
    Ok(event.to_owned())
}

/// The parked lane whose first event has this id.
async fn parked(app: &App, event: &str) -> Result<(Lane, Position), OperatorError> {
    let id = EventId::parse(event)
        .ok_or_else(|| format!("'{event}' is no id of an event; carryall outbox list shows them"))?;
    let lane = app.state.reads().lane(&id.lane).await?;
    let lane = lane.filter(|lane| matches!(lane.state.due, Due::Parked { .. }));
    let lane = lane.ok_or_else(|| format!("no event with the id {event} is parked"))?;
    let first = first_position(app, &lane).await?;
    if first != id.position {
        let first = EventId { lane: lane.at.clone(), position: first };
        return Err(format!("{event} is not the first of its lane; {first} is").into());
    }
    Ok((lane, first))
}

fn kind(sink: &Sink) -> &'static str {
    match sink {
        Sink::Stream => "stream",
        Sink::Device(_) => "device",
        Sink::Publication => "publication",
    }
}

async fn commit(app: &App, changes: Changes) -> Result<(), OperatorError> {
    match app.state.commit(changes).await? {
        Committed::Done => Ok(()),
        Committed::Refused => Err("the lane changed meanwhile; list the outbox again".into()),
    }
}
