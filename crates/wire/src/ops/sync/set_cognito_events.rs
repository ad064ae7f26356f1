//! `SetCognitoEvents` sets the functions that a pool calls on events (`docs/protocol.md` section 9.2).
//!
//! The published model has no output shape for it; the answer is an empty object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::shapes::Empty;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `SetCognitoEvents` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum SetCognitoEvents {}

impl Operation for SetCognitoEvents {
    const SPEC: Spec = Spec {
        name: OperationName::SetCognitoEvents,
        service: Service::Sync,
        method: Method::Post,
        path: "/identitypools/{IdentityPoolId}/events",
        binds: &[Bind::label("IdentityPoolId")],
        access: Access::Developer,
        effect: Effect::Write,
        faults: &[
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::NotAuthorized,
            FaultKind::InternalError,
            FaultKind::TooManyRequests,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Empty;
}

/// The input of `SetCognitoEvents`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The ARN of the function to call, by the event's name.
    #[serde(deserialize_with = "member::map::<limits::Events, _, _>")]
    pub events: Option<BTreeMap<String, String>>,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "Events": {
    "SyncTrigger": "arn:aws:lambda:us-east-1:000000000000:function:check"
  }
}"#;

const OUTPUT_EXAMPLE: &str = r"{}";
