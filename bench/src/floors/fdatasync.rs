//! The device's floor: one small write into a preallocated file, then fdatasync, by one thread.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::measure::{Meter, Row};
use crate::outcome::Outcome;

const WRITE_BYTES: usize = 512;
const FILE_BYTES: usize = 16 * 1024 * 1024;

/// Writes and syncs until the end of the cell.
pub(crate) fn measure(name: &'static str, directory: &Path, cell: Duration) -> Outcome<Row> {
    let path = directory.join("fdatasync");
    let file = super::preallocated(&path, FILE_BYTES)?;
    let block = [0xa5; WRITE_BYTES];
    let meter = Meter::own();
    let mut row = Row::new(name, 1)?;
    let before = meter.read()?;
    let until = Instant::now() + cell;
    for offset in (0..FILE_BYTES).step_by(WRITE_BYTES).cycle() {
        let begun = Instant::now();
        if begun >= until {
            break;
        }
        file.write_all_at(&block, u64::try_from(offset)?)?;
        file.sync_data()?;
        row.latencies.record(begun.elapsed());
    }
    meter.add_since(&before, &mut row)?;
    std::fs::remove_file(&path)?;
    Ok(row)
}
