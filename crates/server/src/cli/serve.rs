//! `carryall serve`: from the settings to a ready server, and from a signal to a clean end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use carryall_store::StoreUrl;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::invocation::Invocation;
use super::{open, print};
use crate::admin::OperatorError;
use crate::admin::control::Control;
use crate::app::App;
use crate::cli::banner::{Banner, reachable, url};
use crate::cli::data_dir::{self, Origin, Owner};
use crate::clock::Clock;
use crate::config::{Config, Secrets};
use crate::listener::http::{Http, Stopped};
use crate::listener::tls::Certificate;
use crate::stop::told_to_stop;
use crate::supervision::Supervisor;
use crate::trust::root_key::RootKey;
use crate::{admin, background, logging, relay};

/// The smallest number of worker threads. Reads of the embedded store run on the worker itself, since most of
/// them are answered from memory. While one waits for the disk, other workers must answer the rest.
const WORKERS_MIN: usize = 4;
const WORKERS_PER_CORE: usize = 2;

pub(super) fn run(invocation: Invocation) -> Result<(), OperatorError> {
    logging::begin(&invocation.config.log);
    raise_open_files();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS_MIN.max(cores * WORKERS_PER_CORE))
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not start: {error}"))?;
    runtime.block_on(serve(invocation))
}

/// Raises the soft limit of open files to the hard one. Connections and table files need more descriptors
/// than the usual 1,024; the hard limit is what the operator allows this process.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files is unchanged");
    }
}

/// The facts about a start for the banner and the warnings.
struct Started {
    app: Arc<App>,
    data_dir: Option<PathBuf>,
    root: RootKey,
    root_origin: Origin,
    master_origin: Origin,
}

async fn serve(invocation: Invocation) -> Result<(), OperatorError> {
    let mut signals = Signals::listen()?;
    let started = start(invocation.config, invocation.secrets, invocation.clock).await?;
    let app = &started.app;
    let certificate = app.config.tls.as_ref().map(Certificate::read).transpose()?;
    let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
    let listen = app.config.listen;
    let listener =
        TcpListener::bind(listen).await.map_err(|error| format!("listening on {listen}: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("listening on {listen}: {error}"))?;
    let control = started.data_dir.as_deref().map(|dir| {
        Control::open(dir).map_err(|error| format!("control socket in {}: {error}", dir.display()))
    });
    let control = control.transpose()?;
    warn_of_defaults(&started, address);
    if let Err(reason) = app.state.readiness().await {
        tracing::error!(reason, "started, but not ready");
    }

    let (stop, stopped) = watch::channel(false);
    let mut tasks = Supervisor::new(app.metrics.tasks.clone(), stopped.clone());
    tasks.essential("connections", accept(Http::new(Arc::clone(app), acceptor, stopped), listener));
    tasks.essential("store", watch_store(Arc::clone(app), tasks.stop()));
    background::start(app, &mut tasks);
    relay::start(app, &mut tasks);
    // The control socket answers until everything else has ended.
    let (stop_control, control_stopped) = watch::channel(false);
    let mut control_tasks = Supervisor::new(app.metrics.tasks.clone(), control_stopped);
    if let Some(control) = control {
        serve_control(app, Arc::new(control), address, &mut control_tasks);
    }
    announce(&started, address);

    let ended = tokio::select! {
        () = signals.wait(certificate.as_deref()) => Ok(()),
        ended = tasks.ended_early() => Err(ended),
    };
    match &ended {
        Ok(()) => tracing::info!("stopping: finishing the requests in flight"),
        Err(ended) => tracing::error!(%ended, "stopping: finishing the requests in flight"),
    }
    let _ = stop.send(true);
    tokio::spawn(async move {
        signals.any().await;
        std::process::exit(1);
    });
    let finished = tasks.finish().await;
    background::finish(app).await;
    let _ = stop_control.send(true);
    let control_finished = control_tasks.finish().await;
    // The last owner of the store ends its writer and unlocks the directory.
    drop(started.app);
    ended.and(finished).and(control_finished).map_err(|ended| ended.to_string().into())
}

/// Accepts and serves connections until the server stops.
async fn accept(http: Arc<Http>, listener: TcpListener) {
    match http.serve(listener).await {
        Stopped::Drained => {}
        Stopped::Abandoned => {
            tracing::warn!("connections were still open at the end of shutdown_seconds_max");
        }
    }
}

/// Ends when the store has lost one of its threads, or when the server stops.
async fn watch_store(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        cause = app.state.broken() => tracing::error!(cause, "the store is broken"),
        () = told_to_stop(&mut stop) => {}
    }
}

fn serve_control(app: &Arc<App>, control: Arc<Control>, address: SocketAddr, tasks: &mut Supervisor) {
    let url = url(reachable(address), app.config.tls.is_some());
    let app = Arc::clone(app);
    tasks.restartable("control socket", move || {
        let (app, control, url) = (Arc::clone(&app), Arc::clone(&control), url.clone());
        async move { control.serve(&app, &url).await }
    });
}

/// Locks the directory, finds or generates the keys, opens the store and creates the pools in the settings.
async fn start(config: Config, secrets: Secrets, clock: Clock) -> Result<Started, OperatorError> {
    let lock = match &config.store {
        StoreUrl::Embedded(dir) => match data_dir::acquire(dir).await? {
            Owner::ThisProcess(lock) => Some(lock),
            Owner::Server(_) => {
                return Err(format!(
                    "the data directory {} is in use by a running server; stop it, or name another with --store",
                    dir.display()
                )
                .into());
            }
        },
        StoreUrl::Memory | StoreUrl::Postgres => None,
    };
    let data_dir = lock.as_ref().map(|lock| std::path::absolute(lock.dir()));
    let data_dir = data_dir.transpose().map_err(|error| format!("data directory: {error}"))?;
    let keys = open::Keys::find(secrets, lock.as_ref(), &clock)?;
    let store = open::store(&config, lock)?;
    let app = open::app(config, store, &keys.master, keys.root.clone(), clock).await?;
    admin::seed_pools(&app).await?;
    Ok(Started {
        app,
        data_dir,
        root: keys.root,
        root_origin: keys.root_origin,
        master_origin: keys.master_origin,
    })
}

fn announce(started: &Started, address: SocketAddr) {
    let config = &started.app.config;
    let program = std::env::args().next().unwrap_or_else(|| "carryall".to_owned());
    let banner = Banner {
        address,
        tls: config.tls.is_some(),
        store: config.store.to_string(),
        data_dir: started.data_dir.as_deref(),
        region: &config.region,
        account_id: &config.account_id,
        root: &started.root,
        root_is_new: started.root_origin == Origin::Generated,
        program: &program,
    };
    if let Err(error) = print::bytes(banner.text().as_bytes()) {
        tracing::warn!(%error, "the banner could not be printed");
    }
    tracing::info!(%address, store = %config.store, region = config.region, "ready");
}

/// Warns of insecure defaults if other machines can reach the server.
fn warn_of_defaults(started: &Started, address: SocketAddr) {
    if address.ip().is_loopback() {
        return;
    }
    if started.app.config.tls.is_none() {
        tracing::warn!(%address, "insecure default: reachable from other machines without TLS; set [tls] cert and key, or put a proxy in front");
    }
    if started.root_origin != Origin::Settings {
        tracing::warn!(%address, "insecure default: the root developer key is generated and kept in a file; set CARRYALL_ROOT_ACCESS_KEY_ID and CARRYALL_ROOT_SECRET_ACCESS_KEY");
    }
    if started.master_origin != Origin::Settings {
        tracing::warn!(%address, "insecure default: the master key is generated and kept next to the data that it seals; set CARRYALL_MASTER_KEY");
    }
}

/// The signals that the server handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Installs the handlers; these signals then no longer end the process by themselves.
    fn listen() -> Result<Self, OperatorError> {
        let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for a signal to stop, and reloads the certificate on SIGHUP meanwhile.
    async fn wait(&mut self, certificate: Option<&Certificate>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => match certificate.map(Certificate::reload) {
                    None => {}
                    Some(Ok(())) => tracing::info!("certificate reloaded"),
                    Some(Err(error)) => tracing::error!(error, "certificate not reloaded; the old one stays in use"),
                },
            }
        }
    }
}
