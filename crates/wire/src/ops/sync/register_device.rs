//! `RegisterDevice` registers a device for push (`docs/protocol.md` section 9.4).
//!
//! Its path has `identity` where all others have `identities`, as in the published model.

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `RegisterDevice` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum RegisterDevice {}

impl Operation for RegisterDevice {
    const SPEC: Spec = Spec {
        name: OperationName::RegisterDevice,
        service: Service::Sync,
        method: Method::Post,
        path: "/identitypools/{IdentityPoolId}/identity/{IdentityId}/device",
        binds: &[Bind::label("IdentityPoolId"), Bind::label("IdentityId")],
        access: Access::Identity,
        effect: Effect::Write,
        faults: &[
            FaultKind::NotAuthorized,
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::InternalError,
            FaultKind::InvalidConfiguration,
            FaultKind::TooManyRequests,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `RegisterDevice`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The identity's id.
    pub identity_id: Option<String>,
    /// `APNS`, `APNS_SANDBOX`, `GCM` or `ADM`.
    pub platform: Option<String>,
    /// The platform's push token.
    pub token: Option<String>,
}

/// The output of `RegisterDevice`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The id that the device uses from now on.
    pub device_id: String,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "Platform": "GCM",
  "Token": "push-token"
}"#;

const OUTPUT_EXAMPLE: &str = r#"{"DeviceId": "6d1c0e1e-3f5b-4b53-9d8e-000000000003"}"#;
