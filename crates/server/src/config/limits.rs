//! The table `[limits]` as an operator writes it: bounds on data and on work.

use std::num::NonZeroU32;

use carryall_core::limits::Limits;
use serde::Deserialize;

/// A default of a setting that takes no zero.
pub(super) const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// The table `[limits]`; `config.default.toml` says what each is for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    pub datasets_per_identity_max: u32,
    pub records_per_dataset_max: u32,
    pub dataset_bytes_max: u64,
    pub key_bytes_max: usize,
    pub value_bytes_max: usize,
    pub tombstones_per_dataset_max: u32,
    pub tombstone_key_bytes_per_dataset_max: u64,
    pub body_bytes_max: usize,
    pub bodies_in_flight_bytes_max: usize,
    pub clock_skew_seconds_max: u32,
    pub connections_max: NonZeroU32,
    pub connections_per_source_max: Option<NonZeroU32>,
    pub probe_connections_max: NonZeroU32,
    pub concurrent_requests_max: NonZeroU32,
    pub requests_per_caller_max: NonZeroU32,
    pub updates_waiting_per_dataset_max: NonZeroU32,
    pub admission_wait_milliseconds_max: u32,
    pub answers_in_flight_bytes_max: usize,
    pub page_bytes_max: usize,
    pub body_bytes_per_second_min: NonZeroU32,
    pub answer_bytes_per_second_min: NonZeroU32,
    pub write_stall_seconds_max: NonZeroU32,
    pub header_bytes_max: usize,
    pub header_seconds_max: NonZeroU32,
    pub request_seconds_max: NonZeroU32,
    pub shutdown_seconds_max: u32,
    pub new_identities_per_pool_per_second_max: NonZeroU32,
    pub new_identities_per_pool_burst_max: NonZeroU32,
    pub new_identities_per_source_per_second_max: NonZeroU32,
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
    /// Those among them that the rules apply.
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
