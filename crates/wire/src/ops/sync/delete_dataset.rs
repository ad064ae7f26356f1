//! `DeleteDataset` deletes a dataset and describes it as it was (`docs/protocol.md` section 7.8).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::shapes::Dataset;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `DeleteDataset` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum DeleteDataset {}

impl Operation for DeleteDataset {
    const SPEC: Spec = Spec {
        name: OperationName::DeleteDataset,
        service: Service::Sync,
        method: Method::Delete,
        path: "/identitypools/{IdentityPoolId}/identities/{IdentityId}/datasets/{DatasetName}",
        binds: &[Bind::label("IdentityPoolId"), Bind::label("IdentityId"), Bind::label("DatasetName")],
        access: Access::Either,
        effect: Effect::Write,
        faults: &[
            FaultKind::NotAuthorized,
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::InternalError,
            FaultKind::TooManyRequests,
            FaultKind::ResourceConflict,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `DeleteDataset`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The identity's id.
    pub identity_id: Option<String>,
    /// The dataset's name.
    pub dataset_name: Option<String>,
}

/// The output of `DeleteDataset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The dataset as it was before the deletion.
    pub dataset: Dataset,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "DatasetName": "prefs"
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "Dataset": {
    "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
    "DatasetName": "prefs",
    "CreationDate": 1412974057.151,
    "LastModifiedDate": 1412974057.151,
    "LastModifiedBy": "000000000000",
    "DataStorage": 16,
    "NumRecords": 1
  }
}"#;
