//! Supervision of the tasks that run as long as the server does. None of them can end unnoticed.
//!
//! A task is of one of two kinds:
//!
//! - A **loop** keeps nothing between its rounds that is not in the store. After a panic or an unexpected end
//!   it is restarted, and the restart is counted (`carryall_task_restarts_total`).
//! - An **essential** task has state that a restart would lose, or is the reason for the server to run. If it
//!   ends early, the server stops with an error. Its supervisor then starts a new process, which finds its
//!   work in the store.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, pending};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::sleep;

use crate::metrics::TaskMetrics;
use crate::stop::told_to_stop;

/// The pause before a loop is restarted, so that one that panics at once does not take a core.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// The running tasks, which are aborted on drop.
pub struct Supervisor {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    metrics: TaskMetrics,
    stop: watch::Receiver<bool>,
    restart_pause: Duration,
}

/// An essential task that ended although the server was not stopping.
#[derive(Debug, PartialEq, Eq)]
pub struct EndedEarly {
    task: &'static str,
    has_panicked: bool,
}

impl fmt::Display for EndedEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, has_panicked } = self;
        let how = if *has_panicked { "panicked" } else { "ended unexpectedly" };
        write!(f, "the server stopped because an essential task {how}: {task}")
    }
}

impl Supervisor {
    /// A supervisor whose loops end once `stop` turns true.
    pub fn new(metrics: TaskMetrics, stop: watch::Receiver<bool>) -> Self {
        let restart_pause = RESTART_PAUSE;
        Self { tasks: JoinSet::new(), names: HashMap::new(), metrics, stop, restart_pause }
    }

    /// The signal that stops the server, for a task that has work to finish then.
    pub fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Runs an essential task. It must return once the server stops, not earlier.
    pub fn essential(&mut self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(work);
        self.names.insert(handle.id(), task);
    }

    /// Runs a loop, which `begin` restarts after each panic. The stop drops it at the point where it waits.
    pub fn restartable<F>(&mut self, task: &'static str, mut begin: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (metrics, mut stop, pause) = (self.metrics.clone(), self.stop.clone(), self.restart_pause);
        self.essential(task, async move {
            let restarts = async {
                loop {
                    let mut run = JoinSet::new();
                    run.spawn(begin());
                    let ended = run.join_next().await;
                    let has_panicked = ended.is_some_and(|ended| has_panicked(&ended));
                    tracing::error!(task, has_panicked, "a background task ended and is restarted");
                    metrics.restarted(task);
                    sleep(pause).await;
                }
            };
            tokio::select! {
                () = restarts => {}
                () = told_to_stop(&mut stop) => {}
            }
        });
    }

    /// Waits until an essential task ends early. It is meant for the time before the server stops.
    pub async fn ended_early(&mut self) -> EndedEarly {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => EndedEarly { task: self.name(id), has_panicked: false },
            Some(Err(error)) => EndedEarly { task: self.name(error.id()), has_panicked: error.is_panic() },
            None => pending().await,
        }
    }

    /// Waits for all tasks to end after the stop. Returns the first one that panicked meanwhile, if any did.
    pub async fn finish(mut self) -> Result<(), EndedEarly> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended
                && outcome.is_ok()
            {
                outcome = Err(EndedEarly { task: self.name(error.id()), has_panicked: error.is_panic() });
            }
        }
        outcome
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or_default()
    }
}

fn has_panicked(ended: &Result<(), JoinError>) -> bool {
    ended.as_ref().is_err_and(JoinError::is_panic)
}

#[cfg(test)]
impl Supervisor {
    /// A supervisor that restarts loops without a pause.
    pub fn without_pause(metrics: TaskMetrics, stop: watch::Receiver<bool>) -> Self {
        Self { restart_pause: Duration::ZERO, ..Self::new(metrics, stop) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::metrics::Metrics;

    fn panics() {
        panic!("planted");
    }

    #[tokio::test]
    async fn an_essential_task_that_panics_or_returns_is_reported_by_name() {
        let (_running, stop) = watch::channel(false);
        let mut supervisor = Supervisor::new(TaskMetrics::default(), stop);
        supervisor.essential("deliveries", async { panics() });
        let ended = supervisor.ended_early().await;
        assert_eq!(ended.to_string(), "the server stopped because an essential task panicked: deliveries");
        supervisor.essential("connections", async {});
        let ended = supervisor.ended_early().await;
        assert_eq!(ended, EndedEarly { task: "connections", has_panicked: false });
    }

    #[tokio::test]
    async fn a_loop_that_panics_or_returns_is_started_again_and_counted() {
        let (running, stop) = watch::channel(false);
        let metrics = Metrics::new();
        let mut supervisor = Supervisor::without_pause(metrics.tasks.clone(), stop);
        let (runs, third) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let begin = {
            let third = Arc::clone(&third);
            move || {
                let (runs, third) = (Arc::clone(&runs), Arc::clone(&third));
                async move {
                    match runs.fetch_add(1, Ordering::Relaxed) {
                        0 => panics(),
                        1 => {}
                        _ => {
                            third.notify_one();
                            pending::<()>().await;
                        }
                    }
                }
            }
        };
        supervisor.restartable("sweeps", begin);
        tokio::select! {
            () = third.notified() => {}
            ended = supervisor.ended_early() => panic!("{ended}"),
        }
        let page = metrics.page(&[]).unwrap();
        assert!(page.contains(r#"carryall_task_restarts_total{task="sweeps"} 2"#), "{page}");
        running.send(true).unwrap();
        assert_eq!(supervisor.finish().await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_during_the_stop_is_reported_after_all_tasks_have_ended() {
        let (running, stop) = watch::channel(false);
        let mut supervisor = Supervisor::new(TaskMetrics::default(), stop);
        let (mut first, mut second) = (supervisor.stop(), supervisor.stop());
        supervisor.essential("deliveries", async move {
            told_to_stop(&mut first).await;
            panics();
        });
        let finished = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&finished);
        supervisor.essential("connections", async move {
            told_to_stop(&mut second).await;
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::Relaxed);
        });
        running.send(true).unwrap();
        assert_eq!(supervisor.finish().await, Err(EndedEarly { task: "deliveries", has_panicked: true }));
        assert_eq!(finished.load(Ordering::Relaxed), 1);
    }
}
