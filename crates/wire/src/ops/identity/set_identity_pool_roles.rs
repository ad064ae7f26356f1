//! `SetIdentityPoolRoles` sets which roles a pool's identities take (`docs/protocol.md` section 10.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::shapes::{Empty, RoleMapping};
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, ROLES_BODY_BYTES_MAX, Service, Spec,
};

/// The operation as a type.
#[derive(Clone, Copy, Debug)]
pub enum SetIdentityPoolRoles {}

impl Operation for SetIdentityPoolRoles {
    const SPEC: Spec = Spec {
        name: OperationName::SetIdentityPoolRoles,
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
            FaultKind::ResourceConflict,
            FaultKind::TooManyRequests,
            FaultKind::InternalError,
            FaultKind::ConcurrentModification,
        ],
        body_bytes_max: ROLES_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Empty;
}

/// What the caller sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool.
    pub identity_pool_id: Option<String>,
    /// The role of guests and the role of users with a login.
    #[serde(deserialize_with = "member::map::<limits::Roles, _, _>")]
    pub roles: Option<BTreeMap<String, String>>,
    /// How roles are chosen, by login provider.
    #[serde(deserialize_with = "member::object_map::<limits::RoleMappings, _, _>")]
    pub role_mappings: Option<BTreeMap<String, RoleMapping>>,
}

const INPUT_EXAMPLE: &str = r#"{
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

const OUTPUT_EXAMPLE: &str = r"{}";
