//! Locks that keep the writers of one dataset in a row within this process.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

use tokio::sync::{Mutex, MutexGuard};

/// Number of locks. Datasets that share a lock by chance only wait for each other.
const TURNS_COUNT: usize = 1024;

/// Locks that keep writers of one thing in a row.
pub struct Turns {
    turns: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        let turns = (0..TURNS_COUNT).map(|_| Mutex::const_new(())).collect();
        Self { turns, hasher: RandomState::new() }
    }
}

impl Turns {
    /// Waits for the turn of `thing`.
    pub async fn take(&self, thing: &impl Hash) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(thing);
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits choose the lock")]
        self.turns[hash as usize % TURNS_COUNT].lock().await
    }
}
