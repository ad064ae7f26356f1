//! Where the rows of the outbox stand. The table at the head of `keys.rs` has their places; here is how a sink and a
//! position look in them.
//!
//! A sink is one byte, `01` for the stream, `02` for a device, whose id follows, and `03` for a bulk publication. A
//! device id may hold any character, a zero byte too. But no byte of UTF-8 is above `f4`: so each byte of the id is
//! stored raised by one, which keeps their order and leaves `00` to end it. No sink's bytes begin with another's. A
//! position is its count and one byte, `00` for the change and `01` for a bulk publication.

use carryall_core::ids::{DatasetName, DeviceId, IdentityId, PoolId, PoolIncarnation, SyncCount};
use carryall_core::model::{DatasetRef, IdentityRef, PoolRef};
use carryall_core::outbox::{Due, LaneRef, Part, Position, Sink};
use carryall_core::time::UnixMillis;

use super::keys::{DUE_MARK, EVENT, LANE, PARKED_MARK, ordered, pool_table, tagged};

const STREAM: u8 = 1;
const DEVICE: u8 = 2;
const PUBLICATION: u8 = 3;

/// Bytes of a position.
const POSITION_BYTES: usize = 9;

fn put_sink(key: &mut Vec<u8>, sink: &Sink) {
    match sink {
        Sink::Stream => key.push(STREAM),
        Sink::Device(id) => {
            key.push(DEVICE);
            key.extend(id.as_str().bytes().map(|byte| byte.wrapping_add(1)));
            key.push(0);
        }
        Sink::Publication => key.push(PUBLICATION),
    }
}

fn sink_from(bytes: &[u8]) -> Option<Sink> {
    match bytes.split_first()? {
        (&STREAM, []) => Some(Sink::Stream),
        (&PUBLICATION, []) => Some(Sink::Publication),
        (&DEVICE, [raised @ .., 0]) => {
            let id = raised.iter().map(|byte| byte.checked_sub(1)).collect::<Option<Vec<u8>>>()?;
            Some(Sink::Device(DeviceId::parse(std::str::from_utf8(&id).ok()?).ok()?))
        }
        _ => None,
    }
}

fn sink_bytes(sink: &Sink) -> usize {
    match sink {
        Sink::Stream | Sink::Publication => 1,
        Sink::Device(id) => 2 + id.as_str().len(),
    }
}

/// Everything of a lane's key behind the incarnation.
fn put_within_pool(key: &mut Vec<u8>, at: &LaneRef) {
    key.extend(at.dataset.owner.identity.as_str().as_bytes());
    key.push(0);
    key.extend(at.dataset.name.as_str().as_bytes());
    key.push(0);
    put_sink(key, &at.sink);
}

fn bytes_within_pool(at: &LaneRef) -> usize {
    at.dataset.owner.identity.as_str().len() + at.dataset.name.as_str().len() + 2 + sink_bytes(&at.sink)
}

fn of_lane(tag: u8, at: &LaneRef, room: usize) -> Vec<u8> {
    let mut key = tagged(tag, at.dataset.owner.pool.incarnation, bytes_within_pool(at) + room);
    put_within_pool(&mut key, at);
    key
}

pub(super) fn lane(at: &LaneRef) -> Vec<u8> {
    of_lane(LANE, at, 0)
}

/// The prefix of the keys of a lane's events.
pub(super) fn events_of(at: &LaneRef) -> Vec<u8> {
    of_lane(EVENT, at, POSITION_BYTES)
}

pub(super) fn event(at: &LaneRef, position: Position) -> Vec<u8> {
    let mut key = events_of(at);
    put_position(&mut key, position);
    key
}

/// The key of the mark by which a lane is found that is due as `due` says. A lane has one mark at a time.
pub(super) fn mark(at: &LaneRef, due: Due) -> Vec<u8> {
    match due {
        Due::At(moment) | Due::Leased { until: moment, .. } => {
            let mut key = tagged(DUE_MARK, at.dataset.owner.pool.incarnation, 8 + bytes_within_pool(at));
            key.extend(ordered(moment));
            put_within_pool(&mut key, at);
            key
        }
        Due::Parked { .. } => parked_mark(at),
    }
}

pub(super) fn parked_mark(at: &LaneRef) -> Vec<u8> {
    of_lane(PARKED_MARK, at, 0)
}

/// The first key behind the marks of a pool's lanes that are due at `now`.
pub(super) fn due_after(incarnation: PoolIncarnation, now: UnixMillis) -> Vec<u8> {
    let mut key = pool_table(DUE_MARK, incarnation);
    key.extend(ordered(now));
    super::keys::successor(&key)
}

/// The pool of a due mark; `None` for any other key.
pub(super) fn pool_of_due_mark(mark: &[u8]) -> Option<PoolIncarnation> {
    let (&[DUE_MARK], rest) = mark.split_first_chunk::<1>()? else { return None };
    Some(PoolIncarnation(u64::from_be_bytes(*rest.first_chunk::<8>()?)))
}

/// The pool and the lane's key that a due mark or a parked mark stands for; `None` for any other key.
pub(super) fn lane_of_mark(mark: &[u8]) -> Option<(PoolIncarnation, Vec<u8>)> {
    let (&[tag], rest) = mark.split_first_chunk::<1>()?;
    let (incarnation, rest) = rest.split_first_chunk::<8>()?;
    let within_pool = match tag {
        DUE_MARK => rest.split_first_chunk::<8>()?.1,
        PARKED_MARK => rest,
        _ => return None,
    };
    let key = [&[LANE], incarnation.as_slice(), within_pool].concat();
    Some((PoolIncarnation(u64::from_be_bytes(*incarnation)), key))
}

/// The lane of the pool `id` that has this key; `None` for any other key.
pub(super) fn lane_from_key(key: &[u8], id: PoolId) -> Option<LaneRef> {
    let (&[LANE], rest) = key.split_first_chunk::<1>()? else { return None };
    let (incarnation, rest) = rest.split_first_chunk::<8>()?;
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let identity = IdentityId::parse(std::str::from_utf8(parts.next()?).ok()?).ok()?;
    let name = DatasetName::parse(std::str::from_utf8(parts.next()?).ok()?).ok()?;
    let sink = sink_from(parts.next()?)?;
    let pool = PoolRef { id, incarnation: PoolIncarnation(u64::from_be_bytes(*incarnation)) };
    Some(LaneRef { dataset: DatasetRef { owner: IdentityRef { pool, identity }, name }, sink })
}

pub(super) fn put_position(bytes: &mut Vec<u8>, position: Position) {
    bytes.extend(position.sync_count.0.to_be_bytes());
    bytes.push(match position.part {
        Part::Change => 0,
        Part::Bulk => 1,
    });
}

pub(super) fn position_from(bytes: [u8; POSITION_BYTES]) -> Option<Position> {
    let [count @ .., part] = bytes;
    let sync_count = SyncCount(u64::from_be_bytes(count));
    match part {
        0 => Some(Position::change(sync_count)),
        1 => Some(Position::bulk(sync_count)),
        _ => None,
    }
}

/// The position that the key of an event ends with.
pub(super) fn position_of_event(key: &[u8]) -> Option<Position> {
    position_from(*key.last_chunk::<POSITION_BYTES>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane_of(identity: &str, name: &str, sink: Sink) -> LaneRef {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(7) };
        let owner = IdentityRef { pool, identity: IdentityId::parse(identity).unwrap() };
        LaneRef { dataset: DatasetRef { owner, name: DatasetName::parse(name).unwrap() }, sink }
    }

    fn device(id: &str) -> Sink {
        Sink::Device(DeviceId::parse(id).unwrap())
    }

    /// Lanes in their order.
    fn lanes() -> Vec<LaneRef> {
        let longest = "\u{10ffff}".repeat(256);
        let devices = ["\u{0}", "\u{0}\u{0}", "\u{1}", "a", "a\u{0}", "a\u{0}b", "a\u{1}", "aa", "b", "é"];
        let mut lanes = Vec::new();
        for (identity, name) in [("a:0", "n"), ("a:0", "n."), ("a:01", "n")] {
            lanes.push(lane_of(identity, name, Sink::Stream));
            lanes.extend(devices.map(|id| lane_of(identity, name, device(id))));
            lanes.push(lane_of(identity, name, device(&longest)));
            lanes.push(lane_of(identity, name, Sink::Publication));
        }
        lanes
    }

    #[test]
    fn lanes_keep_their_order_and_none_begins_like_another() {
        let lanes = lanes();
        assert!(lanes.is_sorted());
        for key_of in [lane, events_of, parked_mark] {
            let keys: Vec<Vec<u8>> = lanes.iter().map(key_of).collect();
            assert!(keys.is_sorted_by(|a, b| a < b && !b.starts_with(a)));
        }
    }

    #[test]
    fn a_lane_is_read_back_from_its_key_and_found_from_its_marks() {
        for at in lanes() {
            assert_eq!(lane_from_key(&lane(&at), PoolId::parse("a:0").unwrap()), Some(at.clone()));
            let found = Some((PoolIncarnation(7), lane(&at)));
            assert_eq!(lane_of_mark(&parked_mark(&at)), found);
            let due = mark(&at, Due::At(UnixMillis(-5)));
            assert_eq!(lane_of_mark(&due), found);
            assert_eq!(pool_of_due_mark(&due), Some(PoolIncarnation(7)));
        }
        let key = lane(&lane_of("a:0", "n", device("a")));
        for cut in 0..key.len() {
            assert_eq!(lane_from_key(&key[..cut], PoolId::parse("a:0").unwrap()), None, "{cut}");
        }
        assert_eq!(lane_of_mark(&key), None);
    }

    #[test]
    fn due_marks_stand_in_the_order_of_their_moments() {
        let moments = [i64::MIN, -1, 0, 1, 256, i64::MAX].map(UnixMillis);
        let at = lane_of("a:0", "n", Sink::Stream);
        let marks = moments.map(|moment| mark(&at, Due::At(moment)));
        assert!(marks.is_sorted());
        let behind = due_after(PoolIncarnation(7), UnixMillis(0));
        assert!(marks[2] < behind && behind <= marks[3]);
    }

    #[test]
    fn events_stand_in_the_order_of_their_positions() {
        let at = lane_of("a:0", "n", device("a"));
        let positions: Vec<Position> = [0, 1, 255, 256, u64::MAX]
            .into_iter()
            .flat_map(|count| [Position::change(SyncCount(count)), Position::bulk(SyncCount(count))])
            .collect();
        let keys: Vec<Vec<u8>> = positions.iter().map(|position| event(&at, *position)).collect();
        assert!(keys.is_sorted());
        let read: Vec<Position> = keys.iter().filter_map(|key| position_of_event(key)).collect();
        assert_eq!(read, positions);
        assert_eq!(position_of_event(&[2; 9]), None);
    }
}
