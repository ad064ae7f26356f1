//! The files of a data directory, and the versions of the program that may open it.
//!
//! `lock` is the hold on the directory, `format` says which version of the stored form the rest has, `store` is the
//! engine's own folder, `acknowledged` guards it. The program keeps other files beside them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The version of the stored form: raised when a version of the program writes what older ones would misread.
///
/// Since 2 there are the tables of the outbox, and usage rows that count the events in it. A directory of format 1 has
/// none of that and is read as it is. Since 3 heads count the bytes of their tombstones' keys; older heads are read as
/// they are and get the number when it is first needed. Since 4 a bulk publication is a lane; one that an older version
/// was working on counts as failed. Since 5 the heads of deleted names and the floors of identities have the date of
/// the deletion; older rows are read as they are, without one.
pub(super) const FORMAT: u32 = 5;

/// The engine writes this file last when it creates its folder.
const ENGINE_CREATED: &str = "version";

/// How far the creation of a directory has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Creation {
    /// A start may have ended before the engine had created everything.
    CutShort,
    /// Everything of the engine is there, unless it was lost since.
    Complete,
}

/// The places in one data directory.
pub(super) struct Layout {
    dir: PathBuf,
    pub(super) engine: PathBuf,
    pub(super) acknowledged: PathBuf,
    format: PathBuf,
}

impl Layout {
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            engine: dir.join("store"),
            acknowledged: dir.join("acknowledged"),
            format: dir.join("format"),
        }
    }

    /// Makes sure that the engine may be opened: refuses what a newer version wrote, and clears away a folder whose
    /// creation was cut short, in which nothing can have been stored.
    pub(super) fn prepare(&self) -> Result<Creation, OpenError> {
        let created = self.engine.join(ENGINE_CREATED);
        let is_created =
            created.try_exists().map_err(|source| OpenError::io(&created, "looking for", source))?;
        match (self.format()?, is_created) {
            (Some(found), _) if found > FORMAT => {
                Err(OpenError::NewerVersion { dir: self.dir.clone(), found, understood: FORMAT })
            }
            (Some(_), false) => {
                Err(OpenError::damaged(&self.engine, "the storage engine's files are missing"))
            }
            (Some(_), true) => Ok(Creation::Complete),
            (None, true) => Ok(Creation::CutShort),
            (None, false) => match fs::remove_dir_all(&self.engine) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(OpenError::io(&self.engine, "clearing away the half-created", error))
                }
                Ok(()) | Err(_) => Ok(Creation::CutShort),
            },
        }
    }

    /// Reads the version of the format; `None` if a start has not come so far.
    fn format(&self) -> Result<Option<u32>, OpenError> {
        match fs::read_to_string(&self.format) {
            Ok(text) => match text.trim().parse() {
                Ok(version) => Ok(Some(version)),
                Err(_) => Err(OpenError::damaged(&self.format, "it does not hold the number of a format")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io(&self.format, "reading", error)),
        }
    }

    /// Writes the version of the format, once the engine has created or opened its files and before anything is written
    /// that an older version would misread.
    pub(super) fn write_format(&self) -> Result<(), OpenError> {
        if self.format()? == Some(FORMAT) {
            return Ok(());
        }
        replace_file(&self.format, format!("{FORMAT}\n").as_bytes())
            .map_err(|source| OpenError::io(&self.format, "writing", source))
    }
}

/// Gives a file new content, durably: after a crash it has the old content or the new one, never a part.
pub(super) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
