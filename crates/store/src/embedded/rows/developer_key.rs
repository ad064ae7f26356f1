//! Rows of developer keys.

use carryall_core::ids::AccessKeyId;
use carryall_core::model::DeveloperKey;
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION, put_bytes};

pub(crate) fn to_row(key: &DeveloperKey) -> Vec<u8> {
    let mut row = Vec::with_capacity(16 + key.sealed_secret.len() + key.description.len());
    row.push(VERSION);
    row.extend(key.created.0.to_be_bytes());
    put_bytes(&mut row, &key.sealed_secret);
    row.extend(key.description.as_bytes());
    row
}

pub(crate) fn from_row(id: AccessKeyId, row: &[u8]) -> Result<DeveloperKey, StoreError> {
    let mut reader = Reader::open("developer key", row)?;
    let created = reader.time()?;
    let sealed_secret = reader.bytes()?.to_vec();
    Ok(DeveloperKey { id, sealed_secret, created, description: reader.text()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use carryall_core::time::UnixMillis;

    use super::*;

    #[test]
    fn a_developer_key_survives_its_row() {
        let key = DeveloperKey {
            id: AccessKeyId::parse("AKIA000000000000").unwrap(),
            sealed_secret: vec![1, 2],
            created: UnixMillis(1),
            description: "d".into(),
        };
        assert_eq!(from_row(key.id.clone(), &to_row(&key)), Ok(key));
    }
}
