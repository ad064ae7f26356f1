//! Where rows stand: the bytes of their keys.
//!
//! Numbers are big-endian, so that the order of bytes is the order of numbers. Ids and names contain no zero byte by
//! their patterns; where something follows one, a zero byte ends it, which keeps prefixes apart and the order of
//! names. A pool's rows stand under its incarnation, which no other pool shares. `outbox_keys.rs` has the bytes of
//! sinks and positions.
//!
//! | space | key | row |
//! | --- | --- | --- |
//! | small | `01` | the next unused internal id |
//! | small | `02` | the number of the last batch |
//! | small | `03` and filling | none: removed by the first batch of a start, to make it large |
//! | small | `10` incarnation identity `00` name | head |
//! | small | `11` incarnation identity | holdings |
//! | small | `12` incarnation identity | identity |
//! | small | `13` incarnation | pool usage |
//! | small | `14` incarnation identity `00` time | marks a sweep, so that it is found by its pool |
//! | small | `15` incarnation identity `00` name `00` sink position | event |
//! | small | `16` incarnation identity `00` name `00` sink | lane |
//! | small | `17` incarnation time identity `00` name `00` sink | marks a lane that is due or leased, by its moment |
//! | small | `18` incarnation identity `00` name `00` sink | marks a parked lane |
//! | small | `19` incarnation identity | devices |
//! | small | `1a` incarnation | bulk publication |
//! | small | `20` time incarnation identity | sweep |
//! | small | `21` pool id | pool |
//! | small | `22` access key id | developer key |
//! | small | `23` setting name | setting |
//! | small | `24` identity | the pool that handed the identity out |
//! | small | `30` incarnation | marks a removed pool until nothing is left of it |
//! | small | `31` internal id | work for reclaim, oldest first |
//! | key | life | key of a record: its stub |
//! | log | life, sync count | key of a record: the record |

use carryall_core::changes::Setting;
use carryall_core::ids::{
    AccessKeyId, DatasetName, IdentityId, PoolId, PoolIncarnation, RecordKey, SyncCount,
};
use carryall_core::model::{DatasetRef, IdentityRef, PoolRef, Sweep};
use carryall_core::time::UnixMillis;

pub(super) const NEXT_ID: &[u8] = &[0x01];
pub(super) const BATCH_NUMBER: &[u8] = &[0x02];
const FILLER: u8 = 0x03;

pub(super) const HEAD: u8 = 0x10;
const HOLDINGS: u8 = 0x11;
pub(super) const IDENTITY: u8 = 0x12;
const USAGE: u8 = 0x13;
const SWEEP_MARK: u8 = 0x14;
pub(super) const EVENT: u8 = 0x15;
pub(super) const LANE: u8 = 0x16;
pub(super) const DUE_MARK: u8 = 0x17;
pub(super) const PARKED_MARK: u8 = 0x18;
const DEVICES: u8 = 0x19;
const BULK_PUBLISH: u8 = 0x1a;
pub(super) const SWEEP: u8 = 0x20;
pub(super) const POOL: u8 = 0x21;
pub(super) const DEVELOPER_KEY: u8 = 0x22;
const SETTING: u8 = 0x23;
const POOL_OF_IDENTITY: u8 = 0x24;
pub(super) const REMOVED_POOL: u8 = 0x30;
pub(super) const WORK: u8 = 0x31;

/// Bytes of the filler's key: a block of the usual file system, so that a full disk has no room for it.
const FILLER_BYTES: usize = 4096;

/// The tables whose keys begin with a pool's incarnation, in the order in which reclaim empties them.
pub(super) const POOL_TABLES: [u8; 11] =
    [HEAD, HOLDINGS, IDENTITY, USAGE, SWEEP_MARK, EVENT, LANE, DUE_MARK, PARKED_MARK, DEVICES, BULK_PUBLISH];

/// The internal id of one life of a dataset, under which its records stand; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LifeId(pub(super) u64);

pub(super) fn tagged(tag: u8, incarnation: PoolIncarnation, room: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + room);
    key.push(tag);
    key.extend(incarnation.0.to_be_bytes());
    key
}

pub(super) fn of_identity(tag: u8, at: &IdentityRef, room: usize) -> Vec<u8> {
    let identity = at.identity.as_str().as_bytes();
    let mut key = tagged(tag, at.pool.incarnation, identity.len() + room);
    key.extend(identity);
    key
}

fn text(tag: u8, text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + text.len());
    key.push(tag);
    key.extend(text.as_bytes());
    key
}

/// A long key without a row.
pub(super) fn filler() -> Vec<u8> {
    vec![FILLER; FILLER_BYTES]
}

/// The prefix of one table of one pool.
pub(super) fn pool_table(tag: u8, incarnation: PoolIncarnation) -> Vec<u8> {
    tagged(tag, incarnation, 0)
}

pub(super) fn head(at: &DatasetRef) -> Vec<u8> {
    let mut key = heads_of(&at.owner, at.name.as_str().len());
    key.extend(at.name.as_str().as_bytes());
    key
}

/// The prefix of the heads of an identity, with room for `room` bytes of name.
pub(super) fn heads_of(owner: &IdentityRef, room: usize) -> Vec<u8> {
    let mut key = of_identity(HEAD, owner, 1 + room);
    key.push(0);
    key
}

pub(super) fn holdings(owner: &IdentityRef) -> Vec<u8> {
    of_identity(HOLDINGS, owner, 0)
}

pub(super) fn identity(at: &IdentityRef) -> Vec<u8> {
    of_identity(IDENTITY, at, 0)
}

pub(super) fn identities_of(pool: &PoolRef) -> Vec<u8> {
    tagged(IDENTITY, pool.incarnation, 0)
}

pub(super) fn usage(incarnation: PoolIncarnation) -> Vec<u8> {
    tagged(USAGE, incarnation, 0)
}

pub(super) fn devices(owner: &IdentityRef) -> Vec<u8> {
    of_identity(DEVICES, owner, 0)
}

pub(super) fn bulk_publish(incarnation: PoolIncarnation) -> Vec<u8> {
    tagged(BULK_PUBLISH, incarnation, 0)
}

pub(super) fn pool(id: &PoolId) -> Vec<u8> {
    text(POOL, id.as_str())
}

pub(super) fn developer_key(id: &AccessKeyId) -> Vec<u8> {
    text(DEVELOPER_KEY, id.as_str())
}

pub(super) fn setting(name: Setting) -> Vec<u8> {
    text(SETTING, name.name())
}

pub(super) fn pool_of_identity(id: &IdentityId) -> Vec<u8> {
    text(POOL_OF_IDENTITY, id.as_str())
}

pub(super) fn removed_pool(incarnation: PoolIncarnation) -> Vec<u8> {
    tagged(REMOVED_POOL, incarnation, 0)
}

pub(super) fn work(id: u64) -> Vec<u8> {
    let mut key = vec![WORK];
    key.extend(id.to_be_bytes());
    key
}

/// Negative times sort before positive ones when the sign bit is turned over.
pub(super) fn ordered(time: UnixMillis) -> [u8; 8] {
    (time.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// The time that [`ordered`] made these bytes of.
pub(super) fn time_of(ordered: [u8; 8]) -> UnixMillis {
    UnixMillis((u64::from_be_bytes(ordered) ^ (1 << 63)).cast_signed())
}

pub(super) fn sweep(sweep: &Sweep) -> Vec<u8> {
    let identity = sweep.owner.identity.as_str().as_bytes();
    let mut key = Vec::with_capacity(17 + identity.len());
    key.push(SWEEP);
    key.extend(ordered(sweep.not_before));
    key.extend(sweep.owner.pool.incarnation.0.to_be_bytes());
    key.extend(identity);
    key
}

/// The first key behind all sweeps that are due at `now`.
pub(super) fn sweeps_after(now: UnixMillis) -> Vec<u8> {
    let mut key = vec![SWEEP];
    key.extend(ordered(now));
    successor(&key)
}

pub(super) fn sweep_mark(sweep: &Sweep) -> Vec<u8> {
    let mut key = of_identity(SWEEP_MARK, &sweep.owner, 9);
    key.push(0);
    key.extend(ordered(sweep.not_before));
    key
}

/// The sweep that a mark stands for; `None` for any other key.
pub(super) fn sweep_of_mark(mark: &[u8]) -> Option<Vec<u8>> {
    let (&[SWEEP_MARK], rest) = mark.split_first_chunk::<1>()? else { return None };
    let (incarnation, rest) = rest.split_first_chunk::<8>()?;
    let (rest, time) = rest.split_last_chunk::<8>()?;
    let identity = rest.strip_suffix(&[0])?;
    let mut key = vec![SWEEP];
    key.extend(time);
    key.extend(incarnation);
    key.extend(identity);
    Some(key)
}

/// The parts of a sweep's key; `None` for any other key.
pub(super) fn parts_of_sweep(key: &[u8]) -> Option<(UnixMillis, PoolIncarnation, IdentityId)> {
    let (&[SWEEP], rest) = key.split_first_chunk::<1>()? else { return None };
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let (incarnation, identity) = rest.split_first_chunk::<8>()?;
    let identity = IdentityId::parse(std::str::from_utf8(identity).ok()?).ok()?;
    Some((time_of(*time), PoolIncarnation(u64::from_be_bytes(*incarnation)), identity))
}

/// The parts of a head's key; `None` for any other key.
pub(super) fn parts_of_head(key: &[u8]) -> Option<(IdentityId, DatasetName)> {
    let (&[HEAD], rest) = key.split_first_chunk::<1>()? else { return None };
    let (_, rest) = rest.split_first_chunk::<8>()?;
    let mut parts = rest.splitn(2, |byte| *byte == 0);
    let identity = IdentityId::parse(std::str::from_utf8(parts.next()?).ok()?).ok()?;
    let name = DatasetName::parse(std::str::from_utf8(parts.next()?).ok()?).ok()?;
    Some((identity, name))
}

/// The identity that an identity row is of; `None` for any other key.
pub(super) fn identity_of_row(key: &[u8]) -> Option<IdentityId> {
    let (&[IDENTITY], rest) = key.split_first_chunk::<1>()? else { return None };
    let (_, identity) = rest.split_first_chunk::<8>()?;
    IdentityId::parse(std::str::from_utf8(identity).ok()?).ok()
}

/// The prefix of one life, in either space.
pub(super) fn life(life: LifeId) -> Vec<u8> {
    life.0.to_be_bytes().to_vec()
}

pub(super) fn key_row(life: LifeId, key: &RecordKey) -> Vec<u8> {
    let key = key.as_str().as_bytes();
    let mut row = Vec::with_capacity(8 + key.len());
    row.extend(life.0.to_be_bytes());
    row.extend(key);
    row
}

pub(super) fn log_row(life: LifeId, count: SyncCount, key: &RecordKey) -> Vec<u8> {
    let mut row = log_from(life, count, key.as_str().len());
    row.extend(key.as_str().as_bytes());
    row
}

/// Where the records of `count` begin, with room for `room` bytes of key.
pub(super) fn log_from(life: LifeId, count: SyncCount, room: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(16 + room);
    row.extend(life.0.to_be_bytes());
    row.extend(count.0.to_be_bytes());
    row
}

/// The count and the record key of a log row; `None` if the bytes are no such key.
pub(super) fn parts_of_log_row(row: &[u8]) -> Option<(SyncCount, RecordKey)> {
    let (_, rest) = row.split_first_chunk::<8>()?;
    let (count, key) = rest.split_first_chunk::<8>()?;
    Some((SyncCount(u64::from_be_bytes(*count)), RecordKey::from_stored(std::str::from_utf8(key).ok()?)))
}

/// The first key behind all keys that begin with `prefix`, whose first byte is below `ff` in every table; in the
/// spaces of records the last life would have to be the 2^64th.
pub(super) fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(identity: &str) -> IdentityRef {
        IdentityRef {
            pool: PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(7) },
            identity: IdentityId::parse(identity).unwrap(),
        }
    }

    fn head_of(identity: &str, name: &str) -> Vec<u8> {
        head(&DatasetRef { owner: owner(identity), name: DatasetName::parse(name).unwrap() })
    }

    #[test]
    fn an_identity_whose_id_begins_with_anothers_shares_no_range_with_it() {
        assert!(!head_of("a:01", "b").starts_with(&heads_of(&owner("a:0"), 0)));
        assert!(head_of("a:0", "b").starts_with(&heads_of(&owner("a:0"), 0)));
        assert!(head_of("a:0", "zzz") < head_of("a:01", "a"), "one owner's names stay together");
        assert!(head_of("a:0", "a") < head_of("a:0", "a."), "names keep their order");
    }

    #[test]
    fn the_successor_of_a_prefix_carries_over_full_bytes() {
        assert_eq!(successor(&[1, 2]), [1, 3]);
        assert_eq!(successor(&[1, 255, 255]), [2]);
    }

    #[test]
    fn a_sweep_is_found_from_its_mark_and_read_back_from_its_key() {
        for time in [i64::MIN, -1, 0, 1, i64::MAX] {
            let due = Sweep { owner: owner("a:0"), not_before: UnixMillis(time) };
            assert_eq!(sweep_of_mark(&sweep_mark(&due)), Some(sweep(&due)));
            let parts = (due.not_before, PoolIncarnation(7), due.owner.identity.clone());
            assert_eq!(parts_of_sweep(&sweep(&due)), Some(parts));
        }
        assert!(ordered(UnixMillis(-1)) < ordered(UnixMillis(0)));
        assert_eq!(sweep_of_mark(b"\x10"), None);
    }

    #[test]
    fn records_of_one_life_stand_in_the_order_of_count_and_key() {
        let row = |count, key| log_row(LifeId(3), SyncCount(count), &RecordKey::from_stored(key));
        assert!(row(1, "z") < row(2, "a"));
        assert!(row(256, "a") > row(255, "a\u{0}"));
        assert_eq!(
            parts_of_log_row(&row(9, "é\u{0}")),
            Some((SyncCount(9), RecordKey::from_stored("é\u{0}")))
        );
    }
}
