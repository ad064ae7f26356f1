//! How many new identities may be asked for: GetId takes no signature and stores a row, so it is throttled per pool
//! and per source (`docs/protocol.md` section 10.2).

use std::num::NonZeroU32;

use carryall_core::ids::PoolId;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::LimitSettings;
use crate::source::Source;

/// Sources and pools remembered before those that have been quiet are forgotten.
const KEYS_COUNT_MAX: usize = 65_536;

/// The two throttles of GetId.
pub struct NewIdentities {
    by_pool: DefaultKeyedRateLimiter<PoolId>,
    by_source: DefaultKeyedRateLimiter<Source>,
}

impl NewIdentities {
    /// Throttles as the settings say.
    pub fn new(limits: &LimitSettings) -> Self {
        let quota =
            |per_second: NonZeroU32, burst: NonZeroU32| Quota::per_second(per_second).allow_burst(burst);
        Self {
            by_pool: RateLimiter::keyed(quota(
                limits.new_identities_per_pool_per_second_max,
                limits.new_identities_per_pool_burst_max,
            )),
            by_source: RateLimiter::keyed(quota(
                limits.new_identities_per_source_per_second_max,
                limits.new_identities_per_source_burst_max,
            )),
        }
    }

    /// True if one more identity of `pool` may be created from `source` now.
    pub fn admit(&self, pool: &PoolId, source: Source) -> bool {
        if self.by_source.len() > KEYS_COUNT_MAX {
            self.by_source.retain_recent();
        }
        if self.by_pool.len() > KEYS_COUNT_MAX {
            self.by_pool.retain_recent();
        }
        self.by_source.check_key(&source).is_ok() && self.by_pool.check_key(pool).is_ok()
    }
}
