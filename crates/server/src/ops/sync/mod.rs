//! The 17 operations of Cognito Sync.

mod bulk_publish;
mod delete_dataset;
mod describe_dataset;
mod describe_identity_pool_usage;
mod describe_identity_usage;
mod get_bulk_publish_details;
mod get_cognito_events;
mod get_identity_pool_configuration;
mod list_datasets;
mod list_identity_pool_usage;
mod list_records;
mod register_device;
mod set_cognito_events;
mod set_identity_pool_configuration;
mod subscribe_to_dataset;
mod unsubscribe_from_dataset;
mod update_records;

use carryall_core::ids::{DatasetName, IdentityId};
use carryall_core::model::{Life, Pool, PoolRef, PoolUsage, Record, StreamingStatus};
use carryall_core::time::UnixMillis;
use carryall_wire::json_text::{self, Size};
use carryall_wire::shapes;

use super::timestamp;

/// A dataset's description.
fn dataset(owner: &IdentityId, name: &DatasetName, life: &Life) -> shapes::Dataset {
    shapes::Dataset {
        identity_id: owner.to_string(),
        dataset_name: name.to_string(),
        creation_date: timestamp(life.created),
        last_modified_date: timestamp(life.modified),
        last_modified_by: Some(life.modified_by.to_string()),
        data_storage: life.data_bytes,
        num_records: life.records.into(),
    }
}

/// The largest number of bytes of JSON that one byte of text can take.
const ESCAPED_BYTES_MAX: usize = 6;
/// The largest number of bytes of a record as JSON besides its key, value and writer.
const FRAME_BYTES_MAX: usize = 512;

/// An upper bound of a record's size as JSON, in bytes, computed without reading its text.
fn json_bytes_bound(record: &Record) -> usize {
    let value_bytes = record.value.as_ref().map_or(0, String::len);
    let text_bytes = record.key.as_str().len() + value_bytes + record.modified_by.len();
    text_bytes * ESCAPED_BYTES_MAX + FRAME_BYTES_MAX
}

/// The size of a record as JSON, in bytes, computed before the record is converted to its shape.
fn json_bytes(record: &Record) -> usize {
    let (modified, device_modified) = (timestamp(record.modified), timestamp(record.device_modified));
    let (key, value, by) = (record.key.as_str(), record.value.as_deref(), Some(&*record.modified_by));
    Size::of(|size| json_text::record(size, key, value, record.sync_count.0, modified, by, device_modified))
}

fn record(record: Record) -> shapes::Record {
    shapes::Record {
        key: record.key.into_text(),
        value: record.value,
        sync_count: record.sync_count.0,
        last_modified_date: timestamp(record.modified),
        last_modified_by: Some(record.modified_by),
        device_last_modified_date: timestamp(record.device_modified),
    }
}

/// A pool's usage. A pool without data counts as modified at its creation.
fn pool_usage(at: &PoolRef, created: UnixMillis, usage: &PoolUsage) -> shapes::IdentityPoolUsage {
    shapes::IdentityPoolUsage {
        identity_pool_id: at.id.to_string(),
        sync_sessions_count: (usage.sync_sessions > 0).then_some(usage.sync_sessions),
        data_storage: usage.data_bytes,
        last_modified_date: Some(timestamp(usage.modified.unwrap_or(created))),
    }
}

/// A pool's push settings.
fn push_sync(pool: &Pool) -> Option<shapes::PushSync> {
    pool.push.as_ref().map(|push| shapes::PushSync {
        application_arns: Some(push.application_arns.clone()),
        role_arn: push.role_arn.clone(),
    })
}

/// A pool's stream settings.
fn cognito_streams(pool: &Pool) -> Option<shapes::CognitoStreams> {
    pool.streams.as_ref().map(|streams| shapes::CognitoStreams {
        stream_name: streams.stream_name.clone(),
        role_arn: streams.role_arn.clone(),
        streaming_status: streams.status.map(|status| {
            match status {
                StreamingStatus::Enabled => "ENABLED",
                StreamingStatus::Disabled => "DISABLED",
            }
            .to_owned()
        }),
        disabled_reason: streams.disabled_reason.clone(),
    })
}
