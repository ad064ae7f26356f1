//! Rows of a pool's usage.

use carryall_core::model::PoolUsage;
use carryall_core::store::StoreError;

use super::bytes::Reader;

/// The layout of usage rows that says how many events wait; before it there were none.
const USAGE_VERSION: u8 = 2;

pub(crate) fn to_row(usage: &PoolUsage) -> Vec<u8> {
    let mut row = Vec::with_capacity(41);
    row.push(USAGE_VERSION);
    row.extend(usage.data_bytes.to_be_bytes());
    row.extend(usage.sync_sessions.to_be_bytes());
    row.extend(usage.events_waiting.to_be_bytes());
    row.extend(usage.events_bytes.to_be_bytes());
    if let Some(modified) = usage.modified {
        row.extend(modified.0.to_be_bytes());
    }
    row
}

pub(crate) fn from_row(row: &[u8]) -> Result<PoolUsage, StoreError> {
    let (mut reader, version) = Reader::open_up_to(USAGE_VERSION, "usage", row)?;
    let data_bytes = reader.u64()?;
    let sync_sessions = reader.u64()?;
    let (events_waiting, events_bytes) =
        if version < USAGE_VERSION { (0, 0) } else { (reader.u64()?, reader.u64()?) };
    let modified = if reader.is_at_end() { None } else { Some(reader.time()?) };
    reader.end()?;
    Ok(PoolUsage { data_bytes, sync_sessions, modified, events_waiting, events_bytes })
}

#[cfg(test)]
mod tests {
    use carryall_core::time::UnixMillis;

    use super::*;

    #[test]
    fn a_usage_row_of_the_first_layout_says_that_no_events_wait() {
        let numbers = [[0, 0, 0, 0, 0, 0, 0, 7], [0, 0, 0, 0, 0, 0, 0, 8], [0, 0, 0, 0, 0, 0, 0, 9]].concat();
        let usage =
            PoolUsage { data_bytes: 7, sync_sessions: 8, modified: None, events_waiting: 0, events_bytes: 0 };
        assert_eq!(from_row(&[&[1], &numbers[..16]].concat()), Ok(usage));
        let changed = PoolUsage { modified: Some(UnixMillis(9)), ..usage };
        assert_eq!(from_row(&[&[1], &numbers[..]].concat()), Ok(changed));
        assert!(from_row(&[&[3], &numbers[..]].concat()).is_err());
    }

    #[test]
    fn usage_survives_its_row() {
        for modified in [None, Some(UnixMillis(-3))] {
            let usage =
                PoolUsage { data_bytes: 1, sync_sessions: 2, modified, events_waiting: 3, events_bytes: 4 };
            assert_eq!(from_row(&to_row(&usage)), Ok(usage));
        }
    }
}
