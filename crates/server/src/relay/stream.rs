//! Delivery to a pool's stream: one record for each update, deletion or published dataset. Records that are
//! too large for the stream go into a bucket, and a stream that is gone is switched off (`docs/protocol.md`
//! section 13.4).

use bytes::Bytes;
use carryall_core::ids::{Generation, SyncCount};
use carryall_core::model::{DatasetRef, Pool, Record};
use carryall_core::outbox::{Event, EventBody, Parked};
use carryall_core::store::{RecordCursor, RecordRange, StoreError};
use carryall_core::time::UnixMillis;
use carryall_outbound::{StreamMessage, StreamPort, Undelivered};
use carryall_wire::effects::stream_record::{Operation, PayloadType, StreamRecord, SyncRecord};

use super::delivered::Delivered;
use super::weight;
use crate::app::App;
use crate::capacity::EventsCharge;
use crate::effects::stream_trouble::{self, Gap, Noted, Streaming};
use crate::metrics::ServerLimit;

/// About the bytes of a message besides its records.
const HEAD_BYTES: usize = 1024;

/// Delivers an event to its pool's stream.
pub(super) async fn deliver(app: &App, event: &Event) -> Delivered {
    match try_deliver(app, event).await {
        Ok(delivered) => delivered,
        Err(error) => Delivered::NotNow(error.to_string()),
    }
}

async fn try_deliver(app: &App, event: &Event) -> Result<Delivered, StoreError> {
    let at = &event.lane.dataset.owner.pool;
    let Some(pool) = app.state.pool(&at.id).await?.filter(|pool| pool.at == *at) else {
        return Ok(Delivered::Dropped("its pool is gone"));
    };
    let Some(streams) = &pool.streams else {
        return Ok(Delivered::Dropped("its pool no longer has a stream"));
    };
    let Some(name) = streams.enabled_stream() else {
        let reason = streams.disabled_reason.clone();
        let reason = reason.unwrap_or_else(|| "streaming is switched off".to_owned());
        return Ok(Delivered::Parked(Parked::SwitchedOff, reason));
    };
    match &event.body {
        EventBody::Updated(records) => put(app, &pool, name, event, records).await,
        EventBody::Deleted | EventBody::Notice | EventBody::Page(_) => {
            put(app, &pool, name, event, &[]).await
        }
        EventBody::Snapshot { generation } => {
            match snapshot(app, &event.lane.dataset, *generation, event.position.sync_count).await? {
                Snapshot::Loaded(records, _charge) => put(app, &pool, name, event, &records).await,
                Snapshot::Gone => Ok(Delivered::Dropped("its dataset was deleted")),
                Snapshot::NoMemory => Ok(Delivered::NoMemory),
            }
        }
    }
}

/// Puts the message of an event to the stream `name` of its pool.
async fn put(
    app: &App,
    pool: &Pool,
    name: &str,
    event: &Event,
    records: &[Record],
) -> Result<Delivered, StoreError> {
    let role_arn = pool.streams.as_ref().and_then(|streams| streams.role_arn.as_deref());
    let port = app.outbound.stream(pool.at.id.as_str(), name, role_arn);
    let message = match message(app, event, records, &*port, role_arn).await {
        Ok(message) => message,
        Err(NoMessage::TooLarge { reason }) => {
            stream_trouble::note_gap(&app.state, pool, Gap::TooLarge, &reason).await?;
            return Ok(Delivered::Parked(Parked::Undeliverable, reason));
        }
        Err(NoMessage::Undelivered(undelivered)) => {
            return undelivered_event(app, pool, undelivered).await;
        }
    };
    match port.put(message).await {
        Ok(()) => Ok(Delivered::Yes),
        Err(undelivered) => undelivered_event(app, pool, undelivered).await,
    }
}

/// The records of a dataset as of an earlier count.
enum Snapshot {
    /// The records, with the memory that they are charged for.
    Loaded(Vec<Record>, EventsCharge),
    /// This life of the dataset has ended.
    Gone,
    /// There is no memory for them at the moment.
    NoMemory,
}

/// Loads the records of the dataset as of `through`. Records that changed later follow with later events, so the
/// snapshot never grows while it waits for memory.
async fn snapshot(
    app: &App,
    at: &DatasetRef,
    generation: Generation,
    through: SyncCount,
) -> Result<Snapshot, StoreError> {
    let (memory, pool) = (app.capacity.large_events(), at.owner.pool.id.as_str());
    let after = RecordCursor::Count(SyncCount::ZERO);
    let range = RecordRange { after, through, max: None };
    let Some(records) = app.state.reads().records(at, generation, range.clone()).await? else {
        return Ok(Snapshot::Gone);
    };
    let bytes = weight::of_records(&records);
    if let Some(charge) = memory.try_charge(pool, bytes) {
        return Ok(Snapshot::Loaded(records, charge));
    }
    app.metrics.limit_hit(ServerLimit::LargeEvents);
    // Nothing is awaited between the read and here, so each worker thread has at most one uncharged snapshot.
    drop(records);
    let Some(charge) = memory.charge(pool, bytes).await else { return Ok(Snapshot::NoMemory) };
    let records = app.state.reads().records(at, generation, range).await?;
    Ok(records.map_or(Snapshot::Gone, |records| Snapshot::Loaded(records, charge)))
}

/// The reason why there is no message to put.
enum NoMessage {
    /// It is too large for the stream, and there is no bucket.
    TooLarge {
        /// The text for the developer.
        reason: String,
    },
    /// It is too large for the stream, and the bucket refused it.
    Undelivered(Undelivered),
}

async fn message(
    app: &App,
    event: &Event,
    records: &[Record],
    port: &dyn StreamPort,
    role_arn: Option<&str>,
) -> Result<StreamMessage, NoMessage> {
    let DatasetRef { owner, name } = &event.lane.dataset;
    let event_id = event.id().to_string();
    let sync_records: Vec<SyncRecord<'_>> = records.iter().map(sync_record).collect();
    let operation = match event.body {
        EventBody::Deleted => Operation::Remove,
        EventBody::Updated(_) | EventBody::Snapshot { .. } | EventBody::Notice | EventBody::Page(_) => {
            Operation::Replace
        }
    };
    let record = StreamRecord {
        identity_pool_id: owner.pool.id.as_str(),
        identity_id: owner.identity.as_str(),
        data_set_name: name.as_str(),
        dataset_name: name.as_str(),
        operation,
        kinesis_sync_records: &sync_records,
        last_modified_date: last_modified(event, records).0,
        kinesis_sync_records_url: None,
        payload_type: PayloadType::Inline,
        sync_count: event.position.sync_count.0,
        event_id: &event_id,
    };
    let partition_key = owner.identity.to_string();
    let json_bytes = HEAD_BYTES + weight::json_bytes(records);
    let inline = json(&record, json_bytes)?;
    let bytes = inline.len() + partition_key.len();
    let Some(bytes_max) = port.message_bytes_max().filter(|max| bytes > *max) else {
        return Ok(StreamMessage { event_id: event_id.clone(), partition_key, json: inline });
    };
    // The records are encoded once more, and one copy is enough.
    drop(inline);
    let bucket = app.outbound.large_objects(role_arn).ok_or_else(|| NoMessage::TooLarge {
        reason: format!(
            "one of dataset '{name}' of identity '{}' makes a record of {bytes} bytes, a record may have {bytes_max}, \
             and no bucket is set for larger ones ([large_objects] of the server's configuration).",
            owner.identity
        ),
    })?;
    let url =
        bucket.put(&event_id, json(&sync_records, json_bytes)?).await.map_err(NoMessage::Undelivered)?;
    let elsewhere = StreamRecord {
        kinesis_sync_records: &[],
        kinesis_sync_records_url: Some(&url),
        payload_type: PayloadType::S3Url,
        ..record
    };
    let json = json(&elsewhere, HEAD_BYTES + url.len())?;
    Ok(StreamMessage { event_id: event_id.clone(), partition_key, json })
}

/// The date of the change. An event is dated by the clock, its records no earlier than those of the previous
/// change.
fn last_modified(event: &Event, records: &[Record]) -> UnixMillis {
    records.iter().map(|record| record.modified).max().map_or(event.at, |date| date.max(event.at))
}

fn sync_record(record: &Record) -> SyncRecord<'_> {
    SyncRecord {
        key: record.key.as_str(),
        value: record.value.as_deref(),
        sync_count: record.sync_count.0,
        last_modified_date: record.modified.0,
        device_last_modified_date: record.device_modified.0,
        op: if record.value.is_some() { Operation::Replace } else { Operation::Remove },
    }
}

/// The JSON of `value`, of about `expected_bytes`: a buffer that grows would take twice as much.
fn json(value: &impl serde::Serialize, expected_bytes: usize) -> Result<Bytes, NoMessage> {
    let mut json = Vec::with_capacity(expected_bytes);
    serde_json::to_writer(&mut json, value)
        .map_err(|error| NoMessage::Undelivered(Undelivered::Refused { cause: error.to_string() }))?;
    Ok(Bytes::from(json))
}

/// Switches streaming off if the present settings are at fault; the settings may have been repaired during
/// the delivery.
async fn undelivered_event(
    app: &App,
    pool: &Pool,
    undelivered: Undelivered,
) -> Result<Delivered, StoreError> {
    match undelivered {
        Undelivered::Retry { cause } => Ok(Delivered::NotNow(cause)),
        Undelivered::Gone { cause } => {
            match stream_trouble::note(&app.state, pool, &cause, Streaming::SwitchedOff).await? {
                Noted::Yes => Ok(Delivered::Parked(Parked::SwitchedOff, cause)),
                Noted::SettingsChanged => Ok(Delivered::NotNow(cause)),
            }
        }
        Undelivered::Refused { cause } => Ok(Delivered::Parked(Parked::Undeliverable, cause)),
    }
}
