//! The number of the last batch that was acknowledged, beside the engine's own files.
//!
//! A damaged journal ends for the engine where the damage begins, as if the rest had never been written. This file
//! says that it had. It is synced when it is created; later numbers are written over the first after each sync of the
//! engine and before the answers, and not synced. So the number survives the loss of the process, and after a loss of
//! power it may be behind the truth but never ahead of it.
//!
//! Without the number nothing shows that an acknowledged batch is missing. Over a store that has commits, a file that
//! is gone or holds something else is refused, until an operator writes the word `unknown` into it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::layout::replace_file;
use crate::error::OpenError;

/// The number, and once more with every bit turned over.
const FILE_BYTES: usize = 16;
/// The content by which an operator starts a store whose number is lost.
const GIVEN_UP: &str = "unknown";

/// The content of the file when a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Number(u64),
    GivenUp,
    /// No number, and in which manner.
    Lost(&'static str),
}

impl Found {
    pub(super) fn read(path: &Path) -> Result<Self, OpenError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Lost("is missing")),
            Err(error) => Err(OpenError::io(path, "reading", error)),
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        let number = bytes.try_into().ok().and_then(number_of);
        match number {
            Some(number) => Self::Number(number),
            None if bytes.trim_ascii() == GIVEN_UP.as_bytes() => Self::GivenUp,
            None if bytes.is_empty() => Self::Lost("is empty"),
            None => Self::Lost("holds no number of a batch"),
        }
    }

    /// The number that the store has to reach.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::GivenUp | Self::Lost(_) => 0,
        }
    }

    /// Refuses a store whose last batch is `last` if nothing says which one was acknowledged. Without commits there is
    /// none: a start was cut short, or is the first.
    pub(super) fn must_guard(self, path: &Path, last: u64) -> Result<(), OpenError> {
        match self {
            Self::Lost(how) if last > 0 => Err(OpenError::GuardLost { path: path.to_owned(), how }),
            Self::Number(_) | Self::GivenUp | Self::Lost(_) => Ok(()),
        }
    }
}

/// The open file.
pub(super) struct Acknowledged {
    path: PathBuf,
    file: File,
    number: u64,
}

impl Acknowledged {
    /// Opens the file, makes it if `found` is no number, and sets it to the number of the last batch.
    pub(super) fn open(path: &Path, found: Found, last: u64) -> Result<Self, OpenError> {
        if !matches!(found, Found::Number(_)) {
            replace_file(path, &bytes_of(last)).map_err(|source| OpenError::io(path, "writing", source))?;
        }
        let file = OpenOptions::new().write(true).open(path);
        let file = file.map_err(|source| OpenError::io(path, "opening", source))?;
        let mut opened = Self { path: path.to_owned(), file, number: last };
        opened.set(last)?;
        Ok(opened)
    }

    /// The number of the last batch.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes that the batch of this number is on disk.
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
    fn the_number_survives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acknowledged");
        let found = Found::read(&path).unwrap();
        assert_eq!(found, Found::Lost("is missing"));
        let mut file = Acknowledged::open(&path, found, 0).unwrap();
        assert_eq!(Found::read(&path).unwrap(), Found::Number(0));
        file.set(u64::MAX - 7).unwrap();
        assert_eq!(Found::read(&path).unwrap(), Found::Number(u64::MAX - 7));
    }

    #[test]
    fn everything_but_a_number_and_the_operators_word_is_a_lost_number() {
        let seven = bytes_of(7);
        for bytes in
            [vec![0; 16], vec![1; 3], b"zzzz".to_vec(), seven[..15].to_vec(), [&seven[..], &[0]].concat()]
        {
            assert_eq!(Found::parse(&bytes), Found::Lost("holds no number of a batch"), "{bytes:?}");
        }
        assert_eq!(Found::parse(b""), Found::Lost("is empty"));
        assert_eq!(Found::parse(b"unknown\n"), Found::GivenUp);
        let path = Path::new("acknowledged");
        assert!(Found::Lost("is empty").must_guard(path, 1).is_err());
        for (found, last) in [(Found::Lost("is empty"), 0), (Found::GivenUp, 1), (Found::Number(1), 1)] {
            assert!(found.must_guard(path, last).is_ok(), "{found:?}");
        }
    }
}
