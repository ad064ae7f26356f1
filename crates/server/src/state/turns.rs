//! Locks that serialize the writers of one dataset within this process, with a bound on the number that wait.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// The number of locks. Datasets that share a lock by chance only wait for each other.
const TURNS_COUNT: usize = 1024;

/// Locks that serialize the writers of one thing.
pub struct Turns {
    locks: Box<[Turn]>,
    waiting_max: u32,
    hasher: RandomState,
}

struct Turn {
    lock: Mutex<()>,
    waiting: AtomicU32,
}

/// Counts one waiter until it is dropped.
struct Waiting<'t>(&'t AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    /// Creates turns, each with up to `waiting_max` waiting writers.
    pub fn new(waiting_max: NonZeroU32) -> Self {
        let turn = || Turn { lock: Mutex::const_new(()), waiting: AtomicU32::new(0) };
        let locks = std::iter::repeat_with(turn).take(TURNS_COUNT).collect();
        Self { locks, waiting_max: waiting_max.get(), hasher: RandomState::new() }
    }

    /// Waits for the turn of `thing`. `None` if too many writers are waiting for it.
    pub async fn take(&self, thing: &impl Hash) -> Option<MutexGuard<'_, ()>> {
        let hash = self.hasher.hash_one(thing);
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits choose the lock")]
        let turn = &self.locks[hash as usize % TURNS_COUNT];
        if let Ok(taken) = turn.lock.try_lock() {
            return Some(taken);
        }
        let before = turn.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&turn.waiting);
        if before >= self.waiting_max {
            return None;
        }
        Some(turn.lock.lock().await)
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
}
