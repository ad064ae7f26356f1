//! Counters of background tasks, which run as long as the server does.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TaskLabel {
    task: &'static str,
}

/// Counters of background tasks. Clones count into the same series.
#[derive(Clone, Debug, Default)]
pub struct TaskMetrics {
    restarts: Family<TaskLabel, Counter>,
    sweeps_put_off: Counter,
}

impl TaskMetrics {
    /// Registers all counters, at zero, on the page of `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let of = Self::default();
        let help = "Background tasks that panicked or ended too early and were restarted, by task";
        registry.register("task_restarts", help, of.restarts.clone());
        let help = "Sweeps of deleted identities that failed and are retried later";
        registry.register("sweeps_put_off", help, of.sweeps_put_off.clone());
        of
    }

    /// Counts one restart of `task`.
    pub fn restarted(&self, task: &'static str) {
        self.restarts.get_or_create_owned(&TaskLabel { task }).inc();
    }

    /// Counts a sweep that failed.
    pub fn sweep_put_off(&self) {
        self.sweeps_put_off.inc();
    }
}
