//! Getting at the store: opened by this process, or through the server that has it open.

use std::sync::Arc;

use carryall_core::store::Store;
use carryall_store::{DirLock, StoreUrl};

use super::Given;
use crate::admin::control;
use crate::admin::{self, Answer, Verb};
use crate::app::{App, OpenError};
use crate::cli::data_dir::{self, Holder, Origin};
use crate::clock::Clock;
use crate::config::{Config, RootKey, Secrets};
use crate::trust::seal::MasterKey;

/// The keys that a start found or made.
pub(super) struct Keys {
    pub(super) master: MasterKey,
    pub(super) master_origin: Origin,
    pub(super) root: RootKey,
    pub(super) root_origin: Origin,
}

impl Keys {
    /// The keys for a directory that is held, or for a store without one.
    pub(super) fn find(secrets: Secrets, lock: Option<&DirLock>) -> Result<Self, String> {
        let clock = Clock::default();
        let (master, master_origin) = match (secrets.master, lock) {
            (Some(master), _) => (master, Origin::Settings),
            (None, Some(lock)) => data_dir::master_key(lock, &clock)?,
            (None, None) => (MasterKey::generate(&clock), Origin::Generated),
        };
        let (root, root_origin) = match (secrets.root, lock) {
            (Some(root), _) => (root, Origin::Settings),
            (None, Some(lock)) => data_dir::root_key(lock)?,
            (None, None) => (RootKey::generate(), Origin::Generated),
        };
        Ok(Self { master, master_origin, root, root_origin })
    }
}

/// Opens the store of a directory that is held, or the one that needs none.
pub(super) fn store(config: &Config, lock: Option<DirLock>) -> Result<Arc<dyn Store>, String> {
    let opened = match lock {
        Some(lock) => carryall_store::open_locked(lock, &config.store_options),
        None => carryall_store::open(&config.store, &config.store_options),
    };
    opened.map_err(|error| error.to_string())
}

/// Takes the store into use.
pub(super) async fn app(
    config: Config,
    store: Arc<dyn Store>,
    master: &MasterKey,
    root: RootKey,
) -> Result<Arc<App>, String> {
    let place = config.store.to_string();
    App::open(config, store, master, root).await.map_err(|error| match error {
        OpenError::WrongMasterKey => format!("store {place}: {error}"),
        OpenError::Store(error) => format!("store {place}: {error}"),
    })
}

/// Does a verb: on the store, or through the running server that holds it.
pub(super) async fn execute(given: Given, verb: Verb) -> Result<Answer, String> {
    let Given { config, mut secrets, .. } = given;
    let lock = match &config.store {
        StoreUrl::Embedded(dir) => match data_dir::hold(dir).await.map_err(|error| error.to_string())? {
            Holder::Us(lock) => Some(lock),
            Holder::Server(stream) => return control::ask(stream, verb).await,
        },
        StoreUrl::Memory => {
            return Err(
                "the store memory: is inside its server alone; use the API, or embedded:DIR".to_owned()
            );
        }
        StoreUrl::Postgres => None,
    };
    // No verb needs the root key, and the first start shows the one that it makes: a stand-in keeps it unmade.
    secrets.root.get_or_insert_with(RootKey::generate);
    let keys = Keys::find(secrets, lock.as_ref())?;
    let store = store(&config, lock)?;
    let app = app(config, store, &keys.master, keys.root).await?;
    admin::execute(&app, verb).await
}
