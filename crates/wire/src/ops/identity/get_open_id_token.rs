//! `GetOpenIdToken` hands out a token that says who an identity is (`docs/protocol.md` section 5.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::shapes::Secret;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// The operation as a type.
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

/// What the caller sends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The identity.
    pub identity_id: Option<String>,
    /// A token of each login provider, by the provider's name.
    #[serde(deserialize_with = "member::map::<limits::Logins, _, _>")]
    pub logins: Option<BTreeMap<String, Secret>>,
}

/// What the caller gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The identity, which may differ from the one that was asked for.
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
