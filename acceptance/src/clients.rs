//! Real clients as child processes: Python and Node scripts that run to their end, and the sync manager as a
//! device that stays. Each has a hard time limit and is killed when its handle is dropped. Their pools can
//! have effects: a trigger, a stream and push.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{encoded, succeeded};
use crate::child::{Reaped, folder, lines, python};
use crate::peers::{Kinesalite, MiniStack, Moto};
use crate::server::{ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY, Server, ServerSettings, Store};

/// The time limit for one answer of a device. It exceeds the device's own limit, whose message says more.
const ANSWER_SECONDS_MAX: u64 = 90;
/// The time limit for a script to report its next case.
const CASE_SECONDS_MAX: u64 = 240;

/// Environment variables of the test must not reach the clients, so they get only those that are set here.
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
    if let Some(effects) = Effects::of_pools(server) {
        command.env("CARRYALL_EFFECTS", effects.to_string());
    }
    command
}

/// The file in a server's directory with the effects that its clients' pools have.
const EFFECTS_FILE: &str = "effects.json";
/// The bucket for messages that exceed a Kinesis record.
const EFFECTS_BUCKET: &str = "effects";
/// A function that changes nothing.
const UNCHANGED: &str = "def handler(event, context):\n    return event\n";

/// A trigger, a stream and a platform application at real peers, for every pool of a server.
#[derive(Clone, Debug)]
pub struct Effects {
    stream: String,
    application: String,
    function: String,
}

impl Effects {
    /// The trigger (which changes nothing), the stream and the application that the tests of one run share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Effects> = OnceLock::new();
        SHARED.get_or_init(|| {
            Kinesalite::shared().stream("effects").create(1);
            MiniStack::shared().bucket(EFFECTS_BUCKET).create();
            Self {
                stream: "effects".to_owned(),
                application: Moto::shared().create_application("GCM", "effects"),
                function: MiniStack::shared().deploy("effects-unchanged", UNCHANGED, 30),
            }
        })
    }

    /// The same with another trigger, given as the text of a Python module with `handler(event, context)`.
    #[must_use]
    pub fn with_function(&self, name: &str, module: &str) -> Self {
        Self { function: MiniStack::shared().deploy(name, module, 30), ..self.clone() }
    }

    /// Starts a server that calls the peers, and whose clients create pools with these effects.
    pub fn start_server(&self) -> Server {
        // On a machine under load a new interpreter may take longer than the default of five seconds.
        let configuration =
            format!("[trigger]\nmilliseconds_max = 30000\n[large_objects]\nbucket = \"{EFFECTS_BUCKET}\"\n");
        let ministack = MiniStack::shared().endpoint_url();
        let settings = ServerSettings::default()
            .configuration(&configuration)
            .acting_as(Moto::shared().owner())
            .endpoint_of("KINESIS", &Kinesalite::shared().endpoint_url())
            .endpoint_of("SNS", &Moto::shared().endpoint_url())
            .endpoint_of("LAMBDA", &ministack)
            .endpoint_of("S3", &ministack);
        let server = Server::start_with(Store::Embedded, settings);
        let pools = json!({
            "Events": { "SyncTrigger": self.function },
            "PushSync": { "ApplicationArns": [self.application] },
            "CognitoStreams": { "StreamName": self.stream, "StreamingStatus": "ENABLED" },
        });
        fs::write(server.directory().join(EFFECTS_FILE), pools.to_string()).expect("write a file");
        server
    }

    /// Gives a pool that the test itself created the effects of the server's clients.
    pub fn lay_over(server: &Server, pool: &str) {
        let Some(mut effects) = Self::of_pools(server) else { return };
        let events = json!({ "Events": effects["Events"].take() });
        let set = |what: &str, body: &Value| {
            let target = format!("/identitypools/{}/{what}", encoded(pool));
            succeeded(&server.api().sync(Some(&server.root()), "POST", &target, Some(body)));
        };
        set("events", &events);
        set("configuration", &effects);
    }

    fn of_pools(server: &Server) -> Option<Value> {
        let text = fs::read_to_string(server.directory().join(EFFECTS_FILE)).ok()?;
        Some(serde_json::from_str(&text).expect("effects in JSON"))
    }
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

    /// Runs the script with environment variables in addition to those of every client.
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

/// The settings of a device.
#[derive(Clone, Debug, Default)]
pub struct DeviceSettings {
    /// The identity to use; `None` for a new one.
    pub identity: Option<String>,
    /// Uses `GetOpenIdToken` and `AssumeRoleWithWebIdentity` instead of `GetCredentialsForIdentity`.
    pub classic_flow: bool,
    /// The file of the device's local store, which survives the process.
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

    /// The device's identity.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Sends one command and returns its answer; an error of the client fails the test.
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

    /// Synchronizes and returns the callbacks. `resolve` says how to resolve conflicts: `abort`, `local`,
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
