//! The outbox: events that have to leave the server, and the lanes in which they wait (`docs/protocol.md`
//! section 13).
//!
//! An event is put by the commit that caused it. It waits in the lane of its dataset and sink, behind the
//! earlier events of that lane only. A lane exists as long as it holds events. A relay takes a lane under a
//! lease, delivers from its front, and settles. Positions in a lane grow, even over deletion and recreation
//! of the dataset, because its counts do not fall; only an identity that was deleted, swept and used again
//! starts over.

use std::fmt;

use crate::ids::{
    DatasetName, DeviceId, Generation, IdentityId, LeaseId, PoolId, PoolIncarnation, SyncCount,
};
use crate::model::{DatasetRef, IdentityRef, PoolRef, Record};
use crate::time::UnixMillis;

/// The receiver of a dataset's events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sink {
    /// The pool's stream.
    Stream,
    /// One device that is subscribed to the dataset.
    Device(DeviceId),
    /// The relay itself, for a bulk publication of the pool. Its lane is at the dataset that was the pool's
    /// first when the publication began, and holds one event: the present page.
    Publication,
}

/// The events of one dataset for one sink.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneRef {
    /// The dataset name, whether or not the dataset still exists.
    pub dataset: DatasetRef,
    /// The receiver of the events.
    pub sink: Sink,
}

/// A position in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The dataset's count as of the event.
    pub sync_count: SyncCount,
    /// The kind of the event at that count.
    pub part: Part,
}

/// The kinds of events that one count of a dataset can have in one lane, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The change that made the count.
    Change,
    /// The dataset as of that count, for a bulk publication.
    Bulk,
}

impl Position {
    /// The position of the change that made `sync_count`.
    pub const fn change(sync_count: SyncCount) -> Self {
        Self { sync_count, part: Part::Change }
    }

    /// The position of a bulk publication of everything up to `sync_count`.
    pub const fn bulk(sync_count: SyncCount) -> Self {
        Self { sync_count, part: Part::Bulk }
    }

    /// The lowest position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.part {
            Part::Change => Self::bulk(self.sync_count),
            Part::Bulk => Self::change(self.sync_count.next()),
        }
    }
}

/// An event: a change that has to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The lane in which the event waits.
    pub lane: LaneRef,
    /// The event's position in the lane.
    pub position: Position,
    /// The time of the change.
    pub at: UnixMillis,
    /// The contents of the event.
    pub body: EventBody,
}

/// The contents of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// For the stream: these records were written by one update.
    Updated(Vec<Record>),
    /// For the stream: the dataset was deleted.
    Deleted,
    /// For the stream: everything that this life of the dataset held at the event's count. Records that have
    /// changed since are left out, because their newer values wait behind this event.
    Snapshot {
        /// The generation of that life.
        generation: Generation,
    },
    /// For a device: the dataset's present count.
    Notice,
    /// For the relay: the progress of a bulk publication.
    Page(Page),
}

/// A page of a bulk publication: datasets that have been entered into their lanes, and whose events must
/// leave before the next page is entered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The last dataset of the page, after which the next page begins; `None` before the first page.
    pub through: Option<(IdentityId, DatasetName)>,
    /// The datasets of the page that exist.
    pub entered: Vec<Entered>,
}

/// A dataset that a bulk publication has entered into the lane of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The owner, in the pool of the publication.
    pub identity: IdentityId,
    /// The dataset's name.
    pub name: DatasetName,
    /// The count as of which it was entered.
    pub sync_count: SyncCount,
}

impl Entered {
    /// The lane of `pool` in which the dataset waits.
    pub fn lane(&self, pool: &PoolRef) -> LaneRef {
        let owner = IdentityRef { pool: pool.clone(), identity: self.identity.clone() };
        LaneRef { dataset: DatasetRef { owner, name: self.name.clone() }, sink: Sink::Stream }
    }

    /// The dataset's position in that lane.
    pub const fn position(&self) -> Position {
        Position::bulk(self.sync_count)
    }
}

impl Event {
    /// The id by which receivers detect repetitions, and operators name the event.
    pub fn id(&self) -> EventId {
        EventId { lane: self.lane.clone(), position: self.position }
    }
}

/// The id of one event: `POOL/INCARNATION/IDENTITY/DATASET/COUNT/WHAT`, where `WHAT` is `stream`, `bulk`,
/// `publication` or `device-ID`. No part but the last can contain a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    /// The lane in which the event waits or waited.
    pub lane: LaneRef,
    /// The event's position in the lane.
    pub position: Position,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DatasetRef { owner: IdentityRef { pool, identity }, name } = &self.lane.dataset;
        let count = self.position.sync_count;
        write!(f, "{}/{:016x}/{identity}/{name}/{count}/", pool.id, pool.incarnation.0)?;
        match (&self.lane.sink, self.position.part) {
            (Sink::Stream, Part::Change) => f.write_str("stream"),
            (Sink::Stream, Part::Bulk) => f.write_str("bulk"),
            (Sink::Device(device), Part::Change | Part::Bulk) => write!(f, "device-{device}"),
            (Sink::Publication, Part::Change | Part::Bulk) => f.write_str("publication"),
        }
    }
}

impl EventId {
    /// Parses the text of [`fmt::Display`].
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, '/');
        let id = PoolId::parse(parts.next()?).ok()?;
        let incarnation = PoolIncarnation(u64::from_str_radix(parts.next()?, 16).ok()?);
        let identity = IdentityId::parse(parts.next()?).ok()?;
        let name = DatasetName::parse(parts.next()?).ok()?;
        let sync_count = SyncCount(parts.next()?.parse().ok()?);
        let (sink, position) = match parts.next()? {
            "stream" => (Sink::Stream, Position::change(sync_count)),
            "bulk" => (Sink::Stream, Position::bulk(sync_count)),
            "publication" => (Sink::Publication, Position::bulk(sync_count)),
            device => {
                let device = DeviceId::parse(device.strip_prefix("device-")?).ok()?;
                (Sink::Device(device), Position::change(sync_count))
            }
        };
        let owner = IdentityRef { pool: PoolRef { id, incarnation }, identity };
        Some(Self { lane: LaneRef { dataset: DatasetRef { owner, name }, sink }, position })
    }
}

/// A lane with events in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The lane's dataset and sink.
    pub at: LaneRef,
    /// The number of waiting events, never zero, maintained by the store.
    pub events: u64,
    /// A position before which no event stands.
    pub first: Position,
    /// The next work on the lane.
    pub state: LaneState,
}

/// The relay's part of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneState {
    /// The lane's due state.
    pub due: Due,
    /// The number of failed deliveries of its first event since the last success.
    pub attempts: u32,
    /// The reason of the last failure; empty if there was none. It is for operators, and contains no secrets
    /// and no values of records.
    pub trouble: String,
}

impl LaneState {
    /// A lane without failures that is due at `moment`.
    pub const fn due(moment: UnixMillis) -> Self {
        Self { due: Due::At(moment), attempts: 0, trouble: String::new() }
    }
}

/// The due state of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The lane may be claimed from this time on, by the first relay that does.
    At(UnixMillis),
    /// A relay works on the lane; it may be claimed again from `until` on.
    Leased {
        /// The end of the lease.
        until: UnixMillis,
        /// The id of the lease.
        lease: LeaseId,
    },
    /// The lane is parked, and not due by itself.
    Parked {
        /// The reason.
        why: Parked,
        /// The time at which it was parked.
        since: UnixMillis,
    },
}

impl Due {
    /// The time from which the lane may be claimed; `None` while it is parked.
    pub const fn moment(&self) -> Option<UnixMillis> {
        match self {
            Self::At(moment) | Self::Leased { until: moment, .. } => Some(*moment),
            Self::Parked { .. } => None,
        }
    }

    /// True if the lane may be claimed at `now`. No correct clock postpones a lane beyond `latest`: a lane
    /// that is due later was postponed before the clock was set back, and waits no longer.
    pub fn may_be_claimed(&self, now: UnixMillis, latest: UnixMillis) -> bool {
        self.moment().is_some_and(|moment| moment <= now || moment > latest)
    }
}

/// The reason why a lane is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// Its first event cannot be delivered; an operator decides whether to retry or drop it.
    Undeliverable,
    /// Streaming is switched off; the lane is due again once it is switched on.
    SwitchedOff,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_lane_follow_counts_and_a_bulk_publication_follows_its_change() {
        let five = Position::change(SyncCount(5));
        assert_eq!(five.next(), Position::bulk(SyncCount(5)));
        assert_eq!(five.next().next(), Position::change(SyncCount(6)));
        assert!(five < five.next() && five.next() < Position::change(SyncCount(6)));
    }

    #[test]
    fn a_lane_put_off_by_a_clock_that_was_ahead_does_not_wait_for_it() {
        let (now, latest) = (UnixMillis(100), UnixMillis(200));
        let lease = LeaseId(1);
        for (moment, may_be_claimed) in [(100, true), (101, false), (200, false), (201, true)] {
            let moment = UnixMillis(moment);
            assert_eq!(Due::At(moment).may_be_claimed(now, latest), may_be_claimed, "{moment:?}");
            assert_eq!(Due::Leased { until: moment, lease }.may_be_claimed(now, latest), may_be_claimed);
        }
        let parked = Due::Parked { why: Parked::SwitchedOff, since: UnixMillis(900) };
        assert!(!parked.may_be_claimed(now, latest));
    }

    #[test]
    fn the_id_of_an_event_reads_back() {
        for text in [
            "us-east-1:0a/00000000000000ff/us-east-1:01/prefs.us-east-1:02/7/stream",
            "us-east-1:0a/ffffffffffffffff/us-east-1:01/prefs/7/bulk",
            "us-east-1:0a/ffffffffffffffff/us-east-1:01/prefs/7/publication",
            "us-east-1:0a/0000000000000000/us-east-1:01/prefs/18446744073709551615/device-a/b c",
        ] {
            assert_eq!(EventId::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "us-east-1:0a", "us-east-1:0a/0/us-east-1:01/prefs/7/other", "a/0/a:1/prefs/7/stream"]
        {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}
