//! `ListDatasets` lists an identity's datasets (`docs/protocol.md` section 7.9).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::member;
use crate::shapes::Dataset;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `ListDatasets` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum ListDatasets {}

impl Operation for ListDatasets {
    const SPEC: Spec = Spec {
        name: OperationName::ListDatasets,
        service: Service::Sync,
        method: Method::Get,
        path: "/identitypools/{IdentityPoolId}/identities/{IdentityId}/datasets",
        binds: &[
            Bind::label("IdentityPoolId"),
            Bind::label("IdentityId"),
            Bind::query("NextToken", "nextToken"),
            Bind::query("MaxResults", "maxResults"),
        ],
        access: Access::Either,
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

/// The input of `ListDatasets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The identity's id.
    pub identity_id: Option<String>,
    /// The page token that the previous page returned; absent for the first page.
    pub next_token: Option<String>,
    /// The largest number of items to return.
    #[serde(deserialize_with = "member::integer")]
    pub max_results: Option<i64>,
}

/// The output of `ListDatasets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The datasets of the page.
    pub datasets: Vec<Dataset>,
    /// The number of items on the page.
    pub count: u64,
    /// The token of the next page; null on the last page.
    pub next_token: Option<String>,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "NextToken": "page+2/=",
  "MaxResults": 64
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "Datasets": [
    {
      "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
      "DatasetName": "prefs",
      "CreationDate": 1412974057.151,
      "LastModifiedDate": 1412974057.151,
      "LastModifiedBy": "000000000000",
      "DataStorage": 16,
      "NumRecords": 1
    }
  ],
  "Count": 1,
  "NextToken": "page+2/="
}"#;
