//! The one retry loop: load, decide, commit, and again if the state moved meanwhile (`docs/protocol.md`
//! section 7.5).
//!
//! Within one process writers of the same dataset take turns instead of racing, which is both fairer
//! and cheaper than retrying; across processes the store's expectations decide and the loop tries again.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use carryall_core::changes::Changes;
use carryall_core::store::StoreError;
use tokio::sync::{Mutex, MutexGuard};

use crate::app::App;
use crate::error::Failure;

/// How often one request is decided before the caller is asked to come back.
const ATTEMPTS_MAX: u32 = 8;
/// The first pause between two attempts, in milliseconds; it doubles, and half of it is random.
const PAUSE_MILLIS: u64 = 2;
/// Locks; datasets that share one by chance merely wait for each other.
const TURNS_COUNT: usize = 1024;

/// What one attempt came to.
pub enum Step<T> {
    /// Nothing has to be stored.
    Answer(T),
    /// The answer holds once the changes are committed.
    Commit(Changes, T),
}

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

/// Repeats `step` in the turn of `thing` until its changes are committed or there is nothing to commit.
pub async fn attempt<T, F>(app: &App, thing: &impl Hash, mut step: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<Step<T>, Failure>>,
{
    let _turn = app.turns.take(thing).await;
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            tokio::time::sleep(pause(app, attempt)).await;
        }
        let (changes, answer) = match step().await? {
            Step::Answer(answer) => return Ok(answer),
            Step::Commit(changes, answer) => (changes, answer),
        };
        match app.commit(changes).await {
            Ok(()) => return Ok(answer),
            Err(StoreError::Conflict) => app.metrics.commit_retried(),
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. })) => {
                return Err(Failure::Store(error));
            }
        }
    }
    Err(Failure::RetriesExhausted)
}

/// The pause before an attempt: doubling, and half of it random.
pub fn pause(app: &App, attempt: u32) -> Duration {
    let full = PAUSE_MILLIS << attempt.min(8);
    let mut random = [0; 1];
    app.clock.fill(&mut random);
    Duration::from_millis(full / 2 + u64::from(random[0]) * full / 512)
}
