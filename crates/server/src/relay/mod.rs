//! The relay: takes events out of the outbox and delivers them, at least once, in order within a lane and in parallel
//! across lanes (`docs/protocol.md` section 13).
//!
//! Commits of this process name the lanes they append to ([`Wakes`](crate::state::wakes::Wakes)); what nobody named, because it waited for its
//! time, was left by another process or did not fit the queue, is found by looking into the store. [`queue`] says what
//! runs next, [`lane`] is the work on one lane, [`stream`] and [`device`] are the two kinds of delivery, [`resume`]
//! puts lanes back that waited for a stream to be switched on, [`bulk_publish`] fills lanes with whole pools.

mod bulk_publish;
mod delivered;
mod device;
mod lane;
mod queue;
mod resume;
mod stream;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use carryall_core::ids::{PoolId, PoolIncarnation};
use carryall_core::outbox::{Lane, LaneRef};
use carryall_core::rules::outbox;
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use self::lane::Worked;
use self::queue::Queue;
use crate::app::App;
use crate::state::wakes::Receivers;
use crate::stop::told_to_stop;

/// Lanes of one pool that one look into the store brings.
const LANES_PER_POOL_MAX: usize = 256;
/// Lanes that one look into the store brings in all; bounds the relay's memory whatever the backlog.
const LANES_MAX: usize = 4096;
/// Pause between two looks while nothing is known to wait.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(25);
/// Pause after the store failed.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
/// Time for the deliveries under way when the server stops; leases end what takes longer.
const STOP_SECONDS_MAX: u64 = 15;

/// Works until told to stop, then lets the deliveries under way end.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let Some(Receivers { lanes, pools }) = app.wakes.receivers() else { return };
    if app.store.is_held_alone() {
        free_leases(&app).await;
    }
    let mut relay = Relay::new(Arc::clone(&app), stop.clone());
    tokio::select! {
        () = relay.deliver(lanes) => {}
        () = pool_work(&app, pools) => {}
        () = told_to_stop(&mut stop) => {}
    }
    let under_way = async { while relay.running.join_next().await.is_some() {} };
    if timeout(Duration::from_secs(STOP_SECONDS_MAX), under_way).await.is_err() {
        tracing::warn!(
            "deliveries were still under way at the stop; they are made again once their leases end"
        );
    }
}

/// Ends the leases of the process before this one, which can deliver no more.
async fn free_leases(app: &App) {
    let now = app.clock.now();
    let leased = match app.store.lanes_leased(now).await {
        Ok(leased) => leased,
        Err(error) => return tracing::warn!(%error, "leases of the outbox could not be looked for"),
    };
    let freed = leased.iter().filter_map(|lane| outbox::free(lane, now));
    for outcome in join_all(freed.map(|changes| app.store.commit(changes))).await {
        if let Err(error) = outcome {
            tracing::warn!(%error, "a lease of the outbox could not be ended");
        }
    }
}

/// What is done for one pool as a whole, as it is named, and for all of them now and then.
async fn pool_work(app: &Arc<App>, mut named: mpsc::Receiver<PoolId>) {
    let mut publications = bulk_publish::Publications::default();
    let mut next = Instant::now();
    loop {
        tokio::select! {
            pool = named.recv() => {
                let Some(pool) = pool else { return };
                // First what has been waiting: a publication would take it for a failure.
                resume::pool(app, &pool).await;
                publications.begin(app, &pool).await;
            }
            () = sleep_until(next) => {
                resume::all(app).await;
                publications.begin_all(app).await;
                next = Instant::now() + resume::INTERVAL;
            }
        }
    }
}

struct Relay {
    app: Arc<App>,
    /// Whether the work on a lane is to end with the event that is under way.
    stop: watch::Receiver<bool>,
    queue: Queue,
    running: JoinSet<Worked>,
    lanes: HashMap<Id, LaneRef>,
    /// When to look into the store next.
    look: Instant,
    /// Where the last look ended, if it did not see every pool.
    after: Option<PoolIncarnation>,
    /// Nothing is begun before this moment: the store has failed.
    begin: Instant,
    /// Lanes whose next attempt has its moment; each comes back at its own, not with the next look.
    later: BTreeMap<(Instant, u64), LaneRef>,
    /// Tells entries of the same moment apart.
    put_off: u64,
}

impl Relay {
    fn new(app: Arc<App>, stop: watch::Receiver<bool>) -> Self {
        let outbox = &app.config.outbox;
        let queue = Queue::new(
            outbox.deliveries_in_flight_max.get() as usize,
            outbox.deliveries_per_pool_max.get() as usize,
            LANES_MAX,
        );
        let now = Instant::now();
        Self {
            app,
            stop,
            queue,
            running: JoinSet::new(),
            lanes: HashMap::new(),
            look: now,
            after: None,
            begin: now,
            later: BTreeMap::new(),
            put_off: 0,
        }
    }

    async fn deliver(&mut self, mut named: mpsc::Receiver<LaneRef>) {
        let app = Arc::clone(&self.app);
        loop {
            while self.begin <= Instant::now()
                && let Some(lane) = self.queue.next()
            {
                let task =
                    self.running.spawn(lane::work(Arc::clone(&self.app), lane.clone(), self.stop.clone()));
                self.lanes.insert(task.id(), lane);
            }
            app.metrics.effects.deliveries_in_flight(self.running.len());
            let (look, later) = (self.look, self.next_later());
            tokio::select! {
                lane = named.recv() => match lane {
                    Some(lane) => self.add(lane),
                    None => return,
                },
                Some(done) = self.running.join_next_with_id() => self.done(done),
                () = app.wakes.missed() => self.look_soon(),
                () = sleep_until(later) => self.take_later(),
                () = sleep_until(look) => self.look().await,
            }
        }
    }

    fn add(&mut self, lane: LaneRef) {
        if !self.queue.add(lane) {
            self.look_soon();
        }
    }

    fn look_soon(&mut self) {
        self.look = self.look.min(Instant::now() + LOOK_PAUSE);
    }

    fn done(&mut self, done: Result<(Id, Worked), tokio::task::JoinError>) {
        let (id, worked) = match done {
            Ok((id, worked)) => (id, worked),
            // It has been reported where it happened; the lane's lease keeps it from being tried again at once.
            Err(error) => (error.id(), Worked::Left),
        };
        let Some(lane) = self.lanes.remove(&id) else { return };
        let is_named = self.queue.done(&lane);
        match worked {
            Worked::More => self.add(lane),
            Worked::Left if is_named => self.add(lane),
            Worked::Left => {}
            Worked::Later(pause) => self.put_off(lane, pause),
            Worked::StoreFailed => self.pause(),
        }
        self.app.wakes.lane_settled();
        if self.queue.wants_more() {
            self.look_soon();
        }
    }

    /// Beyond the bound the look finds it, once its moment is there.
    fn put_off(&mut self, lane: LaneRef, pause: Duration) {
        if self.later.len() < LANES_MAX {
            self.put_off += 1;
            self.later.insert((Instant::now() + pause, self.put_off), lane);
        }
    }

    fn next_later(&self) -> Instant {
        self.later.first_key_value().map_or_else(|| self.look + LOOK_INTERVAL, |((moment, _), _)| *moment)
    }

    fn take_later(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let lane = first.remove();
            self.add(lane);
        }
    }

    /// Nothing can be claimed while the store fails; what waits is found again by the look behind the pause.
    fn pause(&mut self) {
        let now = Instant::now();
        if self.begin <= now {
            tracing::warn!("the outbox waits for the store");
            self.begin = now + TROUBLE_PAUSE;
            self.look = self.begin;
        }
    }

    /// Takes up what waits in the store. A pool's lanes are taken up only as far as they fit, so the next look finds
    /// the rest.
    async fn look(&mut self) {
        let now = self.app.clock.now();
        let found = self.app.store.lanes_due(now, self.after, LANES_PER_POOL_MAX, LANES_MAX).await;
        self.look = Instant::now() + LOOK_INTERVAL;
        match found {
            Ok(lanes) => {
                let oldest = lanes.iter().filter_map(|lane| lane.state.due.moment()).min();
                let lag_millis = oldest.map_or(0, |oldest| now.0.saturating_sub(oldest.0));
                self.app.metrics.effects.outbox_lag(lag_millis);
                self.after =
                    lanes.last().filter(|_| lanes.len() >= LANES_MAX).map(|last| incarnation(&last.at));
                let is_cut = is_cut(&lanes) || self.after.is_some();
                let left_over = lanes.into_iter().filter(|lane| !self.queue.add(lane.at.clone())).count();
                self.queue.found(left_over > 0 || is_cut);
            }
            Err(error) => tracing::warn!(%error, "the outbox could not be looked into"),
        }
    }
}

/// Whether some pool has as many lanes here as one look brings of it, so that there may be more.
fn is_cut(lanes: &[Lane]) -> bool {
    let mut of_pool: HashMap<PoolIncarnation, usize> = HashMap::new();
    for lane in lanes {
        *of_pool.entry(incarnation(&lane.at)).or_default() += 1;
    }
    of_pool.into_values().any(|lanes| lanes >= LANES_PER_POOL_MAX)
}

fn incarnation(lane: &LaneRef) -> PoolIncarnation {
    lane.dataset.owner.pool.incarnation
}
