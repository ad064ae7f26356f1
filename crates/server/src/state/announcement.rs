//! The announcement of a commit to everything in this process that follows what is stored.

use std::sync::Arc;

use carryall_core::changes::{Changes, Touched};
use carryall_core::ids::{AccessKeyId, PoolId, SyncCount};
use carryall_core::model::{DatasetRef, Pool};
use carryall_core::outbox::LaneRef;

use super::live_channels::LiveChannels;
use super::wakes::Wakes;
use crate::cache::Cache;
use crate::trust::Trust;

/// The part of a commit that has to be announced. It is empty for most updates, and then costs no allocation.
#[derive(Debug, Default)]
pub(super) struct Announcement {
    pools: Vec<PoolId>,
    keys: Vec<AccessKeyId>,
    lanes: Vec<LaneRef>,
    /// New counts of the datasets that a live channel shows.
    counts: Vec<(DatasetRef, SyncCount)>,
}

impl Announcement {
    pub(super) fn of(changes: &Changes, live: &LiveChannels) -> Self {
        let mut announcement = Self::default();
        for write in &changes.write {
            match write.touched() {
                Touched::Pool(id) => announcement.pools.push(id.clone()),
                Touched::Key(id) => announcement.keys.push(id.clone()),
                Touched::Lane(at) => announcement.lanes.push(at.clone()),
                Touched::Dataset(at, count) => {
                    if live.shows(at) {
                        announcement.counts.push((at.clone(), count));
                    }
                }
                Touched::Nothing => {}
            }
        }
        announcement
    }

    pub(super) fn without_lanes(self) -> Self {
        Self { lanes: Vec::new(), ..self }
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self { pools, keys, lanes, counts } = self;
        pools.is_empty() && keys.is_empty() && lanes.is_empty() && counts.is_empty()
    }
}

/// Everything in this process that follows what is stored.
pub(super) struct Listeners {
    /// Nearly every request needs its pool, and pools hardly ever change.
    pub(super) pools: Cache<PoolId, Arc<Pool>>,
    pub(super) trust: Arc<Trust>,
    pub(super) wakes: Wakes,
    pub(super) live: LiveChannels,
}

impl Listeners {
    /// Announces a commit, of this node or another. Caches drop the entries that it touches even if it was
    /// refused or its outcome is unknown; the relay and live channels are notified only of stored changes.
    pub(super) fn announce(&self, announcement: Announcement, is_stored: bool) {
        let Announcement { pools, keys, lanes, counts } = announcement;
        if !pools.is_empty() {
            self.pools.forget(&pools);
        }
        for key in &keys {
            self.trust.forget(key);
        }
        if is_stored {
            self.wakes.lanes(lanes);
            self.live.tell(counts);
        }
    }
}
