//! The engine and what belongs to it: its files, consistent views of it, and whether it still takes writes.

use std::ops::Bound;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use carryall_core::ids::PoolIncarnation;
use carryall_core::store::{Health, StoreError};
use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, LsmError, OwnedWriteBatch, PersistMode,
    Readable, Snapshot, UserKey, UserValue,
};

use super::counters::Counters;
use super::damage::{Damage, Kind};
use super::heads::Heads;
use super::space::Space;
use super::{keys, rows};
use crate::error::OpenError;
use crate::options::StoreOptions;

/// Threads that write table files and merge them.
const BACKGROUND_THREADS: usize = 2;
/// Table files that are held open, well below the usual limit of 1,024 descriptors per process.
const OPEN_FILES_MAX: usize = 256;
/// Rows of each space that are gathered in memory before they become a table file. The engine fixes these when a
/// directory is created. They bound memory, and with the journals the time to open after a crash.
const SMALL_MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
const KEY_MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
const LOG_MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The open engine, shared by readers and the writer.
pub(super) struct Engine {
    database: Database,
    small: Keyspace,
    key: Keyspace,
    log: Keyspace,
    pub(super) heads: Heads,
    pub(super) counters: Counters,
    pub(super) damage: Damage,
    /// True if a removed pool may still have rows. Set before the removal is written and never cleared, so a view that
    /// could see the removal finds it set.
    any_pool_removed: AtomicBool,
    /// The reason why writes have stopped.
    stopped: OnceLock<String>,
    /// True while the writer has been asked for a look and has not begun it.
    look_is_coming: AtomicBool,
    journal_bytes: AtomicU64,
}

impl Engine {
    /// Opens the engine in `path`, creating it if there is none.
    pub(super) fn open(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let failed = |error| open_error(path, error);
        let database = Database::builder(path)
            .cache_size(options.cache_bytes_max)
            .max_journaling_size(options.journal_bytes_max.max(StoreOptions::JOURNAL_BYTES_MIN))
            // Compressing for the journal would happen on the writer's thread, which everybody waits for.
            .journal_compression(CompressionType::None)
            // The writer asks for a sync with every batch; nothing else writes.
            .manual_journal_persist(true)
            .worker_threads(BACKGROUND_THREADS)
            .max_cached_files(Some(OPEN_FILES_MAX))
            .open()
            .map_err(failed)?;
        let small = database.keyspace("small", || space(SMALL_MEMTABLE_BYTES_MAX)).map_err(failed)?;
        let key = database.keyspace("key", || space(KEY_MEMTABLE_BYTES_MAX)).map_err(failed)?;
        let log = database.keyspace("log", || space(LOG_MEMTABLE_BYTES_MAX)).map_err(failed)?;
        let engine = Self {
            database,
            small,
            key,
            log,
            heads: Heads::new(options.heads_entries_max),
            counters: Counters::default(),
            damage: Damage::default(),
            any_pool_removed: AtomicBool::new(false),
            stopped: OnceLock::new(),
            look_is_coming: AtomicBool::new(false),
            journal_bytes: AtomicU64::new(0),
        };
        let removed = vec![keys::REMOVED_POOL];
        let end = keys::successor(&removed);
        let any = engine.view().scan(Space::Small, Bound::Included(removed), end).next().transpose();
        if any.map_err(|error| OpenError::damaged(path, error.to_string()))?.is_some() {
            engine.note_pool_removal();
        }
        engine.note_journal_bytes();
        Ok(engine)
    }

    fn space(&self, space: Space) -> &Keyspace {
        match space {
            Space::Small => &self.small,
            Space::Key => &self.key,
            Space::Log => &self.log,
        }
    }

    /// Opens a view that no later commit changes. It is cheap: a number and an entry in a table of open views.
    pub(super) fn view(&self) -> View<'_> {
        View { engine: self, snapshot: self.database.snapshot() }
    }

    /// Reads the newest row, for the writer: no other thread changes rows.
    pub(super) fn newest(&self, space: Space, key: &[u8]) -> Result<Option<UserValue>, StoreError> {
        self.space(space).get(key).map_err(|error| read_error(&error))
    }

    /// Reads the newest number in the small row of this key.
    pub(super) fn newest_number(&self, key: &[u8]) -> Result<Option<u64>, StoreError> {
        self.newest(Space::Small, key)?.map(|row| rows::number::from_row(&row)).transpose()
    }

    /// Reads the number of the last batch; zero if there is none.
    pub(super) fn last_batch(&self) -> Result<u64, StoreError> {
        Ok(self.newest_number(keys::BATCH_NUMBER)?.unwrap_or(0))
    }

    /// Returns true if some pool was removed whose rows may not all be freed.
    pub(super) fn any_pool_removed(&self) -> bool {
        self.any_pool_removed.load(Ordering::Acquire)
    }

    /// Notes that a pool is about to be removed. Must be called before the removal is written.
    pub(super) fn note_pool_removal(&self) {
        self.any_pool_removed.store(true, Ordering::Release);
    }

    /// Leaves a damaged row out of a scan, whose rows behind it would wait for it, and notes the damage.
    pub(super) fn readable<T>(
        &self,
        kind: Kind,
        key: &[u8],
        row: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match row {
            Ok(row) => Ok(Some(row)),
            Err(StoreError::Corrupt { what }) => {
                self.damage.met(kind, key, &what);
                Ok(None)
            }
            Err(error @ StoreError::Unavailable { .. }) => Err(error),
        }
    }

    /// Begins a batch that is on disk once it is committed.
    pub(super) fn batch(&self, rows: usize) -> Batch<'_> {
        let batch = OwnedWriteBatch::with_capacity(self.database.clone(), rows);
        Batch { engine: self, batch: batch.durability(Some(PersistMode::SyncData)) }
    }

    /// The reason why writes have stopped, if they have.
    pub(super) fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }

    /// Stops all writes for good (promise P10): after a failed sync the state of the disk is unknown, and a second sync
    /// can report success although the data was lost.
    pub(super) fn stop(&self, cause: String) -> &str {
        self.stopped.get_or_init(|| cause)
    }

    /// Returns true if the caller should ask the writer for a [`Self::look`]; false if a look is on its way.
    pub(super) fn wants_look(&self) -> bool {
        !self.look_is_coming.swap(true, Ordering::Relaxed)
    }

    /// Asks the engine whether it still takes writes, since its background threads may have failed on their own. For
    /// the writer: this waits for the journal's lock, which a sync holds.
    pub(super) fn look(&self) {
        self.look_is_coming.store(false, Ordering::Relaxed);
        if self.stopped().is_none()
            && let Err(error) = self.database.persist(PersistMode::Buffer)
        {
            self.stop(write_error(&error));
        }
        self.note_journal_bytes();
    }

    /// Reports whether writes are taken, as far as the writer knows. Never waits.
    pub(super) fn health(&self) -> Health {
        match self.stopped() {
            None => Health::Ready,
            Some(cause) => Health::ReadOnly(cause.to_owned()),
        }
    }

    /// Measures the journals. For the writer, as with [`Self::look`].
    pub(super) fn note_journal_bytes(&self) {
        let bytes = self.database.journal_disk_space().unwrap_or_default();
        self.journal_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes on disk: all files, and the journals among them as of the last batch.
    pub(super) fn disk_bytes(&self) -> (u64, u64) {
        let journals = self.journal_bytes.load(Ordering::Relaxed);
        let tables: u64 = [&self.small, &self.key, &self.log].into_iter().map(Keyspace::disk_space).sum();
        (journals + tables, journals)
    }

    /// The size of the blocks of table files in memory, in bytes.
    pub(super) fn cache_bytes(&self) -> u64 {
        self.database.cache_size()
    }
}

/// The options of one space. Young tables stay uncompressed, since they are read and merged again soon; older ones are
/// compressed, since app data is mostly text.
fn space(memtable_bytes_max: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_bytes_max)
        .manual_journal_persist(true)
        .data_block_compression_policy(CompressionPolicy::new([
            CompressionType::None,
            CompressionType::None,
            CompressionType::Lz4,
        ]))
}

/// One consistent state of the engine.
pub(super) struct View<'a> {
    engine: &'a Engine,
    snapshot: Snapshot,
}

impl View<'_> {
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<UserValue>, StoreError> {
        self.snapshot.get(self.engine.space(space), key).map_err(|error| read_error(&error))
    }

    /// Reads a row of a pool; `None` if the pool was removed, even while its rows are still there.
    pub(super) fn get_in_pool(
        &self,
        incarnation: PoolIncarnation,
        key: &[u8],
    ) -> Result<Option<UserValue>, StoreError> {
        if self.is_removed(incarnation)? { Ok(None) } else { self.get(Space::Small, key) }
    }

    /// Returns true if the pool was removed and rows of it may be left.
    pub(super) fn is_removed(&self, incarnation: PoolIncarnation) -> Result<bool, StoreError> {
        Ok(self.engine.any_pool_removed()
            && self.get(Space::Small, &keys::removed_pool(incarnation))?.is_some())
    }

    /// Reads the rows from `start` up to but not including `end`, in the order of their keys.
    pub(super) fn scan(
        &self,
        space: Space,
        start: Bound<Vec<u8>>,
        end: Vec<u8>,
    ) -> impl Iterator<Item = Result<(UserKey, UserValue), StoreError>> + use<> {
        let rows = self.snapshot.range(self.engine.space(space), (start, Bound::Excluded(end)));
        rows.map(|row| row.into_inner().map_err(|error| read_error(&error)))
    }
}

/// Rows on their way to the disk, all or none; no key may occur twice.
pub(super) struct Batch<'a> {
    engine: &'a Engine,
    batch: OwnedWriteBatch,
}

impl Batch<'_> {
    pub(super) fn write(&mut self, space: Space, key: Vec<u8>, row: Option<Vec<u8>>) {
        match row {
            Some(row) => self.batch.insert(self.engine.space(space), key, row),
            None => self.batch.remove(self.engine.space(space), key),
        }
    }

    /// Returns once the batch is on disk. If it fails, the batch may or may not be there.
    pub(super) fn commit(self) -> Result<(), String> {
        self.batch.commit().map_err(|error| write_error(&error))
    }
}

fn read_error(error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => {
            StoreError::Unavailable { cause: format!("reading failed: {source}") }
        }
        other => StoreError::Corrupt { what: other.to_string() },
    }
}

fn write_error(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => {
            format!("writing failed: {source}")
        }
        fjall::Error::Poisoned => {
            "the storage engine stopped after a failed write; its log record names the cause".to_owned()
        }
        other => other.to_string(),
    }
}

fn open_error(path: &Path, error: fjall::Error) -> OpenError {
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => {
            OpenError::io(path, "opening the storage engine in", source)
        }
        fjall::Error::Locked => OpenError::InUse { dir: path.to_owned() },
        other => OpenError::damaged(path, other.to_string()),
    }
}
