//! Locks that serialize the writers of one dataset within this process, with a bound on the number that wait.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::lock::Lock;

/// Locks that serialize the writers of one thing. A thing has a lock only while a writer holds it or waits for
/// it, so writers of other things never fill its queue.
pub struct Turns {
    /// The locks by the hash of their thing. Nobody can choose two things that share one, because the hash has
    /// a random key.
    locks: Lock<HashMap<u64, Contended>>,
    waiting_max: u32,
    hasher: RandomState,
}

#[derive(Default)]
struct Contended {
    lock: Arc<Mutex<()>>,
    /// The writers that hold the lock or wait for it.
    writers_count: u32,
}

/// The turn of one writer, which ends on drop.
pub struct Turn<'t> {
    _held: OwnedMutexGuard<()>,
    _counted: Counted<'t>,
}

/// Counts one writer of a thing until it is dropped.
struct Counted<'t> {
    turns: &'t Turns,
    thing: u64,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut locks = self.turns.locks.lock();
        let Some(contended) = locks.get_mut(&self.thing) else { return };
        contended.writers_count -= 1;
        if contended.writers_count == 0 {
            locks.remove(&self.thing);
        }
    }
}

impl Turns {
    /// Creates turns. [`take`](Self::take) lets up to `waiting_max` writers wait for one thing.
    pub fn new(waiting_max: NonZeroU32) -> Self {
        Self { locks: Lock::default(), waiting_max: waiting_max.get(), hasher: RandomState::new() }
    }

    /// Waits for the turn of `thing`. `None` if too many writers are waiting for it.
    pub async fn take(&self, thing: &impl Hash) -> Option<Turn<'_>> {
        self.wait(thing, self.waiting_max).await
    }

    /// Waits for the turn of `thing`, however many writers are waiting for it.
    pub async fn take_unbounded(&self, thing: &impl Hash) -> Option<Turn<'_>> {
        self.wait(thing, u32::MAX).await
    }

    async fn wait(&self, thing: &impl Hash, waiting_max: u32) -> Option<Turn<'_>> {
        let thing = self.hasher.hash_one(thing);
        let (lock, counted) = self.enter(thing, waiting_max)?;
        Some(Turn { _held: lock.lock_owned().await, _counted: counted })
    }

    fn enter(&self, thing: u64, waiting_max: u32) -> Option<(Arc<Mutex<()>>, Counted<'_>)> {
        let mut locks = self.locks.lock();
        let contended = locks.entry(thing).or_default();
        // One of the writers holds the lock, and the others wait.
        if contended.writers_count > waiting_max {
            return None;
        }
        contended.writers_count += 1;
        Some((Arc::clone(&contended.lock), Counted { turns: self, thing }))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_immediate;

    use super::*;

    #[tokio::test]
    async fn more_waiters_than_the_bound_are_turned_away_at_once() {
        let turns = Turns::new(NonZeroU32::new(2).unwrap());
        let held = turns.take(&"hot").await;
        assert!(held.is_some());
        let (mut first, mut second) = (Box::pin(turns.take(&"hot")), Box::pin(turns.take(&"hot")));
        assert!(poll_immediate(&mut first).await.is_none() && poll_immediate(&mut second).await.is_none());
        assert!(turns.take(&"hot").await.is_none());
        assert!(turns.take(&"quiet").await.is_some());
        drop((held, first));
        assert!(second.await.is_some());
        let (third, mut fourth) = (turns.take(&"hot").await, Box::pin(turns.take(&"hot")));
        assert!(poll_immediate(&mut fourth).await.is_none(), "who left no longer counts as waiting");
        drop(third);
        assert!(fourth.await.is_some());
    }

    #[tokio::test]
    async fn a_full_queue_of_one_dataset_turns_away_no_writer_of_another() {
        const OTHERS_COUNT: u32 = 10_000;
        let turns = Turns::new(NonZeroU32::MIN);
        let _held = turns.take(&"hot").await;
        let mut waiting = Box::pin(turns.take(&"hot"));
        assert!(poll_immediate(&mut waiting).await.is_none());
        for other in 0..OTHERS_COUNT {
            assert!(turns.take(&other).await.is_some(), "{other}");
        }
    }

    #[tokio::test]
    async fn a_thing_without_writers_has_no_lock() {
        let turns = Turns::new(NonZeroU32::MIN);
        let held = turns.take(&"hot").await;
        let mut waiting = Box::pin(turns.take(&"hot"));
        assert!(poll_immediate(&mut waiting).await.is_none());
        assert!(turns.take(&"hot").await.is_none());
        drop((waiting, held));
        assert!(turns.locks.lock().is_empty());
    }
}
