//! What a stream gets of one synchronization, one deletion or one dataset of a bulk publication
//! (`docs/protocol.md` section 13.4).

use serde::Serialize;

/// What happened to the dataset, or to a record of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It was written.
    Replace,
    /// It was removed; the dataset as a whole if the message has no records.
    Remove,
}

/// Where the records of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PayloadType {
    /// In the message.
    Inline,
    /// In an object that the message names by a URL.
    S3Url,
}

/// One message of a stream. Both spellings of the dataset's name are there: the documents have one, the published
/// consumer reads the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRecord<'a> {
    /// The pool.
    pub identity_pool_id: &'a str,
    /// Whose dataset it is.
    pub identity_id: &'a str,
    /// The dataset.
    #[serde(rename = "dataSetName")]
    pub data_set_name: &'a str,
    /// The dataset, as the published consumer spells it.
    #[serde(rename = "datasetName")]
    pub dataset_name: &'a str,
    /// What happened to it.
    pub operation: Operation,
    /// The records; empty for a deletion, and when they are in an object.
    pub kinesis_sync_records: &'a [SyncRecord<'a>],
    /// When it happened, in milliseconds since the epoch.
    pub last_modified_date: i64,
    /// Where the records are if not here; left out otherwise, for consumers look whether it is there.
    #[serde(rename = "kinesisSyncRecordsURL", skip_serializing_if = "Option::is_none")]
    pub kinesis_sync_records_url: Option<&'a str>,
    /// Where the records are.
    pub payload_type: PayloadType,
    /// The dataset's count.
    pub sync_count: u64,
    /// Names the event; the same in every repetition. Of our own making.
    pub event_id: &'a str,
}

/// One record of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncRecord<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value; null when it was removed.
    pub value: Option<&'a str>,
    /// Its count.
    pub sync_count: u64,
    /// When the server took the change, in milliseconds since the epoch.
    pub last_modified_date: i64,
    /// When the device made it, in milliseconds since the epoch.
    pub device_last_modified_date: i64,
    /// What happened to it.
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
