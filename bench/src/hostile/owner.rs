//! The identities that attacks use, and the worst data that the limits let them store.

use carryall_wire::codec::{self, Request};
use carryall_wire::ops::sync::update_records::{self, RecordPatch};
use carryall_wire::ops::sync::{DescribeDataset, ListRecords, UpdateRecords, describe_dataset, list_records};
use carryall_wire::spec::{Method, Service};
use std::net::SocketAddr;

use crate::connection::Connection;
use crate::dataset::{self, Guest};
use crate::outcome::Outcome;
use crate::signing;
use crate::world;

/// A character that takes one byte in the store and six in JSON.
const WORST: &str = "\u{1}";
/// Removals of one update whose keys have the largest size: somewhat less than 8 MiB of JSON.
const REMOVALS_PER_UPDATE: usize = 1_130;
/// Updates of removals; together they stay below the 10,240 tombstones of a dataset.
const UPDATES_OF_REMOVALS: usize = 9;
/// The size of a value that leaves room for its key in a dataset of 1 MiB.
const VALUE_BYTES: usize = 1_040_000;

/// The contents of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// 1 MiB of letters.
    Plain,
    /// 1 MiB of control characters: 6 MiB of JSON.
    Escaped,
    /// 1 MiB of control characters, and removals of the longest keys of control characters: up to 67 MiB of
    /// JSON.
    Worst,
}

/// An identity with its credentials, on one server.
pub(super) struct Owner {
    address: SocketAddr,
    guest: Guest,
}

/// Creates a pool and `count` identities in it.
pub(super) async fn owners(address: SocketAddr, count: usize) -> Outcome<Vec<Owner>> {
    let mut connection = Connection::open(address).await?;
    let pool = world::create_pool(&mut connection, address).await?;
    let mut owners = Vec::with_capacity(count);
    for _ in 0..count {
        let guest = world::create_guest(&mut connection, address, &pool).await?;
        owners.push(Owner { address, guest });
    }
    Ok(owners)
}

impl Owner {
    /// The id of its pool.
    pub(super) fn pool(&self) -> &str {
        &self.guest.pool
    }

    /// The id of the identity.
    pub(super) fn identity(&self) -> &str {
        &self.guest.identity
    }

    /// The bytes of a signed request to Cognito Sync.
    pub(super) fn signed(&self, request: &Request) -> Outcome<Vec<u8>> {
        signing::bytes(self.address, Some(&self.guest.credentials), Service::Sync, request)
    }

    /// A signed listing of the changes above `last_sync_count`, of at most `page` records if given.
    pub(super) fn list(&self, dataset: &str, last_sync_count: u64, page: Option<i64>) -> Outcome<Vec<u8>> {
        let input = list_records::Input {
            identity_pool_id: Some(self.guest.pool.clone()),
            identity_id: Some(self.guest.identity.clone()),
            dataset_name: Some(dataset.to_owned()),
            last_sync_count: Some(i64::try_from(last_sync_count)?),
            max_results: page,
            ..list_records::Input::default()
        };
        self.signed(&codec::request::<ListRecords>(&input)?)
    }

    /// A signed request for a live channel of a dataset.
    pub(super) fn channel(&self, dataset: &str) -> Outcome<Vec<u8>> {
        let input = describe_dataset::Input {
            identity_pool_id: Some(self.guest.pool.clone()),
            identity_id: Some(self.guest.identity.clone()),
            dataset_name: Some(dataset.to_owned()),
        };
        let described = codec::request::<DescribeDataset>(&input)?;
        let path_and_query = format!("{}/changes", described.path_and_query);
        self.signed(&Request { method: Method::Get, path_and_query, headers: Vec::new(), body: Vec::new() })
    }

    /// The unsigned form of an update with any body.
    pub(super) fn update_with_body(&self, dataset: &str, body: Vec<u8>) -> Outcome<Request> {
        let input = update_records::Input {
            identity_pool_id: Some(self.guest.pool.clone()),
            identity_id: Some(self.guest.identity.clone()),
            dataset_name: Some(dataset.to_owned()),
            record_patches: Some(Vec::new()),
            ..update_records::Input::default()
        };
        Ok(Request { body, ..codec::request::<UpdateRecords>(&input)? })
    }

    /// A signed update with a session token of a listing.
    pub(super) fn update(&self, dataset: &str, token: String, patches: Vec<RecordPatch>) -> Outcome<Vec<u8>> {
        let input = update_records::Input {
            identity_pool_id: Some(self.guest.pool.clone()),
            identity_id: Some(self.guest.identity.clone()),
            dataset_name: Some(dataset.to_owned()),
            record_patches: Some(patches),
            sync_session_token: Some(token),
            ..update_records::Input::default()
        };
        self.signed(&codec::request::<UpdateRecords>(&input)?)
    }

    /// Lists for a session token, which every update needs.
    pub(super) async fn token(&self, connection: &mut Connection, dataset: &str) -> Outcome<String> {
        let request = self.list(dataset, 0, Some(1))?;
        dataset::token(connection.succeed(&request).await?)
    }

    /// Fills a dataset that does not exist yet.
    pub(super) async fn fill(&self, dataset: &str, content: Content) -> Outcome<()> {
        let mut connection = Connection::open(self.address).await?;
        let character = if content == Content::Plain { "x" } else { WORST };
        let value = vec![replace("value", character.repeat(VALUE_BYTES), 0)];
        let token = self.token(&mut connection, dataset).await?;
        connection.succeed(&self.update(dataset, token, value)?).await?;
        if content != Content::Worst {
            return Ok(());
        }
        for update in 0..UPDATES_OF_REMOVALS {
            let begin = update * REMOVALS_PER_UPDATE;
            let keys = (begin..begin + REMOVALS_PER_UPDATE)
                .map(|number| format!("{}{number:06}", WORST.repeat(1018)));
            let token = self.token(&mut connection, dataset).await?;
            let removals = self.update(dataset, token, keys.map(remove).collect())?;
            connection.succeed(&removals).await?;
        }
        Ok(())
    }
}

/// A patch that sets a record.
pub(super) fn replace(key: &str, value: String, sync_count: i64) -> RecordPatch {
    RecordPatch {
        op: Some("replace".to_owned()),
        key: Some(key.to_owned()),
        value: Some(value),
        sync_count: Some(sync_count),
        device_last_modified_date: None,
    }
}

/// A patch that removes a record that never existed, and so leaves a tombstone.
pub(super) fn remove(key: String) -> RecordPatch {
    RecordPatch {
        op: Some("remove".to_owned()),
        key: Some(key),
        value: None,
        sync_count: Some(0),
        device_last_modified_date: None,
    }
}
