//! The semantics of commits that all stores share.

use carryall_core::changes::{Changes, UsageDelta, Write};
use carryall_core::ids::Generation;
use carryall_core::model::{DatasetRef, Head, PoolUsage, Record};
use carryall_core::outbox::{Event, EventBody, Position};
use carryall_core::store::{Answer, ListingRange, StoreError};

/// Returns true if the dataset exists in this generation by its head: only then are there records to read or to put.
pub(crate) fn has_life(head: Option<&Head>, generation: Generation) -> bool {
    head.is_some_and(|head| head.life.is_some() && head.generation == generation)
}

/// The head of `at` once `changes` are made, if it is `before` until then.
pub(crate) fn head_after<'a>(
    changes: &'a Changes,
    at: &DatasetRef,
    before: Option<&'a Head>,
) -> Option<&'a Head> {
    let mut head = before;
    for write in &changes.write {
        if let Write::PutHead(of, put) = write
            && of == at
        {
            head = Some(put);
        } else if let Write::RemoveHead(of) = write
            && of == at
        {
            head = None;
        }
    }
    head
}

/// The error for records that no head accounts for. Rules never put such records; losing them silently would be worse.
pub(crate) fn no_life(at: &DatasetRef, generation: Generation) -> StoreError {
    StoreError::Corrupt {
        what: format!(
            "records were put into generation {generation} of dataset {}, which does not exist",
            at.name
        ),
    }
}

/// `usage` after `delta`.
pub(crate) fn folded(usage: PoolUsage, delta: &UsageDelta) -> PoolUsage {
    PoolUsage {
        data_bytes: usage.data_bytes.saturating_add_signed(delta.data_bytes),
        sync_sessions: usage.sync_sessions.saturating_add(delta.sync_sessions),
        modified: usage.modified.max(delta.modified),
        ..usage
    }
}

/// Returns true if a write is made after the others of its commit: the heads as they are then decide which life the
/// records belong to, and the removals before decide if a lane is still there to be set.
pub(crate) fn is_late(write: &Write) -> bool {
    matches!(write, Write::PutRecords { .. } | Write::SetLane { .. })
}

/// Where a lane begins that is set to begin at `first`, decided when it began at `seen`, if it begins at `now`.
pub(crate) fn first_after(now: Position, seen: Position, first: Position) -> Position {
    if now < seen { now.min(first) } else { first }
}

/// The bytes of a record's key and value.
fn record_bytes(record: &Record) -> usize {
    record.key.as_str().len() + record.value.as_ref().map_or(0, String::len)
}

/// The bytes that a record counts for in a listing. They include a frame, because many short records are not
/// small.
pub(crate) fn listed_bytes(record: &Record) -> usize {
    record_bytes(record) + ListingRange::FRAME_BYTES
}

/// The bytes that an event counts for when events are read in bounded pieces, and in its pool's usage.
pub(crate) fn event_bytes(event: &Event) -> usize {
    match &event.body {
        EventBody::Updated(records) => records.iter().map(record_bytes).sum(),
        EventBody::Deleted | EventBody::Snapshot { .. } | EventBody::Notice | EventBody::Page(_) => 0,
    }
}

/// Wraps an answer that is already known.
pub(crate) fn ready<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> Answer<'a, T> {
    Box::pin(std::future::ready(answer))
}
