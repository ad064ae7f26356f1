//! The deliveries: which lanes are worked on at a time, and what becomes of each afterwards.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use carryall_core::outbox::LaneRef;
use carryall_core::rules::outbox;
use carryall_core::store::Committed;
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::lane::{self, Worked};
use super::queue::Queue;
use super::scan::{self, Found, Scan};
use crate::app::App;
use crate::stop::told_to_stop;

/// Pause after the store failed.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
/// Time for the deliveries under way when the server stops; leases end what takes longer.
const STOP_SECONDS_MAX: u64 = 15;

/// Delivers until told to stop, then lets the deliveries under way end.
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
            "deliveries were still under way at the stop; they are made again once their leases end"
        );
    }
}

/// Ends the leases of the process before this one, which can deliver no more.
async fn free_leases(app: &App) {
    let now = app.clock.now();
    let leased = match app.state.reads().lanes_leased(now).await {
        Ok(leased) => leased,
        Err(error) => return tracing::warn!(%error, "leases of the outbox could not be looked for"),
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

struct Deliveries {
    app: Arc<App>,
    /// Tells the work on a lane to end with the event that is under way.
    stop: watch::Receiver<bool>,
    queue: Queue,
    running: JoinSet<Worked>,
    lanes: HashMap<Id, LaneRef>,
    /// Nothing is begun before this moment: the store has failed.
    begin: Instant,
    /// Lanes whose next attempt has its moment; each comes back at its own, not with the next scan.
    later: BTreeMap<(Instant, u64), LaneRef>,
    /// Tells entries of the same moment apart.
    put_off: u64,
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

    /// Notes how the work on a lane ended. False if the lane has more to deliver and no room in the queue.
    fn done(&mut self, done: Result<(Id, Worked), JoinError>) -> bool {
        let (id, worked) = match done {
            Ok((id, worked)) => (id, worked),
            // It has been reported where it happened; the lane's lease keeps it from being tried again at once.
            Err(error) => {
                self.app.metrics.tasks.restarted("delivery");
                (error.id(), Worked::Left)
            }
        };
        let Some(lane) = self.lanes.remove(&id) else { return true };
        let is_named = self.queue.done(&lane);
        self.app.state.wakes().lane_settled();
        match worked {
            Worked::More => return self.queue.add(lane),
            Worked::Left if is_named => return self.queue.add(lane),
            Worked::Left => {}
            Worked::Later(pause) => self.put_off(lane, pause),
            Worked::StoreFailed => self.pause(),
        }
        true
    }

    /// Beyond the bound the scan finds it, once its moment is there.
    fn put_off(&mut self, lane: LaneRef, pause: Duration) {
        if self.later.len() < scan::LANES_MAX {
            self.put_off += 1;
            self.later.insert((Instant::now() + pause, self.put_off), lane);
        }
    }

    /// The moment of the next lane that was put off, or of the end of a pause.
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

    /// No lane can be claimed while the store is failing. After the pause, the next scan finds the lanes again.
    fn pause(&mut self) {
        let now = Instant::now();
        if self.begin <= now {
            tracing::warn!("deliveries pause because the store is failing");
            self.begin = now + TROUBLE_PAUSE;
        }
    }
}
