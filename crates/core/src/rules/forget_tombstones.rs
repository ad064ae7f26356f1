//! Forgetting of tombstones when a dataset has too many (`docs/protocol.md` section 7.7).
//!
//! The oldest are forgotten first, an eighth of the limit at once, so that they are read only once in many
//! removals. A dataset remembers the highest count that it has forgotten: a client whose last listing is
//! below that count may keep a record that was removed.

use std::collections::HashSet;

use crate::ids::{RecordKey, SyncCount};
use crate::limits::{Limits, TOMBSTONES_FORGOTTEN_ONE_IN};
use crate::model::{Life, RecordStub};
use crate::rules::patches::Patch;
use crate::tombstone::{OldestTombstones, Tombstone};

/// The tombstones of a dataset after an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tombstones {
    /// The number of them.
    pub(crate) count: u32,
    /// The UTF-8 bytes of their keys; `None` if the stored head does not have the number.
    pub(crate) key_bytes: Option<u64>,
    /// The highest count of a forgotten tombstone; zero if none was forgotten.
    pub(crate) forgotten_through: SyncCount,
    /// The stored tombstones to drop.
    pub(crate) forget: Vec<Tombstone>,
    /// The keys of the update's own removals that leave no tombstone.
    pub(crate) unmarked: HashSet<RecordKey>,
}

/// The result of applying the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The tombstones after the update.
    Known(Tombstones),
    /// The decision needs these stored tombstones.
    Load(OldestTombstones),
    /// The head counts fewer tombstones than the update replaces.
    Damaged,
}

/// Decides which tombstones are kept. `oldest` are those that an earlier [`Outcome::Load`] requested.
pub(crate) fn decide(
    life: Option<&Life>,
    patches: &[Patch],
    stubs: &[Option<RecordStub>],
    sync_count: SyncCount,
    oldest: Option<&[Tombstone]>,
    limits: &Limits,
) -> Outcome {
    let replaced = Amount::of(
        patches
            .iter()
            .zip(stubs)
            .filter(|(_, stub)| stub.is_some_and(|stub| stub.removed))
            .map(|(patch, _)| &patch.key),
    );
    let added = Amount::of(patches.iter().filter(|patch| patch.value.is_none()).map(|patch| &patch.key));
    let stored = u64::from(life.map_or(0, |life| life.tombstones));
    let stored_bytes = life.map_or(Some(0), |life| life.tombstone_key_bytes);
    let forgotten_through = life.map_or(SyncCount::ZERO, |life| life.tombstones_forgotten_through);
    let Some(kept) = stored.checked_sub(replaced.count) else { return Outcome::Damaged };
    let kept_bytes = match (stored_bytes, oldest) {
        // Heads of an earlier version do not have the number of bytes, so all keys were loaded to count them.
        (None, Some(all)) if added.count > 0 => {
            Some(Amount::of(unpatched(all, patches).map(|t| &t.key)).bytes)
        }
        (None, _) if added.count > 0 && stored > 0 => return Outcome::Load(OldestTombstones::ALL),
        (None, _) if stored == 0 => Some(0),
        (None, _) => None,
        (Some(bytes), _) => match bytes.checked_sub(replaced.bytes) {
            Some(bytes) => Some(bytes),
            None => return Outcome::Damaged,
        },
    };
    let (Some(kept_bytes), true) = (kept_bytes, added.count > 0) else {
        let count = saturated(kept + added.count);
        return Outcome::Known(Tombstones {
            count,
            key_bytes: kept_bytes,
            forgotten_through,
            ..Tombstones::default()
        });
    };
    let after = Amount { count: kept + added.count, bytes: kept_bytes + added.bytes };
    if let (None, true, Some(load)) = (oldest, kept > 0, Excess::of(after, limits).load(replaced)) {
        return Outcome::Load(load);
    }
    let (count, key_bytes) = (saturated(after.count), Some(after.bytes));
    let before = Tombstones { count, key_bytes, forgotten_through, ..Tombstones::default() };
    Outcome::Known(before.within(limits, patches, oldest.unwrap_or_default(), sync_count))
}

impl Tombstones {
    /// Forgets stored tombstones, then removals of the update itself, until both limits have room again.
    fn within(
        mut self,
        limits: &Limits,
        patches: &[Patch],
        oldest: &[Tombstone],
        sync_count: SyncCount,
    ) -> Self {
        let after = Amount { count: self.count.into(), bytes: self.key_bytes.unwrap_or_default() };
        let mut excess = Excess::of(after, limits);
        self.forget =
            unpatched(oldest, patches).take_while(|tombstone| excess.take(&tombstone.key)).cloned().collect();
        let last = self.forget.iter().map(|tombstone| tombstone.sync_count).max();
        self.forgotten_through = self.forgotten_through.max(last.unwrap_or_default());
        // One call may remove more records than the dataset keeps tombstones. All its removals have one
        // count, so their keys determine the order.
        let mut own: Vec<&RecordKey> =
            patches.iter().filter(|patch| patch.value.is_none()).map(|patch| &patch.key).collect();
        own.sort_unstable();
        self.unmarked = own.into_iter().take_while(|key| excess.take(key)).cloned().collect();
        if !self.unmarked.is_empty() {
            self.forgotten_through = sync_count;
        }
        let forgotten = self.forget.iter().map(|tombstone| &tombstone.key);
        let dropped = Amount::of(forgotten.chain(self.unmarked.iter()));
        self.count = saturated(after.count.saturating_sub(dropped.count));
        self.key_bytes = Some(after.bytes.saturating_sub(dropped.bytes));
        self
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The tombstones among `stored` whose keys the update does not touch.
fn unpatched<'a>(stored: &'a [Tombstone], patches: &[Patch]) -> impl Iterator<Item = &'a Tombstone> {
    let patched: HashSet<&RecordKey> = patches.iter().map(|patch| &patch.key).collect();
    let kept: Vec<&Tombstone> = stored.iter().filter(|tombstone| !patched.contains(&tombstone.key)).collect();
    kept.into_iter()
}

/// A number of tombstones and the bytes of their keys.
#[derive(Clone, Copy)]
struct Amount {
    count: u64,
    bytes: u64,
}

impl Amount {
    fn of<'a>(keys: impl Iterator<Item = &'a RecordKey>) -> Self {
        keys.fold(Self { count: 0, bytes: 0 }, |sum, key| Self {
            count: sum.count + 1,
            bytes: sum.bytes + key.as_str().len() as u64,
        })
    }
}

/// The tombstones that are still to be forgotten.
struct Excess {
    count: u64,
    bytes: u64,
}

impl Excess {
    /// Nothing within the limits; above either limit, the excess over seven eighths of each.
    fn of(after: Amount, limits: &Limits) -> Self {
        let count_max = u64::from(limits.tombstones_per_dataset_max);
        let bytes_max = limits.tombstone_key_bytes_per_dataset_max;
        if after.count <= count_max && after.bytes <= bytes_max {
            return Self { count: 0, bytes: 0 };
        }
        let target = |max: u64| max - max / TOMBSTONES_FORGOTTEN_ONE_IN;
        Self {
            count: after.count.saturating_sub(target(count_max)),
            bytes: after.bytes.saturating_sub(target(bytes_max)),
        }
    }

    fn is_none(&self) -> bool {
        self.count == 0 && self.bytes == 0
    }

    /// The tombstones to load. They include those that the update replaces, which cannot be forgotten.
    fn load(&self, replaced: Amount) -> Option<OldestTombstones> {
        (!self.is_none()).then(|| OldestTombstones {
            count: self.count + replaced.count,
            key_bytes: self.bytes + replaced.bytes,
        })
    }

    /// True if another tombstone must be forgotten; counts `key` as forgotten then.
    fn take(&mut self, key: &RecordKey) -> bool {
        if self.is_none() {
            return false;
        }
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(key.as_str().len() as u64);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Writer;
    use crate::time::UnixMillis;

    fn limits(count: u32, bytes: u64) -> Limits {
        Limits {
            tombstones_per_dataset_max: count,
            tombstone_key_bytes_per_dataset_max: bytes,
            ..Limits::default()
        }
    }

    fn life(tombstones: u32, key_bytes: Option<u64>) -> Life {
        Life {
            created: UnixMillis(1),
            modified: UnixMillis(1),
            modified_by: Writer::from("device"),
            records: 0,
            tombstones,
            tombstone_key_bytes: key_bytes,
            tombstones_forgotten_through: SyncCount(2),
            data_bytes: 0,
        }
    }

    fn key(number: u64) -> RecordKey {
        RecordKey::from_stored(&format!("k{number:03}"))
    }

    fn stored(count: u64) -> Vec<Tombstone> {
        (0..count).map(|number| Tombstone { key: key(number), sync_count: SyncCount(10 + number) }).collect()
    }

    fn removals(numbers: std::ops::Range<u64>) -> Vec<Patch> {
        let removal = |number| Patch {
            key: key(number),
            value: None,
            sync_count: SyncCount::ZERO,
            device_modified: None,
        };
        numbers.map(removal).collect()
    }

    fn known(outcome: Outcome) -> Tombstones {
        match outcome {
            Outcome::Known(tombstones) => tombstones,
            Outcome::Load(_) | Outcome::Damaged => panic!("{outcome:?}"),
        }
    }

    const COUNT: SyncCount = SyncCount(1000);

    #[test]
    fn within_both_limits_nothing_is_forgotten_and_nothing_loaded() {
        let patches = removals(99..100);
        let after = known(decide(Some(&life(15, Some(60))), &patches, &[None], COUNT, None, &limits(16, 64)));
        assert_eq!((after.count, after.key_bytes, after.forgotten_through), (16, Some(64), SyncCount(2)));
        assert!(after.forget.is_empty() && after.unmarked.is_empty());
    }

    #[test]
    fn one_above_a_limit_forgets_the_oldest_eighth() {
        for limits in [limits(16, 1 << 20), limits(1000, 64)] {
            let patches = removals(99..100);
            let before = life(16, Some(64));
            let needs = decide(Some(&before), &patches, &[None], COUNT, None, &limits);
            assert!(matches!(needs, Outcome::Load(_)), "{needs:?}");
            let after = known(decide(Some(&before), &patches, &[None], COUNT, Some(&stored(16)), &limits));
            assert_eq!(after.forget, stored(3), "17 become 14");
            assert_eq!(
                (after.count, after.key_bytes, after.forgotten_through),
                (14, Some(56), SyncCount(12))
            );
            assert!(after.unmarked.is_empty());
        }
    }

    #[test]
    fn a_tombstone_that_the_update_replaces_is_not_forgotten() {
        let patches = removals(0..1).into_iter().chain(removals(98..100)).collect::<Vec<_>>();
        let stub = RecordStub { sync_count: SyncCount(10), data_bytes: 0, removed: true };
        let stubs = [Some(stub), None, None];
        let limits = limits(16, 1 << 20);
        let before = life(16, Some(64));
        let needs = decide(Some(&before), &patches, &stubs, COUNT, None, &limits);
        assert_eq!(needs, Outcome::Load(OldestTombstones { count: 5, key_bytes: 4 }));
        let after = known(decide(Some(&before), &patches, &stubs, COUNT, Some(&stored(5)), &limits));
        assert_eq!(after.forget, stored(5)[1..]);
        assert_eq!(after.count, 14);
    }

    #[test]
    fn one_call_above_the_limit_keeps_the_last_of_its_own_keys() {
        let patches = removals(100..120);
        let stubs = vec![None; 20];
        let before = life(4, Some(16));
        let after =
            known(decide(Some(&before), &patches, &stubs, COUNT, Some(&stored(4)), &limits(16, 1 << 20)));
        assert_eq!(after.forget, stored(4));
        let unmarked: HashSet<RecordKey> = (100..106).map(key).collect();
        assert_eq!(after.unmarked, unmarked);
        assert_eq!((after.count, after.key_bytes, after.forgotten_through), (14, Some(56), COUNT));
    }

    #[test]
    fn a_limit_of_zero_keeps_none() {
        let after = known(decide(None, &removals(0..2), &[None, None], SyncCount(1), None, &limits(0, 0)));
        assert_eq!((after.count, after.key_bytes, after.unmarked.len()), (0, Some(0), 2));
    }

    #[test]
    fn a_head_that_does_not_say_its_bytes_gets_exact_ones() {
        let patches = removals(99..100);
        let before = life(3, None);
        let limits = Limits::default();
        let needs = decide(Some(&before), &patches, &[None], COUNT, None, &limits);
        assert_eq!(needs, Outcome::Load(OldestTombstones::ALL));
        let after = known(decide(Some(&before), &patches, &[None], COUNT, Some(&stored(3)), &limits));
        assert_eq!((after.count, after.key_bytes), (4, Some(16)));
        assert!(after.forget.is_empty());
    }

    #[test]
    fn a_head_that_counts_fewer_tombstones_than_there_are_is_damaged() {
        let stub = RecordStub { sync_count: SyncCount(10), data_bytes: 0, removed: true };
        for before in [life(0, Some(9)), life(1, Some(1))] {
            let outcome =
                decide(Some(&before), &removals(0..1), &[Some(stub)], COUNT, None, &Limits::default());
            assert_eq!(outcome, Outcome::Damaged);
        }
    }
}
