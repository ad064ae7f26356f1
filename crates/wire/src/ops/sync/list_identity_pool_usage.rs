//! `ListIdentityPoolUsage` returns the amount of data that each pool stores (`docs/protocol.md` section 8.2).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::member;
use crate::shapes::IdentityPoolUsage;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `ListIdentityPoolUsage` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum ListIdentityPoolUsage {}

impl Operation for ListIdentityPoolUsage {
    const SPEC: Spec = Spec {
        name: OperationName::ListIdentityPoolUsage,
        service: Service::Sync,
        method: Method::Get,
        path: "/identitypools",
        binds: &[Bind::query("NextToken", "nextToken"), Bind::query("MaxResults", "maxResults")],
        access: Access::Developer,
        effect: Effect::Read,
        faults: &[
            FaultKind::NotAuthorized,
            FaultKind::InvalidParameter,
            FaultKind::InternalError,
            FaultKind::TooManyRequests,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `ListIdentityPoolUsage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The page token that the previous page returned; absent for the first page.
    pub next_token: Option<String>,
    /// The largest number of items to return.
    #[serde(deserialize_with = "member::integer")]
    pub max_results: Option<i64>,
}

/// The output of `ListIdentityPoolUsage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The usage of the pools on the page.
    pub identity_pool_usages: Vec<IdentityPoolUsage>,
    /// The requested page size.
    pub max_results: Option<i64>,
    /// The number of items on the page.
    pub count: u64,
    /// The token of the next page; null on the last page.
    pub next_token: Option<String>,
}

const INPUT_EXAMPLE: &str = r#"{"NextToken": "page+2/=", "MaxResults": 3}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityPoolUsages": [
    {
      "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
      "SyncSessionsCount": 3,
      "DataStorage": 16,
      "LastModifiedDate": 1412974057.151
    }
  ],
  "MaxResults": 3,
  "Count": 1,
  "NextToken": "page+2/="
}"#;
