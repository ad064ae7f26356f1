//! `DeleteIdentityPool` deletes a pool with its identities and their data (`docs/protocol.md` section 10.5).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::shapes::Empty;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `DeleteIdentityPool` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum DeleteIdentityPool {}

impl Operation for DeleteIdentityPool {
    const SPEC: Spec = Spec {
        name: OperationName::DeleteIdentityPool,
        service: Service::Identity,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Developer,
        effect: Effect::Write,
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
    type Output = Empty;
}

/// The input of `DeleteIdentityPool`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
}

const INPUT_EXAMPLE: &str = r#"{"IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001"}"#;

const OUTPUT_EXAMPLE: &str = r"{}";
