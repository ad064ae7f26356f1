//! `DescribeIdentityUsage` returns the amount of data that an identity stores (`docs/protocol.md` section
//! 8.1).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::shapes::IdentityUsage;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `DescribeIdentityUsage` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum DescribeIdentityUsage {}

impl Operation for DescribeIdentityUsage {
    const SPEC: Spec = Spec {
        name: OperationName::DescribeIdentityUsage,
        service: Service::Sync,
        method: Method::Get,
        path: "/identitypools/{IdentityPoolId}/identities/{IdentityId}",
        binds: &[Bind::label("IdentityPoolId"), Bind::label("IdentityId")],
        access: Access::Either,
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

/// The input of `DescribeIdentityUsage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The identity's id.
    pub identity_id: Option<String>,
}

/// The output of `DescribeIdentityUsage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The identity's usage.
    pub identity_usage: IdentityUsage,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002"
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityUsage": {
    "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
    "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
    "LastModifiedDate": 1412974057.151,
    "DatasetCount": 1,
    "DataStorage": 16
  }
}"#;
