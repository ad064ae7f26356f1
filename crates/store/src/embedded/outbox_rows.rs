//! What the rows of the outbox hold, as [`super::row_bytes`] says: lanes, and the events in them.

use carryall_core::ids::{Generation, LeaseId, PoolId, RecordKey, SyncCount};
use carryall_core::model::Record;
use carryall_core::outbox::{Due, Event, EventBody, Lane, LaneRef, LaneState, Parked, Position};
use carryall_core::store::StoreError;

use super::outbox_keys::{self, put_position};
use super::row_bytes::{Reader, VERSION, put_bytes};
use crate::meaning::event_bytes;

/// A lane with what the store alone needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredLane {
    pub(super) lane: Lane,
    /// No event stands behind this place, so that one that comes behind it is known to be new.
    pub(super) last: Position,
}

const AT: u8 = 0;
const LEASED: u8 = 1;
const PARKED: u8 = 2;

impl StoredLane {
    pub(super) fn to_row(&self) -> Vec<u8> {
        let Lane { at, events, first, state: LaneState { due, attempts, trouble } } = &self.lane;
        let pool = at.dataset.owner.pool.id.as_str().as_bytes();
        let mut row = Vec::with_capacity(52 + pool.len() + trouble.len());
        row.push(VERSION);
        put_bytes(&mut row, pool);
        row.extend(events.to_be_bytes());
        put_position(&mut row, *first);
        put_position(&mut row, self.last);
        put_due(&mut row, *due);
        row.extend(attempts.to_be_bytes());
        row.extend(trouble.as_bytes());
        row
    }

    /// The lane whose row has this key and value.
    pub(super) fn from_row(key: &[u8], row: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::open("lane", row)?;
        let pool = reader.short_text()?;
        let id = PoolId::parse(pool).map_err(|_| reader.damaged("names no pool"))?;
        let at = outbox_keys::lane_from_key(key, id).ok_or_else(|| reader.damaged("has a damaged key"))?;
        let events = reader.u64()?;
        if events == 0 {
            return Err(reader.damaged("holds no events"));
        }
        let first = position(&mut reader)?;
        let last = position(&mut reader)?;
        let due = due(&mut reader)?;
        let attempts = reader.u32()?;
        let state = LaneState { due, attempts, trouble: reader.text()?.to_owned() };
        Ok(Self { lane: Lane { at, events, first, state }, last })
    }
}

fn position(reader: &mut Reader<'_>) -> Result<Position, StoreError> {
    outbox_keys::position_from(reader.array()?).ok_or_else(|| reader.damaged("names no position"))
}

fn put_due(row: &mut Vec<u8>, due: Due) {
    match due {
        Due::At(moment) => {
            row.push(AT);
            row.extend(moment.0.to_be_bytes());
        }
        Due::Leased { until, lease } => {
            row.push(LEASED);
            row.extend(until.0.to_be_bytes());
            row.extend(lease.0.to_be_bytes());
        }
        Due::Parked { why, since } => {
            row.push(PARKED);
            row.push(match why {
                Parked::Undeliverable => 0,
                Parked::SwitchedOff => 1,
            });
            row.extend(since.0.to_be_bytes());
        }
    }
}

fn due(reader: &mut Reader<'_>) -> Result<Due, StoreError> {
    match reader.u8()? {
        AT => Ok(Due::At(reader.time()?)),
        LEASED => Ok(Due::Leased { until: reader.time()?, lease: LeaseId(reader.u64()?) }),
        PARKED => {
            let why = if reader.flag()? { Parked::SwitchedOff } else { Parked::Undeliverable };
            Ok(Due::Parked { why, since: reader.time()? })
        }
        other => Err(reader.damaged(&format!("is due in the unknown manner {other}"))),
    }
}

const UPDATED: u8 = 0;
const DELETED: u8 = 1;
const SNAPSHOT: u8 = 2;
const NOTICE: u8 = 3;

pub(super) fn event_to_row(event: &Event) -> Vec<u8> {
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
    }
    row
}

/// What the event whose row this is counts for, without reading the rest.
pub(super) fn bytes_of_event(row: &[u8]) -> Result<u64, StoreError> {
    Reader::open("event", row)?.u64()
}

/// The event of `lane` whose row has this key and value.
pub(super) fn event_from_row(lane: LaneRef, key: &[u8], row: &[u8]) -> Result<Event, StoreError> {
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
        SNAPSHOT => EventBody::Snapshot { generation: Generation(reader.u64()?) },
        NOTICE => EventBody::Notice,
        other => return Err(reader.damaged(&format!("tells the unknown thing {other}"))),
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

#[cfg(test)]
mod tests {
    use carryall_core::ids::{DatasetName, DeviceId, IdentityId, PoolIncarnation};
    use carryall_core::model::{DatasetRef, IdentityRef, PoolRef};
    use carryall_core::outbox::Sink;
    use carryall_core::time::UnixMillis;
    use proptest::prelude::*;

    use super::*;

    fn lane_ref() -> impl Strategy<Value = LaneRef> {
        (any::<u64>(), proptest::option::of("[\u{0}-\u{2}a-b\u{10ffff}]{1,9}")).prop_map(
            |(incarnation, device)| {
                let id = PoolId::parse("us-east-1:0a").unwrap();
                let pool = PoolRef { id, incarnation: PoolIncarnation(incarnation) };
                let owner = IdentityRef { pool, identity: IdentityId::parse("us-east-1:01").unwrap() };
                let sink = device.map_or(Sink::Stream, |id| Sink::Device(DeviceId::parse(&id).unwrap()));
                LaneRef { dataset: DatasetRef { owner, name: DatasetName::parse("prefs").unwrap() }, sink }
            },
        )
    }

    fn position() -> impl Strategy<Value = Position> {
        (any::<u64>(), any::<bool>()).prop_map(|(count, bulk)| {
            if bulk { Position::bulk(SyncCount(count)) } else { Position::change(SyncCount(count)) }
        })
    }

    fn due() -> impl Strategy<Value = Due> {
        (any::<(i64, u64, bool)>(), 0..3_u8).prop_map(|((moment, lease, switched_off), kind)| {
            let moment = UnixMillis(moment);
            match kind {
                AT => Due::At(moment),
                LEASED => Due::Leased { until: moment, lease: LeaseId(lease) },
                _ if switched_off => Due::Parked { why: Parked::SwitchedOff, since: moment },
                _ => Due::Parked { why: Parked::Undeliverable, since: moment },
            }
        })
    }

    fn stored_lane() -> impl Strategy<Value = StoredLane> {
        (lane_ref(), 1..u64::MAX, position(), position(), due(), any::<u32>(), ".{0,40}").prop_map(
            |(at, events, first, last, due, attempts, trouble)| {
                let state = LaneState { due, attempts, trouble };
                StoredLane { lane: Lane { at, events, first, state }, last }
            },
        )
    }

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

    fn event() -> impl Strategy<Value = Event> {
        let body = prop_oneof![
            proptest::collection::vec(record(), 0..4).prop_map(EventBody::Updated),
            Just(EventBody::Deleted),
            any::<u64>().prop_map(|generation| EventBody::Snapshot { generation: Generation(generation) }),
            Just(EventBody::Notice),
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
        fn lanes_survive_their_rows(stored in stored_lane()) {
            let key = outbox_keys::lane(&stored.lane.at);
            prop_assert_eq!(StoredLane::from_row(&key, &stored.to_row()), Ok(stored));
        }

        #[test]
        fn events_survive_their_rows(event in event()) {
            let key = outbox_keys::event(&event.lane, event.position);
            let row = event_to_row(&event);
            prop_assert_eq!(event_from_row(event.lane.clone(), &key, &row), Ok(event));
        }

        #[test]
        fn an_event_cut_short_never_reads_as_itself(event in event(), cut in any::<proptest::sample::Index>()) {
            let key = outbox_keys::event(&event.lane, event.position);
            let row = event_to_row(&event);
            let part = &row[..cut.index(row.len())];
            prop_assert_ne!(event_from_row(event.lane.clone(), &key, part), Ok(event));
        }

        #[test]
        fn arbitrary_bytes_are_damage_and_never_a_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
            lane in lane_ref(),
        ) {
            let key = outbox_keys::event(&lane, Position::change(SyncCount(1)));
            for version in [None, Some(VERSION)] {
                if let (Some(version), Some(first)) = (version, bytes.first_mut()) {
                    *first = version;
                }
                let _ = StoredLane::from_row(&outbox_keys::lane(&lane), &bytes);
                let _ = StoredLane::from_row(&bytes, &bytes);
                let _ = event_from_row(lane.clone(), &key, &bytes);
                let _ = event_from_row(lane.clone(), &bytes, &bytes);
            }
        }
    }

    #[test]
    fn a_lane_without_events_is_damage() {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(1) };
        let owner = IdentityRef { pool, identity: IdentityId::parse("a:1").unwrap() };
        let dataset = DatasetRef { owner, name: DatasetName::parse("n").unwrap() };
        let lane = Lane {
            at: LaneRef { dataset, sink: Sink::Stream },
            events: 0,
            first: Position::change(SyncCount(1)),
            state: LaneState::due(UnixMillis(1)),
        };
        let key = outbox_keys::lane(&lane.at);
        let row = StoredLane { last: lane.first, lane }.to_row();
        assert!(StoredLane::from_row(&key, &row).unwrap_err().to_string().contains("no events"));
    }
}
