//! A peer that is a child process. It announces its address on one of its outputs, and ends when its standard
//! input is closed: with its handle, and also after a test run that was killed or never drops the handle.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::child::{Reaped, folder, report_lines};

/// The time limit for a peer to listen, on a machine that is busy with other tests.
const START_SECONDS_MAX: u64 = 60;
/// The time limit for a peer to end by itself before it is killed.
const END_SECONDS_MAX: u64 = 10;
/// The text before the address in each peer's announcement.
const ANNOUNCEMENT: &str = "Running on http://";

/// The running process.
#[derive(Debug)]
pub(super) struct Process {
    input: Option<ChildStdin>,
    _child: Reaped,
    said: Mutex<Receiver<String>>,
    address: SocketAddr,
}

impl Process {
    /// Starts a Python module by `clients/python/peer.py`, with no environment variable but the search path.
    pub(super) fn python(
        interpreter: &str,
        words: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut command = Command::new(interpreter);
        command.arg(folder("python").join("peer.py")).args(words);
        command.env_clear().env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        Self::start(command.envs(variables.iter().copied()))
    }

    /// Starts a script of `clients/node`.
    pub(super) fn node(script: &str) -> Result<Self, String> {
        let path: PathBuf = folder("node").join(script);
        Self::start(Command::new("node").arg(path).env_clear())
    }

    fn start(command: &mut Command) -> Result<Self, String> {
        command
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = Reaped(
            command
                .spawn()
                .map_err(|trouble| format!("{command:?}: {trouble}; scripts/test installs the peers"))?,
        );
        let (report, said) = mpsc::channel();
        report_lines(child.0.stdout.take().expect("piped"), report.clone());
        report_lines(child.0.stderr.take().expect("piped"), report);
        let address = announced(&said).map_err(|lines| {
            format!("{command:?} did not say where it listens; scripts/test installs the peers\n{lines}")
        })?;
        Ok(Self { input: child.0.stdin.take(), _child: child, said: Mutex::new(said), address })
    }

    /// The peer's address.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        // Its outputs close when it has ended.
        let deadline = Instant::now() + Duration::from_secs(END_SECONDS_MAX);
        let Ok(said) = self.said.get_mut() else { return };
        while said.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
    }
}

/// The address that the peer announces, or all that it printed instead.
fn announced(said: &Receiver<String>) -> Result<SocketAddr, String> {
    let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
    let mut lines = Vec::new();
    loop {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let address = line
                    .split_once(ANNOUNCEMENT)
                    .and_then(|(_, rest)| rest.split(|end: char| end.is_whitespace()).next())
                    .and_then(|address| address.parse().ok());
                if let Some(address) = address {
                    return Ok(address);
                }
                lines.push(line);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(lines.join("\n"));
            }
        }
    }
}
