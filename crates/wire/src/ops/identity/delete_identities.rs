//! `DeleteIdentities` deletes identities and their data (`docs/protocol.md` section 10.5).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `DeleteIdentities` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum DeleteIdentities {}

impl Operation for DeleteIdentities {
    const SPEC: Spec = Spec {
        name: OperationName::DeleteIdentities,
        service: Service::Identity,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Developer,
        effect: Effect::Write,
        faults: &[FaultKind::InvalidParameter, FaultKind::TooManyRequests, FaultKind::InternalError],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `DeleteIdentities`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The ids of the identities to delete.
    #[serde(deserialize_with = "member::list::<limits::IdentityIdsToDelete, _, _>")]
    pub identity_ids_to_delete: Option<Vec<String>>,
}

/// The output of `DeleteIdentities`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The identities that were not deleted.
    pub unprocessed_identity_ids: Vec<UnprocessedIdentityId>,
}

/// An identity that was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UnprocessedIdentityId {
    /// The identity's id.
    pub identity_id: String,
    /// `AccessDenied` or `InternalServerError`.
    pub error_code: String,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityIdsToDelete": [
    "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002"
  ]
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "UnprocessedIdentityIds": [
    {
      "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
      "ErrorCode": "InternalServerError"
    }
  ]
}"#;
