//! The latest bulk publication of a pool as a row, as [`super::bytes`] says.

use carryall_core::ids::{DatasetName, IdentityId, Version};
use carryall_core::model::{BulkPublish, BulkPublishStatus};
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION, put_bytes};

const IN_PROGRESS: u8 = 0;
const SUCCEEDED: u8 = 1;
const FAILED: u8 = 2;

pub(crate) fn to_row(bulk: &BulkPublish) -> Vec<u8> {
    let BulkPublish { version, status, started, succeeded, cursor, datasets } = bulk;
    let mut row = vec![VERSION];
    row.extend(version.0.to_be_bytes());
    row.extend(started.0.to_be_bytes());
    row.push(u8::from(succeeded.is_some()));
    if let Some(succeeded) = succeeded {
        row.extend(succeeded.0.to_be_bytes());
    }
    row.push(u8::from(cursor.is_some()));
    if let Some((identity, name)) = cursor {
        put_bytes(&mut row, identity.as_str().as_bytes());
        put_bytes(&mut row, name.as_str().as_bytes());
    }
    row.extend(datasets.to_be_bytes());
    match status {
        BulkPublishStatus::InProgress => row.push(IN_PROGRESS),
        BulkPublishStatus::Succeeded => row.push(SUCCEEDED),
        BulkPublishStatus::Failed { message } => {
            row.push(FAILED);
            row.extend(message.as_bytes());
        }
    }
    row
}

pub(crate) fn from_row(row: &[u8]) -> Result<BulkPublish, StoreError> {
    let mut reader = Reader::open("bulk publication", row)?;
    let version = Version(reader.u64()?);
    let started = reader.time()?;
    let succeeded = if reader.flag()? { Some(reader.time()?) } else { None };
    let cursor = if reader.flag()? { Some(cursor(&mut reader)?) } else { None };
    let datasets = reader.u64()?;
    let status = match reader.u8()? {
        IN_PROGRESS => BulkPublishStatus::InProgress,
        SUCCEEDED => BulkPublishStatus::Succeeded,
        FAILED => {
            let message = reader.text()?.to_owned();
            let status = BulkPublishStatus::Failed { message };
            return Ok(BulkPublish { version, status, started, succeeded, cursor, datasets });
        }
        other => return Err(reader.damaged(&format!("has the unknown status {other}"))),
    };
    reader.end()?;
    Ok(BulkPublish { version, status, started, succeeded, cursor, datasets })
}

fn cursor(reader: &mut Reader<'_>) -> Result<(IdentityId, DatasetName), StoreError> {
    let identity = reader.short_text()?;
    let name = reader.short_text()?;
    let parsed = IdentityId::parse(identity).ok().zip(DatasetName::parse(name).ok());
    parsed.ok_or_else(|| reader.damaged("names no dataset"))
}

#[cfg(test)]
mod tests {
    use carryall_core::time::UnixMillis;
    use proptest::prelude::*;

    use super::*;

    fn bulk_publish() -> impl Strategy<Value = BulkPublish> {
        let status = prop_oneof![
            Just(BulkPublishStatus::InProgress),
            Just(BulkPublishStatus::Succeeded),
            ".{0,40}".prop_map(|message| BulkPublishStatus::Failed { message }),
        ];
        let cursor = proptest::option::of(("[a-z]{1,9}:[0-9a-f]{1,9}", "[a-z]{1,9}"));
        (any::<(u64, i64, Option<i64>, u64)>(), status, cursor).prop_map(
            |((version, started, succeeded, datasets), status, cursor)| BulkPublish {
                version: Version(version),
                status,
                started: UnixMillis(started),
                succeeded: succeeded.map(UnixMillis),
                cursor: cursor.map(|(identity, name)| {
                    (IdentityId::parse(&identity).unwrap(), DatasetName::parse(&name).unwrap())
                }),
                datasets,
            },
        )
    }

    proptest! {
        #[test]
        fn a_bulk_publication_survives_its_row(bulk in bulk_publish()) {
            prop_assert_eq!(from_row(&to_row(&bulk)), Ok(bulk));
        }

        #[test]
        fn arbitrary_bytes_are_damage_and_never_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 1..120)) {
            for version in [bytes[0], VERSION] {
                bytes[0] = version;
                let _ = from_row(&bytes);
            }
        }
    }
}
