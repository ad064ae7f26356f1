//! The one retry loop: load, decide, commit, and again if the state moved meanwhile (`docs/protocol.md`
//! section 7.5).
//!
//! Within one process writers of the same dataset take turns instead of racing, which is both fairer
//! and cheaper than retrying; across processes the store's expectations decide and the loop tries again.

use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

use carryall_core::changes::Changes;
use carryall_core::store::Committed;

use crate::app::App;
use crate::failure::Failure;

/// How often one request is decided before the caller is asked to come back.
const ATTEMPTS_MAX: u32 = 8;
/// The first pause between two attempts, in milliseconds; it doubles, and half of it is random.
const PAUSE_MILLIS: u64 = 2;

/// What one attempt came to.
pub enum Step<T> {
    /// Nothing has to be stored.
    Answer(T),
    /// The answer holds once the changes are committed.
    Commit(Changes, T),
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
        match app.commit(changes).await? {
            Committed::Done => return Ok(answer),
            Committed::Refused => app.metrics.commit_retried(),
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
