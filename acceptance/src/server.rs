//! A `carryall serve` process: started on a free port with its own directory, stopped, killed and restarted.
//! The way to run the program is written here once.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::api::Api;
use crate::caller::Caller;
use crate::http::Request;

/// The time limit of a start, a stop or a command.
const STEP_SECONDS_MAX: u64 = 60;

/// The root key of every server of the tests.
pub const ROOT_ACCESS_KEY_ID: &str = "AKIAACCEPTANCEROOT00";
/// The secret of the root key.
pub const ROOT_SECRET_ACCESS_KEY: &str = "acceptance/root+secret/0123456789abcdefg";

/// The store of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Durable, in the server's own temporary directory.
    Embedded,
    /// Gone with the process.
    Memory,
}

/// An address on which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A placeholder in configurations for the directory of the server.
pub const DIRECTORY: &str = "{directory}";

/// The settings of a server beyond its store; commands run with the same settings.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    configuration: Option<String>,
    environment: Vec<(String, String)>,
}

impl ServerSettings {
    /// With a configuration file of this text, in which [`DIRECTORY`] becomes the server's directory.
    #[must_use]
    pub fn configuration(mut self, text: &str) -> Self {
        self.configuration = Some(text.to_owned());
        self
    }

    /// With this environment variable. The server gets no variables but these and those of every test.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With these AWS credentials for the server's own calls, in `us-east-1`, and no other source of
    /// credentials.
    #[must_use]
    pub fn acting_as(mut self, caller: &Caller) -> Self {
        if let Some(token) = &caller.session_token {
            self = self.variable("AWS_SESSION_TOKEN", token);
        }
        self.variable("AWS_ACCESS_KEY_ID", &caller.access_key_id)
            .variable("AWS_SECRET_ACCESS_KEY", &caller.secret_access_key)
            .variable("AWS_REGION", "us-east-1")
            .variable("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// With this base URL for calls to one service, named as in `AWS_ENDPOINT_URL_SNS`.
    #[must_use]
    pub fn endpoint_of(self, service: &str, endpoint: &str) -> Self {
        self.variable(&format!("AWS_ENDPOINT_URL_{service}"), endpoint)
    }
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The text on standard output.
    pub output: String,
    /// The text on standard error.
    pub errors: String,
}

/// A running server, or a stopped one that can be started again on the same directory and port.
#[derive(Debug)]
pub struct Server {
    directory: TempDir,
    store: Store,
    configuration: Option<PathBuf>,
    environment: Vec<(String, String)>,
    address: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Pid,
    ended: Receiver<ExitStatus>,
}

impl Server {
    /// Starts a server over `store` and waits until it listens.
    pub fn start(store: Store) -> Self {
        Self::start_configured(store, None)
    }

    /// Starts a server with a configuration file of this text.
    pub fn start_configured(store: Store, configuration: Option<&str>) -> Self {
        let settings = configuration.map(|text| ServerSettings::default().configuration(text));
        Self::start_with(store, settings.unwrap_or_default())
    }

    /// Starts a server with these settings.
    pub fn start_with(store: Store, settings: ServerSettings) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let configuration = settings.configuration.map(|text| write_configuration(directory.path(), &text));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let environment = settings.environment;
        let mut server = Self { directory, store, configuration, environment, address, running: None };
        server.restart();
        server
    }

    /// Starts the stopped server again, on the same directory and the same port.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the server still runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("server.log"))
            .expect("open the log");
        let mut child = self
            .command("serve")
            .args(["--listen", &self.address.to_string()])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("start the server");
        let listening = first_address(&mut child);
        let process = Pid::from_child(&child);
        let (report, ended) = mpsc::channel();
        thread::spawn(move || {
            let status = child.wait().expect("wait for the server");
            let _ = report.send(status);
        });
        self.running = Some(Running { process, ended });
        match listening.recv_timeout(Duration::from_secs(STEP_SECONDS_MAX)) {
            Ok(address) => self.address = address,
            Err(trouble) => panic!("the server did not say that it listens: {trouble}"),
        }
    }

    /// Stops the server with SIGTERM, and expects exit code 0.
    pub fn stop(&mut self) {
        let status = self.end(Signal::TERM);
        assert_eq!(status.code(), Some(0), "exit after SIGTERM: {status}");
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// The server's address, which is the same after a restart.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for clients.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls against this server.
    pub fn api(&self) -> Api {
        Api::at(self.address)
    }

    /// The root developer key of this server.
    pub fn root(&self) -> Caller {
        Caller::developer(ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY)
    }

    /// A directory for files that are deleted with the server.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs an operator command with this server's settings and returns its output.
    pub fn verb(&self, words: &[&str]) -> String {
        let done = self.command(words[0]).args(&words[1..]).output().expect("run a verb");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{words:?}: {}\n{text}", String::from_utf8_lossy(&done.stderr));
        text
    }

    /// Runs an operator command, or `serve` of a stopped server, and returns its result; fails the test if it
    /// does not end.
    pub fn try_verb(&self, words: &[&str]) -> Ended {
        let mut command = self.command(words[0]);
        let child = command.args(&words[1..]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("run a verb");
        let process = Pid::from_child(&child);
        let (report, ended) = mpsc::channel();
        thread::spawn(move || report.send(child.wait_with_output().expect("wait for a verb")));
        let Ok(output) = ended.recv_timeout(Duration::from_secs(STEP_SECONDS_MAX)) else {
            let _ = kill_process(process, Signal::KILL);
            panic!("{words:?} did not end");
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), output: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// The sum of all series of a metric whose labels contain `labels`; 0 if there is none.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let page = self.api().send(&Request::new("GET", "/metrics")).text();
        let series = page.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The server's standard error since its first start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default()
    }

    /// Writes another configuration file, for the next start and for commands.
    pub fn configure(&mut self, text: &str) {
        self.configuration = Some(write_configuration(self.directory.path(), text));
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(program());
        let store = match self.store {
            Store::Embedded => format!("embedded:{}", self.directory.path().join("data").display()),
            Store::Memory => "memory:".to_owned(),
        };
        command
            .arg(verb)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RUST_BACKTRACE", "1")
            .env("CARRYALL_STORE", store)
            .env("CARRYALL_ROOT_ACCESS_KEY_ID", ROOT_ACCESS_KEY_ID)
            .env("CARRYALL_ROOT_SECRET_ACCESS_KEY", ROOT_SECRET_ACCESS_KEY)
            // A server without peers calls nothing: neither AWS, nor the host for credentials.
            .env("AWS_ENDPOINT_URL", NOWHERE)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        if let Some(path) = &self.configuration {
            command.env("CARRYALL_CONFIG", path);
        }
        command
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        let running = self.running.take().expect("the server does not run");
        kill_process(running.process, signal).expect("signal the server");
        running
            .ended
            .recv_timeout(Duration::from_secs(STEP_SECONDS_MAX))
            .unwrap_or_else(|_| panic!("the server did not end after {signal:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take()
            && running.ended.try_recv().is_err()
        {
            let _ = kill_process(running.process, Signal::KILL);
            let _ = running.ended.recv_timeout(Duration::from_secs(STEP_SECONDS_MAX));
        }
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(30)..].join("\n");
            eprintln!("--- the last lines of the server's log\n{tail}\n---");
        }
    }
}

fn write_configuration(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("carryall.toml");
    let text = text.replace(DIRECTORY, &directory.display().to_string());
    fs::write(&path, text).expect("write the configuration file");
    path
}

/// Reads the child's standard output to its end and reports the address of the `listening on` line.
fn first_address(child: &mut Child) -> Receiver<SocketAddr> {
    let output = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let (report, listening) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if let Some(address) = line.trim().strip_prefix("listening on http://") {
                let _ =
                    report.send(address.trim_end_matches('/').parse().expect("IP:PORT after `listening on`"));
            }
        }
    });
    listening
}

/// The program under test: `CARRYALL_TEST_BINARY`, else the workspace's, built on first use into the folder
/// of this test.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("CARRYALL_TEST_BINARY") {
            return PathBuf::from(path);
        }
        // This test is TARGET/PROFILE/deps/it-HASH.
        let test = std::env::current_exe().expect("the path of this test");
        let profile = test.parent().and_then(Path::parent).expect("the folder of the profile");
        let target = profile.parent().expect("the target folder");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "carryall", "--bin", "carryall"]);
        build.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("run cargo").success(), "the program does not build");
        profile.join("carryall")
    })
}
