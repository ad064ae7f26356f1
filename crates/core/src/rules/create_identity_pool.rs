//! CreateIdentityPool: creates a pool with an unused id (`docs/protocol.md` section 10.1).

use crate::changes::{Changes, Expect, Write};
use crate::model::{Pool, PoolRef};
use crate::refusal::Refusal;
use crate::rules::set_identity_pool::Settings;
use crate::time::UnixMillis;

/// The commit that creates a pool with `settings` at `at`, and the pool.
pub fn decide(settings: Settings, at: PoolRef, now: UnixMillis) -> Result<(Changes, Pool), Refusal> {
    settings.check()?;
    settings.check_user_pools()?;
    let expect = vec![Expect::NoPool(at.id.clone())];
    let pool = settings.create(at, now);
    Ok((Changes { expect, write: vec![Write::PutPool(Box::new(pool.clone()))] }, pool))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserPoolProvider;
    use crate::rules::samples;

    fn named(name: &str) -> Settings {
        Settings { name: name.to_owned(), ..Settings::default() }
    }

    #[test]
    fn a_pool_is_created_where_there_is_none() {
        let at = samples::pool().at;
        let (changes, pool) = decide(named("notes"), at.clone(), UnixMillis(7)).unwrap();
        assert_eq!((pool.at.clone(), pool.created), (at.clone(), UnixMillis(7)));
        assert_eq!(changes.expect, [Expect::NoPool(at.id)]);
        assert_eq!(changes.write, [Write::PutPool(Box::new(pool))]);
    }

    #[test]
    fn settings_that_break_a_constraint_create_nothing() {
        let at = samples::pool().at;
        assert!(matches!(decide(named(""), at.clone(), UnixMillis(7)), Err(Refusal::Violation(_))));
        let provider = UserPoolProvider { provider: Some("x".to_owned()), ..UserPoolProvider::default() };
        let settings = Settings { user_pools: vec![provider], ..named("notes") };
        let refusal = Refusal::UserPoolProviderName("x".to_owned());
        assert_eq!(decide(settings, at, UnixMillis(7)).unwrap_err(), refusal);
    }
}
