//! The choice of the next lane: the streams and the pushes of all pools take turns, and none has more than
//! its share of the slots, so that a slow destination delays little else. The queue is bounded, and does no
//! I/O.

use std::collections::{BTreeMap, HashMap, VecDeque};

use carryall_core::ids::PoolIncarnation;
use carryall_core::outbox::{LaneRef, Sink};

/// One slot in this many is reserved for groups that have none.
const RESERVE: usize = 4;

/// Lanes that wait for a slot, and those that have one.
pub(super) struct Queue {
    running_max: usize,
    running_per_group_max: usize,
    lanes_max: usize,
    running: usize,
    /// Every lane in the queue, and whether it was named again while it runs.
    known: HashMap<LaneRef, Known>,
    /// The waiting lanes by pool, with streams, pushes and publications separate, because they do not wait
    /// for the same things.
    groups: BTreeMap<Group, GroupQueue>,
    /// The group that had the last turn.
    turn: Option<Group>,
    /// True if the store has more lanes than the queue.
    left_over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Waiting,
    Running { named_again: bool },
}

/// Lanes that share their destinations, roughly: the pool, and the kind of receiver.
type Group = (PoolIncarnation, Receiver);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Receiver {
    Stream,
    Devices,
    /// The relay itself, which enters the datasets of a publication: it takes as long as some commits do.
    Publication,
}

#[derive(Default)]
struct GroupQueue {
    waiting: VecDeque<LaneRef>,
    running: usize,
}

impl Queue {
    /// Creates a queue with slots for `running_max` lanes, `running_per_group_max` of them for one group, and
    /// room for `lanes_max` lanes in all.
    pub(super) fn new(running_max: usize, running_per_group_max: usize, lanes_max: usize) -> Self {
        Self {
            running_max,
            running_per_group_max,
            lanes_max,
            running: 0,
            known: HashMap::new(),
            groups: BTreeMap::new(),
            turn: None,
            left_over: false,
        }
    }

    /// Adds a lane, or records that a running one was named again. False if there is no room for it.
    pub(super) fn add(&mut self, lane: LaneRef) -> bool {
        match self.known.get_mut(&lane) {
            Some(Known::Waiting) => return true,
            Some(running @ Known::Running { .. }) => {
                *running = Known::Running { named_again: true };
                return true;
            }
            None => {}
        }
        // Beyond the bound, a group without a lane still gets one: a hanging destination must not keep others
        // out.
        let is_full = self.known.len() >= self.lanes_max && self.groups.contains_key(&group(&lane));
        if is_full || self.known.len() >= 2 * self.lanes_max {
            self.left_over = true;
            return false;
        }
        self.known.insert(lane.clone(), Known::Waiting);
        self.groups.entry(group(&lane)).or_default().waiting.push_back(lane);
        true
    }

    /// The next lane to work on, if a slot is free for one.
    pub(super) fn next(&mut self) -> Option<LaneRef> {
        if self.running >= self.running_max {
            return None;
        }
        // The last slots are for groups without any, which so get one whatever hangs elsewhere.
        let reserve = self.running >= self.running_max - self.running_max / RESERVE;
        let has_turn = |queue: &GroupQueue| {
            let places = if reserve { 1 } else { self.running_per_group_max };
            !queue.waiting.is_empty() && queue.running < places
        };
        let behind = self.turn.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let later = self.groups.range((behind, std::ops::Bound::Unbounded));
        let group =
            later.chain(self.groups.iter()).find(|(_, queue)| has_turn(queue)).map(|(group, _)| *group)?;
        let queue = self.groups.get_mut(&group)?;
        let lane = queue.waiting.pop_front()?;
        queue.running += 1;
        self.running += 1;
        self.turn = Some(group);
        self.known.insert(lane.clone(), Known::Running { named_again: false });
        Some(lane)
    }

    /// Frees the slot of a lane. Returns true if the lane was named again meanwhile.
    pub(super) fn done(&mut self, lane: &LaneRef) -> bool {
        self.running -= 1;
        let of = group(lane);
        if let Some(queue) = self.groups.get_mut(&of) {
            queue.running -= 1;
            if queue.running == 0 && queue.waiting.is_empty() {
                self.groups.remove(&of);
            }
        }
        self.known.remove(lane) == Some(Known::Running { named_again: true })
    }

    /// Records whether the last scan left lanes in the store.
    pub(super) fn found(&mut self, left_over: bool) {
        self.left_over = left_over;
    }

    /// True if the store is known to have more lanes, and at least half of the queue is done.
    pub(super) fn wants_more(&self) -> bool {
        self.left_over && self.known.len() <= self.lanes_max / 2
    }
}

fn group(lane: &LaneRef) -> Group {
    let receiver = match lane.sink {
        Sink::Stream => Receiver::Stream,
        Sink::Device(_) => Receiver::Devices,
        Sink::Publication => Receiver::Publication,
    };
    (lane.dataset.owner.pool.incarnation, receiver)
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::{DatasetName, IdentityId, PoolId};
    use carryall_core::model::{DatasetRef, IdentityRef, PoolRef};
    use carryall_core::outbox::Sink;

    use super::*;

    fn lane(pool: u64, name: &str) -> LaneRef {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(pool) };
        let owner = IdentityRef { pool, identity: IdentityId::parse("a:1").unwrap() };
        let name = DatasetName::parse(name).unwrap();
        LaneRef { dataset: DatasetRef { owner, name }, sink: Sink::Stream }
    }

    #[test]
    fn pools_take_turns_and_none_has_more_than_its_share() {
        let mut queue = Queue::new(8, 2, 100);
        for name in ["a", "b", "c"] {
            assert!(queue.add(lane(1, name)));
        }
        assert!(queue.add(lane(2, "x")));
        let order: Vec<LaneRef> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(order, [lane(1, "a"), lane(2, "x"), lane(1, "b")], "the third of pool 1 waits");
        queue.done(&lane(1, "a"));
        assert_eq!(queue.next(), Some(lane(1, "c")));
    }

    #[test]
    fn no_more_run_than_there_are_places() {
        let mut queue = Queue::new(1, 5, 100);
        queue.add(lane(1, "a"));
        queue.add(lane(2, "b"));
        assert!(queue.next().is_some());
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn the_last_places_are_for_those_who_have_none() {
        let mut queue = Queue::new(8, 8, 100);
        for n in 0..9 {
            queue.add(lane(1, &format!("d{n}")));
        }
        let taken = std::iter::from_fn(|| queue.next()).count();
        assert_eq!(taken, 6, "two places are left for others");
        queue.add(lane(2, "x"));
        assert_eq!(queue.next(), Some(lane(2, "x")));
        queue.add(lane(2, "y"));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_lane_that_is_named_while_it_runs_is_not_forgotten() {
        let mut queue = Queue::new(4, 4, 100);
        queue.add(lane(1, "a"));
        assert!(queue.add(lane(1, "a")), "once is enough while it waits");
        assert_eq!(queue.next(), Some(lane(1, "a")));
        assert_eq!(queue.next(), None);
        queue.add(lane(1, "a"));
        assert!(queue.done(&lane(1, "a")));
        queue.add(lane(1, "a"));
        queue.next();
        assert!(!queue.done(&lane(1, "a")));
    }

    #[test]
    fn a_full_queue_has_room_for_a_pool_with_nothing_in_it() {
        let mut queue = Queue::new(4, 4, 2);
        assert!(queue.add(lane(1, "a")) && queue.add(lane(1, "b")));
        assert!(!queue.add(lane(1, "c")));
        assert!(queue.add(lane(2, "x")));
        assert!(!queue.add(lane(2, "y")));
        assert!(queue.add(lane(3, "x")));
        assert!(!queue.add(lane(4, "x")), "twice the bound is the end of it");
    }

    #[test]
    fn what_does_not_fit_is_left_to_the_store() {
        let mut queue = Queue::new(4, 4, 2);
        assert!(queue.add(lane(1, "a")) && queue.add(lane(1, "b")));
        assert!(!queue.add(lane(1, "c")));
        assert!(!queue.wants_more());
        queue.next();
        queue.done(&lane(1, "a"));
        assert!(queue.wants_more());
        queue.found(false);
        assert!(!queue.wants_more());
    }
}
