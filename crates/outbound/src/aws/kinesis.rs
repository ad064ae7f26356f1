//! A Kinesis stream: one `PutRecord` for each message, because only single records keep their order.

use std::sync::Arc;

use aws_sdk_kinesis::primitives::Blob;

use super::Aws;
use super::failure::failure;
use crate::port::{Checked, Finding, Outcome, StreamMessage, StreamPort};

/// The service's size limit of a record, data and partition key together.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A stream in the server's region.
pub(crate) struct KinesisStream {
    aws: Arc<Aws>,
    stream_name: String,
    role_arn: Option<String>,
}

impl KinesisStream {
    pub(crate) fn new(aws: Arc<Aws>, stream_name: &str, role_arn: Option<&str>) -> Self {
        Self { aws, stream_name: stream_name.to_owned(), role_arn: role_arn.map(str::to_owned) }
    }

    async fn describe(&self) -> Vec<Finding> {
        let role_arn = self.role_arn.as_deref();
        let caller = self.aws.caller(role_arn, None).await;
        let credentials = caller.check_credentials().await;
        if credentials.trouble.is_some() {
            return vec![credentials];
        }
        let described =
            caller.kinesis().describe_stream_summary().stream_name(&self.stream_name).send().await;
        let what = format!("describe the stream {}", self.stream_name);
        let trouble = described.err().map(|error| failure("DescribeStreamSummary", role_arn, &error).cause);
        vec![credentials, Finding { what, trouble }]
    }
}

impl StreamPort for KinesisStream {
    fn message_bytes_max(&self) -> Option<usize> {
        Some(MESSAGE_BYTES_MAX)
    }

    fn put(&self, message: StreamMessage) -> Outcome<'_, ()> {
        Box::pin(async move {
            let role_arn = self.role_arn.as_deref();
            let caller = self.aws.caller(role_arn, None).await;
            let call = caller.kinesis().put_record().stream_name(&self.stream_name);
            let call = call.partition_key(message.partition_key).data(Blob::new(message.json));
            match call.send().await {
                Ok(_) => Ok(()),
                Err(error) => {
                    let failure = failure("PutRecord", role_arn, &error);
                    Err(self.aws.learn(role_arn, None, failure).undelivered())
                }
            }
        })
    }

    /// Describing a stream needs a permission that putting does not. If only that permission is missing, puts
    /// may still succeed.
    fn check(&self) -> Checked<'_> {
        Box::pin(self.describe())
    }
}
