//! Holdings rows.

use carryall_core::ids::{Generation, SyncCount, Version};
use carryall_core::model::{Floor, Holdings};
use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;

use super::bytes::Reader;

/// The layout that has the date of the floor.
const DATED_VERSION: u8 = 2;

pub(crate) fn to_row(holdings: &Holdings) -> Vec<u8> {
    let mut row = Vec::with_capacity(41);
    row.push(DATED_VERSION);
    row.extend(holdings.version.0.to_be_bytes());
    row.extend(holdings.datasets.to_be_bytes());
    row.extend(holdings.deleted_names.to_be_bytes());
    row.extend(holdings.floor.sync_count.0.to_be_bytes());
    row.extend(holdings.floor.generation.0.to_be_bytes());
    row.extend(holdings.floor.deleted_on.0.to_be_bytes());
    row
}

pub(crate) fn from_row(row: &[u8]) -> Result<Holdings, StoreError> {
    let (mut reader, version) = Reader::open_up_to(DATED_VERSION, "holdings", row)?;
    let holdings = Holdings {
        version: Version(reader.u64()?),
        datasets: reader.u32()?,
        deleted_names: reader.u32()?,
        floor: Floor {
            sync_count: SyncCount(reader.u64()?),
            generation: Generation(reader.u64()?),
            deleted_on: if version < DATED_VERSION { UnixMillis(0) } else { reader.time()? },
        },
    };
    reader.end()?;
    Ok(holdings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_later_version_is_damage() {
        let mut row = to_row(&Holdings::default());
        assert!(from_row(&row).is_ok());
        row[0] = DATED_VERSION + 1;
        let message = from_row(&row).unwrap_err().to_string();
        assert!(message.contains("version 3"), "{message}");
    }

    #[test]
    fn holdings_survive_their_row() {
        let holdings = Holdings {
            version: Version(1),
            datasets: 2,
            deleted_names: 3,
            floor: Floor { sync_count: SyncCount(4), generation: Generation(5), deleted_on: UnixMillis(-6) },
        };
        assert_eq!(from_row(&to_row(&holdings)), Ok(holdings));
    }
}
