//! A caller of AWS: the server itself or an assumed role, in one region, with the clients that act as it. The
//! SDK caches and renews the credentials of each caller separately.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::service_config::ServiceConfigKey;

use super::failure::{AnswerLimit, credentials_failure};
use crate::port::Finding;

/// The time limit of a call and everything before it, such as assuming a role.
pub(super) const CALL_MILLISECONDS_MAX: u64 = 20_000;
/// The session name of the server in a role's account.
const ROLE_SESSION_NAME: &str = "carryall";
/// The remaining lifetime below which a role's credentials are replaced. A presigned URL expires with the
/// credentials that signed it, so no URL is issued with a shorter lifetime.
const ROLE_SECONDS_LEFT_MIN: Duration = Duration::from_mins(30);

/// A role or the server itself, its region, and its clients.
pub(super) struct Caller {
    pub(super) role_arn: Option<String>,
    sdk: SdkConfig,
    kinesis: OnceLock<aws_sdk_kinesis::Client>,
    lambda: OnceLock<aws_sdk_lambda::Client>,
    s3: OnceLock<aws_sdk_s3::Client>,
    sns: OnceLock<aws_sdk_sns::Client>,
}

impl Caller {
    /// Creates a caller without calling anything: a role is assumed with the first call.
    pub(super) async fn new(base: &SdkConfig, role_arn: Option<&str>, region: &str) -> Self {
        let mut sdk = base.to_builder().region(Region::new(region.to_owned()));
        if let Some(role_arn) = role_arn {
            let role = AssumeRoleProvider::builder(role_arn).session_name(ROLE_SESSION_NAME).configure(base);
            sdk = sdk
                .credentials_provider(SharedCredentialsProvider::new(role.build().await))
                // The cache belongs to this caller, so that its credentials are dropped with it.
                .identity_cache(IdentityCache::lazy().buffer_time(ROLE_SECONDS_LEFT_MIN).build());
        }
        Self {
            role_arn: role_arn.map(str::to_owned),
            sdk: sdk.build(),
            kinesis: OnceLock::new(),
            lambda: OnceLock::new(),
            s3: OnceLock::new(),
            sns: OnceLock::new(),
        }
    }

    pub(super) fn kinesis(&self) -> &aws_sdk_kinesis::Client {
        self.kinesis.get_or_init(|| {
            let config = aws_sdk_kinesis::config::Builder::from(&self.sdk).interceptor(AnswerLimit);
            aws_sdk_kinesis::Client::from_conf(config.build())
        })
    }

    /// The Lambda client. It has no time-outs, because the caller sets one for each call.
    pub(super) fn lambda(&self) -> &aws_sdk_lambda::Client {
        self.lambda.get_or_init(|| {
            let timeouts = self.sdk.timeout_config().map(|timeouts| {
                timeouts.to_builder().disable_operation_timeout().disable_operation_attempt_timeout().build()
            });
            let mut config = aws_sdk_lambda::config::Builder::from(&self.sdk).interceptor(AnswerLimit);
            config.set_timeout_config(timeouts);
            aws_sdk_lambda::Client::from_conf(config.build())
        })
    }

    /// The S3 client. It puts the bucket into the path at a self-hosted peer, which rarely serves host names
    /// made of bucket names.
    pub(super) fn s3(&self) -> &aws_sdk_s3::Client {
        self.s3.get_or_init(|| {
            let config = aws_sdk_s3::config::Builder::from(&self.sdk)
                .interceptor(AnswerLimit)
                .force_path_style(self.has_own_s3_endpoint());
            aws_sdk_s3::Client::from_conf(config.build())
        })
    }

    pub(super) fn sns(&self) -> &aws_sdk_sns::Client {
        self.sns.get_or_init(|| {
            let config = aws_sdk_sns::config::Builder::from(&self.sdk).interceptor(AnswerLimit);
            aws_sdk_sns::Client::from_conf(config.build())
        })
    }

    fn has_own_s3_endpoint(&self) -> bool {
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        let of_s3 = key.ok().and_then(|key| self.sdk.service_config()?.load_config(key));
        of_s3.is_some() || self.sdk.endpoint_url().is_some()
    }

    /// The first step of every check: fetches new credentials.
    pub(super) async fn check_credentials(&self) -> Finding {
        let what = match &self.role_arn {
            Some(role_arn) => format!("assume the role {role_arn}"),
            None => "find the server's AWS credentials".to_owned(),
        };
        let Some(provider) = self.sdk.credentials_provider() else {
            return Finding { what, trouble: Some("no source of credentials is configured".to_owned()) };
        };
        let provided = tokio::time::timeout(
            Duration::from_millis(CALL_MILLISECONDS_MAX),
            provider.provide_credentials(),
        );
        let trouble = match provided.await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(credentials_failure(self.role_arn.as_deref(), &error).cause),
            Err(_) => Some(format!("no answer within {CALL_MILLISECONDS_MAX} ms")),
        };
        Finding { what, trouble }
    }
}
