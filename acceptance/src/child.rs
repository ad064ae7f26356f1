//! Child processes of the tests: clients and peers in Python and Node.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// The folder of the programs in `language`.
pub(crate) fn folder(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(language)
}

/// The interpreter that has the Python clients.
pub(crate) fn python() -> String {
    std::env::var("CARRYALL_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// A child process that is killed and waited for when its handle is dropped.
#[derive(Debug)]
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of a stream. A thread reads them, so that waiting for a line can have a time limit.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (report, lines) = mpsc::channel();
    report_lines(stream, report);
    lines
}

/// Sends the lines of a stream to a channel that several streams can share.
pub(crate) fn report_lines(stream: impl Read + Send + 'static, report: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if report.send(line).is_err() {
                break;
            }
        }
    });
}
