//! The open live channels: their number, their owners, and the datasets that they show.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use carryall_core::ids::SyncCount;
use carryall_core::model::{DatasetRef, IdentityRef};
use tokio::sync::broadcast;

use crate::config::LiveSettings;
use crate::lock::Lock;

/// The number of counts kept for a channel that is slow to take them; beyond it only the newest is sent.
const COUNTS_WAITING_MAX: usize = 16;

/// The open channels.
pub struct LiveChannels {
    subscribers_max: usize,
    subscribers_per_identity_max: usize,
    /// The number of channels in `state`, which commits read without taking the lock.
    open: AtomicUsize,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    datasets: HashMap<DatasetRef, broadcast::Sender<SyncCount>>,
    identities: HashMap<IdentityRef, usize>,
}

impl LiveChannels {
    /// Creates an empty registry.
    pub fn new(settings: &LiveSettings) -> Self {
        Self {
            subscribers_max: settings.subscribers_max.get() as usize,
            subscribers_per_identity_max: settings.subscribers_per_identity_max.get() as usize,
            open: AtomicUsize::new(0),
            state: Lock::default(),
        }
    }

    /// True if a channel shows this dataset. Takes no lock while no channel is open.
    pub fn shows(&self, at: &DatasetRef) -> bool {
        self.open.load(Ordering::Acquire) > 0 && self.state.lock().datasets.contains_key(at)
    }

    /// Sends stored counts to the channels that show their datasets.
    pub fn tell(&self, counts: Vec<(DatasetRef, SyncCount)>) {
        if counts.is_empty() {
            return;
        }
        let state = self.state.lock();
        for (at, count) in counts {
            if let Some(sender) = state.datasets.get(&at) {
                // The last receiver may be gone.
                let _ = sender.send(count);
            }
        }
    }

    /// Subscribes to a dataset; `None` if there are too many channels.
    pub fn subscribe(&self, at: &DatasetRef) -> Option<broadcast::Receiver<SyncCount>> {
        let mut state = self.state.lock();
        if self.open.load(Ordering::Acquire) >= self.subscribers_max {
            return None;
        }
        let of_identity = state.identities.entry(at.owner.clone()).or_default();
        if *of_identity >= self.subscribers_per_identity_max {
            return None;
        }
        *of_identity += 1;
        self.open.fetch_add(1, Ordering::AcqRel);
        let sender =
            state.datasets.entry(at.clone()).or_insert_with(|| broadcast::channel(COUNTS_WAITING_MAX).0);
        Some(sender.subscribe())
    }

    /// Removes a subscriber whose receiver has been dropped.
    pub fn unsubscribe(&self, at: &DatasetRef) {
        let mut state = self.state.lock();
        self.open.fetch_sub(1, Ordering::AcqRel);
        if let Some(of_identity) = state.identities.get_mut(&at.owner) {
            *of_identity -= 1;
            if *of_identity == 0 {
                state.identities.remove(&at.owner);
            }
        }
        if state.datasets.get(at).is_some_and(|sender| sender.receiver_count() == 0) {
            state.datasets.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use carryall_core::ids::{DatasetName, IdentityId, PoolId, PoolIncarnation};
    use carryall_core::model::PoolRef;

    use super::*;

    fn at(identity: &str, name: &str) -> DatasetRef {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(1) };
        let owner = IdentityRef { pool, identity: IdentityId::parse(identity).unwrap() };
        DatasetRef { owner, name: DatasetName::parse(name).unwrap() }
    }

    fn channels(all: u32, per_identity: u32) -> LiveChannels {
        let max = |number| NonZeroU32::new(number).unwrap();
        LiveChannels::new(&LiveSettings {
            subscribers_max: max(all),
            subscribers_per_identity_max: max(per_identity),
            heartbeat_seconds: max(1),
        })
    }

    #[test]
    fn who_listens_is_told_of_that_dataset_and_no_other() {
        let channels = channels(9, 9);
        let (prefs, other) = (at("a:1", "prefs"), at("a:1", "other"));
        assert!(!channels.shows(&prefs));
        let mut counts = channels.subscribe(&prefs).unwrap();
        assert!(channels.shows(&prefs) && !channels.shows(&other));
        channels.tell(vec![(other, SyncCount(1)), (prefs.clone(), SyncCount(7))]);
        assert_eq!(counts.try_recv(), Ok(SyncCount(7)));
        drop(counts);
        channels.unsubscribe(&prefs);
        assert!(!channels.shows(&prefs));
        assert!(channels.state.lock().datasets.is_empty() && channels.state.lock().identities.is_empty());
    }

    #[test]
    fn places_are_bounded_in_all_and_for_each_identity() {
        let channels = channels(3, 2);
        let (one, two) = (at("a:1", "prefs"), at("a:2", "prefs"));
        let first = channels.subscribe(&one);
        let _second = channels.subscribe(&one);
        assert!(first.is_some() && channels.subscribe(&one).is_none(), "this identity has two");
        let _third = channels.subscribe(&two);
        assert!(channels.subscribe(&two).is_none(), "there are three in all");
        drop(first);
        channels.unsubscribe(&one);
        assert!(channels.subscribe(&two).is_some());
    }
}
