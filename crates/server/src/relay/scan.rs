//! The scan: finds the lanes in the store that no commit of this process named, because they waited for their
//! time, were left by another process or did not fit the queue. It is a separate loop, so that a slow answer
//! of the store delays no delivery.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use carryall_core::ids::PoolIncarnation;
use carryall_core::outbox::{Lane, LaneRef, Sink};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::app::App;

/// The largest number of lanes of one pool in one scan.
const LANES_PER_POOL_MAX: usize = 256;
/// The largest number of lanes in one scan, which bounds the relay's memory whatever the backlog.
pub(super) const LANES_MAX: usize = 4096;
/// The pause between two scans while no more lanes are known to wait.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// The shortest pause between two scans.
const PAUSE: Duration = Duration::from_millis(25);

/// The lanes that one scan found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Lanes that may be claimed.
    pub(super) lanes: Vec<LaneRef>,
    /// True if the store may hold more of them.
    pub(super) is_cut: bool,
}

/// The side of the scan that the deliveries hold.
pub(super) struct Scan {
    /// Requests a scan before the interval is over.
    pub(super) soon: Arc<Notify>,
    /// The results. The next scan waits until the last result was taken.
    pub(super) found: mpsc::Receiver<Found>,
}

/// The side of the scan that its loop holds.
#[derive(Clone)]
pub(super) struct Scanner {
    soon: Arc<Notify>,
    found: mpsc::Sender<Found>,
}

/// Both sides of a scan.
pub(super) fn scan() -> (Scanner, Scan) {
    let soon = Arc::new(Notify::new());
    let (sender, found) = mpsc::channel(1);
    (Scanner { soon: Arc::clone(&soon), found: sender }, Scan { soon, found })
}

/// Scans until dropped, or until the receiver of the results is gone.
pub(super) async fn run(app: Arc<App>, scanner: Scanner) {
    let mut after = None;
    loop {
        let found = look(&app, &mut after).await;
        let next = Instant::now() + INTERVAL;
        if let Some(found) = found
            && scanner.found.send(found).await.is_err()
        {
            return;
        }
        tokio::select! {
            () = sleep_until(next) => {}
            () = scanner.soon.notified() => sleep_until(next.min(Instant::now() + PAUSE)).await,
            () = app.state.wakes().missed() => sleep_until(next.min(Instant::now() + PAUSE)).await,
        }
    }
}

/// Reads the store once, starting after the pool `after`, and moves `after` to the start of the next read.
async fn look(app: &App, after: &mut Option<PoolIncarnation>) -> Option<Found> {
    let now = app.clock.now();
    let latest = app.config.outbox.latest_due(now);
    let lanes = match app.state.reads().lanes_due(now, latest, *after, LANES_PER_POOL_MAX, LANES_MAX).await {
        Ok(lanes) => lanes,
        Err(error) => {
            tracing::warn!(%error, "the outbox could not be scanned");
            return None;
        }
    };
    // A publication stays due while it waits for its page.
    let deliveries = lanes.iter().filter(|lane| lane.at.sink != Sink::Publication);
    let oldest = deliveries.filter_map(|lane| lane.state.due.moment()).min();
    let lag_millis = oldest.map_or(0, |oldest| now.0.saturating_sub(oldest.0).max(0));
    app.metrics.effects.outbox_lag(lag_millis);
    *after = lanes.last().filter(|_| lanes.len() >= LANES_MAX).map(incarnation);
    let is_cut = after.is_some() || is_cut(&lanes);
    Some(Found { lanes: lanes.into_iter().map(|lane| lane.at).collect(), is_cut })
}

/// True if some pool has as many lanes here as one scan returns of it, so that there may be more.
fn is_cut(lanes: &[Lane]) -> bool {
    let mut of_pool: HashMap<PoolIncarnation, usize> = HashMap::new();
    for lane in lanes {
        *of_pool.entry(incarnation(lane)).or_default() += 1;
    }
    of_pool.into_values().any(|lanes| lanes >= LANES_PER_POOL_MAX)
}

fn incarnation(lane: &Lane) -> PoolIncarnation {
    lane.at.dataset.owner.pool.incarnation
}
