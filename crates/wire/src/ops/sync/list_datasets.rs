//! `ListDatasets` lists an identity's datasets (`docs/protocol.md` section 7.9).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::member;
use crate::shapes::Dataset;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// The operation as a type.
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

/// What the caller sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool.
    pub identity_pool_id: Option<String>,
    /// The identity.
    pub identity_id: Option<String>,
    /// Where the page begins, from the previous page.
    pub next_token: Option<String>,
    /// The largest number of items on a page.
    #[serde(deserialize_with = "member::integer")]
    pub max_results: Option<i64>,
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The datasets of the page.
    pub datasets: Vec<Dataset>,
    /// How many the page holds.
    pub count: u64,
    /// Where the next page begins; null on the last.
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
