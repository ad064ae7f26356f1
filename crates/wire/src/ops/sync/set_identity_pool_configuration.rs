//! `SetIdentityPoolConfiguration` sets a pool's push and stream settings (`docs/protocol.md` section 9.1).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::member;
use crate::shapes::{CognitoStreams, PushSync};
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// The operation as a type.
#[derive(Clone, Copy, Debug)]
pub enum SetIdentityPoolConfiguration {}

impl Operation for SetIdentityPoolConfiguration {
    const SPEC: Spec = Spec {
        name: OperationName::SetIdentityPoolConfiguration,
        service: Service::Sync,
        method: Method::Post,
        path: "/identitypools/{IdentityPoolId}/configuration",
        binds: &[Bind::label("IdentityPoolId")],
        access: Access::Developer,
        effect: Effect::Write,
        faults: &[
            FaultKind::NotAuthorized,
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::InternalError,
            FaultKind::TooManyRequests,
            FaultKind::ConcurrentModification,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// What the caller sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool.
    pub identity_pool_id: Option<String>,
    /// The push settings; left as they are when absent, removed when empty.
    #[serde(deserialize_with = "member::object")]
    pub push_sync: Option<PushSync>,
    /// The stream settings; left as they are when absent.
    #[serde(deserialize_with = "member::object")]
    pub cognito_streams: Option<CognitoStreams>,
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The pool.
    pub identity_pool_id: String,
    /// Its push settings.
    pub push_sync: Option<PushSync>,
    /// Its stream settings.
    pub cognito_streams: Option<CognitoStreams>,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "PushSync": {
    "ApplicationArns": [
      "arn:aws:sns:us-east-1:000000000000:app/GCM/notes"
    ],
    "RoleArn": "arn:aws:iam::000000000000:role/push"
  },
  "CognitoStreams": {
    "StreamName": "changes",
    "RoleArn": "arn:aws:iam::000000000000:role/stream",
    "StreamingStatus": "ENABLED",
    "DisabledReason": "The role cannot be assumed."
  }
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "PushSync": {
    "ApplicationArns": [
      "arn:aws:sns:us-east-1:000000000000:app/GCM/notes"
    ],
    "RoleArn": "arn:aws:iam::000000000000:role/push"
  },
  "CognitoStreams": {
    "StreamName": "changes",
    "RoleArn": "arn:aws:iam::000000000000:role/stream",
    "StreamingStatus": "ENABLED",
    "DisabledReason": "The role cannot be assumed."
  }
}"#;
