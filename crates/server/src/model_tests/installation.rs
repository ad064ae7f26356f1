//! A program to test: one or more [`App`]s over a store, called through the operations' real handlers, without HTTP
//! or signatures.

use std::net::Ipv4Addr;
use std::sync::Arc;

use carryall_core::caller::Caller;
use carryall_core::ids::{AccessKeyId, PoolId};
use carryall_core::limits::Limits;
use carryall_core::model::PoolRef;
use carryall_core::store::Store;
use carryall_core::time::UnixMillis;
use carryall_store::{StoreOptions, StoreUrl};
use carryall_wire::fault::Fault;
use tempfile::TempDir;

use crate::admin::{self, OperatorError, Verb, pool};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Settings};
use crate::failure::{Blame, Failure};
use crate::ops::Handler;
use crate::ops::access::{self, Subject};
use crate::ops::call::Call;
use crate::source::Source;
use crate::trust::root_key::RootKey;
use crate::trust::seal::MasterKey;

/// The store to test, and the resources that outlive the process.
pub(super) enum Home {
    Memory(Arc<dyn Store>),
    Embedded(TempDir),
}

impl Home {
    pub(super) fn memory() -> Self {
        Self::Memory(carryall_store::open(&StoreUrl::Memory, &StoreOptions::default()).unwrap())
    }

    pub(super) fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    pub(super) fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store),
            Self::Embedded(dir) => {
                let url = StoreUrl::Embedded(dir.path().join("data"));
                // Few heads are kept in memory, so that they are also read from the store.
                let options = StoreOptions { heads_entries_max: 2, ..StoreOptions::default() };
                carryall_store::open(&url, &options).unwrap()
            }
        }
    }
}

/// Settings whose limits are reached soon.
pub(super) fn settings(limits: &Limits, developer_updates: bool) -> Settings {
    let mut settings = Settings { allow_developer_updates: developer_updates, ..Settings::default() };
    settings.limits.datasets_per_identity_max = limits.datasets_per_identity_max;
    settings.limits.records_per_dataset_max = limits.records_per_dataset_max;
    settings.limits.dataset_bytes_max = limits.dataset_bytes_max;
    settings.limits.key_bytes_max = limits.key_bytes_max;
    settings.limits.value_bytes_max = limits.value_bytes_max;
    settings.limits.tombstones_per_dataset_max = limits.tombstones_per_dataset_max;
    settings.limits.tombstone_key_bytes_per_dataset_max = limits.tombstone_key_bytes_per_dataset_max;
    settings
}

pub(super) async fn app(store: Arc<dyn Store>, master: &MasterKey, settings: Settings) -> Arc<App> {
    let config = Config::check(settings).unwrap();
    let clock = Clock::system();
    let root = RootKey::generate(&clock);
    App::open(config, store, master, root, clock).await.ok().unwrap()
}

pub(super) fn master_key() -> MasterKey {
    MasterKey::generate(&Clock::system())
}

pub(super) fn developer() -> Caller {
    Caller::Developer { key: AccessKeyId::parse("AKIA0000000000000000").unwrap() }
}

/// Creates a pool with the given id, and returns its incarnation and the time of its creation.
pub(super) async fn create_pool(app: &App, id: &str) -> Result<(PoolRef, UnixMillis), OperatorError> {
    let verb = Verb::Pool(pool::Verb::Create {
        id: Some(id.to_owned()),
        name: "tested".to_owned(),
        allow_guests: true,
    });
    admin::execute(app, verb).await?;
    let pool = app.state.reads().pool(&PoolId::parse(id).unwrap()).await.unwrap().unwrap();
    Ok((pool.at, pool.created))
}

async fn answer<O: Handler>(call: &Call<'_>, input: O::Input) -> Result<O::Output, Failure> {
    let output = O::handle(call, input).await?;
    call.pay_answer(O::json_bytes(&output).unwrap_or(0)).await?;
    Ok(output)
}

/// One authorised call, as the pipeline would make it.
pub(super) async fn call<O: Handler>(
    app: &App,
    caller: Option<Caller>,
    now: UnixMillis,
    input: O::Input,
) -> Result<O::Output, Fault> {
    let source = Source::of(Ipv4Addr::LOCALHOST.into());
    let holding = app.capacity.admit(caller.as_ref(), source, app.capacity.patience()).await.ok().unwrap();
    let call = Call::new(app, caller, now, source, holding);
    let caller = call.caller.as_ref();
    let access = access::admit_update(O::SPEC.name, caller, app.config.allow_developer_updates)
        .and_then(|()| access::authorise(O::SPEC.access, caller, Subject::of(&input)));
    let outcome = match access {
        Ok(()) => answer::<O>(&call, input).await,
        Err(refusal) => Err(refusal.into()),
    };
    outcome.map_err(|failure| {
        let verdict = failure.verdict(O::SPEC.service, Some(&O::SPEC));
        assert_eq!(verdict.blame, Blame::Caller, "{failure:?}");
        verdict.fault
    })
}
