//! The relay: takes events out of the outbox and delivers them, at least once, in order within a lane and in parallel
//! across lanes (`docs/protocol.md` section 13).
//!
//! Commits of this process name the lanes they append to ([`Wakes`]); what nobody named, because it waited for its
//! time, was left by another process or did not fit the queue, is found by looking into the store. [`queue`] says what
//! runs next, [`lane`] is the work on one lane, [`stream`] and [`device`] are the two kinds of delivery, [`resume`]
//! puts lanes back that waited for a stream to be switched on, [`bulk_publish`] fills lanes with whole pools.

mod bulk_publish;
mod device;
mod lane;
mod queue;
mod resume;
mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carryall_core::changes::{Changes, Write};
use carryall_core::ids::{PoolId, PoolIncarnation};
use carryall_core::outbox::LaneRef;
use carryall_core::rules::outbox;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use self::lane::Worked;
use self::queue::Queue;
use crate::app::App;
use crate::http::told_to_stop;

/// Lanes named by commits that the relay has not yet taken note of.
const WAKES_MAX: usize = 4096;
/// Lanes of one pool that one look into the store brings.
const LANES_PER_POOL_MAX: usize = 256;
/// Lanes that one look into the store brings in all; bounds the relay's memory whatever the backlog.
const LANES_MAX: usize = 4096;
/// Pause between two looks while nothing is known to wait.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(25);
/// Time for the deliveries under way when the server stops; leases end what takes longer.
const STOP_SECONDS_MAX: u64 = 15;

/// How commits and operations reach the relay of this process.
pub struct Wakes {
    lanes: mpsc::Sender<LaneRef>,
    pools: mpsc::Sender<PoolId>,
    receivers: Mutex<Option<Receivers>>,
    /// Something may wait that was not named.
    missed: Notify,
    /// A lane was settled.
    settled: Notify,
}

struct Receivers {
    lanes: mpsc::Receiver<LaneRef>,
    pools: mpsc::Receiver<PoolId>,
}

impl Default for Wakes {
    fn default() -> Self {
        let (lanes, named_lanes) = mpsc::channel(WAKES_MAX);
        let (pools, named_pools) = mpsc::channel(WAKES_MAX);
        let receivers = Mutex::new(Some(Receivers { lanes: named_lanes, pools: named_pools }));
        Self { lanes, pools, receivers, missed: Notify::new(), settled: Notify::new() }
    }
}

impl Wakes {
    /// Says that something may wait in these lanes.
    pub fn lanes(&self, lanes: Vec<LaneRef>) {
        for lane in lanes {
            if self.lanes.try_send(lane).is_err() {
                self.missed.notify_one();
                return;
            }
        }
    }

    /// Says that the settings of a pool's streams, or the state of its bulk publication, have changed. One that gets
    /// lost in a full queue is found by the next round of [`resume`] and [`bulk_publish`].
    pub fn pool(&self, pool: &PoolId) {
        let _ = self.pools.try_send(pool.clone());
    }

    /// Ends when the next lane of this process is settled, counted from now.
    fn settled(&self) -> Notified<'_> {
        self.settled.notified()
    }

    fn receivers(&self) -> Option<Receivers> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The lanes that a commit appends to.
pub fn appended(changes: &Changes) -> Vec<LaneRef> {
    let lane = |write: &Write| match write {
        Write::AppendEvent(event) => Some(event.lane.clone()),
        Write::SetLane { at, .. } => Some(at.clone()),
        Write::PutHead(..)
        | Write::RemoveHead(_)
        | Write::PutRecords { .. }
        | Write::ForgetRecords(..)
        | Write::PutHoldings(..)
        | Write::RemoveHoldings(_)
        | Write::AddUsage(..)
        | Write::PutPool(_)
        | Write::RemovePool(_)
        | Write::PutIdentity(_)
        | Write::RemoveIdentity(_)
        | Write::PutSweep(_)
        | Write::RemoveSweep(_)
        | Write::PutDevices(..)
        | Write::RemoveDevices(_)
        | Write::PutBulkPublish(..)
        | Write::RemoveEvents(..)
        | Write::PutKey(_)
        | Write::RemoveKey(_)
        | Write::PutSetting(..) => None,
    };
    changes.write.iter().filter_map(lane).collect()
}

/// Works until told to stop, then lets the deliveries under way end.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let Some(Receivers { lanes, pools }) = app.wakes.receivers() else { return };
    if app.store.is_held_alone() {
        free_leases(&app).await;
    }
    let mut relay = Relay::new(Arc::clone(&app));
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

/// Ends the leases of the process before this one, which can deliver no more. Those behind a long backlog are not looked
/// for: they end before their turn comes.
async fn free_leases(app: &App) {
    let now = app.clock.now();
    let horizon = now.plus_seconds(app.config.outbox.lease_seconds.get());
    let mut after = None;
    loop {
        let found = match app.store.lanes_due(horizon, after, LANES_PER_POOL_MAX, LANES_MAX).await {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "leases of the outbox could not be looked for"),
        };
        let Some(last) = found.last() else { return };
        after = Some(incarnation(&last.at));
        for changes in found.iter().filter_map(|lane| outbox::free(lane, now)) {
            if let Err(error) = app.store.commit(changes).await {
                tracing::warn!(%error, "a lease of the outbox could not be ended");
            }
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
                publications.begin(app, &pool).await;
                resume::pool(app, &pool).await;
            }
            () = sleep_until(next) => {
                publications.begin_all(app).await;
                resume::all(app).await;
                next = Instant::now() + resume::INTERVAL;
            }
        }
    }
}

struct Relay {
    app: Arc<App>,
    queue: Queue,
    running: JoinSet<Worked>,
    lanes: HashMap<Id, LaneRef>,
    /// When to look into the store next.
    look: Instant,
    /// Where the last look ended, if it did not see every pool.
    after: Option<PoolIncarnation>,
}

impl Relay {
    fn new(app: Arc<App>) -> Self {
        let outbox = &app.config.outbox;
        let queue = Queue::new(
            outbox.deliveries_in_flight_max.get() as usize,
            outbox.deliveries_per_pool_max.get() as usize,
            LANES_MAX,
        );
        Self { app, queue, running: JoinSet::new(), lanes: HashMap::new(), look: Instant::now(), after: None }
    }

    async fn deliver(&mut self, mut named: mpsc::Receiver<LaneRef>) {
        let app = Arc::clone(&self.app);
        loop {
            while let Some(lane) = self.queue.next() {
                let task = self.running.spawn(lane::work(Arc::clone(&self.app), lane.clone()));
                self.lanes.insert(task.id(), lane);
            }
            app.metrics.effects.deliveries_in_flight(self.running.len());
            tokio::select! {
                lane = named.recv() => match lane {
                    Some(lane) => self.add(lane),
                    None => return,
                },
                Some(done) = self.running.join_next_with_id() => self.done(done),
                () = app.wakes.missed.notified() => self.look_soon(),
                () = sleep_until(self.look) => self.look().await,
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
        if is_named || worked == Worked::More {
            self.add(lane);
        }
        self.app.wakes.settled.notify_waiters();
        if self.queue.wants_more() {
            self.look_soon();
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
                let left_over = lanes.into_iter().filter(|lane| !self.queue.add(lane.at.clone())).count();
                self.queue.found(left_over > 0 || self.after.is_some());
            }
            Err(error) => tracing::warn!(%error, "the outbox could not be looked into"),
        }
    }
}

fn incarnation(lane: &LaneRef) -> PoolIncarnation {
    lane.dataset.owner.pool.incarnation
}
