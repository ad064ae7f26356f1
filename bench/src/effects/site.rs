//! The extent of a measurement, and the directory of a server under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::endpoint::Endpoint;
use super::pool;
use crate::outcome::Outcome;
use crate::server::Server;
use crate::world::Population;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// How long each row goes on.
    pub(crate) cell: Duration,
    /// The population of all but the publications.
    pub(crate) population: Population,
    /// Records of the smaller publication; the larger has ten times as many.
    pub(crate) published_records: usize,
    /// Whether the larger publications are measured.
    pub(crate) big: bool,
    /// Events of the backlog.
    pub(crate) backlog: usize,
}

/// Where a server under test lives and where its effects go.
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

/// A running server and its place.
pub(super) struct UnderTest<'a> {
    pub(super) server: &'a Server,
    pub(super) place: &'a Site<'a>,
}
