//! The retry loop of the program: load, decide, commit, and again if the state changed meanwhile
//! (`docs/protocol.md` section 7.5).
//!
//! Within one process, writers of the same dataset take turns instead of racing, which is both fairer and
//! cheaper than retrying. Across processes the store's expectations decide, and the loop retries.

use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

use carryall_core::changes::Changes;
use carryall_core::store::{Committed, StoreError};

use super::State;
use super::turns::Turn;
use crate::failure::{Failure, Holder};
use crate::metrics::ServerLimit;

/// Doublings after which the pause no longer grows.
const DOUBLINGS_MAX: u32 = 8;

/// The outcome of one attempt.
pub enum Step<T> {
    /// Nothing has to be stored.
    Answer(T),
    /// The answer holds once the changes are committed.
    Commit(Changes, T),
}

/// The number of attempts and the pauses between them.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    /// All attempts, including the first.
    pub attempts_max: u32,
    /// The first pause, in milliseconds. It doubles with each attempt up to 256 times this value, and half of
    /// it is random.
    pub pause_millis: u64,
}

impl Tries {
    /// The tries of a request, with pauses of half a second in all. When they run out, the caller is asked to
    /// retry.
    pub const REQUEST: Self = Self { attempts_max: 8, pause_millis: 2 };
}

impl State {
    /// Repeats `step` in the turn of `thing` until its changes are committed or there is nothing to commit. Fails if
    /// too many writers are waiting for that turn.
    pub async fn attempt<T, F>(&self, thing: &impl Hash, step: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Step<T>, Failure>>,
    {
        self.in_turn(self.turns.take(thing).await, step).await
    }

    /// The same for background work, which waits however many writers are waiting: it has no caller who could retry
    /// soon.
    pub async fn attempt_in_background<T, F>(
        &self,
        thing: &impl Hash,
        step: impl FnMut() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Step<T>, Failure>>,
    {
        self.in_turn(self.turns.take_unbounded(thing).await, step).await
    }

    async fn in_turn<T, F>(&self, turn: Option<Turn<'_>>, step: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Step<T>, Failure>>,
    {
        let _turn = turn.ok_or(Failure::OverShare(ServerLimit::UpdatesWaiting, Holder::Dataset))?;
        self.retry(Tries::REQUEST, step).await?.ok_or(Failure::RetriesExhausted)
    }

    /// Repeats `step` until its changes are committed or there is nothing to commit. `None` if `tries` ran out.
    pub async fn retry<T, E, F>(&self, tries: Tries, mut step: impl FnMut() -> F) -> Result<Option<T>, E>
    where
        E: From<StoreError>,
        F: Future<Output = Result<Step<T>, E>>,
    {
        for attempt in 0..tries.attempts_max {
            if attempt > 0 {
                tokio::time::sleep(self.pause(tries, attempt)).await;
            }
            let (changes, answer) = match step().await? {
                Step::Answer(answer) => return Ok(Some(answer)),
                Step::Commit(changes, answer) => (changes, answer),
            };
            match self.commit(changes).await? {
                Committed::Done => return Ok(Some(answer)),
                Committed::Refused => self.metrics.commit_retried(),
            }
        }
        Ok(None)
    }

    fn pause(&self, tries: Tries, attempt: u32) -> Duration {
        let full = tries.pause_millis << attempt.min(DOUBLINGS_MAX);
        let mut random = [0; 1];
        self.clock.fill(&mut random);
        Duration::from_millis(full / 2 + u64::from(random[0]) * full / 512)
    }
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_with;

    use carryall_store::{StoreOptions, StoreUrl};
    use futures_util::future::poll_immediate;

    use super::super::tests::node;
    use super::*;
    use crate::clock::Clock;
    use crate::config::Settings;
    use crate::trust::seal::MasterKey;

    #[tokio::test]
    async fn background_work_waits_where_a_request_is_refused() {
        let store = carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap();
        let state = node(store, &MasterKey::generate(&Clock::system())).await;
        let waiting_max = Settings::default().limits.updates_waiting_per_dataset_max.get();
        let held = state.turns.take(&"hot").await;
        let mut waiting: Vec<_> =
            repeat_with(|| Box::pin(state.turns.take(&"hot"))).take(waiting_max as usize).collect();
        for waiter in &mut waiting {
            assert!(poll_immediate(waiter).await.is_none());
        }
        let step = || async { Ok(Step::Answer(())) };
        assert!(state.attempt(&"hot", step).await.is_err());
        assert!(state.attempt(&"quiet", step).await.is_ok());
        let mut sweep = Box::pin(state.attempt_in_background(&"hot", step));
        assert!(poll_immediate(&mut sweep).await.is_none());
        drop((held, waiting));
        assert!(sweep.await.is_ok());
    }
}
