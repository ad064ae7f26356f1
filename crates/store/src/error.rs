//! Why a store could not be opened. Each message is one line that says what is wrong, where, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why [`crate::open`] or [`crate::DirLock::acquire`] failed.
#[derive(Debug)]
pub enum OpenError {
    /// Another process holds the directory.
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// A newer version of the program wrote the directory.
    NewerVersion {
        /// The data directory.
        dir: PathBuf,
        /// The version of the format that was found.
        found: u32,
        /// The newest version that this program reads.
        understood: u32,
    },
    /// The content of the directory cannot be what was written.
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// The damage, in words.
        what: String,
    },
    /// The store holds commits, and nothing says which ones were acknowledged.
    GuardLost {
        /// The file that should say it.
        path: PathBuf,
        /// The state of the file.
        how: &'static str,
    },
    /// A call of the operating system failed.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operation that failed, as a participle: "reading".
        doing: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
    /// This kind of store comes in a later version.
    NotYet {
        /// The scheme of its URL.
        scheme: &'static str,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, source }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { dir } => {
                write!(f, "the data directory {} is in use by another process", dir.display())
            }
            Self::NewerVersion { dir, found, understood } => write!(
                f,
                "the data directory {} was written by a newer version (format {found}; this program reads up to \
                 {understood}): run that version, or another directory",
                dir.display()
            ),
            Self::Damaged { path, what } => {
                write!(
                    f,
                    "{} is damaged: {what}; restore a copy made while the server was stopped",
                    path.display()
                )
            }
            Self::GuardLost { path, how } => write!(
                f,
                "{path} {how}: the store holds commits, and without the number in this file one that was \
                 acknowledged may be missing unnoticed; restore a copy made while the server was stopped, or start \
                 with what is there after: echo unknown > {path}",
                path = path.display()
            ),
            Self::Io { path, doing, source } => write!(f, "{doing} {}: {source}", path.display()),
            Self::NotYet { scheme } => {
                write!(f, "a {scheme} store comes in a later version; use embedded:DIR or memory:")
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::InUse { .. }
            | Self::NewerVersion { .. }
            | Self::Damaged { .. }
            | Self::GuardLost { .. }
            | Self::NotYet { .. } => None,
        }
    }
}
