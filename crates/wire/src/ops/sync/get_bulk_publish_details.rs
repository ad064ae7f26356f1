//! `GetBulkPublishDetails` returns the state of a pool's last bulk publish (`docs/protocol.md` section 9.3).
//!
//! The published model makes it a `POST`, although it changes nothing.

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};
use crate::timestamp::Timestamp;

/// `GetBulkPublishDetails` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum GetBulkPublishDetails {}

impl Operation for GetBulkPublishDetails {
    const SPEC: Spec = Spec {
        name: OperationName::GetBulkPublishDetails,
        service: Service::Sync,
        method: Method::Post,
        path: "/identitypools/{IdentityPoolId}/getBulkPublishDetails",
        binds: &[Bind::label("IdentityPoolId")],
        access: Access::Developer,
        effect: Effect::Read,
        faults: &[
            FaultKind::NotAuthorized,
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::InternalError,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `GetBulkPublishDetails`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
}

/// The output of `GetBulkPublishDetails`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The pool's id.
    pub identity_pool_id: String,
    /// The start of the last bulk publish.
    pub bulk_publish_start_time: Option<Timestamp>,
    /// The end of the last bulk publish, if it succeeded.
    pub bulk_publish_complete_time: Option<Timestamp>,
    /// `NOT_STARTED`, `IN_PROGRESS`, `FAILED` or `SUCCEEDED`.
    pub bulk_publish_status: String,
    /// The reason of a failure, if the last bulk publish failed.
    pub failure_message: Option<String>,
}

const INPUT_EXAMPLE: &str = r#"{"IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001"}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "BulkPublishStartTime": 1412974057.151,
  "BulkPublishCompleteTime": 1412974057.151,
  "BulkPublishStatus": "FAILED",
  "FailureMessage": "The stream is gone."
}"#;
