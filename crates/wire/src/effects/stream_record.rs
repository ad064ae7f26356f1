//! The stream's message for one synchronization, one deletion or one dataset of a bulk publication
//! (`docs/protocol.md` section 13.4).

use serde::Serialize;

/// The change to the dataset, or to a record of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Written.
    Replace,
    /// Removed. A message without records is about the dataset as a whole.
    Remove,
}

/// The place of a message's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PayloadType {
    /// The message.
    Inline,
    /// An S3 object whose URL is in the message.
    S3Url,
}

/// A message of a stream. It has both spellings of the dataset's name: the documents have one, the published
/// consumer reads the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRecord<'a> {
    /// The pool's id.
    pub identity_pool_id: &'a str,
    /// The id of the identity that owns the dataset.
    pub identity_id: &'a str,
    /// The dataset's name.
    #[serde(rename = "dataSetName")]
    pub data_set_name: &'a str,
    /// The dataset's name, as the published consumer spells the member.
    #[serde(rename = "datasetName")]
    pub dataset_name: &'a str,
    /// The change to the dataset.
    pub operation: Operation,
    /// The records; empty for a deletion, and if they are in an object.
    pub kinesis_sync_records: &'a [SyncRecord<'a>],
    /// The time of the change, in milliseconds since the epoch.
    pub last_modified_date: i64,
    /// The URL of the object that has the records. Left out for inline records, because consumers test its
    /// presence.
    #[serde(rename = "kinesisSyncRecordsURL", skip_serializing_if = "Option::is_none")]
    pub kinesis_sync_records_url: Option<&'a str>,
    /// The place of the records.
    pub payload_type: PayloadType,
    /// The dataset's count.
    pub sync_count: u64,
    /// The event's id, the same in every repetition. Carryall's own addition.
    pub event_id: &'a str,
}

/// A record of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncRecord<'a> {
    /// The record's key.
    pub key: &'a str,
    /// The record's value; null if it was removed.
    pub value: Option<&'a str>,
    /// The record's count.
    pub sync_count: u64,
    /// The server's time of the change, in milliseconds since the epoch.
    pub last_modified_date: i64,
    /// The device's time of the change, in milliseconds since the epoch.
    pub device_last_modified_date: i64,
    /// The change to the record.
    pub op: Operation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_documented_members() {
        let records = [SyncRecord {
            key: "k",
            value: None,
            sync_count: 3,
            last_modified_date: 1_424_801_824_343,
            device_last_modified_date: 1_424_801_824_000,
            op: Operation::Remove,
        }];
        let record = StreamRecord {
            identity_pool_id: "p",
            identity_id: "i",
            data_set_name: "d",
            dataset_name: "d",
            operation: Operation::Replace,
            kinesis_sync_records: &records,
            last_modified_date: 1_424_801_824_343,
            kinesis_sync_records_url: None,
            payload_type: PayloadType::Inline,
            sync_count: 3,
            event_id: "e",
        };
        let expected = serde_json::json!({
            "identityPoolId": "p", "identityId": "i", "dataSetName": "d", "datasetName": "d",
            "operation": "replace",
            "kinesisSyncRecords": [{
                "key": "k", "value": null, "syncCount": 3, "lastModifiedDate": 1_424_801_824_343_i64,
                "deviceLastModifiedDate": 1_424_801_824_000_i64, "op": "remove"
            }],
            "lastModifiedDate": 1_424_801_824_343_i64, "payloadType": "Inline", "syncCount": 3, "eventId": "e"
        });
        assert_eq!(serde_json::to_value(&record).expect("JSON"), expected);
        let elsewhere = StreamRecord {
            kinesis_sync_records: &[],
            kinesis_sync_records_url: Some("https://x"),
            payload_type: PayloadType::S3Url,
            ..record
        };
        let elsewhere = serde_json::to_value(&elsewhere).expect("JSON");
        assert_eq!(elsewhere["kinesisSyncRecordsURL"], "https://x");
        assert_eq!(elsewhere["payloadType"], "S3Url");
    }
}
