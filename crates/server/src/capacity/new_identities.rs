//! Throttling of new identities: GetId takes no signature and stores a row, so it is limited per pool and per
//! source (`docs/protocol.md` section 10.2).

use std::num::NonZeroU32;

use carryall_core::ids::PoolId;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::LimitSettings;
use crate::source::Source;

/// The number of sources and pools that are remembered before idle ones are forgotten.
const KEYS_COUNT_MAX: usize = 65_536;
/// One source may have one in this many of a pool's new identities, even if its own limit is higher, so that no source
/// locks the others out.
const SHARE_ONE_IN: u32 = 4;

/// The two throttles of GetId.
pub struct NewIdentities {
    by_pool: DefaultKeyedRateLimiter<PoolId>,
    by_source: DefaultKeyedRateLimiter<Source>,
}

impl NewIdentities {
    /// Creates the throttles with the rates of the settings.
    pub fn new(limits: &LimitSettings) -> Self {
        let quota =
            |per_second: NonZeroU32, burst: NonZeroU32| Quota::per_second(per_second).allow_burst(burst);
        Self {
            by_pool: RateLimiter::keyed(quota(
                limits.new_identities_per_pool_per_second_max,
                limits.new_identities_per_pool_burst_max,
            )),
            by_source: RateLimiter::keyed(quota(
                of_source(
                    limits.new_identities_per_source_per_second_max,
                    limits.new_identities_per_pool_per_second_max,
                ),
                of_source(
                    limits.new_identities_per_source_burst_max,
                    limits.new_identities_per_pool_burst_max,
                ),
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

/// A source's limit, or its share of the limit of a pool if that is less.
fn of_source(per_source_max: NonZeroU32, per_pool_max: NonZeroU32) -> NonZeroU32 {
    let share = NonZeroU32::new(per_pool_max.get() / SHARE_ONE_IN).unwrap_or(NonZeroU32::MIN);
    per_source_max.min(share)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn one_source_cannot_use_up_what_a_pool_has() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let identities = NewIdentities::new(&LimitSettings {
            new_identities_per_pool_per_second_max: number(4),
            new_identities_per_pool_burst_max: number(8),
            new_identities_per_source_per_second_max: number(100),
            new_identities_per_source_burst_max: number(100),
            ..LimitSettings::default()
        });
        let pool = PoolId::parse("us-east-1:0").unwrap();
        let from = |last| Source::of(IpAddr::from([127, 0, 0, last]));
        let created = (0..8).filter(|_| identities.admit(&pool, from(1))).count();
        assert!((2..8).contains(&created), "{created}");
        assert!(identities.admit(&pool, from(2)));
    }

    #[test]
    fn a_source_has_its_own_limit_where_that_is_less_than_its_share() {
        let number = |number| NonZeroU32::new(number).unwrap();
        assert_eq!(of_source(number(100), number(1000)), number(100));
        assert_eq!(of_source(number(400), number(1000)), number(250));
        assert_eq!(of_source(number(5), number(3)), number(1));
    }
}
