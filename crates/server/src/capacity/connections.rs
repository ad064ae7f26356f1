//! Admission of connections: a total, a share per source, and a few slots that only probes may use.
//!
//! A connection on which the server waits for the head of a request keeps its slot only while no newcomer
//! needs it. Otherwise half-sent heads from enough sources would fill every slot. A newcomer takes the slot
//! of the connection that has waited longest: one of its own source if the source is at its share, any if the
//! total is reached. A newcomer has waited least, so it has all the time that the others have had.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::lock::Lock;
use crate::metrics::ServerLimit;
use crate::source::Source;

/// One source may hold one part in this many of the slots for probes.
const PROBES_SHARE_ONE_IN: usize = 4;

/// The open connections.
pub struct Connections {
    all: Arc<Places>,
    probes: Arc<Places>,
    changed: Arc<Notify>,
}

/// The permitted use of an admitted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Any request.
    Any,
    /// Probes alone. Every other request is refused with 503, because this limit has been reached.
    Probes(ServerLimit),
}

/// An admitted connection.
pub struct Admitted {
    /// The connection's slot.
    pub place: Place,
    /// The permitted use.
    pub used_for: Use,
    /// The limit that was reached, which is why the slot is another connection's or one for probes.
    pub reached: Option<ServerLimit>,
}

/// A slot of a connection, freed on drop.
pub struct Place {
    places: Arc<Places>,
    number: u64,
    given_away: Arc<Notify>,
}

/// A request on a connection, from its whole head to the last byte of its answer. The connection keeps its
/// slot meanwhile.
pub struct Busy {
    places: Arc<Places>,
    number: u64,
}

struct Places {
    count_max: usize,
    per_source_max: usize,
    /// True if a connection keeps its slot while the rest of a refused request is drained.
    keep_drained: bool,
    taken: Lock<TakenPlaces>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct TakenPlaces {
    /// The connections by the number of their slot.
    places: HashMap<u64, TakenPlace>,
    of_source: HashMap<Source, usize>,
    waiting: Waiting,
    /// The next slot number, and the next turn.
    next: u64,
}

struct TakenPlace {
    source: Option<Source>,
    requests: usize,
    /// The turn at which the wait for a head began, while there is no request.
    waits_since: u64,
    given_away: Arc<Notify>,
}

/// The slots of connections that wait for a head, by the turn at which the wait began. Each source has its own
/// order too: every request takes the lock, so no search under it may pass the connections of other sources.
#[derive(Default)]
struct Waiting {
    all: BTreeMap<u64, u64>,
    of_source: HashMap<Source, BTreeMap<u64, u64>>,
}

enum Reached {
    Total,
    Share,
}

impl Connections {
    /// Admits `all_max` connections, `per_source_max` of them from one source, and `probes_max` more for
    /// probes.
    pub fn new(all_max: u32, per_source_max: u32, probes_max: u32) -> Self {
        let probes_per_source_max = (probes_max as usize / PROBES_SHARE_ONE_IN).max(1);
        let changed = Arc::default();
        Self {
            all: Places::new(all_max, per_source_max as usize, true, &changed),
            probes: Places::new(probes_max, probes_per_source_max, false, &changed),
            changed,
        }
    }

    /// Waits until a slot of either kind is free or can be taken over. Further connections wait in the
    /// operating system's bounded queue.
    pub async fn wait(&self) {
        while !self.all.has_room() && !self.probes.has_room() {
            self.changed.notified().await;
        }
    }

    /// Finds a slot for a connection from `source`, and closes the connection that had it. The source `None`
    /// stands for a trusted proxy, which has many clients and no share. The result `None` means that requests
    /// are being answered on every connection of either kind that the newcomer could replace.
    pub fn admit(&self, source: Option<Source>) -> Option<Admitted> {
        let (place, reached) = self.all.take(source);
        let reached = reached.map(|reached| match reached {
            Reached::Total => ServerLimit::Connections,
            Reached::Share => ServerLimit::ConnectionsPerSource,
        });
        match (place, reached) {
            (Some(place), reached) => Some(Admitted { place, used_for: Use::Any, reached }),
            (None, None) => None,
            (None, Some(limit)) => {
                let (place, _) = self.probes.take(source);
                Some(Admitted { place: place?, used_for: Use::Probes(limit), reached })
            }
        }
    }

    /// Waits until every connection has ended.
    pub async fn drained(&self) {
        while !self.all.is_empty() || !self.probes.is_empty() {
            self.changed.notified().await;
        }
    }
}

impl Place {
    /// Called when the whole head of a request has arrived. `None` if the slot has been taken over.
    pub fn begin_request(&self) -> Option<Busy> {
        let begun = self.places.taken.lock().begin_request(self.number);
        begun.then(|| Busy { places: Arc::clone(&self.places), number: self.number })
    }

    /// Waits until the slot has been taken over, which ends the connection.
    pub async fn given_away(&self) {
        self.given_away.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().leave(self.number);
        self.places.changed.notify_one();
    }
}

impl Busy {
    /// Keeps the connection busy while the rest of a refused request is drained. `None` on a connection for probes:
    /// every other request is refused there, and the next probe must find a slot.
    pub fn while_drained(&self) -> Option<Self> {
        self.places.keep_drained.then(|| {
            self.places.taken.lock().begin_request(self.number);
            Self { places: Arc::clone(&self.places), number: self.number }
        })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.places.taken.lock().end_request(self.number);
        self.places.changed.notify_one();
    }
}

impl Places {
    fn new(count_max: u32, per_source_max: usize, keep_drained: bool, changed: &Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            count_max: count_max as usize,
            per_source_max,
            keep_drained,
            taken: Lock::default(),
            changed: Arc::clone(changed),
        })
    }

    /// A slot for a connection from `source`, and the limit that was reached.
    fn take(self: &Arc<Self>, source: Option<Source>) -> (Option<Place>, Option<Reached>) {
        let mut taken = self.taken.lock();
        let at_share = source.filter(|source| taken.held_by(*source) >= self.per_source_max);
        let (reached, longest) = if let Some(source) = at_share {
            (Some(Reached::Share), taken.waiting.longest_of(source))
        } else if taken.places.len() >= self.count_max {
            (Some(Reached::Total), taken.waiting.longest())
        } else {
            (None, None)
        };
        match longest {
            Some(number) => taken.give_away(number),
            None if reached.is_some() => return (None, reached),
            None => {}
        }
        let (number, given_away) = taken.enter(source);
        (Some(Place { places: Arc::clone(self), number, given_away }), reached)
    }

    fn has_room(&self) -> bool {
        let taken = self.taken.lock();
        taken.places.len() < self.count_max || taken.waiting.longest().is_some()
    }

    fn is_empty(&self) -> bool {
        self.taken.lock().places.is_empty()
    }
}

impl TakenPlaces {
    fn enter(&mut self, source: Option<Source>) -> (u64, Arc<Notify>) {
        let (number, waits_since) = (self.turn(), self.turn());
        let given_away = Arc::new(Notify::new());
        let place = TakenPlace { source, requests: 0, waits_since, given_away: Arc::clone(&given_away) };
        self.places.insert(number, place);
        self.waiting.begin(source, waits_since, number);
        if let Some(source) = source {
            *self.of_source.entry(source).or_default() += 1;
        }
        (number, given_away)
    }

    fn leave(&mut self, number: u64) -> Option<TakenPlace> {
        let place = self.places.remove(&number)?;
        self.waiting.end(place.source, place.waits_since);
        if let Some(source) = place.source
            && let Some(held) = self.of_source.get_mut(&source)
        {
            *held -= 1;
            if *held == 0 {
                self.of_source.remove(&source);
            }
        }
        Some(place)
    }

    fn give_away(&mut self, number: u64) {
        if let Some(place) = self.leave(number) {
            place.given_away.notify_one();
        }
    }

    fn begin_request(&mut self, number: u64) -> bool {
        let Some(place) = self.places.get_mut(&number) else { return false };
        place.requests += 1;
        self.waiting.end(place.source, place.waits_since);
        true
    }

    /// With pipelining, the next request can begin before the last byte of the answer to the one ahead is written.
    fn end_request(&mut self, number: u64) {
        let turn = self.turn();
        let Some(place) = self.places.get_mut(&number) else { return };
        place.requests -= 1;
        if place.requests == 0 {
            place.waits_since = turn;
            self.waiting.begin(place.source, turn, number);
        }
    }

    fn held_by(&self, source: Source) -> usize {
        self.of_source.get(&source).copied().unwrap_or(0)
    }

    fn turn(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Waiting {
    fn begin(&mut self, source: Option<Source>, turn: u64, number: u64) {
        self.all.insert(turn, number);
        if let Some(source) = source {
            self.of_source.entry(source).or_default().insert(turn, number);
        }
    }

    /// Ends the wait that began at `turn`, if it has not ended already.
    fn end(&mut self, source: Option<Source>, turn: u64) {
        self.all.remove(&turn);
        if let Some(source) = source
            && let Some(waiting) = self.of_source.get_mut(&source)
        {
            waiting.remove(&turn);
            if waiting.is_empty() {
                self.of_source.remove(&source);
            }
        }
    }

    fn longest(&self) -> Option<u64> {
        self.all.values().next().copied()
    }

    fn longest_of(&self, source: Source) -> Option<u64> {
        self.of_source.get(&source)?.values().next().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::future::poll_immediate;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn admit(connections: &Connections, last: u8) -> Option<Admitted> {
        connections.admit(Some(Source::of(IpAddr::from([127, 0, 0, last]))))
    }

    /// A connection on which a request is being answered.
    fn busy(connections: &Connections, last: u8) -> Option<(Admitted, Busy)> {
        let admitted = admit(connections, last)?;
        let busy = admitted.place.begin_request()?;
        Some((admitted, busy))
    }

    fn used_for(admitted: Option<&Admitted>) -> Option<Use> {
        admitted.map(|admitted| admitted.used_for)
    }

    async fn is_given_away(admitted: Option<&Admitted>) -> bool {
        poll_immediate(admitted.unwrap().place.given_away()).await.is_some()
    }

    #[test]
    fn a_source_at_its_share_may_probe_and_leaves_the_rest_to_others() {
        let connections = Connections::new(4, 1, 4);
        let first = busy(&connections, 1);
        let (second, _probing) = busy(&connections, 1).unwrap();
        assert_eq!(second.used_for, Use::Probes(ServerLimit::ConnectionsPerSource));
        assert!(admit(&connections, 1).is_none());
        assert_eq!(used_for(admit(&connections, 2).as_ref()), Some(Use::Any));
        drop(first);
        assert_eq!(used_for(admit(&connections, 1).as_ref()), Some(Use::Any));
    }

    #[test]
    fn probes_have_places_when_requests_are_answered_on_every_other() {
        let connections = Connections::new(2, 2, 4);
        let held = [busy(&connections, 1), busy(&connections, 1)];
        let probe = admit(&connections, 2);
        assert_eq!(used_for(probe.as_ref()), Some(Use::Probes(ServerLimit::Connections)));
        drop(held);
        assert_eq!(used_for(admit(&connections, 2).as_ref()), Some(Use::Any));
    }

    #[tokio::test]
    async fn a_probe_takes_the_place_of_a_refused_request_that_is_drained() {
        let connections = Connections::new(1, 1, 1);
        let (_held, answering) = busy(&connections, 1).unwrap();
        assert!(answering.while_drained().is_some());
        let (refused, answering) = busy(&connections, 2).unwrap();
        let drained = answering.while_drained();
        drop(answering);
        assert_eq!(used_for(admit(&connections, 2).as_ref()), Some(Use::Probes(ServerLimit::Connections)));
        assert!(is_given_away(Some(&refused)).await);
        drop(drained);
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_place_of_the_connection_that_has_waited_longest_for_a_head() {
        let connections = Connections::new(3, 3, 1);
        let answering = busy(&connections, 1);
        let longest = admit(&connections, 2);
        let shorter = admit(&connections, 3);
        let newcomer = admit(&connections, 4);
        assert_eq!(used_for(newcomer.as_ref()), Some(Use::Any));
        assert_eq!(newcomer.as_ref().unwrap().reached, Some(ServerLimit::Connections));
        assert!(is_given_away(longest.as_ref()).await);
        assert!(longest.unwrap().place.begin_request().is_none(), "its head came too late");
        for kept in [Some(&answering.unwrap().0), shorter.as_ref(), newcomer.as_ref()] {
            assert!(!is_given_away(kept).await);
        }
    }

    #[tokio::test]
    async fn an_answered_request_begins_a_new_wait() {
        let connections = Connections::new(2, 2, 1);
        let first = busy(&connections, 1);
        let second = admit(&connections, 2);
        let (first, request) = first.unwrap();
        drop(request);
        let _newcomer = admit(&connections, 3);
        assert!(is_given_away(second.as_ref()).await);
        assert!(!is_given_away(Some(&first)).await);
    }

    #[test]
    fn a_connection_with_a_pipelined_request_does_not_wait() {
        let connections = Connections::new(1, 1, 1);
        let (admitted, first) = busy(&connections, 1).unwrap();
        let second = admitted.place.begin_request();
        drop(first);
        assert_eq!(used_for(admit(&connections, 2).as_ref()), Some(Use::Probes(ServerLimit::Connections)));
        drop(second);
        assert_eq!(used_for(admit(&connections, 2).as_ref()), Some(Use::Any));
    }

    #[tokio::test]
    async fn a_source_at_its_share_takes_a_place_of_its_own() {
        let connections = Connections::new(4, 2, 1);
        let other = admit(&connections, 1);
        let own = admit(&connections, 2);
        let _own = admit(&connections, 2);
        let newcomer = admit(&connections, 2);
        assert_eq!(newcomer.as_ref().unwrap().reached, Some(ServerLimit::ConnectionsPerSource));
        assert!(!is_given_away(other.as_ref()).await);
        assert!(is_given_away(own.as_ref()).await);
    }

    #[test]
    fn a_trusted_proxy_has_no_share_of_its_own() {
        let connections = Connections::new(3, 1, 1);
        let held: Vec<_> = (0..3).map(|_| connections.admit(None)).collect();
        assert!(held.iter().all(|admitted| used_for(admitted.as_ref()) == Some(Use::Any)));
        assert!(held.iter().flatten().all(|admitted| admitted.reached.is_none()));
    }

    #[tokio::test]
    async fn the_end_of_the_last_connection_is_noticed() {
        let connections = Connections::new(2, 2, 1);
        let held = busy(&connections, 1);
        let drained = connections.drained();
        tokio::pin!(drained);
        assert!(poll_immediate(&mut drained).await.is_none());
        drop(held);
        drained.await;
        assert!(connections.all.taken.lock().of_source.is_empty());
    }

    #[tokio::test]
    async fn accepting_waits_until_a_request_has_been_answered() {
        let connections = Connections::new(1, 1, 1);
        let (_all, request) = busy(&connections, 1).unwrap();
        let _probe = busy(&connections, 2);
        let room = connections.wait();
        tokio::pin!(room);
        assert!(poll_immediate(&mut room).await.is_none());
        drop(request);
        room.await;
    }

    proptest! {
        /// The places that a source or a newcomer takes over are those that a search of all places finds.
        #[test]
        fn the_longest_wait_of_each_source_is_the_one_that_a_search_finds(
            steps in vec((0_u8..4, 0_u8..4, any::<prop::sample::Index>()), 0..200),
        ) {
            let mut taken = TakenPlaces::default();
            let source = |last: u8| (last > 0).then(|| Source::of(IpAddr::from([127, 0, 0, last])));
            for (step, last, which) in steps {
                let numbers: Vec<u64> = taken.places.keys().copied().collect();
                match (step, numbers.is_empty()) {
                    (0, _) | (_, true) => drop(taken.enter(source(last))),
                    (1, false) => drop(taken.leave(*which.get(&numbers))),
                    (2, false) => drop(taken.begin_request(*which.get(&numbers))),
                    (_, false) => {
                        let number = *which.get(&numbers);
                        if taken.places[&number].requests > 0 {
                            taken.end_request(number);
                        }
                    }
                }
                let search = |of: Option<Source>| {
                    let waiting = taken.places.iter().filter(|(_, place)| place.requests == 0);
                    let waiting = waiting.filter(|(_, place)| of.is_none() || place.source == of);
                    waiting.min_by_key(|(_, place)| place.waits_since).map(|(number, _)| *number)
                };
                prop_assert_eq!(taken.waiting.longest(), search(None));
                for of in (1..4).filter_map(source) {
                    prop_assert_eq!(taken.waiting.longest_of(of), search(Some(of)));
                }
            }
            for number in taken.places.keys().copied().collect::<Vec<_>>() {
                taken.leave(number);
            }
            prop_assert!(taken.waiting.all.is_empty() && taken.waiting.of_source.is_empty());
        }
    }
}
