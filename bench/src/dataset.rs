//! A client's view of a dataset that it alone writes: its count, the count of each record, and unused session
//! tokens. It predicts the counts of all coming updates, which can therefore be created and signed before
//! they are sent.

use std::net::SocketAddr;
use std::rc::Rc;

use carryall_wire::ops::sync::update_records::{self, RecordPatch};
use carryall_wire::ops::sync::{DescribeDataset, ListRecords, UpdateRecords, describe_dataset, list_records};
use carryall_wire::sigv4::Credentials;

use crate::outcome::Outcome;
use crate::payload::Chance;
use crate::signing;

const TOKEN_MEMBER: &[u8] = b"\"SyncSessionToken\":\"";

/// An identity with its credentials.
pub(crate) struct Guest {
    pub(crate) pool: String,
    pub(crate) identity: String,
    pub(crate) credentials: Credentials,
}

/// A dataset of a guest.
pub(crate) struct Dataset {
    guest: Rc<Guest>,
    name: String,
    count: u64,
    records: Vec<u64>,
    tokens: Vec<String>,
}

impl Dataset {
    /// A dataset that does not exist yet and will hold `records` records.
    pub(crate) fn new(guest: Rc<Guest>, name: String, records: usize) -> Self {
        Self { guest, name, count: 0, records: vec![0; records], tokens: Vec::new() }
    }

    /// The guest that owns the dataset.
    pub(crate) fn guest(&self) -> &Guest {
        &self.guest
    }

    /// The dataset's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number of records that the dataset will hold.
    pub(crate) fn records(&self) -> usize {
        self.records.len()
    }

    /// The dataset's count after all requests so far are applied.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The count above which `changed` records are listed, or fewer where one update wrote several.
    pub(crate) fn count_before(&self, changed: usize) -> u64 {
        let mut counts = self.records.clone();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        counts.get(changed).copied().unwrap_or(0)
    }

    /// Keeps the token of a listing.
    pub(crate) fn keep(&mut self, token: String) {
        self.tokens.push(token);
    }

    /// A signed ListRecords of everything above `last_sync_count`.
    pub(crate) fn list(&self, address: SocketAddr, last_sync_count: u64) -> Outcome<Vec<u8>> {
        let input = list_records::Input {
            identity_pool_id: Some(self.guest.pool.clone()),
            identity_id: Some(self.guest.identity.clone()),
            dataset_name: Some(self.name.clone()),
            last_sync_count: Some(i64::try_from(last_sync_count)?),
            ..list_records::Input::default()
        };
        signing::request::<ListRecords>(address, Some(&self.guest.credentials), &input)
    }

    /// A signed UpdateRecords that sets the `chosen` records and uses up a token. It must be sent, and in
    /// order: later requests depend on its count.
    pub(crate) fn update(
        &mut self,
        address: SocketAddr,
        chosen: &[usize],
        chance: &mut Chance,
    ) -> Outcome<Vec<u8>> {
        let patches = chosen.iter().map(|index| patch(*index, self.records[*index], chance)).collect();
        let request = self.patched(address, patches)?;
        self.count += 1;
        for index in chosen {
            self.records[*index] = self.count;
        }
        Ok(request)
    }

    /// A signed UpdateRecords that is refused, because it names an outdated count of a record. It uses up a
    /// token and changes nothing.
    pub(crate) fn stale_update(
        &mut self,
        address: SocketAddr,
        index: usize,
        chance: &mut Chance,
    ) -> Outcome<Vec<u8>> {
        let stale =
            self.records[index].checked_sub(1).ok_or("a record that does not exist has no older count")?;
        self.patched(address, vec![patch(index, stale, chance)])
    }

    /// A signed DescribeDataset.
    pub(crate) fn describe(&self, address: SocketAddr) -> Outcome<Vec<u8>> {
        let input = describe_dataset::Input {
            identity_pool_id: Some(self.guest.pool.clone()),
            identity_id: Some(self.guest.identity.clone()),
            dataset_name: Some(self.name.clone()),
        };
        signing::request::<DescribeDataset>(address, Some(&self.guest.credentials), &input)
    }

    fn patched(&mut self, address: SocketAddr, patches: Vec<RecordPatch>) -> Outcome<Vec<u8>> {
        let token = self.tokens.pop().ok_or("no session token was fetched for this update")?;
        let input = update_records::Input {
            identity_pool_id: Some(self.guest.pool.clone()),
            identity_id: Some(self.guest.identity.clone()),
            dataset_name: Some(self.name.clone()),
            record_patches: Some(patches),
            sync_session_token: Some(token),
            ..update_records::Input::default()
        };
        signing::request::<UpdateRecords>(address, Some(&self.guest.credentials), &input)
    }
}

/// A patch that sets a new value of a record.
fn patch(index: usize, sync_count: u64, chance: &mut Chance) -> RecordPatch {
    RecordPatch {
        op: Some("replace".to_owned()),
        key: Some(key(index)),
        value: Some(chance.value()),
        sync_count: i64::try_from(sync_count).ok(),
        device_last_modified_date: None,
    }
}

/// The key of a dataset's record.
pub(crate) fn key(index: usize) -> String {
    format!("record-{index:04}")
}

/// The session token in the answer to a ListRecords.
pub(crate) fn token(body: &[u8]) -> Outcome<String> {
    let start = body
        .windows(TOKEN_MEMBER.len())
        .rposition(|window| window == TOKEN_MEMBER)
        .map(|at| at + TOKEN_MEMBER.len())
        .ok_or("a listing without a session token")?;
    let end = body[start..].iter().position(|byte| *byte == b'"').ok_or("a token without end")?;
    Ok(std::str::from_utf8(&body[start..start + end])?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(records: usize) -> Dataset {
        let credentials = Credentials {
            access_key_id: "ASIAEXAMPLE00000".to_owned(),
            secret_access_key: "secret".into(),
            session_token: Some("session".into()),
        };
        let guest = Guest { pool: "us-east-1:0".to_owned(), identity: "us-east-1:1".to_owned(), credentials };
        Dataset::new(Rc::new(guest), "prefs".to_owned(), records)
    }

    fn address() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 7962))
    }

    fn body(request: &[u8]) -> serde_json::Value {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.contains("authorization: AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE00000/"), "{head}");
        assert!(head.contains("x-amz-security-token: session"), "{head}");
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn later_updates_name_the_counts_that_earlier_ones_will_have_made() {
        let mut dataset = dataset(3);
        let mut chance = Chance::new(1);
        for token in ["a", "b", "c"] {
            dataset.keep(token.to_owned());
        }
        let first = body(&dataset.update(address(), &[0, 1], &mut chance).unwrap());
        let second = body(&dataset.update(address(), &[2], &mut chance).unwrap());
        let third = body(&dataset.update(address(), &[1, 2], &mut chance).unwrap());
        let counts = |update: &serde_json::Value| -> Vec<u64> {
            let patches = update["RecordPatches"].as_array().unwrap();
            patches.iter().map(|patch| patch["SyncCount"].as_u64().unwrap()).collect()
        };
        assert_eq!(counts(&first), [0, 0]);
        assert_eq!(counts(&second), [0]);
        assert_eq!(counts(&third), [1, 2]);
        assert_eq!(third["RecordPatches"][0]["Key"], "record-0001");
        assert_ne!(first["SyncSessionToken"], second["SyncSessionToken"], "each token is used once");
        assert!(dataset.update(address(), &[0], &mut chance).is_err(), "no token is left");
        assert_eq!((dataset.count(), dataset.count_before(1), dataset.count_before(2)), (3, 3, 1));
        assert_eq!(dataset.count_before(3), 0);
    }

    #[test]
    fn a_stale_update_names_an_older_count_and_changes_no_later_one() {
        let mut dataset = dataset(1);
        let mut chance = Chance::new(1);
        for token in ["a", "b", "c"] {
            dataset.keep(token.to_owned());
        }
        assert!(dataset.stale_update(address(), 0, &mut chance).is_err(), "the record does not exist yet");
        dataset.update(address(), &[0], &mut chance).unwrap();
        let stale = body(&dataset.stale_update(address(), 0, &mut chance).unwrap());
        assert_eq!(stale["RecordPatches"][0]["SyncCount"], 0);
        let next = body(&dataset.update(address(), &[0], &mut chance).unwrap());
        assert_eq!(next["RecordPatches"][0]["SyncCount"], 1);
    }

    #[test]
    fn the_token_of_a_listing_is_found_behind_its_records() {
        let body = br#"{"Records":[{"Key":"k"}],"SyncSessionToken":"AQ-_","DatasetExists":true}"#;
        assert_eq!(token(body).unwrap(), "AQ-_");
        assert!(token(b"{}").is_err());
    }
}
