//! Metrics for operators, in Prometheus' text format. Recording is cheap: every series is resolved once and
//! then found by index. No label has an id.

mod effects;
mod tasks;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use carryall_core::store::{Figure, FigureKind};
use carryall_wire::fault::FaultKind;
use carryall_wire::spec::{OperationName, Service};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use self::effects::{Delivery, EffectMetrics};
pub use self::tasks::TaskMetrics;

/// The prefix of every name.
const PREFIX: &str = "carryall";
/// The operation of a request without one, and the outcome that no table has.
const OTHER: &str = "unknown";
/// The label of a request for a live channel, which the log uses too; it is no operation of the API.
pub const LIVE_CHANNEL: &str = "Changes";
/// The outcome of a successful request.
pub const OK: &str = "ok";
/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 14] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

/// A limit of the server that turned work away or made it wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerLimit {
    /// `connections_max`.
    Connections,
    /// `connections_per_source_max`.
    ConnectionsPerSource,
    /// `write_stall_seconds_max` or `answer_bytes_per_second_min`.
    WriteStall,
    /// `concurrent_requests_max`.
    ConcurrentRequests,
    /// `request_seconds_max`.
    RequestSeconds,
    /// `body_bytes_max`, or the operation's own.
    BodyBytes,
    /// `body_bytes_per_second_min`, or `request_seconds_max` for a body.
    BodyBytesPerSecond,
    /// `bodies_in_flight_bytes_max`.
    BodiesInFlightBytes,
    /// `answers_in_flight_bytes_max`.
    AnswersInFlightBytes,
    /// The number of large answers being loaded and encoded, which is no setting.
    AnswersBuilding,
    /// `updates_waiting_per_dataset_max`.
    UpdatesWaiting,
    /// `new_identities_…_max`.
    NewIdentities,
    /// `live.subscribers_max`, or that of one identity or one source.
    LiveSubscribers,
    /// `trigger.calls_per_function_max`.
    TriggerCalls,
    /// `outbox.events_per_pool_max` or `outbox.bytes_per_pool_max`.
    OutboxOfPool,
    /// The memory for large events being delivered, which is no setting.
    LargeEvents,
}

impl ServerLimit {
    const ALL: [Self; 16] = [
        Self::Connections,
        Self::ConnectionsPerSource,
        Self::WriteStall,
        Self::ConcurrentRequests,
        Self::RequestSeconds,
        Self::BodyBytes,
        Self::BodyBytesPerSecond,
        Self::BodiesInFlightBytes,
        Self::AnswersInFlightBytes,
        Self::AnswersBuilding,
        Self::UpdatesWaiting,
        Self::NewIdentities,
        Self::LiveSubscribers,
        Self::TriggerCalls,
        Self::OutboxOfPool,
        Self::LargeEvents,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections_max",
            Self::ConnectionsPerSource => "connections_per_source_max",
            Self::WriteStall => "write_stall_seconds_max",
            Self::ConcurrentRequests => "concurrent_requests_max",
            Self::RequestSeconds => "request_seconds_max",
            Self::BodyBytes => "body_bytes_max",
            Self::BodyBytesPerSecond => "body_bytes_per_second_min",
            Self::BodiesInFlightBytes => "bodies_in_flight_bytes_max",
            Self::AnswersInFlightBytes => "answers_in_flight_bytes_max",
            Self::AnswersBuilding => "answers_building_max",
            Self::UpdatesWaiting => "updates_waiting_per_dataset_max",
            Self::NewIdentities => "new_identities_max",
            Self::LiveSubscribers => "live_subscribers_max",
            Self::TriggerCalls => "trigger_calls_per_function_max",
            Self::OutboxOfPool => "outbox_per_pool_max",
            Self::LargeEvents => "large_events_bytes_max",
        }
    }
}

/// All metrics of the server. The store adds its own when the page is written.
pub struct Metrics {
    registry: Registry,
    operations: HashMap<&'static str, usize>,
    outcomes: HashMap<&'static str, usize>,
    outcome_names: Vec<&'static str>,
    operation_names: Vec<&'static str>,
    requests: Family<RequestLabels, Counter>,
    /// One cell per operation and outcome, filled on first use: most never occur and are not on the page.
    request_cells: Box<[OnceLock<Counter>]>,
    durations: Family<OperationLabel, Histogram, fn() -> Histogram>,
    duration_cells: Box<[OnceLock<Histogram>]>,
    conflicts: Counter,
    tombstones_forgotten: Counter,
    listings_below_forgotten: Counter,
    commits_retried: Counter,
    sessions: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    limits_hit: [Counter; ServerLimit::ALL.len()],
    /// Deliveries, triggers and live channels.
    pub effects: EffectMetrics,
    /// Counters of background tasks.
    pub tasks: TaskMetrics,
    connections: Gauge,
    requests_in_flight: Gauge,
}

/// Adds to a gauge until it is dropped.
pub struct Counted<'m> {
    gauge: &'m Gauge,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// The position of each name, for look-ups by text.
fn positions(names: &[&'static str]) -> HashMap<&'static str, usize> {
    names.iter().enumerate().map(|(index, name)| (*name, index)).collect()
}

/// The outcomes that can occur: success, or any fault by its name in any service.
fn outcome_names() -> Vec<&'static str> {
    let services = [Service::Sync, Service::Identity, Service::Sts];
    let mut names: Vec<&'static str> =
        FaultKind::ALL.iter().flat_map(|kind| services.map(|service| kind.name(service))).collect();
    names.sort_unstable();
    names.dedup();
    names.splice(0..0, [OTHER, OK]);
    names
}

fn operation_names() -> Vec<&'static str> {
    let operations = OperationName::ALL.iter().map(|name| name.as_str());
    [OTHER, LIVE_CHANNEL].into_iter().chain(operations).collect()
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Creates all metrics, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("requests", "Requests by operation and outcome", requests.clone());
        let durations =
            Family::<OperationLabel, Histogram, fn() -> Histogram>::new_with_constructor(histogram);
        let help = "Time from the head of a request to its answer, by operation";
        registry.register_with_unit("request_duration", help, Unit::Seconds, durations.clone());
        let limits = Family::<LimitLabel, Counter>::default();
        registry.register("limits_hit", "Work turned away or made to wait, by limit", limits.clone());
        let (operation_names, outcome_names) = (operation_names(), outcome_names());
        let cells = operation_names.len() * outcome_names.len();
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::<u64, AtomicU64>::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let conflicts = counter("conflicts", "Updates refused because a record had changed");
        let help = "Tombstones forgotten because a dataset had too many";
        let tombstones_forgotten = counter("tombstones_forgotten", help);
        let help =
            "Listings from a count below that of a forgotten tombstone: the device may keep a removed record";
        let listings_below_forgotten = counter("listings_below_forgotten_tombstones", help);
        let commits_retried =
            counter("commits_retried", "Commits decided again because the state had changed");
        let sessions = counter("sync_sessions", "Sync sessions begun");
        let request_bytes = counter("request_body_bytes", "Bytes of request bodies");
        let response_bytes = counter("response_body_bytes", "Bytes of response bodies");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let connections = gauge("connections", "Connections that are open");
        let requests_in_flight = gauge("requests_in_flight", "Requests in progress");
        Self {
            effects: EffectMetrics::register(&mut registry),
            tasks: TaskMetrics::register(&mut registry),
            operations: positions(&operation_names),
            outcomes: positions(&outcome_names),
            request_cells: std::iter::repeat_with(OnceLock::new).take(cells).collect(),
            duration_cells: std::iter::repeat_with(OnceLock::new).take(operation_names.len()).collect(),
            limits_hit: ServerLimit::ALL
                .map(|limit| limits.get_or_create_owned(&LimitLabel { limit: limit.label() })),
            operation_names,
            outcome_names,
            requests,
            durations,
            conflicts,
            tombstones_forgotten,
            listings_below_forgotten,
            commits_retried,
            sessions,
            request_bytes,
            response_bytes,
            connections,
            requests_in_flight,
            registry,
        }
    }

    /// Counts a request of `operation` (empty if it named none) that ended with `outcome`: [`OK`] or the
    /// fault's name.
    pub fn record_request(&self, operation: &str, outcome: &str, seconds: f64) {
        let operation = self.operations.get(operation).copied().unwrap_or(0);
        let outcome = self.outcomes.get(outcome).copied().unwrap_or(0);
        let name = self.operation_names[operation];
        self.request_cells[operation * self.outcome_names.len() + outcome]
            .get_or_init(|| {
                let outcome = self.outcome_names[outcome];
                self.requests.get_or_create_owned(&RequestLabels { operation: name, outcome })
            })
            .inc();
        self.duration_cells[operation]
            .get_or_init(|| self.durations.get_or_create_owned(&OperationLabel { operation: name }))
            .observe(seconds);
    }

    /// Counts tombstones that an update forgot.
    pub fn tombstones_forgotten(&self, count: u64) {
        self.tombstones_forgotten.inc_by(count);
    }

    /// Counts a listing that may leave a removed record on a device, because its tombstone was forgotten.
    pub fn listed_below_forgotten(&self) {
        self.listings_below_forgotten.inc();
    }

    /// Counts an update that was refused because a record had changed.
    pub fn conflict(&self) {
        self.conflicts.inc();
    }

    /// Counts a commit that is decided again.
    pub fn commit_retried(&self) {
        self.commits_retried.inc();
    }

    /// Counts a sync session.
    pub fn session_begun(&self) {
        self.sessions.inc();
    }

    /// Counts the bytes of a request body and of its answer.
    pub fn bytes(&self, request: usize, response: usize) {
        self.request_bytes.inc_by(request as u64);
        self.response_bytes.inc_by(response as u64);
    }

    /// Counts that `limit` turned work away or made it wait.
    pub fn limit_hit(&self, limit: ServerLimit) {
        self.limits_hit[limit as usize].inc();
    }

    /// Counts a connection until the returned value is dropped.
    pub fn connection(&self) -> Counted<'_> {
        counted(&self.connections)
    }

    /// Counts a request in flight until the returned value is dropped.
    pub fn request(&self) -> Counted<'_> {
        counted(&self.requests_in_flight)
    }

    /// Formats the page: the server's metrics, then `figures`, the numbers of other parts.
    pub fn page(&self, figures: &[Figure]) -> Result<String, std::fmt::Error> {
        let mut page = String::with_capacity(16 * 1024);
        encode_registry(&mut page, &self.registry)?;
        for figure in figures {
            let (kind, suffix) = match figure.kind {
                FigureKind::Counter => ("counter", "_total"),
                FigureKind::Gauge => ("gauge", ""),
            };
            let name = figure.name.strip_suffix(suffix).unwrap_or(figure.name);
            writeln!(page, "# HELP {PREFIX}_{name} {}.", figure.help.trim_end_matches('.'))?;
            writeln!(page, "# TYPE {PREFIX}_{name} {kind}")?;
            writeln!(page, "{PREFIX}_{name}{suffix} {}", figure.value)?;
        }
        encode_eof(&mut page)?;
        Ok(page)
    }
}

fn counted(gauge: &Gauge) -> Counted<'_> {
    gauge.inc();
    Counted { gauge }
}

#[cfg(test)]
mod tests {
    use carryall_store::{StoreOptions, StoreUrl};

    use super::*;
    use crate::capacity::Capacity;
    use crate::config::{Config, Settings};

    #[test]
    fn requests_are_counted_by_operation_and_outcome_with_their_time() {
        let metrics = Metrics::new();
        metrics.record_request("ListRecords", OK, 0.002);
        metrics.record_request("ListRecords", "NotAuthorizedException", 0.002);
        metrics.record_request("NoSuchThing", "NoSuchFault", 0.002);
        let page = metrics.page(&[]).unwrap();
        for line in [
            r#"carryall_requests_total{operation="ListRecords",outcome="ok"} 1"#,
            r#"carryall_requests_total{operation="ListRecords",outcome="NotAuthorizedException"} 1"#,
            r#"carryall_requests_total{operation="unknown",outcome="unknown"} 1"#,
            r#"carryall_request_duration_seconds_bucket{le="0.0025",operation="ListRecords"} 2"#,
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn every_limit_has_a_series_of_its_own() {
        let metrics = Metrics::new();
        for limit in ServerLimit::ALL {
            metrics.limit_hit(limit);
            let line = format!(r#"carryall_limits_hit_total{{limit="{}"}} 1"#, limit.label());
            assert!(metrics.page(&[]).unwrap().contains(&line), "{line}");
        }
    }

    #[test]
    fn what_is_in_flight_is_counted_until_it_is_dropped() {
        let metrics = Metrics::new();
        let request = metrics.request();
        assert!(metrics.page(&[]).unwrap().contains("carryall_requests_in_flight 1\n"));
        drop(request);
        assert!(metrics.page(&[]).unwrap().contains("carryall_requests_in_flight 0\n"));
    }

    #[tokio::test]
    async fn every_metric_has_its_row_in_the_operators_manual() {
        let manual = include_str!("../../../../docs/operating.md");
        let home = tempfile::tempdir().unwrap();
        let url = StoreUrl::Embedded(home.path().join("data"));
        let store = carryall_store::open(&url, &StoreOptions::default()).unwrap();
        let capacity = Capacity::new(&Config::check(Settings::default()).unwrap());
        let figures = [capacity.figures().to_vec(), store.figures()].concat();
        let page = Metrics::new().page(&figures).unwrap();
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let names: Vec<String> = types
            .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
            .collect();
        assert!(names.iter().any(|name| name == "carryall_store_commits_total"), "{names:?}");
        for name in names {
            let is_named =
                [format!("`{name}`"), format!("`{name}{{")].iter().any(|name| manual.contains(name));
            assert!(is_named, "{name} has no row in docs/operating.md");
        }
    }

    #[test]
    fn the_stores_figures_are_on_the_page_in_one_spelling() {
        let figure = |name, kind| Figure { name, help: "Commits", kind, value: 2.5 };
        let page = Metrics::new()
            .page(&[figure("commits_total", FigureKind::Counter), figure("queue_commits", FigureKind::Gauge)])
            .unwrap();
        for line in [
            "# TYPE carryall_commits counter\n",
            "carryall_commits_total 2.5\n",
            "carryall_queue_commits 2.5\n",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    }
}
