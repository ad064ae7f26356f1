//! The latest bulk publication of a pool as a row, as [`super::bytes`] says.

use carryall_core::ids::Version;
use carryall_core::model::{BulkPublish, BulkPublishStatus};
use carryall_core::store::StoreError;

use super::bytes::Reader;

/// The layout since publications are lanes of the outbox. Rows of the first one hold the place that the publication has
/// come to.
const BULK_PUBLISH_VERSION: u8 = 2;

const IN_PROGRESS: u8 = 0;
const SUCCEEDED: u8 = 1;
const FAILED: u8 = 2;

/// The end of a publication of the first layout: no lane continues it.
const INTERRUPTED: &str =
    "The server was updated to a version that cannot continue it. Publish the pool again.";

pub(crate) fn to_row(bulk: &BulkPublish) -> Vec<u8> {
    let BulkPublish { version, status, started, succeeded, datasets } = bulk;
    let mut row = vec![BULK_PUBLISH_VERSION];
    row.extend(version.0.to_be_bytes());
    row.extend(started.0.to_be_bytes());
    row.push(u8::from(succeeded.is_some()));
    if let Some(succeeded) = succeeded {
        row.extend(succeeded.0.to_be_bytes());
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
    let (mut reader, layout) = Reader::open_up_to(BULK_PUBLISH_VERSION, "bulk publication", row)?;
    let version = Version(reader.u64()?);
    let started = reader.time()?;
    let succeeded = if reader.flag()? { Some(reader.time()?) } else { None };
    if layout < BULK_PUBLISH_VERSION && reader.flag()? {
        let (_identity, _name) = (reader.bytes()?, reader.bytes()?);
    }
    let datasets = reader.u64()?;
    let status = match reader.u8()? {
        IN_PROGRESS if layout < BULK_PUBLISH_VERSION => {
            BulkPublishStatus::Failed { message: INTERRUPTED.to_owned() }
        }
        IN_PROGRESS => BulkPublishStatus::InProgress,
        SUCCEEDED => BulkPublishStatus::Succeeded,
        FAILED => {
            let status = BulkPublishStatus::Failed { message: reader.text()?.to_owned() };
            return Ok(BulkPublish { version, status, started, succeeded, datasets });
        }
        other => return Err(reader.damaged(&format!("has the unknown status {other}"))),
    };
    reader.end()?;
    Ok(BulkPublish { version, status, started, succeeded, datasets })
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
        (any::<(u64, i64, Option<i64>, u64)>(), status).prop_map(
            |((version, started, succeeded, datasets), status)| BulkPublish {
                version: Version(version),
                status,
                started: UnixMillis(started),
                succeeded: succeeded.map(UnixMillis),
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
            for version in [bytes[0], 1, BULK_PUBLISH_VERSION] {
                bytes[0] = version;
                let _ = from_row(&bytes);
            }
        }
    }
}
