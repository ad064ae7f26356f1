//! `ListRecords` lists the changes of a dataset since a count, and issues the token that an update needs
//! (`docs/protocol.md` sections 7.2 to 7.4).
//!
//! Every page carries every member, because clients read them from any page.

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::json_text::{Sink, Size};
use crate::member;
use crate::shapes::Record;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `ListRecords` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum ListRecords {}

impl Operation for ListRecords {
    const SPEC: Spec = Spec {
        name: OperationName::ListRecords,
        service: Service::Sync,
        method: Method::Get,
        path: "/identitypools/{IdentityPoolId}/identities/{IdentityId}/datasets/{DatasetName}/records",
        binds: &[
            Bind::label("IdentityPoolId"),
            Bind::label("IdentityId"),
            Bind::label("DatasetName"),
            Bind::query("LastSyncCount", "lastSyncCount"),
            Bind::query("NextToken", "nextToken"),
            Bind::query("MaxResults", "maxResults"),
            Bind::query("SyncSessionToken", "syncSessionToken"),
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

    fn json_bytes(output: &Output) -> Option<usize> {
        Some(Size::of(|size| output.write_json(size)))
    }

    fn write_json(output: &Output, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        output.write_json(out);
        Ok(())
    }
}

/// The input of `ListRecords`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
    /// The identity's id.
    pub identity_id: Option<String>,
    /// The dataset's name.
    pub dataset_name: Option<String>,
    /// The count that the caller knows; only records with a higher count are listed.
    #[serde(deserialize_with = "member::integer")]
    pub last_sync_count: Option<i64>,
    /// The page token that the previous page returned; absent for the first page.
    pub next_token: Option<String>,
    /// The largest number of items to return.
    #[serde(deserialize_with = "member::integer")]
    pub max_results: Option<i64>,
    /// The session token of an earlier listing in the same session.
    pub sync_session_token: Option<String>,
}

/// The output of `ListRecords`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The records and tombstones of the page.
    pub records: Vec<Record>,
    /// The token of the next page; null on the last page.
    pub next_token: Option<String>,
    /// The number of records on the page.
    pub count: u64,
    /// The dataset's count when the first page was made.
    pub dataset_sync_count: u64,
    /// The last writer of the dataset; null if the dataset does not exist.
    pub last_modified_by: Option<String>,
    /// Datasets that came from merged identities; an empty list, never null.
    pub merged_dataset_names: Vec<String>,
    /// True if the dataset exists.
    pub dataset_exists: bool,
    /// True if the dataset was deleted after the requested count.
    pub dataset_deleted_after_requested_sync_count: bool,
    /// The session token that an update needs.
    pub sync_session_token: String,
}

impl Output {
    /// Writes the answer as JSON, without an envelope.
    pub fn write_json(&self, sink: &mut impl Sink) {
        sink.raw(r#"{"Records":"#);
        sink.list(&self.records, |sink, record| record.write_json(sink));
        sink.raw(r#","NextToken":"#);
        sink.optional_text(self.next_token.as_deref());
        sink.raw(r#","Count":"#);
        sink.number(self.count);
        sink.raw(r#","DatasetSyncCount":"#);
        sink.number(self.dataset_sync_count);
        sink.raw(r#","LastModifiedBy":"#);
        sink.optional_text(self.last_modified_by.as_deref());
        sink.raw(r#","MergedDatasetNames":"#);
        sink.list(&self.merged_dataset_names, |sink, name| sink.text(name));
        sink.raw(r#","DatasetExists":"#);
        sink.boolean(self.dataset_exists);
        sink.raw(r#","DatasetDeletedAfterRequestedSyncCount":"#);
        sink.boolean(self.dataset_deleted_after_requested_sync_count);
        sink.raw(r#","SyncSessionToken":"#);
        sink.text(&self.sync_session_token);
        sink.raw("}");
    }
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "DatasetName": "prefs",
  "LastSyncCount": 6,
  "NextToken": "page+2/=",
  "MaxResults": 1024,
  "SyncSessionToken": "AQIDBA"
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
    },
    {
      "Key": "size",
      "Value": null,
      "SyncCount": 7,
      "LastModifiedDate": 1412974057.151,
      "LastModifiedBy": "6d1c0e1e-3f5b-4b53-9d8e-000000000003",
      "DeviceLastModifiedDate": 1412974055.5
    }
  ],
  "NextToken": "page+2/=",
  "Count": 2,
  "DatasetSyncCount": 7,
  "LastModifiedBy": "6d1c0e1e-3f5b-4b53-9d8e-000000000003",
  "MergedDatasetNames": [
    "prefs.us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002"
  ],
  "DatasetExists": true,
  "DatasetDeletedAfterRequestedSyncCount": false,
  "SyncSessionToken": "AQIDBA"
}"#;
