//! Event rows of the outbox.

use carryall_core::ids::{DatasetName, Generation, IdentityId, RecordKey, SyncCount};
use carryall_core::model::Record;
use carryall_core::outbox::{Entered, Event, EventBody, LaneRef, Page};
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION, put_bytes};
use crate::commit_semantics::event_bytes;
use crate::embedded::outbox_keys;

const UPDATED: u8 = 0;
const DELETED: u8 = 1;
const SNAPSHOT: u8 = 2;
const NOTICE: u8 = 3;
const PAGE: u8 = 4;

pub(crate) fn to_row(event: &Event) -> Vec<u8> {
    let mut row = Vec::with_capacity(26);
    row.push(VERSION);
    row.extend((event_bytes(event) as u64).to_be_bytes());
    row.extend(event.at.0.to_be_bytes());
    match &event.body {
        EventBody::Updated(records) => {
            row.push(UPDATED);
            for record in records {
                put_record(&mut row, record);
            }
        }
        EventBody::Deleted => row.push(DELETED),
        EventBody::Snapshot { generation } => {
            row.push(SNAPSHOT);
            row.extend(generation.0.to_be_bytes());
        }
        EventBody::Notice => row.push(NOTICE),
        EventBody::Page(page) => {
            row.push(PAGE);
            put_page(&mut row, page);
        }
    }
    row
}

/// Reads the bytes that an event counts for, and not the rest of its row; 0 if they cannot be read, so that a damaged
/// event can be removed.
pub(crate) fn bytes_of_event(row: &[u8]) -> u64 {
    Reader::open("event", row).and_then(|mut reader| reader.u64()).unwrap_or(0)
}

/// The event of `lane` whose row has this key and value.
pub(crate) fn from_row(lane: LaneRef, key: &[u8], row: &[u8]) -> Result<Event, StoreError> {
    let mut reader = Reader::open("event", row)?;
    let position = outbox_keys::position_of_event(key).ok_or_else(|| reader.damaged("has a damaged key"))?;
    reader.u64()?;
    let at = reader.time()?;
    let body = match reader.u8()? {
        UPDATED => {
            let mut records = Vec::new();
            while !reader.is_at_end() {
                records.push(record(&mut reader)?);
            }
            EventBody::Updated(records)
        }
        DELETED => EventBody::Deleted,
        PAGE => EventBody::Page(page(&mut reader)?),
        SNAPSHOT => EventBody::Snapshot { generation: Generation(reader.u64()?) },
        NOTICE => EventBody::Notice,
        other => return Err(reader.damaged(&format!("has the unknown kind {other}"))),
    };
    reader.end()?;
    Ok(Event { lane, position, at, body })
}

fn put_record(row: &mut Vec<u8>, record: &Record) {
    row.reserve(40 + record.key.as_str().len() + record.modified_by.len());
    put_bytes(row, record.key.as_str().as_bytes());
    row.extend(record.sync_count.0.to_be_bytes());
    row.extend(record.modified.0.to_be_bytes());
    row.extend(record.device_modified.0.to_be_bytes());
    put_bytes(row, record.modified_by.as_bytes());
    row.push(u8::from(record.value.is_some()));
    if let Some(value) = &record.value {
        put_bytes(row, value.as_bytes());
    }
}

fn record(reader: &mut Reader<'_>) -> Result<Record, StoreError> {
    Ok(Record {
        key: RecordKey::from_stored(reader.short_text()?),
        sync_count: SyncCount(reader.u64()?),
        modified: reader.time()?,
        device_modified: reader.time()?,
        modified_by: reader.short_text()?.into(),
        value: if reader.flag()? { Some(reader.short_text()?.to_owned()) } else { None },
    })
}

fn put_page(row: &mut Vec<u8>, Page { through, entered }: &Page) {
    row.push(u8::from(through.is_some()));
    if let Some((identity, name)) = through {
        put_bytes(row, identity.as_str().as_bytes());
        put_bytes(row, name.as_str().as_bytes());
    }
    for Entered { identity, name, sync_count } in entered {
        put_bytes(row, identity.as_str().as_bytes());
        put_bytes(row, name.as_str().as_bytes());
        row.extend(sync_count.0.to_be_bytes());
    }
}

fn page(reader: &mut Reader<'_>) -> Result<Page, StoreError> {
    let through = if reader.flag()? { Some(dataset(reader)?) } else { None };
    let mut entered = Vec::new();
    while !reader.is_at_end() {
        let (identity, name) = dataset(reader)?;
        entered.push(Entered { identity, name, sync_count: SyncCount(reader.u64()?) });
    }
    Ok(Page { through, entered })
}

fn dataset(reader: &mut Reader<'_>) -> Result<(IdentityId, DatasetName), StoreError> {
    let (identity, name) = (reader.short_text()?, reader.short_text()?);
    let parsed = IdentityId::parse(identity).ok().zip(DatasetName::parse(name).ok());
    parsed.ok_or_else(|| reader.damaged("names no dataset"))
}

#[cfg(test)]
mod tests {
    use carryall_core::time::UnixMillis;
    use proptest::prelude::*;

    use super::super::sample::{lane_ref, position};
    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        (any::<(u64, i64, i64)>(), ".{1,20}", ".{0,20}", proptest::option::of(".{0,40}")).prop_map(
            |(numbers, key, modified_by, value)| Record {
                key: RecordKey::from_stored(&key),
                value,
                sync_count: SyncCount(numbers.0),
                modified: UnixMillis(numbers.1),
                modified_by: modified_by.into(),
                device_modified: UnixMillis(numbers.2),
            },
        )
    }

    fn dataset() -> impl Strategy<Value = (IdentityId, DatasetName)> {
        ("[a-z]{1,9}:[0-9a-f]{1,9}", "[a-z]{1,9}").prop_map(|(identity, name)| {
            (IdentityId::parse(&identity).unwrap(), DatasetName::parse(&name).unwrap())
        })
    }

    fn page() -> impl Strategy<Value = Page> {
        let entered = (dataset(), any::<u64>()).prop_map(|((identity, name), count)| Entered {
            identity,
            name,
            sync_count: SyncCount(count),
        });
        (proptest::option::of(dataset()), proptest::collection::vec(entered, 0..4))
            .prop_map(|(through, entered)| Page { through, entered })
    }

    fn event() -> impl Strategy<Value = Event> {
        let body = prop_oneof![
            proptest::collection::vec(record(), 0..4).prop_map(EventBody::Updated),
            Just(EventBody::Deleted),
            any::<u64>().prop_map(|generation| EventBody::Snapshot { generation: Generation(generation) }),
            Just(EventBody::Notice),
            page().prop_map(EventBody::Page),
        ];
        (lane_ref(), position(), any::<i64>(), body).prop_map(|(lane, position, at, body)| Event {
            lane,
            position,
            at: UnixMillis(at),
            body,
        })
    }

    proptest! {
        #[test]
        fn events_survive_their_rows(event in event()) {
            let key = outbox_keys::event(&event.lane, event.position);
            let row = to_row(&event);
            prop_assert_eq!(from_row(event.lane.clone(), &key, &row), Ok(event));
        }

        #[test]
        fn an_event_cut_short_never_reads_as_itself(event in event(), cut in any::<proptest::sample::Index>()) {
            let key = outbox_keys::event(&event.lane, event.position);
            let row = to_row(&event);
            let part = &row[..cut.index(row.len())];
            prop_assert_ne!(from_row(event.lane.clone(), &key, part), Ok(event));
        }

        #[test]
        fn arbitrary_bytes_are_damage_and_never_a_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
            lane in lane_ref(),
        ) {
            let key = outbox_keys::event(&lane, carryall_core::outbox::Position::change(SyncCount(1)));
            for version in [None, Some(VERSION)] {
                if let (Some(version), Some(first)) = (version, bytes.first_mut()) {
                    *first = version;
                }
                let _ = from_row(lane.clone(), &key, &bytes);
                let _ = from_row(lane.clone(), &bytes, &bytes);
            }
        }
    }
}
