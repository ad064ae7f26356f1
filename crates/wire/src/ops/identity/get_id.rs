//! `GetId` returns the identity of a device or a login, and creates it if necessary (`docs/protocol.md`
//! section 10.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::shapes::Secret;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `GetId` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum GetId {}

impl Operation for GetId {
    const SPEC: Spec = Spec {
        name: OperationName::GetId,
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
            FaultKind::LimitExceeded,
            FaultKind::ExternalService,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `GetId`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The account that owns the pool.
    pub account_id: Option<String>,
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// Login tokens, by the provider's name.
    #[serde(deserialize_with = "member::map::<limits::Logins, _, _>")]
    pub logins: Option<BTreeMap<String, Secret>>,
}

/// The output of `GetId`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The identity's id.
    pub identity_id: String,
}

const INPUT_EXAMPLE: &str = r#"{
  "AccountId": "000000000000",
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "Logins": {
    "accounts.example.com": "token"
  }
}"#;

const OUTPUT_EXAMPLE: &str = r#"{"IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002"}"#;
