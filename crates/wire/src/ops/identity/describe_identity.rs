//! `DescribeIdentity` describes an identity (`docs/protocol.md` section 10.4).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::shapes::IdentityDescription;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `DescribeIdentity` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum DescribeIdentity {}

impl Operation for DescribeIdentity {
    const SPEC: Spec = Spec {
        name: OperationName::DescribeIdentity,
        service: Service::Identity,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Developer,
        effect: Effect::Read,
        faults: &[
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::NotAuthorized,
            FaultKind::TooManyRequests,
            FaultKind::InternalError,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = IdentityDescription;
}

/// The input of `DescribeIdentity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The identity's id.
    pub identity_id: Option<String>,
}

const INPUT_EXAMPLE: &str = r#"{"IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002"}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "Logins": [
    "accounts.example.com"
  ],
  "CreationDate": 1412974057.151,
  "LastModifiedDate": 1412974057.151
}"#;
