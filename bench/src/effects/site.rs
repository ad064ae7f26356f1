//! The extent of a measurement, and the directory of a server under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::endpoint::Endpoint;
use super::pool;
use crate::outcome::Outcome;
use crate::server::Server;
use crate::world::Population;

/// The extent of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// The duration of each row.
    pub(crate) cell: Duration,
    /// The population of everything but the publications.
    pub(crate) population: Population,
    /// The number of records of the smaller publication; the larger has ten times as many.
    pub(crate) published_records: usize,
    /// True to measure the larger publications too.
    pub(crate) big: bool,
    /// The number of events of the backlog.
    pub(crate) backlog: usize,
}

/// The directories of a server under test and of its effects.
pub(super) struct Site<'a> {
    pub(super) directory: PathBuf,
    pub(super) endpoint: &'a Endpoint,
}

impl<'a> Site<'a> {
    pub(super) fn create(within: &Path, name: &str, endpoint: &'a Endpoint) -> Outcome<Self> {
        let directory = within.join(name);
        std::fs::create_dir(&directory)?;
        Ok(Self { directory, endpoint })
    }

    pub(super) fn settings(&self, outbox: &str) -> String {
        pool::settings(self.endpoint, &self.file(), outbox)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.join("changes.ndjson")
    }
}

/// A running server and its directories.
pub(super) struct UnderTest<'a> {
    pub(super) server: &'a Server,
    pub(super) place: &'a Site<'a>,
}
