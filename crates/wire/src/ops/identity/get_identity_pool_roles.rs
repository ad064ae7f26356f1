//! `GetIdentityPoolRoles` returns the roles of a pool's identities (`docs/protocol.md` section 10.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::json_text::Size;
use crate::shapes::RoleMapping;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `GetIdentityPoolRoles` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum GetIdentityPoolRoles {}

impl Operation for GetIdentityPoolRoles {
    const SPEC: Spec = Spec {
        name: OperationName::GetIdentityPoolRoles,
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
            FaultKind::ResourceConflict,
            FaultKind::TooManyRequests,
            FaultKind::InternalError,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;

    fn json_bytes(output: &Output) -> Option<usize> {
        Size::of_value(output).ok()
    }
}

/// The input of `GetIdentityPoolRoles`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
}

/// The output of `GetIdentityPoolRoles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The pool's id.
    pub identity_pool_id: String,
    /// The role ARNs: `unauthenticated` for guests, `authenticated` for users with a login.
    pub roles: BTreeMap<String, String>,
    /// The role mapping of each login provider, by the provider's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub role_mappings: BTreeMap<String, RoleMapping>,
}

const INPUT_EXAMPLE: &str = r#"{"IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001"}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "Roles": {
    "authenticated": "arn:aws:iam::000000000000:role/user",
    "unauthenticated": "arn:aws:iam::000000000000:role/guest"
  },
  "RoleMappings": {
    "accounts.example.com": {
      "Type": "Rules",
      "AmbiguousRoleResolution": "Deny",
      "RulesConfiguration": {
        "Rules": [
          {
            "Claim": "paid",
            "MatchType": "Equals",
            "Value": "yes",
            "RoleARN": "arn:aws:iam::000000000000:role/paid"
          }
        ]
      }
    }
  }
}"#;
