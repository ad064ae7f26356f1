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
