//! `ListIdentities` lists a pool's identities (`docs/protocol.md` section 10.4).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::member;
use crate::shapes::IdentityDescription;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `ListIdentities` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum ListIdentities {}

impl Operation for ListIdentities {
    const SPEC: Spec = Spec {
        name: OperationName::ListIdentities,
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
            FaultKind::TooManyRequests,
            FaultKind::InternalError,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `ListIdentities`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The largest number of items to return.
    #[serde(deserialize_with = "member::integer")]
    pub max_results: Option<i64>,
    /// The page token that the previous page returned; absent for the first page.
    pub next_token: Option<String>,
    /// True to leave out disabled identities.
    pub hide_disabled: Option<bool>,
}

/// The output of `ListIdentities`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The pool's id.
    pub identity_pool_id: String,
    /// The identities of the page.
    pub identities: Vec<IdentityDescription>,
    /// The token of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "MaxResults": 60,
  "NextToken": "page",
  "HideDisabled": false
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "Identities": [
    {
      "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
      "Logins": [
        "accounts.example.com"
      ],
      "CreationDate": 1412974057.151,
      "LastModifiedDate": 1412974057.151
    }
  ],
  "NextToken": "page"
}"#;
