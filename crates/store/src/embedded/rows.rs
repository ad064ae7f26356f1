//! What rows hold: the bytes of their values, as [`super::row_bytes`] says. The rows of the outbox, of devices and of
//! bulk publications have files of their own.

use carryall_core::ids::{
    AccessKeyId, Generation, IdentityEpoch, PoolId, PoolIncarnation, SessionId, SyncCount, Version,
};
use carryall_core::model::{
    DeveloperKey, Floor, Head, Holdings, Identity, IdentityRef, Life, PoolRef, PoolUsage, Record, RecordStub,
    Sweep, UsedSessions, Writer,
};
use carryall_core::store::StoreError;
use carryall_core::tombstone::Tombstone;

use super::keys::{self, LifeId};
use super::row_bytes::{Reader, VERSION, put_bytes};

/// A head with the internal id of its records; `None` while it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredHead {
    pub(super) head: Head,
    pub(super) life: Option<LifeId>,
}

/// Something whose space is to be freed, and how far that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) what: Unreachable,
    /// The last key that was freed.
    pub(super) after: Option<Place>,
}

/// What nothing can reach any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// The records of one life of a dataset.
    Life(LifeId),
    /// Everything of a removed pool.
    Pool(PoolIncarnation),
}

/// A key in one of the spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) space: Space,
    pub(super) key: Vec<u8>,
}

/// The parts into which rows are sorted, each with its own files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    /// Everything but records.
    Small,
    /// Stubs of records by key.
    Key,
    /// Records by count.
    Log,
}

/// The layout of head rows that counts the bytes of tombstones' keys and says which are forgotten.
const HEAD_VERSION: u8 = 2;
/// In the place of the bytes of tombstones' keys: they are not known.
const UNKNOWN_BYTES: u64 = u64::MAX;

impl StoredHead {
    pub(super) fn to_row(&self) -> Vec<u8> {
        let head = &self.head;
        let used = head.used_sessions.iter();
        let mut row = Vec::with_capacity(96 + 8 * used.len());
        row.push(HEAD_VERSION);
        row.extend(head.generation.0.to_be_bytes());
        row.extend(head.sync_count.0.to_be_bytes());
        row.extend(head.deleted_at.0.to_be_bytes());
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

    pub(super) fn from_row(row: &[u8]) -> Result<Self, StoreError> {
        let (mut reader, version) = Reader::open_up_to(HEAD_VERSION, "head", row)?;
        let generation = Generation(reader.u64()?);
        let sync_count = SyncCount(reader.u64()?);
        let deleted_at = SyncCount(reader.u64()?);
        let life_id = reader.u64()?;
        let used = reader.u8()?;
        let used_sessions =
            (0..used).map(|_| reader.u64().map(SessionId)).collect::<Result<UsedSessions, StoreError>>()?;
        let life = if reader.flag()? {
            let (created, modified) = (reader.time()?, reader.time()?);
            let (records, tombstones, data_bytes) = (reader.u32()?, reader.u32()?, reader.u64()?);
            let (key_bytes, forgotten_through) =
                if version < HEAD_VERSION { (UNKNOWN_BYTES, 0) } else { (reader.u64()?, reader.u64()?) };
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
        let head = Head { generation, sync_count, deleted_at, used_sessions, life };
        Ok(Self { head, life: (life_id != 0).then_some(LifeId(life_id)) })
    }
}

pub(super) fn record_to_row(record: &Record) -> Vec<u8> {
    let value = record.value.as_deref();
    let mut row = Vec::with_capacity(22 + record.modified_by.len() + value.map_or(0, str::len));
    row.push(VERSION);
    row.extend(record.modified.0.to_be_bytes());
    row.extend(record.device_modified.0.to_be_bytes());
    put_bytes(&mut row, record.modified_by.as_bytes());
    row.push(u8::from(value.is_some()));
    row.extend(value.unwrap_or_default().as_bytes());
    row
}

/// The record whose log row has this key and value.
pub(super) fn record_from_row(key: &[u8], row: &[u8]) -> Result<Record, StoreError> {
    let mut reader = Reader::open("record", row)?;
    let (sync_count, key) = keys::parts_of_log_row(key).ok_or_else(|| reader.damaged("has a damaged key"))?;
    let modified = reader.time()?;
    let device_modified = reader.time()?;
    let modified_by = reader.short_text()?.into();
    let has_value = reader.flag()?;
    let text = reader.text()?;
    let value = has_value.then(|| text.to_owned());
    Ok(Record { key, value, sync_count, modified, modified_by, device_modified })
}

/// The tombstone whose log row has this key and value; `None` if the record has a value.
pub(super) fn tombstone_from_row(key: &[u8], row: &[u8]) -> Result<Option<Tombstone>, StoreError> {
    let mut reader = Reader::open("record", row)?;
    let (sync_count, key) = keys::parts_of_log_row(key).ok_or_else(|| reader.damaged("has a damaged key"))?;
    reader.time()?;
    reader.time()?;
    reader.bytes()?;
    let has_value = reader.flag()?;
    Ok((!has_value).then_some(Tombstone { key, sync_count }))
}

pub(super) fn stub_to_row(record: &Record) -> Vec<u8> {
    let mut row = Vec::with_capacity(18);
    row.push(VERSION);
    row.extend(record.sync_count.0.to_be_bytes());
    row.extend(record.data_bytes().to_be_bytes());
    row.push(u8::from(record.value.is_none()));
    row
}

pub(super) fn stub_from_row(row: &[u8]) -> Result<RecordStub, StoreError> {
    let mut reader = Reader::open("stub", row)?;
    let stub = RecordStub {
        sync_count: SyncCount(reader.u64()?),
        data_bytes: reader.u64()?,
        removed: reader.flag()?,
    };
    reader.end()?;
    Ok(stub)
}

pub(super) fn holdings_to_row(holdings: &Holdings) -> Vec<u8> {
    let mut row = Vec::with_capacity(33);
    row.push(VERSION);
    row.extend(holdings.version.0.to_be_bytes());
    row.extend(holdings.datasets.to_be_bytes());
    row.extend(holdings.deleted_names.to_be_bytes());
    row.extend(holdings.floor.sync_count.0.to_be_bytes());
    row.extend(holdings.floor.generation.0.to_be_bytes());
    row
}

pub(super) fn holdings_from_row(row: &[u8]) -> Result<Holdings, StoreError> {
    let mut reader = Reader::open("holdings", row)?;
    let holdings = Holdings {
        version: Version(reader.u64()?),
        datasets: reader.u32()?,
        deleted_names: reader.u32()?,
        floor: Floor { sync_count: SyncCount(reader.u64()?), generation: Generation(reader.u64()?) },
    };
    reader.end()?;
    Ok(holdings)
}

/// The layout of usage rows that says how many events wait; before it there were none.
const USAGE_VERSION: u8 = 2;

pub(super) fn usage_to_row(usage: &PoolUsage) -> Vec<u8> {
    let mut row = Vec::with_capacity(41);
    row.push(USAGE_VERSION);
    row.extend(usage.data_bytes.to_be_bytes());
    row.extend(usage.sync_sessions.to_be_bytes());
    row.extend(usage.events_waiting.to_be_bytes());
    row.extend(usage.events_bytes.to_be_bytes());
    if let Some(modified) = usage.modified {
        row.extend(modified.0.to_be_bytes());
    }
    row
}

pub(super) fn usage_from_row(row: &[u8]) -> Result<PoolUsage, StoreError> {
    let (mut reader, version) = Reader::open_up_to(USAGE_VERSION, "usage", row)?;
    let data_bytes = reader.u64()?;
    let sync_sessions = reader.u64()?;
    let (events_waiting, events_bytes) =
        if version < USAGE_VERSION { (0, 0) } else { (reader.u64()?, reader.u64()?) };
    let modified = if reader.is_at_end() { None } else { Some(reader.time()?) };
    reader.end()?;
    Ok(PoolUsage { data_bytes, sync_sessions, modified, events_waiting, events_bytes })
}

pub(super) fn identity_to_row(identity: &Identity) -> Vec<u8> {
    let mut row = Vec::with_capacity(25);
    row.push(VERSION);
    row.extend(identity.epoch.0.to_be_bytes());
    row.extend(identity.created.0.to_be_bytes());
    row.extend(identity.modified.0.to_be_bytes());
    row
}

pub(super) fn identity_from_row(at: IdentityRef, row: &[u8]) -> Result<Identity, StoreError> {
    let mut reader = Reader::open("identity", row)?;
    let identity = Identity {
        at,
        epoch: IdentityEpoch(reader.u64()?),
        created: reader.time()?,
        modified: reader.time()?,
    };
    reader.end()?;
    Ok(identity)
}

pub(super) fn pool_ref_to_row(pool: &PoolRef) -> Vec<u8> {
    let mut row = Vec::with_capacity(9 + pool.id.as_str().len());
    row.push(VERSION);
    row.extend(pool.incarnation.0.to_be_bytes());
    row.extend(pool.id.as_str().as_bytes());
    row
}

pub(super) fn pool_ref_from_row(row: &[u8]) -> Result<PoolRef, StoreError> {
    let mut reader = Reader::open("pool of an identity", row)?;
    let incarnation = PoolIncarnation(reader.u64()?);
    let broken = reader.damaged("names no pool");
    let id = PoolId::parse(reader.text()?).map_err(|_| broken)?;
    Ok(PoolRef { id, incarnation })
}

pub(super) fn developer_key_to_row(key: &DeveloperKey) -> Vec<u8> {
    let mut row = Vec::with_capacity(16 + key.sealed_secret.len() + key.description.len());
    row.push(VERSION);
    row.extend(key.created.0.to_be_bytes());
    put_bytes(&mut row, &key.sealed_secret);
    row.extend(key.description.as_bytes());
    row
}

pub(super) fn developer_key_from_row(id: AccessKeyId, row: &[u8]) -> Result<DeveloperKey, StoreError> {
    let mut reader = Reader::open("developer key", row)?;
    let created = reader.time()?;
    let sealed_secret = reader.bytes()?.to_vec();
    Ok(DeveloperKey { id, sealed_secret, created, description: reader.text()?.to_owned() })
}

pub(super) fn setting_to_row(value: &[u8]) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(value);
    row
}

pub(super) fn setting_from_row(row: &[u8]) -> Result<Vec<u8>, StoreError> {
    Reader::open("setting", row).map(|reader| reader.rest().to_vec())
}

pub(super) fn sweep_to_row(sweep: &Sweep) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(sweep.owner.pool.id.as_str().as_bytes());
    row
}

pub(super) fn sweep_from_row(key: &[u8], row: &[u8]) -> Result<Sweep, StoreError> {
    let reader = Reader::open("sweep", row)?;
    let broken = reader.damaged("names no owner");
    let (not_before, incarnation, identity) = keys::parts_of_sweep(key).ok_or_else(|| broken.clone())?;
    let id = PoolId::parse(reader.text()?).map_err(|_| broken)?;
    Ok(Sweep { owner: IdentityRef { pool: PoolRef { id, incarnation }, identity }, not_before })
}

/// A row that is there or not and says nothing more.
pub(super) fn mark_to_row() -> Vec<u8> {
    vec![VERSION]
}

pub(super) fn number_to_row(number: u64) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(number.to_be_bytes());
    row
}

pub(super) fn number_from_row(row: &[u8]) -> Result<u64, StoreError> {
    let mut reader = Reader::open("number", row)?;
    let number = reader.u64()?;
    reader.end()?;
    Ok(number)
}

impl Space {
    fn code(self) -> u8 {
        match self {
            Self::Small => 0,
            Self::Key => 1,
            Self::Log => 2,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        [Self::Small, Self::Key, Self::Log].into_iter().find(|space| space.code() == code)
    }
}

impl Work {
    pub(super) fn to_row(&self) -> Vec<u8> {
        let (kind, id) = match self.what {
            Unreachable::Life(life) => (0, life.0),
            Unreachable::Pool(incarnation) => (1, incarnation.0),
        };
        let mut row = vec![VERSION, kind];
        row.extend(id.to_be_bytes());
        if let Some(after) = &self.after {
            row.push(after.space.code());
            row.extend(&after.key);
        }
        row
    }

    pub(super) fn from_row(row: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::open("work", row)?;
        let is_pool = reader.flag()?;
        let id = reader.u64()?;
        let what =
            if is_pool { Unreachable::Pool(PoolIncarnation(id)) } else { Unreachable::Life(LifeId(id)) };
        if reader.is_at_end() {
            return Ok(Self { what, after: None });
        }
        let code = reader.u8()?;
        let space = Space::of_code(code).ok_or_else(|| reader.damaged("names no space"))?;
        Ok(Self { what, after: Some(Place { space, key: reader.rest().to_vec() }) })
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::{IdentityId, RecordKey};
    use carryall_core::time::UnixMillis;
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
        (any::<(u64, u64, u64, u64)>(), sessions, proptest::option::of(life())).prop_map(
            |(numbers, sessions, life)| StoredHead {
                head: Head {
                    generation: Generation(numbers.0),
                    sync_count: SyncCount(numbers.1),
                    deleted_at: SyncCount(numbers.2),
                    used_sessions: sessions.into_iter().map(SessionId).collect(),
                    life,
                },
                life: (numbers.3 != 0).then_some(LifeId(numbers.3)),
            },
        )
    }

    fn record() -> impl Strategy<Value = Record> {
        (any::<(u64, i64, i64)>(), ".{1,40}", ".{0,40}", proptest::option::of(".{0,100}")).prop_map(
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

    proptest! {
        #[test]
        fn heads_survive_their_rows(stored in stored_head()) {
            prop_assert_eq!(StoredHead::from_row(&stored.to_row()).unwrap(), stored);
        }

        #[test]
        fn records_and_their_stubs_survive_their_rows(record in record()) {
            let key = keys::log_row(LifeId(1), record.sync_count, &record.key);
            prop_assert_eq!(record_from_row(&key, &record_to_row(&record)).unwrap(), record.clone());
            let stub = stub_from_row(&stub_to_row(&record)).unwrap();
            prop_assert_eq!(stub.sync_count, record.sync_count);
            prop_assert_eq!(stub.data_bytes, record.data_bytes());
            prop_assert_eq!(stub.removed, record.value.is_none());
        }

        #[test]
        fn arbitrary_bytes_are_damage_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let key = keys::log_row(LifeId(1), SyncCount(1), &RecordKey::from_stored("k"));
            let _ = StoredHead::from_row(&bytes);
            let _ = record_from_row(&key, &bytes);
            let _ = record_from_row(&bytes, &bytes);
            let _ = (stub_from_row(&bytes), holdings_from_row(&bytes), usage_from_row(&bytes));
            let _ = (pool_ref_from_row(&bytes), setting_from_row(&bytes), number_from_row(&bytes));
            let _ = (sweep_from_row(&bytes, &bytes), Work::from_row(&bytes));
        }

        #[test]
        fn a_head_cut_short_before_its_last_text_is_damage(stored in stored_head(), cut in 0_usize..33) {
            let row = stored.to_row();
            prop_assert!(StoredHead::from_row(&row[..cut]).is_err());
        }
    }

    #[test]
    fn a_row_of_a_later_version_is_damage() {
        let mut row = holdings_to_row(&Holdings::default());
        assert!(holdings_from_row(&row).is_ok());
        row[0] = VERSION + 1;
        let message = holdings_from_row(&row).unwrap_err().to_string();
        assert!(message.contains("version 2"), "{message}");
    }

    #[test]
    fn a_usage_row_of_the_first_layout_says_that_no_events_wait() {
        let numbers = [[0, 0, 0, 0, 0, 0, 0, 7], [0, 0, 0, 0, 0, 0, 0, 8], [0, 0, 0, 0, 0, 0, 0, 9]].concat();
        let usage =
            PoolUsage { data_bytes: 7, sync_sessions: 8, modified: None, events_waiting: 0, events_bytes: 0 };
        assert_eq!(usage_from_row(&[&[1], &numbers[..16]].concat()), Ok(usage));
        let changed = PoolUsage { modified: Some(UnixMillis(9)), ..usage };
        assert_eq!(usage_from_row(&[&[1], &numbers[..]].concat()), Ok(changed));
        assert!(usage_from_row(&[&[3], &numbers[..]].concat()).is_err());
    }

    #[test]
    fn small_rows_survive_their_bytes() {
        let holdings = Holdings {
            version: Version(1),
            datasets: 2,
            deleted_names: 3,
            floor: Floor { sync_count: SyncCount(4), generation: Generation(5) },
        };
        assert_eq!(holdings_from_row(&holdings_to_row(&holdings)), Ok(holdings));
        for modified in [None, Some(UnixMillis(-3))] {
            let usage =
                PoolUsage { data_bytes: 1, sync_sessions: 2, modified, events_waiting: 3, events_bytes: 4 };
            assert_eq!(usage_from_row(&usage_to_row(&usage)), Ok(usage));
        }
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(9) };
        assert_eq!(pool_ref_from_row(&pool_ref_to_row(&pool)), Ok(pool.clone()));
        let at = IdentityRef { pool, identity: IdentityId::parse("a:1").unwrap() };
        let identity = Identity {
            at: at.clone(),
            epoch: IdentityEpoch(1),
            created: UnixMillis(2),
            modified: UnixMillis(3),
        };
        assert_eq!(identity_from_row(at.clone(), &identity_to_row(&identity)), Ok(identity));
        let sweep = Sweep { owner: at, not_before: UnixMillis(7) };
        assert_eq!(sweep_from_row(&keys::sweep(&sweep), &sweep_to_row(&sweep)), Ok(sweep));
        let key = DeveloperKey {
            id: AccessKeyId::parse("AKIA000000000000").unwrap(),
            sealed_secret: vec![1, 2],
            created: UnixMillis(1),
            description: "d".into(),
        };
        assert_eq!(developer_key_from_row(key.id.clone(), &developer_key_to_row(&key)), Ok(key));
        let after = Some(Place { space: Space::Log, key: vec![0, 1] });
        for work in [
            Work { what: Unreachable::Life(LifeId(3)), after },
            Work { what: Unreachable::Pool(PoolIncarnation(3)), after: None },
        ] {
            assert_eq!(Work::from_row(&work.to_row()), Ok(work));
        }
    }
}
