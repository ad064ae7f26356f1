//! The lock on a data directory: one process at a time (promise P9). It is taken before anything is generated in
//! the directory, so that two first starts cannot both write keys there.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

const LOCK_FILE: &str = "lock";

/// An exclusive lock on a data directory, released when it is dropped or when the process ends, in whatever manner.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    /// The lock lives as long as the open file; the file itself stays, since removing it would let two processes
    /// lock two files of the same name.
    _file: File,
}

impl DirLock {
    /// Locks `dir`, creating it for this user alone if it is missing.
    pub fn acquire(dir: &Path) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| OpenError::io(dir, "creating the data directory", source))?;
        let path = dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| OpenError::io(&path, "opening the lock file", source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(OpenError::io(&path, "locking", source)),
        }
    }

    /// The directory that is locked.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_locked_directory_is_refused_until_it_is_released() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("deep/data");
        let lock = DirLock::acquire(&dir).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = DirLock::acquire(&dir).unwrap_err();
        assert!(matches!(&refused, OpenError::InUse { dir: held } if *held == dir), "{refused}");
        assert!(refused.to_string().contains("in use"));
        drop(lock);
        assert!(DirLock::acquire(&dir).is_ok());
    }
}
