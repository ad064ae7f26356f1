//! `BulkPublish` streams every record of a pool once more (`docs/protocol.md` section 9.3).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `BulkPublish` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum BulkPublish {}

impl Operation for BulkPublish {
    const SPEC: Spec = Spec {
        name: OperationName::BulkPublish,
        service: Service::Sync,
        method: Method::Post,
        path: "/identitypools/{IdentityPoolId}/bulkpublish",
        binds: &[Bind::label("IdentityPoolId")],
        access: Access::Developer,
        effect: Effect::Write,
        faults: &[
            FaultKind::NotAuthorized,
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::InternalError,
            FaultKind::DuplicateRequest,
            FaultKind::AlreadyStreamed,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `BulkPublish`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
}

/// The output of `BulkPublish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The pool's id.
    pub identity_pool_id: String,
}

const INPUT_EXAMPLE: &str = r#"{"IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001"}"#;

const OUTPUT_EXAMPLE: &str = r#"{"IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001"}"#;
