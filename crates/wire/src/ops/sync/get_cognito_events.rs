//! `GetCognitoEvents` returns the functions that a pool calls on events (`docs/protocol.md` section 9.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `GetCognitoEvents` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum GetCognitoEvents {}

impl Operation for GetCognitoEvents {
    const SPEC: Spec = Spec {
        name: OperationName::GetCognitoEvents,
        service: Service::Sync,
        method: Method::Get,
        path: "/identitypools/{IdentityPoolId}/events",
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

/// The input of `GetCognitoEvents`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
}

/// The output of `GetCognitoEvents`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The ARN of the function to call, by the event's name.
    pub events: BTreeMap<String, String>,
}

const INPUT_EXAMPLE: &str = r#"{"IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001"}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "Events": {
    "SyncTrigger": "arn:aws:lambda:us-east-1:000000000000:function:check"
  }
}"#;
