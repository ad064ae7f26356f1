//! The deliveries: the lanes in work, and the consequences of each outcome.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use carryall_core::ids::PoolIncarnation;
use carryall_core::outbox::{LaneRef, Sink};
use carryall_core::rules::outbox;
use carryall_core::store::Committed;
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::lane;
use super::lease::Worked;
use super::queue::Queue;
use super::scan::{self, Found, Scan};
use crate::app::App;
use crate::logging::LoggedOnce;
use crate::stop::told_to_stop;

/// The pause after the store failed.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
/// The pause before a publication is read again that waits for a lane of another node.
const PUBLICATION_PAUSE: Duration = Duration::from_millis(250);
/// The time for deliveries in progress when the server stops. Leases end those that take longer.
const STOP_SECONDS_MAX: u64 = 15;

/// Delivers until the server stops, then lets the deliveries in progress end.
pub(super) async fn run(
    app: Arc<App>,
    named: mpsc::Receiver<LaneRef>,
    scan: Scan,
    mut stop: watch::Receiver<bool>,
) {
    if app.state.is_held_alone() {
        free_leases(&app).await;
    }
    let mut deliveries = Deliveries::new(app, stop.clone());
    tokio::select! {
        () = deliveries.deliver(named, scan) => {}
        () = told_to_stop(&mut stop) => {}
    }
    let under_way = async { while deliveries.running.join_next().await.is_some() {} };
    if timeout(Duration::from_secs(STOP_SECONDS_MAX), under_way).await.is_err() {
        tracing::warn!(
            "deliveries were still in progress at the stop; they are retried when their leases end"
        );
    }
}

/// Ends the leases of the process before this one, which no longer runs.
async fn free_leases(app: &App) {
    let now = app.clock.now();
    let leased = match app.state.reads().lanes_leased(now).await {
        Ok(leased) => leased,
        Err(error) => return tracing::warn!(%error, "leases of the outbox could not be read"),
    };
    let freed = leased.iter().filter_map(|lane| outbox::free(lane, now));
    for outcome in join_all(freed.map(|changes| app.state.commit_for_relay(changes))).await {
        match outcome {
            Ok(Committed::Done) => {}
            Ok(Committed::Refused) => {
                tracing::warn!("a lease of the outbox changed before it could be ended");
            }
            Err(error) => tracing::warn!(%error, "a lease of the outbox could not be ended"),
        }
    }
}

/// A publication that waits for a lane of its pool.
struct Waiting {
    publication: LaneRef,
    waits_for: LaneRef,
    /// The time at which it is read unless it is woken before, as in its entry in [`Deliveries::later`].
    look: Option<Moment>,
}

/// The time of a postponed entry. The number distinguishes entries of the same time.
type Moment = (Instant, u64);

struct Deliveries {
    app: Arc<App>,
    /// Signals the work on a lane to end after the present event.
    stop: watch::Receiver<bool>,
    queue: Queue,
    running: JoinSet<Worked>,
    lanes: HashMap<Id, LaneRef>,
    /// The time before which no delivery starts, because the store has failed.
    begin: Instant,
    /// Lanes whose next attempt has a time; each returns at that time, not with the next scan.
    later: BTreeMap<Moment, LaneRef>,
    put_off: u64,
    /// Publications by the lane for which each waits, at most one for each pool.
    publications: HashMap<PoolIncarnation, Waiting>,
    /// The lanes whose damage was logged: a scan finds each again as long as it is due.
    damaged: LoggedOnce<LaneRef>,
}

impl Deliveries {
    fn new(app: Arc<App>, stop: watch::Receiver<bool>) -> Self {
        let outbox = &app.config.outbox;
        let queue = Queue::new(
            outbox.deliveries_in_flight_max.get() as usize,
            outbox.deliveries_per_pool_max.get() as usize,
            scan::LANES_MAX,
        );
        Self {
            app,
            stop,
            queue,
            running: JoinSet::new(),
            lanes: HashMap::new(),
            begin: Instant::now(),
            later: BTreeMap::new(),
            put_off: 0,
            publications: HashMap::new(),
            damaged: LoggedOnce::default(),
        }
    }

    async fn deliver(&mut self, mut named: mpsc::Receiver<LaneRef>, mut scan: Scan) {
        loop {
            while self.begin <= Instant::now()
                && let Some(lane) = self.queue.next()
            {
                let task =
                    self.running.spawn(lane::work(Arc::clone(&self.app), lane.clone(), self.stop.clone()));
                self.lanes.insert(task.id(), lane);
            }
            self.app.metrics.effects.deliveries_in_flight(self.running.len());
            let wake = self.next_wake();
            let is_complete = tokio::select! {
                lane = named.recv() => match lane {
                    Some(lane) => self.queue.add(lane),
                    None => return,
                },
                found = scan.found.recv() => match found {
                    Some(found) => self.found(found),
                    None => return,
                },
                Some(done) = self.running.join_next_with_id() => self.done(done),
                () = sleep_until(wake) => self.take_later(),
            };
            if !is_complete || self.queue.wants_more() {
                scan.soon.notify_one();
            }
        }
    }

    /// Adds the lanes of a scan as far as they fit; the next scan finds the rest.
    fn found(&mut self, Found { lanes, is_cut }: Found) -> bool {
        let left_over = lanes.into_iter().filter(|lane| !self.queue.add(lane.clone())).count();
        self.queue.found(left_over > 0 || is_cut);
        true
    }

    /// Records the end of the work on a lane. False if the lane has more to deliver and the queue has no
    /// room.
    fn done(&mut self, done: Result<(Id, Worked), JoinError>) -> bool {
        let (id, worked) = match done {
            Ok((id, worked)) => (id, worked),
            // The error has been reported where it occurred; the lane's lease keeps it from being retried at
            // once.
            Err(error) => {
                self.app.metrics.tasks.restarted("delivery");
                (error.id(), Worked::Left)
            }
        };
        let Some(lane) = self.lanes.remove(&id) else { return true };
        let is_named = self.queue.done(&lane);
        self.settled(lane, worked, is_named)
    }

    /// Acts on the outcome of the work on a lane. False if the queue had no room.
    fn settled(&mut self, lane: LaneRef, worked: Worked, is_named: bool) -> bool {
        let is_complete = match lane.sink {
            Sink::Stream | Sink::Device(_) => self.wake_publication(&lane),
            Sink::Publication => {
                self.no_longer_waits(lane.dataset.owner.pool.incarnation);
                true
            }
        };
        is_complete & self.follow(lane, worked, is_named)
    }

    /// Wakes the publication that waits for exactly this lane. False if the queue has no room for it.
    fn wake_publication(&mut self, lane: &LaneRef) -> bool {
        let pool = lane.dataset.owner.pool.incarnation;
        let waits = self.publications.get(&pool).is_some_and(|waiting| waiting.waits_for == *lane);
        let publication = if waits { self.no_longer_waits(pool) } else { None };
        publication.is_none_or(|publication| self.queue.add(publication))
    }

    /// Ends the wait of a pool's publication, which is returned.
    fn no_longer_waits(&mut self, pool: PoolIncarnation) -> Option<LaneRef> {
        let Waiting { publication, look, .. } = self.publications.remove(&pool)?;
        look.and_then(|look| self.later.remove(&look));
        Some(publication)
    }

    /// Schedules more work on the lane as its last work requires.
    fn follow(&mut self, lane: LaneRef, worked: Worked, is_named: bool) -> bool {
        match worked {
            Worked::More => return self.queue.add(lane),
            Worked::Damaged { what } => {
                self.log_damaged(&lane, &what);
                return self.follow(lane, Worked::Left, is_named);
            }
            Worked::Left if is_named => return self.queue.add(lane),
            Worked::Left => {}
            Worked::Later(pause) => drop(self.put_off(lane, pause)),
            Worked::WaitsFor(waits_for) => {
                let pool = lane.dataset.owner.pool.incarnation;
                let look = self.put_off(lane.clone(), PUBLICATION_PAUSE);
                self.publications.insert(pool, Waiting { publication: lane, waits_for, look });
            }
            Worked::StoreFailed => self.pause(),
        }
        true
    }

    fn log_damaged(&self, lane: &LaneRef, what: &str) {
        if self.damaged.is_first(lane.clone()) {
            tracing::error!(dataset = %lane.dataset.name, identity = %lane.dataset.owner.identity, what,
                "a lane of the outbox is damaged and was left out");
        }
    }

    /// Schedules work on the lane after `pause`. Beyond the bound, the scan finds the lane once its time has
    /// come.
    fn put_off(&mut self, lane: LaneRef, pause: Duration) -> Option<Moment> {
        if self.later.len() >= scan::LANES_MAX {
            return None;
        }
        self.put_off += 1;
        let moment = (Instant::now() + pause, self.put_off);
        self.later.insert(moment, lane);
        Some(moment)
    }

    /// The time of the next postponed lane, or of the end of a pause.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let later = self.later.first_key_value().map(|((moment, _), _)| *moment);
        let begin = Some(self.begin).filter(|begin| *begin > now);
        later.into_iter().chain(begin).min().unwrap_or(now + scan::INTERVAL)
    }

    fn take_later(&mut self) -> bool {
        let now = Instant::now();
        let mut is_complete = true;
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let lane = first.remove();
            is_complete &= self.queue.add(lane);
        }
        is_complete
    }

    /// No lane can be claimed while the store is failing. After the pause, the next scan finds the lanes
    /// again.
    fn pause(&mut self) {
        let now = Instant::now();
        if self.begin <= now {
            tracing::warn!("deliveries pause because the store is failing");
            self.begin = now + TROUBLE_PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::{DatasetName, IdentityId};
    use carryall_core::model::{DatasetRef, IdentityRef};
    use carryall_store::{StoreOptions, StoreUrl};

    use super::super::tests::{app_over, pool};
    use super::*;
    use crate::logging::captured::Captured;

    #[tokio::test]
    async fn a_publication_is_woken_by_the_lane_that_it_waits_for_and_by_no_other() {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let app = app_over(store).await;
        let at = pool(&app).await;
        let lane = |name: &str, sink| {
            let owner = IdentityRef { pool: at.clone(), identity: IdentityId::parse("a:1").unwrap() };
            LaneRef { dataset: DatasetRef { owner, name: DatasetName::parse(name).unwrap() }, sink }
        };
        let publication = lane("a", Sink::Publication);
        let (_running, stop) = watch::channel(false);
        let mut deliveries = Deliveries::new(app, stop);
        for _ in 0..3 {
            let waits = Worked::WaitsFor(lane("b", Sink::Stream));
            assert!(deliveries.settled(publication.clone(), waits, false));
        }
        assert_eq!(deliveries.later.len(), 1, "however often it was looked at");
        assert!(deliveries.settled(lane("a", Sink::Stream), Worked::Left, false));
        assert_eq!(deliveries.queue.next(), None);
        assert!(deliveries.settled(lane("b", Sink::Stream), Worked::Left, false));
        assert_eq!(deliveries.queue.next(), Some(publication));
        assert!(deliveries.later.is_empty());
    }

    #[tokio::test]
    async fn a_damaged_lane_is_logged_once_however_often_it_is_due_and_pauses_no_other() {
        let (log, _logging) = Captured::begin();
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let app = app_over(store).await;
        let at = pool(&app).await;
        let lane = |name: &str| {
            let owner = IdentityRef { pool: at.clone(), identity: IdentityId::parse("a:1").unwrap() };
            let name = DatasetName::parse(name).unwrap();
            LaneRef { dataset: DatasetRef { owner, name }, sink: Sink::Stream }
        };
        let (_running, stop) = watch::channel(false);
        let mut deliveries = Deliveries::new(app, stop);
        for name in ["a", "b", "a", "a", "b"] {
            assert!(deliveries.settled(lane(name), Worked::Damaged { what: "planted".to_owned() }, false));
        }
        let log = log.text();
        assert_eq!(log.matches("a lane of the outbox is damaged").count(), 2, "{log}");
        assert!(deliveries.begin <= Instant::now(), "others do not wait");
    }
}
