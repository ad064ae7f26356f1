//! Access to the store: opened by this process, or through the server that has opened it.

use std::sync::Arc;

use carryall_core::store::Store;
use carryall_store::{DirLock, StoreUrl};

use super::invocation::Invocation;
use crate::admin::control;
use crate::admin::{self, Answer, OperatorError, Verb};
use crate::app::App;
use crate::cli::data_dir::{self, Origin, Owner};
use crate::clock::Clock;
use crate::config::{Config, Secrets};
use crate::trust::OpenError;
use crate::trust::root_key::RootKey;
use crate::trust::seal::MasterKey;

/// The error for an unexpected answer of a running server, which may be of another version.
pub(super) const ANOTHER_ANSWER: &str =
    "the running server answered something else; perhaps it is of another version";

/// The keys that a start found or generated.
pub(super) struct Keys {
    pub(super) master: MasterKey,
    pub(super) master_origin: Origin,
    pub(super) root: RootKey,
    pub(super) root_origin: Origin,
}

impl Keys {
    /// The keys for a locked directory, or for a store without a directory.
    pub(super) fn find(
        secrets: Secrets,
        lock: Option<&DirLock>,
        clock: &Clock,
    ) -> Result<Self, OperatorError> {
        let (master, master_origin) = match (secrets.master, lock) {
            (Some(master), _) => (master, Origin::Settings),
            (None, Some(lock)) => data_dir::master_key(lock, clock)?,
            (None, None) => (MasterKey::generate(clock), Origin::Generated),
        };
        let (root, root_origin) = match (secrets.root, lock) {
            (Some(root), _) => (root, Origin::Settings),
            (None, Some(lock)) => data_dir::root_key(lock, clock)?,
            (None, None) => (RootKey::generate(clock), Origin::Generated),
        };
        Ok(Self { master, master_origin, root, root_origin })
    }
}

/// Opens the store of a locked directory, or a store without one.
pub(super) fn store(config: &Config, lock: Option<DirLock>) -> Result<Arc<dyn Store>, OperatorError> {
    let opened = match lock {
        Some(lock) => carryall_store::open_locked(lock, &config.store_options),
        None => carryall_store::open(&config.store, &config.store_options),
    };
    opened.map_err(|error| error.to_string().into())
}

/// Opens the program's state over the store.
pub(super) async fn app(
    config: Config,
    store: Arc<dyn Store>,
    master: &MasterKey,
    root: RootKey,
    clock: Clock,
) -> Result<Arc<App>, OperatorError> {
    let place = config.store.to_string();
    App::open(config, store, master, root, clock).await.map_err(|error| match error {
        OpenError::WrongMasterKey => format!("store {place}: {error}").into(),
        OpenError::Store(error) => format!("store {place}: {error}").into(),
    })
}

/// Carries out a command: on the store, or through the running server that has locked it.
pub(super) async fn execute(invocation: Invocation, verb: Verb) -> Result<Answer, OperatorError> {
    let Invocation { config, mut secrets, clock, .. } = invocation;
    let lock = match &config.store {
        StoreUrl::Embedded(dir) => match data_dir::acquire(dir).await? {
            Owner::ThisProcess(lock) => Some(lock),
            Owner::Server(stream) => return control::ask(stream, verb).await,
        },
        StoreUrl::Memory => {
            return Err("the store memory: is inside its server alone; use the API, or embedded:DIR".into());
        }
        StoreUrl::Postgres => None,
    };
    // No command needs the root key, and the first start shows the one that it generates. A stand-in keeps
    // commands from generating it.
    secrets.root.get_or_insert_with(|| RootKey::generate(&clock));
    let keys = Keys::find(secrets, lock.as_ref(), &clock)?;
    let store = store(&config, lock)?;
    let app = app(config, store, &keys.master, keys.root, clock).await?;
    admin::execute(&app, verb).await
}
