//! `DescribeIdentityPoolUsage` returns the amount of data that a pool stores (`docs/protocol.md` section
//! 8.2).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::shapes::IdentityPoolUsage;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `DescribeIdentityPoolUsage` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum DescribeIdentityPoolUsage {}

impl Operation for DescribeIdentityPoolUsage {
    const SPEC: Spec = Spec {
        name: OperationName::DescribeIdentityPoolUsage,
        service: Service::Sync,
        method: Method::Get,
        path: "/identitypools/{IdentityPoolId}",
        binds: &[Bind::label("IdentityPoolId")],
        access: Access::Developer,
        effect: Effect::Read,
        faults: &[
            FaultKind::NotAuthorized,
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::InternalError,
            FaultKind::TooManyRequests,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `DescribeIdentityPoolUsage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
}

/// The output of `DescribeIdentityPoolUsage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The pool's usage.
    pub identity_pool_usage: IdentityPoolUsage,
}

const INPUT_EXAMPLE: &str = r#"{"IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001"}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityPoolUsage": {
    "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
    "SyncSessionsCount": 3,
    "DataStorage": 16,
    "LastModifiedDate": 1412974057.151
  }
}"#;
