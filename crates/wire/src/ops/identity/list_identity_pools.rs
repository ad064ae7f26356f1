//! `ListIdentityPools` lists the pools (`docs/protocol.md` section 10.1).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::member;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `ListIdentityPools` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum ListIdentityPools {}

impl Operation for ListIdentityPools {
    const SPEC: Spec = Spec {
        name: OperationName::ListIdentityPools,
        service: Service::Identity,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Developer,
        effect: Effect::Read,
        faults: &[
            FaultKind::InvalidParameter,
            FaultKind::NotAuthorized,
            FaultKind::TooManyRequests,
            FaultKind::ResourceNotFound,
            FaultKind::InternalError,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `ListIdentityPools`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The largest number of items to return.
    #[serde(deserialize_with = "member::integer")]
    pub max_results: Option<i64>,
    /// The page token that the previous page returned; absent for the first page.
    pub next_token: Option<String>,
}

/// The output of `ListIdentityPools`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The pools of the page.
    pub identity_pools: Vec<IdentityPoolShortDescription>,
    /// The token of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// A pool in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPoolShortDescription {
    /// The pool's id.
    pub identity_pool_id: String,
    /// The pool's name.
    pub identity_pool_name: String,
}

const INPUT_EXAMPLE: &str = r#"{"MaxResults": 60, "NextToken": "page"}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityPools": [
    {
      "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
      "IdentityPoolName": "notes"
    }
  ],
  "NextToken": "page"
}"#;
