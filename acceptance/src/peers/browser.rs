//! A real browser as a client of server-sent events: a page on which the test opens event sources, and their
//! callbacks.

use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::child::{Reaped, folder, lines};

/// The time limit for the browser to start, to load a page, or to report its next event.
const REPORT_SECONDS_MAX: u64 = 60;
/// The time limit for the browser to end by itself before it is killed.
const END_SECONDS_MAX: u64 = 15;

/// A callback of an event source.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "happened", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum BrowserEvent {
    /// The stream is open, for the first time or after a reconnection.
    Open {
        /// The number of the source.
        id: usize,
    },
    /// The stream broke, or could not be opened.
    Error {
        /// The number of the source.
        id: usize,
        /// True if the browser gave up and will not reconnect by itself.
        closed: bool,
    },
    /// An event arrived.
    Event {
        /// The number of the source.
        id: usize,
        /// The event's type; `message` if the stream named none.
        r#type: String,
        /// The id after which the browser would continue.
        last_event_id: String,
        /// The event's data.
        data: String,
    },
}

/// A running browser with one page.
#[derive(Debug)]
pub struct Browser {
    input: Option<ChildStdin>,
    _child: Reaped,
    reports: Receiver<String>,
    errors: Receiver<String>,
    sources: usize,
}

impl Browser {
    /// Starts a browser with a fresh profile and visits a page. Event sources are opened from that page's
    /// origin.
    pub fn visiting(url: &str) -> Self {
        let mut command = Command::new("node");
        command
            .arg(folder("node").join("browser.mjs"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(std::env::var_os("CARRYALL_TEST_CHROMIUM").map(|path| ("CARRYALL_TEST_CHROMIUM", path)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = Reaped(command.spawn().expect("start node"));
        let reports = lines(child.0.stdout.take().expect("piped"));
        let errors = lines(child.0.stderr.take().expect("piped"));
        let mut browser = Self { input: child.0.stdin.take(), _child: child, reports, errors, sources: 0 };
        let ready = browser.report();
        assert!(ready["ready"].is_string(), "{ready}");
        browser.visit(url);
        browser
    }

    /// Visits another page, which closes all event sources, and waits until it is loaded. Callbacks that were
    /// not read are dropped.
    pub fn visit(&mut self, url: &str) {
        self.tell(&json!({ "do": "visit", "url": url }));
        while self.report()["visited"] != url {}
    }

    /// Opens an event source that listens to events of these types (`message` are those without), and returns its
    /// number.
    pub fn open(&mut self, url: &str, types: &[&str]) -> usize {
        self.sources += 1;
        self.tell(&json!({ "do": "open", "id": self.sources, "url": url, "types": types }));
        self.sources
    }

    /// Closes an event source.
    pub fn close(&mut self, source: usize) {
        self.tell(&json!({ "do": "close", "id": source }));
    }

    /// The next callback of any event source; fails the test if there is none in time.
    pub fn next_report(&mut self) -> BrowserEvent {
        let report = self.report();
        serde_json::from_value(report.clone()).unwrap_or_else(|trouble| panic!("{trouble}: {report}"))
    }

    /// The type, id and data of the next event; other callbacks before it are skipped.
    pub fn next_event(&mut self) -> (String, String, String) {
        loop {
            if let BrowserEvent::Event { r#type, last_event_id, data, .. } = self.next_report() {
                return (r#type, last_event_id, data);
            }
        }
    }

    fn tell(&mut self, command: &Value) {
        let input = self.input.as_mut().expect("open until the end");
        writeln!(input, "{command}").expect("write to the browser");
    }

    fn report(&mut self) -> Value {
        match self.reports.recv_timeout(Duration::from_secs(REPORT_SECONDS_MAX)) {
            Ok(line) => {
                let report: Value =
                    serde_json::from_str(&line).unwrap_or_else(|_| panic!("the browser said: {line}"));
                assert!(report["trouble"].is_null(), "{report}");
                report
            }
            Err(trouble) => {
                let said: Vec<String> = self.errors.try_iter().collect();
                panic!("nothing from the browser ({trouble}):\n{}", said.join("\n"))
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.input.take());
        // Its output closes when it has ended, and so have the browser and its profile.
        let deadline = Instant::now() + Duration::from_secs(END_SECONDS_MAX);
        while self.reports.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
    }
}
