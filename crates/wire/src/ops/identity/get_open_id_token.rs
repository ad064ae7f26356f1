//! `GetOpenIdToken` issues a token that proves an identity (`docs/protocol.md` section 5.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::shapes::Secret;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `GetOpenIdToken` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum GetOpenIdToken {}

impl Operation for GetOpenIdToken {
    const SPEC: Spec = Spec {
        name: OperationName::GetOpenIdToken,
        service: Service::Identity,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Public,
        effect: Effect::Write,
        faults: &[
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::NotAuthorized,
            FaultKind::ResourceConflict,
            FaultKind::TooManyRequests,
            FaultKind::InternalError,
            FaultKind::ExternalService,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `GetOpenIdToken`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The identity's id.
    pub identity_id: Option<String>,
    /// Login tokens, by the provider's name.
    #[serde(deserialize_with = "member::map::<limits::Logins, _, _>")]
    pub logins: Option<BTreeMap<String, Secret>>,
}

/// The output of `GetOpenIdToken`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The identity's id, which may differ from the requested one.
    pub identity_id: String,
    /// The token.
    pub token: Secret,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "Logins": {
    "accounts.example.com": "token"
  }
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "Token": "header.claims.signature"
}"#;
