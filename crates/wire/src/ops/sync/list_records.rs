//! `ListRecords` lists what changed in a dataset since a count, and hands out the token that an update needs
//! (`docs/protocol.md` sections 7.2 to 7.4).
//!
//! Every page carries every member, since clients take what they need from any of them.

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::json_size;
use crate::member;
use crate::shapes::Record;
use crate::spec::{
    Access, Bind, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// The operation as a type.
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
        Some(output.json_bytes())
    }
}

/// What the caller sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool.
    pub identity_pool_id: Option<String>,
    /// The identity.
    pub identity_id: Option<String>,
    /// The dataset.
    pub dataset_name: Option<String>,
    /// Only records with a higher count are listed.
    #[serde(deserialize_with = "member::integer")]
    pub last_sync_count: Option<i64>,
    /// Where the page begins, from the previous page.
    pub next_token: Option<String>,
    /// The largest number of items on a page.
    #[serde(deserialize_with = "member::integer")]
    pub max_results: Option<i64>,
    /// The token of an earlier listing in the same session.
    pub sync_session_token: Option<String>,
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The records and tombstones of the page.
    pub records: Vec<Record>,
    /// Where the next page begins; null on the last.
    pub next_token: Option<String>,
    /// How many records the page holds.
    pub count: u64,
    /// The dataset's count when the first page was made.
    pub dataset_sync_count: u64,
    /// Who wrote the dataset last; null if it does not exist.
    pub last_modified_by: Option<String>,
    /// Datasets that came from merged identities; an empty list, never null.
    pub merged_dataset_names: Vec<String>,
    /// Whether the dataset exists.
    pub dataset_exists: bool,
    /// Whether it was deleted after the count that was asked for.
    pub dataset_deleted_after_requested_sync_count: bool,
    /// The token that an update needs.
    pub sync_session_token: String,
}

/// An answer without its nine values.
const OUTPUT_MEMBERS: &str = concat!(
    r#"{"Records":,"NextToken":,"Count":,"DatasetSyncCount":,"LastModifiedBy":,"MergedDatasetNames":,"#,
    r#""DatasetExists":,"DatasetDeletedAfterRequestedSyncCount":,"SyncSessionToken":}"#,
);

impl Output {
    /// The size of the answer, in bytes of JSON without an envelope.
    pub fn json_bytes(&self) -> usize {
        OUTPUT_MEMBERS.len()
            + json_size::list(self.records.iter().map(Record::json_bytes))
            + json_size::optional_text(self.next_token.as_deref())
            + json_size::number(self.count)
            + json_size::number(self.dataset_sync_count)
            + json_size::optional_text(self.last_modified_by.as_deref())
            + json_size::list(self.merged_dataset_names.iter().map(|name| json_size::text(name)))
            + json_size::boolean(self.dataset_exists)
            + json_size::boolean(self.dataset_deleted_after_requested_sync_count)
            + json_size::text(&self.sync_session_token)
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
