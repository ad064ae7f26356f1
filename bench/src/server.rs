//! The program under test as a child process: built, started on a free port of the loopback address with its
//! own directory, and killed. Requests to it are made elsewhere.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use carryall_wire::sigv4::Credentials;
use clap::ValueEnum;

use crate::measure::Meter;
use crate::outcome::Outcome;
use crate::process::ProcessId;
use crate::signing::REGION;

/// The time limit of a start, including one that reopens a large store.
const START_SECONDS_MAX: u64 = 180;
/// The time limit of a probe.
const PROBE_SECONDS_MAX: u64 = 10;

const ROOT_ACCESS_KEY_ID: &str = "AKIABENCHROOT0000000";
const ROOT_SECRET_ACCESS_KEY: &str = "bench/root+secret/0123456789abcdefghijkl";

/// The environment variable with the secret with which servers under test sign deliveries.
pub(crate) const SECRET_VARIABLE: &str = "CARRYALL_BENCH_SECRET";
const SECRET: &str = "bench-secret-0123456789abcdef";

/// The root developer key of servers under test.
pub(crate) fn root_key() -> Credentials {
    Credentials {
        access_key_id: ROOT_ACCESS_KEY_ID.to_owned(),
        secret_access_key: ROOT_SECRET_ACCESS_KEY.into(),
        session_token: None,
    }
}

/// The program under test and its logging.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its binary.
    pub(crate) path: PathBuf,
    /// The server's log filter; `None` for its default, a line per request.
    pub(crate) log_directives: Option<String>,
    /// The file for its log; `None` discards the log, so that it does not share the device with the store.
    pub(crate) log_file: Option<PathBuf>,
    /// The command line to run it with, such as a profiler and its options; empty runs it directly.
    pub(crate) wrapper: Vec<OsString>,
}

impl Program {
    fn command(&self) -> Command {
        match self.wrapper.split_first() {
            Some((first, options)) => {
                let mut command = Command::new(first);
                command.args(options).arg(&self.path);
                command
            }
            None => Command::new(&self.path),
        }
    }

    fn log_to(&self) -> Outcome<Stdio> {
        match &self.log_file {
            Some(path) => Ok(File::options().create(true).append(true).open(path)?.into()),
            None => Ok(Stdio::null()),
        }
    }
}

/// A running server, which is killed on drop.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    started_in: Duration,
}

impl Server {
    /// Starts `program` over the embedded store in `directory`, and waits until it announces that it listens
    /// and its probe succeeds.
    pub(crate) fn start(program: &Program, directory: &Path) -> Outcome<Self> {
        Self::start_with(program, directory, "")
    }

    /// The same with `settings` as its configuration file.
    pub(crate) fn start_with(program: &Program, directory: &Path, settings: &str) -> Outcome<Self> {
        let config = directory.join("carryall.toml");
        if !settings.is_empty() {
            std::fs::write(&config, settings)?;
        }
        let mut command = program.command();
        command
            .arg("serve")
            .env_clear()
            .env("CARRYALL_LISTEN", "127.0.0.1:0")
            .env("CARRYALL_STORE", format!("embedded:{}", data_in(directory).display()))
            .env("CARRYALL_REGION", REGION)
            .env("CARRYALL_ROOT_ACCESS_KEY_ID", ROOT_ACCESS_KEY_ID)
            .env("CARRYALL_ROOT_SECRET_ACCESS_KEY", ROOT_SECRET_ACCESS_KEY)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(program.log_to()?);
        if !settings.is_empty() {
            command.env("CARRYALL_CONFIG", config).env(SECRET_VARIABLE, SECRET);
        }
        if let Some(directives) = &program.log_directives {
            command.env("CARRYALL_LOG", directives);
        }
        let begun = Instant::now();
        let started = command.get_program().to_owned();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", started.display()))?;
        let listening = addresses(&mut child);
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address: unknown, started_in: Duration::ZERO };
        server.address = listening
            .recv_timeout(Duration::from_secs(START_SECONDS_MAX))
            .map_err(|_| "the server did not come up; --log-file keeps what it said")?;
        server.probe()?;
        server.started_in = begun.elapsed();
        Ok(server)
    }

    /// The server's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time from the start of the process to its first successful probe.
    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// A meter of its processor time and device bytes.
    pub(crate) fn meter(&self) -> Meter {
        Meter::of(self.process())
    }

    /// The process.
    pub(crate) fn process(&self) -> ProcessId {
        ProcessId(self.child.id())
    }

    /// Kills it with SIGKILL, as `kill -9` does.
    pub(crate) fn kill(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn probe(&self) -> Outcome<()> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(PROBE_SECONDS_MAX)))?;
        let request =
            format!("GET /health/ready HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200 ") {
            return Ok(());
        }
        Err(format!("the server listens but is not ready: {answer}").into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `kill` both fail, which is expected: the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The data directory of a server started in `directory`.
pub(crate) fn data_in(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// Reads the child's standard output to its end and reports the address of each `listening on` line.
pub(crate) fn addresses(child: &mut Child) -> Receiver<SocketAddr> {
    let (report, listening) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = listening_address(&line) {
                    let _ = report.send(address);
                }
            }
        });
    }
    listening
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    line.trim().strip_prefix("listening on http://")?.trim_end_matches('/').parse().ok()
}

/// A profile of Cargo.toml that the program is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// The profile of the README's first command: quick to build.
    Release,
    /// The profile that is shipped: link-time optimisation of the whole program.
    Dist,
}

impl Profile {
    /// The profile's name in Cargo.toml, which is also the name of its folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dist => "dist",
        }
    }
}

/// The program built with `profile`, unless it is up to date, in the target folder of this benchmark.
pub(crate) fn build(profile: Profile) -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).ok_or("this benchmark does not run from a target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--locked", "--package", "carryall", "--bin", "carryall"])
        .args(["--profile", profile.name(), "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !status.success() {
        return Err("the program does not build; --carryall names one that is built already".into());
    }
    Ok(target.join(profile.name()).join("carryall"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_its_line_of_the_banner() {
        let expected = SocketAddr::from(([127, 0, 0, 1], 4711));
        assert_eq!(listening_address("  listening on http://127.0.0.1:4711"), Some(expected));
        assert_eq!(listening_address("listening on http://127.0.0.1:4711/"), Some(expected));
        assert_eq!(listening_address("data in ./carryall-data"), None);
    }
}
