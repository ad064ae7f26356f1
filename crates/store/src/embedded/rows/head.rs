//! Head rows.

use carryall_core::ids::{Generation, SessionId, SyncCount};
use carryall_core::model::{Head, Life, UsedSessions, Writer};
use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;

use super::bytes::Reader;
use crate::embedded::keys::LifeId;

/// A head with the internal id of its records; `None` while it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredHead {
    pub(crate) head: Head,
    pub(crate) life: Option<LifeId>,
}

/// The layout of head rows that counts the bytes of tombstones' keys and says which are forgotten. Rows without a date
/// of deletion, which are those of existing datasets, still have it.
const COUNTED_VERSION: u8 = 2;
/// The layout that has the date of the deletion too.
const DATED_VERSION: u8 = 3;
/// In the place of the bytes of tombstones' keys: they are not known.
const UNKNOWN_BYTES: u64 = u64::MAX;

impl StoredHead {
    pub(crate) fn to_row(&self) -> Vec<u8> {
        let head = &self.head;
        let used = head.used_sessions.iter();
        let mut row = Vec::with_capacity(96 + 8 * used.len());
        let is_dated = head.deleted_on != UnixMillis(0);
        row.push(if is_dated { DATED_VERSION } else { COUNTED_VERSION });
        row.extend(head.generation.0.to_be_bytes());
        row.extend(head.sync_count.0.to_be_bytes());
        row.extend(head.deleted_at.0.to_be_bytes());
        if is_dated {
            row.extend(head.deleted_on.0.to_be_bytes());
        }
        row.extend(self.life.map_or(0, |life| life.0).to_be_bytes());
        row.push(u8::try_from(used.len()).unwrap_or(u8::MAX));
        for session in used {
            row.extend(session.0.to_be_bytes());
        }
        row.push(u8::from(head.life.is_some()));
        if let Some(life) = &head.life {
            row.extend(life.created.0.to_be_bytes());
            row.extend(life.modified.0.to_be_bytes());
            row.extend(life.records.to_be_bytes());
            row.extend(life.tombstones.to_be_bytes());
            row.extend(life.data_bytes.to_be_bytes());
            row.extend(life.tombstone_key_bytes.unwrap_or(UNKNOWN_BYTES).to_be_bytes());
            row.extend(life.tombstones_forgotten_through.0.to_be_bytes());
            row.extend(life.modified_by.as_bytes());
        }
        row
    }

    pub(crate) fn from_row(row: &[u8]) -> Result<Self, StoreError> {
        let (mut reader, version) = Reader::open_up_to(DATED_VERSION, "head", row)?;
        let generation = Generation(reader.u64()?);
        let sync_count = SyncCount(reader.u64()?);
        let deleted_at = SyncCount(reader.u64()?);
        let deleted_on = if version < DATED_VERSION { UnixMillis(0) } else { reader.time()? };
        let life_id = reader.u64()?;
        let used = reader.u8()?;
        let used_sessions =
            (0..used).map(|_| reader.u64().map(SessionId)).collect::<Result<UsedSessions, StoreError>>()?;
        let life = if reader.flag()? {
            let (created, modified) = (reader.time()?, reader.time()?);
            let (records, tombstones, data_bytes) = (reader.u32()?, reader.u32()?, reader.u64()?);
            let (key_bytes, forgotten_through) =
                if version < COUNTED_VERSION { (UNKNOWN_BYTES, 0) } else { (reader.u64()?, reader.u64()?) };
            Some(Life {
                created,
                modified,
                records,
                tombstones,
                tombstone_key_bytes: Some(key_bytes).filter(|bytes| *bytes != UNKNOWN_BYTES),
                tombstones_forgotten_through: SyncCount(forgotten_through),
                data_bytes,
                modified_by: Writer::from(reader.text()?),
            })
        } else {
            reader.end()?;
            None
        };
        let head = Head { generation, sync_count, deleted_at, deleted_on, used_sessions, life };
        Ok(Self { head, life: (life_id != 0).then_some(LifeId(life_id)) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life() -> impl Strategy<Value = Life> {
        let tombstones = (proptest::option::of(0..u64::MAX), any::<u64>());
        (any::<(i64, i64, u32, u32, u64)>(), tombstones, ".{0,40}").prop_map(
            |(numbers, more, modified_by)| Life {
                created: UnixMillis(numbers.0),
                modified: UnixMillis(numbers.1),
                records: numbers.2,
                tombstones: numbers.3,
                tombstone_key_bytes: more.0,
                tombstones_forgotten_through: SyncCount(more.1),
                data_bytes: numbers.4,
                modified_by: modified_by.into(),
            },
        )
    }

    fn stored_head() -> impl Strategy<Value = StoredHead> {
        let sessions = proptest::collection::vec(any::<u64>(), 0..=32);
        let deleted_on = prop_oneof![Just(0), any::<i64>()];
        (any::<(u64, u64, u64, u64)>(), deleted_on, sessions, proptest::option::of(life())).prop_map(
            |(numbers, deleted_on, sessions, life)| StoredHead {
                head: Head {
                    generation: Generation(numbers.0),
                    sync_count: SyncCount(numbers.1),
                    deleted_at: SyncCount(numbers.2),
                    deleted_on: UnixMillis(deleted_on),
                    used_sessions: sessions.into_iter().map(SessionId).collect(),
                    life,
                },
                life: (numbers.3 != 0).then_some(LifeId(numbers.3)),
            },
        )
    }

    proptest! {
        #[test]
        fn heads_survive_their_rows(stored in stored_head()) {
            prop_assert_eq!(StoredHead::from_row(&stored.to_row()).unwrap(), stored);
        }

        #[test]
        fn arbitrary_bytes_are_damage_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = StoredHead::from_row(&bytes);
        }

        #[test]
        fn a_head_cut_short_before_its_last_text_is_damage(stored in stored_head(), cut in 0_usize..33) {
            let row = stored.to_row();
            prop_assert!(StoredHead::from_row(&row[..cut]).is_err());
        }
    }
}
