//! Carryall's stores, which fulfil the promises of [`carryall_core::store`].
//!
//! [`open`] chooses one by its URL. `memory:` is the reference: obviously correct, and lost with the process.
//! `embedded:DIR` keeps everything in one directory, durably. A store reads, and takes whole changes or none; it
//! never decides what a request means and knows neither HTTP nor the clock.

mod commit_semantics;
mod dir_lock;
mod embedded;
mod error;
mod lock;
mod memory;
mod options;
mod url;

use std::sync::Arc;

use carryall_core::store::Store;

pub use self::dir_lock::DirLock;
pub use self::error::OpenError;
pub use self::options::StoreOptions;
pub use self::url::{StoreUrl, StoreUrlError};

/// Opens the store that `url` names; an embedded store's directory is created if it is missing and locked.
///
/// The store closes when its last handle is dropped: everything acknowledged is on disk long before, so closing only
/// ends the writer's thread and frees the directory.
pub fn open(url: &StoreUrl, options: &StoreOptions) -> Result<Arc<dyn Store>, OpenError> {
    match url {
        StoreUrl::Memory => Ok(Arc::new(memory::MemoryStore::default())),
        StoreUrl::Embedded(dir) => open_locked(DirLock::acquire(dir)?, options),
        StoreUrl::Postgres => Err(OpenError::NotYet { scheme: "postgres" }),
    }
}

/// Opens the embedded store in a directory that the caller has already locked, and keeps the lock until it closes.
pub fn open_locked(lock: DirLock, options: &StoreOptions) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(embedded::EmbeddedStore::open(lock, options)?))
}
