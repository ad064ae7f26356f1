//! Floors: the machine's speed in the unavoidable parts of the work without the program, measured in the same
//! run as the program, because both vary with the machine.

pub(crate) mod echo;
pub(crate) mod fdatasync;
pub(crate) mod log;
pub(crate) mod store;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::outcome::Outcome;

/// The size of writes into a preallocated file: with it the kernel keeps, and counts, pages rather than large
/// folios.
const PAGE_BYTES: usize = 4096;

/// A file of at least `bytes` zeros that are already on the device, so that writing over them changes no
/// metadata.
fn preallocated(path: &Path, bytes: usize) -> Outcome<File> {
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(path)?;
    for _ in 0..bytes.div_ceil(PAGE_BYTES) {
        file.write_all(&[0; PAGE_BYTES])?;
    }
    file.sync_all()?;
    Ok(file)
}
