//! `UpdateRecords` writes records of a dataset, all or none of them (`docs/protocol.md` sections 7.5 and
//! 7.6).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::json_text::{Sink, Size};
use crate::limits;
use crate::member;
use crate::shapes::Record;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, RECORDS_BODY_BYTES_MAX, Service, Spec,
};
use crate::timestamp::Timestamp;

/// `UpdateRecords` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum UpdateRecords {}

impl Operation for UpdateRecords {
    const SPEC: Spec = Spec {
        name: OperationName::UpdateRecords,
        service: Service::Sync,
        method: Method::Post,
        path: "/identitypools/{IdentityPoolId}/identities/{IdentityId}/datasets/{DatasetName}",
        binds: &[
            Bind::label("IdentityPoolId"),
            Bind::label("IdentityId"),
            Bind::label("DatasetName"),
            Bind::header("ClientContext", "x-amz-Client-Context"),
        ],
        access: Access::Either,
        effect: Effect::Write,
        faults: &[
            FaultKind::InvalidParameter,
            FaultKind::LimitExceeded,
            FaultKind::NotAuthorized,
            FaultKind::ResourceNotFound,
            FaultKind::ResourceConflict,
            FaultKind::InvalidLambdaFunctionOutput,
            FaultKind::LambdaThrottled,
            FaultKind::TooManyRequests,
            FaultKind::InternalError,
        ],
        body_bytes_max: RECORDS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;

    fn json_bytes(output: &Output) -> Option<usize> {
        Some(Size::of(|size| output.write_json(size)))
    }

    fn write_json(output: &Output, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        output.write_json(out);
        Ok(())
    }
}

/// The input of `UpdateRecords`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The identity's id.
    pub identity_id: Option<String>,
    /// The dataset's name.
    pub dataset_name: Option<String>,
    /// The id of the device that writes.
    pub device_id: Option<String>,
    /// The patches, at most 16,384.
    #[serde(deserialize_with = "member::objects::<limits::RecordPatches, _, _>")]
    pub record_patches: Option<Vec<RecordPatch>>,
    /// The session token of the listing that the update is based on.
    pub sync_session_token: Option<String>,
    /// Ignored. The service documents it as not implemented.
    pub client_context: Option<String>,
}

/// The output of `UpdateRecords`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// Every record that was written, tombstones included.
    pub records: Vec<Record>,
}

impl Output {
    /// Writes the answer as JSON, without an envelope.
    pub fn write_json(&self, sink: &mut impl Sink) {
        sink.raw(r#"{"Records":"#);
        sink.list(&self.records, |sink, record| record.write_json(sink));
        sink.raw("}");
    }
}

/// A change of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RecordPatch {
    /// `replace` or `remove`.
    pub op: Option<String>,
    /// The record's key.
    pub key: Option<String>,
    /// The new value. Some clients send an empty one with `remove`.
    pub value: Option<String>,
    /// The record's count as the caller knows it; 0 for a new one.
    #[serde(deserialize_with = "member::integer")]
    pub sync_count: Option<i64>,
    /// The time at which the device made the change.
    pub device_last_modified_date: Option<Timestamp>,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "DatasetName": "prefs",
  "DeviceId": "6d1c0e1e-3f5b-4b53-9d8e-000000000003",
  "RecordPatches": [
    {
      "Op": "replace",
      "Key": "colour",
      "Value": "green",
      "SyncCount": 6,
      "DeviceLastModifiedDate": 1412974055.5
    }
  ],
  "SyncSessionToken": "AQIDBA",
  "ClientContext": "{}"
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "Records": [
    {
      "Key": "colour",
      "Value": "green",
      "SyncCount": 7,
      "LastModifiedDate": 1412974057.151,
      "LastModifiedBy": "6d1c0e1e-3f5b-4b53-9d8e-000000000003",
      "DeviceLastModifiedDate": 1412974055.5
    }
  ]
}"#;
