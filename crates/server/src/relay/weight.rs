//! The memory that events take while they are delivered.

use carryall_core::model::Record;
use carryall_core::outbox::{Event, EventBody};
use carryall_wire::json_text::Size;

/// An upper bound of a record in memory besides its texts, in bytes, with its borrowed form for the encoder.
const RECORD_BYTES_MAX: usize = 256;
/// An upper bound of a record as JSON besides its texts, in bytes.
const FRAME_BYTES_MAX: usize = 160;
/// The forms in which a message is held at a time: its JSON, and the request that a client makes of it.
const MESSAGE_FORMS: usize = 2;

/// The memory of `events` in bytes, of which one at a time is encoded and sent.
pub(super) fn of_events(events: &[Event]) -> usize {
    let held: usize = events.iter().map(|event| held_bytes(records(event))).sum();
    let message = events.iter().map(|event| json_bytes(records(event))).max().unwrap_or(0);
    held + MESSAGE_FORMS * message
}

/// The memory of `records` in bytes while they are encoded and sent.
pub(super) fn of_records(records: &[Record]) -> usize {
    held_bytes(records) + MESSAGE_FORMS * json_bytes(records)
}

/// An upper bound of `records` as JSON, in bytes.
pub(super) fn json_bytes(records: &[Record]) -> usize {
    let text = |value: &String| Size::of_text(value);
    let record = |record: &Record| {
        FRAME_BYTES_MAX + Size::of_text(record.key.as_str()) + record.value.as_ref().map_or(0, text)
    };
    records.iter().map(record).sum()
}

fn held_bytes(records: &[Record]) -> usize {
    let record = |record: &Record| {
        let value_bytes = record.value.as_ref().map_or(0, String::len);
        RECORD_BYTES_MAX + record.key.as_str().len() + value_bytes
    };
    records.iter().map(record).sum()
}

/// The records that the event itself has. Those of a snapshot are read, and weighed, when it is delivered.
fn records(event: &Event) -> &[Record] {
    match &event.body {
        EventBody::Updated(records) => records,
        EventBody::Deleted | EventBody::Snapshot { .. } | EventBody::Notice | EventBody::Page(_) => &[],
    }
}
