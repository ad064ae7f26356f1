//! Starting the program and talking to it byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The time after which a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command line without the settings of the environment in which the tests run.
pub fn carryall(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carryall"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARRYALL_")) {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command line to its end.
pub fn run(arguments: &[&str]) -> Output {
    carryall(arguments).output().unwrap()
}

/// The output of a command line that has to succeed.
pub fn printed(arguments: &[&str]) -> String {
    succeeded(&run(arguments))
}

pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line of error of a command line that has to fail.
pub fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    told.trim_end().to_owned()
}

/// A data directory that is removed with the test.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The setting that names the store in this directory.
    pub fn store(&self) -> String {
        format!("embedded:{}", self.data().display())
    }

    /// Writes a file next to the data directory.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A server on a free port with its data in this directory.
    pub fn serve(&self, more: &[&str]) -> Server {
        let store = self.store();
        let mut arguments = vec!["serve", "--store", &store, "--listen", "127.0.0.1:0"];
        arguments.extend(more);
        Server::start(carryall(&arguments))
    }
}

/// A running server; killed with the test.
pub struct Server {
    child: Child,
    /// The standard output up to the moment at which it was ready.
    pub banner: String,
    /// The server's address.
    pub address: SocketAddr,
    log: Receiver<String>,
    /// The log that has not been read yet.
    pub logged: Vec<String>,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let printed = lines(child.stdout.take().unwrap());
        let log = lines(child.stderr.take().unwrap());
        let address = "0.0.0.0:0".parse().unwrap();
        let mut server = Self { child, banner: String::new(), address, log, logged: Vec::new() };
        // The whole banner is written before this log line.
        server.wait_for_log("\"ready\"");
        let mut take = |line: String| {
            if let Some((_, address)) = line.split_once("listening on http") {
                server.address = address.trim_start_matches('s').trim_start_matches("://").parse().unwrap();
            }
            server.banner.push_str(&line);
            server.banner.push('\n');
        };
        loop {
            let line = printed.recv_timeout(PATIENCE).unwrap();
            let last = line.contains("list-identity-pool-usage");
            take(line);
            if last {
                return server;
            }
        }
    }

    /// Waits for a line of the log that contains `text`, and returns it.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.log.recv_timeout(PATIENCE) else {
                panic!("the log never said {text}: {:#?}", self.logged);
            };
            self.logged.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it with SIGTERM and returns the exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Option<i32> {
        // Standard error closes with the process, so this needs no polling.
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            self.logged.push(line);
        }
        self.child.wait().unwrap().code()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends `request` and reads the answers until the server closes.
    pub fn send(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may close before it has read everything.
        let _ = stream.write_all(request);
        rest(&mut stream)
    }

    /// Requests a path and closes.
    pub fn get(&self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything that still arrives until the other side closes.
pub fn rest(stream: &mut impl Read) -> String {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}, after {}", String::from_utf8_lossy(&answer)),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// One answer with a `Content-Length`, from a connection that stays open.
pub fn one_answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    // Byte by byte, so that an answer behind this one stays in the stream.
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert!(stream.read(&mut byte).unwrap() > 0, "closed after {}", String::from_utf8_lossy(&head));
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let lengths = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; lengths.next().map_or(0, |(_, bytes)| bytes.trim().parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
