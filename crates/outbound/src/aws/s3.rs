//! Objects in an S3 bucket, with presigned URLs to get them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::Aws;
use super::caller::Caller;
use super::failure::failure;
use crate::cause::chain;
use crate::port::{Checked, Finding, LargeObjectPort, Outcome, Undelivered};
use crate::settings::LargeObjectSettings;

/// The longest lifetime of a presigned URL in S3: seven days.
const URL_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;
/// The key of the object that a check writes.
const CHECK_KEY: &str = "carryall-check.json";

/// A bucket in the server's region.
pub(crate) struct S3Objects {
    aws: Arc<Aws>,
    settings: LargeObjectSettings,
    role_arn: Option<String>,
}

impl S3Objects {
    pub(crate) fn new(aws: Arc<Aws>, settings: LargeObjectSettings, role_arn: Option<&str>) -> Self {
        Self { aws, settings, role_arn: role_arn.map(str::to_owned) }
    }

    async fn put_and_presign(&self, key: &str, json: Bytes) -> Result<String, Undelivered> {
        let key = self.whole_key(key);
        let caller = self.aws.caller(self.role_arn.as_deref(), None).await;
        self.put_object(&caller, &key, json).await?;
        self.presign(&caller, &key).await
    }

    /// The key of an object, with its prefix. A dataset's name may be `.` or `..`; as a part between slashes
    /// these name other keys at peers that store objects as files, so their full stops are written as `%2E`.
    fn whole_key(&self, key: &str) -> String {
        let part =
            |part: &str| if matches!(part, "." | "..") { part.replace('.', "%2E") } else { part.to_owned() };
        let parts: Vec<String> = key.split('/').map(part).collect();
        format!("{}{}", self.settings.key_prefix, parts.join("/"))
    }

    async fn put_object(&self, caller: &Caller, key: &str, json: Bytes) -> Result<(), Undelivered> {
        let call = caller.s3().put_object().bucket(&self.settings.bucket).key(key);
        let call = call.content_type("application/json").body(ByteStream::from(json));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let role_arn = self.role_arn.as_deref();
                let failure = failure("PutObject", role_arn, &error);
                Err(self.aws.learn(role_arn, None, failure).undelivered())
            }
        }
    }

    async fn presign(&self, caller: &Caller, key: &str) -> Result<String, Undelivered> {
        let url_seconds = self.settings.url_seconds.clamp(1, URL_SECONDS_MAX);
        let presigning = PresigningConfig::expires_in(Duration::from_secs(url_seconds.into()))
            .map_err(|error| Undelivered::Refused { cause: chain(&error) })?;
        let call = caller.s3().get_object().bucket(&self.settings.bucket).key(key);
        match call.presigned(presigning).await {
            Ok(request) => Ok(request.uri().to_owned()),
            Err(error) => Err(failure("presigning", self.role_arn.as_deref(), &error).undelivered()),
        }
    }

    async fn try_put(&self) -> Vec<Finding> {
        let caller = self.aws.caller(self.role_arn.as_deref(), None).await;
        let credentials = caller.check_credentials().await;
        if credentials.trouble.is_some() {
            return vec![credentials];
        }
        let what = format!("put an object into the bucket {}", self.settings.bucket);
        let trouble = match self.put_and_presign(CHECK_KEY, Bytes::from_static(b"[]")).await {
            Ok(_) => None,
            Err(
                Undelivered::Retry { cause, .. }
                | Undelivered::Gone { cause }
                | Undelivered::Refused { cause },
            ) => Some(cause),
        };
        vec![credentials, Finding { what, trouble }]
    }
}

impl LargeObjectPort for S3Objects {
    fn put(&self, key: &str, json: Bytes) -> Outcome<'_, String> {
        let key = key.to_owned();
        Box::pin(async move { self.put_and_presign(&key, json).await })
    }

    fn check(&self) -> Checked<'_> {
        Box::pin(self.try_put())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_prefixed_and_leads_nowhere_else() {
        let settings = LargeObjectSettings {
            bucket: "b".to_owned(),
            key_prefix: "streams/".to_owned(),
            url_seconds: 60,
        };
        let objects = S3Objects::new(Arc::new(Aws::new("eu-west-1".to_owned())), settings, None);
        assert_eq!(objects.whole_key("pool/a..b.json"), "streams/pool/a..b.json");
        assert_eq!(objects.whole_key("a/../b"), "streams/a/%2E%2E/b");
        assert_eq!(objects.whole_key("./a"), "streams/%2E/a");
    }
}
