//! The number of the last batch that was acknowledged, beside the engine's own files.
//!
//! A damaged journal ends for the engine where the damage begins, as if the rest had never been written. This file
//! says that it had. It is written after each sync of the engine and before the answers, and never synced itself: it
//! survives the loss of the process, and after a loss of power it may be behind the truth but never ahead of it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The number, and once more with every bit turned over: a half-written file counts for nothing.
const FILE_BYTES: usize = 16;

pub(super) struct Acknowledged {
    path: PathBuf,
    file: File,
    number: u64,
}

impl Acknowledged {
    /// Opens the file, creating it at zero.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::io(path, "opening", source);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let file = options.open(path).map_err(failed)?;
        let mut bytes = [0; FILE_BYTES];
        let number = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => number_of(bytes).unwrap_or(0),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { path: path.to_owned(), file, number })
    }

    /// The highest number that was ever acknowledged, as far as is known.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Says that the batch of this number is on disk.
    pub(super) fn set(&mut self, number: u64) -> Result<(), OpenError> {
        self.file
            .write_all_at(&bytes_of(number), 0)
            .map_err(|source| OpenError::io(&self.path, "writing", source))?;
        self.number = number;
        Ok(())
    }
}

fn bytes_of(number: u64) -> [u8; FILE_BYTES] {
    let mut bytes = [0; FILE_BYTES];
    let (first, second) = bytes.split_at_mut(FILE_BYTES / 2);
    first.copy_from_slice(&number.to_be_bytes());
    second.copy_from_slice(&(!number).to_be_bytes());
    bytes
}

fn number_of(bytes: [u8; FILE_BYTES]) -> Option<u64> {
    let both = u128::from_be_bytes(bytes);
    let number = u64::try_from(both >> 64).ok()?;
    (bytes_of(number) == bytes).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_survives_and_a_half_written_file_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acknowledged");
        let mut file = Acknowledged::open(&path).unwrap();
        assert_eq!(file.number(), 0);
        file.set(u64::MAX - 7).unwrap();
        assert_eq!(Acknowledged::open(&path).unwrap().number(), u64::MAX - 7);
        std::fs::write(&path, [1; 16]).unwrap();
        assert_eq!(Acknowledged::open(&path).unwrap().number(), 0);
        std::fs::write(&path, [1; 3]).unwrap();
        assert_eq!(Acknowledged::open(&path).unwrap().number(), 0);
    }
}
