//! Every limit of the rules, with its unit in its name. Limits of connections, queues and buffers belong to
//! the server and the stores, next to the code that applies them.

/// The limits that an operator can change; the defaults are the service's (`docs/protocol.md` section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Datasets of one identity at a time.
    pub datasets_per_identity_max: u32,
    /// Records of one dataset at a time, removed ones not counted.
    pub records_per_dataset_max: u32,
    /// The size of one dataset: UTF-8 bytes of keys and values, removed records not counted.
    pub dataset_bytes_max: u64,
    /// The size of one record key, in UTF-8 bytes.
    pub key_bytes_max: usize,
    /// The size of one record value, in UTF-8 bytes.
    pub value_bytes_max: usize,
    /// Tombstones that one dataset keeps. Beyond this number the oldest are forgotten (section 7.7).
    pub tombstones_per_dataset_max: u32,
    /// UTF-8 bytes of the keys of the tombstones that one dataset keeps. Beyond this size the oldest are
    /// forgotten.
    pub tombstone_key_bytes_per_dataset_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            datasets_per_identity_max: 20,
            records_per_dataset_max: 1024,
            dataset_bytes_max: 1024 * 1024,
            key_bytes_max: 1024,
            value_bytes_max: 1_048_575,
            tombstones_per_dataset_max: 10_240,
            tombstone_key_bytes_per_dataset_max: 1024 * 1024,
        }
    }
}

/// Patches of one UpdateRecords: every record that a dataset can hold, and as many removals.
pub const PATCHES_PER_UPDATE_MAX: usize = 16_384;

/// Identities that one DeleteIdentities may name (section 10.5).
pub const IDENTITIES_PER_DELETION_MAX: usize = 60;

/// Login providers of one pool that may have role mappings (section 10.6).
pub const ROLE_MAPPINGS_PER_POOL_MAX: usize = 10;

/// The role mappings of one pool as they are stored, in bytes of JSON (section 10.6). They are part of the pool, which
/// nearly every request reads.
pub const ROLE_MAPPINGS_BYTES_PER_POOL_MAX: usize = 64 * 1024;

/// The fraction of the tombstone limits that is forgotten at once: one in this many (section 7.7).
pub const TOMBSTONES_FORGOTTEN_ONE_IN: u64 = 8;

/// The largest page of records; a larger MaxResults means this (section 7.3).
pub const RECORDS_PER_PAGE_MAX: u32 = 1024;

/// The largest page of datasets; a larger MaxResults means this (section 7.9).
pub const DATASETS_PER_PAGE_MAX: u32 = 1024;

/// The largest page of pools, and the page size without a MaxResults (section 8.2).
pub const POOLS_PER_PAGE_MAX: u32 = 1024;

/// Markers of deleted dataset names that are kept per identity; beyond it the floor absorbs one (section
/// 7.10).
pub const DELETED_NAMES_PER_IDENTITY_MAX: u32 = 256;

/// The number of used-up sync sessions that a dataset remembers (section 7.4).
pub const USED_SESSIONS_MAX: usize = 32;

/// The lifetime of a sync session token and of the page tokens of its listing, in seconds (section 7.4).
pub const SESSION_SECONDS_MAX: u32 = 3600;

/// The longest lifetime of temporary credentials of an identity, in seconds (section 5.2).
pub const CREDENTIALS_SECONDS_MAX: u32 = 43_200;

/// Registered devices of one identity. One more replaces the device whose registration is oldest (section
/// 9.4).
pub const DEVICES_PER_IDENTITY_MAX: usize = 32;

/// Subscriptions of one device (section 9.4).
pub const SUBSCRIPTIONS_PER_DEVICE_MAX: usize = 256;

/// The time between a successful bulk publication of a pool and the start of the next, in seconds (section
/// 9.3).
pub const BULK_PUBLISH_PAUSE_SECONDS: u32 = 86_400;
