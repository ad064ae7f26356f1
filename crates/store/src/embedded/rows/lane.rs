//! Lane rows of the outbox.

use carryall_core::ids::{LeaseId, PoolId};
use carryall_core::outbox::{Due, Lane, LaneState, Parked, Position};
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION, put_bytes};
use crate::embedded::outbox_keys::{self, put_position};

/// A lane with what the store alone needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredLane {
    pub(crate) lane: Lane,
    /// No event stands behind this place, so that one that comes behind it is known to be new.
    pub(crate) last: Position,
}

const AT: u8 = 0;
const LEASED: u8 = 1;
const PARKED: u8 = 2;

impl StoredLane {
    pub(crate) fn to_row(&self) -> Vec<u8> {
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
    pub(crate) fn from_row(key: &[u8], row: &[u8]) -> Result<Self, StoreError> {
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

#[cfg(test)]
mod tests {
    use carryall_core::ids::{DatasetName, SyncCount};
    use carryall_core::model::DatasetRef;
    use carryall_core::outbox::{LaneRef, Sink};
    use carryall_core::time::UnixMillis;
    use proptest::prelude::*;

    use super::super::sample::{lane_ref, owner, position};
    use super::*;

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

    proptest! {
        #[test]
        fn lanes_survive_their_rows(stored in stored_lane()) {
            let key = outbox_keys::lane(&stored.lane.at);
            prop_assert_eq!(StoredLane::from_row(&key, &stored.to_row()), Ok(stored));
        }

        #[test]
        fn arbitrary_bytes_are_damage_and_never_a_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
            lane in lane_ref(),
        ) {
            for version in [None, Some(VERSION)] {
                if let (Some(version), Some(first)) = (version, bytes.first_mut()) {
                    *first = version;
                }
                let _ = StoredLane::from_row(&outbox_keys::lane(&lane), &bytes);
                let _ = StoredLane::from_row(&bytes, &bytes);
            }
        }
    }

    #[test]
    fn a_lane_without_events_is_damage() {
        let dataset = DatasetRef { owner: owner(), name: DatasetName::parse("n").unwrap() };
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
