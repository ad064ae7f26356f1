//! `UnsubscribeFromDataset` ends a device's subscription to a dataset (`docs/protocol.md` section 9.4).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::shapes::Empty;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `UnsubscribeFromDataset` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum UnsubscribeFromDataset {}

impl Operation for UnsubscribeFromDataset {
    const SPEC: Spec = Spec {
        name: OperationName::UnsubscribeFromDataset,
        service: Service::Sync,
        method: Method::Delete,
        path: "/identitypools/{IdentityPoolId}/identities/{IdentityId}/datasets/{DatasetName}/subscriptions/{DeviceId}",
        binds: &[
            Bind::label("IdentityPoolId"),
            Bind::label("IdentityId"),
            Bind::label("DatasetName"),
            Bind::label("DeviceId"),
        ],
        access: Access::Identity,
        effect: Effect::Write,
        faults: &[
            FaultKind::NotAuthorized,
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::InternalError,
            FaultKind::InvalidConfiguration,
            FaultKind::TooManyRequests,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Empty;
}

/// The input of `UnsubscribeFromDataset`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The identity's id.
    pub identity_id: Option<String>,
    /// The dataset's name.
    pub dataset_name: Option<String>,
    /// The device's id.
    pub device_id: Option<String>,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "DatasetName": "prefs",
  "DeviceId": "6d1c0e1e-3f5b-4b53-9d8e-000000000003"
}"#;

const OUTPUT_EXAMPLE: &str = r"{}";
