//! The open live channels: their number, their owners, and the datasets that they show.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use carryall_core::ids::SyncCount;
use carryall_core::model::{DatasetRef, IdentityRef};
use tokio::sync::broadcast;

use crate::config::LiveSettings;
use crate::failure::Holder;
use crate::lock::Lock;
use crate::source::Source;

/// The number of counts kept for a channel that is slow to take them; beyond it only the newest is sent.
const COUNTS_WAITING_MAX: usize = 16;

/// The open channels.
pub struct LiveChannels {
    subscribers_max: usize,
    subscribers_per_identity_max: usize,
    subscribers_per_source_max: usize,
    /// The number of channels in `state`, which commits read without taking the lock.
    open: AtomicUsize,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    datasets: HashMap<DatasetRef, broadcast::Sender<SyncCount>>,
    identities: HashMap<IdentityRef, usize>,
    sources: HashMap<Source, usize>,
}

/// The limit that keeps a channel from being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// The channels of all.
    InAll,
    /// The channels of one holder.
    Of(Holder),
}

impl LiveChannels {
    /// Creates an empty registry.
    pub fn new(settings: &LiveSettings) -> Self {
        Self {
            subscribers_max: settings.subscribers_max.get() as usize,
            subscribers_per_identity_max: settings.subscribers_per_identity_max.get() as usize,
            subscribers_per_source_max: settings.subscribers_per_source_max() as usize,
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

    /// Subscribes a client at `source` to a dataset. The share of the identity whose data it is comes before the
    /// others, because a client can do something about its own channels.
    pub fn subscribe(
        &self,
        at: &DatasetRef,
        source: Source,
    ) -> Result<broadcast::Receiver<SyncCount>, TooMany> {
        let mut state = self.state.lock();
        let held = |count: Option<&usize>| count.copied().unwrap_or_default();
        if held(state.identities.get(&at.owner)) >= self.subscribers_per_identity_max {
            return Err(TooMany::Of(Holder::Identity));
        }
        if held(state.sources.get(&source)) >= self.subscribers_per_source_max {
            return Err(TooMany::Of(Holder::Source));
        }
        if self.open.load(Ordering::Acquire) >= self.subscribers_max {
            return Err(TooMany::InAll);
        }
        *state.identities.entry(at.owner.clone()).or_default() += 1;
        *state.sources.entry(source).or_default() += 1;
        self.open.fetch_add(1, Ordering::AcqRel);
        let sender =
            state.datasets.entry(at.clone()).or_insert_with(|| broadcast::channel(COUNTS_WAITING_MAX).0);
        Ok(sender.subscribe())
    }

    /// Removes a subscriber whose receiver has been dropped.
    pub fn unsubscribe(&self, at: &DatasetRef, source: Source) {
        let mut state = self.state.lock();
        self.open.fetch_sub(1, Ordering::AcqRel);
        one_less(&mut state.identities, &at.owner);
        one_less(&mut state.sources, &source);
        if state.datasets.get(at).is_some_and(|sender| sender.receiver_count() == 0) {
            state.datasets.remove(at);
        }
    }
}

fn one_less<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU32;

    use carryall_core::ids::{DatasetName, IdentityId, PoolId, PoolIncarnation};
    use carryall_core::model::PoolRef;

    use super::*;

    fn at(identity: &str, name: &str) -> DatasetRef {
        let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(1) };
        let owner = IdentityRef { pool, identity: IdentityId::parse(identity).unwrap() };
        DatasetRef { owner, name: DatasetName::parse(name).unwrap() }
    }

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([127, 0, 0, last]))
    }

    fn channels(all: u32, per_identity: u32, per_source: u32) -> LiveChannels {
        let max = |number| NonZeroU32::new(number).unwrap();
        LiveChannels::new(&LiveSettings {
            subscribers_max: max(all),
            subscribers_per_identity_max: max(per_identity),
            subscribers_per_source_max: Some(max(per_source)),
            heartbeat_seconds: max(1),
        })
    }

    #[test]
    fn who_listens_is_told_of_that_dataset_and_no_other() {
        let channels = channels(9, 9, 9);
        let (prefs, other) = (at("a:1", "prefs"), at("a:1", "other"));
        assert!(!channels.shows(&prefs));
        let mut counts = channels.subscribe(&prefs, source(1)).unwrap();
        assert!(channels.shows(&prefs) && !channels.shows(&other));
        channels.tell(vec![(other, SyncCount(1)), (prefs.clone(), SyncCount(7))]);
        assert_eq!(counts.try_recv(), Ok(SyncCount(7)));
        drop(counts);
        channels.unsubscribe(&prefs, source(1));
        assert!(!channels.shows(&prefs));
        let state = channels.state.lock();
        assert!(state.datasets.is_empty() && state.identities.is_empty() && state.sources.is_empty());
    }

    #[test]
    fn places_are_bounded_in_all_and_for_each_identity() {
        let channels = channels(3, 2, 3);
        let (one, two) = (at("a:1", "prefs"), at("a:2", "prefs"));
        let subscribe = |at| channels.subscribe(at, source(1));
        let first = subscribe(&one);
        let _second = subscribe(&one);
        assert!(first.is_ok());
        assert_eq!(subscribe(&one).err(), Some(TooMany::Of(Holder::Identity)), "this identity has two");
        let _third = subscribe(&two);
        let in_all = channels.subscribe(&two, source(2)).err();
        assert_eq!(in_all, Some(TooMany::InAll), "there are three in all");
        assert_eq!(subscribe(&one).err(), Some(TooMany::Of(Holder::Identity)), "its own share comes first");
        drop(first);
        channels.unsubscribe(&one, source(1));
        assert!(subscribe(&two).is_ok());
    }

    #[test]
    fn one_source_with_many_identities_leaves_channels_to_other_sources() {
        let max = |number| NonZeroU32::new(number).unwrap();
        let channels =
            LiveChannels::new(&LiveSettings { subscribers_max: max(16), ..LiveSettings::default() });
        let identities: Vec<DatasetRef> = (0..16).map(|number| at(&format!("a:{number}"), "prefs")).collect();
        let greedy: Vec<_> = identities.iter().map(|at| channels.subscribe(at, source(1))).collect();
        assert_eq!(greedy.iter().filter(|channel| channel.is_ok()).count(), 4, "a quarter of all");
        assert_eq!(greedy[15].as_ref().err(), Some(&TooMany::Of(Holder::Source)));
        assert!(channels.subscribe(&at("a:99", "prefs"), source(2)).is_ok());
        channels.unsubscribe(&identities[0], source(1));
        assert!(channels.subscribe(&identities[15], source(1)).is_ok());
    }
}
