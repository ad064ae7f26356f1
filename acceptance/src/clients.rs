//! Real clients as child processes: Python and Node scripts that run to their end, and the sync manager as a
//! device that stays. Each has a hard time limit and is killed with its handle.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY, Server};

/// How long one answer of a device may take; above the device's own limit, which says more when it is met.
const ANSWER_SECONDS_MAX: u64 = 90;
/// How long a script may go without reporting a case.
const CASE_SECONDS_MAX: u64 = 240;

pub(crate) fn folder(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(language)
}

/// The interpreter that has the Python clients.
pub(crate) fn python() -> String {
    std::env::var("CARRYALL_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Settings of the surroundings must not leak into the clients: they see what is given here, and nothing else.
fn client_command(program: &str, server: &Server) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", server.directory())
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NODE_NO_WARNINGS", "1")
        .env("CARRYALL_ENDPOINT", server.endpoint())
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A child that is killed and waited for when its handle goes.
#[derive(Debug)]
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines of a stream, read by a thread of their own so that waiting for one has a bound.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (report, lines) = mpsc::channel();
    report_lines(stream, report);
    lines
}

/// The same, into a channel that several streams share.
pub(crate) fn report_lines(stream: impl Read + Send + 'static, report: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if report.send(line).is_err() {
                break;
            }
        }
    });
}

/// A script of cases; each case is reported as one line of JSON.
#[derive(Clone, Copy, Debug)]
pub enum Script<'a> {
    /// `clients/python/NAME`, run by the interpreter that `CARRYALL_TEST_PYTHON` names.
    Python(&'a str),
    /// `clients/node/NAME`.
    Node(&'a str),
}

impl Script<'_> {
    /// Runs the script against the server; fails if any case failed or none ran.
    pub fn run(self, server: &Server) {
        self.run_with(server, &[]);
    }

    /// Runs it with these environment variables beside those of every client.
    pub fn run_with(self, server: &Server, variables: &[(&str, &str)]) {
        let (program, path) = match self {
            Self::Python(name) => (python(), folder("python").join(name)),
            Self::Node(name) => ("node".to_owned(), folder("node").join(name)),
        };
        let mut child = Reaped(
            client_command(&program, server)
                .arg(&path)
                .env("AWS_ACCESS_KEY_ID", ROOT_ACCESS_KEY_ID)
                .env("AWS_SECRET_ACCESS_KEY", ROOT_SECRET_ACCESS_KEY)
                .envs(variables.iter().copied())
                .spawn()
                .unwrap_or_else(|trouble| panic!("{program}: {trouble}; scripts/test installs the clients")),
        );
        let output = lines(child.0.stdout.take().expect("piped"));
        let errors = lines(child.0.stderr.take().expect("piped"));
        let (mut passed, mut failed) = (0, Vec::new());
        loop {
            match output.recv_timeout(Duration::from_secs(CASE_SECONDS_MAX)) {
                Ok(line) => match serde_json::from_str::<Value>(&line) {
                    Ok(report) if report["passed"] == true => passed += 1,
                    Ok(report) => failed.push(format!(
                        "{}\n{}",
                        report["case"].as_str().unwrap_or("?"),
                        report["trace"].as_str().unwrap_or_default()
                    )),
                    Err(_) => failed.push(line),
                },
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("{} is silent; so far failed: {failed:#?}", path.display())
                }
            }
        }
        let status = child.0.wait().expect("wait for the script");
        let stderr: Vec<String> = errors.try_iter().collect();
        assert!(failed.is_empty(), "{} cases failed, {passed} passed:\n{}", failed.len(), failed.join("\n"));
        assert!(
            status.success() && passed > 0,
            "{}: {status}, {passed} passed\n{}",
            path.display(),
            stderr.join("\n")
        );
    }
}

/// How a device is set up.
#[derive(Clone, Debug, Default)]
pub struct DeviceSettings {
    /// The identity to be, when it is not to get one of its own.
    pub identity: Option<String>,
    /// Goes through `GetOpenIdToken` and `AssumeRoleWithWebIdentity` instead of `GetCredentialsForIdentity`.
    pub classic_flow: bool,
    /// Where the device's local store survives the process.
    pub file: Option<PathBuf>,
}

/// A device: one process with the unmodified amazon-cognito-js sync manager.
#[derive(Debug)]
pub struct Device {
    _process: Reaped,
    input: ChildStdin,
    answers: Receiver<String>,
    errors: Receiver<String>,
    identity: String,
}

impl Device {
    /// Starts a device of this pool and waits until it has credentials.
    pub fn start(server: &Server, pool: &str, settings: &DeviceSettings) -> Self {
        let mut command = client_command("node", server);
        command.arg(folder("node").join("device.cjs")).env("CARRYALL_POOL", pool).stdin(Stdio::piped());
        if let Some(identity) = &settings.identity {
            command.env("CARRYALL_IDENTITY", identity);
        }
        if settings.classic_flow {
            command.env("CARRYALL_ROLE", "arn:aws:iam::123456789012:role/guests");
        }
        if let Some(file) = &settings.file {
            command.env("CARRYALL_DEVICE_FILE", file);
        }
        let mut process = Reaped(command.spawn().expect("start node"));
        let input = process.0.stdin.take().expect("piped");
        let answers = lines(process.0.stdout.take().expect("piped"));
        let errors = lines(process.0.stderr.take().expect("piped"));
        let mut device = Self { _process: process, input, answers, errors, identity: String::new() };
        device.identity = crate::api::text(&device.answer()["identity"]);
        device
    }

    /// The identity that the device is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Gives one command and returns its answer; an error of the client fails the test.
    pub fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.input, "{command}").expect("write to the device");
        let answer = self.answer();
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer
    }

    /// Puts a value locally.
    pub fn put(&mut self, dataset: &str, key: &str, value: &str) {
        self.ask(&json!({ "do": "put", "dataset": dataset, "key": key, "value": value }));
    }

    /// Removes a key locally.
    pub fn remove(&mut self, dataset: &str, key: &str) {
        self.ask(&json!({ "do": "remove", "dataset": dataset, "key": key }));
    }

    /// A value of the local copy.
    pub fn get(&mut self, dataset: &str, key: &str) -> Option<String> {
        let answer = self.ask(&json!({ "do": "get", "dataset": dataset, "key": key }));
        answer["value"].as_str().map(str::to_owned)
    }

    /// The whole local copy.
    pub fn get_all(&mut self, dataset: &str) -> Value {
        self.ask(&json!({ "do": "getAll", "dataset": dataset }))["values"].take()
    }

    /// Deletes the dataset: locally at once, on the server with the next synchronization.
    pub fn delete(&mut self, dataset: &str) {
        self.ask(&json!({ "do": "delete", "dataset": dataset }));
    }

    /// Drops the local copy.
    pub fn forget(&mut self, dataset: &str) {
        self.ask(&json!({ "do": "forget", "dataset": dataset }));
    }

    /// Synchronizes and returns what was called back; conflicts are resolved as `resolve` says: `abort`, `local`,
    /// `remote` or `joined`.
    pub fn try_synchronize(&mut self, dataset: &str, resolve: &str) -> Value {
        self.ask(&json!({ "do": "synchronize", "dataset": dataset, "resolve": resolve }))
    }

    /// Synchronizes and expects success without a conflict.
    pub fn synchronize(&mut self, dataset: &str) -> Value {
        let answer = self.try_synchronize(dataset, "abort");
        assert_eq!(answer["outcome"], "success", "{answer}");
        assert_eq!(answer["events"], json!([]), "{answer}");
        answer
    }

    fn answer(&mut self) -> Value {
        match self.answers.recv_timeout(Duration::from_secs(ANSWER_SECONDS_MAX)) {
            Ok(line) => serde_json::from_str(&line).unwrap_or_else(|_| panic!("the device said: {line}")),
            Err(trouble) => {
                let said: Vec<String> = self.errors.try_iter().collect();
                panic!("no answer from the device ({trouble}):\n{}", said.join("\n"))
            }
        }
    }
}
