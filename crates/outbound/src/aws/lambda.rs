//! A Lambda function, invoked synchronously under the server's own credentials.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use bytes::Bytes;
use serde::Deserialize;

use super::caller::CALL_MILLISECONDS_MAX;
use super::failure::{Failure, GrantedAnswer, Kind, failure};
use super::{Aws, arn};
use crate::answer_memory::AnswerMemory;
use crate::cause::one_line;
use crate::port::{Checked, Finding, Outcome, TriggerEvent, TriggerPort, TriggerUndelivered};
use crate::{TRIGGER_ANSWER_BYTES_MAX, milliseconds};

/// A function by its ARN, which names its region, or by its name in the server's region.
pub(crate) struct LambdaTrigger {
    aws: Arc<Aws>,
    function: String,
}

impl LambdaTrigger {
    pub(crate) fn new(aws: Arc<Aws>, function: &str) -> Self {
        Self { aws, function: function.to_owned() }
    }

    async fn ask(&self, event: TriggerEvent, memory: AnswerMemory) -> Result<Bytes, TriggerUndelivered> {
        let caller = self.aws.caller(None, arn::region(&self.function)).await;
        let call = caller.lambda().invoke().function_name(&self.function);
        let call = call.invocation_type(InvocationType::RequestResponse).payload(Blob::new(event.json));
        match call.customize().interceptor(GrantedAnswer(memory)).send().await {
            Ok(output) => read(output),
            Err(error) => Err(undelivered(failure("Invoke", None, &error))),
        }
    }

    /// A dry run checks that the function exists and that the server may invoke it, without running it.
    async fn dry_run(&self) -> Vec<Finding> {
        let caller = self.aws.caller(None, arn::region(&self.function)).await;
        let credentials = caller.check_credentials().await;
        if credentials.trouble.is_some() {
            return vec![credentials];
        }
        let call = caller.lambda().invoke().function_name(&self.function);
        let call = call.invocation_type(InvocationType::DryRun).send();
        let time_max = Duration::from_millis(CALL_MILLISECONDS_MAX);
        let trouble = match tokio::time::timeout(time_max, call).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(failure("Invoke", None, &error).cause),
            Err(_) => Some(format!("no answer within {} ms", milliseconds(time_max))),
        };
        vec![credentials, Finding { what: format!("ask whether {} may be invoked", self.function), trouble }]
    }
}

impl TriggerPort for LambdaTrigger {
    fn invoke(
        &self,
        event: TriggerEvent,
        time_max: Duration,
        memory: AnswerMemory,
    ) -> Outcome<'_, Bytes, TriggerUndelivered> {
        Box::pin(async move {
            let timed_out =
                |_| Err(TriggerUndelivered::TimedOut { milliseconds_max: milliseconds(time_max) });
            tokio::time::timeout(time_max, self.ask(event, memory)).await.unwrap_or_else(timed_out)
        })
    }

    fn check(&self) -> Checked<'_> {
        Box::pin(self.dry_run())
    }
}

fn read(output: InvokeOutput) -> Result<Bytes, TriggerUndelivered> {
    let payload = output.payload.map(|blob| Bytes::from(blob.into_inner())).unwrap_or_default();
    match output.function_error {
        Some(kind) => Err(TriggerUndelivered::FunctionError { cause: function_error(&kind, &payload) }),
        None if payload.len() > TRIGGER_ANSWER_BYTES_MAX => Err(TriggerUndelivered::FunctionError {
            cause: format!("the answer is larger than {TRIGGER_ANSWER_BYTES_MAX} bytes"),
        }),
        None => Ok(payload),
    }
}

/// The payload with which a runtime reports an error that it caught.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RuntimeError {
    error_type: String,
    error_message: String,
}

fn function_error(kind: &str, payload: &[u8]) -> String {
    let said: RuntimeError = serde_json::from_slice(payload).unwrap_or_default();
    let parts = [kind, &said.error_type, &said.error_message];
    let told: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    one_line(&told.join(": "))
}

fn undelivered(failure: Failure) -> TriggerUndelivered {
    let cause = failure.cause;
    match failure.kind {
        Kind::Throttled => TriggerUndelivered::Throttled { cause },
        Kind::Unreached | Kind::Unauthenticated | Kind::Broken => TriggerUndelivered::Unreachable { cause },
        Kind::Denied | Kind::Missing => TriggerUndelivered::Gone { cause },
        Kind::Invalid | Kind::AnswerTooLarge => TriggerUndelivered::FunctionError { cause },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_error_is_told_in_its_own_words_within_bounds() {
        let payload =
            br#"{"errorMessage": "no\nsuch colour", "errorType": "ValueError", "stackTrace": ["x"]}"#;
        assert_eq!(function_error("Unhandled", payload), "Unhandled: ValueError: no such colour");
        assert_eq!(function_error("Handled", b"not json"), "Handled");
        let long = format!(r#"{{"errorMessage": "{}"}}"#, "x".repeat(100_000));
        assert!(function_error("Unhandled", long.as_bytes()).len() < 400);
    }
}
