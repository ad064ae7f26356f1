//! The table `[limits]` as an operator writes it: limits of data and of work.

use std::num::NonZeroU32;

use carryall_core::limits::Limits;
use serde::Deserialize;

/// A default of a setting that cannot be zero.
pub(super) const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// The default share of one source: one in this many of all.
const SOURCE_ONE_IN: u32 = 4;

/// The share of one source: as `set`, or a quarter of `total`.
pub(super) fn share_of_source(set: Option<NonZeroU32>, total: NonZeroU32) -> u32 {
    set.map_or((total.get() / SOURCE_ONE_IN).max(1), NonZeroU32::get)
}

/// The part of a body or an answer that is charged to the reserve of its memory budget, in bytes.
pub const SMALL_BYTES_MAX: usize = 64 * 1024;
/// The reserve is one part in this many of a memory budget.
const RESERVE_ONE_IN: usize = 4;

/// The reserve of a memory budget for small items, in bytes.
pub fn reserve_bytes(budget_bytes: usize) -> usize {
    (budget_bytes / RESERVE_ONE_IN).max(SMALL_BYTES_MAX)
}

/// The smallest memory budget that has `large_bytes` beside its reserve.
pub(super) fn least_budget_bytes(large_bytes: usize) -> usize {
    let reserve = large_bytes.div_ceil(RESERVE_ONE_IN - 1).max(SMALL_BYTES_MAX);
    large_bytes.saturating_add(reserve)
}

/// The table `[limits]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// See [`Limits::datasets_per_identity_max`].
    pub datasets_per_identity_max: u32,
    /// See [`Limits::records_per_dataset_max`].
    pub records_per_dataset_max: u32,
    /// See [`Limits::dataset_bytes_max`].
    pub dataset_bytes_max: u64,
    /// See [`Limits::key_bytes_max`].
    pub key_bytes_max: usize,
    /// See [`Limits::value_bytes_max`].
    pub value_bytes_max: usize,
    /// See [`Limits::tombstones_per_dataset_max`].
    pub tombstones_per_dataset_max: u32,
    /// See [`Limits::tombstone_key_bytes_per_dataset_max`].
    pub tombstone_key_bytes_per_dataset_max: u64,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// Memory for all request bodies in flight together, in bytes; never less than one body and the reserve.
    pub bodies_in_flight_bytes_max: usize,
    /// The largest difference between a signature's time and the server's, in seconds.
    pub clock_skew_seconds_max: u32,
    /// Connections at a time, those for probes not counted.
    pub connections_max: NonZeroU32,
    /// Connections of one source at a time; a quarter of all unless set.
    pub connections_per_source_max: Option<NonZeroU32>,
    /// Connections at a time that only probes may use, beyond the others.
    pub probe_connections_max: NonZeroU32,
    /// Requests in progress at a time; more are answered with 503.
    pub concurrent_requests_max: NonZeroU32,
    /// Requests of one identity in progress at a time.
    pub requests_per_caller_max: NonZeroU32,
    /// Requests of one source in progress at a time: of all its identities, and without a signature; a quarter of all
    /// unless set.
    pub requests_per_source_max: Option<NonZeroU32>,
    /// Updates that may wait for one dataset's turn; more are answered with 429.
    pub updates_waiting_per_dataset_max: NonZeroU32,
    /// The longest wait for a share or a total that is used up, in milliseconds.
    pub admission_wait_milliseconds_max: u32,
    /// Memory for all answers, from loading to writing, in bytes; never less than two of the largest and the
    /// reserve.
    pub answers_in_flight_bytes_max: usize,
    /// The largest JSON of one page of a listing, in bytes.
    pub page_bytes_max: usize,
    /// The lowest rate of a request body, in bytes per second.
    pub body_bytes_per_second_min: NonZeroU32,
    /// The lowest rate at which a peer that is behind must take an answer, in bytes per second.
    pub answer_bytes_per_second_min: NonZeroU32,
    /// The time in which a peer must take some of what is sent to it, in seconds.
    pub write_stall_seconds_max: NonZeroU32,
    /// The largest head of a request, in bytes.
    pub header_bytes_max: usize,
    /// The longest wait for a request's head, and the time for which an idle connection is kept, in seconds.
    pub header_seconds_max: NonZeroU32,
    /// The time limit for a request's body to arrive, and again for its operation, in seconds.
    pub request_seconds_max: NonZeroU32,
    /// The time for requests in flight to finish when the server stops, in seconds.
    pub shutdown_seconds_max: u32,
    /// Unsigned requests for new identities of one pool, per second.
    pub new_identities_per_pool_per_second_max: NonZeroU32,
    /// The burst of these requests.
    pub new_identities_per_pool_burst_max: NonZeroU32,
    /// Unsigned requests for new identities from one source, per second.
    pub new_identities_per_source_per_second_max: NonZeroU32,
    /// The burst of these requests.
    pub new_identities_per_source_burst_max: NonZeroU32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let rules = Limits::default();
        Self {
            datasets_per_identity_max: rules.datasets_per_identity_max,
            records_per_dataset_max: rules.records_per_dataset_max,
            dataset_bytes_max: rules.dataset_bytes_max,
            key_bytes_max: rules.key_bytes_max,
            value_bytes_max: rules.value_bytes_max,
            tombstones_per_dataset_max: rules.tombstones_per_dataset_max,
            tombstone_key_bytes_per_dataset_max: rules.tombstone_key_bytes_per_dataset_max,
            body_bytes_max: 8 * 1024 * 1024,
            bodies_in_flight_bytes_max: 64 * 1024 * 1024,
            clock_skew_seconds_max: 300,
            connections_max: at_least_one(4096),
            connections_per_source_max: None,
            probe_connections_max: at_least_one(64),
            concurrent_requests_max: at_least_one(1024),
            requests_per_caller_max: at_least_one(64),
            requests_per_source_max: None,
            updates_waiting_per_dataset_max: at_least_one(32),
            admission_wait_milliseconds_max: 1000,
            answers_in_flight_bytes_max: 64 * 1024 * 1024,
            page_bytes_max: 8 * 1024 * 1024,
            body_bytes_per_second_min: at_least_one(8 * 1024),
            answer_bytes_per_second_min: at_least_one(8 * 1024),
            write_stall_seconds_max: at_least_one(10),
            header_bytes_max: 32 * 1024,
            header_seconds_max: at_least_one(60),
            request_seconds_max: at_least_one(30),
            shutdown_seconds_max: 25,
            new_identities_per_pool_per_second_max: at_least_one(1000),
            new_identities_per_pool_burst_max: at_least_one(5000),
            new_identities_per_source_per_second_max: at_least_one(100),
            new_identities_per_source_burst_max: at_least_one(500),
        }
    }
}

impl LimitSettings {
    /// Connections of one source at a time.
    pub fn connections_per_source_max(&self) -> u32 {
        share_of_source(self.connections_per_source_max, self.connections_max)
    }

    /// Requests of one source in progress at a time.
    pub fn requests_per_source_max(&self) -> u32 {
        share_of_source(self.requests_per_source_max, self.concurrent_requests_max)
    }

    /// The largest answer, in bytes of JSON: a page, or a record that alone is larger and arrived in a body.
    pub fn answer_bytes_max(&self) -> usize {
        self.page_bytes_max.max(self.body_bytes_max)
    }

    /// The limits that the rules apply.
    pub fn of_the_rules(&self) -> Limits {
        Limits {
            datasets_per_identity_max: self.datasets_per_identity_max,
            records_per_dataset_max: self.records_per_dataset_max,
            dataset_bytes_max: self.dataset_bytes_max,
            key_bytes_max: self.key_bytes_max,
            value_bytes_max: self.value_bytes_max,
            tombstones_per_dataset_max: self.tombstones_per_dataset_max,
            tombstone_key_bytes_per_dataset_max: self.tombstone_key_bytes_per_dataset_max,
        }
    }
}
