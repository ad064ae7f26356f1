//! AWS, or any peer to which the SDK's own settings point: Kinesis, SNS, Lambda and S3, under the server's
//! own credentials or under a role.
//!
//! The SDK is loaded with its standard chain of settings on first use. It makes one attempt for each call,
//! because the caller decides on retries.

mod arn;
mod caller;
mod failure;
mod kinesis;
mod lambda;
mod s3;
mod sns;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lru::LruCache;
use tokio::sync::OnceCell;

use self::caller::{CALL_MILLISECONDS_MAX, Caller};
use self::failure::{Failure, Kind};
pub(crate) use self::kinesis::KinesisStream;
pub(crate) use self::lambda::LambdaTrigger;
pub(crate) use self::s3::S3Objects;
pub(crate) use self::sns::SnsPush;

/// The time limit for making a connection.
const CONNECT_MILLISECONDS_MAX: u64 = 3_000;
/// The time limit of one attempt of a call, including its answer.
const ATTEMPT_MILLISECONDS_MAX: u64 = 10_000;
/// The number of idle connections that are kept open, for each host.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// The time for which idle connections are kept.
const IDLE_MILLISECONDS_MAX: u64 = 30_000;
/// The number of roles, each in one region, whose credentials and clients are cached. Pools usually have
/// separate roles, and a role that was evicted is assumed again for its next delivery, so this is the number
/// of busy pools that are served well.
const CALLERS_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// The access to AWS, loaded on first use.
pub(crate) struct Aws {
    region: String,
    base: OnceCell<SdkConfig>,
    callers: Mutex<LruCache<CallerKey, Arc<Caller>>>,
}

/// A role, or the server itself if there is none, and a region.
#[derive(Clone, PartialEq, Eq, Hash)]
struct CallerKey {
    role_arn: Option<String>,
    region: String,
}

impl Aws {
    pub(crate) fn new(region: String) -> Self {
        Self { region, base: OnceCell::new(), callers: Mutex::new(LruCache::new(CALLERS_COUNT_MAX)) }
    }

    /// The caller that acts as `role_arn`, or as the server itself, in `region`, or in the server's own
    /// region.
    async fn caller(&self, role_arn: Option<&str>, region: Option<&str>) -> Arc<Caller> {
        let region = region.unwrap_or(&self.region).to_owned();
        let key = CallerKey { role_arn: role_arn.map(str::to_owned), region };
        if let Some(known) = self.with_callers(|callers| callers.get(&key).cloned()) {
            return known;
        }
        let base = self.base.get_or_init(|| load(self.region.clone())).await;
        let made = Arc::new(Caller::new(base, role_arn, &key.region).await);
        // If two were created at once, the first stays, because it may already have credentials.
        self.with_callers(|callers| Arc::clone(callers.get_or_insert(key, || made)))
    }

    /// Drops the role's cached credentials if a call under them was denied: the role may have been recreated
    /// since, and they would be kept for an hour. After any other denial assuming the role again does not
    /// help, but it costs little.
    fn learn(&self, role_arn: Option<&str>, region: Option<&str>, failure: Failure) -> Failure {
        match (failure.kind, role_arn) {
            (Kind::Denied | Kind::Unauthenticated, Some(role_arn)) => {
                let region = region.unwrap_or(&self.region).to_owned();
                let key = CallerKey { role_arn: Some(role_arn.to_owned()), region };
                self.with_callers(|callers| callers.pop(&key));
            }
            (Kind::Denied | Kind::Unauthenticated, None)
            | (
                Kind::Unreached
                | Kind::Throttled
                | Kind::Broken
                | Kind::Missing
                | Kind::Invalid
                | Kind::AnswerTooLarge,
                _,
            ) => {}
        }
        failure
    }

    fn with_callers<T>(&self, use_them: impl FnOnce(&mut LruCache<CallerKey, Arc<Caller>>) -> T) -> T {
        use_them(&mut self.callers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the SDK's settings from environment and profile. The network is not used before the first call.
async fn load(region: String) -> SdkConfig {
    let http_client = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(Duration::from_millis(IDLE_MILLISECONDS_MAX))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(CONNECT_MILLISECONDS_MAX))
        .operation_attempt_timeout(Duration::from_millis(ATTEMPT_MILLISECONDS_MAX))
        .operation_timeout(Duration::from_millis(CALL_MILLISECONDS_MAX))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region))
        .http_client(http_client)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .load()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thousand_busy_roles_are_each_assumed_once() {
        let aws = Aws::new("us-east-1".to_owned());
        let role = |number: usize| format!("arn:aws:iam::000000000000:role/pool-{number}");
        let mut first = Vec::new();
        for number in 0..1_000 {
            first.push(aws.caller(Some(&role(number)), None).await);
        }
        for (number, known) in first.iter().enumerate() {
            let again = aws.caller(Some(&role(number)), None).await;
            assert!(Arc::ptr_eq(known, &again), "role {number} was forgotten");
        }
    }
}
