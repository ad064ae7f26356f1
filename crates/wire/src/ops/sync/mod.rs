//! The operations of Cognito Sync, one file each: declaration, input, output and an example. Decisions are
//! not made here.

pub mod bulk_publish;
pub mod delete_dataset;
pub mod describe_dataset;
pub mod describe_identity_pool_usage;
pub mod describe_identity_usage;
pub mod get_bulk_publish_details;
pub mod get_cognito_events;
pub mod get_identity_pool_configuration;
pub mod list_datasets;
pub mod list_identity_pool_usage;
pub mod list_records;
pub mod register_device;
pub mod set_cognito_events;
pub mod set_identity_pool_configuration;
pub mod subscribe_to_dataset;
pub mod unsubscribe_from_dataset;
pub mod update_records;

pub use bulk_publish::BulkPublish;
pub use delete_dataset::DeleteDataset;
pub use describe_dataset::DescribeDataset;
pub use describe_identity_pool_usage::DescribeIdentityPoolUsage;
pub use describe_identity_usage::DescribeIdentityUsage;
pub use get_bulk_publish_details::GetBulkPublishDetails;
pub use get_cognito_events::GetCognitoEvents;
pub use get_identity_pool_configuration::GetIdentityPoolConfiguration;
pub use list_datasets::ListDatasets;
pub use list_identity_pool_usage::ListIdentityPoolUsage;
pub use list_records::ListRecords;
pub use register_device::RegisterDevice;
pub use set_cognito_events::SetCognitoEvents;
pub use set_identity_pool_configuration::SetIdentityPoolConfiguration;
pub use subscribe_to_dataset::SubscribeToDataset;
pub use unsubscribe_from_dataset::UnsubscribeFromDataset;
pub use update_records::UpdateRecords;
